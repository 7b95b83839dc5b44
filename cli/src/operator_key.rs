//! The operator's private key: which file, whose key, how well it is protected. It leaves this process never.

use std::fmt;
use std::path::{Path, PathBuf};

use synapsor_chassis::files;
use synapsor_chassis::run::{EXIT_USAGE, ExitError};
use synapsor_domain::signing::{KeyError, SigningKey};
use synapsor_domain::trust::{DeploymentEnvironment, TrustFile};
use zeroize::Zeroizing;

use crate::clients::EXIT_REFUSED;
use crate::{Context, state};

/// Bytes of a key file.
pub(crate) const KEY_BYTES_MAX: u64 = 16 * 1024;
/// Key files that are looked at in a folder.
const KEY_FILES_MAX: usize = 64;

/// A key that can sign, with the person whose it is by the trust file.
pub(crate) struct Signer {
    pub(crate) key: SigningKey,
    pub(crate) person: String,
    /// Whether a passphrase opened it.
    pub(crate) protected: bool,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} {})", self.person, self.key.key_id())
    }
}

impl Signer {
    /// The key that this command signs with: `--signing-key`, else the one in the state folder. A protected key asks
    /// for its passphrase on the terminal, always; an unprotected one works in `dev` only.
    pub(crate) fn load(context: &Context, trust: &TrustFile) -> Result<Self, ExitError> {
        let path = match &context.global.signing_key {
            Some(path) => path.clone(),
            None => in_state_folder(context, trust)?,
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

    /// A key that is in memory already, for the owner that the trust file knows.
    pub(crate) fn of(key: SigningKey, trust: &TrustFile) -> Result<Self, ExitError> {
        let id = key.key_id();
        let operator = trust.operator(&id).ok_or_else(|| {
            ExitError::new(
                "KEY_UNKNOWN",
                format!("{id} is no operator key of the trust file"),
            )
            .with_fix(
                "have it added with `synapsor-runner operator add FILE`, or name another with --signing-key",
            )
            .with_exit(EXIT_REFUSED)
        })?;
        let person = operator.person.clone();
        Ok(Self {
            key,
            person,
            protected: false,
        })
    }

    /// `--actor` names the signer or nobody: a signature has one person, and the trust file says who.
    pub(crate) fn check_actor(&self, actor: Option<&str>) -> Result<(), ExitError> {
        match actor {
            Some(actor) if actor != self.person => Err(ExitError::usage(
                "ACTOR_MISMATCH",
                format!("--actor must be the person of the signing key, {}", self.person),
            )
            .with_fix("leave --actor out, or name that person's key with --signing-key")),
            Some(_) | None => Ok(()),
        }
    }

    /// How hard the key is to use for somebody else at this machine; printed at every approval.
    pub(crate) const fn posture(&self) -> &'static str {
        posture_of(self.protected)
    }
}

/// The posture of the key that this command line would sign with, without opening it; `None` without a key.
pub(crate) fn posture_here(context: &Context, trust: &TrustFile) -> Option<&'static str> {
    let path = context
        .global
        .signing_key
        .clone()
        .or_else(|| in_state_folder(context, trust).ok())?;
    Some(posture_of(SigningKey::is_protected(&read_pem(&path).ok()?)))
}

const fn posture_of(protected: bool) -> &'static str {
    if protected {
        "same-user key, passphrase"
    } else {
        "same-user key, unprotected"
    }
}

/// Reads a key file that only its owner may read.
pub(crate) fn read_pem(path: &Path) -> Result<Zeroizing<String>, ExitError> {
    let bytes = files::read_private(path, KEY_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| unusable(path, &KeyError::NotAPrivateKey))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Opens a key; asks for the passphrase of a protected one.
pub(crate) fn open_pem(path: &Path, pem: &str) -> Result<SigningKey, ExitError> {
    if !SigningKey::is_protected(pem) {
        return SigningKey::from_pem(pem).map_err(|e| unusable(path, &e));
    }
    let passphrase = ask(&format!("Passphrase of {}: ", path.display()))?;
    SigningKey::from_protected_pem(pem, passphrase.as_bytes()).map_err(|e| unusable(path, &e))
}

/// Asks on the controlling terminal, whatever stdin is; nothing that is typed is shown.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<String>, ExitError> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|_| {
            ExitError::new(
                "TERMINAL_REQUIRED",
                "a passphrase is typed on a terminal, and this command has none",
            )
            .with_fix("run the command in a terminal")
            .with_exit(EXIT_USAGE)
        })
}

fn in_state_folder(context: &Context, trust: &TrustFile) -> Result<PathBuf, ExitError> {
    let folder = state::find(context)?;
    let mut names = key_files(folder.keys_dir().as_path())?;
    // The key of the person who is logged in goes first.
    let own = folder.operator_key(&state::operator_person(&context.env));
    names.sort_by_key(|path| (*path != own, path.clone()));
    let known =
        |path: &&PathBuf| public_id(path).is_none_or(|id| trust.operators.iter().any(|o| o.key_id == id));
    names.iter().find(known).cloned().ok_or_else(|| {
        ExitError::new(
            "SIGNING_KEY_MISSING",
            "the state folder holds no operator key of the trust file",
        )
        .with_fix("pass --signing-key PATH, or make a key with `synapsor-runner operator keygen`")
    })
}

/// Operator key files of a folder, by name.
pub(crate) fn key_files(folder: &Path) -> Result<Vec<PathBuf>, ExitError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let text = format!("{} cannot be listed: {}", folder.display(), error.kind());
            return Err(ExitError::new("KEYS_UNREADABLE", text));
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

/// The key id of an unprotected key file; a protected one does not tell without its passphrase.
fn public_id(path: &Path) -> Option<synapsor_domain::signing::KeyId> {
    let pem = read_pem(path).ok()?;
    SigningKey::from_pem(&pem).ok().map(|key| key.key_id())
}

fn unprotected(path: &Path, environment: DeploymentEnvironment) -> ExitError {
    ExitError::new(
        "KEY_UNPROTECTED",
        format!("{} has no passphrase, and this is {environment}", path.display()),
    )
    .with_fix("give it one with `synapsor-runner operator protect`")
    .with_exit(EXIT_REFUSED)
}

fn unusable(path: &Path, error: &KeyError) -> ExitError {
    let (code, exit) = match error {
        KeyError::WrongPassphrase => ("PASSPHRASE_WRONG", EXIT_REFUSED),
        KeyError::NotAPrivateKey | KeyError::Protected | KeyError::NotAPublicKey | KeyError::NotAKeyId => {
            ("KEY_UNUSABLE", synapsor_chassis::run::EXIT_FAILURE)
        }
    };
    let fix = match error {
        KeyError::WrongPassphrase => "run the command again",
        KeyError::NotAPrivateKey | KeyError::Protected | KeyError::NotAPublicKey | KeyError::NotAKeyId => {
            "name a key of `synapsor-runner operator keygen` with --signing-key, or restore the file"
        }
    };
    ExitError::new(code, format!("{}: {error}", path.display()))
        .with_fix(fix)
        .with_exit(exit)
}
