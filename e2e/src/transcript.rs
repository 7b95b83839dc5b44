//! Transcript of a test as a page of the documentation: commands and what they print, with the values that differ
//! between runs replaced. With `SYNAPSOR_WRITE_TRANSCRIPTS` set, the page is written instead of compared.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use regex::Regex;

use crate::cli::CliFixture;

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/transcripts");
const WRITE: &str = "SYNAPSOR_WRITE_TRANSCRIPTS";
/// Rows of the screen on which a dialogue is drawn again; more than any dialogue has.
const ROWS: NonZeroU16 = NonZeroU16::new(2_000).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(60).unwrap();

/// Values that differ between runs: a pattern, and what the pages show. `#` is the number of the distinct value.
const VARYING: [(&str, &str); 12] = [
    (r"\b(sqlite|mysql|postgres):[0-9a-f]{12,}\S*", "$1:..."),
    (r"\bPostgreSQL \d[\w.]*( \([^)]*\))?", "PostgreSQL 15"),
    (r"\bMariaDB \d[\w.+:~-]*", "MariaDB 10.11"),
    (r"\bSQLite \d[\d.]*", "SQLite 3"),
    (r"\bwrp_[0-9a-f]{20}\b", "wrp_0000000000000000000#"),
    (r"\bev_[0-9a-z_]{10,}\b", "ev_0000000000000000000#"),
    (r"\bqa_[0-9a-z_]{10,}\b", "qa_0000000000000000000#"),
    (
        r"\bsha256:[0-9a-f]{16,64}\b(\n +[0-9a-f]{1,48}\b)?",
        "sha256:...#",
    ),
    (r"\bed25519:[0-9a-f]{32}\b", "ed25519:...#"),
    (r"\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}\b", "CODE-CODE-CODE"),
    (
        r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?",
        "2026-03-01T09:00:00Z",
    ),
    (r"\b127\.0\.0\.1:\d+\b", "127.0.0.1:5432"),
];

/// A page that is being recorded.
#[derive(Debug)]
pub struct Transcript {
    name: &'static str,
    page: String,
    names: Vec<(String, &'static str)>,
}

impl Transcript {
    /// Begins the page `docs/transcripts/NAME.md`.
    pub fn new(name: &'static str, title: &str, introduction: &str) -> Self {
        let note = "A test runs these commands and compares what they print. Ids, digests, times and names of test databases are replaced.";
        Self {
            name,
            page: format!("# {title}\n\n{introduction}\n{note}\n"),
            names: Vec::new(),
        }
    }

    /// Shows a value, such as the name of a test's database, as another one.
    pub fn rename(&mut self, value: impl Into<String>, shown: &'static str) {
        self.names.push((value.into(), shown));
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: &str) {
        self.page.push_str(&format!("\n{text}\n"));
    }

    /// Adds a block of a language.
    pub fn block(&mut self, language: &str, content: &str) {
        let content = content.trim_end();
        self.page.push_str(&format!("\n```{language}\n{content}\n```\n"));
    }

    /// Runs a command that must succeed, and records it with everything that it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn command(&mut self, place: &CliFixture, arguments: &[&str]) -> anyhow::Result<String> {
        let printed = run(place, arguments)?;
        self.block("console", &format!("$ {}\n{printed}", command_line(arguments)));
        Ok(printed)
    }

    /// As [`Self::command`], but records only so many lines.
    ///
    /// # Errors
    /// When it fails.
    pub fn beginning(&mut self, place: &CliFixture, arguments: &[&str], lines: usize) -> anyhow::Result<()> {
        let printed = run(place, arguments)?;
        let kept: Vec<&str> = printed.lines().take(lines).collect();
        let (line, kept) = (command_line(arguments), kept.join("\n"));
        self.block("console", &format!("$ {line}\n{kept}\n..."));
        Ok(())
    }

    /// Records a dialogue as its screen looks at the end.
    pub fn dialogue(&mut self, arguments: &[&str], output: &str) {
        let mut screen = vt100::Parser::new(ROWS, COLUMNS, 0);
        screen.process(output.as_bytes());
        let shown = screen.screen().contents();
        let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
        self.block(
            "console",
            &format!("$ {}\n{}", command_line(arguments), lines.join("\n")),
        );
    }

