//! `activity search`: proposals, evidence, audit records and receipts in one list. The row of a proposal includes its evidence,
//! its audit records and its receipt.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::table_filter::TableFilter;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::ledger::v1::ReceiptOutcomeGroup;

use super::object_filter::{ObjectArgs, proposal_of};
use crate::Context;
use crate::clients::{AuditQuery, ProposalQuery, ReceiptQuery};
use crate::connection::LedgerConnection;
use crate::output::shape::LIST_ROWS_MAX;
use crate::output::{self, Table};
use crate::time_filter::parse_time;
use crate::workflows::{self, ListedAuditRecord, ListedEvidence, ListedProposal, SignedReceipt};

/// Prefix of the ids of audit records, which are the correlation ids of refused calls.
const AUDIT_ID_PREFIX: &str = "qa_";
const EVIDENCE_ID_PREFIX: &str = "ev_";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Search what agents did, newest first
    #[command(
        after_help = "Examples:\n  synapsor-runner activity search --principal support-agent --from 2h\n  \
        synapsor-runner activity search --object invoice:INV-3001\n  \
        synapsor-runner activity search qa_4f2a9c1b0d3e5f6a7b8c\n\n\
        The correlation id that an agent is shown with a refused call is the id of an audit record.\n\
        Exit codes: 0 ok, 1 id not found, 2 usage, 6 ledger unreachable, 10 tampered"
    )]
    Search(Box<Search>),
}

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// Id or id prefix of a proposal, evidence or audit record; instead of filters
    #[arg(value_name = "ID", conflicts_with_all = ["tenant", "principal", "capability", "object", "object_type",
        "object_id", "source", "table", "query_fingerprint", "state", "proposal", "evidence", "from", "to",
        "writeback_job", "idempotency_key", "primary_key"])]
    id: Option<String>,
    /// Filter by tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Filter by principal
    #[arg(long)]
    principal: Option<String>,
    /// Filter by capability
    #[arg(long, visible_alias = "action")]
    capability: Option<String>,
    #[command(flatten)]
    object: ObjectArgs,
    /// Filter by source
    #[arg(long)]
    source: Option<String>,
    /// Filter by table, with or without its schema
    #[arg(long, value_name = "[SCHEMA.]TABLE")]
    table: Option<String>,
    /// Filter by the digest of source, table and columns; finds reads only
    #[arg(long, value_name = "DIGEST")]
    query_fingerprint: Option<String>,
    /// Filter by the state of proposals; finds proposals only
    #[arg(long, visible_alias = "status")]
    state: Option<ProposalState>,
    /// Filter by proposal: id, id prefix, short code, or `latest`
    #[arg(long, visible_aliases = ["replay", "receipt"], value_name = "ID")]
    proposal: Option<String>,
    /// Filter by the job of 0.1.x, `wbj_` and the proposal
    #[arg(long, value_name = "ID", conflicts_with = "proposal")]
    writeback_job: Option<String>,
    /// Filter by the idempotency key of 0.1.x, PROPOSAL:OBJECT
    #[arg(long, value_name = "KEY", conflicts_with_all = ["proposal", "writeback_job"])]
    idempotency_key: Option<String>,
    /// Filter by primary key, as --object-id
    #[arg(long, value_name = "KEY", conflicts_with_all = ["object", "object_id"])]
    primary_key: Option<String>,
    /// Filter by evidence: id or id prefix
    #[arg(long, value_name = "ID")]
    evidence: Option<String>,
    /// At or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Maximum number of rows
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=LIST_ROWS_MAX))]
    limit: u32,
}

impl Search {
    /// The proposal that a filter names.
    fn proposal_reference(&self) -> Option<&str> {
        let named = (self.writeback_job.as_deref(), self.idempotency_key.as_deref());
        self.proposal.as_deref().or_else(|| proposal_of(named))
    }
}

/// One row of the result.
#[derive(Debug)]
struct Interaction {
    kind: &'static str,
    at: Timestamp,
    capability: String,
    tenant: String,
    principal: String,
    object: String,
    proposal: Option<String>,
    evidence: Option<String>,
    audit_record: Option<String>,
    status: String,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let Command::Search(args) = command;
    let session = LedgerConnection::open(context).await?;
    let done = search(&args, &session, context).await;
    session.close().await;
    done
}

async fn search(args: &Search, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let mut rows = match args.id.as_deref() {
        Some(id) => of_id(id, session).await?,
        None => of_filters(args, session).await?,
    };
    rows.sort_by_key(|row| std::cmp::Reverse(row.at));
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let has_more = rows.len() >= limit;
    rows.truncate(limit);
    if context.global.json {
        let interactions: Vec<Json> = rows.iter().map(object).collect();
        output::json(&json!({ "interactions": interactions, "has_more": has_more }))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "KIND",
        "ID",
        "STATUS",
        "CAPABILITY",
        "ROW",
        "TENANT",
        "PRINCIPAL",
        "AT",
    ]);
    for row in &rows {
        table.row([
            row.kind,
            row.id(),
            &row.status,
            &row.capability,
            &row.object,
            &row.tenant,
            &row.principal,
            &row.at.to_string(),
        ]);
    }
    output::line(table)?;
    if has_more {
        output::line(format!(
            "the newest {limit}, there may be more; --limit {LIST_ROWS_MAX} shows more, and `query-audit list`, `evidence list` \
             and `proposals list` continue with --before"
        ))?;
    }
    Ok(Exit::Ok)
}

