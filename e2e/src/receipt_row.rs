//! Receipts that a test inserts into a source database, as an attacker with database access and a writer key can.

use anyhow::Context as _;
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::writeback::{Receipt, ReceiptOutcome};
use synapsor_source::StoredReceipt;

use crate::now;
use crate::target::Target;

/// Builds a receipt that claims an effect of a proposal in this database, with an order if there is one. The
/// database must contain a receipt already: the claimed one names the same database.
///
/// # Errors
/// A database without receipts.
pub fn applied(
    target: &Target,
    proposal_id: ProposalId,
    (proposal_digest, order_digest): (Digest, Option<Digest>),
    key: &SigningKey,
) -> anyhow::Result<DsseEnvelope> {
    let rows = target.query_text("SELECT db_identity FROM synapsor_writeback_receipts")?;
    let identity = rows.into_iter().flatten().flatten().next();
    let database_identity = identity.context("no receipt")?;
    let receipt = Receipt {
        v: 1,
        proposal_id,
        proposal_digest,
        outcome: ReceiptOutcome::Applied,
        reason: String::new(),
        constraint: None,
        rows_affected: 1,
        previous_version: None,
        new_version: None,
        order_digest,
        fence: 1,
        attempt: 1,
        writer: "w".to_owned(),
        ledger_size: 1,
        ledger_root: "00".repeat(32),
        database_identity,
        created_at: now(),
    };
    Ok(DsseEnvelope::sign(ObjectKind::Receipt, &receipt, key)?)
}

/// Inserts a receipt row as the owner of the database.
///
/// # Errors
/// The database error.
pub fn insert(target: &Target, signed: &DsseEnvelope) -> anyhow::Result<()> {
    let row = StoredReceipt::from_envelope(signed)?;
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let optional = |value: &Option<String>| value.as_deref().map_or_else(|| "NULL".to_owned(), text);
    let values = [
        text(&row.proposal_id),
        text(&row.proposal_digest),
        text(&row.outcome),
        text(&row.reason),
        row.rows_affected.to_string(),
        optional(&row.previous_version),
        optional(&row.new_version),
        row.fence.to_string(),
        text(&row.executor_id),
        row.ledger_size.to_string(),
        text(&row.ledger_root),
        text(&row.db_identity),
        text(&row.created_at),
        text(&row.receipt),
        text(&row.executor_key),
        text(&row.executor_sig),
    ];
    target.execute(&format!(
        "INSERT INTO synapsor_writeback_receipts (proposal_id, proposal_digest, outcome, reason, rows_affected, \
         previous_version, new_version, fence, executor_id, ledger_size, ledger_root, db_identity, created_at, receipt, \
         executor_key, executor_sig) VALUES ({})",
        values.join(", ")
    ))
}
