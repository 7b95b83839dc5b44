//! `receipts`: how proposals ended, as the writers signed it.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{EXIT_OK, Exit, Failure};

use crate::Context;
use crate::operations::{self, SignedReceipt};
use crate::output::shape;
use crate::output::{self, Table, safe};
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Newest first
    #[command(after_help = "Example:\n  synapsor-runner receipts list --status applied\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered")]
    List(List),
    /// One receipt, by its proposal
    #[command(after_help = "Example:\n  synapsor-runner receipts show wrp_4f2a\n\n\
        Exit codes: 0 ok, 1 no receipt, 6 ledger unreachable, 10 tampered")]
    Show(Show),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Of one proposal
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// With this outcome
    #[arg(long, visible_alias = "outcome", value_enum)]
    status: Option<Outcome>,
    /// Rows at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Applied,
    Conflict,
    Failed,
    Tombstoned,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The proposal: an id, a prefix of one, a short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    let session = Session::open(context).await?;
    let done = match &command {
        Command::List(args) => list(args, &session, context).await,
        Command::Show(args) => show(args, &session, context).await,
    };
    session.close().await;
    done
}

async fn list(args: &List, session: &Session, context: &Context) -> Result<Exit, Failure> {
    let outcome = match args.status {
        None => "",
        Some(Outcome::Applied) => "applied",
        Some(Outcome::Conflict) => "conflict",
        Some(Outcome::Failed) => "failed",
        Some(Outcome::Tombstoned) => "tombstoned",
    };
    let proposal = match args.proposal.as_deref() {
        None => String::new(),
        Some(reference) => operations::look(session, reference)
            .await?
            .attested
            .proposal()
            .id
            .to_string(),
    };
    let receipts = operations::list_receipts(session, &proposal, outcome, args.limit).await?;
    if context.global.json {
        let receipts: Vec<Json> = receipts.iter().map(shape::receipt).collect();
        output::json(&json!({ "receipts": receipts }))?;
        return Ok(Exit(EXIT_OK));
    }
    let mut table = Table::new(&["PROPOSAL", "OUTCOME", "REASON", "ROWS", "WRITTEN AT", "WRITER"]);
    for signed in &receipts {
        let r = &signed.receipt;
        let (outcome, rows, at) = (
            r.outcome.to_string(),
            r.rows_affected.to_string(),
            r.created_at.to_string(),
        );
        table.row([r.proposal_id.as_str(), &outcome, &r.reason, &rows, &at, &r.writer]);
    }
    output::line(table)?;
    Ok(Exit(EXIT_OK))
}

async fn show(args: &Show, session: &Session, context: &Context) -> Result<Exit, Failure> {
    let looked = operations::look(session, &args.proposal).await?;
    let Some(signed) = &looked.receipt else {
        let text = format!(
            "{} has no receipt; it stands as `{}`",
            looked.attested.proposal().id,
            looked.state
        );
        return Err(Failure::new("RECEIPT_NOT_FOUND", text));
    };
    if context.global.json {
        output::json(&shape::receipt(signed))?;
    } else {
        print(signed)?;
    }
    Ok(Exit(EXIT_OK))
}

fn print(signed: &SignedReceipt) -> Result<(), Failure> {
    let r = &signed.receipt;
    let version = |v: &Option<synapsor_domain::value::Value>| {
        v.as_ref()
            .map_or_else(|| "none".to_owned(), synapsor_domain::review::shown)
    };
    let fields = [
        ("proposal", r.proposal_id.to_string()),
        ("digest", r.proposal_digest.to_string()),
        ("outcome", format!("{} {}", r.outcome, safe(&r.reason))),
        ("affected rows", r.rows_affected.to_string()),
        (
            "version",
            format!("{} to {}", version(&r.previous_version), version(&r.new_version)),
        ),
        (
            "order",
            r.order_digest
                .map_or_else(|| "none".to_owned(), |d| d.to_string()),
        ),
        ("attempt", format!("{} with fence {}", r.attempt, r.fence)),
        ("writer", format!("{} {}", safe(&r.writer), signed.writer_key)),
        ("database", safe(&r.database_identity)),
        ("log seen", format!("{} events", r.ledger_size)),
        ("written at", r.created_at.to_string()),
        ("receipt", signed.digest.to_string()),
    ];
    for (name, value) in fields {
        output::line(format!("{name:<16}{}", value.trim_end()))?;
    }
    Ok(())
}
