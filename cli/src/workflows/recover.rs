//! Recovery after a loss of events: finds the pinned heads that the log no longer continues, and signs that it continues
//! without what they had seen.

use std::collections::BTreeSet;
use std::path::PathBuf;

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    Discontinuity, SignerInfo, SignerTreeHead, VerifiedDiscontinuity, check_reason, recovery_quorum,
    verify_discontinuity,
};
use synapsor_domain::log::{PinnedCheckpoint, TreeHead};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::trust::RECOVERY;

use super::now;
use super::pins::{self, Pin};
use crate::clients::{LedgerClient, MaintenanceClient, refused};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::trust_edit::TrustEdit;

/// What was lost, and where the log continues.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) kept: TreeHead,
    /// Pins that the log does not continue.
    pub(crate) pins: Vec<Pin>,
    /// Heads that are signed: those of the pins, or of a statement that another operator has signed.
    lost: BTreeSet<TreeHead>,
    /// Persons who have signed the same statement.
    pub(crate) signed_by: BTreeSet<String>,
}

/// A signed discontinuity.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Position of its event.
    pub(crate) seq: u64,
    /// Persons who have signed it now.
    pub(crate) signed_by: BTreeSet<String>,
    /// Number of persons who must.
    pub(crate) quorum: usize,
    /// Copy of the trust file as it was.
    pub(crate) backup: PathBuf,
}

/// Compares the ledger's log with every pinned head that is found. `None` when it continues all of them.
///
/// # Errors
/// An unreachable ledger, or a pin that cannot be read.
pub(crate) async fn find_loss(
    session: &LedgerConnection,
    witnesses: &[PathBuf],
) -> Result<Option<Loss>, ExitError> {
    let trust = session.trust();
    let origin = trust.ledger_origin();
    let dir = session.pin_path().parent().map(PathBuf::from).unwrap_or_default();
    let mut pins = pins::of_dir(&dir, &origin)?;
    for file in witnesses {
        pins.extend(pins::of_file(file, &origin)?);
    }
    let mut ledger = LedgerClient::of(session);
    let mut broken = Vec::new();
    for pin in pins {
        let mut pinned = PinnedCheckpoint::new(&origin);
        (pinned.size, pinned.root) = (pin.head.size, pin.head.root);
        let (note, proof) = ledger.checkpoint(&pinned).await?;
        let (checkpoint, _) = verified(trust.verify_checkpoint(&note))?;
        if pinned.advance(&checkpoint, proof.as_ref()).is_err() {
            broken.push(pin);
        }
    }
    if broken.is_empty() {
        return Ok(None);
    }
    let (note, _) = ledger.checkpoint(&PinnedCheckpoint::new(&origin)).await?;
    let (checkpoint, _) = verified(trust.verify_checkpoint(&note))?;
    let lost: BTreeSet<TreeHead> = broken.iter().map(|pin| pin.head).collect();
    let mut loss = Loss {
        kept: checkpoint.head(),
        pins: broken,
        lost,
        signed_by: BTreeSet::new(),
    };
    // A second operator signs what the first has signed.
    let signed: Vec<VerifiedDiscontinuity> = trust
        .recoveries
        .iter()
        .filter_map(|envelope| verify_discontinuity(envelope, trust).ok())
        .collect();
    if let Some(same) = signed.iter().find(|signed| signed.lost().is_superset(&loss.lost)) {
        (loss.kept, loss.lost) = (same.kept(), same.lost().clone());
        let all = signed.iter().filter(|other| is_same(other, &loss));
        loss.signed_by = all.map(|other| other.person().to_owned()).collect();
    }
    Ok(Some(loss))
}

fn is_same(signed: &VerifiedDiscontinuity, loss: &Loss) -> bool {
    signed.kept() == loss.kept && *signed.lost() == loss.lost
}

fn verified<T>(checked: Result<T, synapsor_domain::log::LogError>) -> Result<T, ExitError> {
    checked.map_err(|error| {
        ExitError::new(error.code(), error.to_string()).with_fix(
            "contact the ledger operator; responses of this ledger are rejected until this is resolved",
        )
    })
}

/// Signs the loss, has the ledger record it, and adds it to the trust file.
///
/// # Errors
/// `refused:role` when the key lacks the role `recovery`; an error of the ledger or of the trust file.
pub(crate) async fn recover(
    session: &LedgerConnection,
    signer: &Signer,
    loss: &Loss,
    reason: Option<String>,
) -> Result<Recovered, ExitError> {
    check_reason(reason.as_deref()).map_err(refused)?;
    let trust = session.trust();
    let head = |head: &TreeHead| SignerTreeHead {
        origin: trust.ledger_origin(),
        size: head.size,
        root: hex::encode(head.root),
    };
    let object = Discontinuity {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        kept: head(&loss.kept),
        lost: loss.lost.iter().map(head).collect(),
        approver: SignerInfo {
            key_id: signer.key.key_id(),
            person: signer.person.clone(),
            role: RECOVERY.to_owned(),
        },
        issued_at: now(),
        nonce: hex::encode(random::bytes::<16>()),
        reason,
    };
    let envelope = DsseEnvelope::sign(ObjectKind::Discontinuity, &object, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::OrderUnsignable, e.to_string()))?;
    verify_discontinuity(&envelope, trust).map_err(|refusal| match refusal.code {
        ErrorCode::RefusedRole => refused(refusal)
            .with_fix("let an operator sign whose key has the role `recovery` in the trust file"),
        _ => refused(refusal),
    })?;
    let seq = MaintenanceClient::new(session.ledger())
        .record_discontinuity(&envelope)
        .await?;
    let mut edit = TrustEdit::begin(session.trust_file())?;
    let entry = serde_json::to_value(&envelope).map_err(|e| {
        ExitError::new(
            ErrorCode::OutputFailed,
            format!("cannot write the statement: {e}"),
        )
    })?;
    edit.recoveries()?.push(entry);
    let backup = edit.commit(now())?;
    let mut signed_by = loss.signed_by.clone();
    signed_by.insert(signer.person.clone());
    Ok(Recovered {
        seq,
        signed_by,
        quorum: recovery_quorum(trust.environment),
        backup,
    })
}
