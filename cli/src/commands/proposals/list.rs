//! `proposals list`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::timestamp::Timestamp;

use crate::Context;
use crate::clients::ProposalQuery;
use crate::commands::list_range::{self, RangeArgs};
use crate::connection::LedgerConnection;
use crate::output::shape::{self, parse_time, time_left};
use crate::output::{self, Table};
use crate::workflows::{self, ListedProposal, ProposalCondition, ProposalList};

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: FilterArgs,
    /// Filter by state, such as `pending_review`
    #[arg(long, visible_alias = "status")]
    state: Option<ProposalState>,
    #[command(flatten)]
    range: RangeArgs,
}

/// Filters of proposals. Shared by `reject`.
#[derive(Debug, Args)]
pub(super) struct FilterArgs {
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
    /// Filter by source
    #[arg(long)]
    source: Option<String>,
    /// Filter by table, with or without its schema
    #[arg(long, value_name = "[SCHEMA.]TABLE")]
    table: Option<String>,
    /// Created at or after, 2026-01-02 or 2026-01-02T03:04:05Z
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Created before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
}

pub(super) async fn list(
    args: &List,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let found = args.filter.find(session, args.state, &args.range).await?;
    let part = &found.part;
    if context.global.json {
        let proposals: Vec<Json> = part.rows.iter().map(object).collect();
        let mut shown = list_range::object("proposals", proposals, part);
        shown["total"] = json!(found.total);
        output::json(&shown)?;
    } else {
        output::line(table(&part.rows))?;
        if let Some(more) = args.range.more_of(part, found.total) {
            output::line(more)?;
        }
    }
    Ok(Exit::Ok)
}

impl FilterArgs {
    pub(super) fn is_empty(&self) -> bool {
        let texts = [
            &self.tenant,
            &self.principal,
            &self.capability,
            &self.object,
            &self.object_type,
            &self.object_id,
            &self.source,
            &self.table,
        ];
        texts.iter().all(|text| text.is_none()) && self.from.is_none() && self.to.is_none()
    }

    /// Returns the matching proposals of a range, newest first.
    async fn find(
        &self,
        session: &LedgerConnection,
        state: Option<ProposalState>,
        range: &RangeArgs,
    ) -> Result<ProposalList, ExitError> {
        let (table, mut filter) = self.query()?;
        filter.state = state;
        let is_met = |proposal: &Proposal| table.is_met_by(&proposal.target.table);
        let condition = (!table.is_empty()).then_some(&is_met as ProposalCondition<'_>);
        workflows::list_proposals(session, &filter, condition, (range.before, range.limit)).await
    }

    /// Returns every matching proposal that is open.
    pub(super) async fn find_open(
        &self,
        session: &LedgerConnection,
        state: Option<ProposalState>,
    ) -> Result<Vec<ListedProposal>, ExitError> {
        let (table, mut filter) = self.query()?;
        filter.state = state;
        let is_met = |proposal: &Proposal| table.is_met_by(&proposal.target.table);
        let condition = (!table.is_empty()).then_some(&is_met as ProposalCondition<'_>);
        workflows::open_proposals(session, &filter, condition).await
    }

    /// Returns the ledger's filter, and the conditions on the table, which are checked on this machine.
    fn query(&self) -> Result<(TableCondition, ProposalQuery), ExitError> {
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let (kind, id) = match self.object.as_deref() {
            Some(object) => {
                let (kind, id) = object.split_once(':').ok_or_else(|| {
                    ExitError::new(
                        ErrorCode::ObjectInvalid,
                        "--object is not TYPE:ID, as in --object invoice:INV-3001",
                    )
                })?;
                (Some(kind.to_owned()), id.to_owned())
            }
            None => (self.object_type.clone(), own(&self.object_id)),
        };
        let (qualified, name) = split_table(self.table.as_deref());
        let filter = ProposalQuery {
            tenant: own(&self.tenant),
            principal: own(&self.principal),
            capability: own(&self.capability),
            state: None,
            source_id: own(&self.source),
            table: qualified,
            object_id: id,
            created_from: self.from,
            created_to: self.to,
        };
        Ok((TableCondition { kind, name }, filter))
    }
}

/// Conditions on the table of a proposal that the ledger, which knows only tables with their schema, cannot check.
#[derive(Debug)]
struct TableCondition {
    /// Object type.
    kind: Option<String>,
    /// Table without its schema.
    name: Option<String>,
}

impl TableCondition {
    const fn is_empty(&self) -> bool {
        self.kind.is_none() && self.name.is_none()
    }

    fn is_met_by(&self, table: &str) -> bool {
        self.kind.as_deref().is_none_or(|kind| is_of_type(table, kind))
            && self.name.as_deref().is_none_or(|name| name == table)
    }
}

/// Returns a table with its schema for the ledger's filter, or a table without one for a filter of this machine.
pub(crate) fn split_table(table: Option<&str>) -> (String, Option<String>) {
    match table {
        Some(table) if !table.contains('.') => (String::new(), Some(table.to_owned())),
        table => (table.unwrap_or_default().to_owned(), None),
    }
}

fn object(row: &ListedProposal) -> Json {
    let mut object = shape::proposal_head(&row.attested);
    object.insert("state".to_owned(), json!(row.state));
    object.insert("proposal".to_owned(), json!(row.attested.proposal()));
    let attempt = row.attempt.as_ref().map(ToString::to_string);
    object.insert("last_attempt".to_owned(), json!(attempt));
    object.insert("updated_at".to_owned(), json!(row.updated_at));
    Json::Object(object)
}

pub(super) fn table(rows: &[ListedProposal]) -> Table {
    let now = workflows::now();
    let mut table = Table::new(&[
        "PROPOSAL",
        "STATE",
        "ACTION",
        "ROW",
        "TENANT",
        "REQUESTED BY",
        "TIME LEFT",
        "LAST ATTEMPT",
    ]);
    for row in rows {
        let proposal = row.attested.proposal();
        let (target, by) = (&proposal.target, &proposal.requested_by);
        let object = format!(
            "{} {}",
            target.table,
            target.object_id().as_deref().unwrap_or("NULL")
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
            &match row.attempt.as_ref().map(ToString::to_string) {
                // The state of an ended proposal already says its outcome, except for the reason.
                Some(result) if result != row.state.as_str() => result,
                Some(_) | None => "-".to_owned(),
            },
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
    fn table_without_schema_is_compared_on_this_machine() {
        assert_eq!(split_table(None), (String::new(), None));
        assert_eq!(split_table(Some("main.t")), ("main.t".to_owned(), None));
        assert_eq!(split_table(Some("t")), (String::new(), Some("t".to_owned())));
        let condition = |kind: Option<&str>, name: Option<&str>| TableCondition {
            kind: kind.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        assert!(condition(None, None).is_empty());
        assert!(condition(None, Some("t")).is_met_by("t"));
        for other in [
            condition(None, Some("T")),
            condition(Some("invoice"), None),
            condition(Some("invoice"), Some("t")),
        ] {
            assert!(!other.is_empty() && !other.is_met_by("t"), "{other:?}");
        }
    }

    #[test]
    fn object_type_matches_table_name_variants() {
        for kind in ["invoice", "invoices", "public.invoices", "Invoice"] {
            assert!(is_of_type("invoices", kind), "{kind}");
        }
        assert!(!is_of_type("invoices", "customer"));
    }
}
