//! `shadow compare` and `shadow report`.

use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::review::shown;
use synapsor_domain::shadow::{ComparisonStatus, HumanAction, ShadowComparison};
use synapsor_domain::value::find;

use super::check_shadow_mode;
use crate::Context;
use crate::connection::LedgerConnection;
use crate::output::{self, safe, shape};
use crate::readable;
use crate::workflows;

/// Number of proposals that the report reads at once.
const PAGE_ROWS: u32 = 200;

pub(super) async fn compare(
    reference: &str,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let view = workflows::fetch_proposal_by_reference(session, reference).await?;
    check_shadow_mode(&view)?;
    let human = view.human_action.as_ref().map(|action| action.verified.action());
    let compared = ShadowComparison::of(
        view.attested.proposal(),
        human.map(|action| action.patch.as_slice()),
    );
    if context.global.json {
        output::json(&object(&compared, human))?;
        return Ok(Exit::Ok);
    }
    output::line(format!("{}: {}", compared.proposal_id, compared.status.as_str()))?;
    for line in lines(&compared, human) {
        output::line(format!("  {line}"))?;
    }
    if human.is_none() {
        let command = format!("shadow record-human-action {} --patch FILE", compared.proposal_id);
        output::line(format!("next: {}", context.global.command(&command)))?;
    }
    Ok(Exit::Ok)
}

/// One line for each column of either side.
fn lines(compared: &ShadowComparison, human: Option<&HumanAction>) -> Vec<String> {
    let patch = human.map_or(&[][..], |action| &action.patch);
    let value = |columns, name: &str| find(columns, name).map_or_else(|| "-".to_owned(), shown);
    let line = |mark: &str, name: &String| {
        format!(
            "{mark} {}: agent {}, person {}",
            safe(name),
            value(&compared.agent_patch, name),
            value(patch, name)
        )
    };
    let mut lines = Vec::new();
    for (mark, columns) in [
        ("same      ", &compared.matching_columns),
        ("different ", &compared.differing_columns),
        ("agent only", &compared.missing_from_human),
        ("human only", &compared.extra_human_columns),
    ] {
        lines.extend(columns.iter().map(|name| line(mark, name)));
    }
    if let Some(notes) = human.and_then(|action| action.notes.as_deref()) {
        lines.push(format!("notes: {}", readable::in_one_line(notes)));
    }
    lines
}

fn object(compared: &ShadowComparison, human: Option<&HumanAction>) -> Json {
    let mut object = json!({
        "proposal_id": compared.proposal_id,
        "status": compared.status.as_str(),
        "agent_patch": shape::columns(&compared.agent_patch),
        "matching_columns": compared.matching_columns,
        "differing_columns": compared.differing_columns,
        "missing_from_human": compared.missing_from_human,
        "extra_human_columns": compared.extra_human_columns,
        "compared_at": workflows::now(),
    });
    if let Some(action) = human {
        object["human_patch"] = Json::Object(shape::columns(&action.patch));
        object["actor"] = json!(action.operator.person);
        if let Some(notes) = &action.notes {
            object["notes"] = json!(notes);
        }
    }
    object
}

/// Number of comparisons by their status.
#[derive(Debug, Default)]
struct Counts {
    total: u64,
    exact: u64,
    partial: u64,
    mismatch: u64,
    none: u64,
}

impl Counts {
    fn add(&mut self, status: ComparisonStatus) {
        self.total += 1;
        match status {
            ComparisonStatus::ExactMatch => self.exact += 1,
            ComparisonStatus::PartialMatch => self.partial += 1,
            ComparisonStatus::Mismatch => self.mismatch += 1,
            ComparisonStatus::NoHumanAction => self.none += 1,
        }
    }
}

pub(super) async fn report(session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let (mut counts, mut comparisons, mut before) = (Counts::default(), Vec::new(), None);
    loop {
        let part = workflows::shadow_proposals(session, (before, PAGE_ROWS)).await?;
        for row in &part.rows {
            let human = row.action.as_ref().map(|action| action.action());
            let compared = ShadowComparison::of(row.proposal(), human.map(|action| action.patch.as_slice()));
            counts.add(compared.status);
            if context.global.json {
                comparisons.push(object(&compared, human));
            }
        }
        before = part.next_before;
        if before.is_none() {
            break;
        }
    }
    let Counts {
        total,
        exact,
        partial,
        mismatch,
        none,
    } = counts;
    let with_human_action = total - none;
    if context.global.json {
        output::json(&json!({
            "total_shadow_proposals": total,
            "with_human_action": with_human_action,
            "exact_matches": exact,
            "partial_matches": partial,
            "mismatches": mismatch,
            "no_human_action": none,
            "comparisons": comparisons,
        }))?;
        return Ok(Exit::Ok);
    }
    for (name, count) in [
        ("shadow proposals", total),
        ("with human action", with_human_action),
        ("exact matches", exact),
        ("partial matches", partial),
        ("mismatches", mismatch),
        ("no human action", none),
    ] {
        output::line(format!("{name:<20}{count}"))?;
    }
    Ok(Exit::Ok)
}
