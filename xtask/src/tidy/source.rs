//! A Rust file as the checks see it: comments and string literals with their lines, and the tokens.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};

/// One comment or string literal.
#[derive(Debug)]
pub(super) struct Prose {
    pub(super) line: usize,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) tokens: Vec<TokenTree>,
    pub(super) prose: Vec<Prose>,
}

impl Source {
    pub(super) fn read(root: &Path, path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(root.join(path)).with_context(|| path.display().to_string())?;
        Self::parse(path, text)
    }

    pub(super) fn parse(path: &Path, text: String) -> Result<Self> {
        let stream: TokenStream = text
            .parse()
            .map_err(|error| anyhow!("{}: {error}", path.display()))?;
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        let mut prose = Vec::new();
        let mut code = vec![false; text.len()];
        for token in &tokens {
            let range = token.span().byte_range();
            code.get_mut(range.clone())
                .into_iter()
                .flatten()
                .for_each(|byte| *byte = true);
            if let TokenTree::Literal(literal) = token
                && let Some(string) = string_of(literal)
            {
                let line = token.span().start().line;
                prose.push(Prose { line, text: string });
            }
        }
        comments(&text, &code, &mut prose);
        Ok(Self {
            path: path.to_string_lossy().into_owned(),
            text,
            tokens,
            prose,
        })
    }

    /// Whether the file is part of what is shipped, and not a test or a proof.
    pub(super) fn is_product(&self) -> bool {
        let mut parts = self.path.split('/');
        !matches!(parts.next(), Some("e2e" | "xtask")) && !parts.any(|part| part.starts_with("test"))
    }
}

/// Tokens without their nesting; delimiters of groups are left out.
fn flatten(stream: TokenStream, into: &mut Vec<TokenTree>) {
    for token in stream {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => flatten(group.stream(), into),
            TokenTree::Group(group) => flatten(group.stream(), into),
            other => into.push(other),
        }
    }
}

/// The content of a string literal, as written; escapes do not matter here.
pub(super) fn string_of(literal: &Literal) -> Option<String> {
    let written = literal.to_string();
    let start = written.find('"')?;
    let end = written.rfind('"')?;
    let prefix = &written[..start];
    let is_string = prefix.chars().all(|letter| matches!(letter, 'r' | '#' | 'c'));
    (is_string && end > start).then(|| without_placeholders(&written[start + 1..end]))
}

/// Removes `{name}` of format strings: it is an identifier.
fn without_placeholders(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        kept.push_str(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    kept + rest
}

/// Adds the comments, which are the text between the tokens. A doc comment is a token sequence and is a literal.
fn comments(text: &str, code: &[bool], into: &mut Vec<Prose>) {
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let comment = line
            .match_indices("//")
            .map(|(at, _)| at)
            .find(|at| !code.get(start + at).copied().unwrap_or(false));
        if let Some(at) = comment {
            into.push(Prose {
                line: number + 1,
                text: line[at..].trim_end().to_owned(),
            });
        }
        start += line.len();
    }
}
