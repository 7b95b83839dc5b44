//! Client of the ledger. Responses are unverified; callers verify them.

use std::collections::BTreeSet;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::{CALL_TIMEOUT, Endpoint};
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::random::hex_id;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::log::{ConsistencyProof, PinnedCheckpoint, ProvenEntry, TreeHead};
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{ReceiptIncidentKind, ReceiptRef};
use synapsor_proto::common::v1::{self as common, PageRequest, ProposalState as WireState};
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1::{
    self as wire, event_service_client::EventServiceClient, review_service_client::ReviewServiceClient,
    transparency_service_client::TransparencyServiceClient,
};

use super::{EventQuery, EventStream, call, call_within, not_found, verification_failed};
use crate::connection::LedgerConnection;

/// Length of a request id, in hex digits.
const REQUEST_ID_DIGITS: usize = 32;

/// Connection to a running ledger.
#[derive(Debug, Clone)]
pub(crate) struct LedgerClient {
    review: ReviewServiceClient<Channel>,
    events: EventServiceClient<Channel>,
    transparency: TransparencyServiceClient<Channel>,
    target: Endpoint,
}

/// A proposal as the ledger returns it.
#[derive(Debug)]
pub(crate) struct ProposalRecord {
    pub(crate) proposal: DsseEnvelope,
    pub(crate) state: ProposalState,
    pub(crate) started: bool,
    pub(crate) decisions: Vec<DsseEnvelope>,
    pub(crate) attempt: Option<DsseEnvelope>,
    pub(crate) receipt: Option<DsseEnvelope>,
    /// Newest human action in place of a shadow proposal, with its position.
    pub(crate) human_action: Option<(u64, DsseEnvelope)>,
    pub(crate) updated_at: Timestamp,
}

/// A proposal with its proofs.
#[derive(Debug)]
pub(crate) struct ProposalWithProofs {
    pub(crate) record: ProposalRecord,
    pub(crate) records: Vec<ProvenEntry>,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Option<ConsistencyProof>,
}

/// Filter of a proposal list; an empty field matches any value.
#[derive(Debug, Default, Clone)]
pub(crate) struct ProposalQuery {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) capability: String,
    pub(crate) state: Option<ProposalState>,
    pub(crate) source_id: String,
    pub(crate) table: TableFilter,
    pub(crate) object_id: String,
    pub(crate) created_from: Option<Timestamp>,
    pub(crate) created_to: Option<Timestamp>,
    pub(crate) mode: Option<ProposalMode>,
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct ProposalPage {
    pub(crate) proposals: Vec<ProposalRecord>,
    pub(crate) next_page_token: String,
    /// Number of matches on all pages; on the first page only, and absent from earlier ledgers.
    pub(crate) total: Option<u32>,
}

/// Result of a submitted decision.
#[derive(Debug)]
pub(crate) struct RecordedDecision {
    pub(crate) state: ProposalState,
    pub(crate) approvals: u32,
    pub(crate) quorum: u32,
}

/// State of a submitted apply order.
#[derive(Debug)]
pub(crate) struct ApplyOrderResult {
    pub(crate) seq: u64,
    pub(crate) writer_present: bool,
    pub(crate) lease: Option<CurrentLease>,
}

/// Right of one writer to work on a proposal, as the ledger reports it.
#[derive(Debug)]
pub(crate) struct CurrentLease {
    pub(crate) writer: String,
    pub(crate) expires_at: Timestamp,
}

/// Freezes held by the ledger, unverified.
#[derive(Debug, Default)]
pub(crate) struct LedgerSwitches {
    /// Freezes in force and the newest unfreezes, oldest first.
    pub(crate) signed: Vec<DsseEnvelope>,
    pub(crate) confirmations: Vec<DsseEnvelope>,
    /// Time until which a submitted order can still be applied.
    pub(crate) ordered_until: Option<Timestamp>,
    /// Certificate identities of the writers with an open lease stream.
    pub(crate) writers: Vec<String>,
}

/// A receipt on which a source and the log disagree, as the ledger claims.
#[derive(Debug, Clone)]
pub(crate) struct ReceiptIncident {
    pub(crate) source: String,
    pub(crate) kind: ReceiptIncidentKind,
    pub(crate) named: ReceiptRef,
}

