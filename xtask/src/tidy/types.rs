//! Checks for duplicate type names and missing module docs.

use std::collections::BTreeMap;

use proc_macro2::TokenTree;

use super::Violation;
use super::source::Source;

/// Files without a first line that says what they do.
pub(super) fn missing_module_doc(source: &Source) -> Option<Violation> {
    let is_documented = source
        .text
        .lines()
        .find(|line| !line.starts_with("#!") && !line.trim().is_empty())
        .is_some_and(|line| line.starts_with("//!"));
    (!is_documented && !source.text.trim().is_empty()).then(|| Violation {
        path: source.path.clone(),
        line: 1,
        text: "module doc missing: begin the file with `//!`".to_owned(),
    })
}

/// Types of product code that are visible outside their file and share a name.
pub(super) fn duplicates(sources: &[Source], allowed: &BTreeMap<String, String>) -> Vec<Violation> {
    let mut definitions: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_product()) {
        for (name, line) in visible_types(&source.tokens) {
            definitions
                .entry(name)
                .or_default()
                .push((source.path.clone(), line));
        }
    }
    let mut found = Vec::new();
    for (name, places) in definitions {
        if places.len() < 2 || allowed.contains_key(&name) {
            continue;
        }
        for (path, line) in &places {
            found.push(Violation {
                path: path.clone(),
                line: *line,
                text: format!("type `{name}` is defined {} times", places.len()),
            });
        }
    }
    found
}

/// Names of `pub` and `pub(…)` types. The tokens come without delimiters, so `pub(crate)` is `pub crate` here.
fn visible_types(tokens: &[TokenTree]) -> Vec<(String, usize)> {
    let word = |at: usize| match tokens.get(at) {
        Some(TokenTree::Ident(ident)) => Some(ident.to_string()),
        _ => None,
    };
    let mut found = Vec::new();
    for at in 0..tokens.len() {
        if word(at).as_deref() != Some("pub") {
            continue;
        }
        let mut next = at + 1;
        while matches!(
            word(next).as_deref(),
            Some("crate" | "super" | "in" | "self" | "unsafe")
        ) {
            next += 1;
        }
        let is_type = matches!(
            word(next).as_deref(),
            Some("struct" | "enum" | "trait" | "type" | "union")
        );
        if let (true, Some(name)) = (is_type, word(next + 1)) {
            let line = tokens[next + 1].span().start().line;
            found.push((name, line));
        }
    }
    found
}
