//! Signs freezes and unfreezes, sends them to every writer and to the ledger, and trusts only signed
//! confirmations.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    Freeze, LiftClock, SignerInfo, Unfreeze, VerifiedFreeze, verify_freeze, verify_lift, verify_unfreeze,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::{DsseEnvelope, KeyId, ObjectKind};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{APPLIER, TrustFile};
use synapsor_domain::writeback::{SwitchConfirmation, verify_confirmation};

use super::{check_reason, now};
use crate::Context;
use crate::clients::{LedgerClient, LedgerSwitches, SwitchAnswer, WriterClient, refused};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;

/// Time in which writers that only the ledger reaches must confirm.
const CONFIRM_FOR: Duration = Duration::from_secs(5);
const CONFIRM_PAUSE: Duration = Duration::from_millis(100);

/// A freeze or unfreeze with all responses.
#[derive(Debug)]
pub(crate) struct Switched {
    /// True for a freeze, false for an unfreeze.
    pub(crate) freezes: bool,
    /// Digest of the object signed for the whole deployment.
    pub(crate) digest: Option<Digest>,
    /// Digest of the freeze that was ended.
    pub(crate) freeze: Option<Digest>,
    pub(crate) person: Option<String>,
    /// Reason why the ledger did not record it.
    pub(crate) ledger_problem: Option<String>,
    pub(crate) confirmed: Vec<Confirmed>,
    pub(crate) missing: Vec<Missing>,
    /// Time until which an earlier order is valid.
    ordered_until: Option<Timestamp>,
}

/// A writer that responded.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(crate) writer: String,
    pub(crate) is_frozen: bool,
    /// Its signing key.
    pub(crate) key_id: Option<KeyId>,
    /// Its signed confirmation; absent if nothing was signed for the whole deployment.
    pub(crate) signed: Option<SwitchConfirmation>,
}

/// A writer that did not respond.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) writer: String,
    pub(crate) problem: String,
}

impl Switched {
    const fn new(freezes: bool, digest: Option<Digest>, freeze: Option<Digest>) -> Self {
        Self {
            freezes,
            digest,
            freeze,
            person: None,
            ledger_problem: None,
            confirmed: Vec::new(),
            missing: Vec::new(),
            ordered_until: None,
        }
    }

    /// Whether every writer confirmed and the ledger recorded it: the ledger reaches writers that the command
    /// line does not name.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty() && !self.confirmed.is_empty() && self.ledger_problem.is_none()
    }

    /// Time until which earlier orders can still be applied by unconfirmed writers; `None` when every writer
    /// confirmed.
    pub(crate) fn still_possible_until(&self) -> Option<Timestamp> {
        (self.freezes && !self.is_complete())
            .then_some(self.ordered_until)
            .flatten()
    }
}

/// Freezes the deployment.
pub(crate) async fn freeze(
    session: &mut LedgerConnection,
    context: &Context,
    reason: Option<&str>,
) -> Result<Switched, ExitError> {
    session.named_writers(context)?;
    check_reason(reason)?;
    let signer = Signer::load(context, session.trust())?;
    let trust = session.trust().clone();
    let freeze = Freeze {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        approver: approver(&signer, role_of(&signer, &trust)),
        issued_at: now(),
        nonce: hex::encode(random::bytes::<16>()),
        reason: reason.map(str::to_owned),
    };
    let envelope = sealed(ObjectKind::Freeze, &freeze, &signer)?;
    let verified = verify_freeze(&envelope, &trust).map_err(refused)?;
    let mut switched = Switched::new(true, Some(verified.digest()), None);
    switched.person = Some(signer.person.clone());
    send(session, context, &envelope, verified.digest(), &mut switched).await;
    Ok(switched)
}

