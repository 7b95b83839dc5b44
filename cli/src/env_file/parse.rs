//! Parses an env file: `NAME=value` lines. Pure. Expands and runs nothing; an error names the line and never
//! its content.

use std::collections::BTreeMap;

/// Maximum number of lines of a file.
const LINES_MAX: usize = 1_000;
/// Maximum length of a name, in characters.
const NAME_CHARS_MAX: usize = 128;

/// A parse error and its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(super) struct BadLine {
    /// From 1.
    pub(super) line: usize,
    pub(super) problem: Problem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    #[error("expected NAME=value")]
    NoAssignment,
    #[error(
        "invalid name before `=`: use letters, digits and `_`, not starting with a digit, without `export`"
    )]
    BadName,
    #[error("duplicate name")]
    DuplicateName,
    #[error("a value with spaces, quotes or backslashes must be quoted")]
    Unquoted,
    #[error("unclosed quote")]
    NotClosed,
    #[error("only a comment may follow the closing quote")]
    AfterQuote,
    #[error(
        "invalid escape: in double quotes use `\\` only before `\"`, `\\`, `$` or `n`; single quotes keep it literally"
    )]
    BadEscape,
    #[error("a control character")]
    Control,
    #[error("a file has at most {LINES_MAX} lines")]
    TooManyLines,
}

/// Names and values, each name once.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, BadLine> {
    let mut found = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let bad = |problem| BadLine {
            line: at + 1,
            problem,
        };
        if at >= LINES_MAX {
            return Err(bad(Problem::TooManyLines));
        }
        let Some((name, value)) = assignment(line).map_err(bad)? else {
            continue;
        };
        if found.insert(name, value).is_some() {
            return Err(bad(Problem::DuplicateName));
        }
    }
    Ok(found)
}

/// Parses one line; `None` for an empty line or a comment.
fn assignment(line: &str) -> Result<Option<(String, String)>, Problem> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Problem::Control);
    }
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, value) = line.split_once('=').ok_or(Problem::NoAssignment)?;
    if !is_name(name) {
        return Err(Problem::BadName);
    }
    let value = match value.chars().next() {
        Some('\'') => single_quoted(&value[1..])?,
        Some('"') => double_quoted(&value[1..])?,
        Some(_) | None => bare(value)?,
    };
    Ok(Some((name.to_owned(), value)))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Parses a bare value. It ends at a space before a comment; a `#` inside it is part of it.
fn bare(text: &str) -> Result<String, Problem> {
    let value = match text.find([' ', '\t']) {
        None => text,
        Some(end) => {
            only_a_comment(&text[end..]).map_err(|_| Problem::Unquoted)?;
            &text[..end]
        }
    };
    if value.contains(['"', '\'', '\\']) {
        return Err(Problem::Unquoted);
    }
    Ok(value.to_owned())
}

fn single_quoted(text: &str) -> Result<String, Problem> {
    let (value, rest) = text.split_once('\'').ok_or(Problem::NotClosed)?;
    only_a_comment(rest)?;
    Ok(value.to_owned())
}

fn double_quoted(text: &str) -> Result<String, Problem> {
    let mut value = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                only_a_comment(chars.as_str())?;
                return Ok(value);
            }
            '\\' => value.push(match chars.next() {
                Some('n') => '\n',
                Some(escaped @ ('"' | '\\' | '$')) => escaped,
                Some(_) | None => return Err(Problem::BadEscape),
            }),
            other => value.push(other),
        }
    }
    Err(Problem::NotClosed)
}

fn only_a_comment(rest: &str) -> Result<(), Problem> {
    let text = rest.trim_start();
    let is_apart = text.len() < rest.len();
    if text.is_empty() || (is_apart && text.starts_with('#')) {
        Ok(())
    } else {
        Err(Problem::AfterQuote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(line: &str) -> Result<String, Problem> {
        match parse(line) {
            Ok(found) => Ok(found
                .get("A")
                .cloned()
                .unwrap_or_else(|| panic!("no A in {line}"))),
            Err(bad) => Err(bad.problem),
        }
    }

    #[test]
    fn values_are_not_expanded() {
        for (line, wanted) in [
            ("A=b", "b"),
            ("  A=b  ", "b"),
            ("A=", ""),
            ("A=postgres://u:p#w=d@h/d?x=1", "postgres://u:p#w=d@h/d?x=1"),
            ("A=b # a comment", "b"),
            ("A=b\t#c", "b"),
            ("A=$HOME/${X}`id`$(id)", "$HOME/${X}`id`$(id)"),
            ("A='it is $HOME # \\n' # c", "it is $HOME # \\n"),
            ("A=\"a \\\"b\\\" \\\\ \\$ \\n c\"", "a \"b\" \\ $ \n c"),
            ("A=\"$HOME $(id)\" # c", "$HOME $(id)"),
            ("A='\u{fc}'", "\u{fc}"),
            ("A=b\r\n# c\r\n", "b"),
        ] {
            assert_eq!(value(line).as_deref(), Ok(wanted), "{line}");
        }
    }

    #[test]
    fn rejects_ambiguous_line_with_its_number() {
        for (line, problem) in [
            ("A", Problem::NoAssignment),
            ("export A=b", Problem::BadName),
            ("A =b", Problem::BadName),
            ("1A=b", Problem::BadName),
            ("=b", Problem::BadName),
            ("A= b", Problem::Unquoted),
            ("A=b c", Problem::Unquoted),
            ("A=b'c'", Problem::Unquoted),
            ("A=b\\ c", Problem::Unquoted),
            ("A='b", Problem::NotClosed),
            ("A=\"b", Problem::NotClosed),
            ("A='b'c", Problem::AfterQuote),
            ("A='b'#c", Problem::AfterQuote),
            ("A=\"b\"#c", Problem::AfterQuote),
            ("A=\"b\\t\"", Problem::BadEscape),
            ("A=\"b\\", Problem::BadEscape),
            ("A=b\u{0}", Problem::Control),
            ("A=\u{1b}[2J", Problem::Control),
        ] {
            let text = format!("# first\n\n{line}\n");
            assert_eq!(parse(&text), Err(BadLine { line: 3, problem }), "{line}");
        }
        let twice = BadLine {
            line: 3,
            problem: Problem::DuplicateName,
        };
        assert_eq!(parse("A=b\nB=c\nA=b\n"), Err(twice));
        let long = "#\n".repeat(LINES_MAX + 1);
        assert_eq!(parse(&long).unwrap_err().problem, Problem::TooManyLines);
    }

    #[test]
    fn parse_error_never_shows_line_content() {
        for line in [
            "SEKRIT",
            "SEKRIT x=y",
            "A=SEKRIT SEKRIT",
            "A='SEKRIT",
            "A=\"\\SEKRIT\"",
        ] {
            let shown = parse(line).unwrap_err().to_string();
            assert!(
                shown.starts_with("line 1: ") && !shown.contains("SEKRIT"),
                "{shown}"
            );
        }
    }
}
