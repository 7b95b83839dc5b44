//! Taking a proposal back: the agent's own act, before any writer has started on it.

use synapsor_domain::agent_view::AgentProposalState;
use synapsor_domain::context_ticket::{RecordKind, VerifiedTicket};
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{ProposalMode, ProposalTransition as ProposalStep, transition};

use crate::agent_record::allowed;
use crate::store::agents::{self, Scope};
use crate::store::proposals::{self, ProposalRow};
use crate::store::{NewEvent, ReadBody, Step, StepError, requests};
use crate::{Caller, Ledger, expire};

/// Where a proposal stands after somebody wanted it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Withdrawal {
    pub(crate) state: AgentProposalState,
    /// Why it was not withdrawn; `None` when it is, now or since an earlier request.
    pub(crate) refusal: Option<PublicError>,
}

impl Ledger {
    /// Withdraws a proposal of a principal that the ticket speaks for. Repeating it changes nothing.
    ///
    /// # Errors
    /// `RECORD_NOT_FOUND` for everything that is not a proposal of theirs, `WITHDRAWAL_NOT_ALLOWED` under a ticket
    /// that only reads, `TICKET_REFUSED` if it ran out meanwhile.
    pub(crate) async fn withdraw(
        &self,
        caller: Caller,
        request_id: &str,
        ticket: VerifiedTicket,
        id: String,
    ) -> Result<Withdrawal, StepError> {
        let key = caller.request(request_id, &[b"withdraw", id.as_bytes()])?;
        let scope = Scope::of(&ticket);
        let found = self
            .store
            .read(move |reader| Ok(agents::own_proposal(reader.conn(), &id, &scope)?))
            .await?;
        let id = allowed(found, &ticket, RecordKind::Proposal)?.id;
        if !ticket.may_withdraw() {
            let message = "Whoever is behind this ticket may read proposals and not take them back.";
            return Err(PublicError::new("WITHDRAWAL_NOT_ALLOWED", message).into());
        }
        let proof = ticket
            .envelope()
            .to_bytes()
            .map_err(|e| PublicError::new("MALFORMED", format!("ticket: {e}")))?;
        let (now, expiry_time) = (self.now(), self.expiry_time());
        // The event's own time must lie within the ticket's: whoever reads the log later checks that.
        ticket.check_not_expired(now)?;
        let done = self
            .write(move |step| {
                if requests::recall(step.conn(), &key)?.is_some() {
                    return standing(step, &id, None);
                }
                expire::due(step, expiry_time)?;
                let row = proposals::get(step.conn(), &id)?;
                if let Err(refusal) = transition(row.state, row.started, ProposalStep::Withdraw) {
                    return standing(step, &id, Some(refusal));
                }
                step.append(&NewEvent {
                    kind: EventKind::ProposalWithdrawn,
                    at: now,
                    actor: &caller.identity,
                    proposal_id: Some(&id),
                    body: &proof,
                    read: ReadBody::No,
                    trace_id: caller.trace_id.as_deref(),
                })?;
                requests::remember(step.conn(), &key, id.as_str(), now)?;
                standing(step, &id, None)
            })
            .await?;
        Ok(done.value)
    }
}

/// What is withdrawn already is so, whoever asked.
fn standing(step: &Step<'_>, id: &ProposalId, refusal: Option<PublicError>) -> Result<Withdrawal, StepError> {
    let row = proposals::get(step.conn(), id)?;
    let refusal = match agents::withdrawal(step.conn(), id)? {
        Some(_) => None,
        None => refusal,
    };
    Ok(Withdrawal {
        state: AgentProposalState::of(row.state, mode(&row)),
        refusal,
    })
}

const fn mode(row: &ProposalRow) -> ProposalMode {
    if row.shadow {
        ProposalMode::Shadow
    } else {
        ProposalMode::Review
    }
}
