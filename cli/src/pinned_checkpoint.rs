//! Pinned checkpoint of the CLI: every contact with the ledger must extend it. One file, updated under a lock,
//! so that two concurrent commands cannot cause a false rollback error.

use std::path::Path;
use std::time::Duration;

use synapsor_anchors::pin_file::{PinFile, PinFileError};
use synapsor_chassis::files::FileLock;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::recovered_head;
use synapsor_domain::log::{
    Checkpoint, ConsistencyProof, ContinuityError, PinUpdate, PinnedCheckpoint, TreeHead,
};
use synapsor_domain::trust::{DeploymentEnvironment, TrustFile};

/// Delay between two tries for a lock that another command holds.
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Maximum number of tries for the lock: its holder makes one call with a timeout.
const LOCK_ATTEMPTS_MAX: u32 = 3000;

/// The pinned tree head of this CLI; `None` before the first contact or when the file is unusable, which
/// [`CheckpointPin::lock_and_load`] reports.
pub(crate) fn pinned(path: &Path, trust: &TrustFile) -> Option<TreeHead> {
    let pinned = PinFile::new(path).load().ok()??;
    (pinned.origin == trust.ledger_origin() && pinned.size > 0).then(|| pinned.head())
}

/// The pinned checkpoint, locked for one contact.
#[derive(Debug)]
pub(crate) struct CheckpointPin<'a> {
    trust: &'a TrustFile,
    file: PinFile,
    pinned: PinnedCheckpoint,
    _lock: FileLock,
}

impl<'a> CheckpointPin<'a> {
    /// Takes the lock and reads the pinned checkpoint.
    pub(crate) async fn lock_and_load(path: &Path, trust: &'a TrustFile) -> Result<Self, ExitError> {
        let lock = lock(&path.with_extension("lock")).await?;
        let file = PinFile::new(path);
        let pinned = match file.load() {
            Ok(Some(pinned)) => moved(pinned, &file, trust)?,
            Ok(None) => PinnedCheckpoint::new(&trust.ledger_origin()),
            Err(error @ PinFileError::Corrupt(_)) => return Err(corrupt(&error)),
            Err(PinFileError::File(error)) => return Err(error.into()),
        };
        Ok(Self {
            trust,
            file,
            pinned,
            _lock: lock,
        })
    }

    /// The tree head to send to the ledger.
    pub(crate) const fn known(&self) -> &PinnedCheckpoint {
        &self.pinned
    }

    /// Verifies that a signed checkpoint extends the pinned one, and persists it before it is used.
    pub(crate) fn accept(
        &mut self,
        note: &str,
        proof: Option<&ConsistencyProof>,
    ) -> Result<Checkpoint, ExitError> {
        let checkpoint = verified(note, self.trust)?;
        match self.pinned.advance(&checkpoint, proof) {
            Ok(PinUpdate::Unchanged) => {}
            Ok(PinUpdate::Grew) => self.file.store(&self.pinned)?,
            Err(error) => return Err(not_continued(error, self.trust.environment)),
        }
        Ok(checkpoint)
    }
}

/// Moves the pin to the head that operators signed in the trust file, if they named exactly this pin.
fn moved(
    mut pinned: PinnedCheckpoint,
    file: &PinFile,
    trust: &TrustFile,
) -> Result<PinnedCheckpoint, ExitError> {
    if let Some(kept) = recovered_head(trust, &pinned.head()) {
        pinned.size = kept.size;
        pinned.root = kept.root;
        file.store(&pinned)?;
    }
    Ok(pinned)
}

fn verified(note: &str, trust: &TrustFile) -> Result<Checkpoint, ExitError> {
    trust
        .verify_checkpoint(note)
        .map(|(checkpoint, _)| checkpoint)
        .map_err(|error| {
            ExitError::new(error.code(), error.to_string())
                .with_fix("contact the ledger operator; ledger responses are rejected until this is resolved")
        })
}

fn not_continued(error: ContinuityError, environment: DeploymentEnvironment) -> ExitError {
    let fix = match environment {
        DeploymentEnvironment::Dev => {
            "restore the newest store; if later events are lost for good, sign that with `synapsor-runner ledger recover`, \
             or discard this history with `synapsor-runner store reset --yes`"
        }
        DeploymentEnvironment::Staging | DeploymentEnvironment::Production => {
            "restore the newest copy of the ledger store; if later events are lost for good, operators with the role `recovery` \
             sign that with `synapsor-runner ledger recover`"
        }
    };
    ExitError::new(error.code(), error.to_string()).with_fix(fix)
}

fn corrupt(error: &PinFileError) -> ExitError {
    ExitError::new(ErrorCode::WitnessDamaged, error.to_string())
        .with_fix("restore the file; without it a ledger rollback would go undetected")
}

async fn lock(path: &Path) -> Result<FileLock, ExitError> {
    for _ in 0..LOCK_ATTEMPTS_MAX {
        if let Some(lock) = FileLock::try_exclusive(path)? {
            return Ok(lock);
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
    Err(ExitError::new(
        ErrorCode::WitnessBusy,
        format!(
            "{} has been locked by another command for a minute",
            path.display()
        ),
    )
    .with_fix("end the other command and retry"))
}

#[cfg(test)]
mod tests {
    use synapsor_codes::Exit;

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
    async fn rejects_rollback_and_fork_without_moving_the_pin() {
        let folder = tempfile::tempdir().unwrap();
        let (path, trust) = (folder.path().join("cli.witness"), trust());
        let mut pin = CheckpointPin::lock_and_load(&path, &trust).await.unwrap();
        pin.accept(&note(5, 1, 3), None).unwrap();
        let before = std::fs::read(&path).unwrap();
        for (note, code, exit) in [
            (note(3, 1, 3), ErrorCode::LedgerRolledBack, Exit::RolledBack),
            (note(5, 2, 3), ErrorCode::LedgerForked, Exit::Forked),
            (note(6, 2, 3), ErrorCode::WitnessProofMissing, Exit::Tampered),
            (note(6, 2, 4), ErrorCode::CheckpointSignature, Exit::Tampered),
        ] {
            let failure = pin.accept(&note, None).unwrap_err();
            assert_eq!((failure.code(), failure.exit()), (code, exit));
        }
        assert_eq!(std::fs::read(&path).unwrap(), before);
        drop(pin);
        let again = CheckpointPin::lock_and_load(&path, &trust).await.unwrap();
        assert_eq!(again.known().size, 5);
    }

    #[tokio::test]
    async fn rejects_corrupt_pinned_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let (path, trust) = (folder.path().join("cli.witness"), trust());
        std::fs::write(&path, "{}").unwrap();
        let failure = CheckpointPin::lock_and_load(&path, &trust).await.unwrap_err();
        assert_eq!(
            (failure.code(), failure.exit()),
            (ErrorCode::WitnessDamaged, Exit::Tampered)
        );
    }
}
