//! `ledger`: verifies the log and exports the proofs of one proposal.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;

use super::confirm::{confirm, posture};
use super::replay;
use crate::Context;
use crate::connection::LedgerConnection;
use crate::operator_key::Signer;
use crate::output::{self, safe};
use crate::workflows::{self, Loss, Recovered};

/// Clock difference between two machines that is not reported, in seconds.
const CLOCKS_SAME_SECONDS: i64 = 2;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Recompute the whole store and verify the log against the pinned checkpoint of this machine
    #[command(after_help = "Example:\n  synapsor-runner ledger verify\n\n\
        Exit codes: 0 verified, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked")]
    Verify(Verify),
    /// Export the bundle of one proposal: every record with its proof
    #[command(
        after_help = "Example:\n  synapsor-runner ledger prove wrp_4f2a > bundle.json\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked"
    )]
    Prove(Prove),
    /// Sign that the log continues without events that were lost, after the restore of an older backup
    #[command(
        after_help = "Example:\n  synapsor-runner ledger recover --reason 'restored from the backup of Monday'\n\n\
        Reader, writer and CLI refuse a log that lacks what they have seen. The statement names exactly what they have\n\
        pinned and moves these pins only. It is recorded in the log and added to the trust file, of which a backup is\n\
        kept; outside `dev` two operators run the command. Needs the role `recovery`. Afterwards start reader and\n\
        writer again, with this trust file.\n\n\
        Exit codes: 0 ok or nothing lost, 1 failure, 2 usage, 4 rejected, 6 ledger unreachable, 10 tampered"
    )]
    Recover(Recover),
}

#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Pinned checkpoint of a process on another machine, copied here; repeatable
    #[arg(long, value_name = "FILE")]
    witness: Vec<PathBuf>,
    /// Skip the prompt
    #[arg(long)]
    yes: bool,
    /// Fail unless the signing key belongs to this operator
    #[arg(long, value_name = "PERSON")]
    actor: Option<String>,
    /// Reason, signed and stored with the statement
    #[arg(long, value_parser = crate::commands::proposals::reason)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// No effect; the check is always full
    #[arg(long)]
    full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// Proposal id, id prefix, short code, or `latest`
    proposal: String,
    /// Output file [default: stdout]
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::Verify(_) => verify(&session, context).await,
        Command::Prove(args) => prove(args, &session, context).await,
        Command::Recover(args) => recover(args, &session, context).await,
    };
    session.close().await;
    done
}

async fn verify(session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let verified = output::waiting("verifying the ledger", workflows::verify_ledger(session)).await?;
    let fits = verified.findings.is_empty();
    let exit = if fits { Exit::Ok } else { Exit::Tampered };
    let root = hex::encode(verified.checkpoint.root);
    if context.global.json {
        output::json(&json!({
            "verified": fits,
            "findings": verified.findings,
            "records_checked": verified.records_checked,
            "ledger_time": verified.ledger_now,
            "expiry_paused": verified.is_expiry_paused,
            "log": { "origin": verified.checkpoint.origin, "size": verified.checkpoint.size, "root": root },
        }))?;
        return Ok(exit);
    }
    if fits {
        output::line(format!("Ledger verified: {} entries", verified.records_checked))?;
    } else {
        output::line("STORE_TAMPERED: ledger verification failed:")?;
        for finding in &verified.findings {
            output::line(format!("  {}", safe(finding)))?;
        }
    }
    let apart = (verified.ledger_now - workflows::now()).as_seconds();
    if apart.abs() > CLOCKS_SAME_SECONDS {
        output::line(format!(
            "CLOCKS_DIFFER: the ledger's clock shows {}, this machine's {}",
            verified.ledger_now,
            workflows::now()
        ))?;
    }
    if verified.is_expiry_paused {
        output::line(
            "EXPIRY_PAUSED: the ledger's clock jumped; no proposal expires until a writer confirms it",
        )?;
    }
    output::line(format!("  log   {}", safe(&verified.checkpoint.origin)))?;
    output::line(format!("  size  {}", verified.checkpoint.size))?;
    output::line(format!("  root  {root}"))?;
    Ok(exit)
}

async fn prove(args: &Prove, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let replayed = workflows::replay(session, &args.proposal).await?;
    replay::write(args.output.as_deref(), &replay::bundle_bytes(&replayed)?, context)?;
    Ok(Exit::Ok)
}

async fn recover(args: &Recover, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let Some(loss) = workflows::find_loss(session, &args.witness).await? else {
        if context.global.json {
            output::json(&json!({ "ok": true, "lost": [] }))?;
        } else {
            output::line("Nothing is lost: the log continues everything that was seen of it.")?;
        }
        return Ok(Exit::Ok);
    };
    if !context.global.json {
        for pin in &loss.pins {
            output::line(format!(
                "{} has seen {} events; the log continues from event {}",
                safe(&pin.holder),
                pin.head.size,
                loss.kept.size
            ))?;
        }
        for person in &loss.signed_by {
            output::line(format!("signed by {}", safe(person)))?;
        }
    }
    let signer = Signer::load(context, session.trust())?;
    signer.check_actor(args.actor.as_deref())?;
    if loss.signed_by.contains(&signer.person) {
        return Err(ExitError::new(ErrorCode::AlreadyRecorded, "this operator has signed it already")
            .with_fix("let another operator with the role `recovery` run the command, or start reader and writer again"));
    }
    if !context.global.json {
        posture(&signer, session.trust());
    }
    confirm(args.yes, "sign that the later events are lost for good")?;
    let done = workflows::recover(session, &signer, &loss, args.reason.clone()).await?;
    report(&loss, &done, context)
}

fn report(loss: &Loss, done: &Recovered, context: &Context) -> Result<Exit, ExitError> {
    let left = done.quorum.saturating_sub(done.signed_by.len());
    if context.global.json {
        let lost: Vec<_> = loss
            .pins
            .iter()
            .map(|pin| json!({ "holder": pin.holder, "size": pin.head.size }))
            .collect();
        output::json(&json!({
            "ok": true,
            "lost": lost,
            "kept": { "size": loss.kept.size, "root": hex::encode(loss.kept.root) },
            "signed_by": done.signed_by,
            "signatures_left": left,
            "seq": done.seq,
            "backup": done.backup.display().to_string(),
        }))?;
        return Ok(Exit::Ok);
    }
    output::line(format!(
        "Recorded as event {}, and added to the trust file.",
        done.seq
    ))?;
    output::line(format!(
        "The trust file as it was: {}",
        safe(&done.backup.to_string_lossy())
    ))?;
    if left > 0 {
        output::line(format!(
            "{left} more operator(s) must run this command with the same trust file."
        ))?;
    } else {
        output::line("Next: give the trust file to every process, start reader and writer again, then")?;
        output::line("  synapsor-runner ledger verify")?;
        output::line("  synapsor-runner receipts audit --all")?;
    }
    Ok(Exit::Ok)
}
