//! The trust file as the steps of the ledger use it.

use std::sync::Arc;

use synapsor_anchors::trust::TrustFileCache;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::TreeHead;
use synapsor_domain::signing::{KeyId, PublicKey};
use synapsor_domain::trust::TrustFile;
use tokio::sync::watch;

use crate::store::SignedTreeHead;

/// A trust file with the digest of its bytes.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Content of the file.
    pub file: Arc<TrustFile>,
    /// Digest of the bytes from which it was decoded.
    pub digest: Digest,
}

impl Trust {
    /// Returns the current content.
    ///
    /// # Errors
    /// When the file is no longer readable: the old content may name a revoked key.
    pub(crate) fn current(cache: &TrustFileCache) -> Result<Self, PublicError> {
        let (file, digest) = cache.read()?;
        Ok(Self { file, digest })
    }

    /// Returns the key of a reader that may sign new objects.
    pub(crate) fn reader(&self, id: &KeyId) -> Option<&PublicKey> {
        self.file
            .readers
            .iter()
            .find(|k| k.key_id == *id && !k.is_retired())
            .map(|k| &k.public_key)
    }
}

/// A key whose retirement names no tree head counts as retired at the head that the ledger's own log had when the
/// file was read.
pub(crate) fn pin_by(cache: &TrustFileCache, head: watch::Receiver<SignedTreeHead>) {
    cache.pin_by(move || {
        let head = head.borrow();
        Some(TreeHead {
            size: head.size,
            root: head.root,
        })
    });
}
