//! Proposal record that operators decide on. The reader creates and signs it, because only the reader sees the
//! row.

mod attested;
mod change_set;
mod row_guard;
mod state;
mod target;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use attested::VerifiedProposal;
pub(crate) use change_set::row_digest;
pub use change_set::{change_set_schema, change_set_view};
pub use row_guard::{GuardKind, GuardStrength, RowGuard};
pub use state::{ProposalState, ProposalTransition, transition};
pub use target::RowTarget;
pub(crate) use target::check_keys;

use crate::canonical;
use crate::digest::Digest;
use crate::ids::{EvidenceId, ProposalId};
use crate::schema::TableSchema;
use crate::timestamp::Timestamp;
use crate::trust::DeploymentEnvironment;
use crate::value::{ColumnValue, Value};

/// `Proposal::v` of new proposals. Version 2 has a fingerprint of the columns that it uses, and possibly several key
/// columns.
pub const PROPOSAL_VERSION: u32 = 2;
/// The version before: one key column, and a fingerprint of the whole table. Accepted until such proposals have expired.
const WHOLE_TABLE_VERSION: u32 = 1;

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
    /// [`Proposal::fingerprint_of`] the table when the proposal was made.
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

impl ProposalMode {
    pub const ALL: [Self; 2] = [Self::Review, Self::Shadow];

    /// Returns the stored name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Shadow => "shadow",
        }
    }

    /// Returns the mode with this stored name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Operation on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Update,
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

/// Returns the fingerprint of a table for a change: of the columns that it reads, writes or is found by, and of
/// everything that could widen its effect. Another column of the table may be added, altered or dropped.
pub fn used_fingerprint(
    shape: &TableSchema,
    target: &RowTarget,
    before: &[ColumnValue],
    set: &[ColumnValue],
) -> Digest {
    let columns = before.iter().chain(set).chain(&target.keys).chain(&target.tenant);
    shape.fingerprint_with(&columns.map(|value| value.column.as_str()).collect())
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

    /// Whether this build reads the version of this proposal, and the proposal has the form of its version.
    pub fn has_known_version(&self) -> bool {
        match self.v {
            PROPOSAL_VERSION => true,
            WHOLE_TABLE_VERSION => self.target.keys.len() == 1,
            _ => false,
        }
    }

    /// Returns the fingerprint of a table for this proposal: [`used_fingerprint`], or that of the whole table for version 1.
    pub fn fingerprint_of(&self, shape: &TableSchema) -> Digest {
        if self.v == WHOLE_TABLE_VERSION {
            return shape.fingerprint();
        }
        used_fingerprint(shape, &self.target, &self.before, &self.set)
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