/// One page of open incidents.
#[derive(Debug)]
pub(crate) struct IncidentPage {
    pub(crate) incidents: Vec<ReceiptIncident>,
    pub(crate) next_page_token: String,
    /// Total number of open incidents.
    pub(crate) open: u64,
}

/// A recorded receipt order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReceiptOrderResult {
    pub(crate) seq: u64,
    /// Number of receipts that it covers.
    pub(crate) receipts: u64,
}

/// All records of one proposal.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Consistency proofs between the checkpoint and other tree heads.
    pub(crate) continued: Vec<ConsistencyProof>,
    pub(crate) records: Vec<ProvenEntry>,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Option<ConsistencyProof>,
}

/// Filter of an evidence list; an empty field matches any value.
#[derive(Debug, Default, Clone)]
pub(crate) struct EvidenceQuery {
    pub(crate) tenant: String,
    pub(crate) capability: String,
    pub(crate) proposal_id: String,
    pub(crate) source_id: String,
    pub(crate) table: TableFilter,
    pub(crate) principal: String,
    pub(crate) object_id: String,
    pub(crate) query_fingerprint: String,
    pub(crate) read_from: Option<Timestamp>,
    pub(crate) read_to: Option<Timestamp>,
}

/// Filter of a list of audit records; an empty field matches any value.
#[derive(Debug, Default, Clone)]
pub(crate) struct AuditQuery {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) capability: String,
    pub(crate) source_id: String,
    pub(crate) table: TableFilter,
    pub(crate) object_id: String,
    pub(crate) query_fingerprint: String,
    pub(crate) result: String,
    pub(crate) proposal_id: String,
    pub(crate) evidence_id: String,
    /// Only calls that created no proposal.
    pub(crate) without_proposal: bool,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
}

/// Filter of a list of receipts; an empty or unspecified field matches any value.
#[derive(Debug, Default, Clone)]
pub(crate) struct ReceiptQuery {
    pub(crate) proposal_id: String,
    pub(crate) outcome: wire::ReceiptOutcomeGroup,
    pub(crate) created_from: Option<Timestamp>,
    pub(crate) created_to: Option<Timestamp>,
}

/// One audit record with its proof.
#[derive(Debug)]
pub(crate) struct ProvenAuditRecord {
    pub(crate) record: ProvenEntry,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Option<ConsistencyProof>,
}

/// Signed objects of a list: evidence or receipts.
#[derive(Debug)]
pub(crate) struct EvidencePage {
    pub(crate) signed: Vec<DsseEnvelope>,
    pub(crate) next_page_token: String,
}

/// One evidence record.
#[derive(Debug)]
pub(crate) struct FoundEvidence {
    pub(crate) evidence: DsseEnvelope,
    pub(crate) proposal_ids: Vec<String>,
}

/// The newest checkpoint, with proofs that it extends other tree heads.
#[derive(Debug)]
pub(crate) struct CheckpointFrom {
    pub(crate) note: String,
    pub(crate) consistency: Option<ConsistencyProof>,
    pub(crate) continued: Vec<ConsistencyProof>,
    /// Ledger wall clock, unsigned.
    pub(crate) ledger_now: Timestamp,
    /// The ledger's wall clock jumped, so it records no expiry.
    pub(crate) is_expiry_paused: bool,
}

/// Result of the ledger's own store verification.
#[derive(Debug)]
pub(crate) struct LogCheck {
    pub(crate) findings: Vec<String>,
    pub(crate) records_checked: u64,
    pub(crate) checkpoint: String,
    pub(crate) consistency: Option<ConsistencyProof>,
}

impl LedgerClient {
    pub(crate) fn of(session: &LedgerConnection) -> Self {
        let link = session.ledger();
        let channel = || link.channel.clone();
        let (read, write) = (MESSAGE_BYTES_MAX, MESSAGE_BYTES_MAX);
        Self {
            review: ReviewServiceClient::new(channel())
                .max_decoding_message_size(read)
                .max_encoding_message_size(write),
            events: EventServiceClient::new(channel())
                .max_decoding_message_size(read)
                .max_encoding_message_size(write),
            transparency: TransparencyServiceClient::new(channel())
                .max_decoding_message_size(read)
                .max_encoding_message_size(write),
            target: link.target.clone(),
        }
    }

