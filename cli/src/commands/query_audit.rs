//! `query-audit`: the audit records of calls, also of refused ones.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::evidence::AuditRecord;
use synapsor_domain::review::shown;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::ColumnValue;

use super::list_range::{self, RangeArgs};
use super::object_filter::ObjectArgs;
use super::replay;
use crate::Context;
use crate::clients::AuditQuery;
use crate::connection::LedgerConnection;
use crate::output::{self, Table, safe};
use crate::time_filter::parse_time;
use crate::workflows::{self, ListedAuditRecord};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List audit records of calls, newest first
    #[command(
        after_help = "Examples:\n  synapsor-runner query-audit list --tenant acme --from yesterday\n  \
        synapsor-runner query-audit list --object invoice:INV-3001 --json\n\n\
        Exit codes: 0 ok, 1 proposal not found, 2 usage, 6 ledger unreachable, 10 tampered"
    )]
    List(Box<List>),
    /// Show one audit record, proven in the signed log
    #[command(after_help = "Example:\n  synapsor-runner query-audit show qa_4f2a\n\n\
        Exit codes: 0 ok, 1 not found or ambiguous, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked")]
    Show(Show),
    /// Write one audit record to a file
    #[command(
        after_help = "Example:\n  synapsor-runner query-audit export qa_4f2a --output call.json\n\n\
        Exit codes: 0 ok, 1 not found or ambiguous, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked"
    )]
    Export(ExportAuditRecord),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: AuditFilterArgs,
    #[command(flatten)]
    range: RangeArgs,
}

/// Filters of audit records.
#[derive(Debug, Args)]
pub(super) struct AuditFilterArgs {
    /// Filter by tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Filter by principal
    #[arg(long)]
    principal: Option<String>,
    /// Filter by capability, as the caller named it
    #[arg(long, visible_alias = "action")]
    capability: Option<String>,
    /// Filter by proposal: id, id prefix, short code, or `latest`
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Filter by evidence: id or id prefix
    #[arg(long, value_name = "ID")]
    evidence: Option<String>,
    #[command(flatten)]
    object: ObjectArgs,
    /// Filter by source
    #[arg(long)]
    source: Option<String>,
    /// Filter by table, with or without its schema
    #[arg(long, value_name = "[SCHEMA.]TABLE")]
    table: Option<String>,
    /// Filter by the first key column, the same as --object-id
    #[arg(long, value_name = "KEY", conflicts_with_all = ["object", "object_id"])]
    primary_key: Option<String>,
    /// Filter by the digest of source, table and columns
    #[arg(long, value_name = "DIGEST")]
    query_fingerprint: Option<String>,
    /// Filter by result: `row`, or the code of a refusal
    #[arg(long, value_name = "RESULT")]
    result: Option<String>,
    /// Called at or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Called before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Audit record id, id prefix, or position in the log; the correlation id of a refused call is one
    audit_record: String,
}

#[derive(Debug, Args)]
pub(crate) struct ExportAuditRecord {
    /// Audit record id, id prefix, or position in the log
    audit_record: String,
    /// Output file [default: stdout]
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "json")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
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

impl AuditFilterArgs {
    /// Returns the ledger's filter.
    pub(super) async fn query(&self, session: &LedgerConnection) -> Result<AuditQuery, ExitError> {
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let (table, object_id) = self.object.filter(self.table.as_deref())?;
        Ok(AuditQuery {
            tenant: own(&self.tenant),
            principal: own(&self.principal),
            capability: own(&self.capability),
            source_id: own(&self.source),
            table,
            object_id: self.primary_key.clone().unwrap_or(object_id),
            query_fingerprint: own(&self.query_fingerprint),
            result: own(&self.result),
            proposal_id: workflows::proposal_filter(session, self.proposal.as_deref()).await?,
            evidence_id: match &self.evidence {
                Some(id) => workflows::evidence(session, id).await?.0.evidence.id.to_string(),
                None => String::new(),
            },
            without_proposal: false,
            from: self.from,
            to: self.to,
        })
    }

    /// Returns matching records, newest first.
    pub(super) async fn find(
        &self,
        session: &LedgerConnection,
        range: (Option<u64>, u32),
    ) -> Result<workflows::ListPart<ListedAuditRecord>, ExitError> {
        workflows::list_audit_records(session, &self.query(session).await?, None, range).await
    }
}

