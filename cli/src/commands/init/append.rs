//! Adds capabilities, and a source if it is missing, to the text of a contract. Text is only inserted, so that every
//! byte of the contract before stays. Pure.

use jsonc_parser::ast::{Array, Object, Value};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::Serialize as _;
use serde_json::Value as Json;
use serde_json::ser::{PrettyFormatter, Serializer};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

const INDENT_DEFAULT: &str = "  ";

/// Plain JSON, as the contract's own reader takes it.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_trailing_commas: false,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Place after the last element of a list or object.
struct Insertion<'a> {
    at: usize,
    /// Blanks before each element on its line; absent if the elements share a line.
    indent: Option<&'a str>,
}

/// Returns the text with the capabilities of `drafted` at the end of the list, and with its source if `adds_source`.
///
/// # Errors
/// `CONFIG_INVALID` if the text has no such list, or an empty one.
pub(super) fn appended(before: &str, drafted: &Json, adds_source: bool) -> Result<String, ExitError> {
    let parsed = parse_to_ast(before, &CollectOptions::default(), &OPTIONS)
        .map_err(|error| unfit(&error.to_string()))?;
    let Some(Value::Object(whole)) = parsed.value else {
        return Err(unfit("it is not an object"));
    };
    let style = Style::of(before);
    let list = whole
        .get_array("capabilities")
        .ok_or_else(|| unfit("it has no `capabilities`"))?;
    let place = after_last(before, list)?;
    let mut inserted = vec![(place.at, String::new())];
    for capability in drafted["capabilities"].as_array().into_iter().flatten() {
        inserted[0].1.push_str(&style.element(&place, None, capability)?);
    }
    if adds_source {
        let sources = whole
            .get_object("sources")
            .ok_or_else(|| unfit("it has no `sources`"))?;
        let place = after_last_member(before, sources)?;
        for (name, source) in drafted["sources"].as_object().into_iter().flatten() {
            inserted.push((place.at, style.element(&place, Some(name), source)?));
        }
    }
    inserted.sort_by_key(|(at, _)| *at);
    let (mut after, mut from) = (String::with_capacity(before.len() * 2), 0);
    for (at, text) in inserted {
        after.push_str(&before[from..at]);
        after.push_str(&text);
        from = at;
    }
    after.push_str(&before[from..]);
    Ok(after)
}

fn unfit(why: &str) -> ExitError {
    let text = format!("nothing can be added to the contract: {why}");
    ExitError::new(ErrorCode::ConfigInvalid, text).with_fix("check it with `synapsor-runner config validate`")
}

fn after_last<'a>(text: &'a str, list: &Array<'_>) -> Result<Insertion<'a>, ExitError> {
    let last = list
        .elements
        .last()
        .ok_or_else(|| unfit("`capabilities` is empty"))?;
    Ok(Insertion {
        at: last.end(),
        indent: indent_before(text, last.start()),
    })
}

fn after_last_member<'a>(text: &'a str, object: &Object<'_>) -> Result<Insertion<'a>, ExitError> {
    let last = object
        .properties
        .last()
        .ok_or_else(|| unfit("`sources` is empty"))?;
    Ok(Insertion {
        at: last.end(),
        indent: indent_before(text, last.start()),
    })
}

/// The blanks between the start of a line and `at`, if there is nothing else.
fn indent_before(text: &str, at: usize) -> Option<&str> {
    let line = text[..at].rfind(['\n', '\r'])? + 1;
    let before = &text[line..at];
    before
        .bytes()
        .all(|byte| byte == b' ' || byte == b'\t')
        .then_some(before)
}

/// Line ends and indentation of a text.
struct Style<'a> {
    newline: &'static str,
    indent: &'a str,
}

impl<'a> Style<'a> {
    fn of(text: &'a str) -> Self {
        let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
        // The first member of the file is one level deep.
        let first = text.find('"').and_then(|at| indent_before(text, at));
        Self {
            newline,
            indent: first
                .filter(|indent| !indent.is_empty())
                .unwrap_or(INDENT_DEFAULT),
        }
    }

