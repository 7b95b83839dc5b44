//! Withdrawal of a proposal by its agent, before an attempt starts.

use synapsor_codes::ErrorCode;
use synapsor_domain::agent_view::AgentProposalState;
use synapsor_domain::context_ticket::{RecordKind, VerifiedTicket};
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{ProposalTransition, transition};

use crate::agent_record::require_kind;
use crate::store::agents::{self, AgentScope};
use crate::store::proposals;
use crate::store::requests::StoredResponse;
use crate::store::{NewEvent, ParsedBody, StoreTxError, WriteTransaction, requests};
use crate::{Ledger, RequestContext, expire};

/// State of a proposal after a withdrawal request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WithdrawResult {
    pub(crate) state: AgentProposalState,
    /// Reason why it was not withdrawn; `None` when it is withdrawn, by this or an earlier request.
    pub(crate) refusal: Option<PublicError>,
}

impl Ledger {
    /// Withdraws a proposal of one of the ticket's principals. Repeating it changes nothing.
    ///
    /// # Errors
    /// `RECORD_NOT_FOUND` for every record that is not a proposal of these principals, `WITHDRAWAL_NOT_ALLOWED`
    /// under a read-only ticket, `TICKET_REFUSED` if the ticket expired meanwhile.
    pub(crate) async fn withdraw(
        &self,
        caller: RequestContext,
        request_id: &str,
        ticket: VerifiedTicket,
        id: String,
    ) -> Result<WithdrawResult, StoreTxError> {
        let key = caller.request(request_id, &[b"withdraw", id.as_bytes()])?;
        let scope = AgentScope::of(&ticket);
        let found = self
            .store
            .read(move |reader| Ok(agents::own_proposal(reader.conn(), &id, &scope)?))
            .await?;
        let id = require_kind(found, &ticket, RecordKind::Proposal)?.id;
        if !ticket.may_withdraw() {
            let message = "This ticket does not permit withdrawing proposals.";
            return Err(PublicError::new(ErrorCode::WithdrawalNotAllowed, message).into());
        }
        let proof = ticket
            .envelope()
            .to_bytes()
            .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("ticket: {e}")))?;
        let (now, expiry_time) = (self.now(), self.expiry_time());
        // The event's time must be within the ticket's validity: later verification of the log checks that.
        ticket.check_not_expired(now)?;
        let done = self
            .write(move |step| {
                if requests::find_response(step.conn(), &key)?.is_some() {
                    return current_result(step, &id, None);
                }
                expire::expire_due(step, expiry_time)?;
                let row = proposals::get(step.conn(), &id)?;
                if let Err(refusal) = transition(row.state, row.started, ProposalTransition::Withdraw) {
                    return current_result(step, &id, Some(refusal));
                }
                step.append(&NewEvent {
                    kind: EventKind::ProposalWithdrawn,
                    at: now,
                    actor: &caller.identity,
                    proposal_id: Some(&id),
                    body: &proof,
                    read: ParsedBody::No,
                    trace_id: caller.trace_id.as_deref(),
                })?;
                requests::store_response(step.conn(), &key, &StoredResponse::Named(id.clone()), now)?;
                current_result(step, &id, None)
            })
            .await?;
        Ok(done.value)
    }
}

/// Returns the state, without the refusal if any principal has already withdrawn the proposal.
fn current_result(
    step: &WriteTransaction<'_>,
    id: &ProposalId,
    refusal: Option<PublicError>,
) -> Result<WithdrawResult, StoreTxError> {
    let row = proposals::get(step.conn(), id)?;
    let refusal = match agents::withdrawal(step.conn(), id)? {
        Some(_) => None,
        None => refusal,
    };
    Ok(WithdrawResult {
        state: AgentProposalState::of(row.state, row.mode),
        refusal,
    })
}
