//! Reads records for agents under a verified context ticket. The store filters by the ticket's tenants, the domain
//! by its columns.

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::agent_view::{
    AgentProposalState, EventSummary, EvidenceFacts, ProposalSnapshot, ReplayFacts, evidence_view,
    proposal_view, replay_view,
};
use synapsor_domain::approval::{Decision, DecisionKind};
use synapsor_domain::canonical;
use synapsor_domain::context_ticket::{RecordKind, VerifiedTicket};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::Receipt;

use crate::store::agents::{self, AgentScope};
use crate::store::proposals::{self, ProposalRow};
use crate::store::{ReadTransaction, StoreError, StoreTxError, events, records};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

/// Maximum number of evidence bundles in one replay.
const EVIDENCE_MAX: usize = 8;

/// A proposal as its agent sees it, with the state that an MCP task needs.
#[derive(Debug)]
pub(crate) struct AgentProposal {
    pub(crate) json: serde_json::Value,
    pub(crate) proposal: Proposal,
    pub(crate) state: AgentProposalState,
    pub(crate) updated_at: Timestamp,
    pub(crate) principal_matches: bool,
}

impl Ledger {
    /// Verifies the context ticket that a gateway presents.
    ///
    /// # Errors
    /// `TICKET_REFUSED`, and any error of the ledger's own trust file.
    pub(crate) fn verify_ticket(
        &self,
        caller: &RequestContext,
        ticket: DsseEnvelope,
    ) -> Result<VerifiedTicket, PublicError> {
        let trust = Trust::current(&self.trust)?;
        VerifiedTicket::verify(ticket, &trust.file, &caller.identity, self.now())
    }

    /// Returns a proposal with its events and receipts.
    pub(crate) async fn proposal_for(
        &self,
        ticket: VerifiedTicket,
        id: String,
    ) -> Result<AgentProposal, StoreTxError> {
        self.store
            .read(move |reader| {
                let row = agents::proposal(reader.conn(), &id, &AgentScope::of(&ticket))?;
                let row = require_kind(row, &ticket, RecordKind::Proposal)?;
                let held = LoadedProposal::read(reader, &row)?;
                let facts = held.facts();
                let json = proposal_view(&facts, ticket.visible(&held.proposal.capability));
                let by = &held.proposal.requested_by;
                Ok(AgentProposal {
                    json,
                    state: AgentProposalState::of(held.state, held.proposal.mode),
                    updated_at: held.updated_at,
                    principal_matches: ticket.covers_principal(&by.tenant, &by.principal),
                    proposal: held.proposal,
                })
            })
            .await
    }

    /// Returns the evidence of a read.
    pub(crate) async fn evidence_for(
        &self,
        ticket: VerifiedTicket,
        id: String,
    ) -> Result<serde_json::Value, StoreTxError> {
        self.store
            .read_records(move |reader| {
                let seq = agents::evidence(reader.conn(), &id, &AgentScope::of(&ticket))?;
                let seq = require_kind(seq, &ticket, RecordKind::Evidence)?;
                let seen = LoadedEvidence::read(reader, seq)?;
                let visible = ticket.visible(&seen.evidence.capability);
                Ok(evidence_view(&seen.facts(), visible))
            })
            .await
    }

    /// Returns the replay of a proposal, from its read to its receipt.
    pub(crate) async fn replay_for(
        &self,
        ticket: VerifiedTicket,
        id: String,
    ) -> Result<serde_json::Value, StoreTxError> {
        let now = self.now();
        self.store
            .read_records(move |reader| {
                let id = id.strip_prefix("replay_").unwrap_or(&id);
                let scope = AgentScope::of(&ticket);
                let row = agents::proposal(reader.conn(), id, &scope)?;
                let row = require_kind(row, &ticket, RecordKind::Replay)?;
                let held = LoadedProposal::read(reader, &row)?;
                let mut seen = Vec::new();
                for cited in held.proposal.evidence.iter().take(EVIDENCE_MAX) {
                    if let Some(seq) = agents::evidence(reader.conn(), cited.id.as_str(), &scope)? {
                        seen.push(LoadedEvidence::read(reader, seq)?);
                    }
                }
                let evidence: Vec<_> = seen.iter().map(LoadedEvidence::facts).collect();
                let facts = ReplayFacts {
                    proposal: held.facts(),
                    evidence: &evidence,
                    now,
                };
                Ok(replay_view(&facts, ticket.visible(&held.proposal.capability)))
            })
            .await
    }
}