async fn list(args: &List, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let part = args
        .filter
        .find(session, (args.range.before, args.range.limit))
        .await?;
    if context.global.json {
        let records: Vec<Json> = part.rows.iter().map(object).collect();
        output::json(&list_range::object("query_audit", records, &part))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "AUDIT RECORD",
        "RESULT",
        "CAPABILITY",
        "ROW",
        "TENANT",
        "CALLED BY",
        "CALLED AT",
    ]);
    for row in &part.rows {
        let r = &row.record;
        let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row([
            r.id.as_str(),
            &r.result,
            &r.capability,
            &row_of(r),
            &optional(&r.tenant),
            &optional(&r.principal),
            &r.at.to_string(),
        ]);
    }
    output::line(table)?;
    if let Some(more) = args.range.more(&part) {
        output::line(more)?;
    }
    Ok(Exit::Ok)
}

/// Returns table and first key of a call, as far as it named them.
fn row_of(record: &AuditRecord) -> String {
    let table = record.table.as_deref().unwrap_or("-");
    match &record.primary_key {
        Some(key) => format!("{table} {}", key.value.as_text().unwrap_or("NULL")),
        None => table.to_owned(),
    }
}

async fn show(args: &Show, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let found = workflows::audit_record(session, &args.audit_record).await?;
    if context.global.json {
        output::json(&object(&found))?;
        return Ok(Exit::Ok);
    }
    let r = &found.record;
    let optional = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), safe);
    let key = |key: &ColumnValue| format!("{} = {}", safe(&key.column), shown(&key.value));
    let keys: Vec<String> = r
        .primary_key
        .iter()
        .filter(|_| r.primary_keys.is_empty())
        .chain(&r.primary_keys)
        .map(key)
        .collect();
    let fields = [
        ("audit record", r.id.to_string()),
        ("position", found.seq.to_string()),
        ("result", safe(&r.result)),
        ("rows", r.row_count.to_string()),
        ("capability", safe(&r.capability)),
        ("source", optional(&r.source_id)),
        ("table", optional(&r.table)),
        ("key", keys.join(", ")),
        ("tenant", optional(&r.tenant)),
        (
            "tenant bound",
            if r.tenant_bound { "yes" } else { "no" }.to_owned(),
        ),
        ("called by", optional(&r.principal)),
        ("client", safe(&r.client)),
        ("called at", r.at.to_string()),
        ("columns", safe(&r.columns.join(", "))),
        (
            "query",
            r.query_fingerprint
                .map_or_else(|| "-".to_owned(), |digest| digest.to_string()),
        ),
        ("arguments", r.arguments_digest.to_string()),
        (
            "evidence",
            r.evidence_id.as_ref().map_or("-", |id| id.as_str()).to_owned(),
        ),
        (
            "proposal",
            r.proposal_id.as_ref().map_or("-", |id| id.as_str()).to_owned(),
        ),
    ];
    for (name, value) in fields {
        output::line(format!("{name:<16}{value}").trim_end())?;
    }
    Ok(Exit::Ok)
}

async fn export(
    args: &ExportAuditRecord,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let Format::Json = args.format;
    let found = workflows::audit_record(session, &args.audit_record).await?;
    if args.output.is_none() {
        output::json(&object(&found))?;
        return Ok(Exit::Ok);
    }
    let text = serde_json::to_string_pretty(&object(&found)).unwrap_or_default() + "\n";
    replay::write(args.output.as_deref(), text.as_bytes(), context)?;
    Ok(Exit::Ok)
}

/// Returns all key columns of a call without the tenant, joined, or its only one.
fn object_id(record: &AuditRecord) -> Option<String> {
    let all = record.primary_keys.iter().map(|key| key.value.as_text());
    let named: Option<Vec<&str>> = all
        .filter(|key| key.is_none() || *key != record.tenant.as_deref())
        .collect();
    match named.filter(|keys| !keys.is_empty()) {
        Some(keys) => Some(keys.join("/")),
        None => record
            .primary_key
            .as_ref()
            .and_then(|key| key.value.as_text())
            .map(str::to_owned),
    }
}

/// Returns the record with the keys of 0.1.x, and as it is recorded.
pub(super) fn object(row: &ListedAuditRecord) -> Json {
    let r = &row.record;
    json!({
        "audit_id": r.id,
        "seq": row.seq,
        "proposal_id": r.proposal_id,
        "evidence_bundle_id": r.evidence_id,
        "tenant_id": r.tenant,
        "principal": r.principal,
        "capability": r.capability,
        "business_object": r.table.as_deref().map(|table| table.rsplit('.').next().unwrap_or(table)),
        "object_id": object_id(r),
        "primary_key_value": r.primary_key.as_ref().and_then(|key| key.value.as_text()),
        "source_id": r.source_id,
        "query_fingerprint": r.query_fingerprint,
        "table_name": r.table,
        "row_count": r.row_count,
        "result": r.result,
        "payload": {
            "capability": r.capability, "columns": r.columns, "tenant_bound": r.tenant_bound,
            "parameters_redacted": true,
        },
        "created_at": r.at,
        "record": r,
    })
}
