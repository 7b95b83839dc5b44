//! Reads the files that this process trusts: the trust file, reloaded whenever its bytes change, and its own
//! copy of the contract.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::{self, FileError, FileStamp};
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
    last: Arc<Mutex<Option<Last>>>,
    /// Determines the tree head at which a key counts as retired if its entry names none.
    pin: Arc<OnceLock<Pin>>,
}

/// Returns the newest tree head that this process knows.
type Pin = Box<dyn Fn() -> Option<TreeHead> + Send + Sync>;

/// Trust file with the digest of its bytes.
type Read = (Arc<TrustFile>, Digest);

/// Version read last.
#[derive(Debug)]
struct Last {
    read: Read,
    /// Present if any later change of the file yields a different stamp.
    stamp: Option<FileStamp>,
}

impl fmt::Debug for TrustFileCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustFileCache")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl TrustFileCache {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            last: Arc::default(),
            pin: Arc::default(),
        }
    }

    /// Sets the source of the newest tree head. From the next read on, a key whose retirement names no tree head
    /// counts as retired at the tree head that `pin` returned when the file was read.
    pub fn pin_by(&self, pin: impl Fn() -> Option<TreeHead> + Send + Sync + 'static) {
        let _ = self.pin.set(Box::new(pin));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns the current trust file and the digest of its bytes; reads the file only when it may have changed.
    /// An unreadable file is an error: the previous version may trust a key that was revoked since.
    ///
    /// # Errors
    /// `TRUST_FILE_UNREADABLE`, `TRUST_FILE_OPEN` if other users could have written it, and parse errors.
    pub fn read(&self) -> Result<Read, PublicError> {
        files::check_not_writable_by_others(&self.path).map_err(|e| unreadable(&e))?;
        let stamp = FileStamp::of(&self.path).map_err(|e| unreadable(&e))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*last
            && known.stamp.as_ref() == Some(&stamp)
        {
            return Ok(known.read.clone());
        }
        let settled = Some(stamp).filter(|stamp| stamp.is_stable(SystemClock.now_ms()));
        let bytes = files::read_bounded(&self.path, FILE_LIMIT).map_err(|e| unreadable(&e))?;
        let digest = TrustFile::digest_of(&bytes);
        let file = match &*last {
            Some(known) if known.read.1 == digest => known.read.0.clone(),
            known => {
                let mut file = TrustFile::parse(&bytes)?;
                let earlier = known.as_ref().map(|known| known.read.0.as_ref());
                file.pin_retirements(self.pin.get().and_then(|pin| pin()), earlier);
                if known.is_some() {
                    tracing::warn!(%digest, "trust file changed");
                }
                Arc::new(file)
            }
        };
        *last = Some(Last {
            read: (file.clone(), digest),
            stamp: settled,
        });
        Ok((file, digest))
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
        let place = first.map_or(String::new(), |p| {
            format!("{} at {}: {}", p.code.as_str(), p.path, p.message)
        });
        let text = format!(
            "{} has {} errors, first {place}",
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