/// Finds the record of one id, and the proposal that it belongs to.
async fn of_id(id: &str, session: &LedgerConnection) -> Result<Vec<Interaction>, ExitError> {
    if id.starts_with(AUDIT_ID_PREFIX) {
        let found = workflows::audit_record(session, id).await?;
        let mut rows = vec![of_audit_record(&found)];
        if let Some(proposal) = &found.record.proposal_id {
            rows.extend(of_proposal_id(proposal.as_str(), session).await?);
        }
        return Ok(rows);
    }
    if id.starts_with(EVIDENCE_ID_PREFIX) {
        let (found, proposals) = workflows::evidence(session, id).await?;
        let mut rows = vec![of_evidence(&found, proposals.first().cloned())];
        for proposal in &proposals {
            rows.extend(of_proposal_id(proposal, session).await?);
        }
        return Ok(rows);
    }
    of_proposal_id(id.strip_prefix("replay_").unwrap_or(id), session).await
}

async fn of_proposal_id(id: &str, session: &LedgerConnection) -> Result<Vec<Interaction>, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, id).await?;
    Ok(vec![of_proposal(view.attested.proposal(), view.state)])
}

async fn of_filters(args: &Search, session: &LedgerConnection) -> Result<Vec<Interaction>, ExitError> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let (table, named) = args.object.filter(args.table.as_deref())?;
    let object_id = args.primary_key.clone().unwrap_or(named);
    let proposal_id = workflows::proposal_filter(session, args.proposal_reference()).await?;
    let (evidence_id, cited_by) = match &args.evidence {
        Some(id) => {
            let (found, proposals) = workflows::evidence(session, id).await?;
            (found.evidence.id.to_string(), proposals)
        }
        None => (String::new(), Vec::new()),
    };
    let range = (None, args.limit);
    let mut rows = Vec::new();
    if !proposal_id.is_empty() || !evidence_id.is_empty() {
        let named = cited_by
            .iter()
            .filter(|id| proposal_id.is_empty() || **id == proposal_id);
        let ids: Vec<&String> = if evidence_id.is_empty() {
            vec![&proposal_id]
        } else {
            named.collect()
        };
        for id in ids {
            let view = workflows::fetch_proposal_by_reference(session, id).await?;
            let proposal = view.attested.proposal();
            if args.selects(proposal, view.state) {
                rows.push(of_proposal(proposal, view.state));
            }
        }
    } else if args.query_fingerprint.is_none() {
        let filter = (table.clone(), object_id.clone());
        rows.extend(proposals(args, filter, session).await?);
    }
    if args.state.is_some() {
        return Ok(rows);
    }
    // What belongs to a proposal is part of its row.
    let audit = AuditQuery {
        tenant: own(&args.tenant),
        principal: own(&args.principal),
        capability: own(&args.capability),
        source_id: own(&args.source),
        table,
        object_id,
        query_fingerprint: own(&args.query_fingerprint),
        result: String::new(),
        proposal_id: proposal_id.clone(),
        evidence_id: evidence_id.clone(),
        without_proposal: true,
        from: args.from,
        to: args.to,
    };
    let calls = workflows::list_audit_records(session, &audit, None, range).await?;
    rows.extend(calls.rows.iter().map(of_audit_record));
    if args.has_no_filter_of_reads() {
        rows.extend(receipts(session, proposal_id, args, &rows).await?);
    }
    Ok(rows)
}

/// Finds proposals by the filters.
async fn proposals(
    args: &Search,
    (table, object_id): (TableFilter, String),
    session: &LedgerConnection,
) -> Result<Vec<Interaction>, ExitError> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let filter = ProposalQuery {
        tenant: own(&args.tenant),
        principal: own(&args.principal),
        capability: own(&args.capability),
        state: args.state,
        source_id: own(&args.source),
        table,
        object_id,
        created_from: args.from,
        created_to: args.to,
        mode: None,
    };
    let found = workflows::list_proposals(session, &filter, (None, args.limit)).await?;
    let of_row = |row: &ListedProposal| of_proposal(row.attested.proposal(), row.state);
    Ok(found.part.rows.iter().map(of_row).collect())
}

