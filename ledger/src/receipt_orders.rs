//! Receipt orders of operators: verifies them, records each once, and returns them to writers with proofs.

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    ReceiptAction, VerifiedReceiptOrder, check_reason, check_text, verify_receipt_order,
    verify_receipt_order_at,
};
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::{ConsistencyProof, ProvenEntry, TreeHead};
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::Position;
use synapsor_domain::writeback::{ReceiptIncidentKind, ReceiptRef};

use crate::store::{
    Committed, NewEvent, NodeCache, ParsedBody, ProofReader, StoreTxError, WriteTransaction, events, log,
    receipts,
};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

/// Orders with their proofs.
#[derive(Debug)]
pub(crate) struct FoundOrders {
    /// Orders, oldest first.
    pub(crate) orders: Vec<ProvenEntry>,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Option<ConsistencyProof>,
}

/// Position of an order in the log, and the number of receipts that it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordedOrder {
    pub(crate) seq: u64,
    pub(crate) receipts: u64,
}

impl Ledger {
    /// Records a receipt order. Submitting the same order again returns the recorded one.
    ///
    /// # Errors
    /// Any verification error; `refused:receipt_unknown` for a receipt that the order's action does not fit;
    /// `refused:archive_cut` for a cut before the one in force.
    pub(crate) async fn submit_receipt_order(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<Committed<RecordedOrder>, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let now = self.now();
        let verified = verify_receipt_order(&signed, &trust.file, now)?;
        check_reason(verified.order().reason.as_deref())?;
        check_text("the name of the source", &verified.order().source)?;
        let body = signed
            .to_bytes()
            .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("signed: {e}")))?;
        let order = verified.order().clone();
        let concerned = match order.before {
            // Counted outside the writing thread, because only the response contains it.
            Some(before) => {
                let counted = self
                    .store
                    .read(move |reader| Ok(receipts::count_before(reader.conn(), &order.source, before)?));
                counted.await?
            }
            None => u64::try_from(order.receipts.len()).unwrap_or(u64::MAX),
        };
        self.write(move |step| {
            submit(step, &verified, &body, (&caller, now)).map(|seq| RecordedOrder {
                seq,
                receipts: concerned,
            })
        })
        .await
    }

    /// Returns the orders about receipts of these proposals in one source, and the order with the latest cut.
    pub(crate) async fn find_receipt_orders(
        &self,
        source: String,
        proposals: Vec<ProposalId>,
        known: u64,
    ) -> Result<FoundOrders, StoreTxError> {
        self.store
            .read(move |reader| {
                let conn = reader.conn();
                let head = log::head(conn)?;
                let seqs = receipts::orders_about(conn, &source, &proposals)?;
                let cache = NodeCache::default();
                let proofs = ProofReader::new(conn, head.size, &cache);
                let orders = proofs.logged_all(&seqs).map_err(|error| match error {
                    StoreTxError::Refused(_) => StoreTxError::Refused(PublicError::new(
                        ErrorCode::OrdersTooLarge,
                        "the orders about these receipts exceed one response; request fewer proposals",
                    )),
                    store @ StoreTxError::Store(_) => store,
                })?;
                Ok(FoundOrders {
                    orders,
                    consistency: log::proof_since(conn, known, &head)?,
                    checkpoint: head.note,
                })
            })
            .await
    }
}

fn submit(
    step: &mut WriteTransaction<'_>,
    verified: &VerifiedReceiptOrder,
    body: &[u8],
    (caller, now): (&RequestContext, Timestamp),
) -> Result<u64, StoreTxError> {
    if let Some(seq) = receipts::order(step.conn(), &verified.digest())? {
        return Ok(seq);
    }
    check_fits(step.conn(), verified)?;
    // An adoption belongs to the replay of its proposal: verifying the receipt requires the order.
    let about = match verified.order() {
        order if order.action == ReceiptAction::Adopt && order.receipts.len() == 1 => order.receipts.first(),
        _ => None,
    };
    Ok(step.append(&NewEvent {
        kind: EventKind::ReceiptsOrdered,
        at: now,
        actor: verified.person(),
        proposal_id: about.map(|named| &named.proposal_id),
        body,
        read: ParsedBody::No,
        trace_id: caller.trace_id.as_deref(),
    })?)
}

/// Refuses an order whose receipts do not match the log.
fn check_fits(conn: &Connection, verified: &VerifiedReceiptOrder) -> Result<(), StoreTxError> {
    let order = verified.order();
    match order.action {
        ReceiptAction::GiveUp => {
            for named in &order.receipts {
                if receipts::settled(conn, &order.source, named)?.is_none() {
                    return Err(unknown(named, "the log has no such receipt of this source").into());
                }
            }
        }
        ReceiptAction::Adopt => {
            for named in &order.receipts {
                if !is_adoptable(conn, &order.source, named)? {
                    return Err(unknown(named, "no writer has reported it for adoption").into());
                }
            }
        }
        ReceiptAction::Archive => {
            let cut = receipts::archived_before(conn, &order.source)?;
            if cut.is_some_and(|cut| order.before < Some(cut)) {
                return Err(PublicError::new(
                    ErrorCode::RefusedArchiveCut,
                    "an earlier archive order has a later cut, and a cut never moves back; sign a later time",
                )
                .into());
            }
        }
    }
    Ok(())
}

fn is_adoptable(conn: &Connection, source: &str, named: &ReceiptRef) -> Result<bool, StoreTxError> {
    let kinds = [
        ReceiptIncidentKind::ReceiptUnproven,
        ReceiptIncidentKind::OrphanReceipt,
        ReceiptIncidentKind::RowChangedInCommit,
    ];
    for kind in kinds {
        if receipts::is_open(conn, source, kind, named)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unknown(named: &ReceiptRef, problem: &str) -> PublicError {
    PublicError::new(
        ErrorCode::RefusedReceiptUnknown,
        format!(
            "{} {}: {problem}; see `synapsor-runner receipts audit`",
            named.proposal_id, named.receipt_digest
        ),
    )
}

/// Returns whether an order that still verifies adopts this receipt.
pub(crate) fn is_adopted(
    conn: &Connection,
    source: &str,
    named: &ReceiptRef,
    trust: &Trust,
) -> Result<bool, StoreTxError> {
    let Some(seq) = receipts::adopted(conn, source, named)? else {
        return Ok(false);
    };
    let envelope = events::envelope(conn, seq)?;
    let continued = log::continued(conn, trust.file.retirements())?;
    let continues = |head: &TreeHead| continued.contains(head);
    let position = Position::Logged {
        index: seq,
        continues: &continues,
    };
    Ok(verify_receipt_order_at(&envelope, &trust.file, &position)
        .is_ok_and(|order| order.adopts(source, &named.proposal_id, named.receipt_digest)))
}
