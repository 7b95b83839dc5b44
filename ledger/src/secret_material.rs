//! Refusal of secret material before it is recorded: a log that cannot forget must not learn it.

use serde_json::Value;
use synapsor_domain::contract::{holds_connection_url, holds_secret, is_secret_like};
use synapsor_domain::refusal::Refusal;

/// Keys under which our records keep names of columns, which are judged like keys.
const NAME_KEYS: [&str; 2] = ["column", "columns"];

/// Refuses canonical bytes that hold a secret-like key or column name, a connection URL, a token or a private key.
pub(crate) fn refuse(what: &'static str, bytes: &[u8]) -> Result<(), Refusal> {
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|_| Refusal::new("MALFORMED", format!("{what}: is not JSON")))?;
    walk(&json, false, what, 0)
}

/// The same for a text that a person wrote.
pub(crate) fn refuse_text(what: &'static str, text: &str) -> Result<(), Refusal> {
    if holds_connection_url(text) || holds_secret(text) {
        return Err(rejected(
            what,
            "a value looks like a connection URL, a token or a private key",
        ));
    }
    Ok(())
}

fn walk(json: &Value, is_name: bool, what: &'static str, depth: usize) -> Result<(), Refusal> {
    // Canonical bytes are 16 levels deep at most; serde_json itself stops at 128.
    debug_assert!(depth <= 128, "deeper than the parser allows");
    match json {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) if is_name && is_secret_like(text) => {
            Err(rejected(what, "a column name says that it holds secrets"))
        }
        Value::String(text) => refuse_text(what, text),
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| walk(item, is_name, what, depth + 1)),
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            if is_secret_like(key) {
                return Err(rejected(what, "a key says that it holds secrets"));
            }
            refuse_text(what, key)?;
            walk(value, NAME_KEYS.contains(&key.as_str()), what, depth + 1)
        }),
    }
}

fn rejected(what: &'static str, why: &str) -> Refusal {
    Refusal::new(
        "SECRET_MATERIAL_REJECTED",
        format!("{what}: {why}; remove it from the capability's visible columns or from the text"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_refused_as_keys_as_column_names_and_as_values() {
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
                "SECRET_MATERIAL_REJECTED",
                "{text}"
            );
        }
    }

    #[test]
    fn talk_about_secrets_is_recorded() {
        let text = r#"{"row":[{"column":"secretary","value":{"t":"text","v":"password reset by phone"}}],"tokens":1}"#;
        assert!(refuse("x", text.as_bytes()).is_ok());
        assert!(refuse_text("reason", "the api_key column is not visible, fine").is_ok());
    }
}
