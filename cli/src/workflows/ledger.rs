//! Verifies the whole log: the ledger checks its own store, and the CLI compares it with the pinned checkpoint.

use std::collections::BTreeSet;
use std::time::Duration;

use synapsor_chassis::run::ExitError;
use synapsor_domain::log::{Checkpoint, TreeHead};
use synapsor_domain::timestamp::Timestamp;

use crate::clients::LedgerClient;
use crate::connection::LedgerConnection;
use crate::pinned_checkpoint::CheckpointPin;

/// Timeout of a full verification, which takes long on a large store.
const VERIFY_LIMIT: Duration = Duration::from_secs(300);

/// Result of a full ledger verification.
#[derive(Debug)]
pub(crate) struct LedgerVerified {
    /// Ledger wall clock, unsigned.
    pub(crate) ledger_now: Timestamp,
    /// Whether the ledger records no expiry because its clock jumped.
    pub(crate) is_expiry_paused: bool,
    /// Empty when verification succeeds.
    pub(crate) findings: Vec<String>,
    pub(crate) records_checked: u64,
    pub(crate) checkpoint: Checkpoint,
}

/// Verifies only that the log extends the pinned checkpoint. For responses without proofs.
pub(crate) async fn check_log(session: &LedgerConnection) -> Result<Checkpoint, ExitError> {
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), session.trust()).await?;
    let (note, proof) = LedgerClient::of(session).checkpoint(pin.known()).await?;
    pin.accept(&note, proof.as_ref())
}

/// Returns the tree heads at which keys of the trust file were retired and that the log provably extends. Moves
/// the pinned checkpoint.
pub(super) async fn continued(
    session: &LedgerConnection,
    pin: &mut CheckpointPin<'_>,
) -> Result<BTreeSet<TreeHead>, ExitError> {
    let heads = session.trust().retirements();
    if heads.is_empty() {
        return Ok(heads);
    }
    let answer = LedgerClient::of(session)
        .checkpoint_from(pin.known(), &heads)
        .await?;
    let checkpoint = pin.accept(&answer.note, answer.consistency.as_ref())?.head();
    let is_continued = |head: &TreeHead| head.is_of_one_log(&checkpoint, &answer.continued);
    Ok(heads.into_iter().filter(is_continued).collect())
}

/// Compares the log with the pinned checkpoint, then makes the ledger recompute its store. A log that does not
/// extend the pinned checkpoint is an error with its own exit code.
pub(crate) async fn verify_ledger(session: &LedgerConnection) -> Result<LedgerVerified, ExitError> {
    let mut ledger = LedgerClient::of(session);
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), session.trust()).await?;
    // The short check runs first, so that a rollback or fork is reported as such, whatever other errors exist.
    let newest = ledger.checkpoint_from(pin.known(), &BTreeSet::new()).await?;
    pin.accept(&newest.note, newest.consistency.as_ref())?;
    let check = ledger.verify(pin.known(), VERIFY_LIMIT).await?;
    let checkpoint = pin.accept(&check.checkpoint, check.consistency.as_ref())?;
    Ok(LedgerVerified {
        ledger_now: newest.ledger_now,
        is_expiry_paused: newest.is_expiry_paused,
        findings: check.findings,
        records_checked: check.records_checked,
        checkpoint,
    })
}
