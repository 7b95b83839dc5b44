//! Keeps the pinned checkpoint of the log in a file: the last tree head that this process verified.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::recovered_head;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::{
    Checkpoint, ConsistencyProof, ContinuityError, LogError, PinnedCheckpoint, TreeHash, TreeHead,
};
use synapsor_domain::signing::PublicKey;
use synapsor_domain::trust::{ServiceKey, TrustFile};
use synapsor_proto::common::v1 as wire;
use synapsor_proto::ledger::v1::GetCheckpointResponse;

use crate::pin_file::{PinFile, PinFileError};

/// Minimum interval between writes of the pin file. A killed process loses at most the log growth of this
/// interval, and nothing that it verified before. Submissions and writebacks do not rest on this interval.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
/// Verified tree heads cached beside the newest, so that an overtaken response is recognized.
const HEADS_MAX: usize = 64;

/// Pinned checkpoint and the file that stores it.
#[derive(Debug, Clone)]
pub struct CheckpointPinFile {
    file: PinFile,
    inner: Arc<Mutex<PinState>>,
    /// Serializes writes, so that an older pin never overwrites a newer one.
    writing: Arc<Mutex<()>>,
}

#[derive(Debug)]
struct PinState {
    pinned: PinnedCheckpoint,
    /// Note of the newest tree head, with the key that verified it.
    note: Option<(String, PublicKey)>,
    /// Tree heads verified recently, newest last.
    heads: VecDeque<(u64, TreeHash)>,
    /// Tree heads at which keys were retired and that this log provably continues; at most those named by the
    /// trust file.
    continued: BTreeSet<TreeHead>,
    /// Tree size in the file.
    kept: u64,
    kept_at: Option<Instant>,
    is_due: bool,
    failure: Option<PublicError>,
}

/// Verification status of a response's checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// The log only grew, both from the tree head before the request and from the one pinned since.
    Verified,
    /// The checkpoint may continue the pinned one, but no proof shows it.
    Unproven { size: u64 },
}

impl CheckpointPinFile {
    /// Loads the pinned checkpoint of one log, or starts without one.
    pub fn load(path: PathBuf, origin: &str) -> Result<Self, PublicError> {
        let file = PinFile::new(path);
        let pinned = match file.load() {
            Ok(Some(pinned)) if pinned.origin == origin => pinned,
            Ok(None) => PinnedCheckpoint::new(origin),
            Ok(Some(_)) | Err(PinFileError::Corrupt(_)) => {
                return Err(PublicError::new(
                    ErrorCode::WitnessOtherLog,
                    format!(
                        "{} pins another log; move it away if the deployment was recreated",
                        file.path().display()
                    ),
                ));
            }
            Err(error @ PinFileError::File(_)) => {
                return Err(PublicError::new(ErrorCode::WitnessUnreadable, error.to_string()));
            }
        };
        let memory = PinState {
            kept: pinned.size,
            pinned,
            note: None,
            heads: VecDeque::new(),
            continued: BTreeSet::new(),
            kept_at: None,
            is_due: false,
            failure: None,
        };
        Ok(Self {
            file,
            inner: Arc::new(Mutex::new(memory)),
            writing: Arc::default(),
        })
    }

