//! The context ticket: a short-lived claim, signed by a reader, of the contexts whose records one gateway may
//! read. The gateway presents it but can neither create nor extend one; the ledger decides which records it
//! returns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use crate::error::PublicError;
use crate::event::EventRecord;
use crate::limits::{BINDING_BYTES_MAX, CLOCK_SKEW_SECONDS};
use crate::proposal::Proposal;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::{Span, Timestamp, issued_in_future};
use crate::trust::{DeploymentEnvironment, Position, ServiceKey, TrustFile};

/// Required value of `ContextTicket::v`.
pub const TICKET_VERSION: u32 = 1;
/// Maximum number of contexts in one ticket.
pub const CONTEXTS_MAX: usize = 16;
/// Maximum lifetime of a ticket, in minutes.
pub const TICKET_MINUTES_MAX: i64 = 5;

/// Contexts and columns whose records a gateway may read (`ObjectKind::ContextTicket`). Signed by a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextTicket {
    pub audience: TicketAudience,
    /// 1 to [`CONTEXTS_MAX`], in ascending order, without duplicates.
    pub contexts: Vec<TicketContext>,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    pub expires_at: Timestamp,
    /// The certificate identity of the one gateway that may present it.
    pub gateway: String,
    pub issued_at: Timestamp,
    /// In ascending order, without duplicates; at least one.
    pub kinds: Vec<RecordKind>,
    pub ledger_origin: String,
    /// Whether the gateway may also withdraw proposals of the contexts' principals. False for read-only callers.
    pub may_withdraw: bool,
    pub v: u32,
    /// Columns that agents may see now, by capability. Values of a capability that is missing here are hidden.
    pub visible: BTreeMap<String, Vec<String>>,
}

/// Role that verifies a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketAudience {
    Ledger,
}

/// A tenant, and the principal in it on whose behalf the gateway calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TicketContext {
    pub principal: String,
    pub tenant: String,
}

/// Kind of record that may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    Proposal,
    Evidence,
    Replay,
}

impl RecordKind {
    /// Every kind, in ascending order.
    pub const ALL: [Self; 3] = [Self::Proposal, Self::Evidence, Self::Replay];
}

impl ContextTicket {
    /// Returns the error in its shape, independent of the signature.
    pub fn problem(&self) -> Option<&'static str> {
        if self.v != TICKET_VERSION {
            return Some("an unknown version");
        }
        if self.contexts.is_empty() || self.contexts.len() > CONTEXTS_MAX {
            return Some("not 1 to 16 contexts");
        }
        if !ascends(&self.contexts) {
            return Some("contexts unsorted or duplicated");
        }
        let bound = |text: &str| (1..=BINDING_BYTES_MAX).contains(&text.len());
        if !self
            .contexts
            .iter()
            .all(|c| bound(&c.tenant) && bound(&c.principal))
        {
            return Some("a tenant or principal that is empty or too long");
        }
        if self.kinds.is_empty() || !ascends(&self.kinds) {
            return Some("kinds missing, unsorted or duplicated");
        }
        let lasts = self.expires_at - self.issued_at;
        if lasts <= Span::seconds(0) || lasts > Span::minutes(TICKET_MINUTES_MAX) {
            return Some("a lifetime that is not 1 ms to 5 minutes");
        }
        None
    }
}

/// A valid ticket that a reader of this deployment signed for this gateway. Created only by verification.
#[derive(Debug, Clone)]
pub struct VerifiedTicket {
    ticket: ContextTicket,
    envelope: DsseEnvelope,
}

impl VerifiedTicket {
    /// Checks a ticket that `peer` presents `now`.
    ///
    /// # Errors
    /// `TICKET_REFUSED` for each error; only the detail holds the reason.
    pub fn verify(
        envelope: DsseEnvelope,
        trust: &TrustFile,
        peer: &str,
        now: Timestamp,
    ) -> Result<Self, PublicError> {
        let key = envelope.signer().ok().and_then(|id| trust.reader(id));
        if key.is_some_and(ServiceKey::is_retired) {
            return Err(refused("signed by a reader key that is retired"));
        }
        Self::verify_past(envelope, trust, peer, now)
    }

