//! `evidence`: signed records of rows read, verified.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::review::shown;

use crate::Context;
use crate::clients::EvidenceQuery;
use crate::connection::LedgerConnection;
use crate::output::{self, Table, safe};
use crate::workflows::{self, ListedEvidence};

/// Maximum number of rows of a list.
const LIST_ROWS_MAX: i64 = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List evidence records, newest first
    #[command(after_help = "Example:\n  synapsor-runner evidence list --tenant acme\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered")]
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
    /// Filter by proposal
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Filter by source
    #[arg(long)]
    source: Option<String>,
    /// Filter by table
    #[arg(long)]
    table: Option<String>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=LIST_ROWS_MAX))]
    limit: u32,
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
    let filter = EvidenceQuery {
        tenant: own(&args.tenant),
        capability: own(&args.capability),
        proposal_id: own(&args.proposal),
        source_id: own(&args.source),
        table: own(&args.table),
    };
    // One more than is shown reveals whether there are more.
    let mut rows = workflows::list_evidence(session, &filter, args.limit + 1).await?;
    let more = more(rows.len(), args.limit);
    rows.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    if context.global.json {
        let rows: Vec<Json> = rows.iter().map(object).collect();
        output::json(&json!({ "evidence": rows }))?;
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
    for row in &rows {
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
    if let Some(more) = more {
        output::line(more)?;
    }
    Ok(Exit::Ok)
}

/// Says that records are not printed, and how to see them.
fn more(found: usize, limit: u32) -> Option<String> {
    if u32::try_from(found).is_ok_and(|found| found <= limit) {
        return None;
    }
    let fix = if i64::from(limit) < LIST_ROWS_MAX {
        format!("--limit {LIST_ROWS_MAX} shows more")
    } else {
        "narrow it with --tenant, --capability, --proposal, --source or --table".to_owned()
    };
    Some(format!("the newest {limit}; {fix}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_says_that_older_records_are_not_shown() {
        assert_eq!(more(20, 20), None);
        assert_eq!(more(21, 20).unwrap(), "the newest 20; --limit 200 shows more");
        assert!(more(201, 200).unwrap().contains("narrow it with --tenant"));
    }
}
