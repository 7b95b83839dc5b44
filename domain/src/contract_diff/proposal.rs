//! Differences of what a proposal may change, of its guards and of its approval.

use super::ChangeList;
use super::argument::{of_bounds, shown};
use crate::contract::{
    Capability, ConflictGuard, Contract, ExecutorRef, ExecutorSpec, PatchBinding, ProposalSpec,
    SideEffectAck, Transition, VersionAdvance,
};

pub(super) fn compare(before: &ProposalSpec, after: &ProposalSpec, changes: &mut ChangeList) {
    compare_patches(before, after, changes);
    let (earlier, later) = (&before.allowed_columns, &after.allowed_columns);
    changes.of_names(earlier, later, "may change column", "may not change column");
    compare_bounds(before, after, changes);
    compare_transitions(before, after, changes);
    compare_guards(&before.conflict_guard, &after.conflict_guard, changes);
    let quorum = (before.approval.quorum, after.approval.quorum);
    let text = format!("{} approval(s) instead of {}", quorum.1, quorum.0);
    changes.of_order(quorum.0.cmp(&quorum.1), text);
    let role = |spec: &ProposalSpec| {
        let role = spec.approval.required_role.as_deref();
        role.unwrap_or("approver").to_owned()
    };
    if role(before) != role(after) {
        changes.widens(format!(
            "approved by role `{}` instead of `{}`",
            role(after),
            role(before)
        ));
    }
    changes.of_names(
        &before.db_managed,
        &after.db_managed,
        "the database itself may change column",
        "the database itself may not change column",
    );
    compare_acknowledgements(before, after, changes);
}

fn compare_patches(before: &ProposalSpec, after: &ProposalSpec, changes: &mut ChangeList) {
    let find = |spec: &ProposalSpec, column: &str| {
        let binding = spec.patch.iter().find(|(name, _)| name == column);
        binding.map(|(_, binding)| binding.clone())
    };
    for (column, binding) in &after.patch {
        match find(before, column) {
            None => changes.widens(format!("requests column `{column}` {}", bound(binding))),
            Some(earlier) if is_same_argument(&earlier, binding) => {
                match (earlier.keeps_when_absent(), binding.keeps_when_absent()) {
                    // Guards do not apply to a column that a call leaves as it is.
                    (false, true) if is_guarded(after, column) => {
                        changes.widens(format!(
                            "other columns can be requested without guarded column `{column}`"
                        ));
                    }
                    (false, true) => changes.narrows(format!("keeps column `{column}` without its argument")),
                    (true, false) => {
                        changes.widens(format!("empties column `{column}` without its argument"))
                    }
                    _ => {}
                }
            }
            Some(earlier) if earlier != *binding => changes.widens(format!(
                "requests column `{column}` {} instead of {}",
                bound(binding),
                bound(&earlier)
            )),
            Some(_) => {}
        }
    }
    for (column, binding) in &before.patch {
        if find(after, column).is_some() {
            continue;
        }
        if matches!(binding, PatchBinding::Fixed(_)) {
            changes.widens(format!(
                "the other columns can be requested without `{column}` {}",
                bound(binding)
            ));
        } else {
            changes.narrows(format!("does not request column `{column}`"));
        }
    }
}

/// Whether bounds or a transition guard restrict a column.
fn is_guarded(spec: &ProposalSpec, column: &str) -> bool {
    spec.bounds.iter().any(|bound| bound.column == column)
        || spec.transitions.iter().any(|guard| guard.column == column)
}

/// Reports columns whose change is no conflict any more: without a version column the writer compares what was read.
pub(super) fn compare_comparison(
    before: &Capability,
    after: &Capability,
    spec: &ProposalSpec,
    changes: &mut ChangeList,
) {
    if spec.conflict_guard.column().is_some() {
        return;
    }
    let read = after.read_columns();
    for column in before
        .read_columns()
        .into_iter()
        .filter(|column| !read.contains(column))
    {
        changes.widens(format!("a change of column `{column}` is no conflict"));
    }
}

fn is_same_argument(one: &PatchBinding, other: &PatchBinding) -> bool {
    match (one, other) {
        (PatchBinding::Arg { name: one, .. }, PatchBinding::Arg { name: other, .. }) => one == other,
        _ => false,
    }
}

fn bound(binding: &PatchBinding) -> String {
    match binding {
        PatchBinding::Fixed(value) => format!("as {}", shown(value)),
        PatchBinding::Arg { name, .. } => format!("from argument `{name}`"),
    }
}

