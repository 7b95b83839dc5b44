//! Redacts secrets and control characters from log lines and messages. It prefers to redact too much. It is a
//! safety net and does not permit logging secrets.

use crate::invisible::is_invisible;

const HIDDEN: &str = "[redacted]";

/// Keys after which `=` or `:` introduces a secret.
const SECRET_KEYS: [&str; 8] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "authorization",
];
/// Words that may follow "bearer" in prose.
const PROSE_AFTER_BEARER: [&str; 5] = ["token", "tokens", "scheme", "authentication", "auth"];
/// Prefix of the product's own access tokens.
const TOKEN_PREFIX: &str = "syn_wbr_";
/// User and password in an example of a URL.
const PLACEHOLDER: &str = "USER:PASSWORD";
const KEY_BEGIN: &str = "-----BEGIN ";
const KEY_END: &str = "-----END ";

/// Returns `text` as one line. Redacts credentials in URLs, bearer tokens, passwords in `key=value` form, own
/// access tokens and PEM private keys; writes control characters as `\u00XX`. Valid JSON stays valid JSON.
pub fn redact(text: &str) -> String {
    let text = hide_private_keys(text);
    let text = hide_url_credentials(&text);
    let text = hide_keyed_values(&text);
    let text = hide_after_bearer(&text);
    escape_controls(&hide_own_tokens(&text))
}

/// Removes from `text` the URLs that these arguments contain, each from its scheme to the end of its argument. A
/// URL passed in the wrong argument may contain a password in any part.
pub fn hide_urls_of<'a>(text: &str, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let mut urls: Vec<&str> = arguments.into_iter().filter_map(url_in).collect();
    // Longer URLs first: a shorter one may be a part of them.
    urls.sort_unstable_by_key(|url| std::cmp::Reverse(url.len()));
    urls.into_iter()
        .fold(text.to_owned(), |text, url| text.replace(url, "[URL]"))
}

fn url_in(argument: &str) -> Option<&str> {
    let at = argument.find("://")?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let before = argument[..at].trim_end_matches(is_scheme).len();
    Some(&argument[before..])
}

/// Whether a character ends a value in prose, in quotes or in JSON.
fn ends_token(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '\\' | '<' | '>' | ',' | ';' | ')' | '}' | ']'
        )
}

fn hide_private_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(KEY_BEGIN) {
        let (before, block) = rest.split_at(at);
        out.push_str(before);
        let label = &block[KEY_BEGIN.len()..];
        let is_private = label
            .find("-----")
            .is_some_and(|end| label[..end].ends_with("PRIVATE KEY"));
        if !is_private {
            out.push_str(KEY_BEGIN);
            rest = label;
            continue;
        }
        out.push_str(HIDDEN);
        // A truncated block hides everything up to the closing quote or the end.
        rest = match block.find(KEY_END) {
            Some(end) => {
                let tail = &block[end + KEY_END.len()..];
                tail.find("-----").map_or("", |dashes| &tail[dashes + 5..])
            }
            None => block.find('"').map_or("", |quote| &block[quote..]),
        };
    }
    out.push_str(rest);
    out
}

fn hide_url_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        // Passwords are often not percent-encoded, so everything up to the last `@` may belong to one.
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '`' | '<' | '>'))
            .unwrap_or(after.len());
        match after[..end].rfind('@') {
            // The form of a URL in a message of this program.
            Some(last) if &after[..last] == PLACEHOLDER => rest = after,
            Some(last) => {
                out.push_str(HIDDEN);
                rest = &after[last..];
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

fn hide_keyed_values(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(value_at) = next_keyed_value(&lower, from) {
        out.push_str(&text[from..value_at]);
        let value = &text[value_at..];
        let is_header = lower[..value_at]
            .trim_end_matches([' ', '"', '\\', ':', '='])
            .ends_with("authorization");
        let end = value
            .find(|c: char| {
                if is_header {
                    matches!(c, '"' | '\\')
                } else {
                    ends_token(c) || c == '&'
                }
            })
            .unwrap_or(value.len());
        if end > 0 {
            out.push_str(HIDDEN);
        }
        from = value_at + end;
    }
    out.push_str(&text[from..]);
    out
}

/// Returns the position of the next secret value, at or after `from`.
fn next_keyed_value(lower: &str, from: usize) -> Option<usize> {
    let mut earliest: Option<usize> = None;
    for key in SECRET_KEYS {
        let mut search = from;
        while let Some(at) = lower[search..].find(key) {
            let after_key = search + at + key.len();
            search = after_key;
            if let Some(value) = value_after(lower, after_key) {
                earliest = Some(earliest.map_or(value, |known| known.min(value)));
                break;
            }
        }
    }
    earliest
}

/// Skips a closing quote, `=` or `:`, spaces and an opening quote; `None` if there is no `=` or `:`.
fn value_after(lower: &str, after_key: usize) -> Option<usize> {
    let rest = lower[after_key..].trim_start_matches(['\\', '"', '\'']);
    let rest = rest.trim_start_matches(' ');
    let value = rest.strip_prefix(['=', ':'])?;
    if value.starts_with("//") || value.starts_with(':') {
        return None;
    }
    let value = value
        .trim_start_matches(' ')
        .trim_start_matches(['\\', '"', '\'']);
    Some(lower.len() - value.len())
}

fn hide_after_bearer(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(at) = lower[from..].find("bearer ") {
        let blank = from + at + "bearer".len();
        let value_at = blank + (lower[blank..].len() - lower[blank..].trim_start_matches(' ').len());
        out.push_str(&text[from..value_at]);
        let value = &text[value_at..];
        let end = value.find(ends_token).unwrap_or(value.len());
        let word = value[..end].trim_end_matches(['.', ':', '!', '?']);
        if PROSE_AFTER_BEARER.contains(&word.to_ascii_lowercase().as_str()) || end == 0 {
            out.push_str(&value[..end]);
        } else {
            out.push_str(HIDDEN);
        }
        from = value_at + end;
    }
    out.push_str(&text[from..]);
    out
}

fn hide_own_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(TOKEN_PREFIX) {
        out.push_str(&rest[..at]);
        out.push_str(HIDDEN);
        let tail = &rest[at + TOKEN_PREFIX.len()..];
        let end = tail
            .find(|c: char| {
                !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '+' | '/' | '='))
            })
            .unwrap_or(tail.len());
        rest = &tail[end..];
    }
    out.push_str(rest);
    out
}

