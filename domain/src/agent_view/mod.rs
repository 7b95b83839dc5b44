//! Agent views of their own records: proposal, evidence and replay as public JSON. Built from visible values and
//! restricted to the columns that agents may see now; the views contain no operator name, key or signature.

mod evidence;
mod final_result;
mod proposal;
mod replay;
mod state;
mod status;

pub use evidence::{EvidenceFacts, evidence_view};
pub use final_result::settled_envelope;
pub use proposal::{EVENTS_SHOWN_MAX, EventSummary, ProposalSnapshot, SHOWN_EVENTS, proposal_view};
pub use replay::{ReplayFacts, replay_view};
pub use state::{AgentProposalState, EventStateContext, STATE_EVENTS};
pub use status::status_envelope;

use serde_json::{Map, Value as Json};

use crate::proposal::RowTarget;
use crate::result_envelope::value_to_json;
use crate::value::ColumnValue;

/// Returns the visible columns of one capability; `None` if nothing is visible.
pub type Visible<'a> = Option<&'a [String]>;

fn is_visible(visible: Visible<'_>, column: &str) -> bool {
    visible.is_some_and(|columns| columns.iter().any(|c| c == column))
}

fn cut(visible: Visible<'_>, row: &[ColumnValue]) -> Json {
    let shown: Map<String, Json> = row
        .iter()
        .filter(|c| is_visible(visible, &c.column))
        .map(|c| (c.column.clone(), value_to_json(&c.value)))
        .collect();
    Json::Object(shown)
}

/// Returns the row key that the agent supplied; hidden if the capability no longer exists.
fn object_id(visible: Visible<'_>, target: &RowTarget) -> Option<String> {
    visible.and_then(|_| target.object_id())
}
