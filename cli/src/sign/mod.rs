//! Builds the objects that operators sign, and decides when signing is allowed. Pure: callers supply clock,
//! randomness and terminal.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    ApplyOrder, Decision, DecisionKind, ReviewedDocument, SignatureAudience, SignerInfo, SignerTreeHead,
    VerifiedDecision,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::limits::{DECISION_MINUTES, DECISION_MINUTES_DEV, ORDER_MINUTES};
use synapsor_domain::log::Checkpoint;
use synapsor_domain::proposal::VerifiedProposal;
use synapsor_domain::review::{Renderer, ReviewDocument};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{APPLIER, DeploymentEnvironment, TrustFile};

use crate::output;

/// Inputs of a signature besides the proposal.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) trust: &'a TrustFile,
    /// The newest verified checkpoint.
    pub(crate) seen: &'a Checkpoint,
    pub(crate) key_id: synapsor_domain::signing::KeyId,
    pub(crate) person: &'a str,
    pub(crate) now: Timestamp,
    /// 128 random bits.
    pub(crate) nonce: [u8; 16],
    /// Requested validity in minutes; absent: the default.
    pub(crate) minutes: Option<u32>,
    /// Newest known freeze or unfreeze.
    pub(crate) known_switch: Option<Digest>,
}

/// Builds an approval or a rejection.
pub(crate) fn decision(
    attested: &VerifiedProposal,
    verdict: DecisionKind,
    reason: Option<&str>,
    terms: &Terms<'_>,
) -> Result<Decision, ExitError> {
    let proposal = attested.proposal();
    let default = match terms.trust.environment {
        DeploymentEnvironment::Dev => DECISION_MINUTES_DEV,
        DeploymentEnvironment::Staging | DeploymentEnvironment::Production => DECISION_MINUTES,
    };
    let span = lifetime(
        terms.minutes,
        Span::minutes(default),
        terms.trust.decision_ceiling(),
    )?;
    Ok(Decision {
        v: 1,
        decision: verdict,
        proposal_id: proposal.id.clone(),
        proposal_digest: attested.digest(),
        contract_digest: proposal.contract_digest,
        audience: audience(attested, terms.trust),
        approver: approver(terms, &proposal.approval.required_role),
        render: ReviewedDocument {
            renderer: Renderer::CURRENT.as_str().to_owned(),
            digest: ReviewDocument::of(proposal, attested.digest()).digest(),
        },
        seen_checkpoint: seen(terms.seen),
        issued_at: terms.now,
        not_before: terms.now,
        expires_at: (terms.now + span).min(proposal.not_after),
        nonce: hex::encode(terms.nonce),
        known_switch: terms.known_switch,
        reason: reason.map(str::to_owned),
    })
}

/// Builds an apply order for exactly the given approvals.
pub(crate) fn order(
    attested: &VerifiedProposal,
    approvals: &[VerifiedDecision],
    terms: &Terms<'_>,
) -> Result<ApplyOrder, ExitError> {
    let proposal = attested.proposal();
    let span = lifetime(
        terms.minutes,
        Span::minutes(ORDER_MINUTES),
        terms.trust.order_ceiling(),
    )?;
    Ok(ApplyOrder {
        v: 1,
        proposal_id: proposal.id.clone(),
        proposal_digest: attested.digest(),
        contract_digest: proposal.contract_digest,
        decision_digests: counted(approvals),
        audience: audience(attested, terms.trust),
        approver: approver(terms, APPLIER),
        seen_checkpoint: seen(terms.seen),
        issued_at: terms.now,
        not_before: terms.now,
        expires_at: (terms.now + span).min(proposal.not_after),
        nonce: hex::encode(terms.nonce),
        known_switch: terms.known_switch,
    })
}