    /// Moves the pin to the head that operators signed in the trust file after events were lost, if they named exactly this
    /// pin. Called once, at the start.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn recover(&self, trust: &TrustFile) -> Result<(), PublicError> {
        let mut memory = self.memory();
        let Some(kept) = recovered_head(trust, &memory.pinned.head()) else {
            return Ok(());
        };
        let moved = PinnedCheckpoint {
            origin: memory.pinned.origin.clone(),
            size: kept.size,
            root: kept.root,
        };
        self.file.store(&moved).map_err(|error| {
            refused(format!("pinned checkpoint file not writable: {error}")).with_operator_fix(error.fix())
        })?;
        tracing::warn!(
            from = memory.pinned.size,
            to = moved.size,
            "operators signed that later events of the log were lost; the pinned checkpoint moved"
        );
        memory.kept = moved.size;
        memory.pinned = moved;
        memory.heads.clear();
        memory.note = None;
        Ok(())
    }

    fn memory(&self) -> MutexGuard<'_, PinState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the newest pinned checkpoint.
    pub fn seen(&self) -> PinnedCheckpoint {
        self.memory().pinned.clone()
    }

    /// Returns the tree head up to which the log was verified; `None` before the first. The log of this file
    /// continues it for as long as the process lives.
    pub fn pin(&self) -> Option<TreeHead> {
        let mut memory = self.memory();
        let head = memory.pinned.head();
        if head.size == 0 {
            return None;
        }
        memory.continued.insert(head);
        Some(head)
    }

    /// Returns whether the verified log provably continues this tree head.
    pub fn continues(&self, head: &TreeHead) -> bool {
        let memory = self.memory();
        memory.continued.contains(head) || memory.pinned.head() == *head
    }

    /// Verifies the checkpoint of a response as [`Self::judge`] does, and records its proofs: the log of this
    /// file then provably continues those of `heads` that the proofs cover.
    ///
    /// # Errors
    /// As [`Self::judge`].
    pub fn follow_from(
        &self,
        before: &PinnedCheckpoint,
        answer: &GetCheckpointResponse,
        heads: &BTreeSet<TreeHead>,
        trust: &TrustFile,
    ) -> Result<(), PublicError> {
        let checkpoint =
            self.verify_continuity(before, &answer.checkpoint, answer.consistency.as_slice(), trust)?;
        let proofs = answer
            .continued
            .iter()
            .cloned()
            .map(ConsistencyProof::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let mut memory = self.memory();
        let is_newest = memory.pinned.head() == checkpoint.head();
        let proven = heads
            .iter()
            // An overtaken response shares with this log only the tree head from before the request.
            .filter(|head| is_newest || head.size <= before.size)
            .filter(|head| head.is_of_one_log(&checkpoint.head(), &proofs));
        memory.continued.extend(proven);
        Ok(())
    }

    /// Returns the tree head to send to the ledger, so that the ledger can prove consistency with it.
    pub fn known(&self) -> wire::TreeHead {
        wire::TreeHead::from(&self.memory().pinned)
    }

    /// Pins a signed checkpoint that continues the log. A checkpoint behind the pinned one means that the ledger
    /// was rolled back, or that a newer response overtook this one. Before anything depends on it, it must be
    /// [persisted](Self::persist).
    pub fn accept(
        &self,
        note: &str,
        proofs: &[ConsistencyProof],
        trust: &TrustFile,
    ) -> Result<Checkpoint, PublicError> {
        // The jobs of one group carry one note.
        if let Some(newest) = self.memory().newest_if(note, trust) {
            return Ok(newest);
        }
        let (checkpoint, key) = verified(note, trust)?;
        self.memory().advance(&checkpoint, proofs, (note, key))?;
        Ok(checkpoint)
    }

    /// Returns when every checkpoint pinned until now is on file. Concurrent callers share one write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn persist(&self) -> Result<(), PublicError> {
        if self.memory().is_on_file() {
            return Ok(());
        }
        let this = self.clone();
        let written = tokio::task::spawn_blocking(move || this.write_now()).await;
        written.map_err(|_| refused("pinned checkpoint not written".to_owned()))?
    }

    /// Verifies the checkpoint of a response to a request that was sent when `before` was the newest pinned tree
    /// head. The responses of one batch carry one note, which is verified once.
    pub fn verify_response_checkpoint(
        &self,
        before: &PinnedCheckpoint,
        note: &str,
        proofs: &[wire::ConsistencyProof],
        trust: &TrustFile,
    ) -> Result<CheckpointStatus, PublicError> {
        if self.memory().has_note(note, trust) {
            return Ok(CheckpointStatus::Verified);
        }
        let (checkpoint, key) = verified(note, trust)?;
        let proofs = proofs
            .iter()
            .cloned()
            .map(ConsistencyProof::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        let mut memory = self.memory();
        let seen = memory.pinned.size;
        let is_proven = |p: &ConsistencyProof| p.old_size() == seen && p.new_size() == checkpoint.size;
        if checkpoint.size > seen && (seen == 0 || proofs.iter().any(is_proven)) {
            memory.advance(&checkpoint, &proofs, (note, key))?;
            return Ok(CheckpointStatus::Verified);
        }
        // Other responses arrived first. The checkpoint must at least continue the tree head from before the
        // request.
        memory.continues(before, &checkpoint, &proofs)?;
        Ok(if checkpoint.size > seen {
            CheckpointStatus::Unproven {
                size: checkpoint.size,
            }
        } else {
            CheckpointStatus::Verified
        })
    }

    /// Verifies and returns the checkpoint of a response to a request that was sent when `before` was the newest
    /// pinned tree head; the caller checks the accompanying proofs against it. It is not pinned: the proofs of a
    /// lease stream continue the checkpoint of its previous job, and would not continue another one.
    ///
    /// # Errors
    /// When it is not signed by the ledger, or does not continue `before`.
    pub fn verify_continuity(
        &self,
        before: &PinnedCheckpoint,
        note: &str,
        proofs: &[wire::ConsistencyProof],
        trust: &TrustFile,
    ) -> Result<Checkpoint, PublicError> {
        let (checkpoint, _) = verified(note, trust)?;
        let proofs = proofs
            .iter()
            .cloned()
            .map(ConsistencyProof::try_from)
            .collect::<Result<Vec<_>, _>>()?;
        self.memory().continues(before, &checkpoint, &proofs)?;
        Ok(checkpoint)
    }

    /// Schedules a write of the pin file: at once if none happened recently, else at the end of the flush
    /// interval.
    ///
    /// # Errors
    /// When the last write failed; no call is answered while the pin cannot be persisted.
    pub async fn keep(&self) -> Result<(), PublicError> {
        let wait = {
            let mut memory = self.memory();
            if let Some(failure) = memory.failure.take() {
                return Err(failure);
            }
            if memory.is_due || memory.is_on_file() {
                return Ok(());
            }
            memory.is_due = true;
            let since = memory.kept_at.map(|at| at.elapsed());
            since.map_or(Duration::ZERO, |since| FLUSH_INTERVAL.saturating_sub(since))
        };
        let this = self.clone();
        if wait.is_zero() {
            return this.persist().await;
        }
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let file = this.clone();
            let written = tokio::task::spawn_blocking(move || file.write_now()).await;
            if let Ok(Err(refusal)) = written {
                this.memory().failure = Some(refusal);
            }
        });
        Ok(())
    }

    /// Writes the pinned checkpoint if it is newer than the one on file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_now(&self) -> Result<(), PublicError> {
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (pinned, kept) = {
            let mut memory = self.memory();
            memory.is_due = false;
            memory.kept_at = Some(Instant::now());
            (memory.pinned.clone(), memory.kept)
        };
        if pinned.size == kept {
            return Ok(());
        }
        if !self.is_behind_file(&pinned) {
            self.file.store(&pinned).map_err(|error| {
                refused(format!("pinned checkpoint file not writable: {error}"))
                    .with_operator_fix(error.fix())
            })?;
        }
        let mut memory = self.memory();
        memory.kept = memory.kept.max(pinned.size);
        Ok(())
    }

    /// Returns whether another process of the same role pinned a larger tree: the file must never shrink.
    fn is_behind_file(&self, pinned: &PinnedCheckpoint) -> bool {
        let on_file = self.file.load().ok().flatten();
        on_file.is_some_and(|w| w.origin == pinned.origin && w.size > pinned.size)
    }
}

