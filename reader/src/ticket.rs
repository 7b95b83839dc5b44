//! Issues context tickets to the ledger: the tenants and principals whose records one gateway may read, and the
//! columns that agents may currently see.

use synapsor_codes::ErrorCode;
use synapsor_domain::context_ticket::{
    ContextTicket, RecordKind, TICKET_MINUTES_MAX, TICKET_VERSION, TicketAudience, TicketContext,
};
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::{Span, Timestamp};

use crate::callers::{CallIdentity, TokenScope};
use crate::role::ReaderRole;

/// Ticket with its expiry, so that the bearer need not parse it.
#[derive(Debug)]
pub(crate) struct IssuedTicket {
    pub(crate) ticket: DsseEnvelope,
    pub(crate) expires_at: Timestamp,
}

/// Issues a ticket for the gateway with this certificate identity, on behalf of its caller.
///
/// # Errors
/// `SCOPE_INSUFFICIENT` if the caller's token does not permit reads, `TRUSTED_BINDING_MISSING` if no context of
/// the contract is resolved, `TICKET_UNFIT` if the contract has more contexts or columns than a ticket holds,
/// and trust file errors.
pub(crate) fn issue(
    reader: &ReaderRole,
    caller: &CallIdentity,
    gateway: &str,
) -> Result<IssuedTicket, PublicError> {
    reader.callers.require_scope(caller, TokenScope::Read)?;
    let (trust, _) = reader.trust.read()?;
    let mut contexts: Vec<TicketContext> = reader
        .contexts
        .all(caller)
        .map(|context| TicketContext {
            principal: context.principal,
            tenant: context.tenant,
        })
        .collect();
    contexts.sort();
    contexts.dedup();
    if contexts.is_empty() {
        return Err(PublicError::new(
            ErrorCode::TrustedBindingMissing,
            "No trusted context is configured for this reader.",
        ));
    }
    let visible = reader
        .contract
        .capabilities()
        .iter()
        .map(|capability| (capability.name.clone(), capability.visible_columns.clone()))
        .collect();
    let issued_at = reader.now();
    let longest = issued_at + Span::minutes(TICKET_MINUTES_MAX);
    let expires_at = caller.ends_at().map_or(longest, |end| end.min(longest));
    let ticket = ContextTicket {
        audience: TicketAudience::Ledger,
        contexts,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        expires_at,
        gateway: gateway.to_owned(),
        issued_at,
        kinds: RecordKind::ALL.to_vec(),
        ledger_origin: trust.ledger_origin(),
        may_withdraw: !reader.read_only && reader.callers.require_scope(caller, TokenScope::Propose).is_ok(),
        v: TICKET_VERSION,
        visible,
    };
    if let Some(problem) = ticket.problem() {
        return Err(unfit(problem));
    }
    let ticket = DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket, &reader.key)
        .map_err(|e| unfit(&e.to_string()))?;
    Ok(IssuedTicket { ticket, expires_at })
}

fn unfit(why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::TicketUnfit,
        "The contract has more contexts or columns than a context ticket holds; split it between readers.",
    )
    .with_detail(why)
}
