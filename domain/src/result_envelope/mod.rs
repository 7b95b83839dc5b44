//! Result envelopes for agents: format 2, the older format 1, and the safe codes. All inputs are values
//! that may be shown; no internal value passes through.

mod small;
mod v1;
mod v2;

pub use small::model_text;
use synapsor_codes::SafeCode;
pub(crate) use v2::EVIDENCE_NOTE;

use serde_json::Value as Json;

use crate::context::TrustedContext;
use crate::contract::{Mode, ResultFormat, ToolKind};
use crate::error::PublicError;
use crate::limits::INTEGER_MAX;
use crate::proposal::{ProposalMode, ProposalState};
use crate::value::{ColumnValue, Value, ValueKind};

/// A read that found its row.
#[derive(Clone, Copy, Debug)]
pub struct ReadResult<'a> {
    pub capability: &'a str,
    pub mode: Mode,
    /// Table and key value of the row.
    pub object: (&'a str, &'a str),
    pub context: &'a TrustedContext,
    /// The visible columns, nothing else.
    pub row: &'a [ColumnValue],
    /// Columns of which `row` has only the beginning.
    pub truncated: &'a [TruncatedColumn],
    pub evidence_id: &'a str,
}

/// Column of a proposal: the value that was read, if the column is read, and the proposed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDiff {
    pub column: String,
    pub before: Option<Value>,
    pub proposed: Value,
}

/// Column of which a result shows only the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TruncatedColumn {
    pub column: String,
    /// Length of the whole value, in characters.
    pub chars: usize,
}

/// Returns the first `max_chars` characters of a text, and the length of the whole if that is less than all.
pub fn cut_text(value: &Value, max_chars: u32) -> Option<(Value, usize)> {
    let text = value.as_text()?;
    let end = text.char_indices().nth(max_chars as usize)?.0;
    Some((Value::exact(value.kind(), &text[..end]), text.chars().count()))
}

fn with_truncated(mut envelope: Json, truncated: &[TruncatedColumn]) -> Json {
    if !truncated.is_empty() {
        let lengths = truncated
            .iter()
            .map(|cut| (cut.column.clone(), Json::from(cut.chars)));
        envelope["truncated"] = lengths.collect();
    }
    envelope
}

/// Proposal that was recorded, or the open one that an identical call found.
#[derive(Clone, Copy, Debug)]
pub struct ProposalResult<'a> {
    pub capability: &'a str,
    pub object: (&'a str, &'a str),
    pub context: &'a TrustedContext,
    pub proposal_id: &'a str,
    /// Digest of the signed proposal, as a string.
    pub proposal_digest: &'a str,
    pub state: EnvelopeState,
    pub diff: &'a [ColumnDiff],
    /// Columns of which `diff` has only the beginning.
    pub truncated: &'a [TruncatedColumn],
    pub evidence_id: &'a str,
    /// `sql_update` or the name of a handler.
    pub executor: &'a str,
    pub is_direct: bool,
}

/// A call that was refused or failed.
#[derive(Clone, Copy, Debug)]
pub struct FailureResult<'a> {
    /// The name that was called.
    pub capability: &'a str,
    /// Absent if no such capability exists.
    pub kind: Option<ToolKind>,
    pub context: Option<&'a TrustedContext>,
    pub refusal: &'a PublicError,
    /// Correlates the agent's transcript with the audit record, for the operator.
    pub correlation_id: &'a str,
}

/// Result of one call.
#[derive(Clone, Copy, Debug)]
pub enum CallOutcome<'a> {
    Read(ReadResult<'a>),
    Proposal(ProposalResult<'a>),
    Failure(FailureResult<'a>),
}

impl CallOutcome<'_> {
    /// Returns true if the protocol's `isError` must be set.
    pub const fn is_error(&self) -> bool {
        matches!(self, CallOutcome::Failure(_))
    }

    /// Returns the structured content in the given format.
    pub fn to_json(&self, format: ResultFormat) -> Json {
        match (format, self) {
            (ResultFormat::V1, CallOutcome::Read(read)) => v1::read(read),
            (ResultFormat::V1, CallOutcome::Proposal(proposal)) => v1::proposal(proposal),
            (ResultFormat::V1, CallOutcome::Failure(failure)) => v1::failure(failure),
            (ResultFormat::V2, CallOutcome::Read(read)) => v2::read(read),
            (ResultFormat::V2, CallOutcome::Proposal(proposal)) => v2::proposal(proposal),
            (ResultFormat::V2, CallOutcome::Failure(failure)) => v2::failure(failure),
        }
    }
}

/// Next step of a proposal that waits for a decision.
pub const REVIEW_NEXT_STEP: &str = "A person has to review and approve this outside of this conversation.";

/// Proposal states that an agent can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnvelopeState {
    ReviewRequired,
    ShadowProposalCreated,
    Approved,
    Applied,
    Conflict,
    Rejected,
}

