//! Rejects secret material before it is recorded, because the log cannot delete it.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{holds_connection_url, holds_secret, is_secret_like};
use synapsor_domain::error::PublicError;

/// Keys of our records whose values are column names; those are checked like keys.
const NAME_KEYS: [&str; 2] = ["column", "columns"];

/// Rejects canonical bytes that contain a secret-like key or column name, a connection URL, a token or a private
/// key. Scans the bytes in place, without building a value.
pub(crate) fn refuse(what: &'static str, bytes: &[u8]) -> Result<(), PublicError> {
    let mut found = None;
    let scan = SecretScanner {
        is_name: false,
        found: &mut found,
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let read = scan.deserialize(&mut json).and_then(|()| json.end());
    match (found, read) {
        (Some(why), _) => Err(rejected(what, why)),
        (None, Ok(())) => Ok(()),
        (None, Err(_)) => Err(PublicError::new(
            ErrorCode::Malformed,
            format!("{what}: is not JSON"),
        )),
    }
}

fn verification(text: &str) -> Option<&'static str> {
    (holds_connection_url(text) || holds_secret(text))
        .then_some("a value looks like a connection URL, a token or a private key")
}

/// Scan of one value and everything in it; stops at the first match.
struct SecretScanner<'f> {
    /// Whether a string here is the name of a column.
    is_name: bool,
    found: &'f mut Option<&'static str>,
}

impl SecretScanner<'_> {
    fn at<E: serde::de::Error>(self, why: Option<&'static str>) -> Result<(), E> {
        *self.found = why;
        match why {
            Some(why) => Err(E::custom(why)),
            None => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for SecretScanner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for SecretScanner<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        let why = if self.is_name && is_secret_like(text) {
            Some("a column name suggests that it holds secrets")
        } else {
            verification(text)
        };
        self.at(why)
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { is_name, found } = self;
        while items
            .next_element_seed(SecretScanner { is_name, found })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<Key>()? {
            if key.found.is_some() {
                return self.at(key.found);
            }
            entries.next_value_seed(SecretScanner {
                is_name: key.names_columns,
                found: self.found,
            })?;
        }
        Ok(())
    }
}

/// Result of checking one key.
struct Key {
    found: Option<&'static str>,
    names_columns: bool,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Reads;
        impl Visitor<'_> for Reads {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                let found = if is_secret_like(key) {
                    Some("a key suggests that it holds secrets")
                } else {
                    verification(key)
                };
                Ok(Key {
                    found,
                    names_columns: NAME_KEYS.contains(&key),
                })
            }
        }
        json.deserialize_str(Reads)
    }
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
        ] {
            assert_eq!(
                refuse("x", text.as_bytes()).unwrap_err().code,
                ErrorCode::SecretMaterialRejected,
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_mentions_secrets_is_recorded() {
        let text = r#"{"row":[{"column":"secretary","value":{"t":"text","v":"password reset by phone"}}],"tokens":1}"#;
        assert!(refuse("x", text.as_bytes()).is_ok());
        assert!(refuse("x", br#""the api_key column is not visible, fine""#).is_ok());
    }
}
