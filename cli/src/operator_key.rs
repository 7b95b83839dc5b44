//! Locates and opens the operator's private key, and reports its owner and protection. The key never leaves
//! this process.

use std::fmt;
use std::path::{Path, PathBuf};

use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::signing::{KeyError, SigningKey};
use synapsor_domain::trust::{DeploymentEnvironment, TrustFile};
use zeroize::Zeroizing;

use crate::{Context, state};

/// Maximum size of a key file, in bytes.
pub(crate) const KEY_BYTES_MAX: u64 = 16 * 1024;
/// Maximum number of key files read in a directory.
const KEY_FILES_MAX: usize = 64;

/// A key that can sign, with its owner in the trust file.
pub(crate) struct Signer {
    pub(crate) key: SigningKey,
    pub(crate) person: String,
    /// Whether it was decrypted with a passphrase.
    pub(crate) protected: bool,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {})", self.person, self.key.key_id())
    }
}

impl Signer {
    /// Loads the signing key: `--signing-key`, else the one in the state directory. A protected key always
    /// prompts for its passphrase on the terminal; an unprotected one works in `dev` only.
    pub(crate) fn load(context: &Context, trust: &TrustFile) -> Result<Self, ExitError> {
        let path = match &context.global.signing_key {
            Some(path) => path.clone(),
            None => in_state_dir(context, trust)?,
        };
        Self::read(&path, trust)
    }

    fn read(path: &Path, trust: &TrustFile) -> Result<Self, ExitError> {
        let pem = read_pem(path)?;
        let protected = SigningKey::is_protected(&pem);
        if !protected && trust.environment != DeploymentEnvironment::Dev {
            return Err(unprotected(path, trust.environment));
        }
        let key = open_pem(path, &pem)?;
        let signer = Self::of(key, trust)?;
        Ok(Self { protected, ..signer })
    }

    /// Builds a signer from a key in memory, for its owner in the trust file.
    pub(crate) fn of(key: SigningKey, trust: &TrustFile) -> Result<Self, ExitError> {
        let id = key.key_id();
        let operator = trust.operator(&id).ok_or_else(|| {
            ExitError::new(
                ErrorCode::KeyUnknown,
                format!("{id} is not an operator key in the trust file"),
            )
            .with_fix("add it with `synapsor-runner operator add FILE`, or pass another with --signing-key")
        })?;
        let person = operator.person.clone();
        Ok(Self {
            key,
            person,
            protected: false,
        })
    }

    /// Checks `--actor` against the key's owner in the trust file, which alone defines the signer.
    pub(crate) fn check_actor(&self, actor: Option<&str>) -> Result<(), ExitError> {
        match actor {
            Some(actor) if actor != self.person => Err(ExitError::new(
                ErrorCode::ActorMismatch,
                format!("--actor is not the owner of the signing key, {}", self.person),
            )
            .with_fix("remove --actor, or pass the matching key with --signing-key")),
            Some(_) | None => Ok(()),
        }
    }

    /// Describes how the key is protected from others on this machine; printed with every approval.
    pub(crate) const fn posture(&self) -> &'static str {
        posture_of(self.protected)
    }
}

/// Returns the path of the key that this command line would use, whether it exists or not.
pub(crate) fn path_here(context: &Context, trust: &TrustFile) -> Option<PathBuf> {
    let given = context.global.signing_key.clone();
    given.or_else(|| in_state_dir(context, trust).ok())
}

/// Returns the posture of the key that this command line would use, without decrypting it; `None` without a
/// key.
pub(crate) fn posture_here(context: &Context, trust: &TrustFile) -> Option<&'static str> {
    let path = path_here(context, trust)?;
    Some(posture_of(SigningKey::is_protected(&read_pem(&path).ok()?)))
}

/// Describes the protection of a key.
pub(crate) const fn posture_of(protected: bool) -> &'static str {
    if protected {
        "same-user key, passphrase"
    } else {
        "same-user key, unprotected"
    }
}

