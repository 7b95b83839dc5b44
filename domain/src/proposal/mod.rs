//! Proposal record that operators decide on. The reader creates and signs it, because only the reader sees the
//! row.

mod attested;
mod change_set;
mod row_guard;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use attested::VerifiedProposal;
pub use change_set::{change_set_schema, change_set_view};
pub use row_guard::{GuardKind, GuardStrength, RowGuard};
pub use state::{ProposalState, ProposalTransition, transition};

use crate::canonical;
use crate::digest::Digest;
use crate::ids::{EvidenceId, ProposalId};
use crate::timestamp::Timestamp;
use crate::trust::DeploymentEnvironment;
use crate::value::{ColumnValue, Value};

/// Required value of `Proposal::v`.
pub const PROPOSAL_VERSION: u32 = 1;

/// Exact change of one row, proposed by an agent and attested by the reader (`ObjectKind::Proposal`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    pub approval: ApprovalTerms,
    pub args: BTreeMap<String, Value>,
    /// Every column that was read, before the change.
    pub before: Vec<ColumnValue>,
    pub capability: String,
    /// Digest of the credential or process that supplied the context.
    pub context_binding: Digest,
    /// Digest of the capability in the reader's contract.
    pub contract_digest: Digest,
    pub created_at: Timestamp,
    pub environment: DeploymentEnvironment,
    pub evidence: Vec<EvidenceRef>,
    /// `sql_update`, or the name of a handler.
    pub executor: String,
    pub guard: RowGuard,
    pub id: ProposalId,
    /// `synapsor/<deployment id>`: the only log that may hold it.
    pub ledger_origin: String,
    pub mode: ProposalMode,
    pub not_after: Timestamp,
    pub on_behalf_of: Option<String>,
    pub operation: Operation,
    pub requested_by: Requester,
    /// Schema fingerprint of the table when the proposal was made.
    pub schema_fingerprint: Digest,
    /// New values, converted to the column types.
    pub set: Vec<ColumnValue>,
    pub side_effects: Vec<String>,
    pub source: SourceRef,
    pub target: RowTarget,
    pub v: u32,
}

/// Source database, as the reader is configured and as the database identifies itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRef {
    pub engine: String,
    /// Identity that the database reports.
    pub fingerprint: String,
    pub id: String,
}

/// Whether the proposal can ever be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalMode {
    Review,
    /// Recorded for comparison with manual changes; never approved, never applied.
    Shadow,
}

/// Operation on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Update,
}

/// The single target row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowTarget {
    pub primary_key: ColumnValue,
    pub schema: String,
    pub table: String,
    /// Absent only for single-tenant development targets, which are never written directly.
    pub tenant: Option<ColumnValue>,
}

/// Approval requirements of the contract. The writer takes them from its own contract; here they inform the
/// ledger and the approver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalTerms {
    pub quorum: u32,
    pub required_role: String,
}

/// Identity on whose behalf the agent asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requester {
    /// Identity of the gateway that sent the call.
    pub client: String,
    pub principal: String,
    /// Provenance of tenant and principal: `environment`, `static_dev`.
    pub provenance: String,
    pub tenant: String,
}

/// Evidence that the proposal cites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRef {
    pub digest: Digest,
    pub id: EvidenceId,
}

impl Proposal {
    /// Computes a digest of everything that identifies the change, without id, time and evidence. Two open
    /// proposals with the same content are one proposal.
    pub fn content_digest(&self) -> Digest {
        let content = serde_json::json!({
            "ledger_origin": self.ledger_origin,
            "source": self.source,
            "capability": self.capability,
            "contract_digest": self.contract_digest,
            "tenant": self.requested_by.tenant,
            "principal": self.requested_by.principal,
            "target": self.target,
            "set": self.set,
            "before": self.before,
            "guard": self.guard,
        });
        let bytes = canonical::encode(&content).expect("a part of a proposal that was encoded before");
        Digest::of_typed("application/vnd.synapsor.proposal-content.v1+json", &bytes)
    }

    /// Returns the after-image: the before-image overlaid with the new values.
    pub fn after(&self) -> Vec<ColumnValue> {
        let mut after = self.before.clone();
        for new in &self.set {
            match after.iter_mut().find(|c| c.column == new.column) {
                Some(old) => old.value = new.value.clone(),
                None => after.push(new.clone()),
            }
        }
        after
    }
}
