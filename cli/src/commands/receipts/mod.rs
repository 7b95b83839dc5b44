//! `receipts`: signed outcomes of proposals, differences between sources and ledger, and operator orders about
//! them.

mod audit;
mod order;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value as Json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::Receipt;
use synapsor_proto::ledger::v1::ReceiptOutcomeGroup;

use super::list_range::{self, RangeArgs};
use super::object_filter::proposal_of;
use crate::Context;
use crate::clients::ReceiptQuery;
use crate::connection::LedgerConnection;
use crate::output::{self, Table, safe, shape};
use crate::time_filter::parse_time;
use crate::workflows::{self, SignedReceipt};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List receipts, newest first
    #[command(after_help = "Example:\n  synapsor-runner receipts list --status applied\n\n\
        Exit codes: 0 ok, 1 proposal not found, 6 ledger unreachable, 10 tampered")]
    List(List),
    /// Show the receipt of one proposal
    #[command(after_help = "Example:\n  synapsor-runner receipts show wrp_4f2a\n\n\
        Exit codes: 0 ok, 1 no receipt, 6 ledger unreachable, 10 tampered")]
    Show(Show),
    /// Compare the receipts of the ledger with those in the sources
    #[command(after_help = "Examples:\n  synapsor-runner receipts audit\n  \
        synapsor-runner receipts audit --source app --all --json\n\n\
        A running writer compares them and reports its findings to the ledger. No source is changed, and nothing\n\
        is applied again. The output has ids and digests, no values.\n\n\
        Exit codes: 0 equal, 2 usage, 6 writer or source unreachable, 13 a source lacks receipts, 14 a source holds\n\
        receipts that the ledger rejected")]
    Audit(audit::Audit),
    /// Sign that receipts are permanently lost, so that writeback to their source resumes; role applier
    #[command(
        after_help = "Examples:\n  synapsor-runner receipts give-up --source app wrp_4f2a wrp_51cc\n  \
        synapsor-runner receipts give-up --source app --all-lost --reason \"restored from the backup of Monday\"\n\n\
        A running writer compares the source with the ledger first; only receipts that it finds missing can be given\n\
        up. The effects of these proposals are lost with their receipts. Nothing is applied again; a change that is\n\
        still needed requires a new proposal.\n\n\
        Exit codes: 0 recorded, 1 failure, 2 usage, 4 rejected or not missing, 6 ledger, writer or source unreachable"
    )]
    GiveUp(order::GiveUp),
    /// Sign that a reported receipt is the outcome of its proposal; role applier
    #[command(after_help = "Example:\n  synapsor-runner receipts adopt wrp_4f2a\n\n\
        For a receipt of a retired writer key that is not in the log (refused:receipt_unproven), a receipt whose\n\
        COMMIT left another version of the row (refused:row_changed_in_commit), and a receipt that the ledger\n\
        rejected (orphan_receipt). Check the row in the database first.\n\n\
        Exit codes: 0 recorded, 1 not reported, 2 usage, 4 rejected, 6 ledger unreachable")]
    Adopt(order::Adopt),
    /// Sign a time before which receipts may be missing; role applier
    #[command(
        after_help = "Example:\n  synapsor-runner receipts archive --source app --before 2026-01-01\n\n\
        Without such an order a deleted receipt stops writeback to its source. The time never moves back. The\n\
        command deletes nothing; it prints the statement for the database owner. Keep receipts for twice the longest\n\
        approval.\n\n\
        Exit codes: 0 recorded, 2 usage or no such source, 4 rejected, 6 ledger unreachable, or the writer of a\n\
        remote ledger"
    )]
    Archive(order::Archive),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Filter by proposal: id, id prefix, short code, or `latest`
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Filter by outcome
    #[arg(long, visible_alias = "outcome", value_enum)]
    status: Option<Outcome>,
    /// Filter by the job of 0.1.x, `wbj_` and the proposal
    #[arg(long, value_name = "ID", conflicts_with = "proposal")]
    writeback_job: Option<String>,
    /// Filter by the idempotency key of 0.1.x, PROPOSAL:OBJECT
    #[arg(long, value_name = "KEY", conflicts_with_all = ["proposal", "writeback_job"])]
    idempotency_key: Option<String>,
    /// Written at or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Written before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
    #[command(flatten)]
    range: RangeArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Outcome {
    Applied,
    Conflict,
    Failed,
    /// Rejected, canceled, expired or abandoned
    #[value(alias = "canceled")]
    Tombstoned,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Proposal id, id prefix, short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Accepted for 0.1.x; every field is shown
    #[arg(long, hide = true)]
    details: bool,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let mut session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::List(args) => list(args, &session, context).await,
        Command::Show(args) => show(args, &session, context).await,
        Command::Audit(args) => audit::run(args, &mut session, context).await,
        Command::GiveUp(args) => order::give_up(args, &mut session, context).await,
        Command::Adopt(args) => order::adopt(args, &session, context).await,
        Command::Archive(args) => order::archive(args, &mut session, context).await,
    };
    session.close().await;
    done
}

