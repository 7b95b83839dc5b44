//! `proposals list`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::timestamp::Timestamp;

use crate::Context;
use crate::clients::ProposalQuery;
use crate::commands::list_range::{self, RangeArgs};
use crate::commands::object_filter::ObjectArgs;
use crate::connection::LedgerConnection;
use crate::output::shape::{self, time_left};
use crate::output::{self, Table};
use crate::time_filter::parse_time;
use crate::workflows::{self, ListedProposal, ProposalList};

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
pub(crate) struct FilterArgs {
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
    /// Created at or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Created before; `--older-than 2d` is the same as `--to 2d`
    #[arg(long, visible_alias = "older-than", value_parser = parse_time)]
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
    pub(crate) fn is_empty(&self) -> bool {
        let texts = [
            &self.tenant,
            &self.principal,
            &self.capability,
            &self.source,
            &self.table,
        ];
        texts.iter().all(|text| text.is_none())
            && self.object.is_empty()
            && self.from.is_none()
            && self.to.is_none()
    }

    /// Returns the matching proposals of a range, newest first.
    pub(crate) async fn find(
        &self,
        session: &LedgerConnection,
        state: Option<ProposalState>,
        range: &RangeArgs,
    ) -> Result<ProposalList, ExitError> {
        let filter = ProposalQuery {
            state,
            ..self.query()?
        };
        workflows::list_proposals(session, &filter, (range.before, range.limit)).await
    }

    /// Returns every matching proposal that is open and can be decided: no shadow proposals.
    pub(super) async fn find_open(
        &self,
        session: &LedgerConnection,
        state: Option<ProposalState>,
    ) -> Result<Vec<ListedProposal>, ExitError> {
        let filter = ProposalQuery {
            state,
            mode: Some(ProposalMode::Review),
            ..self.query()?
        };
        workflows::open_proposals(session, &filter).await
    }

    /// Returns the ledger's filter.
    fn query(&self) -> Result<ProposalQuery, ExitError> {
        let own = |text: &Option<String>| text.clone().unwrap_or_default();
        let (table, object_id) = self.object.filter(self.table.as_deref())?;
        Ok(ProposalQuery {
            tenant: own(&self.tenant),
            principal: own(&self.principal),
            capability: own(&self.capability),
            state: None,
            source_id: own(&self.source),
            table,
            object_id,
            created_from: self.from,
            created_to: self.to,
            mode: None,
        })
    }
}

fn object(row: &ListedProposal) -> Json {
    let mut object = shape::proposal_head(&row.attested);
    object.extend(shape::stored_proposal(&row.attested, row.state, row.updated_at));
    object.insert("proposal".to_owned(), json!(row.attested.proposal()));
    let attempt = row.attempt.as_ref().map(ToString::to_string);
    object.insert("last_attempt".to_owned(), json!(attempt));
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
