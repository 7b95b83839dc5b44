//! `ReviewService`: proposals that operators read and decisions that they submit.

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{ReceiptIncidentKind, ReceiptRef};
use synapsor_proto::common::v1::ProposalState as WireState;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::review_service_server::ReviewService;
use synapsor_proto::ledger::v1::{
    GetProposalRequest, GetProposalResponse, GetSwitchesRequest, GetSwitchesResponse, Lease,
    ListProposalsRequest, ListProposalsResponse, ProposalRecord, SubmitApplyOrderRequest,
    SubmitApplyOrderResponse, SubmitDecisionRequest, SubmitDecisionResponse, SubmitSwitchRequest,
    SubmitSwitchResponse,
};
use tonic::{Request, Response, Status};

use super::page::Page;
use super::{LedgerServices, caller, envelope, non_empty, refuse};
use crate::error::status_of;
use crate::store::proposals::{self, ProposalFilter, ProposalRow};
use crate::store::receipts::{self, IncidentRow};
use crate::store::{
    NodeCache, ProofReader, ReadTransaction, StoreError, StoreTxError, agents, events, human_actions, log,
    records,
};

/// Number of matches up to which a list is counted.
const COUNTED_MAX: u32 = 10_001;

#[tonic::async_trait]
impl ReviewService for LedgerServices {
    async fn list_proposals(
        &self,
        request: Request<ListProposalsRequest>,
    ) -> Result<Response<ListProposalsResponse>, Status> {
        let mut message = request.into_inner();
        let page = Page::from_wire(message.page.take()).map_err(refuse)?;
        let filter = filter(message).map_err(refuse)?;
        let is_of_tables = !filter.table.is_empty();
        let list = move |reader: &ReadTransaction<'_>| {
            let rows = proposals::list(reader.conn(), &filter, page.before, page.scan())?;
            let total = match page.before {
                None => proposals::count(reader.conn(), &filter, COUNTED_MAX)?,
                Some(_) => 0,
            };
            let page = page.fill(rows, |row| row.created_seq, |row| shown(reader, row))?;
            Ok::<_, StoreTxError>((total, page))
        };
        let store = &self.ledger.store;
        // The names of tables are those of the records.
        let listed = match is_of_tables {
            true => store.read_records(list).await,
            false => store.read(list).await,
        };
        let (total, (proposals, next_page_token)) = listed.map_err(status_of)?;
        Ok(Response::new(ListProposalsResponse {
            proposals,
            next_page_token,
            total,
        }))
    }

    async fn get_proposal(
        &self,
        request: Request<GetProposalRequest>,
    ) -> Result<Response<GetProposalResponse>, Status> {
        let message = request.into_inner();
        let known = message.known.map_or(0, |known| known.size);
        let response = self
            .ledger
            .store
            .read(move |reader| {
                let conn = reader.conn();
                let row = proposals::resolve(conn, &message.proposal_ref)?;
                let head = log::head(conn)?;
                let mut seqs = vec![row.created_seq];
                seqs.extend(records::decisions(conn, &row.id)?.iter().map(|d| d.seq));
                seqs.extend(proposals::newest_order(conn, &row.id)?);
                // A receipt of a retired key counts by its position, or by the order that adopted it.
                seqs.extend(proposals::newest_report_seq(conn, &row.id)?);
                seqs.extend(adopted(reader, &row)?);
                seqs.extend(human_action(conn, &row)?);
                if row.state == ProposalState::Canceled {
                    seqs.extend(agents::withdrawal(conn, &row.id)?);
                }
                seqs.sort_unstable();
                let cache = NodeCache::default();
                let logged = ProofReader::new(conn, head.size, &cache).logged_all(&seqs)?;
                Ok(GetProposalResponse {
                    record: Some(record(reader, &row)?),
                    records: logged.iter().map(Into::into).collect(),
                    consistency: log::proof_since(conn, known, &head)?.as_ref().map(Into::into),
                    checkpoint: head.note,
                })
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(response))
    }

    async fn submit_decision(
        &self,
        request: Request<SubmitDecisionRequest>,
    ) -> Result<Response<SubmitDecisionResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("decision", message.decision)?;
        let done = self
            .ledger
            .decide(caller, &message.request_id, signed)
            .await
            .map_err(status_of)?;
        let decided = done.value.map_err(refuse)?;
        Ok(Response::new(SubmitDecisionResponse {
            state: WireState::from(decided.state).into(),
            approvals: decided.approvals,
            quorum: decided.quorum,
            checkpoint: done.head.note,
        }))
    }

    async fn submit_apply_order(
        &self,
        request: Request<SubmitApplyOrderRequest>,
    ) -> Result<Response<SubmitApplyOrderResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("order", message.apply_order)?;
        let done = self
            .ledger
            .request_apply(caller, &message.request_id, signed)
            .await
            .map_err(status_of)?;
        let ordered = done.value.map_err(refuse)?;
        Ok(Response::new(SubmitApplyOrderResponse {
            seq: ordered.seq,
            writer_present: self.ledger.streams.serves(&ordered.source_id),
            checkpoint: done.head.note,
            lease: ordered.lease.map(|lease| Lease {
                writer: lease.writer,
                expires_at_ms: lease.expires_at.as_unix_millis(),
            }),
        }))
    }

    async fn submit_switch(
        &self,
        request: Request<SubmitSwitchRequest>,
    ) -> Result<Response<SubmitSwitchResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("signed", message.signed)?;
        let done = self
            .ledger
            .submit_switch(caller, signed)
            .await
            .map_err(status_of)?;
        Ok(Response::new(SubmitSwitchResponse {
            seq: done.value,
            checkpoint: done.head.note,
        }))
    }

    async fn get_switches(
        &self,
        request: Request<GetSwitchesRequest>,
    ) -> Result<Response<GetSwitchesResponse>, Status> {
        let about = non_empty(request.into_inner().about);
        let about = about.map(|text| text.parse::<Digest>()).transpose();
        let about =
            about.map_err(|e| refuse(PublicError::new(ErrorCode::Malformed, format!("about: {e}"))))?;
        let found = self.ledger.switches(about).await.map_err(status_of)?;
        Ok(Response::new(GetSwitchesResponse {
            signed: found.signed.into_iter().map(Into::into).collect(),
            newest: found.newest.map_or_else(String::new, |digest| digest.to_string()),
            confirmations: found.confirmations.into_iter().map(Into::into).collect(),
            ordered_until_ms: found.ordered_until.map_or(0, Timestamp::as_unix_millis),
            writers: self.ledger.streams.writers(),
        }))
    }

    async fn submit_receipt_order(
        &self,
        request: Request<wire::SubmitReceiptOrderRequest>,
    ) -> Result<Response<wire::SubmitReceiptOrderResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("signed", message.signed)?;
        let done = self
            .ledger
            .submit_receipt_order(caller, signed)
            .await
            .map_err(status_of)?;
        Ok(Response::new(wire::SubmitReceiptOrderResponse {
            seq: done.value.seq,
            checkpoint: done.head.note,
            receipts: done.value.receipts,
        }))
    }

    async fn submit_human_action(
        &self,
        request: Request<wire::SubmitHumanActionRequest>,
    ) -> Result<Response<wire::SubmitHumanActionResponse>, Status> {
        let (caller, message) = (caller(&request)?, request.into_inner());
        let signed = envelope("signed", message.signed)?;
        let done = self
            .ledger
            .submit_human_action(caller, signed)
            .await
            .map_err(status_of)?;
        Ok(Response::new(wire::SubmitHumanActionResponse {
            seq: done.value,
            checkpoint: done.head.note,
        }))
    }

    async fn list_receipt_incidents(
        &self,
        request: Request<wire::ListReceiptIncidentsRequest>,
    ) -> Result<Response<wire::ListReceiptIncidentsResponse>, Status> {
        let mut message = request.into_inner();
        let page = Page::from_wire(message.page.take()).map_err(refuse)?;
        let kind = match message.kind() {
            wire::ReceiptIncidentKind::Unspecified => None,
            kind => Some(ReceiptIncidentKind::try_from(kind).map_err(refuse)?),
        };
        let source = non_empty(message.source_id);
        let (open, (incidents, next_page_token)) = self
            .ledger
            .store
            .read(move |reader| {
                let filter = (source.as_deref(), kind);
                let rows = receipts::open_incidents(reader.conn(), filter, page.before, page.scan())?;
                let shown = |row: &IncidentRow| Ok::<_, StoreTxError>((incident(row), 256));
                let filled = page.fill(rows, |row| row.position, shown)?;
                Ok((receipts::open_count(reader.conn())?, filled))
            })
            .await
            .map_err(status_of)?;
        Ok(Response::new(wire::ListReceiptIncidentsResponse {
            incidents,
            next_page_token,
            open,
        }))
    }
}

