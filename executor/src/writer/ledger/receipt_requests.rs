//! Requests of a writer to the ledger about receipts: pages for the comparison with a source, findings, and
//! signed orders of operators about receipts.

use std::time::Duration;

use synapsor_chassis::grpc_channel::with_deadline;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{VerifiedReceiptOrder, verify_receipt_order_at};
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::{Checkpoint, ProvenEntry, TreeHead};
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::status::from_status;

use crate::writer::ledger::client::WritebackClient;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Receipts per page.
pub(crate) const PAGE_RECEIPTS: u32 = 500;

/// Page of the receipts of one source, newest first, still untrusted like the ledger that sent it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceiptPage {
    pub(crate) receipts: Vec<LedgerReceipt>,
    /// Start of the next page.
    pub(crate) next_before_seq: Option<u64>,
    /// The newest cutoff of an order to archive, as the ledger claims.
    pub(crate) archived_before: Option<Timestamp>,
}

/// Receipt that the ledger claims to hold.
#[derive(Debug, Clone)]
pub(crate) struct LedgerReceipt {
    pub(crate) envelope: DsseEnvelope,
    /// The ledger has recorded it as lost.
    pub(crate) is_reported_lost: bool,
}

impl WritebackClient {
    /// Returns the receipts of a source that were settled before an event.
    pub(crate) async fn source_receipts(
        &self,
        source: &str,
        before_seq: Option<u64>,
    ) -> Result<ReceiptPage, PublicError> {
        let request = wire::ListSourceReceiptsRequest {
            source_id: source.to_owned(),
            before_seq: before_seq.unwrap_or(0),
            limit: PAGE_RECEIPTS,
        };
        let answer = self
            .writeback()
            .list_source_receipts(with_deadline(request, CALL_TIMEOUT))
            .await;
        let answer = answer.map_err(|s| from_status(&s))?.into_inner();
        let receipts = answer.receipts.into_iter().map(|receipt| {
            Ok(LedgerReceipt {
                envelope: required("receipt", receipt.receipt)?.try_into()?,
                is_reported_lost: receipt.reported_lost,
            })
        });
        let next = Some(answer.next_before_seq).filter(|seq| *seq > 0);
        let archived_before = Some(answer.archived_before_ms).filter(|ms| *ms > 0);
        Ok(ReceiptPage {
            receipts: receipts.collect::<Result<_, PublicError>>()?,
            // A ledger that repeats pages is not followed.
            next_before_seq: next.filter(|next| before_seq.is_none_or(|before| *next < before)),
            archived_before: archived_before.map(Timestamp::from_unix_millis),
        })
    }

    /// Submits a signed finding; returns the number of its receipts that were not on file as found.
    pub(crate) async fn report_finding(&self, finding: &DsseEnvelope) -> Result<u32, PublicError> {
        let request = wire::ReportReceiptFindingRequest {
            finding: Some(finding.into()),
        };
        let answer = self
            .writeback()
            .report_receipt_finding(with_deadline(request, CALL_TIMEOUT))
            .await;
        Ok(answer.map_err(|s| from_status(&s))?.into_inner().recorded)
    }

    /// Returns the orders of operators about these receipts that the log provably holds.
    pub(crate) async fn receipt_orders(
        &self,
        source: &str,
        proposals: &[ProposalId],
        trust: &TrustFile,
    ) -> Result<Vec<VerifiedReceiptOrder>, PublicError> {
        self.prove_retirements(trust).await;
        self.ask_receipt_orders(source, proposals, trust).await
    }

    async fn ask_receipt_orders(
        &self,
        source: &str,
        proposals: &[ProposalId],
        trust: &TrustFile,
    ) -> Result<Vec<VerifiedReceiptOrder>, PublicError> {
        let pinned = self.pinned();
        let before = pinned.seen();
        let request = wire::FindReceiptOrdersRequest {
            source_id: source.to_owned(),
            proposal_ids: proposals.iter().map(ToString::to_string).collect(),
            known: Some((&before).into()),
        };
        let answer = self
            .writeback()
            .find_receipt_orders(with_deadline(request, CALL_TIMEOUT))
            .await;
        let answer = answer.map_err(|s| from_status(&s))?.into_inner();
        if answer.orders.is_empty() {
            return Ok(Vec::new());
        }
        let proofs = answer.consistency.as_slice();
        let checkpoint = pinned.verify_continuity(&before, &answer.checkpoint, proofs, trust)?;
        let mut orders = Vec::new();
        for record in answer.orders {
            match self.order_of(record.try_into()?, &checkpoint, trust) {
                Ok(order) => orders.push(order),
                Err(refusal) => {
                    tracing::warn!(code = %refusal.code, "receipt order failed verification: {}", refusal.public);
                }
            }
        }
        Ok(orders)
    }

    fn order_of(
        &self,
        record: ProvenEntry,
        checkpoint: &Checkpoint,
        trust: &TrustFile,
    ) -> Result<VerifiedReceiptOrder, PublicError> {
        let unproven = |text: String| PublicError::new(ErrorCode::RefusedLedgerProof, text);
        let event = record.verify(checkpoint).map_err(|e| unproven(e.to_string()))?;
        if event.kind != EventKind::ReceiptsOrdered {
            return Err(unproven(format!(
                "log entry of kind `{}` is not an order",
                event.kind
            )));
        }
        let envelope = DsseEnvelope::from_bytes(&record.body).map_err(|e| unproven(e.to_string()))?;
        let continues = |head: &TreeHead| self.continues(head);
        let position = Position::Logged {
            index: record.proof.index(),
            continues: &continues,
        };
        verify_receipt_order_at(&envelope, trust, &position)
    }
}
