//! Differences of what a tool shows, and of the rows that it finds.

use super::{ChangeList, argument};
use crate::contract::{Capability, CapabilityKind, CapabilityTarget, KeyValue};

/// Reports a capability that the first contract lacks, with all that it permits.
pub(super) fn added(capability: &Capability, how: &str, changes: &mut ChangeList) {
    let target = &capability.target;
    let of_tenant = match &target.tenant_key {
        Some(column) => format!("of the tenant in `{column}`"),
        None => "of all tenants".to_owned(),
    };
    let columns = quoted(&capability.visible_columns);
    changes.widens(format!(
        "{how} {} tool: shows {columns} of one row of `{}.{}` {of_tenant}",
        capability.kind.tool().as_str(),
        target.schema,
        target.table
    ));
    if let CapabilityKind::Proposal(spec) = &capability.kind {
        let patched: Vec<String> = spec.patch.iter().map(|(column, _)| column.clone()).collect();
        changes.widens(format!("requests changes of {}", quoted(&patched)));
    }
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

pub(super) fn compare(before: &Capability, after: &Capability, changes: &mut ChangeList) {
    if before.source != after.source {
        changes.widens(format!(
            "source `{}` instead of `{}`",
            after.source, before.source
        ));
    }
    compare_targets(&before.target, &after.target, changes);
    let (earlier, later) = (&before.visible_columns, &after.visible_columns);
    changes.of_names(earlier, later, "shows column", "hides column");
    for column in later.iter().filter(|column| earlier.contains(column)) {
        let shown = |capability: &Capability| capability.max_chars(column).unwrap_or(u32::MAX);
        let text = match after.max_chars(column) {
            Some(count) => format!("shows up to {count} characters of `{column}`"),
            None => format!("shows all of `{column}`"),
        };
        changes.of_order(shown(after).cmp(&shown(before)), text);
    }
    let text = format!("returns up to {} row(s)", after.max_rows);
    changes.of_order(after.max_rows.cmp(&before.max_rows), text);
    argument::compare_all(before, after, changes);
    for (name, is_changed) in [
        ("description", before.description != after.description),
        ("returns_hint", before.returns_hint != after.returns_hint),
    ] {
        if is_changed {
            changes.other(format!("the text `{name}` that the model reads is different"));
        }
    }
}

fn compare_targets(before: &CapabilityTarget, after: &CapabilityTarget, changes: &mut ChangeList) {
    let table = |target: &CapabilityTarget| format!("`{}.{}`", target.schema, target.table);
    if table(before) != table(after) {
        changes.widens(format!("reads {} instead of {}", table(after), table(before)));
    }
    if before.keys != after.keys {
        changes.widens(format!(
            "finds rows by {} instead of {}",
            keys(after),
            keys(before)
        ));
    }
    match (&before.tenant_key, &after.tenant_key) {
        (Some(_), None) => changes.widens("rows are not limited to the tenant"),
        (None, Some(column)) => changes.narrows(format!("rows are limited to the tenant in `{column}`")),
        (Some(from), Some(to)) if from != to => {
            changes.widens(format!("the tenant is in `{to}` instead of `{from}`"));
        }
        _ => {}
    }
    if before.is_single_tenant_dev != after.is_single_tenant_dev {
        let text = if after.is_single_tenant_dev {
            "declared a single-tenant development target"
        } else {
            "no longer a single-tenant development target"
        };
        changes.of_order(after.is_single_tenant_dev.cmp(&before.is_single_tenant_dev), text);
    }
}

fn keys(target: &CapabilityTarget) -> String {
    let one = |column: &str, value: &KeyValue| match value {
        KeyValue::Argument(name) => format!("`{column}` from argument `{name}`"),
        KeyValue::Tenant => format!("`{column}` from the tenant"),
    };
    let all: Vec<String> = target
        .keys
        .iter()
        .map(|key| one(&key.column, &key.value))
        .collect();
    all.join(" and ")
}