    pub(crate) async fn list(
        &mut self,
        filter: &ProposalQuery,
        size: u32,
        token: &str,
    ) -> Result<ProposalPage, ExitError> {
        let message = wire::ListProposalsRequest {
            tenant: filter.tenant.clone(),
            principal: filter.principal.clone(),
            capability: filter.capability.clone(),
            state: filter.state.map_or(WireState::Unspecified, Into::into).into(),
            source_id: filter.source_id.clone(),
            table: filter.table.table.clone().unwrap_or_default(),
            object_type: filter.table.object_type.clone().unwrap_or_default(),
            object_id: filter.object_id.clone(),
            created_from_ms: millis(filter.created_from),
            created_to_ms: millis(filter.created_to),
            page: Some(page(size, token)),
            mode: filter
                .mode
                .map_or_else(String::new, |mode| mode.as_str().to_owned()),
        };
        let answer = call(&self.target, message, async |m| {
            self.review.list_proposals(m).await
        })
        .await?;
        let proposals = answer
            .proposals
            .into_iter()
            .map(record)
            .collect::<Result<_, _>>()
            .map_err(malformed_response)?;
        Ok(ProposalPage {
            proposals,
            total: Some(answer.total).filter(|total| *total > 0),
            next_page_token: answer.next_page_token,
        })
    }

    pub(crate) async fn proposal(
        &mut self,
        reference: &str,
        known: &PinnedCheckpoint,
    ) -> Result<ProposalWithProofs, ExitError> {
        let message = wire::GetProposalRequest {
            proposal_ref: reference.to_owned(),
            known: Some(common::TreeHead::from(known)),
        };
        let answer = call(&self.target, message, async |m| self.review.get_proposal(m).await)
            .await
            .map_err(|failure| not_found(failure, reference))?;
        shown(answer).map_err(malformed_response)
    }

    pub(crate) async fn decide(&mut self, decision: &DsseEnvelope) -> Result<RecordedDecision, ExitError> {
        let message = wire::SubmitDecisionRequest {
            request_id: request_id(),
            decision: Some(decision.into()),
        };
        let answer = call(&self.target, message, async |m| {
            self.review.submit_decision(m).await
        })
        .await?;
        let state = answer.state().try_into().map_err(malformed_response)?;
        Ok(RecordedDecision {
            state,
            approvals: answer.approvals,
            quorum: answer.quorum,
        })
    }

    /// Submits a freeze or an unfreeze.
    pub(crate) async fn submit_switch(&mut self, signed: &DsseEnvelope) -> Result<(), ExitError> {
        let message = wire::SubmitSwitchRequest {
            signed: Some(signed.into()),
        };
        call(&self.target, message, async |m| {
            self.review.submit_switch(m).await
        })
        .await
        .map(|_| ())
    }

    /// Returns the freezes in force, with the confirmations of one freeze or unfreeze.
    pub(crate) async fn switches(&mut self, about: Option<Digest>) -> Result<LedgerSwitches, ExitError> {
        let message = wire::GetSwitchesRequest {
            about: about.map_or_else(String::new, |digest| digest.to_string()),
        };
        let answer = call(&self.target, message, async |m| self.review.get_switches(m).await).await?;
        let until = answer.ordered_until_ms;
        Ok(LedgerSwitches {
            signed: envelopes(answer.signed).map_err(malformed_response)?,
            confirmations: envelopes(answer.confirmations).map_err(malformed_response)?,
            ordered_until: (until > 0).then(|| Timestamp::from_unix_millis(until)),
            writers: answer.writers,
        })
    }

    /// Submits an order about receipts.
    pub(crate) async fn submit_receipt_order(
        &mut self,
        signed: &DsseEnvelope,
    ) -> Result<ReceiptOrderResult, ExitError> {
        let message = wire::SubmitReceiptOrderRequest {
            signed: Some(signed.into()),
        };
        let answer = call(&self.target, message, async |m| {
            self.review.submit_receipt_order(m).await
        })
        .await?;
        Ok(ReceiptOrderResult {
            seq: answer.seq,
            receipts: answer.receipts,
        })
    }

    /// Submits what a person did in place of a shadow proposal; returns its position in the log.
    pub(crate) async fn submit_human_action(&mut self, signed: &DsseEnvelope) -> Result<u64, ExitError> {
        let message = wire::SubmitHumanActionRequest {
            signed: Some(signed.into()),
        };
        let answer = call(&self.target, message, async |m| {
            self.review.submit_human_action(m).await
        })
        .await?;
        Ok(answer.seq)
    }

