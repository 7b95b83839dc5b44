//! `evidence`: signed records of rows read, verified.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::result_envelope::value_to_json;
use synapsor_domain::review::shown;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::ColumnValue;

use super::list_range::{self, RangeArgs};
use super::object_filter::ObjectArgs;
use super::{query_audit, replay};
use crate::Context;
use crate::clients::{AuditQuery, EvidenceQuery};
use crate::connection::LedgerConnection;
use crate::output::{self, Table, safe};
use crate::time_filter::parse_time;
use crate::workflows::{self, AuditCondition, ListedAuditRecord, ListedEvidence};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List evidence records, newest first
    #[command(after_help = "Example:\n  synapsor-runner evidence list --tenant acme\n\n\
        Exit codes: 0 ok, 1 proposal not found, 6 ledger unreachable, 10 tampered")]
    List(Box<List>),
    /// Show one evidence record with its row
    #[command(after_help = "Example:\n  synapsor-runner evidence show ev_4f2a\n\n\
        Exit codes: 0 ok, 1 not found, 6 ledger unreachable, 10 tampered")]
    Show(Show),
    /// Write one evidence record to a file
    #[command(
        after_help = "Examples:\n  synapsor-runner evidence export ev_4f2a --output evidence.json\n  \
        synapsor-runner evidence export ev_4f2a --format markdown --output evidence.md\n\n\
        Exit codes: 0 ok, 1 not found, 6 ledger unreachable, 10 tampered"
    )]
    Export(ExportEvidence),
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
    /// Filter by principal
    #[arg(long)]
    principal: Option<String>,
    #[command(flatten)]
    object: ObjectArgs,
    /// Filter by the digest of source, table and columns
    #[arg(long, value_name = "DIGEST")]
    query_fingerprint: Option<String>,
    /// Read at or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Read before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
    #[command(flatten)]
    range: RangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Evidence id or id prefix
    evidence: String,
    /// Accepted for 0.1.x; every field is shown
    #[arg(long, hide = true)]
    details: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportEvidence {
    /// Evidence id or id prefix
    evidence: String,
    /// Output file [default: stdout]
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "json")]
    format: ExportFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExportFormat {
    Json,
    Markdown,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::List(args) => list(args, &session, context).await,
        Command::Show(args) => show(args, &session, context).await,
        Command::Export(args) => export(args, &session, context).await,
    };
    session.close().await;
    done
}

