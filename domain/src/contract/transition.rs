//! Transition guards: the permitted target states of a column by its current state.

use super::argument::Scalar;
use super::fields;
use super::names::{NAME_A_COLUMN, is_identifier};
use super::object::ObjectReader;
use super::proposal::{PatchBinding, is_read, patches};
use super::report::ValidationReport;
use super::source::is_empty;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Allowed transitions of one patched column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    pub column: String,
    /// Column that holds the current state; the guarded column itself if absent.
    pub from_column: Option<String>,
    /// Target states by current state, in the order of the file.
    pub allowed: Vec<(String, Vec<String>)>,
}

impl Transition {
    /// The column that holds the current state.
    pub fn state_column(&self) -> &str {
        self.from_column.as_deref().unwrap_or(&self.column)
    }
}

pub(super) fn read_all(
    capability: &ObjectReader<'_>,
    patch: &[(String, PatchBinding)],
    report: &mut ValidationReport,
) -> Vec<Transition> {
    let Some(map) = capability.object("transition_guards", ErrorCode::TransitionGuardsNotObject, report)
    else {
        return Vec::new();
    };
    let mut transitions = Vec::new();
    for (column, node) in map.entries() {
        let path = map.at(column);
        if !is_identifier(column) {
            report.error(&path, ErrorCode::InvalidTransitionGuardColumn, NAME_A_COLUMN);
        } else if !patches(capability, column) {
            let message = format!("Add `{column}` to `patch`, or remove its guard.");
            report.error(&path, ErrorCode::TransitionPatchColumnRequired, message);
        }
        let Some(guard) = ObjectReader::of(node, &path) else {
            report.error(
                path,
                ErrorCode::TransitionGuardNotObject,
                "Make the guard an object with `allowed`.",
            );
            continue;
        };
        guard.only(fields::TRANSITION, report);
        let from_column = read_from_column(capability, column, &guard, report);
        let transition = Transition {
            column: column.clone(),
            from_column,
            allowed: read_allowed(&guard, report),
        };
        check_fixed(capability, patch, &transition, report);
        transitions.push(transition);
    }
    transitions
}

fn read_from_column(
    capability: &ObjectReader<'_>,
    column: &str,
    guard: &ObjectReader<'_>,
    report: &mut ValidationReport,
) -> Option<String> {
    let (state_column, path) = match guard.get("from_column") {
        None => (column, guard.path.clone()),
        Some(JsonNode::Text(name)) if is_identifier(name) => (name.as_str(), guard.at("from_column")),
        Some(_) => {
            report.error(
                guard.at("from_column"),
                ErrorCode::InvalidTransitionFromColumn,
                NAME_A_COLUMN,
            );
            return None;
        }
    };
    if is_identifier(state_column) && !is_read(capability, state_column) {
        let message =
            format!("Add `{state_column}` to `visible_columns`: the guard compares its current value.");
        report.error(path, ErrorCode::TransitionFromColumnNotVisible, message);
    }
    guard.has("from_column").then(|| state_column.to_owned())
}

fn read_allowed(guard: &ObjectReader<'_>, report: &mut ValidationReport) -> Vec<(String, Vec<String>)> {
    let map = guard.get("allowed").filter(|node| !is_empty(node));
    let Some(map) = map.and_then(|node| ObjectReader::of(node, guard.at("allowed"))) else {
        let message = "Add `allowed`, an object from current states to lists of target states.";
        report.error(guard.at("allowed"), ErrorCode::TransitionAllowedRequired, message);
        return Vec::new();
    };
    let mut allowed = Vec::new();
    for (from, node) in map.entries() {
        if from.trim().is_empty() {
            report.error(
                map.at(from),
                ErrorCode::TransitionFromRequired,
                "Name the current state.",
            );
        }
        let mut targets = Vec::new();
        if let JsonNode::List(items) = node {
            targets.extend(items.iter().filter_map(|item| match item {
                JsonNode::Text(text) if !text.trim().is_empty() => Some(text.clone()),
                _ => None,
            }));
        }
        if targets.is_empty() || !matches!(node, JsonNode::List(items) if items.len() == targets.len()) {
            let message = "Make this a list with at least one target state, each a text that is not empty.";
            report.error(map.at(from), ErrorCode::TransitionToValuesRequired, message);
        }
        allowed.push((from.clone(), targets));
    }
    allowed
}

/// A fixed value that no transition reaches would be rejected on every call.
fn check_fixed(
    capability: &ObjectReader<'_>,
    patch: &[(String, PatchBinding)],
    transition: &Transition,
    report: &mut ValidationReport,
) {
    let binding = patch
        .iter()
        .find(|(column, _)| *column == transition.column)
        .map(|(_, binding)| binding);
    let Some(PatchBinding::Fixed(fixed)) = binding else {
        return;
    };
    let is_target = matches!(fixed, Scalar::Text(text)
        if transition.allowed.iter().any(|(_, targets)| targets.contains(text)));
    if !is_target && !transition.allowed.is_empty() {
        let path = format!("{}.{}.fixed", capability.at("patch"), transition.column);
        let message =
            "Make the fixed value a state that `transition_guards` leads to: every call would be refused.";
        report.error(path, ErrorCode::FixedValueNotAllowed, message);
    }
}