    /// Returns a page of the open incidents; an empty source or kind matches any.
    pub(crate) async fn incidents(
        &mut self,
        source: &str,
        kind: Option<ReceiptIncidentKind>,
        size: u32,
        token: &str,
    ) -> Result<IncidentPage, ExitError> {
        let message = wire::ListReceiptIncidentsRequest {
            source_id: source.to_owned(),
            kind: kind
                .map_or(wire::ReceiptIncidentKind::Unspecified, Into::into)
                .into(),
            page: Some(page(size, token)),
        };
        let answer = call(&self.target, message, async |m| {
            self.review.list_receipt_incidents(m).await
        })
        .await?;
        let incidents = answer.incidents.into_iter().map(|incident| {
            Ok(ReceiptIncident {
                named: super::receipt_ref(&incident.proposal_id, &incident.receipt_digest)?,
                kind: incident.kind().try_into()?,
                source: incident.source_id,
            })
        });
        Ok(IncidentPage {
            incidents: incidents
                .collect::<Result<_, PublicError>>()
                .map_err(malformed_response)?,
            next_page_token: answer.next_page_token,
            open: answer.open,
        })
    }

    pub(crate) async fn request_apply(
        &mut self,
        order: &DsseEnvelope,
    ) -> Result<ApplyOrderResult, ExitError> {
        let message = wire::SubmitApplyOrderRequest {
            request_id: request_id(),
            apply_order: Some(order.into()),
        };
        let answer = call(&self.target, message, async |m| {
            self.review.submit_apply_order(m).await
        })
        .await?;
        Ok(ApplyOrderResult {
            seq: answer.seq,
            writer_present: answer.writer_present,
            lease: answer.lease.map(|lease| CurrentLease {
                writer: lease.writer,
                expires_at: Timestamp::from_unix_millis(lease.expires_at_ms),
            }),
        })
    }

    pub(crate) async fn replay(
        &mut self,
        reference: &str,
        known: &PinnedCheckpoint,
        heads: &BTreeSet<TreeHead>,
    ) -> Result<Replay, ExitError> {
        let message = wire::GetReplayRequest {
            proposal: reference.to_owned(),
            known: Some(common::TreeHead::from(known)),
            retired_at: heads.iter().map(|head| head.size).collect(),
        };
        let answer = call(&self.target, message, async |m| self.events.get_replay(m).await)
            .await
            .map_err(|failure| not_found(failure, reference))?;
        let records = logged(answer.records).map_err(malformed_response)?;
        let consistency = consistency(answer.consistency).map_err(malformed_response)?;
        let continued = answer.continued.into_iter().map(ConsistencyProof::try_from);
        Ok(Replay {
            continued: continued.collect::<Result<_, _>>().map_err(malformed_response)?,
            records,
            checkpoint: answer.checkpoint,
            consistency,
        })
    }

    /// Opens the event stream; it ends by itself unless it follows.
    pub(crate) async fn tail(&mut self, filter: &EventQuery) -> Result<EventStream, ExitError> {
        let message = wire::TailRequest {
            from_seq: filter.from_seq,
            proposal_id: filter.proposal_id.clone(),
            kind: filter
                .kind
                .map_or_else(String::new, |k: EventKind| k.as_str().to_owned()),
            follow: filter.follow,
            limit: filter.limit,
            actor: filter.actor.clone(),
            at_from_ms: filter.at_from.map_or(0, Timestamp::as_unix_millis),
            at_to_ms: filter.at_to.map_or(0, Timestamp::as_unix_millis),
            to_seq: filter.to_seq,
        };
        // The stream may outlast the call timeout, so only opening it is bounded.
        let opened = async { self.events.tail(tonic::Request::new(message)).await };
        match synapsor_chassis::grpc_channel::with_timeout(CALL_TIMEOUT, opened).await {
            Ok(response) => Ok(EventStream::new(response.into_inner(), self.target.clone())),
            Err(status) => Err(super::failure(&status, &self.target)),
        }
    }

