//! Rejects secret material before it is recorded, because the log cannot delete it.

use serde::de::IgnoredAny;
use synapsor_codes::ErrorCode;
use synapsor_domain::canonical::{self, StringObserver};
use synapsor_domain::contract::{holds_connection_url, holds_secret, is_secret_like};
use synapsor_domain::error::PublicError;

/// Keys of our records whose values are column names; those are checked like keys.
const NAME_KEYS: [&str; 2] = ["column", "columns"];

/// Rejects canonical bytes that contain a secret-like key or column name, a connection URL, a token or a private
/// key. Scans the bytes in place, without building a value.
pub(crate) fn refuse(what: &'static str, bytes: &[u8]) -> Result<(), PublicError> {
    let mut search = SecretSearch::default();
    canonical::decode_observed::<IgnoredAny>(bytes, &mut search)
        .map_err(|error| PublicError::new(ErrorCode::Malformed, format!("{what}: {error}")))?;
    search.refuse(what)
}

/// Searches the strings of a record while it is decoded.
#[derive(Debug, Default)]
pub(crate) struct SecretSearch {
    /// Reason of the first match.
    found: Option<&'static str>,
}

impl SecretSearch {
    /// Rejects the record if one of its strings matched.
    pub(crate) fn refuse(&self, what: &'static str) -> Result<(), PublicError> {
        self.found.map_or(Ok(()), |why| Err(rejected(what, why)))
    }
}

impl StringObserver for SecretSearch {
    fn key(&mut self, key: &str) {
        let found = || {
            if is_secret_like(key) {
                Some("a key suggests that it holds secrets")
            } else {
                in_text(key)
            }
        };
        self.found = self.found.or_else(found);
    }

    fn value(&mut self, key: Option<&str>, text: &str) {
        let found = || {
            let is_name = key.is_some_and(|key| NAME_KEYS.contains(&key));
            if is_name && is_secret_like(text) {
                Some("a column name suggests that it holds secrets")
            } else {
                in_text(text)
            }
        };
        self.found = self.found.or_else(found);
    }
}

fn in_text(text: &str) -> Option<&'static str> {
    (holds_connection_url(text) || holds_secret(text))
        .then_some("a value looks like a connection URL, a token or a private key")
}

fn rejected(what: &'static str, why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::SecretMaterialRejected,
        format!("{what}: {why}; remove it from the capability's visible columns or from the text"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_secrets_in_keys_column_names_and_values() {
        for text in [
            r#"{"row":[{"column":"user_password","value":{"t":"text","v":"x"}}]}"#,
            r#"{"columns":["id","api_key"]}"#,
            r#"{"args":{"access-key":{"t":"text","v":"x"}}}"#,
            r#"{"row":[{"column":"note","value":{"t":"text","v":"see postgres://u:p@h/db"}}]}"#,
            r#"{"a":["-----BEGIN PRIVATE KEY-----"]}"#,
            r#"{"a":"Bearer abcdefghijklmnop1234"}"#,
            r#"{"a":"syn_wbr_1"}"#,
            // Lists inside a list of names, values and keys at any depth, and the first string of all.
            r#"{"columns":[["id",["api_key"]]]}"#,
            r#"{"column":{"a":[{"x-token":1}]}}"#,
            r#"{"a":{"mysql://h/":null}}"#,
            r#"{"a":[1,[true,{"b":"syn_wbr_1"}]]}"#,
            r#""syn_wbr_1""#,
            // With characters that need an escape around and within.
            r#"{"a":"\"syn_wbr_1\\"}"#,
            r#"{"a":"x\npostgres://u:p@h/db"}"#,
            r#"{"a":"bearer \tabcdefghijklmnop"}"#,
            r#"{"columns":["id\n","api_key"]}"#,
        ] {
            assert_eq!(
                refuse("x", text.as_bytes()).unwrap_err().code,
                ErrorCode::SecretMaterialRejected,
                "{text}"
            );
        }
    }

    #[test]
    fn first_match_is_the_reported_one() {
        let reason = |text: &str| refuse("x", text.as_bytes()).unwrap_err().public;
        assert!(reason(r#"{"a":"syn_wbr_1","api_key":1}"#).contains("a value looks like"));
        assert!(reason(r#"{"api_key":"syn_wbr_1"}"#).contains("a key suggests"));
        assert!(reason(r#"{"column":"api_key","v":"syn_wbr_1"}"#).contains("a column name suggests"));
    }

    #[test]
    fn other_bytes_than_canonical_ones_are_malformed() {
        for text in ["", "{", "{} ", "{\"b\":1,\"a\":1}", "[1.0]"] {
            let refused = refuse("x", text.as_bytes()).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Malformed, "{text}");
        }
    }

    #[test]
    fn text_that_mentions_secrets_is_recorded() {
        let text = r#"{"row":[{"column":"secretary","value":{"t":"text","v":"password reset by phone"}}],"tokens":1}"#;
        assert!(refuse("x", text.as_bytes()).is_ok());
        assert!(refuse("x", br#""the api_key column is not visible, fine""#).is_ok());
        // A name inside an object that is the value of `column` is not a column name.
        assert!(refuse("x", br#"{"column":{"a":"api_key"}}"#).is_ok());
    }
}
