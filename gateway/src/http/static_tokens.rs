//! Named static tokens: one from an environment variable, others from a file that is reloaded. Only digests are
//! kept in memory.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use synapsor_chassis::files::{self, FileWatch};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::secret::Secret;
use synapsor_codes::ErrorCode;

use crate::caller::Caller;

/// Name of the token from the environment variable.
const VARIABLE_NAME: &str = "default";
const FILE_BYTES_MAX: u64 = 256 * 1024;
const TOKENS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 64;
const TOKEN_CHARS_MIN: usize = 16;
const TOKEN_CHARS_MAX: usize = 4_096;

/// Currently valid tokens.
#[derive(Debug)]
pub(super) struct StaticTokens {
    of_variable: Option<Named>,
    file: Option<PathBuf>,
    current: RwLock<Arc<Vec<Named>>>,
}

/// Token of the environment variable, with its origin for messages.
#[derive(Debug)]
pub(super) struct VariableToken {
    pub(super) token: Secret,
    /// The variable, or the file that it names.
    pub(super) origin: String,
}

#[derive(Clone, Debug)]
struct Named {
    caller: Caller,
    digest: [u8; 32],
}

impl Named {
    fn new(name: &str, token: &str) -> Self {
        Self {
            caller: Caller::of_token(name),
            digest: Sha256::digest(token).into(),
        }
    }
}

impl StaticTokens {
    /// Loads the tokens.
    ///
    /// # Errors
    /// When the token of the variable or the file is invalid.
    pub(super) fn load(of_variable: Option<&VariableToken>, file: Option<&Path>) -> Result<Self, ExitError> {
        let named = |given: &VariableToken| match fault(given.token.expose()) {
            None => Ok(Named::new(VARIABLE_NAME, given.token.expose())),
            Some(fault) => {
                let text = format!("the bearer token in {} {fault}", given.origin);
                Err(ExitError::new(ErrorCode::HttpAuthTokenInvalid, text)
                    .with_fix("set it to a long random string, for example of `openssl rand -hex 32`"))
            }
        };
        let of_variable = of_variable.map(named).transpose()?;
        let tokens = Self {
            current: RwLock::new(Arc::default()),
            of_variable,
            file: file.map(Path::to_owned),
        };
        tokens.reload()?;
        Ok(tokens)
    }

    /// Returns the holder of `given`. Compares every token in constant time.
    pub(super) fn find_caller(&self, given: &[u8]) -> Option<Caller> {
        let given: [u8; 32] = Sha256::digest(given).into();
        let current = self
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut holder = None;
        for named in current.iter() {
            if bool::from(named.digest.ct_eq(&given)) {
                holder = Some(&named.caller);
            }
        }
        holder.cloned()
    }

    /// Returns the watch of the file, if a file is configured.
    pub(super) fn watch(&self) -> Option<FileWatch> {
        Some(FileWatch::new(vec![self.file.clone()?]))
    }

    /// Reloads the file and returns the callers whose tokens were removed. If the file is invalid, the previous
    /// tokens stay valid.
    ///
    /// # Errors
    /// When the file is invalid.
    pub(super) fn reload(&self) -> Result<Vec<Caller>, ExitError> {
        let mut tokens: Vec<Named> = self.of_variable.iter().cloned().collect();
        if let Some(path) = &self.file {
            tokens.extend(read(path, self.of_variable.is_some())?);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let kept: HashSet<&Caller> = tokens.iter().map(|named| &named.caller).collect();
        let gone = current
            .iter()
            .map(|named| &named.caller)
            .filter(|caller| !kept.contains(caller))
            .cloned()
            .collect();
        *current = Arc::new(tokens);
        Ok(gone)
    }
}

/// Returns what is wrong with a token, without any part of it.
fn fault(token: &str) -> Option<String> {
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("has characters that are not visible ASCII, for example a space".to_owned());
    }
    match token.len() {
        ..TOKEN_CHARS_MIN => Some(format!("is shorter than {TOKEN_CHARS_MIN} characters")),
        TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX => None,
        _ => Some(format!("is longer than {TOKEN_CHARS_MAX} characters")),
    }
}

