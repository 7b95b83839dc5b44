//! Secrets: read once by variable name, from the environment or from the file that `NAME_FILE` names, wiped
//! when dropped, and never shown.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::files::{self, FileError};
use crate::run::ExitError;
use crate::settings::{EnvVars, SettingError};

/// A secret file may hold this much.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A piece of text that must not be seen. Debug prints `[redacted]`; there is no Display and no serialization.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// Why a secret cannot be used. Never holds any part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither variable is set.
    #[error("the secret {name} is missing")]
    Missing { name: String },
    /// Both variables are set.
    #[error("both {name} and {name}_FILE are set")]
    Ambiguous { name: String },
    /// The file that the variable names cannot be read.
    #[error("the secret {name} cannot be read from its file: {source}")]
    FileUnreadable { name: String, source: FileError },
    /// The file can be read by group or others.
    #[error("the file of the secret {name}, {}, is open to other users (mode {mode:04o})", path.display())]
    InsecurePermissions { name: String, path: PathBuf, mode: u32 },
    /// The secret is not UTF-8 text, or is empty.
    #[error("the secret {name} is empty or is not UTF-8 text")]
    NotText { name: String },
    /// The variable itself cannot be read.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl SecretError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "SECRET_MISSING",
            Self::Ambiguous { .. } => "SECRET_AMBIGUOUS",
            Self::FileUnreadable { .. } => "SECRET_FILE_UNREADABLE",
            Self::InsecurePermissions { .. } => "SECRET_FILE_OPEN",
            Self::NotText { .. } => "SECRET_NOT_TEXT",
            Self::Setting(error) => error.code(),
        }
    }
}

impl From<SecretError> for ExitError {
    fn from(error: SecretError) -> Self {
        let fix = match &error {
            SecretError::Missing { name } => format!("set {name}, or {name}_FILE to the path of a 0600 file"),
            SecretError::Ambiguous { name } => format!("unset one of {name} and {name}_FILE"),
            SecretError::FileUnreadable { name, .. } => {
                format!("point {name}_FILE at a readable file of at most {SECRET_BYTES_MAX} bytes")
            }
            SecretError::InsecurePermissions { path, .. } => format!("chmod 600 {}", path.display()),
            SecretError::NotText { name } => format!("store {name} as UTF-8 text"),
            SecretError::Setting(inner) => return inner.clone().into(),
        };
        ExitError::usage(error.code(), error.to_string()).with_fix(fix)
    }
}

impl Secret {
    /// Wraps text that is already in memory.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text. The caller must not log it, print it or put it into an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads the secret `name` from the variable `name` or from the file that `name_FILE` names.
    ///
    /// # Errors
    /// When it is missing, given twice, unreadable, too large, open to other users, empty or not text.
    pub fn read(env: &EnvVars, name: &str) -> Result<Self, SecretError> {
        Self::read_optional(env, name)?.ok_or_else(|| SecretError::Missing {
            name: name.to_owned(),
        })
    }

    /// Like [`Secret::read`]; neither variable set gives `None`.
    ///
    /// # Errors
    /// As [`Secret::read`], except for a missing secret.
    pub fn read_optional(env: &EnvVars, name: &str) -> Result<Option<Self>, SecretError> {
        let file = env.get(&format!("{name}_FILE"))?;
        match (env.get(name)?, file) {
            (None, None) => Ok(None),
            (Some(text), None) => Ok(Some(Self::new(text))),
            (None, Some(path)) => Self::from_file(name, Path::new(&path)).map(Some),
            (Some(text), Some(_)) => {
                drop(Zeroizing::new(text));
                Err(SecretError::Ambiguous {
                    name: name.to_owned(),
                })
            }
        }
    }

    /// Reads the secret `name` (the word used in errors) from a file. One trailing line end is cut off.
    ///
    /// # Errors
    /// When the file is unreadable, too large, open to other users, empty or not text.
    pub fn from_file(name: &str, path: &Path) -> Result<Self, SecretError> {
        let bytes = files::read_private(path, SECRET_BYTES_MAX).map_err(|error| match error {
            FileError::NotPrivate { path, mode } => SecretError::InsecurePermissions {
                name: name.to_owned(),
                path,
                mode,
            },
            source => SecretError::FileUnreadable {
                name: name.to_owned(),
                source,
            },
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText {
            name: name.to_owned(),
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(SecretError::NotText {
                name: name.to_owned(),
            });
        }
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(content: &[u8], mode: u32) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let text = path.to_str().unwrap().to_owned();
        (dir, text)
    }

    fn code(pairs: &[(&str, &str)]) -> &'static str {
        Secret::read(&EnvVars::fixed(pairs.iter().copied()), "KEY")
            .unwrap_err()
            .code()
    }

    #[test]
    fn secret_comes_from_the_variable_or_from_the_named_file() {
        let (_dir, path) = file(b"from file\r\n", 0o600);
        let read = |pairs: [(&str, &str); 1]| {
            Secret::read(&EnvVars::fixed(pairs), "KEY")
                .unwrap()
                .expose()
                .to_owned()
        };
        assert_eq!(read([("KEY", "from env")]), "from env");
        assert_eq!(read([("KEY_FILE", &path)]), "from file");
    }

    #[test]
    fn missing_double_open_large_and_binary_secrets_are_refused() {
        assert_eq!(code(&[]), "SECRET_MISSING");
        assert_eq!(
            code(&[("KEY", "a"), ("KEY_FILE", "/nowhere")]),
            "SECRET_AMBIGUOUS"
        );
        assert_eq!(code(&[("KEY_FILE", "/nowhere/at/all")]), "SECRET_FILE_UNREADABLE");
        let (_a, open) = file(b"x", 0o640);
        assert_eq!(code(&[("KEY_FILE", &open)]), "SECRET_FILE_OPEN");
        let (_b, large) = file(&vec![b'x'; 64 * 1024 + 1], 0o600);
        assert_eq!(code(&[("KEY_FILE", &large)]), "SECRET_FILE_UNREADABLE");
        let (_c, binary) = file(&[0xff, 0xfe], 0o600);
        assert_eq!(code(&[("KEY_FILE", &binary)]), "SECRET_NOT_TEXT");
        let (_d, empty) = file(b"\n", 0o600);
        assert_eq!(code(&[("KEY_FILE", &empty)]), "SECRET_NOT_TEXT");
    }

    #[test]
    fn open_secret_file_names_the_fix() {
        let (_dir, path) = file(b"x", 0o644);
        let error = Secret::from_file("KEY", Path::new(&path)).unwrap_err();
        assert_eq!(
            ExitError::from(error).fix(),
            Some(format!("chmod 600 {path}").as_str())
        );
    }

    #[test]
    fn debug_of_a_secret_is_redacted() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