/// Returns the position of the order that adopted the receipt of a proposal.
fn adopted(reader: &ReadTransaction<'_>, row: &ProposalRow) -> Result<Option<u64>, StoreTxError> {
    let conn = reader.conn();
    let Some((receipt_digest, _)) = records::receipt(conn, &row.id)? else {
        return Ok(None);
    };
    let named = ReceiptRef {
        proposal_id: row.id.clone(),
        receipt_digest,
    };
    Ok(receipts::adopted(conn, &row.source_id, &named)?)
}

fn incident(row: &IncidentRow) -> wire::ReceiptIncident {
    wire::ReceiptIncident {
        seq: row.seq(),
        source_id: row.source.clone(),
        kind: wire::ReceiptIncidentKind::from(row.kind).into(),
        proposal_id: row.proposal_id.clone(),
        receipt_digest: row.receipt_digest.clone(),
        at_ms: row.at_ms,
    }
}

fn filter(message: ListProposalsRequest) -> Result<ProposalFilter, PublicError> {
    let state = match message.state() {
        WireState::Unspecified => None,
        state => Some(state.try_into()?),
    };
    let moment = |ms: i64| (ms != 0).then_some(ms);
    Ok(ProposalFilter {
        tenant: non_empty(message.tenant),
        principal: non_empty(message.principal),
        capability: non_empty(message.capability),
        state,
        source_id: non_empty(message.source_id),
        table: TableFilter {
            table: non_empty(message.table),
            object_type: non_empty(message.object_type),
        },
        object_id: non_empty(message.object_id),
        created_from_ms: moment(message.created_from_ms),
        created_to_ms: moment(message.created_to_ms),
        mode: non_empty(message.mode).map(|mode| mode_of(&mode)).transpose()?,
    })
}