/// Returns the same error for missing, foreign-tenant and malformed ids, and for kinds that the ticket excludes.
pub(crate) fn not_found() -> PublicError {
    PublicError::new(ErrorCode::RecordNotFound, "no such record")
}

/// Returns the record if the ticket permits its kind. The lookup runs before this check, so its cost is the same.
pub(crate) fn require_kind<T>(
    found: Option<T>,
    ticket: &VerifiedTicket,
    kind: RecordKind,
) -> Result<T, PublicError> {
    found.filter(|_| ticket.allows(kind)).ok_or_else(not_found)
}

/// A proposal with everything that the agent view needs.
struct LoadedProposal {
    proposal: Proposal,
    digest: Digest,
    state: ProposalState,
    updated_at: Timestamp,
    events: Vec<EventSummary>,
    events_omitted: bool,
    receipt: Option<Receipt>,
    rejection_reason: Option<String>,
}

impl LoadedProposal {
    fn read(reader: &ReadTransaction<'_>, row: &ProposalRow) -> Result<Self, StoreTxError> {
        let conn = reader.conn();
        let (_, proposal) = proposals::signed(conn, row)?;
        let (events, events_omitted) = agents::events_of(conn, &row.id)?;
        let receipt = records::receipt(conn, &row.id)?
            .map(|(_, seq)| {
                let body = records::settle_body(conn, seq)?;
                body.receipt
                    .decode_unverified(ObjectKind::Receipt)
                    .map_err(|_| damaged(seq))
            })
            .transpose()?;
        Ok(Self {
            proposal,
            digest: row.digest,
            state: row.state,
            updated_at: Timestamp::from_unix_millis(events::at_ms(conn, row.changed_seq)?),
            events,
            events_omitted,
            receipt,
            rejection_reason: rejection_reason(conn, row)?,
        })
    }

    fn facts(&self) -> ProposalSnapshot<'_> {
        ProposalSnapshot {
            proposal: &self.proposal,
            digest: self.digest,
            state: self.state,
            updated_at: self.updated_at,
            events: &self.events,
            events_omitted: self.events_omitted,
            receipt: self.receipt.as_ref(),
            rejection_reason: self.rejection_reason.as_deref(),
        }
    }
}

/// Returns the reason of the first rejection of a proposal that has ended.
fn rejection_reason(conn: &Connection, row: &ProposalRow) -> Result<Option<String>, StoreError> {
    if !row.state.is_terminal() {
        return Ok(None);
    }
    let decisions = records::decisions(conn, &row.id)?;
    let Some(rejection) = decisions
        .iter()
        .find(|decision| decision.kind == DecisionKind::Reject)
    else {
        return Ok(None);
    };
    let decision: Decision = events::envelope(conn, rejection.seq)?
        .decode_unverified(ObjectKind::Decision)
        .map_err(|_| damaged(rejection.seq))?;
    Ok(decision.reason)
}

/// An evidence bundle with everything that the agent view needs.
struct LoadedEvidence {
    evidence: Evidence,
    audit: Option<AuditRecord>,
    proposals: Vec<ProposalId>,
}

impl LoadedEvidence {
    fn read(reader: &ReadTransaction<'_>, seq: u64) -> Result<Self, StoreTxError> {
        let conn = reader.conn();
        let evidence: Evidence = events::evidence(conn, seq)?
            .decode_unverified(ObjectKind::Evidence)
            .map_err(|_| damaged(seq))?;
        let audit = agents::audit_of(conn, seq, evidence.id.as_str())?
            .map(|seq| canonical::decode(&events::audit(conn, seq)?.1).map_err(|_| damaged(seq)))
            .transpose()?;
        let proposals = agents::links(conn, evidence.id.as_str(), &evidence.requested_by.tenant)?;
        Ok(Self {
            evidence,
            audit,
            proposals,
        })
    }

    fn facts(&self) -> EvidenceFacts<'_> {
        EvidenceFacts {
            evidence: &self.evidence,
            audit: self.audit.as_ref(),
            proposals: &self.proposals,
        }
    }
}

fn damaged(seq: u64) -> StoreError {
    StoreError::Tampered(format!("the body of event {seq} does not match its kind"))
}
