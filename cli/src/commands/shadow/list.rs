//! `shadow list`.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::shadow::{ComparisonStatus, ShadowComparison};

use crate::Context;
use crate::commands::list_range::{self, RangeArgs};
use crate::connection::LedgerConnection;
use crate::output::{self, Table, shape};
use crate::workflows::{self, ShadowProposal};

#[derive(Debug, Args)]
pub(crate) struct ShadowListArgs {
    #[command(flatten)]
    range: RangeArgs,
}

pub(super) async fn list(
    args: &ShadowListArgs,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let part = workflows::shadow_proposals(session, (args.range.before, args.range.limit)).await?;
    if context.global.json {
        let rows: Vec<Json> = part.rows.iter().map(object).collect();
        output::json(&list_range::object("proposals", rows, &part))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "PROPOSAL",
        "ACTION",
        "ROW",
        "TENANT",
        "CREATED AT",
        "HUMAN ACTION",
    ]);
    for row in &part.rows {
        let p = row.proposal();
        let object = format!(
            "{} {}",
            p.target.table,
            p.target.object_id().as_deref().unwrap_or("NULL")
        );
        table.row([
            p.id.as_str(),
            &p.capability,
            &object,
            &p.requested_by.tenant,
            &p.created_at.to_string(),
            status(row).as_str(),
        ]);
    }
    output::line(table)?;
    if let Some(more) = args.range.more(&part) {
        output::line(more)?;
    }
    Ok(Exit::Ok)
}

fn status(row: &ShadowProposal) -> ComparisonStatus {
    let human = row.action.as_ref().map(|action| action.action().patch.as_slice());
    ShadowComparison::of(row.proposal(), human).status
}

fn object(row: &ShadowProposal) -> Json {
    let listed = &row.listed;
    let mut object = shape::proposal_head(&listed.attested);
    object.extend(shape::stored_proposal(
        &listed.attested,
        listed.state,
        listed.updated_at,
    ));
    object.insert("comparison".to_owned(), json!(status(row).as_str()));
    Json::Object(object)
}