impl PinState {
    /// Returns whether this is the note of the newest tree head, under a key that is still trusted.
    fn has_note(&self, note: &str, trust: &TrustFile) -> bool {
        let signs = |known: &ServiceKey, key: &PublicKey| known.public_key == *key && !known.is_retired();
        let is_trusted = |key: &PublicKey| trust.ledgers.iter().any(|known| signs(known, key));
        let newest = self.note.as_ref();
        newest.is_some_and(|(known, key)| known == note && is_trusted(key))
    }

    /// Returns the newest checkpoint if this is its note, under a key that is still trusted.
    fn newest_if(&self, note: &str, trust: &TrustFile) -> Option<Checkpoint> {
        self.has_note(note, trust).then(|| Checkpoint {
            origin: self.pinned.origin.clone(),
            size: self.pinned.size,
            root: self.pinned.root,
        })
    }

    const fn is_on_file(&self) -> bool {
        self.kept >= self.pinned.size
    }

    fn advance(
        &mut self,
        checkpoint: &Checkpoint,
        proofs: &[ConsistencyProof],
        (note, key): (&str, PublicKey),
    ) -> Result<(), PublicError> {
        let proof = proofs
            .iter()
            .find(|p| p.old_size() == self.pinned.size && p.new_size() == checkpoint.size);
        self.pinned.advance(checkpoint, proof).map_err(not_continued)?;
        self.note = Some((note.to_owned(), key));
        if self.heads.len() >= HEADS_MAX {
            self.heads.pop_front();
        }
        self.heads.push_back((checkpoint.size, checkpoint.root));
        Ok(())
    }

