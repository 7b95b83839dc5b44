//! Expires proposals without an attempt whose deadline has passed: on the next access, and by a periodic sweep.

use synapsor_domain::event::{EventKind, LedgerStartedBody};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::{canonical, digest::Digest};

use crate::store::{NewEvent, ParsedBody, StoreError, StoreTxError, WriteTransaction, proposals, requests};
use crate::{Ledger, RequestContext};

/// Maximum number of proposals that one step expires.
const EXPIRED_MAX: u32 = 64;

const NO_BODY: &[u8] = b"{}";

/// Records the expiry of proposals whose deadline has passed at [`Ledger::expiry_time`].
pub(crate) fn expire_due(
    step: &mut WriteTransaction<'_>,
    now: Option<Timestamp>,
) -> Result<(), StoreTxError> {
    let Some(now) = now else { return Ok(()) };
    for id in proposals::due(step.conn(), now, EXPIRED_MAX)? {
        step.append(&NewEvent {
            kind: EventKind::ProposalExpired,
            at: now,
            actor: "ledger",
            proposal_id: Some(&id),
            body: NO_BODY,
            read: ParsedBody::No,
            trace_id: None,
        })?;
    }
    Ok(())
}

impl Ledger {
    /// Expires proposals and removes request answers that are too old.
    pub async fn sweep(&self) -> Result<(), StoreTxError> {
        let Some(now) = self.expiry_time() else {
            return Ok(());
        };
        self.write(move |step| {
            expire_due(step, Some(now))?;
            requests::prune(step.conn(), now)?;
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Records that a ledger process opened the store, with the digest of its trust file.
    pub async fn record_start(
        &self,
        caller: RequestContext,
        trust_digest: Digest,
    ) -> Result<(), StoreTxError> {
        let body = LedgerStartedBody {
            trust_digest,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let body = canonical::encode(&body)
            .map_err(|e| StoreError::Failed(format!("event has no canonical form: {e}")))?;
        let now = self.now();
        self.write(move |step| {
            step.append(&NewEvent {
                kind: EventKind::LedgerStarted,
                at: now,
                actor: &caller.identity,
                proposal_id: None,
                body: &body,
                read: ParsedBody::No,
                trace_id: None,
            })?;
            Ok(())
        })
        .await
        .map(|_| ())
    }
}
