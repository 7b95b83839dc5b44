//! Env file: variables for programs outside a shell, such as servers that a desktop client starts. Only this
//! process reads it; children get single variables by name, never the file's path.

mod parse;

use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;

use parse::parse;

const BYTES_MAX: u64 = 64 * 1024;

/// Variables that the command line reads before any file. In a file they would have no effect.
const OF_THE_COMMAND_LINE: [(&str, &str); 10] = [
    ("SYNAPSOR_MCP_CONFIG", "--config"),
    ("SYNAPSOR_LOCAL_STORE", "--store"),
    ("SYNAPSOR_TRUST", "--trust"),
    ("SYNAPSOR_SIGNING_KEY", "--signing-key"),
    ("SYNAPSOR_LEDGER", "--ledger"),
    ("SYNAPSOR_READER", "--reader"),
    ("SYNAPSOR_WRITER", "--writer"),
    ("SYNAPSOR_CA", "--ca"),
    ("SYNAPSOR_CERT", "--cert"),
    ("SYNAPSOR_KEY", "--key"),
];

/// Returns the environment of this process, with defaults from the file at `path`; process variables take
/// precedence.
///
/// # Errors
/// `ENV_FILE_NOT_FOUND`; `ENV_FILE_OPEN` when another user owns it or can read it; `ENV_FILE_TOO_LARGE`;
/// `ENV_FILE_INVALID` with the line; `ENV_FILE_UNREADABLE`.
pub(crate) fn environment(path: Option<&PathBuf>) -> Result<EnvVars, ExitError> {
    let own = EnvVars::of_process();
    match path {
        None => Ok(own),
        Some(path) => over(own, path),
    }
}

fn over(own: EnvVars, path: &Path) -> Result<EnvVars, ExitError> {
    let bytes = files::read_private(path, BYTES_MAX).map_err(|error| unusable(&error))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| invalid(path, "not UTF-8 text").with_fix("save it as UTF-8, one NAME=value a line"))?;
    let found = parse(text).map_err(|bad| {
        invalid(path, &bad.to_string())
            .with_fix("fix that line: NAME=value, NAME='value' or NAME=\"value\"; # starts a comment")
    })?;
    for (name, flag) in OF_THE_COMMAND_LINE {
        if found.contains_key(name) {
            let text = format!("{name} has no effect in an env file");
            return Err(invalid(path, &text).with_fix(format!("remove it there and pass {flag}")));
        }
    }
    Ok(own.with_defaults(found))
}

fn unusable(error: &FileError) -> ExitError {
    let code = match error {
        FileError::Missing(_) => ErrorCode::EnvFileNotFound,
        FileError::NotPrivate { .. } | FileError::WrongOwner(_) | FileError::WritableByOthers { .. } => {
            ErrorCode::EnvFileOpen
        }
        FileError::TooLarge { .. } => ErrorCode::EnvFileTooLarge,
        FileError::NotUtf8 { .. } => ErrorCode::EnvFileInvalid,
        FileError::Exists(_)
        | FileError::Denied(_)
        | FileError::DirectoryMissing(_)
        | FileError::DirectoryDenied { .. }
        | FileError::WrongKind { .. }
        | FileError::Io { .. } => ErrorCode::EnvFileUnreadable,
    };
    ExitError::new(code, format!("invalid env file: {error}")).with_fix(error.fix())
}

fn invalid(path: &Path, why: &str) -> ExitError {
    ExitError::new(ErrorCode::EnvFileInvalid, format!("{}, {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use synapsor_codes::Exit;

    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn written(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.env");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (folder, path)
    }

    fn code(text: &[u8], mode: u32) -> ErrorCode {
        let (_folder, path) = written(text, mode);
        let failure = over(EnvVars::fixed::<&str, &str>([]), &path).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(!failure.to_string().contains("SEKRIT"), "{failure}");
        failure.code()
    }

    #[test]
    fn process_environment_overrides_env_file() {
        let (_folder, path) = written(b"A=file\nB=file\n", 0o600);
        let env = over(EnvVars::fixed([("A", "process")]), &path).unwrap();
        assert_eq!(env.get("A").unwrap().as_deref(), Some("process"));
        assert_eq!(env.get("B").unwrap().as_deref(), Some("file"));
    }

    #[test]
    fn rejects_env_file_readable_by_others() {
        for mode in [0o604, 0o660, 0o644] {
            assert_eq!(code(b"A=SEKRIT", mode), ErrorCode::EnvFileOpen, "{mode:o}");
        }
        for mode in [0o400, 0o640] {
            let (_folder, path) = written(b"A=b", mode);
            assert!(over(EnvVars::fixed::<&str, &str>([]), &path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn rejects_env_file_of_another_user() {
        if !rustix::process::getuid().is_root() {
            return;
        }
        let (_folder, path) = written(b"A=SEKRIT", 0o600);
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        let failure = over(EnvVars::fixed::<&str, &str>([]), &path).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::EnvFileOpen);
    }

    #[test]
    fn rejects_unusable_env_file() {
        assert_eq!(code(b"A=SEKRIT x", 0o600), ErrorCode::EnvFileInvalid);
        assert_eq!(code(b"A=\xff", 0o600), ErrorCode::EnvFileInvalid);
        assert_eq!(code(b"SYNAPSOR_TRUST=SEKRIT", 0o600), ErrorCode::EnvFileInvalid);
        let large = vec![b'#'; usize::try_from(BYTES_MAX).unwrap() + 1];
        assert_eq!(code(&large, 0o600), ErrorCode::EnvFileTooLarge);
        let (folder, _) = written(b"", 0o600);
        let at = |path: &Path| over(EnvVars::fixed::<&str, &str>([]), path).unwrap_err();
        assert_eq!(at(&folder.path().join("none")).code(), ErrorCode::EnvFileNotFound);
        assert_eq!(at(folder.path()).code(), ErrorCode::EnvFileUnreadable);
    }
}
