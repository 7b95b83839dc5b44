//! Detects forbidden content anywhere in the file: connection URLs, secrets, SQL. Keys and values are scanned at
//! any depth, even if unknown keys are allowed.

use super::object::member;
use super::report::ValidationReport;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

const URL_KEYS: &[&str] = &[
    "url",
    "database_url",
    "databaseUrl",
    "read_url",
    "readUrl",
    "write_url",
    "writeUrl",
    "connection_string",
    "connectionString",
];
const SQL_KEYS: &[&str] = &["sql", "raw_sql", "rawSql", "statement", "query_sql", "querySql"];

const DATABASE_SCHEMES: &[&str] = &[
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "sqlite",
    "mssql",
    "sqlserver",
    "oracle",
    "mongodb",
    "mongodb+srv",
    "redis",
    "rediss",
    "clickhouse",
    "cockroachdb",
];

/// The code that forbids this key, if one does.
pub(super) fn key_code(key: &str) -> Option<ErrorCode> {
    if URL_KEYS.contains(&key) {
        Some(ErrorCode::InlineDatabaseUrlForbidden)
    } else if SQL_KEYS.contains(&key) {
        Some(ErrorCode::ArbitrarySqlForbidden)
    } else {
        None
    }
}

/// Scans the whole file.
pub(super) fn scan(root: &JsonNode, report: &mut ValidationReport) {
    Scan {
        report,
        trail: Vec::new(),
    }
    .node(root, "$");
}

struct Scan<'a> {
    report: &'a mut ValidationReport,
    /// Keys from the root; list positions are left out.
    trail: Vec<String>,
}

impl Scan<'_> {
    fn node(&mut self, node: &JsonNode, path: &str) {
        match node {
            JsonNode::Map(entries) => {
                let keys_are_names = self.keys_are_names();
                for (key, value) in entries {
                    // A key with a secret in it is reported at its parent, so that the path does not repeat it.
                    self.value(key, path);
                    let path = member(path, key);
                    if !keys_are_names {
                        self.key(key, &path);
                    }
                    self.trail.push(key.clone());
                    self.node(value, &path);
                    self.trail.pop();
                }
            }
            JsonNode::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(item, &format!("{path}[{index}]"));
                }
            }
            JsonNode::Text(text) => self.value(text, path),
            JsonNode::Null | JsonNode::Bool(_) | JsonNode::Number(_) => {}
        }
    }

    /// True inside maps whose keys are user-defined names: an argument may be named `url`.
    fn keys_are_names(&self) -> bool {
        let trail: Vec<&str> = self.trail.iter().map(String::as_str).collect();
        matches!(
            trail.as_slice(),
            ["sources" | "contexts" | "executors"]
                | [
                    "capabilities",
                    "args" | "patch" | "numeric_bounds" | "transition_guards"
                ]
                | ["capabilities", "transition_guards", _, "allowed"]
        )
    }

    fn key(&mut self, key: &str, path: &str) {
        let message = match key_code(key) {
            Some(ErrorCode::ArbitrarySqlForbidden) => {
                "Remove this key: a contract never holds SQL; describe target, columns and arguments instead."
            }
            Some(_) => {
                "Remove this key: name the environment variable that holds the URL, in `read_url_env`, \
                 `write_url_env` or `url_env`."
            }
            None => return,
        };
        if let Some(code) = key_code(key) {
            self.report.error(path, code, message);
        }
    }

    fn value(&mut self, text: &str, path: &str) {
        if holds_connection_url(text) {
            let message = "Remove the connection URL and change its password, which has now been in a file; \
                           name the environment variable that holds it.";
            self.report
                .error(path, ErrorCode::InlineDatabaseUrlForbidden, message);
        } else if holds_secret(text) {
            let message = "Remove the secret and replace it where it came from; name the environment variable \
                           that holds it.";
            self.report.error(path, ErrorCode::InlineSecretForbidden, message);
        }
    }
}

