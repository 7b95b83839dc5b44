//! Applies freezes and lifts at the writer, from any channel: verified, effective at once, confirmed by
//! signature.

use std::sync::Arc;

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{LiftClock, Unfreeze, verify_freeze, verify_lift, verify_unfreeze};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{COMMITTING_MAX, SwitchConfirmation};

use crate::writer::Writer;
use crate::writer::stops::switch_rows;

/// Applies a signed freeze of the deployment; returns its digest.
///
/// # Errors
/// Verification errors; `STATE_NOT_WRITABLE`: frozen in memory, and not durable.
pub(crate) async fn take_freeze(writer: &Writer, envelope: &DsseEnvelope) -> Result<Digest, PublicError> {
    let (trust, _) = (writer.trust)()?;
    let freeze = verify_freeze(envelope, &trust)?;
    if !writer.switches.knows(freeze.digest()) {
        tracing::warn!(person = freeze.person(), digest = %freeze.digest(), "writeback frozen");
    }
    writer.switches.freeze(&freeze, envelope).await?;
    Ok(freeze.digest())
}

/// Applies a lift of a signed freeze, or an unfreeze of this writer alone. Returns the digest of a lift.
///
/// # Errors
/// Verification errors; `STATE_NOT_WRITABLE`, in which case the writer stays frozen.
pub(crate) async fn take_unfreeze(
    writer: &Writer,
    envelope: &DsseEnvelope,
) -> Result<Option<Digest>, PublicError> {
    let (trust, _) = (writer.trust)()?;
    let unfreeze: Unfreeze = envelope
        .decode_unverified(ObjectKind::Unfreeze)
        .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))?;
    if unfreeze.freeze_digest.is_none() {
        let person = verify_unfreeze(envelope, &trust, &writer.name, writer.now())?;
        writer.switches.lift_locally(&unfreeze.nonce).await?;
        tracing::warn!(person, "local unsigned freeze lifted");
        return Ok(None);
    }
    take_lift(writer, envelope, LiftClock::Now(writer.now()))
        .await
        .map(Some)
}

/// Applies a lift of a signed freeze, verified against `clock`; returns its digest.
pub(crate) async fn take_lift(
    writer: &Writer,
    envelope: &DsseEnvelope,
    clock: LiftClock,
) -> Result<Digest, PublicError> {
    let (trust, _) = (writer.trust)()?;
    let lift = verify_lift(envelope, &trust, clock)?;
    if !writer.switches.knows(lift.digest()) {
        tracing::warn!(person = lift.person(), freeze = %lift.freeze_digest(), "freeze lifted");
    }
    writer.switches.lift(&lift, envelope).await?;
    Ok(lift.digest())
}

/// Applies freezes and lifts that the ledger sent, and confirms each once. One that fails verification has no
/// effect.
pub(crate) async fn apply_sent(writer: &Arc<Writer>, switches: Vec<DsseEnvelope>) {
    for envelope in switches {
        match take_one(writer, &envelope).await {
            Ok(digest) if writer.switches.begin_confirmation(digest) => {
                let writer = Arc::clone(writer);
                tokio::spawn(async move { confirm_to_ledger(&writer, digest).await });
            }
            Ok(_) => {}
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, "freeze or lift of the ledger rejected: {}", refusal.public);
            }
        }
    }
}

async fn take_one(writer: &Writer, envelope: &DsseEnvelope) -> Result<Digest, PublicError> {
    if envelope.payload_type == ObjectKind::Freeze.payload_type() {
        return take_freeze(writer, envelope).await;
    }
    let digest = Digest::of(ObjectKind::Unfreeze, &envelope.payload);
    if writer.switches.knows(digest) {
        return Ok(digest);
    }
    match take_lift(writer, envelope, LiftClock::Now(writer.now())).await {
        Err(refusal) if matches!(refusal.code, ErrorCode::RefusedExpired | ErrorCode::RefusedFuture) => {
            // It ends nothing here, but approvals signed with knowledge of it must not wait for it.
            let (trust, _) = (writer.trust)()?;
            verify_lift(envelope, &trust, LiftClock::Recorded)?;
            writer.switches.note(digest);
            Err(refusal)
        }
        taken => taken,
    }
}

async fn confirm_to_ledger(writer: &Arc<Writer>, digest: Digest) {
    let confirmed = match confirm(writer, digest).await {
        Ok(confirmation) => writer.ledger.confirm_switch(&confirmation).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = confirmed {
        tracing::warn!(code = %refusal.code, %digest, "confirmation not submitted: {}", refusal.public);
        writer.switches.retract_confirmation(digest);
    }
}

/// Signs the effect of a freeze or lift at this writer, after a delay in which it may write the switch into its
/// sources.
///
/// # Errors
/// `refused:malformed` if it has no canonical form, and trust file errors.
pub(crate) async fn confirm(
    writer: &Arc<Writer>,
    switch_digest: Digest,
) -> Result<DsseEnvelope, PublicError> {
    let (trust, _) = (writer.trust)()?;
    switch_rows::sync_now(writer).await;
    let mut committing = writer.switches.committing();
    committing.truncate(COMMITTING_MAX);
    let (recorded, unrecorded) = writer
        .source_ids()
        .into_iter()
        .partition(|source| writer.switches.is_recorded(source, switch_digest));
    let confirmation = SwitchConfirmation {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        switch_digest,
        writer: writer.name.clone(),
        frozen: writer.switches.is_frozen(),
        committing,
        recorded,
        unrecorded,
        at: writer.now(),
    };
    DsseEnvelope::sign(ObjectKind::SwitchConfirmation, &confirmation, &writer.key)
        .map_err(|e| PublicError::new(ErrorCode::RefusedMalformed, e.to_string()))
}
