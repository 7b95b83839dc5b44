//! Searches the configuration files of MCP clients for secrets: a model's host reads them, and often shows them.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{holds_connection_url, holds_secret, is_env_name, is_secret_like};

use super::check::{CheckLevel, DoctorCheck};
use crate::Context;
use crate::commands::client_config;

/// Maximum size of a client file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

pub(super) fn checks(given: Option<&Path>, context: &Context) -> Result<Vec<DoctorCheck>, ExitError> {
    let mut paths: Vec<PathBuf> = client_config::known_files(context)?;
    paths.extend(given.map(Path::to_owned));
    let mut checks = Vec::new();
    for path in paths {
        let is_given = given == Some(path.as_path());
        let name = format!("client-file:{}", path.display());
        let bytes = match files::read_bounded(&path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(_) if !is_given => continue,
            Err(error) => {
                checks.push(DoctorCheck::of_error(name, &error.into()));
                continue;
            }
        };
        checks.push(match secret_in(&bytes) {
            Some(place) => DoctorCheck::finding(
                name,
                (CheckLevel::Fail, ErrorCode::SecretInClientFile),
                format!("{place} holds a database URL, a token or a password"),
                "the client passes it to its model's host and shows it",
                Some(
                    "remove it, change the credential, and start the server with --env-file or variables of its own"
                        .to_owned(),
                ),
            ),
            None => DoctorCheck::pass(name, "no secret found"),
        });
    }
    Ok(checks)
}

/// Returns the place of the first secret, never the secret.
fn secret_in(bytes: &[u8]) -> Option<String> {
    if let Ok(file) = serde_json::from_slice::<Json>(bytes) {
        return secret_below(&file, "$");
    }
    let text = String::from_utf8_lossy(bytes);
    let line = text
        .lines()
        .position(|line| holds_connection_url(line) || holds_secret(line));
    line.map(|at| format!("line {}", at + 1))
}

fn secret_below(value: &Json, place: &str) -> Option<String> {
    match value {
        Json::String(text) => (holds_connection_url(text) || holds_secret(text)).then(|| place.to_owned()),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| secret_below(item, &format!("{place}[{at}]"))),
        Json::Object(members) => members.iter().find_map(|(key, value)| {
            let below = format!("{place}.{key}");
            let literal = value
                .as_str()
                .filter(|text| !text.is_empty() && !text.contains("${"));
            let is_secret = literal.is_some_and(|text| is_secret_like(key) && !is_env_name(text));
            if is_secret {
                Some(below)
            } else {
                secret_below(value, &below)
            }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_place() {
        for (file, place) in [
            (r#"{"env": {"URL": "postgres:\/\/u:pw@h\/d"}}"#, Some("$.env.URL")),
            (
                r#"{"env": {"DB_PASSWORD": "hunter2"}}"#,
                Some("$.env.DB_PASSWORD"),
            ),
            (
                r#"{"args": ["--token", "Bearer abcdefghijklmnop0123"]}"#,
                Some("$.args[1]"),
            ),
            ("url = \"mysql://u:pw@h/d\"", Some("line 1")),
            (
                r#"{"env": {"TOKEN": "${MY_TOKEN}", "token_env": "MY_TOKEN"}}"#,
                None,
            ),
        ] {
            assert_eq!(secret_in(file.as_bytes()).as_deref(), place, "{file}");
        }
    }
}
