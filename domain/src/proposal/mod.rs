//! The record that a person decides on. Minted and signed by the reader, which alone can see the row.

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

/// The version that `Proposal::v` must have.
pub const PROPOSAL_VERSION: u32 = 1;

/// An exact change of one row, proposed by an agent and attested by the reader (`Kind::Proposal`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    pub approval: ApprovalTerms,
    pub args: BTreeMap<String, Value>,
    /// Every column that was read, before the change.
    pub before: Vec<ColumnValue>,
    pub capability: String,
    /// Digest of the credential or process that the context came from.
    pub context_binding: Digest,
    /// The seal of the capability in the reader's contract.
    pub contract_digest: Digest,
    pub created_at: Timestamp,
    pub environment: DeploymentEnvironment,
    pub evidence: Vec<EvidenceRef>,
    /// `sql_update`, or the name of a handler.
    pub executor: String,
    pub guard: RowGuard,
    pub id: ProposalId,
    /// `synapsor/<deployment id>`: the log that may hold it.
    pub ledger_origin: String,
    pub mode: ProposalMode,
    pub not_after: Timestamp,
    pub on_behalf_of: Option<String>,
    pub operation: Operation,
    pub requested_by: Requester,
    /// Digest of the table's shape when the proposal was made.
    pub schema_fingerprint: Digest,
    /// New values, fitted to the column types.
    pub set: Vec<ColumnValue>,
    pub side_effects: Vec<String>,
    pub source: SourceRef,
    pub target: RowTarget,
    pub v: u32,
}

/// Which database, as the reader is configured and as the database itself answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRef {
    pub engine: String,
    /// The identity that the database reports of itself.
    pub fingerprint: String,
    pub id: String,
}

/// Whether the proposal may ever be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalMode {
    Review,
    /// Recorded to be compared with what people did; never approved, never applied.
    Shadow,
}

/// What is done to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Update,
}

/// The one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowTarget {
    pub primary_key: ColumnValue,
    pub schema: String,
    pub table: String,
    /// Absent only for single-tenant development targets, which are never written directly.
    pub tenant: Option<ColumnValue>,
}

/// What the contract demands of the people who decide. The writer takes it from its own contract; here it
/// tells the ledger and the reviewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalTerms {
    pub quorum: u32,
    pub required_role: String,
}

/// For whom the agent asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requester {
    /// The identity of the gateway that asked.
    pub client: String,
    pub principal: String,
    /// Where tenant and principal came from: `environment`, `static_dev`.
    pub provenance: String,
    pub tenant: String,
}

/// Evidence that the proposal rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRef {
    pub digest: Digest,
    pub id: EvidenceId,
}

impl Proposal {
    /// Two open proposals with the same content are one: everything that identifies the change, but neither
    /// id nor time nor evidence.
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

    /// The row as it would be: before overlaid with the new values.
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
