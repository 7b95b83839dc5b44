//! Reads the files that this process trusts: the trust file, reloaded whenever its bytes change, and its own
//! copy of the contract.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::{self, CachedFile, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::log::TreeHead;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::trust::TrustFile;

const FILE_LIMIT: u64 = FILE_BYTES_MAX as u64;
const KEY_BYTES_MAX: u64 = 16 * 1024;

/// Trust file on disk. Clones share the version read last.
#[derive(Clone)]
pub struct TrustFileCache {
    path: PathBuf,
    last: Arc<Mutex<CachedFile<Read>>>,
    /// Determines the tree head at which a key counts as retired if its entry names none.
    pin: Arc<OnceLock<Pin>>,
}

/// Returns the newest tree head that this process knows.
type Pin = Box<dyn Fn() -> Option<TreeHead> + Send + Sync>;

/// Trust file with the digest of its bytes.
type Read = (Arc<TrustFile>, Digest);

impl fmt::Debug for TrustFileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustFileCache")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl TrustFileCache {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            last: Arc::new(Mutex::new(CachedFile::new(path.clone()))),
            path,
            pin: Arc::default(),
        }
    }

    /// Sets the source of the newest tree head. From the next read on, a key whose retirement names no tree head
    /// counts as retired at the tree head that `pin` returned when the file was read.
    pub fn pin_by(&self, pin: impl Fn() -> Option<TreeHead> + Send + Sync + 'static) {
        let _ = self.pin.set(Box::new(pin));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = CachedFile::new(self.path.clone());
    }

    /// Returns the current trust file and the digest of its bytes; reads the file only when it may have changed.
    /// An unreadable file is an error: the previous version may trust a key that was revoked since.
    ///
    /// # Errors
    /// `TRUST_FILE_UNREADABLE`, `TRUST_FILE_OPEN` if other users could have written it, and parse errors.
    pub fn read(&self) -> Result<Read, PublicError> {
        files::check_not_writable_by_others(&self.path).map_err(|e| unreadable(&e))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(SystemClock.now_ms(), |last| self.load(last)).cloned()
    }

    fn load(&self, last: Option<&Read>) -> Result<Read, PublicError> {
        let bytes = files::read_bounded(&self.path, FILE_LIMIT).map_err(|e| unreadable(&e))?;
        let digest = TrustFile::digest_of(&bytes);
        if let Some(last) = last.filter(|(_, last)| *last == digest) {
            return Ok(last.clone());
        }
        let mut file = TrustFile::parse(&bytes)?;
        file.pin_retirements(
            self.pin.get().and_then(|pin| pin()),
            last.map(|(file, _)| file.as_ref()),
        );
        if last.is_some() {
            tracing::warn!(%digest, "trust file changed");
        }
        Ok((Arc::new(file), digest))
    }
}

fn unreadable(error: &FileError) -> PublicError {
    let code = if matches!(error, FileError::WritableByOthers { .. }) {
        ErrorCode::TrustFileOpen
    } else {
        ErrorCode::TrustFileUnreadable
    };
    PublicError::new(code, format!("invalid trust file: {error}; {}", error.fix()))
}

/// Reads a contract and rejects one that no process can run.
///
/// # Errors
/// When the file is unreadable or invalid; of several validation errors, reports the first and their number.
pub fn load_contract(path: &Path) -> Result<Contract, ExitError> {
    let bytes = files::read_bounded(path, FILE_LIMIT)?;
    let checked = Contract::parse(&bytes).map_err(|report| {
        let first = report.errors.first();
        let first_path = first.map_or(String::new(), |p| {
            format!("{} at {}: {}", p.code.as_str(), p.path, p.message)
        });
        let text = format!(
            "{} has {} errors, first {first_path}",
            path.display(),
            report.errors.len()
        );
        ExitError::new(ErrorCode::ContractInvalid, text)
            .with_fix("correct and validate the contract, then start again")
    })?;
    checked.contract.runnable().map_err(|problem| {
        ExitError::new(problem.code, format!("{} at {}", path.display(), problem.path))
            .with_fix(&problem.message)
    })?;
    for warning in &checked.warnings {
        tracing::warn!(code = warning.code.as_str(), path = %warning.path, "{}", warning.message);
    }
    Ok(checked.contract)
}

/// Reads this process's signing key, which must not have a passphrase: no operator is present to type it.
///
/// # Errors
/// When other users can read the file, or it holds no such key.
pub fn load_signing_key(path: &Path) -> Result<SigningKey, ExitError> {
    let pem = files::read_private(path, KEY_BYTES_MAX)?;
    let unusable = |why: &str| {
        ExitError::new(
            ErrorCode::SigningKeyUnusable,
            format!("{}: {why}", path.display()),
        )
        .with_fix("pass an Ed25519 private key in PKCS#8 PEM form, mode 0600")
    };
    let pem = std::str::from_utf8(&pem).map_err(|_| unusable("not UTF-8"))?;
    SigningKey::from_pem(pem).map_err(|e| unusable(&e.to_string()))
}