impl List {
    async fn find(
        &self,
        session: &LedgerConnection,
        outcome: ReceiptOutcomeGroup,
    ) -> Result<workflows::ListPart<SignedReceipt>, ExitError> {
        let named = (self.writeback_job.as_deref(), self.idempotency_key.as_deref());
        let reference = self.proposal.as_deref().or_else(|| proposal_of(named));
        let filter = ReceiptQuery {
            proposal_id: workflows::proposal_filter(session, reference).await?,
            outcome,
            created_from: self.from,
            created_to: self.to,
        };
        workflows::list_receipts(session, &filter, (self.range.before, self.range.limit)).await
    }
}

async fn list(args: &List, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let outcome = match args.status {
        None => ReceiptOutcomeGroup::Unspecified,
        Some(Outcome::Applied) => ReceiptOutcomeGroup::Applied,
        Some(Outcome::Conflict) => ReceiptOutcomeGroup::Conflict,
        Some(Outcome::Failed) => ReceiptOutcomeGroup::Failed,
        Some(Outcome::Tombstoned) => ReceiptOutcomeGroup::Tombstoned,
    };
    let part = args.find(session, outcome).await?;
    if context.global.json {
        let receipts: Vec<Json> = part.rows.iter().map(shape::receipt).collect();
        output::json(&list_range::object("receipts", receipts, &part))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["PROPOSAL", "OUTCOME", "REASON", "ROWS", "WRITTEN AT", "WRITER"]);
    for signed in &part.rows {
        let r = &signed.receipt;
        let (outcome, rows, at) = (
            r.outcome.to_string(),
            r.rows_affected.to_string(),
            r.created_at.to_string(),
        );
        table.row([r.proposal_id.as_str(), &outcome, &r.reason, &rows, &at, &r.writer]);
    }
    output::line(table)?;
    if let Some(more) = args.range.more(&part) {
        output::line(more)?;
    }
    Ok(Exit::Ok)
}

async fn show(args: &Show, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, &args.proposal).await?;
    let Some(signed) = &view.receipt else {
        let text = format!(
            "{} has no receipt; its state is `{}`",
            view.attested.proposal().id,
            view.state
        );
        return Err(ExitError::new(ErrorCode::ReceiptNotFound, text));
    };
    if context.global.json {
        output::json(&shape::receipt(signed))?;
    } else {
        print(signed)?;
    }
    Ok(Exit::Ok)
}

fn outcome(receipt: &Receipt) -> String {
    let reason = safe(&receipt.reason);
    match &receipt.constraint {
        Some(violated) => format!("{} {reason}: {}", receipt.outcome, safe(&violated.to_string())),
        None => format!("{} {reason}", receipt.outcome),
    }
}

fn print(signed: &SignedReceipt) -> Result<(), ExitError> {
    let r = &signed.receipt;
    let version = |v: &Option<synapsor_domain::value::Value>| {
        v.as_ref()
            .map_or_else(|| "none".to_owned(), synapsor_domain::review::shown)
    };
    let fields = [
        ("proposal", r.proposal_id.to_string()),
        ("digest", r.proposal_digest.to_string()),
        ("outcome", outcome(r)),
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
        ("log size", format!("{} events", r.ledger_size)),
        ("written at", r.created_at.to_string()),
        ("receipt", signed.digest.to_string()),
    ];
    for (name, value) in fields {
        output::line(format!("{name:<16}{}", value.trim_end()))?;
    }
    Ok(())
}
