//! Stores, in the state directory, receipts whose COMMIT left another version of the row than the one that was
//! checked. Such a receipt is genuine and in the source, but is not reported as applied until an operator adopts
//! it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synapsor_chassis::files::{self, FileError, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::writeback::ReceiptRef;

const FILE: &str = "changed-rows.json";
/// Maximum size of the file, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Receipts that do not count. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct ChangedRows {
    path: PathBuf,
    receipts: Arc<Mutex<Vec<ReceiptRef>>>,
}

impl ChangedRows {
    /// Reads the list that an earlier process left.
    ///
    /// # Errors
    /// `CHANGED_ROWS_UNREADABLE` for a malformed file: an alarm must not be lost with it.
    pub(crate) fn open(state_dir: &std::path::Path) -> Result<Self, ExitError> {
        let path = state_dir.join(FILE);
        let receipts = match files::read_bounded(&path, FILE_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let text = format!("{}: {error}", path.display());
                ExitError::new(ErrorCode::ChangedRowsUnreadable, text)
                    .with_fix("restore the file; it lists receipts that an operator must inspect")
            })?,
            Err(FileError::Missing(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            path,
            receipts: Arc::new(Mutex::new(receipts)),
        })
    }

    /// Returns whether a receipt must not be reported as applied.
    pub(crate) fn has(&self, proposal: &ProposalId, digest: Digest) -> bool {
        let mut known = self.lock();
        known
            .iter_mut()
            .any(|known| known.proposal_id == *proposal && known.receipt_digest == digest)
    }

    /// Prevents a receipt from being reported, at once in memory and durably when this returns `Ok`.
    pub(crate) async fn add(&self, receipt: ReceiptRef) -> Result<(), PublicError> {
        {
            let mut known = self.lock();
            if !known.contains(&receipt) {
                known.push(receipt);
            }
        }
        self.save().await
    }

    /// Removes a receipt that an operator adopted.
    pub(crate) async fn remove(&self, proposal: &ProposalId) -> Result<(), PublicError> {
        self.lock().retain(|known| known.proposal_id != *proposal);
        self.save().await
    }

    async fn save(&self) -> Result<(), PublicError> {
        let this = self.clone();
        let saved = tokio::task::spawn_blocking(move || {
            // Under the lock, so that an older list never overwrites a newer one.
            let known = this.lock();
            let bytes = serde_json::to_vec(&*known).map_err(|e| not_written(e.to_string()))?;
            files::write_atomic(&this.path, &bytes, MODE_PRIVATE).map_err(|e| not_written(e.to_string()))
        });
        saved.await.map_err(|_| not_written("thread ended".to_owned()))?
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ReceiptRef>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_written(detail: String) -> PublicError {
    PublicError::new(
        ErrorCode::StateNotWritable,
        "list of changed rows not writable; make the state directory writable",
    )
    .with_detail(detail)
}

/// Error for a receipt whose COMMIT left another row than the one that was checked.
pub(crate) fn row_changed() -> PublicError {
    PublicError::new(
        ErrorCode::RefusedRowChangedInCommit,
        "COMMIT left another version of the row than the one that was checked; inspect the row, then sign \
         `synapsor-runner receipts adopt`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn changed_row_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let receipt = ReceiptRef {
            proposal_id: format!("wrp_{}", "01".repeat(10)).parse().unwrap(),
            receipt_digest: Digest::of_typed("test", b"receipt"),
        };
        ChangedRows::open(dir.path())
            .unwrap()
            .add(receipt.clone())
            .await
            .unwrap();
        let again = ChangedRows::open(dir.path()).unwrap();
        assert!(again.has(&receipt.proposal_id, receipt.receipt_digest));
        assert!(!again.has(&receipt.proposal_id, Digest::of_typed("test", b"another")));
        again.remove(&receipt.proposal_id).await.unwrap();
        let adopted = ChangedRows::open(dir.path()).unwrap();
        assert!(!adopted.has(&receipt.proposal_id, receipt.receipt_digest));
    }

    #[test]
    fn rejects_start_with_malformed_changed_row_list() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in ["", "[", "{}", r#"[{"proposal_id":"wrp_1"}]"#] {
            std::fs::write(dir.path().join(FILE), bytes).unwrap();
            let failure = ChangedRows::open(dir.path()).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ChangedRowsUnreadable, "{bytes}");
        }
    }

    #[tokio::test]
    async fn changed_row_counts_when_list_is_not_writable() {
        let dir = tempfile::tempdir().unwrap();
        let receipt = ReceiptRef {
            proposal_id: format!("wrp_{}", "01".repeat(10)).parse().unwrap(),
            receipt_digest: Digest::of_typed("test", b"receipt"),
        };
        let known = ChangedRows::open(dir.path()).unwrap();
        // No file can replace a directory that is not empty, not even as root.
        let list = dir.path().join(FILE);
        std::fs::create_dir_all(list.join("in-the-way")).unwrap();
        for _ in 0..2 {
            let refused = known.add(receipt.clone()).await.unwrap_err();
            assert_eq!(refused.code, ErrorCode::StateNotWritable);
            assert!(known.has(&receipt.proposal_id, receipt.receipt_digest));
        }
        std::fs::remove_dir_all(&list).unwrap();
        known.add(receipt.clone()).await.unwrap();
        let again = ChangedRows::open(dir.path()).unwrap();
        assert!(again.has(&receipt.proposal_id, receipt.receipt_digest));
    }
}