    /// Checks that a checkpoint was verified before, or continues at least the tree head from before a request.
    fn continues(
        &self,
        before: &PinnedCheckpoint,
        checkpoint: &Checkpoint,
        proofs: &[ConsistencyProof],
    ) -> Result<(), PublicError> {
        if let Some((_, root)) = self.heads.iter().find(|(size, _)| *size == checkpoint.size) {
            let (pinned, now) = (checkpoint.size, checkpoint.size);
            return if *root == checkpoint.root {
                Ok(())
            } else {
                Err(not_continued(ContinuityError::Forked { pinned, now }))
            };
        }
        let proof = proofs
            .iter()
            .find(|p| p.old_size() == before.size && p.new_size() == checkpoint.size);
        let continued = before.clone().advance(checkpoint, proof);
        continued.map(|_| ()).map_err(not_continued)
    }
}

/// Verifies a note; returns its checkpoint and the ledger key of the trust file that signed it.
fn verified(note: &str, trust: &TrustFile) -> Result<(Checkpoint, PublicKey), PublicError> {
    match trust.verify_checkpoint(note) {
        Ok((checkpoint, key)) => Ok((checkpoint, key.clone())),
        Err(LogError::NoteRetired) => Err(refused(LogError::NoteRetired.to_string())),
        Err(_) => Err(refused(
            "the checkpoint is not signed by a ledger of the trust file".to_owned(),
        )),
    }
}

fn not_continued(error: ContinuityError) -> PublicError {
    tracing::error!(
        code = %error.code(),
        "ledger checkpoint is inconsistent with the pinned checkpoint"
    );
    refused(format!("{}: {error}", error.code()))
}

fn refused(text: String) -> PublicError {
    PublicError::new(ErrorCode::RefusedLedgerProof, text)
}

#[cfg(test)]
mod tests {
    use synapsor_domain::log::{leaf_hash, sign_checkpoint};
    use synapsor_domain::signing::SigningKey;

    use super::*;