/// Parses lines `name token`; skips empty lines and lines that begin with `#`.
fn read(path: &Path, is_default_taken: bool) -> Result<Vec<Named>, ExitError> {
    let bytes = files::read_private(path, FILE_BYTES_MAX)?;
    let bad = |line: usize, what: &str| {
        let message = format!("line {line} of {}: {what}", path.display());
        ExitError::new(ErrorCode::HttpTokensFileInvalid, message).with_fix(format!(
            "write one `name token` per line; names of {NAME_CHARS_MAX} letters, digits, `_`, `.` or `-` at most, \
             tokens of {TOKEN_CHARS_MIN} visible characters at least"
        ))
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| bad(1, "the file is not UTF-8 text"))?;
    let mut names: HashSet<&str> = is_default_taken.then_some(VARIABLE_NAME).into_iter().collect();
    let mut lines: HashMap<[u8; 32], usize> = HashMap::new();
    let mut tokens = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(token), None) = (words.next(), words.next(), words.next()) else {
            return Err(bad(at + 1, "expected a name and a token"));
        };
        if !is_name(name) {
            return Err(bad(at + 1, "invalid name"));
        }
        if !names.insert(name) {
            return Err(bad(at + 1, "duplicate token name"));
        }
        if let Some(fault) = fault(token) {
            return Err(bad(at + 1, &format!("the token {fault}")));
        }
        if tokens.len() == TOKENS_MAX {
            return Err(bad(at + 1, "too many tokens"));
        }
        let named = Named::new(name, token);
        if let Some(first) = lines.insert(named.digest, at + 1) {
            return Err(bad(at + 1, &format!("it repeats the token of line {first}")));
        }
        tokens.push(named);
    }
    Ok(tokens)
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_CHARS_MAX
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(content: &str) -> (tempfile::TempDir, Result<StaticTokens, ExitError>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        files::create_exclusive(&path, content.as_bytes()).unwrap();
        let tokens = StaticTokens::load(Some(&of_variable("token-of-the-variable")), Some(&path));
        (dir, tokens)
    }

    fn of_variable(token: &str) -> VariableToken {
        VariableToken {
            token: Secret::new(token),
            origin: "TOKEN_VARIABLE".to_owned(),
        }
    }

    #[test]
    fn invalid_token_is_described_with_its_origin() {
        let long = "x".repeat(TOKEN_CHARS_MAX + 1);
        for (token, fault) in [
            ("CANARY-short", "is shorter than 16 characters"),
            (&*long, "is longer than 4096 characters"),
            ("CANARY with spaces", "has characters that are not visible ASCII"),
            ("CANARY-0123456789é", "has characters that are not visible ASCII"),
        ] {
            let error = StaticTokens::load(Some(&of_variable(token)), None).unwrap_err();
            assert_eq!(error.code(), ErrorCode::HttpAuthTokenInvalid);
            let text = error.to_string();
            assert!(
                text.contains(&format!("in TOKEN_VARIABLE {fault}")) && !text.contains("CANARY"),
                "{text}"
            );
        }
        let (_dir, tokens) = with_file("alice CANARY-short");
        let text = tokens.unwrap_err().to_string();
        assert!(
            text.contains("line 1 ") && text.contains("is shorter than 16"),
            "{text}"
        );
    }

    #[test]
    fn repeated_token_value_names_both_lines() {
        let (_dir, tokens) = with_file("# who\na CANARY-0123456789\n\nb CANARY-0123456789");
        let text = tokens.unwrap_err().to_string();
        assert!(
            text.contains("line 4 ") && text.contains("repeats the token of line 2"),
            "{text}"
        );
    }

    #[test]
    fn each_token_has_its_own_holder() {
        let (_dir, tokens) = with_file("# who\nalice alices-long-token\n\n bob\tbobs-longer-token \r\n");
        let tokens = tokens.unwrap();
        let holder = |given: &str| tokens.find_caller(given.as_bytes()).map(|c| c.key().to_owned());
        assert_eq!(holder("alices-long-token").as_deref(), Some("token:alice"));
        assert_eq!(holder("bobs-longer-token").as_deref(), Some("token:bob"));
        assert_eq!(holder("token-of-the-variable").as_deref(), Some("token:default"));
        for other in ["", "alices-long-toke", "alices-long-token ", "ALICES-LONG-TOKEN"] {
            assert_eq!(holder(other), None, "{other}");
        }
    }

    #[test]
    fn rejects_invalid_token_files_without_showing_a_token() {
        for content in [
            "alice",
            "alice CANARY-0123456789 more",
            "alice CANARY-short",
            "a/b CANARY-0123456789",
            "alice CANARY-0123456789\nalice CANARY-9876543210",
            "default CANARY-0123456789",
            "alice CANARY-0123456789\nbob CANARY-0123456789",
            "alice CANARY-0123456789é",
        ] {
            let (_dir, tokens) = with_file(content);
            let error = tokens.unwrap_err();
            assert_eq!(error.code(), ErrorCode::HttpTokensFileInvalid, "{content}");
            assert!(!error.to_string().contains("CANARY"), "{error}");
        }
    }

    #[test]
    fn removed_name_is_reported_and_invalid_file_is_ignored() {
        let (dir, tokens) = with_file("alice alices-long-token\nbob bobs-longer-token\n");
        let (tokens, path) = (tokens.unwrap(), dir.path().join("tokens"));
        let write = |text: &str| files::write_atomic(&path, text.as_bytes(), 0o600).unwrap();
        write("alice alices-other-token\n");
        assert_eq!(tokens.reload().unwrap(), [Caller::of_token("bob")]);
        assert!(tokens.find_caller(b"alices-long-token").is_none());
        write("alice");
        assert!(tokens.reload().is_err());
        assert!(tokens.find_caller(b"alices-other-token").is_some());
    }
}
