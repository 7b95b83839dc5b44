//! Strict JSON reader for files and requests: keeps key order and the text of numbers, rejects duplicate keys.
//! Signed bytes are not read here; they have the stricter canonical form.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// JSON value. Numbers keep their original text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonNode {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<JsonNode>),
    Map(Vec<(String, JsonNode)>),
}

impl JsonNode {
    /// Returns the English name of the value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            JsonNode::Null => "null",
            JsonNode::Bool(_) => "a boolean",
            JsonNode::Number(_) => "a number",
            JsonNode::Text(_) => "a string",
            JsonNode::List(_) => "a list",
            JsonNode::Map(_) => "an object",
        }
    }
}

/// Error for unacceptable JSON, with its position. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at line {line} column {column}")]
pub struct JsonError {
    pub line: usize,
    pub column: usize,
    pub reason: String,
}

/// Reads one JSON document with at most `depth_max` nested lists and objects.
///
/// # Errors
/// Invalid UTF-8, a syntax error, a duplicate key in an object, or nesting that is too deep.
pub fn read(bytes: &[u8], depth_max: usize) -> Result<JsonNode, JsonError> {
    let whole = std::str::from_utf8(bytes).map_err(|error| {
        let (line, column) = position(bytes, error.valid_up_to());
        JsonError {
            line,
            column,
            reason: "invalid UTF-8".to_owned(),
        }
    })?;
    let document = Document { whole };
    let raw: &RawValue = serde_json::from_str(whole).map_err(|error| document.syntax(whole, &error))?;
    document.node(raw.get(), depth_max)
}

struct Document<'a> {
    whole: &'a str,
}

impl Document<'_> {
    fn node(&self, raw: &str, depth_left: usize) -> Result<JsonNode, JsonError> {
        let first = raw.as_bytes().first().copied().unwrap_or(b' ');
        match first {
            b'{' | b'[' if depth_left == 0 => Err(self.at(raw, "nesting is too deep".to_owned())),
            b'{' => {
                let Entries(entries) = self.part(raw)?;
                let mut seen = std::collections::HashSet::with_capacity(entries.len());
                let mut map = Vec::with_capacity(entries.len());
                for (key, value) in &entries {
                    if !seen.insert(key.as_str()) {
                        return Err(self.at(value.get(), format!("duplicate key {key:?}")));
                    }
                    map.push((key.clone(), self.node(value.get(), depth_left - 1)?));
                }
                Ok(JsonNode::Map(map))
            }
            b'[' => {
                let items: Vec<&RawValue> = self.part(raw)?;
                let nodes = items.iter().map(|item| self.node(item.get(), depth_left - 1));
                nodes.collect::<Result<_, _>>().map(JsonNode::List)
            }
            b'"' => self.part(raw).map(JsonNode::Text),
            b't' | b'f' => self.part(raw).map(JsonNode::Bool),
            b'n' => Ok(JsonNode::Null),
            _ => Ok(JsonNode::Number(raw.to_owned())),
        }
    }

    fn part<'r, T: Deserialize<'r>>(&self, raw: &'r str) -> Result<T, JsonError> {
        serde_json::from_str(raw).map_err(|error| self.syntax(raw, &error))
    }

    /// Converts a syntax error inside `raw` to a position in the whole document.
    fn syntax(&self, raw: &str, error: &serde_json::Error) -> JsonError {
        let text = error.to_string();
        let reason = text
            .split(" at line ")
            .next()
            .unwrap_or("syntax error")
            .to_owned();
        let (first_line, first_column) = self.position(raw);
        let line = first_line + error.line().max(1) - 1;
        let column = if error.line() <= 1 {
            first_column + error.column().max(1) - 1
        } else {
            error.column()
        };
        JsonError {
            line,
            column: column.max(1),
            reason,
        }
    }

    fn at(&self, raw: &str, reason: String) -> JsonError {
        let (line, column) = self.position(raw);
        JsonError { line, column, reason }
    }

    /// Every part borrows from the document, so the distance between the addresses is its offset.
    fn position(&self, raw: &str) -> (usize, usize) {
        let offset = (raw.as_ptr() as usize).saturating_sub(self.whole.as_ptr() as usize);
        position(self.whole.as_bytes(), offset)
    }
}

fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

/// Members of one object in order, duplicates included, values not yet parsed.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = access.next_key::<String>()? {
                    entries.push((key, access.next_value::<&'de RawValue>()?));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_duplicate_keys_with_position() {
        let error = read(b"{\n  \"a\": {\"b\": 1,\n    \"b\": 2}}", 8).unwrap_err();
        assert_eq!((error.line, error.column), (3, 10));
        assert!(error.reason.contains("\"b\""), "{}", error.reason);
        let escaped = read(br#"{"a":1,"\u0061":2}"#, 8);
        assert!(
            escaped.is_err(),
            "an escaped spelling of the same key is the same key"
        );
    }

    #[test]
    fn json_numbers_keep_their_text() {
        let node = read(br#"{"n": 1e400, "m": -0.10}"#, 8).unwrap();
        let expected = vec![
            ("n".to_owned(), JsonNode::Number("1e400".to_owned())),
            ("m".to_owned(), JsonNode::Number("-0.10".to_owned())),
        ];
        assert_eq!(node, JsonNode::Map(expected));
    }

    #[test]
    fn private_number_key_of_parser_is_ordinary_key() {
        let node = read(br#"{"$serde_json::private::Number": "7"}"#, 8).unwrap();
        assert!(matches!(node, JsonNode::Map(entries) if entries.len() == 1));
    }

    #[test]
    fn syntax_errors_and_deep_nesting_have_a_position() {
        let error = read(b"{\n  \"a\": 1,\n}", 8).unwrap_err();
        assert_eq!(error.line, 3, "{error}");
        let error = read(b"{\"a\":\n [\"\\ud800\"]}", 8).unwrap_err();
        assert_eq!(error.line, 2, "{error}");
        assert!(read(b"[[[[1]]]]", 3).is_err());
        assert!(read(b"[[[1]]]", 3).is_ok());
        assert!(read(b"{\"a\": \"\xff\"}", 3).is_err());
        assert!(read(b"", 3).is_err());
        assert!(read(b"1 2", 3).is_err());
    }
}
