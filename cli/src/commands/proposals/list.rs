//! `proposals list`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::timestamp::Timestamp;

use crate::Context;
use crate::clients::ProposalQuery;
use crate::connection::LedgerConnection;
use crate::output::shape::{self, LIST_ROWS_MAX, parse_time, time_left};
use crate::output::{self, Table};
use crate::workflows::{self, ListedProposal, ProposalCondition, ProposalList};

/// Default number of rows of a list.
const LIST_ROWS: u32 = 20;
/// Number of matches up to which a ledger counts.
const COUNTED_MAX: u32 = 10_000;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: FilterArgs,
    /// Filter by state, such as `pending_review`
    #[arg(long, visible_alias = "status")]
    state: Option<ProposalState>,
    /// Maximum number of rows
    #[arg(long, default_value_t = LIST_ROWS, value_parser = clap::value_parser!(u32).range(1..=LIST_ROWS_MAX))]
    limit: u32,
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
    let found = args.filter.find(session, args.state, args.limit).await?;
    if context.global.json {
        let proposals: Vec<Json> = found.rows.iter().map(object).collect();
        output::json(&json!({ "proposals": proposals, "total": found.total, "has_more": found.has_more }))?;
    } else {
        output::line(table(&found.rows))?;
        if let Some(more) = more(&found, args.limit) {
            output::line(more)?;
        }
    }
    Ok(Exit::Ok)
}

/// Returns the note that proposals are not printed, how many there are if that is known, and how to see them.
fn more(found: &ProposalList, limit: u32) -> Option<String> {
    let shown = u32::try_from(found.rows.len()).unwrap_or(u32::MAX);
    let total = found.total.filter(|total| *total > shown);
    if total.is_none() && !found.has_more {
        return None;
    }
    let part = match total {
        Some(total) if total > COUNTED_MAX => format!("{shown} of more than {COUNTED_MAX}"),
        Some(total) => format!("{shown} of {total}"),
        None => format!("the newest {shown}"),
    };
    let fix = if i64::from(limit) < LIST_ROWS_MAX {
        let all = total.map(i64::from).filter(|total| *total <= LIST_ROWS_MAX);
        match all {
            Some(total) => format!("--limit {total} shows all"),
            None => format!("--limit {LIST_ROWS_MAX} shows more"),
        }
    } else {
        "narrow it with --state, --tenant, --principal, --capability, --from or --to".to_owned()
    };
    Some(format!("{part}; {fix}"))
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

    /// Returns the newest matching proposals, at most `limit`.
    pub(super) async fn find(
        &self,
        session: &LedgerConnection,
        state: Option<ProposalState>,
        limit: u32,
    ) -> Result<ProposalList, ExitError> {
        let (table, mut filter) = self.query()?;
        filter.state = state;
        let is_met = |proposal: &Proposal| table.is_met_by(&proposal.target.table);
        let condition = (!table.is_empty()).then_some(&is_met as ProposalCondition<'_>);
        workflows::list_proposals(session, &filter, condition, limit).await
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
    fn list_says_how_many_are_not_shown() {
        let found = |total| ProposalList {
            rows: Vec::new(),
            total,
            has_more: false,
        };
        assert_eq!(
            more(&found(Some(50)), 20).unwrap(),
            "0 of 50; --limit 50 shows all"
        );
        assert_eq!(
            more(&found(Some(300)), 20).unwrap(),
            "0 of 300; --limit 200 shows more"
        );
        assert!(
            more(&found(Some(300)), 200)
                .unwrap()
                .contains("narrow it with --state")
        );
        assert!(
            more(&found(Some(10_001)), 20)
                .unwrap()
                .starts_with("0 of more than 10000;")
        );
        assert_eq!(more(&found(None), 20), None);
        assert_eq!(more(&found(Some(0)), 20), None);
    }

    #[test]
    fn list_without_a_total_says_that_there_are_more() {
        let found = |has_more| ProposalList {
            has_more,
            ..ProposalList::default()
        };
        assert_eq!(more(&found(false), 20), None);
        assert_eq!(
            more(&found(true), 20).unwrap(),
            "the newest 0; --limit 200 shows more"
        );
        assert!(
            more(&found(true), 200)
                .unwrap()
                .contains("narrow it with --state")
        );
    }

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