impl Search {
    /// Whether the filters select a proposal.
    fn selects(&self, p: &Proposal, state: ProposalState) -> bool {
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let qualified = format!("{}.{}", p.target.schema, p.target.table);
        let (table, named) = self.object.filter(self.table.as_deref()).unwrap_or_default();
        let object = self.primary_key.as_deref().unwrap_or(&named);
        is(&self.tenant, &p.requested_by.tenant)
            && is(&self.principal, &p.requested_by.principal)
            && is(&self.capability, &p.capability)
            && is(&self.source, &p.source.id)
            && table.is_met_by(&qualified)
            && (object.is_empty() || p.target.object_id().as_deref() == Some(object))
            && self.state.is_none_or(|wanted| wanted == state)
            && self.from.is_none_or(|from| p.created_at >= from)
            && self.to.is_none_or(|to| p.created_at < to)
    }

    /// Whether the filters apply to receipts, which name a proposal and nothing of the call.
    fn has_no_filter_of_reads(&self) -> bool {
        let texts = [
            &self.tenant,
            &self.principal,
            &self.capability,
            &self.source,
            &self.table,
            &self.query_fingerprint,
            &self.evidence,
        ];
        texts.iter().all(|text| text.is_none()) && self.object.is_empty() && self.primary_key.is_none()
    }
}

/// Finds receipts whose proposals are not among the rows.
async fn receipts(
    session: &LedgerConnection,
    proposal_id: String,
    args: &Search,
    rows: &[Interaction],
) -> Result<Vec<Interaction>, ExitError> {
    let filter = ReceiptQuery {
        proposal_id,
        outcome: ReceiptOutcomeGroup::Unspecified,
        created_from: args.from,
        created_to: args.to,
    };
    let found = workflows::list_receipts(session, &filter, (None, args.limit)).await?;
    let is_listed = |signed: &&SignedReceipt| {
        let id = Some(signed.receipt.proposal_id.as_str());
        rows.iter().any(|row| row.proposal.as_deref() == id)
    };
    let others = found.rows.iter().filter(|signed| !is_listed(signed));
    Ok(others.map(of_receipt).collect())
}

fn of_proposal(p: &Proposal, state: ProposalState) -> Interaction {
    Interaction {
        kind: "proposal",
        at: p.created_at,
        capability: p.capability.clone(),
        tenant: p.requested_by.tenant.clone(),
        principal: p.requested_by.principal.clone(),
        object: object_of(&p.target.table, p.target.object_id()),
        proposal: Some(p.id.to_string()),
        evidence: p.evidence.first().map(|evidence| evidence.id.to_string()),
        audit_record: None,
        status: state.as_str().to_owned(),
    }
}

fn of_evidence(found: &ListedEvidence, proposal: Option<String>) -> Interaction {
    let e = &found.evidence;
    Interaction {
        kind: "evidence",
        at: e.read_at,
        capability: e.capability.clone(),
        tenant: e.requested_by.tenant.clone(),
        principal: e.requested_by.principal.clone(),
        object: object_of(&e.target.table, e.target.object_id()),
        proposal,
        evidence: Some(e.id.to_string()),
        audit_record: None,
        status: "row".to_owned(),
    }
}

fn of_audit_record(found: &ListedAuditRecord) -> Interaction {
    let r = &found.record;
    let table = r.table.as_deref().unwrap_or("-");
    Interaction {
        kind: if r.evidence_id.is_some() {
            "read"
        } else {
            "refused"
        },
        at: r.at,
        capability: r.capability.clone(),
        tenant: r.tenant.clone().unwrap_or_default(),
        principal: r.principal.clone().unwrap_or_default(),
        object: object_of(
            table.rsplit('.').next().unwrap_or(table),
            r.primary_key
                .as_ref()
                .and_then(|key| key.value.as_text())
                .map(str::to_owned),
        ),
        proposal: r.proposal_id.as_ref().map(ToString::to_string),
        evidence: r.evidence_id.as_ref().map(ToString::to_string),
        audit_record: Some(r.id.to_string()),
        status: r.result.clone(),
    }
}

fn of_receipt(signed: &SignedReceipt) -> Interaction {
    let r = &signed.receipt;
    Interaction {
        kind: "receipt",
        at: r.created_at,
        capability: String::new(),
        tenant: String::new(),
        principal: r.writer.clone(),
        object: String::new(),
        proposal: Some(r.proposal_id.to_string()),
        evidence: None,
        audit_record: None,
        status: r.outcome.to_string(),
    }
}

fn object_of(table: &str, id: Option<String>) -> String {
    match id {
        Some(id) => format!("{table} {id}"),
        None => table.to_owned(),
    }
}

impl Interaction {
    /// Id of the record itself.
    fn id(&self) -> &str {
        let of_kind = match self.kind {
            "proposal" | "receipt" => &self.proposal,
            "evidence" => &self.evidence,
            _ => &self.audit_record,
        };
        of_kind.as_deref().unwrap_or("-")
    }
}

fn object(row: &Interaction) -> Json {
    let replay = row.proposal.as_ref().map(|id| format!("replay_{id}"));
    json!({
        "kind": row.kind,
        "created_at": row.at,
        "capability": row.capability,
        "tenant": row.tenant,
        "principal": row.principal,
        "object": row.object,
        "proposal": row.proposal,
        "evidence": row.evidence,
        "audit_record": row.audit_record,
        "status": row.status,
        "replay": replay,
    })
}
