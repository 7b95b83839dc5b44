//! Client of a writer: dry run, reject, freeze, receipts. None of these calls changes a target row.

use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::Endpoint;
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, KeyId};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{DryRunVerdict, PreflightReport, ReceiptRef, RejectEffect};
use synapsor_proto::convert::verdict_from_wire;
use synapsor_proto::executor::v1::{self as wire, writer_service_client::WriterServiceClient};

use super::{call, call_within, verification_failed};
use crate::connection::ServiceChannel;

/// Timeout of a preflight, which opens connections and tries every statement on every source.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether a writer accepts jobs, and the clocks that it reads.
#[derive(Debug)]
pub(crate) struct WriterState {
    pub(crate) times: Times,
    pub(crate) is_frozen: bool,
    /// Error code of the reason why it accepts no jobs.
    pub(crate) problem: Option<ErrorCode>,
}

/// Wall clocks as a writer reads them.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) writer: Timestamp,
    /// The ledger's clock, as last received by the writer.
    pub(crate) ledger: Option<Timestamp>,
    /// Clocks of the reachable databases, by source.
    pub(crate) databases: Vec<(String, Timestamp)>,
}

/// Timeout of a receipt report: the writer reads and submits all receipts of a key one by one.
const REPORT_TIMEOUT: Duration = Duration::from_secs(600);

/// Connection to a running writer.
#[derive(Debug, Clone)]
pub(crate) struct WriterClient {
    client: WriterServiceClient<Channel>,
    target: Endpoint,
}

/// Result of a dry run.
#[derive(Debug)]
pub(crate) struct DryRunOutcome {
    pub(crate) verdict: DryRunVerdict,
    pub(crate) message: String,
    /// After-image as UTF-8 JSON of tagged values.
    pub(crate) after_json: Option<Vec<u8>>,
}

/// A writer's response to a rejection.
#[derive(Debug)]
pub(crate) struct RejectResult {
    pub(crate) effect: RejectEffect,
    pub(crate) receipt: Option<DsseEnvelope>,
}

/// Freeze state of a writer.
#[derive(Debug)]
pub(crate) struct WriterSwitches {
    /// Writer name; a signed unfreeze for this name is valid on this writer only.
    pub(crate) name: String,
    /// Signed freezes in force on this writer.
    pub(crate) freezes: Vec<Digest>,
    /// Whether it is frozen without a signature.
    pub(crate) is_frozen_alone: bool,
}

/// A writer's response to a freeze or an unfreeze.
#[derive(Debug)]
pub(crate) struct SwitchAnswer {
    pub(crate) is_frozen: bool,
    /// Signed but unverified. Absent for a freeze without a signature.
    pub(crate) confirmation: Option<DsseEnvelope>,
}

/// One page of a comparison of receipts.
#[derive(Debug)]
pub(crate) struct AuditedPage {
    pub(crate) compared: u64,
    pub(crate) lost: Vec<ReceiptRef>,
    pub(crate) orphans: Vec<ReceiptRef>,
    /// Rows that no writer key of the deployment signed.
    pub(crate) foreign: u64,
    /// 0 on the last page of the ledger's receipts.
    pub(crate) next_before_seq: u64,
    /// Empty on the last page of the source's receipts.
    pub(crate) next_source_page: String,
    pub(crate) archived_before: Option<Timestamp>,
    /// Reason why the source could not be read, as one word.
    pub(crate) unavailable: Option<String>,
}

/// Receipts of one key that a writer submitted to the ledger.
#[derive(Debug)]
pub(crate) struct ReceiptReport {
    pub(crate) sources: Vec<wire::ReportedReceipts>,
    /// The key with which the writer itself signs.
    pub(crate) signing_key: String,
    pub(crate) frozen: bool,
}

impl WriterClient {
    pub(crate) fn at(link: &ServiceChannel) -> Self {
        let client = WriterServiceClient::new(link.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            client,
            target: link.target.clone(),
        }
    }

    pub(crate) async fn preview(&mut self, proposal: &DsseEnvelope) -> Result<DryRunOutcome, ExitError> {
        let message = wire::DryRunRequest {
            proposal: Some(proposal.into()),
        };
        let answer = call(&self.target, message, async |m| self.client.dry_run(m).await).await?;
        let verdict = verdict_from_wire(&answer).map_err(malformed_response)?;
        Ok(DryRunOutcome {
            verdict,
            message: answer.message,
            after_json: answer.after_image_json,
        })
    }

    /// Makes the writer submit every receipt of one writer key to the ledger again.
    pub(crate) async fn report_receipts(&mut self, key: &KeyId) -> Result<ReceiptReport, ExitError> {
        let message = wire::ReportReceiptsRequest {
            key_id: key.to_string(),
        };
        let answer = call_within(&self.target, REPORT_TIMEOUT, message, async |m| {
            self.client.report_receipts(m).await
        })
        .await?;
        Ok(ReceiptReport {
            sources: answer.sources,
            signing_key: answer.signing_key,
            frozen: answer.frozen,
        })
    }