async fn list(args: &List, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let (table, object_id) = args.object.filter(args.table.as_deref())?;
    let filter = EvidenceQuery {
        tenant: own(&args.tenant),
        capability: own(&args.capability),
        proposal_id: workflows::proposal_filter(session, args.proposal.as_deref()).await?,
        source_id: own(&args.source),
        table,
        principal: own(&args.principal),
        object_id,
        query_fingerprint: own(&args.query_fingerprint),
        read_from: args.from,
        read_to: args.to,
    };
    let range = (args.range.before, args.range.limit);
    let part = workflows::list_evidence(session, &filter, range).await?;
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

async fn export(
    args: &ExportEvidence,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let (found, proposals) = workflows::evidence(session, &args.evidence).await?;
    let calls = calls_of(&found, session).await?;
    let text = match args.format {
        ExportFormat::Json => {
            let bundle = bundle(&found, &proposals, &calls);
            if args.output.is_none() {
                // Invisible characters of values do not reach a terminal.
                output::json(&bundle)?;
                return Ok(Exit::Ok);
            }
            serde_json::to_string_pretty(&bundle).unwrap_or_default() + "\n"
        }
        ExportFormat::Markdown => markdown(&found, &proposals),
    };
    replay::write(args.output.as_deref(), text.as_bytes(), context)?;
    Ok(Exit::Ok)
}

/// Maximum number of calls that an export lists.
const CALLS_MAX: u32 = 20;

/// Returns the calls that recorded this evidence, each proven in the log: a list is only a claim of the ledger.
async fn calls_of(
    found: &ListedEvidence,
    session: &LedgerConnection,
) -> Result<Vec<ListedAuditRecord>, ExitError> {
    let filter = AuditQuery {
        evidence_id: found.evidence.id.to_string(),
        ..AuditQuery::default()
    };
    let names_it = |record: &AuditRecord| record.evidence_id.as_ref() == Some(&found.evidence.id);
    let condition = Some(&names_it as AuditCondition<'_>);
    let listed = workflows::list_audit_records(session, &filter, condition, (None, CALLS_MAX)).await?;
    let mut calls = Vec::new();
    for row in &listed.rows {
        let proven = workflows::audit_record(session, row.record.id.as_str()).await?;
        if names_it(&proven.record) {
            calls.push(proven);
        }
    }
    Ok(calls)
}

/// Returns evidence as `evidence export` writes it.
pub(in crate::commands) async fn exported(
    reference: &str,
    session: &LedgerConnection,
) -> Result<Json, ExitError> {
    let (found, proposals) = workflows::evidence(session, reference).await?;
    let calls = calls_of(&found, session).await?;
    Ok(bundle(&found, &proposals, &calls))
}

/// Returns evidence with the keys of 0.1.x, as it is signed, and with the calls that recorded it.
pub(super) fn bundle(found: &ListedEvidence, proposals: &[String], calls: &[ListedAuditRecord]) -> Json {
    let mut bundle = object(found);
    bundle["proposal_id"] = json!(proposals.first());
    bundle["proposal_ids"] = json!(proposals);
    bundle["query_audit"] = calls.iter().map(query_audit::object).collect();
    bundle
}

fn markdown(found: &ListedEvidence, proposals: &[String]) -> String {
    let e = &found.evidence;
    let mut text = format!("# Evidence {}\n\n", e.id);
    let fields = [
        ("digest", found.digest.to_string()),
        ("capability", safe(&e.capability)),
        ("source", safe(&e.source.id)),
        (
            "table",
            format!("{}.{}", safe(&e.target.schema), safe(&e.target.table)),
        ),
        ("tenant", safe(&e.requested_by.tenant)),
        ("requested by", safe(&e.requested_by.principal)),
        ("read at", e.read_at.to_string()),
        ("query", e.query_fingerprint.to_string()),
        ("proposals", safe(&proposals.join(", "))),
    ];
    for (name, value) in fields {
        text.push_str(&format!("- {name}: {value}\n"));
    }
    text.push_str("\n| column | value |\n|---|---|\n");
    for column in &e.row {
        text.push_str(&format!(
            "| {} | {} |\n",
            output::markdown_cell(&column.column),
            output::markdown_cell(&shown(&column.value))
        ));
    }
    text
}

async fn show(args: &Show, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let (found, proposals) = workflows::evidence(session, &args.evidence).await?;
    if context.global.json {
        let calls = calls_of(&found, session).await?;
        output::json(&bundle(&found, &proposals, &calls))?;
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

/// Returns evidence as it is signed, and with the keys of 0.1.x that are in it.
fn object(row: &ListedEvidence) -> Json {
    let e = &row.evidence;
    json!({
        "evidence_id": e.id,
        "digest": row.digest,
        "evidence": e,
        "evidence_bundle_id": e.id,
        "tenant_id": e.requested_by.tenant,
        "principal": e.requested_by.principal,
        "capability": e.capability,
        "source_id": e.source.id,
        "source_table": format!("{}.{}", e.target.schema, e.target.table),
        "business_object": e.target.table,
        "object_id": e.target.object_id(),
        "query_fingerprint": e.query_fingerprint,
        "created_at": e.read_at,
        "payload": payload(e),
        "items": [item(e)],
    })
}

/// Returns what the call was, with the names of columns only.
fn payload(e: &Evidence) -> Json {
    let column = |key: &ColumnValue| key.column.clone();
    json!({
        "capability": e.capability,
        "source_id": e.source.id,
        "target": {
            "schema": e.target.schema,
            "table": e.target.table,
            "primary_key": e.target.keys.first().map(column),
            "tenant_key": e.target.tenant.as_ref().map(column),
        },
        "principal": e.requested_by.principal,
        "tenant_id": e.requested_by.tenant,
        "source_database_changed": false,
        "binding_provenance": e.requested_by.provenance,
    })
}

/// Returns the one row of the evidence. 0.1.x numbers the items of all evidence; here the id is that of the evidence.
fn item(e: &Evidence) -> Json {
    let key = |key: &ColumnValue| json!({ "column": key.column, "value": value_to_json(&key.value) });
    let row: serde_json::Map<String, Json> = e
        .row
        .iter()
        .map(|column| (column.column.clone(), value_to_json(&column.value)))
        .collect();
    json!({
        "evidence_item_id": format!("{}_1", e.id),
        "evidence_bundle_id": e.id,
        "item": {
            "kind": "external_row",
            "source_id": e.source.id,
            "table": e.target.table,
            "primary_key": e.target.keys.first().map(key),
            "tenant": e.target.tenant.as_ref().map(key),
            "visible_row": row,
        },
        "created_at": e.read_at,
    })
}
