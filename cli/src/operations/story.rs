//! Fetches the replay of one proposal with its proofs and verifies it like an untrusted bundle.

use synapsor_chassis::run::ExitError;
use synapsor_domain::replay::{BundleError, ProofBundle, VerifiedBundle, verify_bundle};

use crate::clients::{EXIT_TAMPERED, Ledger};
use crate::session::Session;
use crate::witness::Keeper;

/// A replay and the bundle that proves it.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) bundle: ProofBundle,
    pub(crate) verified: VerifiedBundle,
}

/// Fetches and verifies all records of one proposal, named as in [`super::look`].
pub(crate) async fn replay(session: &Session, reference: &str) -> Result<Replayed, ExitError> {
    let trust = session.trust();
    let mut keeper = Keeper::hold(&session.witness_path(), trust).await?;
    let shown = Ledger::of(session)
        .replay(reference, keeper.known(), &trust.retirements())
        .await?;
    keeper.accept(&shown.checkpoint, shown.consistency.as_ref())?;
    drop(keeper);
    let bundle = ProofBundle::new(&trust.ledger_origin(), &shown.checkpoint, &shown.records)
        .with_consistency(&shown.continued);
    let verified = verify_bundle(&bundle, trust).map_err(|e| refuted(&e))?;
    super::look::check_named(&verified.proposal, reference)?;
    Ok(Replayed { bundle, verified })
}

/// Error for a bundle that fails verification.
pub(crate) fn refuted(error: &BundleError) -> ExitError {
    ExitError::new(error.code(), format!("bundle verification failed: {error}"))
        .with_fix("do not trust this bundle; request it again and confirm the matching trust file")
        .with_exit(EXIT_TAMPERED)
}
