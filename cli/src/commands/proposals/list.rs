//! `proposals list`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::timestamp::Timestamp;

use crate::Context;
use crate::clients::ProposalQuery;
use crate::connection::LedgerConnection;
use crate::output::shape::{self, parse_time, time_left};
use crate::output::{self, Table};
use crate::workflows::{self, ListedProposal};

/// Default and maximum number of rows of a list.
const LIST_ROWS: u32 = 20;
const LIST_ROWS_MAX: i64 = 200;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Filter by tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Filter by principal
    #[arg(long)]
    principal: Option<String>,
    /// Filter by capability
    #[arg(long, visible_alias = "action")]
    capability: Option<String>,
    /// Filter by business object, TYPE:ID; the type is a table name in singular or plural
    #[arg(long, value_name = "TYPE:ID", conflicts_with_all = ["object_type", "object_id"])]
    object: Option<String>,
    /// Filter by object type
    #[arg(long, value_name = "TYPE")]
    object_type: Option<String>,
    /// Filter by primary key
    #[arg(long, value_name = "ID")]
    object_id: Option<String>,
    /// Filter by state, such as `pending_review`
    #[arg(long, visible_alias = "status")]
    state: Option<ProposalState>,
    /// Filter by source
    #[arg(long)]
    source: Option<String>,
    /// Filter by table
    #[arg(long)]
    table: Option<String>,
    /// Created at or after, 2026-01-02 or 2026-01-02T03:04:05Z
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Created before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Maximum number of rows
    #[arg(long, default_value_t = LIST_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIST_ROWS_MAX))]
    limit: u32,
}

pub(super) async fn list(
    args: &List,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let (kind, filter) = filter(args)?;
    let mut rows = workflows::list_proposals(session, &filter, args.limit).await?;
    if let Some(kind) = kind {
        rows.retain(|row| is_of_type(&row.attested.proposal().target.table, &kind));
    }
    if context.global.json {
        let proposals: Vec<Json> = rows.iter().map(object).collect();
        output::json(&json!({ "proposals": proposals }))?;
    } else {
        output::line(table(&rows))?;
    }
    Ok(Exit::Ok)
}

/// Returns the ledger's filter, and the object type, which is compared on this machine.
fn filter(args: &List) -> Result<(Option<String>, ProposalQuery), ExitError> {
    let own = |text: &Option<String>| text.clone().unwrap_or_default();
    let (kind, id) = match args.object.as_deref() {
        Some(object) => {
            let (kind, id) = object.split_once(':').ok_or_else(|| {
                ExitError::new(
                    ErrorCode::ObjectInvalid,
                    "--object is not TYPE:ID, as in --object invoice:INV-3001",
                )
            })?;
            (Some(kind.to_owned()), id.to_owned())
        }
        None => (args.object_type.clone(), own(&args.object_id)),
    };
    let filter = ProposalQuery {
        tenant: own(&args.tenant),
        principal: own(&args.principal),
        capability: own(&args.capability),
        state: args.state,
        source_id: own(&args.source),
        table: own(&args.table),
        object_id: id,
        created_from: args.from,
        created_to: args.to,
    };
    Ok((kind, filter))
}

fn object(row: &ListedProposal) -> Json {
    let mut object = shape::proposal_head(&row.attested);
    object.insert("state".to_owned(), json!(row.state));
    object.insert("proposal".to_owned(), json!(row.attested.proposal()));
    object.insert("updated_at".to_owned(), json!(row.updated_at));
    Json::Object(object)
}

fn table(rows: &[ListedProposal]) -> Table {
    let now = workflows::now();
    let mut table = Table::new(&[
        "PROPOSAL",
        "STATE",
        "ACTION",
        "ROW",
        "TENANT",
        "REQUESTED BY",
        "TIME LEFT",
    ]);
    for row in rows {
        let proposal = row.attested.proposal();
        let (target, by) = (&proposal.target, &proposal.requested_by);
        let object = format!(
            "{} {}",
            target.table,
            target.primary_key.value.as_text().unwrap_or("NULL")
        );
        let left = if row.state.is_terminal() {
            "ended".to_owned()
        } else {
            time_left(now, proposal.not_after)
        };
        table.row([
            proposal.id.as_str(),
            row.state.as_str(),
            &proposal.capability,
            &object,
            &by.tenant,
            &by.principal,
            &left,
        ]);
    }
    table
}

/// Whether a table is of a business type: with or without its schema, in singular or plural.
fn is_of_type(table: &str, kind: &str) -> bool {
    let kind = kind.rsplit('.').next().unwrap_or(kind).to_ascii_lowercase();
    let table = table.to_ascii_lowercase();
    let singular = |text: &str| text.strip_suffix('s').unwrap_or(text).to_owned();
    singular(&table) == singular(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_type_matches_table_name_variants() {
        for kind in ["invoice", "invoices", "public.invoices", "Invoice"] {
            assert!(is_of_type("invoices", kind), "{kind}");
        }
        assert!(!is_of_type("invoices", "customer"));
    }
}
