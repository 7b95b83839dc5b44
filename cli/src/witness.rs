//! The CLI's own memory of the log: every contact must continue what was seen at the last one. One file, moved
//! under a lock, so that two commands at once cannot make each other see a rollback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use synapsor_chassis::files::{self, FileError, FileLock, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;
use synapsor_domain::log::{
    Checkpoint, ConsistencyProof, ContinuityError, PinUpdate, PinnedCheckpoint, TreeHead,
};
use synapsor_domain::trust::{DeploymentEnvironment, TrustFile};

use crate::clients::EXIT_TAMPERED;

/// Bytes of a witness file: an origin, a hash and a size.
const FILE_BYTES_MAX: u64 = 4096;
/// Pause between two looks at a lock that another command holds.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Looks at the lock before giving up: a holder makes one bounded call.
const LOCK_LOOKS_MAX: u32 = 3000;

/// Exit code of a log that is shorter than it was.
const EXIT_ROLLED_BACK: u8 = 11;
/// Exit code of a log that is not what it was.
const EXIT_FORKED: u8 = 12;

/// The head up to which this CLI has verified the log; `None` before the first contact or when the file cannot be
/// used, which [`Keeper::hold`] reports.
pub(crate) fn pinned(path: &Path, trust: &TrustFile) -> Option<TreeHead> {
    let bytes = files::read_bounded(path, FILE_BYTES_MAX).ok()?;
    let witness = PinnedCheckpoint::from_bytes(&bytes)?;
    (witness.origin == trust.ledger_origin() && witness.size > 0).then(|| witness.head())
}

/// The witness, held for the time of one contact.
#[derive(Debug)]
pub(crate) struct Keeper<'a> {
    trust: &'a TrustFile,
    path: PathBuf,
    witness: PinnedCheckpoint,
    _lock: FileLock,
}

impl<'a> Keeper<'a> {
    /// Takes the lock and reads what was seen last.
    pub(crate) async fn hold(path: &Path, trust: &'a TrustFile) -> Result<Self, ExitError> {
        let lock = lock(&path.with_extension("lock")).await?;
        let origin = trust.ledger_origin();
        let witness = match files::read_bounded(path, FILE_BYTES_MAX) {
            Ok(bytes) => PinnedCheckpoint::from_bytes(&bytes).ok_or_else(|| damaged(path))?,
            Err(FileError::Missing { .. }) => PinnedCheckpoint::new(&origin),
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            trust,
            path: path.to_owned(),
            witness,
            _lock: lock,
        })
    }

    /// What to tell the ledger.
    pub(crate) const fn known(&self) -> &PinnedCheckpoint {
        &self.witness
    }

    /// Believes a signed checkpoint if it continues what was seen, and remembers it before anything is done with it.
    pub(crate) fn accept(
        &mut self,
        note: &str,
        proof: Option<&ConsistencyProof>,
    ) -> Result<Checkpoint, ExitError> {
        let checkpoint = verified(note, self.trust)?;
        match self.witness.advance(&checkpoint, proof) {
            Ok(PinUpdate::Unchanged) => {}
            Ok(PinUpdate::Grew) => files::write_atomic(&self.path, &self.witness.to_bytes(), MODE_PRIVATE)?,
            Err(error) => return Err(not_continued(error, self.trust.environment)),
        }
        Ok(checkpoint)
    }
}

fn verified(note: &str, trust: &TrustFile) -> Result<Checkpoint, ExitError> {
    trust
        .verify_checkpoint(note)
        .map(|(checkpoint, _)| checkpoint)
        .map_err(|error| {
            ExitError::new(error.code(), error.to_string())
                .with_fix("ask who runs the ledger; nothing that it says is believed until then")
                .with_exit(EXIT_TAMPERED)
        })
}

fn not_continued(error: ContinuityError, environment: DeploymentEnvironment) -> ExitError {
    let exit = match error {
        ContinuityError::RolledBack { .. } => EXIT_ROLLED_BACK,
        ContinuityError::Forked { .. } => EXIT_FORKED,
        ContinuityError::OtherLog | ContinuityError::ProofMissing { .. } => EXIT_TAMPERED,
    };
    let fix = match environment {
        DeploymentEnvironment::Dev => {
            "put the newest store back, or give this history up with `synapsor-runner store reset --yes`"
        }
        DeploymentEnvironment::Staging | DeploymentEnvironment::Production => {
            "put the newest copy of the ledger's store back"
        }
    };
    ExitError::new(error.code(), error.to_string())
        .with_fix(fix)
        .with_exit(exit)
}

fn damaged(path: &Path) -> ExitError {
    ExitError::new(
        "WITNESS_DAMAGED",
        format!("{} is not what this program wrote", path.display()),
    )
    .with_fix("put the file back; without it a rolled-back ledger would go unnoticed")
    .with_exit(EXIT_TAMPERED)
}

async fn lock(path: &Path) -> Result<FileLock, ExitError> {
    for _ in 0..LOCK_LOOKS_MAX {
        if let Some(lock) = FileLock::try_exclusive(path)? {
            return Ok(lock);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(ExitError::new(
        "WITNESS_BUSY",
        format!("another command has held {} for a minute", path.display()),
    )
    .with_fix("end the other command and try again"))
}

#[cfg(test)]
mod tests {
    use synapsor_domain::log::sign_checkpoint;
    use synapsor_domain::signing::SigningKey;
    use zeroize::Zeroizing;

    use super::*;

    const ORIGIN: &str = "synapsor/d1";

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Zeroizing::new([seed; 32]))
    }

    fn trust() -> TrustFile {
        let service = serde_json::json!({ "key_id": key(3).key_id(), "public_key": key(3).public_key() });
        let file = serde_json::json!({
            "version": 1, "deployment_id": "d1", "environment": "dev",
            "readers": [], "writers": [], "ledgers": [service], "operators": [],
        });
        TrustFile::parse(file.to_string().as_bytes()).unwrap()
    }

    fn note(size: u64, root: u8, seed: u8) -> String {
        sign_checkpoint(ORIGIN, size, &[root; 32], &key(seed)).unwrap()
    }

    #[tokio::test]
    async fn a_shorter_or_another_log_is_named_as_such_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, trust) = (folder.path().join("cli.witness"), trust());
        let mut keeper = Keeper::hold(&path, &trust).await.unwrap();
        keeper.accept(&note(5, 1, 3), None).unwrap();
        let before = std::fs::read(&path).unwrap();
        for (note, code, exit) in [
            (note(3, 1, 3), "LEDGER_ROLLED_BACK", 11),
            (note(5, 2, 3), "LEDGER_FORKED", 12),
            (note(6, 2, 3), "WITNESS_PROOF_MISSING", 10),
            (note(6, 2, 4), "CHECKPOINT_SIGNATURE", 10),
        ] {
            let failure = keeper.accept(&note, None).unwrap_err();
            assert_eq!((failure.code(), failure.exit()), (code, exit));
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
        drop(keeper);
        let again = Keeper::hold(&path, &trust).await.unwrap();
        assert_eq!(again.known().size, 5);
    }

    #[tokio::test]
    async fn a_damaged_witness_is_not_taken_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, trust) = (folder.path().join("cli.witness"), trust());
        std::fs::write(&path, "{}").unwrap();
        let failure = Keeper::hold(&path, &trust).await.unwrap_err();
        assert_eq!((failure.code(), failure.exit()), ("WITNESS_DAMAGED", 10));
    }
}