/// Freezes the reachable writers without a signature, each only itself.
pub(crate) async fn freeze_unsigned(
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Switched, ExitError> {
    let mut switched = Switched::new(true, None, None);
    switched.ordered_until = Some(now() + session.trust().order_ceiling());
    for link in session.writers(context).await? {
        let mut writer = WriterClient::at(&link);
        let answer = match writer.freeze(None).await {
            Ok(answer) => writer
                .switches()
                .await
                .map(|status| (status.name, answer.is_frozen)),
            Err(failure) => Err(failure),
        };
        match answer {
            Ok((name, is_frozen)) => switched.confirmed.push(Confirmed {
                writer: name,
                is_frozen,
                key_id: None,
                signed: None,
            }),
            Err(failure) => switched.missing.push(Missing {
                writer: writer.address(),
                problem: failure.message().to_owned(),
            }),
        }
    }
    Ok(switched)
}

/// Ends one freeze, or every freeze in force.
pub(crate) async fn unfreeze(
    session: &mut LedgerConnection,
    context: &Context,
    only: Option<Digest>,
) -> Result<Vec<Switched>, ExitError> {
    let trust = session.trust().clone();
    let mut frozen: BTreeSet<Digest> = only.into_iter().collect();
    let (mut alone, mut unasked) = (Vec::new(), Vec::new());
    let links = session.writers(context).await?;
    for link in &links {
        let mut writer = WriterClient::at(link);
        let status = match writer.switches().await {
            Ok(status) => status,
            Err(failure) => {
                unasked.push(Missing {
                    writer: writer.address(),
                    problem: failure.message().to_owned(),
                });
                continue;
            }
        };
        if only.is_none() {
            frozen.extend(status.freezes);
            if status.is_frozen_alone {
                alone.push((writer, status.name));
            }
        }
    }
    if only.is_none() {
        let known = LedgerClient::of(session).switches(None).await.unwrap_or_default();
        frozen.extend(in_force(&known, &trust));
    }
    if frozen.is_empty() && alone.is_empty() {
        return Err(nothing_to_end(&unasked));
    }
    let signer = Signer::load(context, &trust)?;
    let mut all = Vec::new();
    for freeze in frozen {
        let lift = lift(&signer, &trust, "", Some(freeze));
        let envelope = sealed(ObjectKind::Unfreeze, &lift, &signer)?;
        let verified = verify_lift(&envelope, &trust, LiftClock::Now(now())).map_err(refused)?;
        let mut switched = Switched::new(false, Some(verified.digest()), Some(freeze));
        switched.person = Some(signer.person.clone());
        send(session, context, &envelope, verified.digest(), &mut switched).await;
        all.push(switched);
    }
    for (writer, name) in alone {
        all.push(resume(writer, name, &signer, &trust).await?);
    }
    // Unfreezes of signed freezes come first, were sent to every writer, and name the writers that did not respond.
    if let Some(first) = all.first_mut()
        && first.digest.is_none()
    {
        first.missing.extend(unasked);
    }
    Ok(all)
}

/// Reason why no unfreeze is signed: a writer that did not respond may still be frozen.
fn nothing_to_end(unasked: &[Missing]) -> ExitError {
    let Some(missing) = unasked.first() else {
        return ExitError::new(ErrorCode::NotFrozen, "no freeze is in force");
    };
    let text = format!(
        "no freeze found, but {} was not queried: {}",
        missing.writer, missing.problem
    );
    ExitError::new(ErrorCode::WriterUnreachable, text)
        .with_fix("start the writer or fix --writer, then run the command again")
}

/// Ends the unsigned freeze of one writer.
async fn resume(
    mut writer: WriterClient,
    name: String,
    signer: &Signer,
    trust: &TrustFile,
) -> Result<Switched, ExitError> {
    let envelope = sealed(ObjectKind::Unfreeze, &lift(signer, trust, &name, None), signer)?;
    verify_unfreeze(&envelope, trust, &name, now()).map_err(refused)?;
    let mut switched = Switched::new(false, None, None);
    switched.person = Some(signer.person.clone());
    match writer.unfreeze(&envelope).await {
        Ok(answer) => switched.confirmed.push(Confirmed {
            writer: name,
            is_frozen: answer.is_frozen,
            key_id: None,
            signed: None,
        }),
        Err(failure) => switched.missing.push(Missing {
            writer: name,
            problem: failure.message().to_owned(),
        }),
    }
    Ok(switched)
}

/// Returns the digest of the newest freeze or unfreeze, for the next signature. A ledger that omits it is
/// accepted here, because writers' checks in the source do not depend on it.
pub(crate) async fn newest_switch(session: &LedgerConnection) -> Option<Digest> {
    let known = LedgerClient::of(session).switches(None).await.ok()?;
    let trust = session.trust();
    known.signed.iter().rev().find_map(|envelope| {
        let freeze = verify_freeze(envelope, trust).map(|f| f.digest());
        freeze
            .or_else(|_| verify_lift(envelope, trust, LiftClock::Recorded).map(|l| l.digest()))
            .ok()
    })
}

/// Sends a freeze or unfreeze to every writer and to the ledger, and collects the responses.
async fn send(
    session: &mut LedgerConnection,
    context: &Context,
    envelope: &DsseEnvelope,
    digest: Digest,
    switched: &mut Switched,
) {
    let trust = session.trust().clone();
    // Writers first: they freeze without the ledger.
    let links = match session.writers(context).await {
        Ok(links) => links,
        Err(failure) => {
            switched.missing.push(Missing {
                writer: "(any)".to_owned(),
                problem: failure.message().to_owned(),
            });
            Vec::new()
        }
    };
    let mut sent = tokio::task::JoinSet::new();
    for link in links {
        let (envelope, freezes) = (envelope.clone(), switched.freezes);
        sent.spawn(async move {
            let mut writer = WriterClient::at(&link);
            let answer = if freezes {
                writer.freeze(Some(&envelope)).await
            } else {
                writer.unfreeze(&envelope).await
            };
            (writer.address(), answer)
        });
    }
    if let Err(failure) = LedgerClient::of(session).submit_switch(envelope).await {
        switched.ledger_problem = Some(failure.message().to_owned());
    }
    while let Some(Ok((address, answer))) = sent.join_next().await {
        match answer.and_then(|answer| confirmed(&answer, digest, &trust)) {
            Ok(confirmed) => switched.confirmed.push(confirmed),
            Err(failure) => switched.missing.push(Missing {
                writer: address,
                problem: failure.message().to_owned(),
            }),
        }
    }
    by_ledger(session, digest, &trust, switched).await;
    let ceiling = now() + trust.order_ceiling();
    switched.ordered_until = match switched.ordered_until {
        Some(until) => Some(until.min(ceiling)),
        None if switched.ledger_problem.is_some() => Some(ceiling),
        None => None,
    };
    without_confirmation(&trust, switched);
}

/// Waits for the confirmations of writers that only the ledger reaches.
async fn by_ledger(session: &LedgerConnection, digest: Digest, trust: &TrustFile, switched: &mut Switched) {
    let start = Instant::now();
    loop {
        let Ok(known) = LedgerClient::of(session).switches(Some(digest)).await else {
            switched
                .ledger_problem
                .get_or_insert_with(|| "no response".to_owned());
            return;
        };
        switched.ordered_until = known.ordered_until;
        for envelope in &known.confirmations {
            if let Ok(found) = confirmation(envelope, digest, trust)
                && !switched.confirmed.iter().any(|c| c.writer == found.writer)
            {
                switched.confirmed.push(found);
            }
        }
        let waiting: Vec<String> = known
            .writers
            .iter()
            .map(|identity| identity.rsplit('/').next().unwrap_or_default().to_owned())
            .filter(|name| !switched.confirmed.iter().any(|c| c.writer == *name))
            .collect();
        if waiting.is_empty() || switched.ledger_problem.is_some() {
            return;
        }
        if start.elapsed() > CONFIRM_FOR {
            switched.missing.extend(waiting.into_iter().map(|writer| Missing {
                writer,
                problem: "connected to the ledger, but no confirmation received".to_owned(),
            }));
            return;
        }
        tokio::time::sleep(CONFIRM_PAUSE).await;
    }
}

/// Writer keys of the trust file without a confirmation.
fn without_confirmation(trust: &TrustFile, switched: &mut Switched) {
    for key in trust.writers.iter().filter(|key| !key.is_retired()) {
        let is_there = switched
            .confirmed
            .iter()
            .any(|c| c.key_id.as_ref() == Some(&key.key_id));
        if !is_there {
            switched.missing.push(Missing {
                writer: key.key_id.to_string(),
                problem: "no confirmation under this writer key of the trust file".to_owned(),
            });
        }
    }
}

fn confirmed(answer: &SwitchAnswer, digest: Digest, trust: &TrustFile) -> Result<Confirmed, ExitError> {
    let envelope = answer.confirmation.as_ref().ok_or_else(|| {
        ExitError::new(
            ErrorCode::ConfirmationMissing,
            "response without a signed confirmation",
        )
    })?;
    confirmation(envelope, digest, trust)
}

fn confirmation(envelope: &DsseEnvelope, digest: Digest, trust: &TrustFile) -> Result<Confirmed, ExitError> {
    let signed = verify_confirmation(envelope, trust).map_err(refused)?;
    if signed.switch_digest != digest {
        return Err(ExitError::new(
            ErrorCode::ConfirmationForeign,
            "confirmation of another freeze or unfreeze",
        ));
    }
    Ok(Confirmed {
        writer: signed.writer.clone(),
        is_frozen: signed.frozen,
        key_id: envelope.signer().ok().cloned(),
        signed: Some(signed),
    })
}

/// Freezes from the ledger without a matching unfreeze.
fn in_force(known: &LedgerSwitches, trust: &TrustFile) -> Vec<Digest> {
    freezes_in_force(known, trust)
        .iter()
        .map(VerifiedFreeze::digest)
        .collect()
}

/// Same as above, verified.
pub(super) fn freezes_in_force(known: &LedgerSwitches, trust: &TrustFile) -> Vec<VerifiedFreeze> {
    let lifted: BTreeSet<Digest> = known
        .signed
        .iter()
        .filter_map(|e| verify_lift(e, trust, LiftClock::Recorded).ok())
        .map(|lift| lift.freeze_digest())
        .collect();
    let freezes = known.signed.iter().filter_map(|e| verify_freeze(e, trust).ok());
    freezes
        .filter(|freeze| !lifted.contains(&freeze.digest()))
        .collect()
}

fn lift(signer: &Signer, trust: &TrustFile, writer: &str, freeze: Option<Digest>) -> Unfreeze {
    let at = now();
    let longest = Span::minutes(synapsor_domain::limits::ORDER_MINUTES);
    Unfreeze {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        writer: writer.to_owned(),
        approver: approver(signer, APPLIER.to_owned()),
        issued_at: at,
        expires_at: at + longest.min(trust.order_ceiling()),
        nonce: hex::encode(random::bytes::<16>()),
        freeze_digest: freeze,
    }
}

fn approver(signer: &Signer, role: String) -> SignerInfo {
    SignerInfo {
        key_id: signer.key.key_id(),
        person: signer.person.clone(),
        role,
    }
}

/// Returns the first role of the key; a freeze needs none.
fn role_of(signer: &Signer, trust: &TrustFile) -> String {
    let operator = trust.operator(&signer.key.key_id());
    operator
        .and_then(|o| o.roles.first().cloned())
        .unwrap_or_else(|| "operator".to_owned())
}

fn sealed<T: serde::Serialize>(
    kind: ObjectKind,
    object: &T,
    signer: &Signer,
) -> Result<DsseEnvelope, ExitError> {
    DsseEnvelope::sign(kind, object, &signer.key)
        .map_err(|e| ExitError::new(ErrorCode::SwitchUnsignable, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switch_not_recorded_by_ledger_is_incomplete() {
        let mut switched = Switched::new(true, None, None);
        assert!(!switched.is_complete(), "no writer confirmed");
        switched.confirmed.push(Confirmed {
            writer: "w".to_owned(),
            is_frozen: true,
            key_id: None,
            signed: None,
        });
        assert!(switched.is_complete());
        switched.ledger_problem = Some("refused".to_owned());
        assert!(!switched.is_complete());
    }
}
