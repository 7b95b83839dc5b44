//! Secrets: read once from an environment variable or from the file that `NAME_FILE` names, wiped on drop, and
//! never printed.

use std::fmt;
use std::path::Path;

use synapsor_codes::ErrorCode;
use zeroize::Zeroizing;

use crate::files::byte_order::Encoding;
use crate::files::{self, FileError};
use crate::run::ExitError;
use crate::settings::{EnvVars, SettingError};

/// Maximum size of a secret file, in bytes.
pub const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Secret string. Debug prints `[redacted]`; it implements neither Display nor serialization.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// Reason why a secret is invalid. Never contains any part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither variable is set.
    #[error("missing secret {name}")]
    Missing { name: String },
    /// Both variables are set.
    #[error("both {name} and {name}_FILE are set")]
    Ambiguous { name: String },
    /// The file cannot be read.
    #[error("the file of secret {name} is unreadable: {source}")]
    FileUnreadable { name: String, source: FileError },
    /// Other users have access to the file, or can replace it.
    #[error("{source}; it is the file of the secret {name}")]
    InsecurePermissions { name: String, source: FileError },
    /// The file is text in another encoding.
    #[error("the secret {name} is {encoding} text")]
    NotUtf8 { name: String, encoding: Encoding },
    /// The secret is not UTF-8, or is empty.
    #[error("the secret {name} is not UTF-8 text")]
    NotText { name: String },
    #[error("the secret {name} is empty")]
    Empty { name: String },
    /// The variable cannot be read.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

impl SecretError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing { .. } => ErrorCode::SecretMissing,
            Self::Ambiguous { .. } => ErrorCode::SecretAmbiguous,
            Self::FileUnreadable { .. } => ErrorCode::SecretFileUnreadable,
            Self::InsecurePermissions { .. } => ErrorCode::SecretFileOpen,
            Self::NotUtf8 { .. } | Self::NotText { .. } | Self::Empty { .. } => ErrorCode::SecretNotText,
            Self::Setting(error) => error.code(),
        }
    }
}

impl From<SecretError> for ExitError {
    fn from(error: SecretError) -> Self {
        let fix = match &error {
            SecretError::Missing { name } => format!("set {name}, or {name}_FILE to the path of a 0600 file"),
            SecretError::Ambiguous { name } => format!("unset one of {name} and {name}_FILE"),
            SecretError::FileUnreadable { name, source } => match source {
                FileError::Denied(_) => source.fix(),
                _ => format!("set {name}_FILE to a readable file of at most {SECRET_BYTES_MAX} bytes"),
            },
            SecretError::InsecurePermissions { source, .. } => source.fix(),
            SecretError::NotUtf8 { name, .. } | SecretError::NotText { name } => {
                format!("store {name} as UTF-8 text")
            }
            SecretError::Empty { name } => {
                format!("set {name}, or write the secret into the file of {name}_FILE")
            }
            SecretError::Setting(inner) => return inner.clone().into(),
        };
        ExitError::new(error.code(), error.to_string()).with_fix(fix)
    }
}

impl Secret {
    /// Wraps a string that is already in memory.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the string. The caller must not log it, print it or add it to an error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads the secret `name` from the variable `name` or from the file that `name_FILE` names. Strips one trailing
    /// line end.
    ///
    /// # Errors
    /// When it is missing, set twice, unreadable, too large, accessible by other users, empty or not UTF-8.
    pub fn read(env: &EnvVars, name: &str) -> Result<Self, SecretError> {
        Self::read_optional(env, name)?.ok_or_else(|| SecretError::Missing {
            name: name.to_owned(),
        })
    }