/// Reads a key file, which must belong to this user; no other user may have access.
pub(crate) fn read_pem(path: &Path) -> Result<Zeroizing<String>, ExitError> {
    let bytes = files::read_own_private(path, KEY_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable(path, &KeyError::NotAPrivateKey))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Opens a key; prompts for the passphrase of a protected one.
pub(crate) fn open_pem(path: &Path, pem: &str) -> Result<SigningKey, ExitError> {
    if !SigningKey::is_protected(pem) {
        return SigningKey::from_pem(pem).map_err(|e| unusable(path, &e));
    }
    let passphrase = ask(&format!("Passphrase of {}: ", path.display()))?;
    SigningKey::from_protected_pem(pem, passphrase.as_bytes()).map_err(|e| unusable(path, &e))
}

/// Prompts on the controlling terminal, independent of stdin, without echo.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<String>, ExitError> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|_| {
            ExitError::new(
                ErrorCode::TerminalRequired,
                "passphrase required, but no terminal is attached",
            )
            .with_fix("run the command in a terminal")
        })
}

fn in_state_dir(context: &Context, trust: &TrustFile) -> Result<PathBuf, ExitError> {
    let folder = state::find(context)?;
    let mut names = key_files(folder.keys_dir().as_path())?;
    // The key of the logged-in user comes first.
    let own = folder.operator_key(&state::operator_person(&context.env));
    names.sort_by_key(|path| (*path != own, path.clone()));
    let known =
        |path: &&PathBuf| public_id(path).is_none_or(|id| trust.operators.iter().any(|o| o.key_id == id));
    names.iter().find(known).cloned().ok_or_else(|| {
        ExitError::new(
            ErrorCode::SigningKeyMissing,
            "no operator key of the trust file in the state directory",
        )
        .with_fix("pass --signing-key PATH, or create a key with `synapsor-runner operator keygen`")
    })
}

/// Lists the operator key files of a directory, by name.
pub(crate) fn key_files(folder: &Path) -> Result<Vec<PathBuf>, ExitError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let text = format!("cannot list {}: {}", folder.display(), error.kind());
            return Err(ExitError::new(ErrorCode::KeysUnreadable, text));
        }
    };
    let is_key = |path: &PathBuf| {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name.starts_with("operator-") && name.ends_with(".pem")
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|e| e.path())
        .filter(is_key)
        .take(KEY_FILES_MAX)
        .collect();
    paths.sort();
    Ok(paths)
}

/// Returns the key id of an unprotected key file; that of a protected one needs its passphrase.
fn public_id(path: &Path) -> Option<synapsor_domain::signing::KeyId> {
    let pem = read_pem(path).ok()?;
    SigningKey::from_pem(&pem).ok().map(|key| key.key_id())
}

fn unprotected(path: &Path, environment: DeploymentEnvironment) -> ExitError {
    ExitError::new(
        ErrorCode::KeyUnprotected,
        format!("{} has no passphrase, and this is {environment}", path.display()),
    )
    .with_fix("set one with `synapsor-runner operator protect`")
}

fn unusable(path: &Path, error: &KeyError) -> ExitError {
    let code = match error {
        KeyError::WrongPassphrase => ErrorCode::PassphraseWrong,
        KeyError::NotAPrivateKey | KeyError::Protected | KeyError::NotAPublicKey | KeyError::NotAKeyId => {
            ErrorCode::KeyUnusable
        }
    };
    let fix = match error {
        KeyError::WrongPassphrase => "run the command again",
        KeyError::NotAPrivateKey | KeyError::Protected | KeyError::NotAPublicKey | KeyError::NotAKeyId => {
            "pass a key of `synapsor-runner operator keygen` with --signing-key, or restore the file"
        }
    };
    ExitError::new(code, format!("{}: {error}", path.display())).with_fix(fix)
}
