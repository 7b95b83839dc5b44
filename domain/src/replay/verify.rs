//! Verifies a bundle against a trust file alone: no network, no state, no clock.

use super::chain::ChainVerifier;
use super::{BundleError, Entry, EventBody, ProofBundle, ReplayReport};
use crate::digest::Digest;
use crate::evidence::Evidence;
use crate::log::{Checkpoint, ConsistencyProof, LogError, TreeHead, verify_checkpoint};
use crate::proposal::{Proposal, VerifiedProposal};
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::trust::{KeyStanding, Position, ServiceKey, TrustFile};

/// Bundle that passed verification.
#[derive(Debug, Clone)]
pub struct VerifiedBundle {
    pub story: ReplayReport,
    pub proposal: VerifiedProposal,
    /// Records of the bundle, oldest first.
    pub entries: Vec<Entry>,
    /// Checkpoint under which the records are proven.
    pub checkpoint: Checkpoint,
    /// Genuine but notable facts, for example a key that was revoked later.
    pub findings: Vec<String>,
}

/// Parses and verifies a bundle. The error names the first mismatch.
pub fn verify(bytes: &[u8], trust: &TrustFile) -> Result<VerifiedBundle, BundleError> {
    verify_bundle(&ProofBundle::from_bytes(bytes)?, trust)
}

/// Verifies a parsed or packed bundle.
pub fn verify_bundle(bundle: &ProofBundle, trust: &TrustFile) -> Result<VerifiedBundle, BundleError> {
    let proofs = bundle.consistency()?;
    let checkpoint = checkpoint(bundle, &proofs, trust)?;
    let entries = entries(bundle, &checkpoint)?;
    let continues = |head: &TreeHead| head.is_of_one_log(&checkpoint.head(), &proofs);
    let log = BundleLog {
        checkpoint: &checkpoint,
        continues: &continues,
    };
    let proposal = proposal(&entries, trust, &log)?;
    own_records_only(&entries, proposal.proposal())?;
    check_evidence(&entries, proposal.proposal(), trust, &log)?;
    let findings = ChainVerifier::new(trust, &proposal, &log).check(&entries)?;
    let story = ReplayReport::build(&entries)?;
    Ok(VerifiedBundle {
        story,
        proposal,
        entries,
        checkpoint,
        findings,
    })
}

/// Part of the log that a bundle proves.
pub(super) struct BundleLog<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    continues: &'a (dyn Fn(&TreeHead) -> bool + Sync),
}

impl BundleLog<'_> {
    /// Returns the position of a record that was verified under the checkpoint.
    pub(super) fn position(&self, index: u64) -> Position<'_> {
        Position::Logged {
            index,
            continues: self.continues,
        }
    }
}

/// Verifies the checkpoint under an active ledger key, or under a retired one. For a retired key, the bundle
/// must prove that the retirement state equals or continues the checkpoint.
fn checkpoint(
    bundle: &ProofBundle,
    proofs: &[ConsistencyProof],
    trust: &TrustFile,
) -> Result<Checkpoint, BundleError> {
    let origin = trust.ledger_origin();
    if bundle.origin != origin {
        return Err(BundleError::OtherLog(bundle.origin.clone()));
    }
    let mut last = LogError::NoteSignature;
    for ledger in &trust.ledgers {
        match verify_checkpoint(&bundle.checkpoint, &origin, &ledger.public_key) {
            Ok(checkpoint) if signed_in_time(ledger, &checkpoint, proofs) => return Ok(checkpoint),
            Ok(_) => last = LogError::NoteRetired,
            Err(error) if last != LogError::NoteRetired => last = error,
            Err(_) => {}
        }
    }
    Err(BundleError::Checkpoint(last))
}

fn signed_in_time(ledger: &ServiceKey, checkpoint: &Checkpoint, proofs: &[ConsistencyProof]) -> bool {
    match ledger.standing() {
        KeyStanding::InUse | KeyStanding::Retired(None) => true,
        KeyStanding::Retired(Some(head)) => {
            checkpoint.size <= head.size && head.is_of_one_log(&checkpoint.head(), proofs)
        }
    }
}

