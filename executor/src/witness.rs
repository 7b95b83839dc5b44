//! This process's memory of the log, kept in a file: how far it had grown when it was last believed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use synapsor_chassis::files::{self, FileError, MODE_PRIVATE};
use synapsor_domain::log::{Checkpoint, ConsistencyProof, Witness, verify_checkpoint};
use synapsor_domain::refusal::Refusal;
use synapsor_domain::trust::TrustFile;
use synapsor_proto::common::v1::KnownCheckpoint;

const FILE_BYTES_MAX: u64 = 4096;

/// A witness and the file that it survives in.
#[derive(Debug, Clone)]
pub struct WitnessFile {
    path: PathBuf,
    inner: Arc<Mutex<Witness>>,
}

impl WitnessFile {
    /// Reads the witness of one log, or begins one.
    pub fn load(path: PathBuf, origin: &str) -> Result<Self, Refusal> {
        let witness = match files::read_bounded(&path, FILE_BYTES_MAX) {
            Ok(bytes) => Witness::from_bytes(&bytes)
                .filter(|w| w.origin == origin)
                .ok_or_else(|| {
                    Refusal::new(
                        "WITNESS_OTHER_LOG",
                        format!(
                            "{} remembers another log; move it away if the deployment was made anew",
                            path.display()
                        ),
                    )
                })?,
            Err(FileError::Missing(_)) => Witness::new(origin),
            Err(error) => return Err(Refusal::new("WITNESS_UNREADABLE", error.to_string())),
        };
        Ok(Self {
            path,
            inner: Arc::new(Mutex::new(witness)),
        })
    }

    /// What to tell the ledger, so that it can prove that it only grew.
    pub fn known(&self) -> KnownCheckpoint {
        KnownCheckpoint::from(&*self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Believes a signed checkpoint that continues the log, and remembers it durably. A checkpoint behind the
    /// remembered one is a ledger that was rolled back, or an answer that was overtaken by a newer one.
    pub fn accept(
        &self,
        note: &str,
        proofs: &[ConsistencyProof],
        trust: &TrustFile,
    ) -> Result<Checkpoint, Refusal> {
        let origin = trust.ledger_origin();
        let refused = |text: String| Refusal::new("refused:ledger_proof", text);
        let checkpoint = trust
            .ledgers
            .iter()
            .find_map(|key| verify_checkpoint(note, &origin, &key.public_key).ok())
            .ok_or_else(|| {
                refused("the checkpoint is not signed by a ledger of the trust file".to_owned())
            })?;
        let mut witness = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let proof = proofs
            .iter()
            .find(|p| p.old_size() == witness.size && p.new_size() == checkpoint.size);
        let before = witness.size;
        witness.advance(&checkpoint, proof).map_err(|e| {
            tracing::error!(
                code = e.code(),
                "the ledger does not continue what this process has seen of it"
            );
            refused(format!("{}: {e}", e.code()))
        })?;
        if witness.size != before && !self.is_behind_file(&witness) {
            files::write_atomic(&self.path, &witness.to_bytes(), MODE_PRIVATE)
                .map_err(|e| refused(format!("the witness file cannot be written: {e}")))?;
        }
        Ok(checkpoint)
    }

    /// Whether another process of the same role has remembered more: what is on file must never shrink.
    fn is_behind_file(&self, witness: &Witness) -> bool {
        let on_file = files::read_bounded(&self.path, FILE_BYTES_MAX).ok();
        let on_file = on_file.and_then(|bytes| Witness::from_bytes(&bytes));
        on_file.is_some_and(|w| w.origin == witness.origin && w.size > witness.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_remembered_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader.witness");
        let file = WitnessFile::load(path.clone(), "synapsor/x").unwrap();
        let more = Witness {
            origin: "synapsor/x".to_owned(),
            size: 9,
            root: [1; 32],
        };
        let less = Witness {
            size: 4,
            ..more.clone()
        };
        assert!(!file.is_behind_file(&less));
        std::fs::write(&path, more.to_bytes()).unwrap();
        assert!(file.is_behind_file(&less) && !file.is_behind_file(&more));
    }
}
