//! The file that lists the webhooks of a ledger: strict JSON. Paths in it are relative to its directory.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::error::Category;

use super::{SECRETS_MAX, WEBHOOKS_MAX, WebhookFormat};
use crate::event::EventKind;
use crate::trust::is_name;

pub(super) const TIMEOUT_MS: (u64, u64, u64) = (250, 5_000, 30_000);
pub(super) const ATTEMPTS: (u32, u32, u32) = (1, 24, 100);
pub(super) const FIRST_RETRY_MS: (u64, u64, u64) = (100, 2_000, 3_600_000);
pub(super) const LONGEST_RETRY_MS: (u64, u64, u64) = (100, 3_600_000, 86_400_000);

/// A URL that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct HiddenUrl(pub String);

impl fmt::Debug for HiddenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenUrl")
    }
}

/// Content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookFile {
    /// For editors; not read.
    #[serde(rename = "$schema", default)]
    _schema: Option<String>,
    version: u32,
    pub webhooks: Vec<WebhookEntry>,
}

/// One webhook of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookEntry {
    pub name: String,
    pub url: Option<HiddenUrl>,
    pub url_file: Option<PathBuf>,
    pub format: WebhookFormat,
    pub kinds: Option<Vec<EventKind>>,
    /// The current secret first. Each signs.
    #[serde(default)]
    pub secret_files: Vec<PathBuf>,
    pub bearer_token_file: Option<PathBuf>,
    timeout_ms: Option<u64>,
    attempts: Option<u32>,
    first_retry_ms: Option<u64>,
    longest_retry_ms: Option<u64>,
}

/// Reason why a file is invalid. It never repeats a value of the file except the name of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookFileError {
    #[error("{what} at line {line} column {column}")]
    Json {
        what: &'static str,
        line: usize,
        column: usize,
    },
    #[error("`version` must be 1")]
    Version,
    #[error("more than {WEBHOOKS_MAX} webhooks")]
    TooMany,
    #[error("`name` of webhook {0} must be 1 to 64 of a-z 0-9 - _ .")]
    Name(usize),
    #[error("two webhooks are named `{0}`")]
    Duplicate(String),
    #[error("webhook `{name}`: {problem}")]
    Entry { name: String, problem: String },
}

impl WebhookFile {
    /// Parses the file.
    ///
    /// # Errors
    /// Another form than the published schema.
    pub fn parse(bytes: &[u8]) -> Result<Self, WebhookFileError> {
        let file: Self = serde_json::from_slice(bytes).map_err(|error| WebhookFileError::Json {
            what: match error.classify() {
                Category::Data => "a member is unknown, missing, duplicated or of the wrong type",
                Category::Io | Category::Syntax | Category::Eof => "not JSON",
            },
            line: error.line(),
            column: error.column(),
        })?;
        if file.version != 1 {
            return Err(WebhookFileError::Version);
        }
        if file.webhooks.len() > WEBHOOKS_MAX {
            return Err(WebhookFileError::TooMany);
        }
        let mut names = BTreeSet::new();
        for (index, entry) in file.webhooks.iter().enumerate() {
            if !is_name(&entry.name) {
                return Err(WebhookFileError::Name(index + 1));
            }
            if !names.insert(&entry.name) {
                return Err(WebhookFileError::Duplicate(entry.name.clone()));
            }
            entry.check().map_err(|problem| WebhookFileError::Entry {
                name: entry.name.clone(),
                problem,
            })?;
        }
        Ok(file)
    }
}

impl WebhookEntry {
    fn check(&self) -> Result<(), String> {
        if self.url.is_some() == self.url_file.is_some() {
            return Err("set either `url` or `url_file`".to_owned());
        }
        let secrets = self.secret_files.len();
        if secrets > SECRETS_MAX {
            return Err(format!("more than {SECRETS_MAX} `secret_files`"));
        }
        if secrets == 0 && !self.format.is_chat() {
            return Err("`secret_files` must name at least one file".to_owned());
        }
        if self.kinds.as_ref().is_some_and(Vec::is_empty) {
            return Err("`kinds` must not be empty".to_owned());
        }
        let within = |name: &str, value: Option<u64>, (min, _, max): (u64, u64, u64)| {
            let is_within = value.is_none_or(|value| (min..=max).contains(&value));
            is_within
                .then_some(())
                .ok_or_else(|| format!("`{name}` must be {min} to {max}"))
        };
        let (attempts_min, default, attempts_max) = ATTEMPTS;
        within("timeout_ms", self.timeout_ms, TIMEOUT_MS)?;
        within(
            "attempts",
            self.attempts.map(u64::from),
            (attempts_min.into(), default.into(), attempts_max.into()),
        )?;
        within("first_retry_ms", self.first_retry_ms, FIRST_RETRY_MS)?;
        within("longest_retry_ms", self.longest_retry_ms, LONGEST_RETRY_MS)
    }

