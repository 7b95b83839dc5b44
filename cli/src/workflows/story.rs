//! Fetches the replay of one proposal with its proofs and verifies it like an untrusted bundle.

use synapsor_chassis::run::ExitError;
use synapsor_domain::replay::{BundleError, ProofBundle, VerifiedBundle, verify_bundle};

use crate::clients::LedgerClient;
use crate::connection::LedgerConnection;
use crate::pinned_checkpoint::CheckpointPin;

/// A replay and the bundle that proves it.
#[derive(Debug)]
pub(crate) struct VerifiedReplay {
    pub(crate) bundle: ProofBundle,
    pub(crate) verified: VerifiedBundle,
}

/// Fetches and verifies all records of one proposal, named as in [`super::look`].
pub(crate) async fn replay(session: &LedgerConnection, reference: &str) -> Result<VerifiedReplay, ExitError> {
    let trust = session.trust();
    let mut pin = CheckpointPin::lock_and_load(&session.pin_path(), trust).await?;
    let shown = LedgerClient::of(session)
        .replay(reference, pin.known(), &trust.retirements())
        .await?;
    pin.accept(&shown.checkpoint, shown.consistency.as_ref())?;
    drop(pin);
    let bundle = ProofBundle::new(&trust.ledger_origin(), &shown.checkpoint, &shown.records)
        .with_consistency(&shown.continued);
    let verified = verify_bundle(&bundle, trust).map_err(|e| invalid_bundle(&e))?;
    super::fetch_proposal::check_named(&verified.proposal, reference)?;
    Ok(VerifiedReplay { bundle, verified })
}

/// Error for a bundle that fails verification.
pub(crate) fn invalid_bundle(error: &BundleError) -> ExitError {
    ExitError::new(error.code(), format!("bundle verification failed: {error}"))
        .with_fix("do not trust this bundle; request it again and confirm the matching trust file")
}