/// Digests of the approving decisions, sorted and without duplicates.
fn counted(decisions: &[VerifiedDecision]) -> Vec<Digest> {
    let mut digests: Vec<Digest> = decisions
        .iter()
        .filter(|d| !d.is_deny())
        .map(VerifiedDecision::digest)
        .collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

fn audience(attested: &VerifiedProposal, trust: &TrustFile) -> SignatureAudience {
    SignatureAudience {
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        source_id: attested.proposal().source.id.clone(),
    }
}

fn approver(terms: &Terms<'_>, role: &str) -> SignerInfo {
    SignerInfo {
        key_id: terms.key_id.clone(),
        person: terms.person.to_owned(),
        role: role.to_owned(),
    }
}

fn seen(checkpoint: &Checkpoint) -> Option<SignerTreeHead> {
    (checkpoint.size > 0).then(|| SignerTreeHead {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: hex::encode(checkpoint.root),
    })
}

/// Returns the validity: as requested within the ceiling, else the default, limited to the ceiling.
fn lifetime(asked: Option<u32>, default: Span, ceiling: Span) -> Result<Span, ExitError> {
    match asked {
        None => Ok(default.min(ceiling)),
        Some(0) => Err(ExitError::new(
            ErrorCode::ExpiresInvalid,
            "--expires is not a number of minutes of at least 1",
        )),
        Some(minutes) if Span::minutes(i64::from(minutes)) > ceiling => {
            let most = ceiling.as_seconds() / 60;
            Err(ExitError::new(
                ErrorCode::ExpiresTooLong,
                format!("signature validity exceeds the maximum of {most} minutes"),
            )
            .with_fix(format!("pass --expires {most} or less")))
        }
        Some(minutes) => Ok(Span::minutes(i64::from(minutes))),
    }
}

/// Consent from the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfirmationInput<'a> {
    /// `--yes`.
    pub(crate) yes: bool,
    /// `--code`.
    pub(crate) code: Option<&'a str>,
    /// The proposal reference on the command line.
    pub(crate) reference: &'a str,
    /// Whether a terminal is attached.
    pub(crate) interactive: bool,
}

/// Prompt that is still required before signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfirmationPrompt {
    Nothing,
    /// Type `yes`.
    Yes,
    /// Type the short code, because a value is not shown in full.
    Code,
}

impl ConfirmationInput<'_> {
    /// Decides which prompt is required. Outside `dev` a newer proposal could arrive between review and
    /// signing, so `--yes` requires the code of the digest and never accepts `latest`.
    pub(crate) fn question(
        &self,
        attested: &VerifiedProposal,
        environment: DeploymentEnvironment,
    ) -> Result<ConfirmationPrompt, ExitError> {
        let abbreviated = ReviewDocument::of(attested.proposal(), attested.digest()).is_abbreviated;
        let needs_code = abbreviated || environment != DeploymentEnvironment::Dev;
        let code = attested.digest().short_code();
        if self.code.is_some_and(|typed| !is_code(typed, &code)) {
            return Err(other_code());
        }
        if !self.yes {
            let question = if abbreviated && self.code.is_none() {
                ConfirmationPrompt::Code
            } else {
                ConfirmationPrompt::Yes
            };
            return if self.interactive {
                Ok(question)
            } else {
                Err(no_terminal(needs_code && self.code.is_none()))
            };
        }
        if environment != DeploymentEnvironment::Dev && self.reference == "latest" {
            return Err(ExitError::new(
                ErrorCode::LatestRefused,
                "outside dev, --yes does not accept `latest`: a newer proposal may have arrived",
            )
            .with_fix("pass the proposal id"));
        }
        if self.code.is_none() {
            if abbreviated {
                return Err(code_required(
                    "--yes requires --code: the review does not show every value in full",
                    "read it with `synapsor-runner proposals show ID --full`, and pass its code as --code XXXX-XXXX-XXXX",
                ));
            }
            if needs_code {
                return Err(code_required(
                    "--yes requires --code in this environment: the short code of the reviewed digest",
                    "read the code with `synapsor-runner proposals show ID` and pass --code XXXX-XXXX-XXXX",
                ));
            }
        }
        Ok(ConfirmationPrompt::Nothing)
    }
}

/// Whether the typed response matches the prompt.
pub(crate) fn is_answer(question: ConfirmationPrompt, typed: &str, code: &str) -> bool {
    match question {
        ConfirmationPrompt::Nothing => true,
        ConfirmationPrompt::Yes => typed.trim().eq_ignore_ascii_case("yes"),
        ConfirmationPrompt::Code => is_code(typed, code),
    }
}

/// Compares codes without case and dashes.
fn is_code(typed: &str, code: &str) -> bool {
    let plain = |text: &str| text.trim().replace('-', "").to_ascii_uppercase();
    plain(typed) == plain(code)
}

fn code_required(text: &str, fix: &str) -> ExitError {
    ExitError::new(ErrorCode::CodeRequired, text).with_fix(fix)
}

fn other_code() -> ExitError {
    ExitError::new(
        ErrorCode::CodeMismatch,
        "short code does not match this proposal; it may differ from the reviewed one",
    )
    .with_fix("review it again with `synapsor-runner proposals show ID`")
}

/// `needs_code`: whether `--yes` alone would be refused next.
fn no_terminal(needs_code: bool) -> ExitError {
    let fix = if needs_code {
        "run it in a terminal, or pass the proposal id with --yes and --code XXXX-XXXX-XXXX, the code that \
         `synapsor-runner proposals show ID --full` prints"
    } else {
        "run it in a terminal, or pass --yes"
    };
    output::no_terminal().with_fix(fix)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