fn escape_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Invisible characters can make a line look like another one.
        if is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn credentials_in_urls_are_hidden() {
        for (dirty, clean) in [
            (
                "connect postgres://app:hunter2@db:5432/x failed",
                "connect postgres://[redacted]@db:5432/x failed",
            ),
            ("mysql://u:p@ss/w?rd@h/d", "mysql://[redacted]@h/d"),
            (
                r#"{"url":"postgres://a:b@h/d"}"#,
                r#"{"url":"postgres://[redacted]@h/d"}"#,
            ),
            ("a://u:p@h and b://v:q@i", "a://[redacted]@h and b://[redacted]@i"),
            (
                "export URL='postgres://USER:PASSWORD@h/d', not postgres://u:p@h/d",
                "export URL='postgres://USER:PASSWORD@h/d', not postgres://[redacted]@h/d",
            ),
            ("a://USER:PASSWORD:p@h", "a://[redacted]@h"),
            ("https://example.test/path", "https://example.test/path"),
            ("spiffe://d/reader/a", "spiffe://d/reader/a"),
        ] {
            assert_eq!(redact(dirty), clean);
        }
    }

    #[test]
    fn bearer_tokens_and_authorization_headers_are_hidden() {
        assert_eq!(
            redact("sent Bearer abc.def-1 to x"),
            "sent Bearer [redacted] to x"
        );
        assert_eq!(redact("BEARER  short"), "BEARER  [redacted]");
        assert_eq!(
            redact("Authorization: Basic dXNlcjpwYXNz"),
            "Authorization: [redacted]"
        );
        assert_eq!(
            redact("the bearer token is missing"),
            "the bearer token is missing"
        );
        assert_eq!(redact("got syn_wbr_a1B2-c3, twice"), "got [redacted], twice");
    }

    #[test]
    fn keyed_secrets_are_hidden_in_prose_json_and_query_form() {
        assert_eq!(
            redact("host=db password=hunter2 user=a"),
            "host=db password=[redacted] user=a"
        );
        assert_eq!(
            redact(r#"{"api_key": "k1", "n": 1}"#),
            r#"{"api_key": "[redacted]", "n": 1}"#
        );
        assert_eq!(redact("x?token=abc&y=1"), "x?token=[redacted]&y=1");
        assert_eq!(
            redact("error[TOKEN_EXPIRED]: too old"),
            "error[TOKEN_EXPIRED]: too old"
        );
        assert_eq!(redact("auth::token::check"), "auth::token::check");
    }

    #[test]
    fn private_keys_are_hidden_and_public_certificates_are_not() {
        let key = "a -----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY----- b";
        assert_eq!(redact(key), "a [redacted] b");
        assert_eq!(
            redact("-----BEGIN ENCRYPTED PRIVATE KEY-----\\nMC4C"),
            "[redacted]"
        );
        assert_eq!(
            redact(r#"{"k":"-----BEGIN EC PRIVATE KEY-----\nMC","n":1}"#),
            r#"{"k":"[redacted]","n":1}"#
        );
        assert!(redact("-----BEGIN CERTIFICATE-----MIIB").contains("MIIB"));
    }

    #[test]
    fn control_and_direction_characters_are_escaped() {
        assert_eq!(
            redact("a\u{1b}[31mb\nc\u{202e}d\u{9b}"),
            "a\\u001b[31mb\\u000ac\\u202ed\\u009b"
        );
    }

    #[test]
    fn text_in_any_language_is_unchanged() {
        assert_eq!(
            redact("Grüße, 世界: İpassword=ß!"),
            "Grüße, 世界: İpassword=[redacted]"
        );
    }
}
