//! Operator operations as functions that print nothing: look, decide, order, replay, verify the ledger. They
//! verify every ledger and writer response against the trust file before they use it.

mod apply;
mod audit_records;
mod decide;
mod erasure;
mod fetch_proposal;
mod ledger;
mod ledger_state;
mod list_part;
mod pins;
mod receipt_audit;
mod receipt_orders;
mod records;
mod recover;
mod retire;
mod shadow;
mod story;
mod switches;

pub(crate) use apply::{ApplyOutcome, Status, apply, preview};
pub(crate) use audit_records::{AuditCondition, ListedAuditRecord, audit_record, list_audit_records};
pub(crate) use decide::{Approved, Rejected, approve, reject, still_open};
pub(crate) use erasure::erase;
pub(crate) use fetch_proposal::{
    IneffectiveDecision, ProposalView, RecordedHumanAction, SignedReceipt, fetch_proposal_by_reference,
    proposal_filter,
};
pub(crate) use ledger::{check_log, verify_ledger};
pub(crate) use ledger_state::{LedgerState, ledger_state};
pub(crate) use list_part::ListPart;
pub(crate) use pins::{Pin, of_dir as pins_of_dir};
pub(crate) use receipt_audit::{AuditedSource, audit, audit_exit};
pub(crate) use receipt_orders::{
    OrderedReceipts, Ordering, adoptable, held_receipts, incidents, order_receipts,
};
pub(crate) use records::{
    ListedEvidence, ListedProposal, ProposalList, evidence, list_evidence, list_proposals, list_receipts,
    open_proposals,
};
pub(crate) use recover::{Loss, Recovered, find_loss, recover};
pub(crate) use retire::{Retirement, retire_ledger, retire_signer, retire_writer};
pub(crate) use shadow::{ShadowProposal, record_human_action, shadow_proposals};
pub(crate) use story::{VerifiedReplay, invalid_bundle, replay};
pub(crate) use switches::{Switched, freeze, freeze_unsigned, unfreeze};

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::run::ExitError;
use synapsor_domain::approval;
use synapsor_domain::timestamp::Timestamp;

/// Validates a reason by the ledger's rule, before anything is signed.
fn check_reason(reason: Option<&str>) -> Result<(), ExitError> {
    approval::check_reason(reason).map_err(|refusal| {
        crate::clients::refused(refusal).with_fix("use another reason; nothing was signed")
    })
}

/// Returns the time of this machine.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_millis(SystemClock.now_ms())
}
