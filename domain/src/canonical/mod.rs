//! Canonical JSON for signatures and digests: one byte form per value.
//!
//! The form: UTF-8, keys sorted by their bytes, no white space, integers within ±(2^53−1) as the only
//! numbers, depth at most 16. Values of a database are never numbers here; they are tagged text (`value`).

mod form;
mod reader;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use reader::StringObserver;

use crate::limits::{CANONICAL_BYTES_MAX, CANONICAL_DEPTH_MAX, INTEGER_MAX};

/// Reason why a value has no canonical form, or why bytes are not canonical.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    #[error("{0} bytes are more than the {1} that a signed object may have")]
    TooLarge(usize, usize),
    #[error("nested deeper than {CANONICAL_DEPTH_MAX} levels")]
    TooDeep,
    #[error("a number that is not an integer within ±(2^53-1)")]
    Number,
    #[error("not JSON")]
    NotJson,
    #[error("JSON, but not in canonical form (sorted keys, no duplicates, no white space)")]
    NotCanonical,
    #[error("not the expected object: {0}")]
    Shape(String),
}

/// Encodes `value` as canonical bytes, at most [`CANONICAL_BYTES_MAX`] of them.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    encode_within(value, CANONICAL_BYTES_MAX)
}

/// As [`encode`], with another bound: for carriers that wrap a whole canonical object in base64.
pub fn encode_within<T: Serialize>(value: &T, bytes_max: usize) -> Result<Vec<u8>, CanonicalError> {
    let shape = |e: serde_json::Error| CanonicalError::Shape(e.to_string());
    let mut out = serde_json::to_vec(value).map_err(shape)?;
    // Fast path: objects of the hot path declare their fields in canonical order and are complete here.
    if !form::is_canonical(&out) {
        let json = serde_json::to_value(value).map_err(shape)?;
        out.clear();
        write(&json, 0, &mut out)?;
    }
    if out.len() > bytes_max {
        return Err(CanonicalError::TooLarge(out.len(), bytes_max));
    }
    Ok(out)
}

/// Reads an object from exactly its canonical bytes.
///
/// Accepts only bytes that encode back to themselves, so that no two parsers can read them differently:
/// duplicate keys, exponents, `-0`, white space and unsorted keys are all refused.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    decode_within(bytes, CANONICAL_BYTES_MAX)
}

/// As [`decode`], with another bound.
pub fn decode_within<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, CanonicalError> {
    if bytes.len() > bytes_max {
        return Err(CanonicalError::TooLarge(bytes.len(), bytes_max));
    }
    if !form::is_canonical(bytes) {
        return Err(problem(bytes));
    }
    serde_json::from_slice(bytes).map_err(|e| CanonicalError::Shape(e.to_string()))
}

/// As [`decode`], in one pass over the bytes that also reports each string to `observer`. The object can borrow from the
/// bytes, so that only what is kept of it is copied. After an error the observer has seen a part of the strings.
pub fn decode_observed<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    observer: &mut impl StringObserver,
) -> Result<T, CanonicalError> {
    if bytes.len() > CANONICAL_BYTES_MAX {
        return Err(CanonicalError::TooLarge(bytes.len(), CANONICAL_BYTES_MAX));
    }
    reader::read(bytes, observer).map_err(|error| {
        if form::is_canonical(bytes) {
            CanonicalError::Shape(error.to_string())
        } else {
            problem(bytes)
        }
    })
}

/// Why bytes are not in the form.
fn problem(bytes: &[u8]) -> CanonicalError {
    let Ok(json) = serde_json::from_slice::<Json>(bytes) else {
        return CanonicalError::NotJson;
    };
    write(&json, 0, &mut Vec::new())
        .err()
        .unwrap_or(CanonicalError::NotCanonical)
}

fn write(json: &Json, depth: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    if depth > CANONICAL_DEPTH_MAX {
        return Err(CanonicalError::TooDeep);
    }
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(number) => {
            let integer = number.as_i64().filter(|n| n.unsigned_abs() <= INTEGER_MAX);
            out.extend_from_slice(integer.ok_or(CanonicalError::Number)?.to_string().as_bytes());
        }
        Json::String(text) => write_string(text, out)?,
        Json::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out)?;
                out.push(b':');
                write(item, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    // serde_json escapes exactly the quote, the backslash and the control characters, in one fixed spelling.
    serde_json::to_writer(out, text).map_err(|e| CanonicalError::Shape(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Result<Json, CanonicalError> {
        decode::<Json>(text.as_bytes())
    }

    #[test]
    fn canonical_bytes_decode_and_encode_unchanged() {
        let value = serde_json::json!({"b": [1, -5, null, true], "a": {"ü": "x\n\u{1}\"\\"}});
        let bytes = encode(&value).unwrap();
        assert_eq!(encode(&decode::<Json>(&bytes).unwrap()).unwrap(), bytes);
        assert!(bytes.starts_with(b"{\"a\""));
    }

    #[test]
    fn rejects_non_canonical_spelling() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":1,"a":1}"#,
            r#"{ "a":1}"#,
            r#"{"a":1e2}"#,
            r#"{"a":-0}"#,
            r#"{"a":1.0}"#,
            r#"{"a":9007199254740992}"#,
            r#"{"a":"\u0061"}"#,
            r#"{"$serde_json::private::Number":"1"}"#,
            "\u{feff}{}",
            r#"{"a":1} "#,
            r#"{"a":"\ud800"}"#,
        ] {
            assert!(form(text).is_err(), "{text}");
        }
        assert!(form(r#"{"a":9007199254740991}"#).is_ok());
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(form(&deep), Err(CanonicalError::TooDeep));
        let long = format!("\"{}\"", "x".repeat(CANONICAL_BYTES_MAX));
        assert!(matches!(form(&long), Err(CanonicalError::TooLarge(..))));
    }
}
