//! Hides what a contract file must not hold, so that the file can be shown before it is corrected.

use serde_json::{Map, Value as Json};

use super::forbidden::{holds_connection_url, holds_secret, key_code};
use super::names::{is_env_name, is_identifier, is_secret_like};

/// Replacement of a hidden value.
const HIDDEN: &str = "[redacted]";

/// Returns the file without connection URLs, tokens, private keys, and what keys that name a secret hold. Names of
/// environment variables and columns are shown.
pub fn without_secrets(file: &Json) -> Json {
    match file {
        Json::Object(members) => Json::Object(members.iter().map(member).collect::<Map<_, _>>()),
        Json::Array(items) => items.iter().map(without_secrets).collect(),
        Json::String(text) if is_hidden(text) => HIDDEN.into(),
        other => other.clone(),
    }
}

fn member((key, value): (&String, &Json)) -> (String, Json) {
    let shown = if is_hidden(key) { HIDDEN } else { key };
    let value = match value {
        // The name of a variable, if it is one.
        Json::String(text) if key.ends_with("_env") && is_env_name(text) => value.clone(),
        Json::String(text) if key_code(key).is_some() && !is_identifier(text) => HIDDEN.into(),
        // A column or an argument can have such a name; what it has are rules, not secrets.
        value if names_secret(key) && !has_rules(value) => hidden(value),
        value => without_secrets(value),
    };
    (shown.to_owned(), value)
}

/// Whether a key names a secret, also in camel case and in the plural.
fn names_secret(key: &str) -> bool {
    let mut words = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() && !words.ends_with('_') {
            words.push('_');
        }
        words.push(c.to_ascii_lowercase());
    }
    is_secret_like(key) || is_secret_like(&words) || is_secret_like(words.trim_end_matches('s'))
}

/// Whether a value is a binding or a rule of the contract.
fn has_rules(value: &Json) -> bool {
    const RULES: [&str; 8] = [
        "fixed", "from_arg", "type", "allowed", "minimum", "maximum", "engine", "provider",
    ];
    let members = value.as_object().into_iter().flatten();
    members
        .map(|(key, _)| key.as_str())
        .any(|key| RULES.contains(&key))
}

/// Hides every text below a value.
fn hidden(value: &Json) -> Json {
    match value {
        Json::String(_) => HIDDEN.into(),
        Json::Array(items) => items.iter().map(hidden).collect(),
        Json::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), hidden(value)))
            .collect(),
        other => other.clone(),
    }
}

fn is_hidden(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_dsn = ["password=", "pwd="].iter().any(|part| lower.contains(part));
    is_dsn || holds_connection_url(text) || holds_secret(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_and_names_are_shown() {
        let file = json!({
            "sources": {"a": {
                "read_url_env": "DATABASE_URL", "password": "hunter2", "url": "db.internal:5432",
                "note": "see postgres://app:hunter2@db/x", "dsn": "host=db password=hunter2",
            }},
            "executors": {"h": {
                "token_env": "H_TOKEN", "signing_secret_env": "sk-live-hunter2", "dbPassword": "hunter2",
                "apiTokens": ["hunter2"], "secret": {"value": "hunter2"},
            }},
            "values": {"token_lifetime_seconds": 3600},
            "capabilities": [{
                "target": {"primary_key": "id"}, "patch": {"token": {"fixed": "new"}},
                "lookup": {"key_from_args": {"url": "invoice_url"}}, "max_chars": {"url": 200},
                "description": "Bearer abcdefghijklmnop0123",
            }],
            "mysql://u:p@h/d": true,
        });
        let shown = without_secrets(&file);
        let text = shown.to_string();
        for secret in ["hunter2", "db.internal", "abcdefghijklmnop", "u:p@h"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        for (pointer, value) in [
            ("/sources/a/read_url_env", json!("DATABASE_URL")),
            ("/executors/h/token_env", json!("H_TOKEN")),
            ("/values/token_lifetime_seconds", json!(3600)),
            ("/capabilities/0/target/primary_key", json!("id")),
            ("/capabilities/0/patch/token/fixed", json!("new")),
            ("/capabilities/0/lookup/key_from_args/url", json!("invoice_url")),
            ("/capabilities/0/max_chars/url", json!(200)),
        ] {
            assert_eq!(shown.pointer(pointer), Some(&value), "{pointer}");
        }
    }
}