fn entries(bundle: &ProofBundle, checkpoint: &Checkpoint) -> Result<Vec<Entry>, BundleError> {
    let mut entries: Vec<Entry> = Vec::new();
    for (position, record) in bundle.records()?.into_iter().enumerate() {
        let event = record
            .verify(checkpoint)
            .map_err(|error| BundleError::Record { position, error })?;
        if entries.last().is_some_and(|before| before.event.seq >= event.seq) {
            return Err(BundleError::RecordOrder);
        }
        entries.push(Entry::of(event, &record.body)?);
    }
    Ok(entries)
}

fn proposal(
    entries: &[Entry],
    trust: &TrustFile,
    log: &BundleLog<'_>,
) -> Result<VerifiedProposal, BundleError> {
    let mut all = entries.iter().filter_map(|entry| match &entry.body {
        EventBody::Proposal(envelope) => Some((envelope, &entry.event)),
        _ => None,
    });
    let (Some((envelope, event)), None) = (all.next(), all.next()) else {
        return Err(BundleError::Proposal("expected exactly one".to_owned()));
    };
    let attested = VerifiedProposal::verify_historical(envelope.clone(), trust)
        .map_err(|e| BundleError::Proposal(e.to_string()))?;
    let key = envelope.signer().ok().and_then(|id| trust.reader(id));
    if let Some(Err(retired)) = key.map(|key| key.standing().check_past(&log.position(event.seq))) {
        return Err(BundleError::Proposal(format!(
            "signed by a retired key: {retired}"
        )));
    }
    if event.proposal_id.as_ref() != Some(&attested.proposal().id) {
        return Err(BundleError::Proposal("id differs from the event's id".to_owned()));
    }
    Ok(attested)
}

fn own_records_only(entries: &[Entry], proposal: &Proposal) -> Result<(), BundleError> {
    let foreign = |entry: &&Entry| {
        entry
            .event
            .proposal_id
            .as_ref()
            .is_some_and(|id| *id != proposal.id)
    };
    entries
        .iter()
        .find(foreign)
        .map_or(Ok(()), |entry| Err(BundleError::Foreign(entry.event.seq)))
}

fn check_evidence(
    entries: &[Entry],
    proposal: &Proposal,
    trust: &TrustFile,
    log: &BundleLog<'_>,
) -> Result<(), BundleError> {
    let mut seen = Vec::new();
    for entry in entries {
        let (EventBody::Evidence(envelope)
        | EventBody::Read {
            evidence: envelope, ..
        }) = &entry.body
        else {
            continue;
        };
        let evidence = open_evidence(envelope, trust, &log.position(entry.event.seq))
            .map_err(|problem| BundleError::Evidence(format!("event {}: {problem}", entry.event.seq)))?;
        seen.push((evidence, Digest::of(ObjectKind::Evidence, &envelope.payload)));
    }
    for cited in &proposal.evidence {
        let Some((evidence, _)) = seen
            .iter()
            .find(|(e, digest)| e.id == cited.id && *digest == cited.digest)
        else {
            return Err(BundleError::Evidence(format!(
                "{} is missing or differs from the one that the proposal cites",
                cited.id
            )));
        };
        if evidence.row != proposal.before
            || evidence.target != proposal.target
            || evidence.source != proposal.source
        {
            return Err(BundleError::Evidence(format!(
                "{} is about another row than the proposal",
                cited.id
            )));
        }
    }
    Ok(())
}

fn open_evidence(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
    position: &Position<'_>,
) -> Result<Evidence, String> {
    let signer = envelope.signer().map_err(|e| e.to_string())?;
    let key = trust
        .reader(signer)
        .ok_or("not signed by a reader of the trust file")?;
    let standing = key.standing();
    standing
        .check_past(position)
        .map_err(|retired| format!("signed by {signer}: {retired}"))?;
    let evidence: Evidence = envelope
        .verify_and_decode(ObjectKind::Evidence, &key.public_key)
        .map_err(|e| e.to_string())?;
    if evidence.v != 1 || evidence.ledger_origin != trust.ledger_origin() {
        return Err("made for another deployment or version".to_owned());
    }
    Ok(evidence)
}
