//! `evidence`: signed records of rows read, verified.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::evidence::Evidence;
use synapsor_domain::review::shown;

use super::list_range::{self, RangeArgs};
use super::proposals::split_table;
use crate::Context;
use crate::clients::EvidenceQuery;
use crate::connection::LedgerConnection;
use crate::output::{self, Table, safe};
use crate::workflows::{self, EvidenceCondition, ListedEvidence};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List evidence records, newest first
    #[command(after_help = "Example:\n  synapsor-runner evidence list --tenant acme\n\n\
        Exit codes: 0 ok, 1 proposal not found, 6 ledger unreachable, 10 tampered")]
    List(List),
    /// Show one evidence record with its row
    #[command(after_help = "Example:\n  synapsor-runner evidence show ev_4f2a\n\n\
        Exit codes: 0 ok, 1 not found, 6 ledger unreachable, 10 tampered")]
    Show(Show),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Filter by tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Filter by capability
    #[arg(long)]
    capability: Option<String>,
    /// Filter by proposal: id, id prefix, short code, or `latest`
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Filter by source
    #[arg(long)]
    source: Option<String>,
    /// Filter by table, with or without its schema
    #[arg(long, value_name = "[SCHEMA.]TABLE")]
    table: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Evidence id or id prefix
    evidence: String,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::List(args) => list(args, &session, context).await,
        Command::Show(args) => show(args, &session, context).await,
    };
    session.close().await;
    done
}

async fn list(args: &List, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let (table, name) = split_table(args.table.as_deref());
    let filter = EvidenceQuery {
        tenant: own(&args.tenant),
        capability: own(&args.capability),
        proposal_id: workflows::proposal_filter(session, args.proposal.as_deref()).await?,
        source_id: own(&args.source),
        table,
    };
    let is_met = |evidence: &Evidence| name.as_deref() == Some(evidence.target.table.as_str());
    let condition = name.is_some().then_some(&is_met as EvidenceCondition<'_>);
    let range = (args.range.before, args.range.limit);
    let part = workflows::list_evidence(session, &filter, condition, range).await?;
    if context.global.json {
        let rows: Vec<Json> = part.rows.iter().map(object).collect();
        output::json(&list_range::object("evidence", rows, &part))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "EVIDENCE",
        "CAPABILITY",
        "ROW",
        "TENANT",
        "REQUESTED BY",
        "READ AT",
    ]);
    for row in &part.rows {
        let e = &row.evidence;
        let key = format!(
            "{} {}",
            e.target.table,
            e.target.object_id().as_deref().unwrap_or("NULL")
        );
        let by = &e.requested_by;
        table.row([
            e.id.as_str(),
            &e.capability,
            &key,
            &by.tenant,
            &by.principal,
            &e.read_at.to_string(),
        ]);
    }
    output::line(table)?;
    if let Some(more) = args.range.more(&part) {
        output::line(more)?;
    }
    Ok(Exit::Ok)
}

async fn show(args: &Show, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let (found, proposals) = workflows::evidence(session, &args.evidence).await?;
    if context.global.json {
        let mut object = object(&found);
        object["proposal_ids"] = json!(proposals);
        output::json(&object)?;
        return Ok(Exit::Ok);
    }
    let e = &found.evidence;
    let head = [
        ("evidence", e.id.to_string()),
        ("digest", found.digest.to_string()),
        ("capability", safe(&e.capability)),
        (
            "source",
            format!("{} ({})", safe(&e.source.id), safe(&e.source.engine)),
        ),
        (
            "table",
            format!("{}.{}", safe(&e.target.schema), safe(&e.target.table)),
        ),
        ("tenant", safe(&e.requested_by.tenant)),
        ("requested by", safe(&e.requested_by.principal)),
        ("read at", e.read_at.to_string()),
        ("query", e.query_fingerprint.to_string()),
    ];
    for (name, value) in head {
        output::line(format!("{name:<16}{value}"))?;
    }
    output::line("row:")?;
    for column in &e.row {
        output::line(format!("  {} = {}", safe(&column.column), shown(&column.value)))?;
    }
    for id in &proposals {
        output::line(format!("{:<16}{}", "proposal", safe(id)))?;
    }
    Ok(Exit::Ok)
}

fn object(row: &ListedEvidence) -> Json {
    json!({ "evidence_id": row.evidence.id, "digest": row.digest, "evidence": row.evidence })
}