    /// Compares one page of the ledger's receipts with a source, and one page of the source's receipts with the
    /// ledger.
    pub(crate) async fn audit_receipts(
        &mut self,
        source: &str,
        before_seq: u64,
        source_page: &str,
    ) -> Result<AuditedPage, ExitError> {
        let message = wire::AuditReceiptsRequest {
            source_id: source.to_owned(),
            before_seq,
            source_page: source_page.to_owned(),
        };
        let answer = call_within(&self.target, REPORT_TIMEOUT, message, async |m| {
            self.client.audit_receipts(m).await
        })
        .await?;
        Ok(AuditedPage {
            compared: answer.compared,
            lost: audited(answer.lost)?,
            orphans: audited(answer.orphans)?,
            foreign: answer.foreign,
            next_before_seq: answer.next_before_seq,
            next_source_page: answer.next_source_page,
            archived_before: (answer.archived_before_ms > 0)
                .then(|| Timestamp::from_unix_millis(answer.archived_before_ms)),
            unavailable: answer.unavailable,
        })
    }

    /// Checks the write path of every source that the writer serves, without changing data.
    pub(crate) async fn preflight(&mut self) -> Result<Vec<PreflightReport>, ExitError> {
        let message = wire::PreflightWriteRequest::default();
        let answer = call_within(&self.target, PROBE_TIMEOUT, message, async |m| {
            self.client.preflight_write(m).await
        })
        .await?;
        let reports: Result<_, PublicError> = answer.sources.into_iter().map(TryInto::try_into).collect();
        reports.map_err(malformed_response)
    }

    pub(crate) async fn reject(
        &mut self,
        proposal: &DsseEnvelope,
        decision: &DsseEnvelope,
    ) -> Result<RejectResult, ExitError> {
        let message = wire::RejectRequest {
            proposal: Some(proposal.into()),
            decision: Some(decision.into()),
        };
        let answer = call(&self.target, message, async |m| self.client.reject(m).await).await?;
        let effect = answer.effect().try_into().map_err(malformed_response)?;
        let receipt = answer
            .receipt
            .map(DsseEnvelope::try_from)
            .transpose()
            .map_err(malformed_response)?;
        Ok(RejectResult { effect, receipt })
    }

    /// Returns whether the writer accepts jobs, the clocks that it reads, and its own clock.
    pub(crate) async fn state(&mut self) -> Result<WriterState, ExitError> {
        let message = wire::GetStatusRequest {};
        let status = call(&self.target, message, async |m| self.client.get_status(m).await).await?;
        let named = |ms: i64| (ms > 0).then(|| Timestamp::from_unix_millis(ms));
        let databases = status.sources.into_iter();
        Ok(WriterState {
            times: Times {
                writer: Timestamp::from_unix_millis(status.writer_now_ms),
                ledger: named(status.ledger_now_ms),
                databases: databases
                    .filter_map(|source| Some((source.source_id, named(source.database_now_ms)?)))
                    .collect(),
            },
            is_frozen: status.frozen,
            problem: status
                .switch_problem
                .map(|code| synapsor_proto::status::from_wire(&code, "").code),
        })
    }

    /// Returns the freeze state of the writer.
    pub(crate) async fn switches(&mut self) -> Result<WriterSwitches, ExitError> {
        let message = wire::GetStatusRequest {};
        let answer = call(&self.target, message, async |m| self.client.get_status(m).await).await?;
        let digests = answer.freeze_digests.iter().map(|text| text.parse());
        let freezes = digests.collect::<Result<_, _>>();
        Ok(WriterSwitches {
            name: answer.writer,
            freezes: freezes.map_err(|e| verification_failed(ErrorCode::WriterAnswerMalformed, e))?,
            is_frozen_alone: answer.frozen_alone,
        })
    }

    /// Freezes the deployment with a signed freeze, or only this writer without one.
    pub(crate) async fn freeze(&mut self, freeze: Option<&DsseEnvelope>) -> Result<SwitchAnswer, ExitError> {
        self.switch(wire::SetFrozenRequest {
            frozen: true,
            unfreeze: None,
            freeze: freeze.map(Into::into),
        })
        .await
    }

    /// Ends a freeze with a signed unfreeze, or this writer's own freeze with an unfreeze that names it.
    pub(crate) async fn unfreeze(&mut self, unfreeze: &DsseEnvelope) -> Result<SwitchAnswer, ExitError> {
        self.switch(wire::SetFrozenRequest {
            frozen: false,
            unfreeze: Some(unfreeze.into()),
            freeze: None,
        })
        .await
    }

    async fn switch(&mut self, message: wire::SetFrozenRequest) -> Result<SwitchAnswer, ExitError> {
        let answer = call(&self.target, message, async |m| self.client.set_frozen(m).await).await?;
        let confirmation = answer.confirmation.map(DsseEnvelope::try_from).transpose();
        Ok(SwitchAnswer {
            is_frozen: answer.frozen,
            confirmation: confirmation.map_err(malformed_response)?,
        })
    }

    /// Returns the address of the writer.
    pub(crate) fn address(&self) -> String {
        self.target.to_string()
    }
}

fn audited(receipts: Vec<wire::AuditedReceipt>) -> Result<Vec<ReceiptRef>, ExitError> {
    receipts
        .into_iter()
        .map(|receipt| {
            super::receipt_ref(&receipt.proposal_id, &receipt.receipt_digest).map_err(malformed_response)
        })
        .collect()
}

fn malformed_response(refusal: PublicError) -> ExitError {
    verification_failed(ErrorCode::WriterAnswerMalformed, refusal)
}
