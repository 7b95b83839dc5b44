//! `proposals review`: walks the open proposals one by one on a terminal. The queue is fixed at the start.

use clap::Args;
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::ProposalState;

use super::decide::{Approve, print_approved, reason, signed_approval};
use super::list::FilterArgs;
use super::page;
use super::reject::{READABLE, reject_message};
use crate::Context;
use crate::commands::confirm::{self, ConfirmOptions};
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output;
use crate::workflows::{self, ProposalView};

#[derive(Debug, Args)]
pub(crate) struct Review {
    #[command(flatten)]
    filter: FilterArgs,
    /// Fail unless the signing key belongs to this operator
    #[arg(long, value_name = "PERSON")]
    actor: Option<String>,
}

/// What the operator chose for one proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Approve,
    Reject,
    Skip,
    Quit,
}

impl Choice {
    fn of(answer: &str) -> Option<Self> {
        match answer.trim().to_ascii_lowercase().as_str() {
            "a" | "approve" => Some(Self::Approve),
            "r" | "reject" => Some(Self::Reject),
            "s" | "skip" | "n" | "next" => Some(Self::Skip),
            // The end of the input, too.
            "q" | "quit" | "" => Some(Self::Quit),
            _ => None,
        }
    }
}

/// Number of proposals by what became of them.
#[derive(Debug, Default)]
struct Tally {
    approved: u32,
    rejected: u32,
    skipped: u32,
}

pub(super) async fn review(
    args: &Review,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    if !output::is_interactive() {
        return Err(output::no_terminal().with_fix(
            "run it in a terminal; in a script use `proposals list`, `proposals show ID` and `proposals approve ID`",
        ));
    }
    let open = args
        .filter
        .find_open(session, Some(ProposalState::PendingReview))
        .await?;
    // Oldest first: its time runs out first.
    let queue: Vec<String> = open
        .iter()
        .rev()
        .map(|row| row.attested.proposal().id.to_string())
        .collect();
    let mut tally = Tally::default();
    for (position, id) in (1..).zip(&queue) {
        output::note(format!("\n[{position} of {}] {id}", queue.len()));
        match reviewed(id, args, session, context).await {
            Ok(Choice::Quit) => break,
            Ok(Choice::Approve) => tally.approved += 1,
            Ok(Choice::Reject) => tally.rejected += 1,
            Ok(Choice::Skip) => tally.skipped += 1,
            Err(error) if is_about_one(&error) => {
                output::note(format!(
                    "nothing was signed: {}: {}",
                    error.code(),
                    error.message()
                ));
                tally.skipped += 1;
            }
            Err(error) => return Err(error),
        }
    }
    let Tally {
        approved,
        rejected,
        skipped,
    } = tally;
    let left = u32::try_from(queue.len()).unwrap_or(u32::MAX) - approved - rejected;
    if context.global.json {
        output::json(&json!({
            "approved": approved, "rejected": rejected, "skipped": skipped, "open": left,
        }))?;
    } else {
        output::line(format!(
            "approved {approved}, rejected {rejected}, skipped {skipped}; {left} of {} still open",
            queue.len()
        ))?;
    }
    Ok(Exit::Ok)
}

/// Whether the next proposal can be reviewed after this error.
fn is_about_one(error: &ExitError) -> bool {
    error.code() == ErrorCode::NotConfirmed || matches!(error.exit(), Exit::Refused | Exit::Usage)
}

async fn reviewed(
    id: &str,
    args: &Review,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<Choice, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, id).await?;
    if view.state != ProposalState::PendingReview {
        output::note(format!("it is no longer pending review: {}", view.state));
        return Ok(Choice::Skip);
    }
    page::show(&view, context.global.json)?;
    let choice = loop {
        let answer = output::ask("[a]pprove, [r]eject, [s]kip to the next, [q]uit:")?;
        if let Some(choice) = Choice::of(&answer) {
            break choice;
        }
    };
    match choice {
        Choice::Approve => approve(id, &view, args, session, context).await?,
        Choice::Reject => reject(id, &view, args, session, context).await?,
        Choice::Skip | Choice::Quit => {}
    }
    Ok(choice)
}

async fn approve(
    id: &str,
    view: &ProposalView,
    args: &Review,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<(), ExitError> {
    let approval = Approve::of(id, confirmation(args));
    let (approved, ..) = signed_approval((id, view), &approval, session, context).await?;
    print_approved(view, &approved, context)
}

async fn reject(
    id: &str,
    view: &ProposalView,
    args: &Review,
    session: &mut LedgerConnection,
    context: &Context,
) -> Result<(), ExitError> {
    let answer = output::ask(&format!("Reason ({READABLE}):"))?;
    let reason = reason(&answer).map_err(|why| ExitError::new(ErrorCode::NotConfirmed, why))?;
    let options = confirmation(args);
    options.prompt(id, view, session.trust(), "reject this")?;
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(options.actor.as_deref())?;
    confirm::posture(&signer, session.trust());
    let rejected = workflows::reject(session, context, view, &signer, &reason).await?;
    output::note(reject_message(&rejected));
    Ok(())
}

fn confirmation(args: &Review) -> ConfirmOptions {
    ConfirmOptions {
        yes: false,
        code: None,
        actor: args.actor.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_input_signs_nothing() {
        assert_eq!(Choice::of(""), Some(Choice::Quit));
        for (answer, choice) in [
            ("a", Choice::Approve),
            (" Reject ", Choice::Reject),
            ("n", Choice::Skip),
            ("q", Choice::Quit),
        ] {
            assert_eq!(Choice::of(answer), Some(choice), "{answer}");
        }
        for other in ["y", "yes", "ap", "1"] {
            assert_eq!(Choice::of(other), None, "{other}");
        }
    }
}