    /// A comma and the element, on lines of its own if the others are.
    fn element(&self, place: &Insertion<'_>, name: Option<&str>, value: &Json) -> Result<String, ExitError> {
        let key = match name {
            Some(name) => format!("{}: ", Json::from(name)),
            None => String::new(),
        };
        let Some(indent) = place.indent else {
            return Ok(format!(", {key}{value}"));
        };
        let mut pretty = Vec::new();
        let formatter = PrettyFormatter::with_indent(self.indent.as_bytes());
        value
            .serialize(&mut Serializer::with_formatter(&mut pretty, formatter))
            .map_err(|error| unfit(&error.to_string()))?;
        let pretty = String::from_utf8_lossy(&pretty);
        let lines: Vec<String> = pretty
            .lines()
            .enumerate()
            .map(|(number, line)| match number {
                0 => format!("{indent}{key}{line}"),
                _ => format!("{indent}{line}"),
            })
            .collect();
        Ok(format!(",{}{}", self.newline, lines.join(self.newline)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn drafted() -> Json {
        json!({
            "sources": {"other": {"engine": "sqlite"}},
            "capabilities": [{"name": "a.b", "max": [1]}, {"name": "a.c"}],
        })
    }

    /// Returns the text with tabs or another line end, and what is added to it.
    fn check(before: &str, adds_source: bool, expected: &[&str]) {
        let after = appended(before, &drafted(), adds_source).unwrap();
        let (mut left, mut rest) = (before, after.as_str());
        for piece in expected {
            let (kept, more) = rest
                .split_once(piece)
                .unwrap_or_else(|| panic!("{piece:?} in {after:?}"));
            left = left.strip_prefix(kept).unwrap();
            rest = more;
        }
        assert_eq!(left, rest);
        let value: Json = serde_json::from_str(&after).unwrap();
        assert_eq!(value["capabilities"][2]["name"], "a.c");
        assert_eq!(value["sources"]["other"].is_null(), !adds_source);
    }

    #[test]
    fn insertion_keeps_indentation_and_line_ends() {
        let one = "{\n \"sources\": {\n  \"s\": {\"x\": 1.0}\n },\n\n \"capabilities\": [\n  {\"name\": \"x\"}  ],\n \"é\": 1e2 }\n\n";
        let source = ",\n  \"other\": {\n   \"engine\": \"sqlite\"\n  }";
        let list =
            ",\n  {\n   \"name\": \"a.b\",\n   \"max\": [\n    1\n   ]\n  },\n  {\n   \"name\": \"a.c\"\n  }";
        check(one, false, &[list]);
        check(one, true, &[source, list]);
        let windows = |text: &str| {
            text.replace('\n', "\r\n")
                .replace("\r\n  ", "\r\n\t\t")
                .replace("\r\n ", "\r\n\t")
        };
        let tabs = ",\r\n\t\t{\r\n\t\t\t\"name\": \"a.b\",\r\n\t\t\t\"max\": [\r\n\t\t\t\t1\r\n\t\t\t]\r\n\t\t},\r\n\t\t{\r\n\t\t\t\"name\": \"a.c\"\r\n\t\t}";
        check(&windows(one), false, &[tabs]);
        let line = "{\"capabilities\":[{\"name\":\"x\"}],\"sources\":{\"s\":{}}}";
        check(
            line,
            true,
            &[
                ", {\"name\":\"a.b\",\"max\":[1]}, {\"name\":\"a.c\"}",
                ", \"other\": {\"engine\":\"sqlite\"}",
            ],
        );
    }

    #[test]
    fn rejects_text_without_place_for_a_capability() {
        for text in [
            "[]",
            "{}",
            "{\"capabilities\": []}",
            "{\"capabilities\": [1],}",
            "{\"capabilities\": [1]}",
        ] {
            let error = appended(text, &drafted(), true).unwrap_err();
            assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{text}");
        }
    }
}