    pub(crate) async fn list_evidence(
        &mut self,
        filter: &EvidenceQuery,
        size: u32,
        token: &str,
    ) -> Result<EvidencePage, ExitError> {
        let message = wire::ListEvidenceRequest {
            tenant: filter.tenant.clone(),
            capability: filter.capability.clone(),
            proposal_id: filter.proposal_id.clone(),
            source_id: filter.source_id.clone(),
            table: filter.table.table.clone().unwrap_or_default(),
            object_type: filter.table.object_type.clone().unwrap_or_default(),
            page: Some(page(size, token)),
            principal: filter.principal.clone(),
            object_id: filter.object_id.clone(),
            query_fingerprint: filter.query_fingerprint.clone(),
            read_from_ms: millis(filter.read_from),
            read_to_ms: millis(filter.read_to),
        };
        let answer = call(&self.target, message, async |m| {
            self.events.list_evidence(m).await
        })
        .await?;
        Ok(EvidencePage {
            signed: envelopes(answer.evidence).map_err(malformed_response)?,
            next_page_token: answer.next_page_token,
        })
    }

    /// Returns a page of audit records with their positions in the log.
    pub(crate) async fn list_audit_records(
        &mut self,
        filter: &AuditQuery,
        size: u32,
        token: &str,
    ) -> Result<(Vec<(u64, Vec<u8>)>, String), ExitError> {
        let message = wire::ListAuditRecordsRequest {
            tenant: filter.tenant.clone(),
            principal: filter.principal.clone(),
            capability: filter.capability.clone(),
            source_id: filter.source_id.clone(),
            table: filter.table.table.clone().unwrap_or_default(),
            object_type: filter.table.object_type.clone().unwrap_or_default(),
            object_id: filter.object_id.clone(),
            query_fingerprint: filter.query_fingerprint.clone(),
            result: filter.result.clone(),
            proposal_id: filter.proposal_id.clone(),
            evidence_id: filter.evidence_id.clone(),
            from_ms: millis(filter.from),
            to_ms: millis(filter.to),
            without_proposal: filter.without_proposal,
            page: Some(page(size, token)),
        };
        let answer = call(&self.target, message, async |m| {
            self.events.list_audit_records(m).await
        })
        .await?;
        let records = answer
            .records
            .into_iter()
            .map(|listed| (listed.seq, listed.audit));
        Ok((records.collect(), answer.next_page_token))
    }

    /// Returns one audit record by id, id prefix, or position in the log.
    pub(crate) async fn audit_record(
        &mut self,
        reference: &str,
        known: &PinnedCheckpoint,
    ) -> Result<ProvenAuditRecord, ExitError> {
        let message = wire::GetAuditRecordRequest {
            audit_ref: reference.to_owned(),
            known: Some(common::TreeHead::from(known)),
        };
        let answer = call(&self.target, message, async |m| {
            self.events.get_audit_record(m).await
        })
        .await
        .map_err(|failure| not_found(failure, reference))?;
        let record = required("record", answer.record).and_then(ProvenEntry::try_from);
        Ok(ProvenAuditRecord {
            record: record.map_err(malformed_response)?,
            checkpoint: answer.checkpoint,
            consistency: consistency(answer.consistency).map_err(malformed_response)?,
        })
    }

    pub(crate) async fn evidence(&mut self, evidence_id: &str) -> Result<FoundEvidence, ExitError> {
        let message = wire::GetEvidenceRequest {
            evidence_id: evidence_id.to_owned(),
        };
        let answer = call(&self.target, message, async |m| self.events.get_evidence(m).await)
            .await
            .map_err(|failure| not_found(failure, evidence_id))?;
        let evidence = required("evidence", answer.evidence)
            .and_then(DsseEnvelope::try_from)
            .map_err(malformed_response)?;
        Ok(FoundEvidence {
            evidence,
            proposal_ids: answer.proposal_ids,
        })
    }

    pub(crate) async fn list_receipts(
        &mut self,
        filter: &ReceiptQuery,
        size: u32,
        token: &str,
    ) -> Result<EvidencePage, ExitError> {
        let message = wire::ListReceiptsRequest {
            proposal_id: filter.proposal_id.clone(),
            outcome: filter.outcome.into(),
            page: Some(page(size, token)),
            created_from_ms: millis(filter.created_from),
            created_to_ms: millis(filter.created_to),
        };
        let answer = call(&self.target, message, async |m| {
            self.events.list_receipts(m).await
        })
        .await?;
        Ok(EvidencePage {
            signed: envelopes(answer.receipts).map_err(malformed_response)?,
            next_page_token: answer.next_page_token,
        })
    }

