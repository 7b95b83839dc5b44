//! Erasure: signs the order of an operator and has the ledger carry it out.

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    ErasureOrder, ErasureSelection, SignerInfo, check_reason, verify_erasure_order,
};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::trust::ERASER;

use super::now;
use crate::clients::{ErasedRecords, MaintenanceClient, refused};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;

/// Signs an order, checks it as the ledger does, and submits it.
///
/// # Errors
/// `refused:role` when the key lacks the role `eraser`; any other error of the ledger.
pub(crate) async fn erase(
    session: &LedgerConnection,
    signer: &Signer,
    selection: ErasureSelection,
    reason: Option<String>,
) -> Result<ErasedRecords, ExitError> {
    check_reason(reason.as_deref()).map_err(refused)?;
    let trust = session.trust();
    let order = ErasureOrder {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        selection,
        approver: SignerInfo {
            key_id: signer.key.key_id(),
            person: signer.person.clone(),
            role: ERASER.to_owned(),
        },
        issued_at: now(),
        nonce: hex::encode(random::bytes::<16>()),
        reason,
    };
    let envelope = DsseEnvelope::sign(ObjectKind::ErasureOrder, &order, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::OrderUnsignable, e.to_string()))?;
    verify_erasure_order(&envelope, trust, now()).map_err(|refusal| match refusal.code {
        ErrorCode::RefusedRole => refused(refusal)
            .with_fix("let an operator sign whose key has the role `eraser` in the trust file"),
        _ => refused(refusal),
    })?;
    MaintenanceClient::new(session.ledger()).erase(&envelope).await
}
