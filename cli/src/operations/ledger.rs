//! The whole log: what the ledger finds in its own store, and what this machine's witness knows better.

use std::collections::BTreeSet;
use std::time::Duration;

use synapsor_chassis::run::ExitError;
use synapsor_domain::log::{Checkpoint, TreeHead};
use synapsor_domain::timestamp::Timestamp;

use crate::clients::Ledger;
use crate::session::Session;
use crate::witness::Keeper;

/// A full check of a large store takes a while.
const VERIFY_LIMIT: Duration = Duration::from_secs(300);

/// What a check of the whole ledger found.
#[derive(Debug)]
pub(crate) struct LedgerVerified {
    /// The ledger's wall clock, not signed.
    pub(crate) ledger_now: Timestamp,
    /// Whether it records no expiry because its clock was stepped.
    pub(crate) is_expiry_paused: bool,
    /// Empty when everything fits.
    pub(crate) findings: Vec<String>,
    pub(crate) records_checked: u64,
    pub(crate) checkpoint: Checkpoint,
}

/// A look at the log alone: it must continue what this machine has seen. For answers that carry no proofs.
pub(crate) async fn watch(session: &Session) -> Result<Checkpoint, ExitError> {
    let mut keeper = Keeper::hold(&session.witness_path(), session.trust()).await?;
    let (note, proof) = Ledger::of(session).checkpoint(keeper.known()).await?;
    keeper.accept(&note, proof.as_ref())
}

/// The states of the log at which keys of the trust file were retired, as far as the log provably continues them. The
/// witness moves with the answer.
pub(super) async fn continued(
    session: &Session,
    keeper: &mut Keeper<'_>,
) -> Result<BTreeSet<TreeHead>, ExitError> {
    let heads = session.trust().retirements();
    if heads.is_empty() {
        return Ok(heads);
    }
    let answer = Ledger::of(session)
        .checkpoint_from(keeper.known(), &heads)
        .await?;
    let checkpoint = keeper.accept(&answer.note, answer.consistency.as_ref())?.head();
    let is_continued = |head: &TreeHead| head.is_of_one_log(&checkpoint, &answer.continued);
    Ok(heads.into_iter().filter(is_continued).collect())
}

/// Compares the log with what was seen before, then lets the ledger recompute its store. A log that does not
/// continue what was seen is an error with its own exit code.
pub(crate) async fn verify_ledger(session: &Session) -> Result<LedgerVerified, ExitError> {
    let mut ledger = Ledger::of(session);
    let mut keeper = Keeper::hold(&session.witness_path(), session.trust()).await?;
    // The short question first: a cut or forked log is named as such, whatever else is wrong with it.
    let newest = ledger.checkpoint_from(keeper.known(), &BTreeSet::new()).await?;
    keeper.accept(&newest.note, newest.consistency.as_ref())?;
    let check = ledger.verify(keeper.known(), VERIFY_LIMIT).await?;
    let checkpoint = keeper.accept(&check.checkpoint, check.consistency.as_ref())?;
    Ok(LedgerVerified {
        ledger_now: newest.ledger_now,
        is_expiry_paused: newest.is_expiry_paused,
        findings: check.findings,
        records_checked: check.records_checked,
        checkpoint,
    })
}
