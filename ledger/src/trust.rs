//! The ledger's own copy of the trust file, reloaded when the file on disk changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::{self, FileError, FileStamp};
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::log::TreeHead;
use synapsor_domain::signing::{KeyId, PublicKey};
use synapsor_domain::trust::TrustFile;
use tokio::sync::watch;

use crate::store::SignedTreeHead;

/// A trust file with the digest of its bytes.
#[derive(Debug)]
pub struct Trust {
    /// Content of the file.
    pub file: TrustFile,
    /// Digest of the bytes from which it was decoded.
    pub digest: Digest,
}

/// Path of the trust file, and its content when it was last read.
#[derive(Debug)]
pub struct TrustFileCache {
    path: PathBuf,
    last: Mutex<Last>,
    /// Head of the ledger's own log: a key whose entry names no tree head counts as retired there.
    head: OnceLock<watch::Receiver<SignedTreeHead>>,
}

/// The last content, with the stamp of the file if any later change gives the file another stamp.
type Last = (Option<FileStamp>, Arc<Trust>);

impl TrustFileCache {
    /// Reads the file for the first time.
    pub fn open(path: &Path) -> Result<Self, PublicError> {
        let last = Mutex::new(read(path, None, None)?);
        Ok(Self {
            path: path.to_owned(),
            last,
            head: OnceLock::new(),
        })
    }

    /// From the next reload, a key whose retirement names no tree head counts as retired at the head that the log
    /// had when the file was read.
    pub(crate) fn pin_by(&self, head: watch::Receiver<SignedTreeHead>) {
        let _ = self.head.set(head);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
    }

    /// Returns the current content. Fails when the file is no longer readable: the old content may name a revoked
    /// key.
    pub fn current(&self) -> Result<Arc<Trust>, PublicError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = FileStamp::of(&self.path).map_err(|_| unreadable())?;
        if last.0 != Some(stamp) {
            let pinned = self.head.get().map(|head| {
                let head = head.borrow();
                TreeHead {
                    size: head.size,
                    root: head.root,
                }
            });
            *last = read(&self.path, pinned, Some(&last.1.file))?;
        }
        Ok(last.1.clone())
    }
}

impl Trust {
    /// Returns the key of a reader that may sign new objects.
    pub(crate) fn reader(&self, id: &KeyId) -> Option<&PublicKey> {
        self.file
            .readers
            .iter()
            .find(|k| k.key_id == *id && !k.is_retired())
            .map(|k| &k.public_key)
    }
}

fn read(path: &Path, pinned: Option<TreeHead>, earlier: Option<&TrustFile>) -> Result<Last, PublicError> {
    // The stamp is read first, so that the next check detects a change in between.
    let stamp = FileStamp::of(path).map_err(|_| unreadable())?;
    let stamp = Some(stamp).filter(|stamp| stamp.is_stable(SystemClock.now_ms()));
    files::check_not_writable_by_others(path).map_err(|e| unusable(&e))?;
    let limit = u64::try_from(FILE_BYTES_MAX).expect("a file limit fits 64 bits");
    let bytes = files::read_bounded(path, limit).map_err(|_| unreadable())?;
    let mut file = TrustFile::parse(&bytes)?;
    file.pin_retirements(pinned, earlier);
    Ok((
        stamp,
        Arc::new(Trust {
            file,
            digest: TrustFile::digest_of(&bytes),
        }),
    ))
}

fn unusable(error: &FileError) -> PublicError {
    match error {
        FileError::WritableByOthers { .. } => PublicError::new(
            ErrorCode::TrustFileOpen,
            format!("the trust file is not usable: {error}; {}", error.fix()),
        ),
        _ => unreadable(),
    }
}

fn unreadable() -> PublicError {
    PublicError::new(
        ErrorCode::TrustFileUnreadable,
        "the ledger's trust file is not readable; restore it and make it readable",
    )
}