impl EnvelopeState {
    pub const fn as_str(self) -> &'static str {
        match self {
            EnvelopeState::ReviewRequired => "review_required",
            EnvelopeState::ShadowProposalCreated => "shadow_proposal_created",
            EnvelopeState::Approved => "approved",
            EnvelopeState::Applied => "applied",
            EnvelopeState::Conflict => "conflict",
            EnvelopeState::Rejected => "rejected",
        }
    }

    /// Next step for the agent.
    pub(crate) const fn next_step(self) -> &'static str {
        match self {
            EnvelopeState::ReviewRequired => REVIEW_NEXT_STEP,
            EnvelopeState::ShadowProposalCreated => "Recorded for comparison only; it will never be applied.",
            EnvelopeState::Approved => {
                "A person has approved this; it is applied outside of this conversation."
            }
            EnvelopeState::Applied => "Nothing; it has been applied.",
            EnvelopeState::Conflict => "The row changed; read it again and submit a new proposal.",
            EnvelopeState::Rejected => "Nothing; a person has rejected it.",
        }
    }

    /// Maps a proposal's state to the state for agents; after approval, agents do not see which process holds
    /// it.
    pub const fn of(state: ProposalState, mode: ProposalMode) -> Self {
        match (mode, state) {
            (ProposalMode::Shadow, _) => EnvelopeState::ShadowProposalCreated,
            (ProposalMode::Review, ProposalState::PendingReview) => EnvelopeState::ReviewRequired,
            (
                ProposalMode::Review,
                ProposalState::Approved | ProposalState::PendingWorker | ProposalState::InDoubt,
            ) => EnvelopeState::Approved,
            (ProposalMode::Review, ProposalState::Applied) => EnvelopeState::Applied,
            (ProposalMode::Review, ProposalState::Conflict | ProposalState::Failed) => {
                EnvelopeState::Conflict
            }
            (
                ProposalMode::Review,
                ProposalState::Rejected | ProposalState::Canceled | ProposalState::Expired,
            ) => EnvelopeState::Rejected,
        }
    }
}

/// Converts a value to JSON: integers within ±(2^53−1) become numbers, every other number an exact string.
pub fn value_to_json(value: &Value) -> Json {
    let Some(text) = value.as_text() else {
        return Json::Null;
    };
    match value.kind() {
        ValueKind::Null => Json::Null,
        ValueKind::Bool => Json::Bool(text == "true"),
        ValueKind::Int => match text.parse::<i64>() {
            Ok(number) if number.unsigned_abs() <= INTEGER_MAX => Json::from(number),
            Ok(_) | Err(_) => Json::from(text),
        },
        ValueKind::Dec
        | ValueKind::Float
        | ValueKind::Text
        | ValueKind::Bytes
        | ValueKind::Ts
        | ValueKind::Tstz
        | ValueKind::Date
        | ValueKind::Time
        | ValueKind::Uuid
        | ValueKind::Json => Json::from(text),
    }
}

fn row_to_json(row: &[ColumnValue]) -> Json {
    row.iter()
        .map(|ColumnValue { column, value }| (column.clone(), read_value_to_json(value)))
        .collect()
}

/// Converts a value of a row that was read: times in the form of RFC 3339, which every engine accepts as an argument
/// for the same value. Evidence and signed objects keep the exact text.
fn read_value_to_json(value: &Value) -> Json {
    let text = match (value.kind(), value.as_text()) {
        (ValueKind::Ts, Some(text)) => rfc3339(text, ""),
        (ValueKind::Tstz, Some(text)) => text.strip_suffix("+00").and_then(|text| rfc3339(text, "Z")),
        _ => None,
    };
    text.map_or_else(|| value_to_json(value), Json::from)
}

/// Returns `YYYY-MM-DD HH:MM:SS[.fraction]` with the separator of RFC 3339 and this zone; `None` for other forms, such
/// as infinity and years before 1.
fn rfc3339(text: &str, zone: &str) -> Option<String> {
    let (day, clock) = text.split_once(' ')?;
    let is_day = day.len() == 10 && !day.starts_with('-');
    let is_clock = clock.len() >= 8
        && clock
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
    (is_day && is_clock).then(|| format!("{day}T{clock}{zone}"))
}

fn diff_to_json(diff: &[ColumnDiff]) -> Json {
    let change = |change: &ColumnDiff| {
        let before = change.before.as_ref().map_or(Json::Null, value_to_json);
        serde_json::json!({"before": before, "proposed": value_to_json(&change.proposed)})
    };
    diff.iter()
        .map(|entry| (entry.column.clone(), change(entry)))
        .collect()
}
