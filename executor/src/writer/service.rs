//! gRPC service of a writer for operators. Nothing here can write a proposal's change.

use std::sync::Arc;

use serde_json::json;
use synapsor_chassis::join::join_all;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, KeyId};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::ReceiptRef;
use synapsor_proto::convert::{required, verdict_to_wire};
use synapsor_proto::executor::v1 as wire;
use synapsor_proto::executor::v1::writer_service_server::WriterService;
use synapsor_proto::status::to_status;
use synapsor_source::Finding;
use synapsor_writeback::Database;
use tonic::{Request, Response, Status};

use super::Writer;
use super::attempt::{DryRuns, preview};
use super::receipts::audit::{AuditPage, audit_receipts};
use super::receipts::unproven::report_receipts;
use super::stops::{freeze, reject};
use crate::inspection::preflight_writer;

/// Service of a writer.
#[derive(Debug, Clone)]
pub(super) struct WriterRpc {
    writer: Arc<Writer>,
    dry_runs: Arc<DryRuns>,
}

impl WriterRpc {
    pub(super) fn new(writer: Arc<Writer>) -> Self {
        Self {
            dry_runs: Arc::new(DryRuns::of(&writer)),
            writer,
        }
    }

    async fn denied(&self, request: wire::RejectRequest) -> Result<wire::RejectResponse, PublicError> {
        let proposal: DsseEnvelope = required("proposal", request.proposal)?.try_into()?;
        let decision: DsseEnvelope = required("decision", request.decision)?.try_into()?;
        let (effect, receipt) = reject::reject(&self.writer, proposal, &decision).await?;
        Ok(wire::RejectResponse {
            effect: wire::RejectEffect::from(effect).into(),
            receipt: receipt.map(Into::into),
        })
    }

    async fn run_preflight(&self, wanted: &str) -> Result<wire::PreflightWriteResponse, PublicError> {
        if !wanted.is_empty() {
            self.writer.engine(wanted)?;
        }
        let databases = self.writer.core.databases();
        let wanted = databases.filter(|(source, _)| wanted.is_empty() || wanted == *source);
        let found = join_all(
            wanted.map(|(source, database)| preflight_writer(database, source, &self.writer.contract)),
        );
        Ok(wire::PreflightWriteResponse {
            sources: found.await.into_iter().map(Into::into).collect(),
        })
    }

    async fn frozen(&self, request: wire::SetFrozenRequest) -> Result<wire::SetFrozenResponse, PublicError> {
        let writer = &self.writer;
        let confirmed = match (request.frozen, request.freeze, request.unfreeze) {
            (true, Some(freeze), _) => {
                let envelope = freeze.try_into()?;
                Some(freeze::take_freeze(writer, &envelope).await?)
            }
            (true, None, _) => {
                tracing::warn!("local unsigned freeze set");
                writer.switches.freeze_locally().await?;
                None
            }
            (false, _, unfreeze) => {
                let envelope: DsseEnvelope = required("unfreeze", unfreeze)?.try_into()?;
                freeze::take_unfreeze(writer, &envelope).await?
            }
        };
        let confirmation = match confirmed {
            Some(digest) => Some(freeze::confirm(writer, digest).await?.into()),
            None => None,
        };
        Ok(wire::SetFrozenResponse {
            frozen: writer.switches.is_frozen(),
            confirmation,
        })
    }

    async fn reported(&self, key_id: &str) -> Result<wire::ReportReceiptsResponse, PublicError> {
        let key: KeyId = key_id
            .parse()
            .map_err(|_| PublicError::new(ErrorCode::Malformed, "key_id: must be a key id"))?;
        let writer = &self.writer;
        let mut sources = Vec::new();
        for (source_id, database) in writer.core.databases() {
            let done = report_receipts(writer, (source_id, database.reading()), &key).await?;
            sources.push(wire::ReportedReceipts {
                source_id: source_id.to_owned(),
                reported: done.reported,
                unreported: done.unreported,
                unavailable: done.unavailable.map(ToOwned::to_owned),
            });
        }
        Ok(wire::ReportReceiptsResponse {
            sources,
            signing_key: writer.key.key_id().to_string(),
            frozen: writer.switches.is_frozen(),
        })
    }

    async fn audited(
        &self,
        request: wire::AuditReceiptsRequest,
    ) -> Result<wire::AuditReceiptsResponse, PublicError> {
        let page = AuditPage {
            source: request.source_id,
            before_seq: Some(request.before_seq).filter(|seq| *seq > 0),
            source_page: Some(request.source_page).filter(|page| !page.is_empty()),
        };
        let done = audit_receipts(&self.writer, page).await?;
        let audited = |receipts: Vec<ReceiptRef>| {
            let audited = |receipt: ReceiptRef| wire::AuditedReceipt {
                proposal_id: receipt.proposal_id.to_string(),
                receipt_digest: receipt.receipt_digest.to_string(),
            };
            receipts.into_iter().map(audited).collect()
        };
        Ok(wire::AuditReceiptsResponse {
            compared: done.compared,
            lost: audited(done.lost),
            orphans: audited(done.orphans),
            foreign: done.foreign,
            next_before_seq: done.next_before_seq.unwrap_or(0),
            next_source_page: done.next_source_page.unwrap_or_default(),
            archived_before_ms: done.archived_before.map_or(0, |at| at.as_unix_millis()),
            unavailable: done.unavailable.map(ToOwned::to_owned),
        })
    }

