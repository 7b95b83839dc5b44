//! `proposals approve` of several proposals: each review is printed in full before its own signature. What is approved is
//! fixed before the first page, so that nothing that arrives meanwhile is included.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::trust::DeploymentEnvironment;

use super::check_review_mode;
use super::decide::{Approve, approved_json, print_approved, signed_approval};
use super::page;
use crate::Context;
use crate::connection::LedgerConnection;
use crate::output;
use crate::workflows::{self, ProposalView};

/// Maximum number of proposals of one command: more are not read with care.
const APPROVED_MAX: usize = 20;

/// Approves each named proposal after its own review and its own confirmation. An error about one does not keep the
/// others from being reviewed; the exit code is that of the first error.
pub(super) async fn approve_several(
    args: &Approve,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    check_options(args, session.trust().environment)?;
    let selected = selected(args, session).await?;
    let (mut exit, mut done, mut objects) = (Exit::Ok, 0, Vec::new());
    for (position, (id, digest)) in (1..).zip(&selected) {
        output::note(format!("\n[{position} of {}] {id}", selected.len()));
        let result = one(id, *digest, args, session, context).await;
        let (object, result) = match result {
            Ok(object) => (object, Exit::Ok),
            Err(error) => {
                output::note(format!("not approved: {}: {}", error.code(), error.message()));
                (json!({ "proposal_id": id, "error": error }), error.exit())
            }
        };
        objects.push(object);
        done += u32::from(result == Exit::Ok);
        if exit == Exit::Ok {
            exit = result;
        }
    }
    let total = selected.len();
    if context.global.json {
        output::json(&json!({ "approved": done, "of": total, "proposals": objects }))?;
    } else {
        output::line(format!("approved {done} of {total}"))?;
    }
    Ok(exit)
}

/// Checks what belongs to one proposal. Outside dev each approval needs the code that was read with its review.
fn check_options(args: &Approve, environment: DeploymentEnvironment) -> Result<(), ExitError> {
    let too_many = args.proposals.len() > APPROVED_MAX;
    if too_many {
        let text = format!(
            "{} proposals are named, but one command approves at most {APPROVED_MAX}",
            args.proposals.len()
        );
        return Err(ExitError::new(ErrorCode::ProposalNameInvalid, text).with_fix("approve them in parts"));
    }
    if args.apply {
        return Err(ExitError::new(
            ErrorCode::OptionUnused,
            "--apply belongs to one proposal, but several are named",
        )
        .with_fix("approve them, then run `synapsor-runner apply` for each"));
    }
    if args.confirm.code.is_some() {
        return Err(ExitError::new(
            ErrorCode::CodeMismatch,
            "--code belongs to one proposal, but several are named",
        )
        .with_fix("omit --code and type each code at its prompt, or approve one proposal"));
    }
    if args.confirm.yes && environment != DeploymentEnvironment::Dev {
        return Err(ExitError::new(
            ErrorCode::CodeRequired,
            "outside dev, --yes approves one proposal with its own --code",
        )
        .with_fix("omit --yes and type each code at its prompt, or approve one proposal after the other"));
    }
    Ok(())
}

/// Returns the named proposals with their digests, each once, all open and under one contract digest.
async fn selected(args: &Approve, session: &LedgerConnection) -> Result<Vec<(String, Digest)>, ExitError> {
    let (mut selected, mut digests, mut ids) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for reference in &args.proposals {
        let view = workflows::fetch_proposal_by_reference(session, reference).await?;
        check_review_mode(&view)?;
        workflows::still_open(&view, ErrorCode::ProposalNotPendingReview)?;
        let proposal = view.attested.proposal();
        digests.insert(proposal.contract_digest);
        if ids.insert(proposal.id.to_string()) {
            selected.push((proposal.id.to_string(), view.attested.digest()));
        }
    }
    if digests.len() > 1 {
        let text = format!(
            "the proposals were made under {} different contract digests; several are approved only under one",
            digests.len()
        );
        return Err(ExitError::new(ErrorCode::ProposalNameInvalid, text)
            .with_fix("approve the proposals of one contract, then those of the other"));
    }
    Ok(selected)
}

async fn one(
    id: &str,
    digest: Digest,
    args: &Approve,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Json, ExitError> {
    // Again, because another operator can have decided while the earlier pages were read.
    let view: ProposalView = workflows::fetch_proposal_by_reference(session, id).await?;
    if view.attested.digest() != digest {
        let text = "the ledger returned another proposal than before";
        return Err(crate::clients::verification_failed(
            ErrorCode::ProposalForeign,
            text,
        ));
    }
    page::show(&view, context.global.json)?;
    let (approved, signer, own) = signed_approval((id, &view), args, session, context).await?;
    if !context.global.json {
        print_approved(&view, &approved, context)?;
    }
    let mut object = approved_json(&view, &approved, &signer);
    object["own_contract"] = json!(own.as_str());
    Ok(object)
}