    /// Returns the newest checkpoint with its proof, and the proofs between it and other tree heads.
    pub(crate) async fn checkpoint_from(
        &mut self,
        known: &PinnedCheckpoint,
        heads: &BTreeSet<TreeHead>,
    ) -> Result<CheckpointFrom, ExitError> {
        let message = wire::GetCheckpointRequest {
            known: Some(known.into()),
            retired_at: heads.iter().map(|head| head.size).collect(),
        };
        let answer = call(&self.target, message, async |m| {
            self.transparency.get_checkpoint(m).await
        })
        .await?;
        let continued = answer.continued.into_iter().map(ConsistencyProof::try_from);
        Ok(CheckpointFrom {
            note: answer.checkpoint,
            consistency: consistency(answer.consistency).map_err(malformed_response)?,
            continued: continued.collect::<Result<_, _>>().map_err(malformed_response)?,
            ledger_now: Timestamp::from_unix_millis(answer.ledger_now_ms),
            is_expiry_paused: answer.is_expiry_paused,
        })
    }

    /// Returns the newest checkpoint with its proof.
    pub(crate) async fn checkpoint(
        &mut self,
        known: &PinnedCheckpoint,
    ) -> Result<(String, Option<ConsistencyProof>), ExitError> {
        let message = wire::GetCheckpointRequest {
            known: Some(known.into()),
            retired_at: Vec::new(),
        };
        let answer = call(&self.target, message, async |m| {
            self.transparency.get_checkpoint(m).await
        })
        .await?;
        Ok((
            answer.checkpoint,
            consistency(answer.consistency).map_err(malformed_response)?,
        ))
    }

    /// Makes the ledger recompute its whole store, within `limit`.
    pub(crate) async fn verify(
        &mut self,
        known: &PinnedCheckpoint,
        limit: std::time::Duration,
    ) -> Result<LogCheck, ExitError> {
        let message = wire::VerifyStoreRequest {
            known: Some(known.into()),
        };
        let answer = call_within(&self.target, limit, message, async |m| {
            self.transparency.verify_store(m).await
        })
        .await?;
        Ok(LogCheck {
            findings: answer.findings,
            records_checked: answer.records_checked,
            checkpoint: answer.checkpoint,
            consistency: consistency(answer.consistency).map_err(malformed_response)?,
        })
    }
}

/// Returns a bound of a time filter; 0 means open.
fn millis(at: Option<Timestamp>) -> i64 {
    at.map_or(0, Timestamp::as_unix_millis)
}

fn request_id() -> String {
    hex_id(REQUEST_ID_DIGITS)
}

fn page(size: u32, token: &str) -> PageRequest {
    PageRequest {
        size,
        token: token.to_owned(),
    }
}

fn malformed_response(refusal: PublicError) -> ExitError {
    verification_failed(ErrorCode::LedgerAnswerMalformed, refusal)
}

fn record(record: wire::ProposalRecord) -> Result<ProposalRecord, PublicError> {
    Ok(ProposalRecord {
        state: record.state().try_into()?,
        proposal: required("proposal", record.proposal)?.try_into()?,
        started: record.attempt_started,
        decisions: envelopes(record.decisions)?,
        attempt: record.attempt.map(DsseEnvelope::try_from).transpose()?,
        receipt: record.receipt.map(DsseEnvelope::try_from).transpose()?,
        human_action: record
            .human_action
            .map(|signed| Ok::<_, PublicError>((record.human_action_seq, signed.try_into()?)))
            .transpose()?,
        updated_at: Timestamp::from_unix_millis(record.updated_at_ms),
    })
}

fn shown(answer: wire::GetProposalResponse) -> Result<ProposalWithProofs, PublicError> {
    Ok(ProposalWithProofs {
        record: record(required("record", answer.record)?)?,
        records: logged(answer.records)?,
        checkpoint: answer.checkpoint,
        consistency: consistency(answer.consistency)?,
    })
}

fn envelopes(signed: Vec<common::DsseEnvelope>) -> Result<Vec<DsseEnvelope>, PublicError> {
    signed.into_iter().map(DsseEnvelope::try_from).collect()
}

fn logged(records: Vec<common::ProvenEntry>) -> Result<Vec<ProvenEntry>, PublicError> {
    records.into_iter().map(ProvenEntry::try_from).collect()
}

fn consistency(proof: Option<common::ConsistencyProof>) -> Result<Option<ConsistencyProof>, PublicError> {
    proof.map(ConsistencyProof::try_from).transpose()
}
