//! Human actions in place of shadow proposals: verifies them and records each once. They change no state.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::shadow::{HumanAction, VerifiedHumanAction, verify_human_action};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;

use crate::store::{
    Committed, NewEvent, ParsedBody, StoreTxError, WriteTransaction, human_actions, proposals,
};
use crate::trust::Trust;
use crate::{Ledger, RequestContext, secret_material};

impl Ledger {
    /// Records a human action. Submitting the same one again returns the recorded one.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND`, `NOT_SHADOW_PROPOSAL`, `SECRET_MATERIAL_REJECTED`, and any verification error.
    pub(crate) async fn submit_human_action(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<Committed<u64>, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let now = self.now();
        let claimed: HumanAction = signed
            .decode_unverified(ObjectKind::HumanAction)
            .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))?;
        secret_material::refuse("the human action", &signed.payload)?;
        let body = signed
            .to_bytes()
            .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("signed: {e}")))?;
        // A proposal never changes, so that it is read and verified outside the writing thread.
        let (digest, proposal) = self
            .store
            .read(move |reader| {
                let row = proposals::get(reader.conn(), &claimed.proposal_id)?;
                let (_, proposal) = proposals::signed(reader.conn(), &row)?;
                Ok((row.digest, proposal))
            })
            .await?;
        let verified = verify_human_action(&signed, &trust.file, now, (&proposal, digest))?;
        self.write(move |step| submit(step, &verified, &body, (&caller, now)))
            .await
    }
}

fn submit(
    step: &mut WriteTransaction<'_>,
    verified: &VerifiedHumanAction,
    body: &[u8],
    (caller, now): (&RequestContext, Timestamp),
) -> Result<u64, StoreTxError> {
    if let Some(seq) = human_actions::find(step.conn(), &verified.digest())? {
        return Ok(seq);
    }
    Ok(step.append(&NewEvent {
        kind: EventKind::ShadowHumanActionRecorded,
        at: now,
        actor: verified.person(),
        proposal_id: Some(&verified.action().proposal_id),
        body,
        read: ParsedBody::No,
        trace_id: caller.trace_id.as_deref(),
    })?)
}