fn mode_of(text: &str) -> Result<ProposalMode, PublicError> {
    let unknown = || PublicError::new(ErrorCode::Malformed, "mode: expected `review` or `shadow`");
    ProposalMode::from_text(text).ok_or_else(unknown)
}

fn shown(reader: &ReadTransaction<'_>, row: &ProposalRow) -> Result<(ProposalRecord, usize), StoreTxError> {
    let record = record(reader, row)?;
    let bytes = payload_bytes(&record);
    Ok((record, bytes))
}

fn payload_bytes(record: &ProposalRecord) -> usize {
    let signed = [
        &record.proposal,
        &record.apply_order,
        &record.attempt,
        &record.receipt,
        &record.human_action,
    ];
    let all = signed.into_iter().flatten().chain(&record.decisions);
    all.map(|signed| signed.payload.len() + 256).sum()
}

/// Returns everything that the ledger holds about a proposal.
fn record(reader: &ReadTransaction<'_>, row: &ProposalRow) -> Result<ProposalRecord, StoreTxError> {
    let conn = reader.conn();
    let (proposal, _) = proposals::signed(conn, row)?;
    let decisions = records::decisions(conn, &row.id)?
        .iter()
        .map(|d| Ok(events::envelope(conn, d.seq)?.into()))
        .collect::<Result<_, StoreTxError>>()?;
    let order = proposals::newest_order(conn, &row.id)?
        .map(|seq| events::envelope(conn, seq))
        .transpose()?;
    let (attempt, receipt) = proposals::newest_report(conn, &row.id)?;
    let action = human_action(conn, row)?;
    Ok(ProposalRecord {
        proposal: Some(proposal.into()),
        state: WireState::from(row.state).into(),
        attempt_started: row.started,
        decisions,
        apply_order: order.map(Into::into),
        attempt: attempt.map(Into::into),
        receipt: receipt.map(Into::into),
        updated_at_ms: events::at_ms(conn, row.changed_seq)?,
        human_action_seq: action.unwrap_or(0),
        human_action: action
            .map(|seq| events::envelope(conn, seq))
            .transpose()?
            .map(Into::into),
    })
}

/// Returns the position of the newest human action in place of a shadow proposal.
fn human_action(conn: &Connection, row: &ProposalRow) -> Result<Option<u64>, StoreError> {
    match row.mode {
        ProposalMode::Shadow => human_actions::newest(conn, &row.id),
        ProposalMode::Review => Ok(None),
    }
}