/// True if the string contains a database URL, or a URL with a user name or a password.
pub fn holds_connection_url(text: &str) -> bool {
    connection_url_at(text).is_some()
}

/// Returns the start of the first such URL.
pub(super) fn connection_url_at(text: &str) -> Option<usize> {
    // Most texts have no colon, and those of digests and times no slash. These searches are faster than that for positions.
    if !text.as_bytes().contains(&b':') || !text.contains("://") {
        return None;
    }
    text.match_indices("://").find_map(|(at, _)| {
        let scheme_start = text[..at]
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-')))
            .map_or(0, |before| {
                before + text[before..].chars().next().map_or(1, char::len_utf8)
            });
        let scheme = text[scheme_start..at].to_ascii_lowercase();
        let rest = &text[at + 3..];
        let authority_end = rest.find(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace());
        let authority = &rest[..authority_end.unwrap_or(rest.len())];
        let is_one =
            DATABASE_SCHEMES.contains(&scheme.as_str()) || (!scheme.is_empty() && authority.contains('@'));
        is_one.then_some(scheme_start)
    })
}

/// True if the string contains a bearer token, a runner token or a private key.
pub fn holds_secret(text: &str) -> bool {
    const TOKEN_CHARS_MIN: usize = 16;
    const RUNNER_TOKEN: &[u8] = b"syn_wbr_";
    const BEARER: &[u8] = b"bearer ";
    let is_token_char =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'+' | b'/' | b'-' | b'=');
    let bytes = text.as_bytes();
    // Each has a space or an underscore, which most digests, names and numbers have not.
    if bytes.len() < RUNNER_TOKEN.len() || !(bytes.contains(&b' ') || bytes.contains(&b'_')) {
        return false;
    }
    // Each prefix begins with a different letter, so that one byte comparison excludes nearly every position.
    (0..bytes.len()).any(|at| {
        let rest = &bytes[at..];
        match rest[0] {
            b'b' | b'B' => {
                begins_with(rest, BEARER) && {
                    let token = text[at + BEARER.len()..].trim_start().as_bytes();
                    token.iter().take_while(|b| is_token_char(b)).count() >= TOKEN_CHARS_MIN
                }
            }
            b's' | b'S' => begins_with(rest, RUNNER_TOKEN),
            b'-' => begins_with(rest, b"-----begin ") && text.to_ascii_lowercase().contains("private key"),
            _ => false,
        }
    })
}

/// Whether the text begins with `wanted`, which is lower-case, ignoring case.
fn begins_with(text: &[u8], wanted: &[u8]) -> bool {
    text.get(..wanted.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_connection_urls_inside_any_text() {
        for text in [
            "postgres://u:p@h/db",
            "see PostgreSQL://h/db",
            "https://user:pw@example.org/x",
            "(mysql://h)",
            "sqlite:///var/a.db",
            "é mongodb+srv://h",
        ] {
            assert!(holds_connection_url(text), "{text}");
        }
        for text in [
            "https://example.org/a@b",
            "read https://example.org",
            "://",
            "a@b",
            "http://h?x=a@b",
        ] {
            assert!(!holds_connection_url(text), "{text}");
        }
    }

    #[test]
    fn finds_secrets_but_not_mentions_of_secrets() {
        assert!(holds_secret("Authorization: Bearer abcdefghijklmnop1234"));
        assert!(holds_secret("-----BEGIN EC PRIVATE KEY-----\nMHc"));
        assert!(holds_secret("syn_wbr_0123"));
        assert!(holds_secret("syn_wbr_") && holds_secret("xSYN_WBR_"));
        assert!(holds_secret("-----begin private key"));
        assert!(!holds_secret("the bearer token of the caller"));
        assert!(!holds_secret("bearer:abcdefghijklmnop1234") && !holds_secret("syn_wbr"));
    }
}