    /// Verifies a ticket that was presented at `then`; the current state of the key is not checked.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_past(
        envelope: DsseEnvelope,
        trust: &TrustFile,
        peer: &str,
        then: Timestamp,
    ) -> Result<Self, PublicError> {
        envelope.check_sizes().map_err(|e| refused(&e.to_string()))?;
        let signer = envelope.signer().map_err(|e| refused(&e.to_string()))?;
        let key = trust
            .reader(signer)
            .ok_or_else(|| refused("not signed by a reader of the trust file"))?;
        let ticket: ContextTicket = envelope
            .verify_and_decode(ObjectKind::ContextTicket, &key.public_key)
            .map_err(|e| refused(&e.to_string()))?;
        if let Some(problem) = ticket.problem() {
            return Err(refused(problem));
        }
        let TicketAudience::Ledger = ticket.audience;
        if ticket.deployment_id != trust.deployment_id
            || ticket.environment != trust.environment
            || ticket.ledger_origin != trust.ledger_origin()
        {
            return Err(refused("made for another deployment, environment or ledger"));
        }
        if ticket.gateway != peer {
            return Err(refused("made for another gateway"));
        }
        if ticket.issued_at > then + Span::seconds(CLOCK_SKEW_SECONDS) {
            return Err(refused(&issued_in_future(ticket.issued_at, then)));
        }
        let this = Self { ticket, envelope };
        this.check_not_expired(then)?;
        Ok(this)
    }

    /// Checks that it has not expired since it was verified.
    ///
    /// # Errors
    /// `TICKET_REFUSED`.
    pub fn check_not_expired(&self, now: Timestamp) -> Result<(), PublicError> {
        if now < self.ticket.expires_at {
            Ok(())
        } else {
            Err(refused("expired"))
        }
    }

    /// Returns the error for bytes that are not a signed object; `why` goes into its detail.
    pub fn unreadable(why: &str) -> PublicError {
        refused(why)
    }

    /// Tenant and principal pairs, ascending.
    pub fn contexts(&self) -> &[TicketContext] {
        &self.ticket.contexts
    }

    /// Whether records of this kind may be read.
    pub fn allows(&self, kind: RecordKind) -> bool {
        self.ticket.kinds.contains(&kind)
    }

    /// Whether proposals of the covered principals may be withdrawn.
    pub const fn may_withdraw(&self) -> bool {
        self.ticket.may_withdraw
    }

    /// Whether the ticket covers this principal in this tenant.
    pub fn covers_principal(&self, tenant: &str, principal: &str) -> bool {
        self.ticket
            .contexts
            .iter()
            .any(|c| c.tenant == tenant && c.principal == principal)
    }

    /// The columns of a capability that agents may see; none of a capability that the reader does not have.
    pub fn visible(&self, capability: &str) -> Option<&[String]> {
        self.ticket.visible.get(capability).map(Vec::as_slice)
    }

    /// Expiry time.
    pub const fn expires_at(&self) -> Timestamp {
        self.ticket.expires_at
    }

    /// The bytes that were signed, with their signature.
    pub const fn envelope(&self) -> &DsseEnvelope {
        &self.envelope
    }
}

/// Verifies the record of a withdrawal: a reader signed, at that time, that the sending gateway covered the
/// principal of the proposal and was permitted to withdraw it. `position` is where the log holds the record.
///
/// # Errors
/// `TICKET_REFUSED`.
pub fn verify_withdrawal(
    ticket: &DsseEnvelope,
    event: &EventRecord,
    proposal: &Proposal,
    trust: &TrustFile,
    position: &Position<'_>,
) -> Result<(), PublicError> {
    let key = ticket.signer().ok().and_then(|id| trust.reader(id));
    if let Some(Err(retired)) = key.map(|key| key.standing().check_past(position)) {
        return Err(refused(&retired.to_string()));
    }
    let ticket = VerifiedTicket::verify_past(ticket.clone(), trust, &event.actor, event.at)?;
    let by = &proposal.requested_by;
    if event.proposal_id.as_ref() != Some(&proposal.id) || !ticket.covers_principal(&by.tenant, &by.principal)
    {
        return Err(refused("does not cover the principal of the proposal"));
    }
    if !ticket.may_withdraw() {
        return Err(refused("lets nothing be taken back"));
    }
    Ok(())
}

fn ascends<T: Ord>(items: &[T]) -> bool {
    items.windows(2).all(|pair| pair[0] < pair[1])
}

fn refused(why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::TicketRefused,
        "invalid or expired context ticket; request a new one from the reader",
    )
    .with_detail(why)
}
