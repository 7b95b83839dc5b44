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
use crate::workflows::{self, ListedProposal, ProposalList};

/// Default and maximum number of rows of a list.
const LIST_ROWS: u32 = 20;
const LIST_ROWS_MAX: i64 = 200;
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
    /// Filter by table
    #[arg(long)]
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
        output::json(&json!({ "proposals": proposals, "total": found.total }))?;
    } else {
        output::line(table(&found.rows))?;
        if let Some(more) = more(&found, args.limit) {
            output::line(more)?;
        }
    }
    Ok(Exit::Ok)
}

/// Says how many proposals are not printed, and how to see them.
fn more(found: &ProposalList, limit: u32) -> Option<String> {
    let shown = u32::try_from(found.rows.len()).unwrap_or(u32::MAX);
    let total = found.total.filter(|total| *total > shown)?;
    let counted = if total > COUNTED_MAX {
        format!("more than {COUNTED_MAX}")
    } else {
        total.to_string()
    };
    let fix = if i64::from(limit) < LIST_ROWS_MAX {
        let most = i64::from(total).min(LIST_ROWS_MAX);
        format!(
            "--limit {most} shows {}",
            if most == i64::from(total) { "all" } else { "more" }
        )
    } else {
        "narrow it with --state, --tenant, --principal, --capability, --from or --to".to_owned()
    };
    Some(format!("{shown} of {counted}; {fix}"))
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
        let (kind, mut filter) = self.query()?;
        filter.state = state;
        let mut found = workflows::list_proposals(session, &filter, limit).await?;
        if let Some(kind) = kind {
            found
                .rows
                .retain(|row| is_of_type(&row.attested.proposal().target.table, &kind));
            // The ledger does not know types, so its number says nothing here.
            found.total = None;
        }
        Ok(found)
    }

    /// Returns the ledger's filter, and the object type, which is compared on this machine.
    fn query(&self) -> Result<(Option<String>, ProposalQuery), ExitError> {
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
        let filter = ProposalQuery {
            tenant: own(&self.tenant),
            principal: own(&self.principal),
            capability: own(&self.capability),
            state: None,
            source_id: own(&self.source),
            table: own(&self.table),
            object_id: id,
            created_from: self.from,
            created_to: self.to,
        };
        Ok((kind, filter))
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
    fn object_type_matches_table_name_variants() {
        for kind in ["invoice", "invoices", "public.invoices", "Invoice"] {
            assert!(is_of_type("invoices", kind), "{kind}");
        }
        assert!(!is_of_type("invoices", "customer"));
    }
}