fn compare_bounds(before: &ProposalSpec, after: &ProposalSpec, changes: &mut ChangeList) {
    let find = |spec: &ProposalSpec, column: &str| {
        let bound = spec.bounds.iter().find(|bound| bound.column == column);
        bound.map_or((None, None), |bound| {
            (bound.minimum.clone(), bound.maximum.clone())
        })
    };
    let mut columns: Vec<&str> = Vec::new();
    for bound in before.bounds.iter().chain(&after.bounds) {
        if !columns.contains(&bound.column.as_str()) {
            columns.push(&bound.column);
        }
    }
    for column in columns {
        let (from, to) = (find(before, column), find(after, column));
        of_bounds(
            &format!("column `{column}`"),
            (from.0.as_ref(), from.1.as_ref()),
            (to.0.as_ref(), to.1.as_ref()),
            changes,
        );
    }
}

fn compare_transitions(before: &ProposalSpec, after: &ProposalSpec, changes: &mut ChangeList) {
    let find = |spec: &ProposalSpec, column: &str| -> Option<Transition> {
        let found = spec.transitions.iter().find(|guard| guard.column == column);
        found.cloned()
    };
    for guard in &after.transitions {
        let column = &guard.column;
        let Some(earlier) = find(before, column) else {
            changes.narrows(format!("column `{column}` has a transition guard"));
            continue;
        };
        if earlier.state_column() != guard.state_column() {
            changes.widens(format!(
                "the state of `{column}` is in `{}` instead of `{}`",
                guard.state_column(),
                earlier.state_column()
            ));
        }
        changes.of_names(
            &pairs(&earlier),
            &pairs(guard),
            &format!("column `{column}` may go"),
            &format!("column `{column}` may not go"),
        );
    }
    for guard in &before.transitions {
        if find(after, &guard.column).is_none() {
            changes.widens(format!("column `{}` has no transition guard", guard.column));
        }
    }
}

fn pairs(guard: &Transition) -> Vec<String> {
    let of_state = |(from, to): &(String, Vec<String>)| -> Vec<String> {
        to.iter().map(|to| format!("{from} -> {to}")).collect()
    };
    guard.allowed.iter().flat_map(of_state).collect()
}

fn compare_guards(before: &ConflictGuard, after: &ConflictGuard, changes: &mut ChangeList) {
    match (before.column(), after.column()) {
        (Some(_), None) => changes.widens("conflicts are found by comparing values, not by a version column"),
        (None, Some(column)) => changes.narrows(format!("conflicts are found by version column `{column}`")),
        (Some(from), Some(to)) if from != to => {
            changes.widens(format!("the version column is `{to}` instead of `{from}`"));
        }
        _ => {}
    }
    if before.advance() != after.advance() {
        let text = match after.advance() {
            VersionAdvance::None => "the writer does not change the version column",
            VersionAdvance::Increment => "the writer adds one to the version column",
            VersionAdvance::Now => "the writer sets the version column to the time",
        };
        changes.widens(text);
    }
}

fn compare_acknowledgements(before: &ProposalSpec, after: &ProposalSpec, changes: &mut ChangeList) {
    let find = |spec: &ProposalSpec, ack: &SideEffectAck| -> bool { spec.side_effects_ack.contains(ack) };
    for ack in after.side_effects_ack.iter().filter(|ack| !find(before, ack)) {
        let writes: Vec<String> = ack.writes.iter().map(ToString::to_string).collect();
        let writes = if writes.is_empty() {
            "no other table".to_owned()
        } else {
            writes.join(", ")
        };
        changes.widens(format!(
            "acknowledges code `{}`, which may write {writes}",
            ack.name
        ));
    }
    for ack in before.side_effects_ack.iter().filter(|ack| !find(after, ack)) {
        changes.narrows(format!("does not acknowledge code `{}` as before", ack.name));
    }
}

/// Compares who applies proposals, also if the handler of the same name is another one.
pub(super) fn compare_executors(
    (old, before): (&Contract, &ProposalSpec),
    (new, after): (&Contract, &ProposalSpec),
    changes: &mut ChangeList,
) {
    let (from, to) = (executor_of(old, before), executor_of(new, after));
    if before.executor == after.executor && from == to {
        return;
    }
    let text = match &after.executor {
        ExecutorRef::Direct => "applied by the writer itself".to_owned(),
        ExecutorRef::Handler(name) => format!("applied by handler `{name}` with other settings than before"),
    };
    changes.widens(text);
}

fn executor_of<'a>(contract: &'a Contract, spec: &ProposalSpec) -> Option<&'a ExecutorSpec> {
    match &spec.executor {
        ExecutorRef::Direct => None,
        ExecutorRef::Handler(name) => contract.executor(name),
    }
}