    async fn status(&self) -> Result<wire::GetStatusResponse, PublicError> {
        let (_, digest) = (self.writer.trust)()?;
        let databases = self.writer.core.databases();
        let mut sources = join_all(databases.map(|(source, database)| source_status(source, database))).await;
        for source in &mut sources {
            source
                .problems
                .extend(self.writer.receipts.of_source(&source.source_id));
            if let Err(refusal) = self.writer.core.check_source(&source.source_id).await {
                source.problems.push(refusal.to_string());
            }
        }
        let frozen = self.writer.switches.is_frozen();
        let writer = self.writer.name.clone();
        let freezes = self.writer.switches.freezes();
        let problem = self.writer.switches.check_durable().err();
        Ok(wire::GetStatusResponse {
            frozen,
            freeze_digests: freezes
                .iter()
                .filter_map(|f| Some(f.digest?.to_string()))
                .collect(),
            frozen_alone: freezes.iter().any(|f| f.digest.is_none()),
            switch_problem: problem.map(|refusal| refusal.code.to_string()),
            trust_digest: digest.to_string(),
            sources,
            writer,
            writer_now_ms: self.writer.now().as_unix_millis(),
            ledger_now_ms: self.writer.ledger.time().map_or(0, |at| at.as_unix_millis()),
        })
    }
}

async fn source_status(source_id: &str, database: &Database) -> wire::SourceStatus {
    let engine = database.reading();
    let identity = engine.identity().await;
    let problems = match engine.receipt_problems().await {
        Ok(problems) => problems.iter().map(Finding::lines).collect(),
        Err(error) => vec![format!("database not usable: {}", error.reason())],
    };
    wire::SourceStatus {
        source_id: source_id.to_owned(),
        engine: engine.kind().as_str().to_owned(),
        database_identity: identity.unwrap_or_default(),
        problems,
        database_now_ms: database.now().await.map_or(0, Timestamp::as_unix_millis),
    }
}

#[tonic::async_trait]
impl WriterService for WriterRpc {
    async fn dry_run(
        &self,
        request: Request<wire::DryRunRequest>,
    ) -> Result<Response<wire::DryRunResponse>, Status> {
        let run = async {
            let proposal: DsseEnvelope = required("proposal", request.into_inner().proposal)?.try_into()?;
            preview(&self.writer, &self.dry_runs, proposal).await
        };
        let preview = run.await.map_err(|r| to_status(&r))?;
        let after_image_json = preview.after.map(|row| {
            let columns: serde_json::Map<_, _> =
                row.into_iter().map(|c| (c.column, json!(c.value))).collect();
            serde_json::Value::Object(columns).to_string().into_bytes()
        });
        Ok(Response::new(wire::DryRunResponse {
            message: preview.message,
            after_image_json,
            ..verdict_to_wire(preview.verdict)
        }))
    }

    async fn preflight_write(
        &self,
        request: Request<wire::PreflightWriteRequest>,
    ) -> Result<Response<wire::PreflightWriteResponse>, Status> {
        self.run_preflight(&request.into_inner().source_id)
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }

    async fn reject(
        &self,
        request: Request<wire::RejectRequest>,
    ) -> Result<Response<wire::RejectResponse>, Status> {
        self.denied(request.into_inner())
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }

    async fn set_frozen(
        &self,
        request: Request<wire::SetFrozenRequest>,
    ) -> Result<Response<wire::SetFrozenResponse>, Status> {
        self.frozen(request.into_inner())
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }

    async fn report_receipts(
        &self,
        request: Request<wire::ReportReceiptsRequest>,
    ) -> Result<Response<wire::ReportReceiptsResponse>, Status> {
        self.reported(&request.into_inner().key_id)
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }

    async fn audit_receipts(
        &self,
        request: Request<wire::AuditReceiptsRequest>,
    ) -> Result<Response<wire::AuditReceiptsResponse>, Status> {
        self.audited(request.into_inner())
            .await
            .map(Response::new)
            .map_err(|r| to_status(&r))
    }

    async fn get_status(
        &self,
        _: Request<wire::GetStatusRequest>,
    ) -> Result<Response<wire::GetStatusResponse>, Status> {
        self.status().await.map(Response::new).map_err(|r| to_status(&r))
    }
}