    /// Reads like [`Secret::read`]; returns `None` if neither variable is set.
    ///
    /// # Errors
    /// As [`Secret::read`], except for a missing secret.
    pub fn read_optional(env: &EnvVars, name: &str) -> Result<Option<Self>, SecretError> {
        let file = env.get(&format!("{name}_FILE"))?;
        match (env.get(name)?, file) {
            (None, None) => Ok(None),
            (Some(text), None) => Self::of_text(name, &Zeroizing::new(text)).map(Some),
            (None, Some(path)) => Self::from_file(name, Path::new(&path)).map(Some),
            (Some(text), Some(_)) => {
                drop(Zeroizing::new(text));
                Err(SecretError::Ambiguous {
                    name: name.to_owned(),
                })
            }
        }
    }

    /// Reads the secret `name` (used in errors) from a file. Strips one trailing line end.
    ///
    /// # Errors
    /// When the file is unreadable, too large, accessible by other users, empty or not UTF-8.
    pub fn from_file(name: &str, path: &Path) -> Result<Self, SecretError> {
        let bytes = files::read_private(path, SECRET_BYTES_MAX).map_err(|error| match error {
            source @ (FileError::NotPrivate { .. }
            | FileError::WrongOwner(_)
            | FileError::WritableByOthers { .. }) => SecretError::InsecurePermissions {
                name: name.to_owned(),
                source,
            },
            FileError::NotUtf8 { encoding, .. } => SecretError::NotUtf8 {
                name: name.to_owned(),
                encoding,
            },
            source => SecretError::FileUnreadable {
                name: name.to_owned(),
                source,
            },
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText {
            name: name.to_owned(),
        })?;
        Self::of_text(name, text)
    }

    /// Strips one trailing line end, which editors and shells add.
    fn of_text(name: &str, text: &str) -> Result<Self, SecretError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(SecretError::Empty {
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

    fn code(pairs: &[(&str, &str)]) -> ErrorCode {
        Secret::read(&EnvVars::fixed(pairs.iter().copied()), "KEY")
            .unwrap_err()
            .code()
    }

    #[test]
    fn secret_is_read_from_the_variable_or_the_named_file() {
        let (_dir, path) = file(b"from file\r\n", 0o600);
        let read = |pairs: [(&str, &str); 1]| {
            Secret::read(&EnvVars::fixed(pairs), "KEY")
                .unwrap()
                .expose()
                .to_owned()
        };
        assert_eq!(read([("KEY", "from env")]), "from env");
        assert_eq!(read([("KEY", "from env\n")]), "from env");
        assert_eq!(read([("KEY", "from env\n\n")]), "from env\n");
        assert_eq!(read([("KEY_FILE", &path)]), "from file");
    }

    #[test]
    fn rejects_missing_double_open_large_and_binary_secrets() {
        assert_eq!(code(&[]), ErrorCode::SecretMissing);
        assert_eq!(
            code(&[("KEY", "a"), ("KEY_FILE", "/nowhere")]),
            ErrorCode::SecretAmbiguous
        );
        assert_eq!(
            code(&[("KEY_FILE", "/nowhere/at/all")]),
            ErrorCode::SecretFileUnreadable
        );
        let (_a, open) = file(b"x", 0o644);
        assert_eq!(code(&[("KEY_FILE", &open)]), ErrorCode::SecretFileOpen);
        let (_b, large) = file(&vec![b'x'; 64 * 1024 + 1], 0o600);
        assert_eq!(code(&[("KEY_FILE", &large)]), ErrorCode::SecretFileUnreadable);
        let (_c, binary) = file(&[0xff, 0xfe], 0o600);
        assert_eq!(code(&[("KEY_FILE", &binary)]), ErrorCode::SecretNotText);
        let (_d, empty) = file(b"\n", 0o600);
        assert_eq!(code(&[("KEY_FILE", &empty)]), ErrorCode::SecretNotText);
    }

    #[test]
    fn open_secret_file_error_names_the_fix() {
        let (_dir, path) = file(b"x", 0o644);
        let error = Secret::from_file("KEY", Path::new(&path)).unwrap_err();
        assert_eq!(
            ExitError::from(error).fix(),
            Some(format!("chmod go-rwx {path}").as_str())
        );
    }

    #[test]
    fn debug_of_a_secret_is_redacted() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