    /// Compares the page with the one in the repository, or writes it.
    ///
    /// # Errors
    /// When they differ.
    pub fn finish(self) -> anyhow::Result<()> {
        let path = PathBuf::from(PAGES).join(format!("{}.md", self.name));
        let mut page = self.page;
        for (value, shown) in &self.names {
            page = page.replace(value, shown);
        }
        let page = without_varying(&page)?;
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(PAGES)?;
            return Ok(std::fs::write(&path, page)?);
        }
        compare(&path, &page)
    }
}

/// Runs a command that must succeed; returns what it prints to both streams, in order.
fn run(place: &CliFixture, arguments: &[&str]) -> anyhow::Result<String> {
    let (mut reader, writer) = std::io::pipe()?;
    let mut command = place.command(arguments)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the other ends of the pipe.
    drop(command);
    let mut printed = String::new();
    reader.read_to_string(&mut printed)?;
    let ended = child.wait()?;
    ensure!(ended.success(), "{arguments:?}: {ended}\n{printed}");
    Ok(printed)
}

fn compare(path: &Path, page: &str) -> anyhow::Result<()> {
    let kept = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let differing = kept
        .lines()
        .zip(page.lines())
        .position(|(kept, now)| kept != now)
        .unwrap_or_else(|| kept.lines().count().min(page.lines().count()));
    ensure!(
        kept == page,
        "{}, line {}: `{}` is now `{}`; set {WRITE}=1 to write the page, and review the change",
        path.display(),
        differing + 1,
        kept.lines().nth(differing).unwrap_or_default(),
        page.lines().nth(differing).unwrap_or_default(),
    );
    Ok(())
}

/// Replaces what differs between runs; equal values get equal replacements.
fn without_varying(page: &str) -> anyhow::Result<String> {
    let mut page = page.to_owned();
    for (pattern, shown) in VARYING {
        let mut numbers = BTreeMap::new();
        let replaced = Regex::new(pattern)?.replace_all(&page, |found: &regex::Captures<'_>| {
            let next = numbers.len() + 1;
            let number = numbers.entry(found[0].to_owned()).or_insert(next);
            let mut replaced = String::new();
            found.expand(&shown.replace('#', &number.to_string()), &mut replaced);
            replaced
        });
        page = replaced.into_owned();
    }
    Ok(page)
}

/// The command as a user types it.
fn command_line(arguments: &[&str]) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    let words = arguments.iter().map(|word| match word.chars().all(is_plain) {
        true if !word.is_empty() => (*word).to_owned(),
        _ => format!("'{}'", word.replace('\'', "'\\''")),
    });
    ["synapsor-runner".to_owned()]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_between_runs_are_replaced() {
        let first = "wrp_0123456789abcdef0123 at 2026-12-01T01:02:03.004Z";
        let second = "wrp_aaaaaaaaaaaaaaaaaaaa at 2026-12-02T01:02:03Z";
        let page = format!("{first}\n{second}\n{first}");
        let shown = without_varying(&page).unwrap();
        assert_eq!(
            shown,
            "wrp_00000000000000000001 at 2026-03-01T09:00:00Z\nwrp_00000000000000000002 at 2026-03-01T09:00:00Z\n\
             wrp_00000000000000000001 at 2026-03-01T09:00:00Z"
        );
    }

    #[test]
    fn changed_page_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("page.md");
        std::fs::write(&path, "a\nb\n").unwrap();
        compare(&path, "a\nb\n").unwrap();
        let error = compare(&path, "a\nc\n").unwrap_err().to_string();
        assert!(error.contains("line 2: `b` is now `c`"), "{error}");
        assert!(compare(&path, "a\nb\nc\n").is_err());
    }

    #[test]
    fn words_are_quoted_as_in_a_shell() {
        assert_eq!(
            command_line(&["a", "b c", "--x=1"]),
            "synapsor-runner a 'b c' --x=1"
        );
    }
}