    /// Whether the webhook gets events of this kind.
    pub fn wants(&self, kind: EventKind) -> bool {
        match &self.kinds {
            Some(kinds) => kinds.contains(&kind),
            None => self.format.has_by_default(kind),
        }
    }

    /// Returns the deadline of one attempt.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.unwrap_or(TIMEOUT_MS.1))
    }

    /// Returns the number of attempts after which an event becomes a dead letter.
    pub fn attempts_max(&self) -> u32 {
        self.attempts.unwrap_or(ATTEMPTS.1)
    }

    /// Returns the bounds of the first and of every pause between attempts.
    pub fn retry_pauses(&self) -> (Duration, Duration) {
        let first = Duration::from_millis(self.first_retry_ms.unwrap_or(FIRST_RETRY_MS.1));
        let longest = Duration::from_millis(self.longest_retry_ms.unwrap_or(LONGEST_RETRY_MS.1));
        (first, longest.max(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(members: &str) -> Result<WebhookFile, WebhookFileError> {
        WebhookFile::parse(format!(r#"{{"version": 1, "webhooks": [{{{members}}}]}}"#).as_bytes())
    }

    #[test]
    fn accepts_each_format_with_defaults() {
        let file =
            entry(r#""name": "a", "url": "https://x/", "format": "cloudevents", "secret_files": ["s"]"#);
        let webhook = &file.unwrap().webhooks[0];
        assert_eq!(webhook.timeout(), Duration::from_secs(5));
        assert_eq!(webhook.attempts_max(), 24);
        assert!(webhook.wants(EventKind::ProposalCreated) && !webhook.wants(EventKind::ReadRecorded));
        let chat =
            entry(r#""name": "a", "url_file": "u", "format": "slack", "kinds": ["call_refused"]"#).unwrap();
        assert!(chat.webhooks[0].wants(EventKind::CallRefused));
        assert!(!chat.webhooks[0].wants(EventKind::ProposalCreated));
    }

    #[test]
    fn rejects_files_without_repeating_values() {
        let canary = "https://canary.example/T0/B0";
        for members in [
            r#""name": "a", "url": ["https://canary.example/T0/B0"], "format": "slack""#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "url_file": "f", "format": "slack""#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "v1""#,
            r#""name": "A b", "url": "https://canary.example/T0/B0", "format": "slack""#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "https://canary.example/T0/B0""#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "slack", "kinds": []"#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "slack", "kinds": ["no_such"]"#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "slack", "timeout_ms": 1"#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "slack", "name": "b""#,
            r#""name": "a", "url": "https://canary.example/T0/B0", "format": "slack", "method": "GET""#,
        ] {
            let error = entry(members).unwrap_err();
            assert!(!error.to_string().contains(canary), "{error}");
            assert!(!format!("{error:?}").contains(canary), "{error:?}");
        }
        let two = r#"{"version": 1, "webhooks": [{"name": "a", "url": "u", "format": "slack"},
            {"name": "a", "url": "u", "format": "slack"}]}"#;
        assert_eq!(
            WebhookFile::parse(two.as_bytes()).unwrap_err(),
            WebhookFileError::Duplicate("a".to_owned())
        );
        assert_eq!(
            WebhookFile::parse(br#"{"version": 2, "webhooks": []}"#).unwrap_err(),
            WebhookFileError::Version
        );
        let text = format!(
            "{:?}",
            entry(r#""name": "a", "url": "https://canary.example/T0/B0", "format": "slack""#)
        );
        assert!(!text.contains(canary), "{text}");
    }
}
