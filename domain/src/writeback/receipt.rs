//! The receipt: one insert-only row beside the effect, in the same transaction, signed by the writer.

use serde::{Deserialize, Serialize};

use super::ReceiptOutcome;
use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::timestamp::Timestamp;
use crate::value::Value;

/// The receipt table's name unless the writer is configured otherwise.
pub const RECEIPT_TABLE: &str = "synapsor_writeback_receipts";

/// How one proposal ended (`Kind::Receipt`). At most one exists per proposal, in the target database itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub v: u32,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub outcome: ReceiptOutcome,
    /// One word; empty for `applied`.
    pub reason: String,
    /// 1 for `applied`, else 0.
    pub rows_affected: u32,
    pub previous_version: Option<Value>,
    pub new_version: Option<Value>,
    /// The order that was carried out; absent for tombstones.
    pub order_digest: Option<Digest>,
    pub fence: u64,
    pub attempt: u32,
    pub writer: String,
    /// The newest state of the log that the writer had verified.
    pub ledger_size: u64,
    /// 64 hex digits.
    pub ledger_root: String,
    /// What the database says of itself.
    pub database_identity: String,
    pub created_at: Timestamp,
}
