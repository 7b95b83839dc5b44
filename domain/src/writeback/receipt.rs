//! Receipt: one insert-only row, committed in the same transaction as the change and signed by the writer.

use serde::{Deserialize, Serialize};

use super::{ReceiptOutcome, ViolatedConstraint};
use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// Default name of the receipt table.
pub const RECEIPT_TABLE: &str = "synapsor_writeback_receipts";

/// Outcome of one proposal (`ObjectKind::Receipt`). The source database holds at most one per proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub v: u32,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub outcome: ReceiptOutcome,
    /// One word; empty for `applied`.
    pub reason: String,
    /// The constraint that rejected the change; only with the reason `constraint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<ViolatedConstraint>,
    /// 1 for `applied`, else 0.
    pub rows_affected: u32,
    pub previous_version: Option<Value>,
    pub new_version: Option<Value>,
    /// The executed apply order; absent for tombstones.
    pub order_digest: Option<Digest>,
    pub fence: u64,
    pub attempt: u32,
    pub writer: String,
    /// Newest tree head that the writer had verified.
    pub ledger_size: u64,
    /// 64 hex digits.
    pub ledger_root: String,
    /// Identity that the database reports.
    pub database_identity: String,
    pub created_at: Timestamp,
}
