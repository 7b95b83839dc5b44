//! Lexical classes of names, and names that are rejected everywhere.

/// Message for a column name that is not an identifier.
pub(super) const NAME_A_COLUMN: &str =
    "Name a column: an ASCII letter or `_` first, then ASCII letters, digits and `_`.";

/// A letter or `_`, then letters, digits and `_`: schemas, tables, columns, sources.
pub fn is_identifier(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// As an identifier, with `.` and `-` after the first character: contexts, executors, arguments.
pub(super) fn is_safe_name(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Exactly two identifiers joined by one dot: capabilities.
pub fn is_qualified_name(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(space, name)| is_identifier(space) && is_identifier(name))
}

/// An upper-case letter or `_`, then upper-case letters, digits and `_`: environment variables.
pub fn is_env_name(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_uppercase() || first == '_');
    starts_well
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Names that would let a model choose tenant, principal, source, version or approver.
/// Compared without case, `_` and `-`.
const TRUST_SCOPE: &[&str] = &[
    "tenant_id",
    "principal",
    "principal_id",
    "project_id",
    "source_id",
    "allowed_columns",
    "row_version",
    "current_version",
    "expected_version",
    "approval_identity",
];

/// Names that would let a model choose the object of the statement.
const IDENTIFIERS: &[&str] = &[
    "table",
    "table_name",
    "schema",
    "schema_name",
    "column",
    "columns",
    "column_name",
    "database",
    "database_name",
];

/// True for names that only the trusted context may bind, in any spelling.
pub fn is_trust_scope_name(name: &str) -> bool {
    TRUST_SCOPE
        .iter()
        .any(|reserved| folded(reserved) == folded(name))
}

/// True for names that no argument may have.
pub(super) fn is_reserved_argument(name: &str) -> bool {
    is_trust_scope_name(name)
        || IDENTIFIERS
            .iter()
            .any(|reserved| folded(reserved) == folded(name))
}

fn folded(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | '.'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns the words for secret material that begin with this letter.
const fn secret_words(first: u8) -> &'static [&'static str] {
    match first.to_ascii_lowercase() {
        b'a' => &["api_key", "access_key"],
        b'c' => &["cookie", "credential", "connection_string"],
        b'd' => &["database_url"],
        b'p' => &["password", "passwd", "private_key"],
        b'r' => &["read_url"],
        b's' => &["secret"],
        b't' => &["token"],
        b'w' => &["write_url"],
        _ => &[],
    }
}

/// True if the name contains, as a whole word separated by `_` or `-`, a word for secret material.
pub fn is_secret_like(name: &str) -> bool {
    let name = name.as_bytes();
    let is_end = |at: usize| name.get(at).is_none_or(|byte| matches!(byte, b'_' | b'-'));
    let mut is_start = true;
    name.iter().enumerate().any(|(at, byte)| {
        let is_found = is_start
            && secret_words(*byte)
                .iter()
                .any(|word| is_end(at + word.len()) && begins_with(&name[at..], word));
        is_start = matches!(byte, b'_' | b'-');
        is_found
    })
}

/// Whether the text begins with the word, in any case and with dashes for underscores.
fn begins_with(text: &[u8], word: &str) -> bool {
    let same = |byte: &u8, wanted: u8| match byte {
        b'-' => wanted == b'_',
        _ => byte.to_ascii_lowercase() == wanted,
    };
    text.len() >= word.len()
        && text
            .iter()
            .zip(word.bytes())
            .all(|(byte, wanted)| same(byte, wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_words_match_only_as_whole_words() {
        for name in [
            "password",
            "user_password",
            "api_key",
            "API_KEY_hash",
            "x-token",
            "database_url",
        ] {
            assert!(is_secret_like(name), "{name}");
        }
        for name in ["tokens_used", "secretary", "apikey_count", "key", "url"] {
            assert!(!is_secret_like(name), "{name}");
        }
    }

    #[test]
    fn every_secret_word_is_found_at_every_word_start() {
        for word in [
            "password",
            "passwd",
            "secret",
            "token",
            "api_key",
            "access_key",
            "private_key",
            "cookie",
            "credential",
            "connection_string",
            "database_url",
            "read_url",
            "write_url",
        ] {
            assert!(
                is_secret_like(word) && is_secret_like(&word.to_uppercase()),
                "{word}"
            );
            assert!(is_secret_like(&format!("é_{word}-x")), "{word}");
            assert!(is_secret_like(&word.replace('_', "-")), "{word}");
            assert!(!is_secret_like(&format!("x{word}")), "{word}");
            assert!(!is_secret_like(&format!("{word}s")), "{word}");
        }
    }

    #[test]
    fn reserved_names_are_found_in_any_spelling() {
        for name in [
            "tenant_id",
            "tenantId",
            "TENANT-ID",
            "Principal",
            "expectedVersion",
            "row__version",
        ] {
            assert!(is_trust_scope_name(name), "{name}");
        }
        assert!(is_reserved_argument("tableName") && !is_trust_scope_name("tableName"));
        assert!(!is_reserved_argument("order_id"));
    }

    #[test]
    fn lexical_classes_are_exact_at_their_limits() {
        assert!(is_identifier("_a1") && !is_identifier("1a") && !is_identifier("a-b") && !is_identifier(""));
        assert!(!is_identifier("naïve") && !is_identifier("a\"b"));
        assert!(is_safe_name("a.b-c") && !is_safe_name("-a"));
        assert!(is_qualified_name("a.b") && !is_qualified_name("a.b.c") && !is_qualified_name("a"));
        assert!(is_env_name("_A1") && !is_env_name("a") && !is_env_name("1A"));
    }
}
