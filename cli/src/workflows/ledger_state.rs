//! Ledger state for the operator: open incidents about receipts, freezes in force, and its clock.

use std::collections::{BTreeMap, BTreeSet};

use synapsor_chassis::run::ExitError;
use synapsor_domain::approval::VerifiedFreeze;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::ReceiptIncidentKind;

use super::{incidents, now};
use crate::clients::LedgerClient;
use crate::connection::LedgerConnection;
use crate::pinned_checkpoint::CheckpointPin;

/// State of a ledger, as it claims; freezes are verified.
#[derive(Debug)]
pub(crate) struct LedgerState {
    /// Open incidents by source and kind, with their proposals.
    pub(crate) incidents: BTreeMap<(String, ReceiptIncidentKind), BTreeSet<String>>,
    pub(crate) freezes: Vec<VerifiedFreeze>,
    pub(crate) ledger_now: Timestamp,
    /// Time of this machine when the ledger responded.
    pub(crate) own_now: Timestamp,
    /// The ledger's clock jumped, and it records no expiry.
    pub(crate) is_expiry_paused: bool,
}

/// Queries the ledger.
///
/// # Errors
/// An unreachable ledger, or a log that does not extend the pinned checkpoint.
pub(crate) async fn ledger_state(session: &LedgerConnection) -> Result<LedgerState, ExitError> {
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), session.trust()).await?;
    let mut ledger = LedgerClient::of(session);
    let answer = ledger.checkpoint_from(pin.known(), &BTreeSet::new()).await?;
    let own_now = now();
    pin.accept(&answer.note, answer.consistency.as_ref())?;
    drop(pin);
    let known = ledger.switches(None).await?;
    let mut by_kind: BTreeMap<(String, ReceiptIncidentKind), BTreeSet<String>> = BTreeMap::new();
    for incident in incidents(session, "", None).await?.0 {
        let proposals = by_kind.entry((incident.source, incident.kind)).or_default();
        proposals.insert(incident.named.proposal_id.to_string());
    }
    Ok(LedgerState {
        incidents: by_kind,
        freezes: super::switches::freezes_in_force(&known, session.trust()),
        ledger_now: answer.ledger_now,
        own_now,
        is_expiry_paused: answer.is_expiry_paused,
    })
}