    #[test]
    fn pin_of_another_process_is_preserved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reader.witness");
        let file = CheckpointPinFile::load(path.clone(), "synapsor/x").unwrap();
        let more = PinnedCheckpoint {
            origin: "synapsor/x".to_owned(),
            size: 9,
            root: [1; 32],
        };
        let less = PinnedCheckpoint {
            size: 4,
            ..more.clone()
        };
        assert!(!file.is_behind_file(&less));
        std::fs::write(&path, more.to_bytes()).unwrap();
        assert!(file.is_behind_file(&less) && !file.is_behind_file(&more));
    }

    const ORIGIN: &str = "synapsor/x";
    /// Root over the events `a` and `b`.
    const TWO: &str = "b137985ff484fb600db93107c77b0365c80d78f5b429ded0fd97361d077999eb";
    /// Root over the events `a` and `c`.
    const OTHER_TWO: &str = "331c2b9cfa37e9ddc9cc85f322fedc75b89c4cc19c92e496f3ee8d06335f6156";

    fn key() -> SigningKey {
        SigningKey::from_seed(&zeroize::Zeroizing::new([3; 32]))
    }

    fn trust() -> TrustFile {
        let key = key();
        let ledger = serde_json::json!({ "key_id": key.key_id(), "public_key": key.public_key() });
        let file = serde_json::json!({
            "version": 1, "deployment_id": "x", "environment": "dev",
            "readers": [], "writers": [], "ledgers": [ledger], "operators": [],
        });
        TrustFile::parse(file.to_string().as_bytes()).unwrap()
    }

    fn note(size: u64, root: &TreeHash) -> String {
        sign_checkpoint(ORIGIN, size, root, &key()).unwrap()
    }

    fn root(text: &str) -> TreeHash {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    fn from_one_to_two(last: &[u8]) -> Vec<wire::ConsistencyProof> {
        vec![wire::ConsistencyProof {
            old_size: 1,
            new_size: 2,
            hashes: vec![leaf_hash(last).to_vec()],
        }]
    }

    /// A pin file at the tree of the event `a`.
    fn seen_one() -> (tempfile::TempDir, CheckpointPinFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = CheckpointPinFile::load(folder.path().join("reader.witness"), ORIGIN).unwrap();
        file.accept(&note(1, &leaf_hash(b"a")), &[], &trust()).unwrap();
        (folder, file)
    }

    #[test]
    fn rejects_response_without_consistency_proof() {
        let (_folder, file) = seen_one();
        let before = file.seen();
        let follow = |size, root: &TreeHash, proofs: &[wire::ConsistencyProof]| {
            file.verify_response_checkpoint(&before, &note(size, root), proofs, &trust())
        };
        assert!(follow(2, &root(TWO), &[]).is_err(), "no proof");
        assert!(follow(2, &root(OTHER_TWO), &from_one_to_two(b"b")).is_err());
        assert_eq!(file.seen(), before);
        let proven = follow(2, &root(TWO), &from_one_to_two(b"b")).unwrap();
        assert_eq!((proven, file.seen().size), (CheckpointStatus::Verified, 2));
        // Other responses of the batch carry the same note.
        assert_eq!(follow(2, &root(TWO), &[]).unwrap(), CheckpointStatus::Verified);
    }

    #[test]
    fn note_is_accepted_again_only_under_a_trusted_key() {
        let (_folder, file) = seen_one();
        let two = note(2, &root(TWO));
        let proof = ConsistencyProof::try_from(from_one_to_two(b"b").remove(0)).unwrap();
        let accepted = file.accept(&two, &[proof], &trust()).unwrap();
        // A verified note needs no proof again.
        assert_eq!(file.accept(&two, &[], &trust()).unwrap(), accepted);
        let mut untrusted = trust();
        untrusted.ledgers.clear();
        assert!(file.accept(&two, &[], &untrusted).is_err());
        assert!(file.accept(&note(2, &root(OTHER_TWO)), &[], &trust()).is_err());
    }

    #[test]
    fn rejects_overtaken_response_of_a_fork() {
        let (_folder, file) = seen_one();
        let before = file.seen();
        file.verify_response_checkpoint(&before, &note(2, &root(TWO)), &from_one_to_two(b"b"), &trust())
            .unwrap();
        let forked = file.verify_response_checkpoint(
            &before,
            &note(2, &root(OTHER_TWO)),
            &from_one_to_two(b"c"),
            &trust(),
        );
        assert!(
            forked
                .unwrap_err()
                .public
                .contains(ErrorCode::LedgerForked.as_str())
        );
    }

    #[tokio::test]
    async fn pin_file_that_cannot_be_written_is_named() {
        let (folder, file) = seen_one();
        std::fs::remove_dir_all(folder.path()).unwrap();
        let (before, grown) = (file.seen(), note(2, &root(TWO)));
        file.verify_response_checkpoint(&before, &grown, &from_one_to_two(b"b"), &trust())
            .unwrap();
        let refusal = file.write_now().unwrap_err();
        let named = folder.path().to_string_lossy();
        assert!(refusal.public.contains(&*named), "{refusal}");
        assert!(refusal.operator_fix.unwrap().contains(&*named));
    }

    #[tokio::test]
    async fn pin_file_is_written_after_interval_and_at_end() {
        let (folder, file) = seen_one();
        let path = folder.path().join("reader.witness");
        let on_file = || {
            PinnedCheckpoint::from_bytes(&std::fs::read(&path).unwrap())
                .unwrap()
                .size
        };
        file.verify_response_checkpoint(
            &file.seen(),
            &note(2, &root(TWO)),
            &from_one_to_two(b"b"),
            &trust(),
        )
        .unwrap();
        file.keep().await.unwrap();
        assert!(file.memory().is_due || on_file() == 2);
        file.write_now().unwrap();
        assert_eq!(on_file(), 2);
    }
}
