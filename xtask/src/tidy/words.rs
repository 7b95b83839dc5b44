//! Banned words in comments, docs, help and messages.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use regex::Regex;

use super::Violation;
use super::source::Source;

const ALLOW: &str = "tidy:allow(";

pub(super) struct Banned {
    phrases: Vec<(Regex, String, String)>,
}

impl Banned {
    pub(super) fn new(banned: &BTreeMap<String, String>) -> Result<Self> {
        let phrase = |(phrase, instead): (&String, &String)| {
            let pattern = phrase
                .split(' ')
                .map(regex::escape)
                .collect::<Vec<_>>()
                .join(r"\s+");
            let pattern = Regex::new(&format!(r"(?i)\b{pattern}\b"))?;
            Ok((pattern, phrase.clone(), instead.clone()))
        };
        Ok(Self {
            phrases: banned.iter().map(phrase).collect::<Result<_>>()?,
        })
    }

    /// Adds the violations of a Rust file; returns how many lines opt out.
    pub(super) fn check_source(&self, source: &Source, found: &mut Vec<Violation>) -> usize {
        let lines: Vec<&str> = source.text.lines().collect();
        let allows = |line: usize, word: &str| {
            let marker = format!("{ALLOW}{word})");
            let near = line.saturating_sub(2)..line;
            lines
                .get(near)
                .is_some_and(|near| near.iter().any(|line| line.contains(&marker)))
        };
        for prose in &source.prose {
            for (offset, text) in prose.text.lines().enumerate() {
                let line = prose.line + offset;
                self.check_line(&source.path, line, text, |word| allows(line, word), found);
            }
        }
        source.text.matches(ALLOW).count()
    }

    /// The same for a file that is prose as a whole.
    pub(super) fn check_text(&self, path: &Path, text: &str, found: &mut Vec<Violation>) -> usize {
        let path = path.to_string_lossy();
        for (number, line) in text.lines().enumerate() {
            let allows = |word: &str| line.contains(&format!("{ALLOW}{word})"));
            self.check_line(&path, number + 1, line, allows, found);
        }
        text.matches(ALLOW).count()
    }

    fn check_line(
        &self,
        path: &str,
        line: usize,
        text: &str,
        allows: impl Fn(&str) -> bool,
        found: &mut Vec<Violation>,
    ) {
        for (pattern, phrase, instead) in &self.phrases {
            if pattern.is_match(text) && !allows(phrase) {
                found.push(Violation {
                    path: path.to_owned(),
                    line,
                    text: format!("`{phrase}`: use {instead}"),
                });
            }
        }
    }
}
