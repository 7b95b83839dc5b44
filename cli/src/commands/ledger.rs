//! `ledger`: verifies the log and exports the proofs of one proposal.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};

use super::replay;
use crate::Context;
use crate::connection::LedgerConnection;
use crate::output::{self, safe};
use crate::workflows;

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
    };
    session.close().await;
    done
}

async fn verify(session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let verified = workflows::verify_ledger(session).await?;
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
