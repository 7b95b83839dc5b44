//! Differences of the values that a model may pass.

use std::cmp::Ordering;

use super::ChangeList;
use crate::contract::{Arg, Capability, Scalar};
use crate::decimal::Decimal;

pub(super) fn compare_all(before: &Capability, after: &Capability, changes: &mut ChangeList) {
    for arg in &after.args {
        match before.arg(&arg.name) {
            Some(earlier) => {
                let is_required = (before.requires(earlier), after.requires(arg));
                compare(earlier, arg, is_required, changes);
            }
            None => changes.widens(format!("takes argument `{}`", arg.name)),
        }
    }
    for gone in before.args.iter().filter(|arg| after.arg(&arg.name).is_none()) {
        changes.narrows(format!("takes no argument `{}`", gone.name));
    }
}

fn compare(before: &Arg, after: &Arg, is_required: (bool, bool), changes: &mut ChangeList) {
    let name = &after.name;
    if before.arg_type != after.arg_type {
        changes.widens(format!(
            "argument `{name}` is a {} instead of a {}",
            after.arg_type.as_str(),
            before.arg_type.as_str()
        ));
    }
    match is_required {
        (true, false) => changes.widens(format!("argument `{name}` is optional")),
        (false, true) => changes.narrows(format!("argument `{name}` is required")),
        _ => {}
    }
    let length = |arg: &Arg| arg.max_length.unwrap_or(u32::MAX);
    let text = match after.max_length {
        Some(count) => format!("argument `{name}` has up to {count} characters"),
        None => format!("argument `{name}` has no maximum length"),
    };
    changes.of_order(length(after).cmp(&length(before)), text);
    let of_argument = format!("argument `{name}`");
    of_bounds(
        &of_argument,
        (before.minimum.as_ref(), before.maximum.as_ref()),
        (after.minimum.as_ref(), after.maximum.as_ref()),
        changes,
    );
    of_values(name, before.allowed.as_deref(), after.allowed.as_deref(), changes);
    if before.description != after.description {
        changes.other(format!(
            "the description of argument `{name}` that the model reads is different"
        ));
    }
}

/// Compares the bounds of `subject`; an absent bound permits every number.
pub(super) fn of_bounds(
    subject: &str,
    before: (Option<&Decimal>, Option<&Decimal>),
    after: (Option<&Decimal>, Option<&Decimal>),
    changes: &mut ChangeList,
) {
    // A greater minimum permits less.
    let minimum = match (before.0, after.0) {
        (Some(from), Some(to)) => from.cmp(to),
        (from, to) => from.is_some().cmp(&to.is_some()),
    };
    let maximum = match (before.1, after.1) {
        (Some(from), Some(to)) => to.cmp(from),
        (from, to) => from.is_some().cmp(&to.is_some()),
    };
    for (word, order, bound) in [("minimum", minimum, after.0), ("maximum", maximum, after.1)] {
        if order != Ordering::Equal {
            let text = match bound {
                Some(bound) => format!("{subject} has {word} {}", bound.as_str()),
                None => format!("{subject} has no {word}"),
            };
            changes.of_order(order, text);
        }
    }
}

fn of_values(name: &str, before: Option<&[Scalar]>, after: Option<&[Scalar]>, changes: &mut ChangeList) {
    match (before, after) {
        (None, None) => {}
        (Some(_), None) => changes.widens(format!("argument `{name}` takes every value")),
        (None, Some(values)) => {
            changes.narrows(format!("argument `{name}` takes {} value(s) only", values.len()));
        }
        (Some(before), Some(after)) => {
            for value in after.iter().filter(|value| !before.contains(value)) {
                changes.widens(format!("argument `{name}` takes {}", shown(value)));
            }
            for value in before.iter().filter(|value| !after.contains(value)) {
                changes.narrows(format!("argument `{name}` does not take {}", shown(value)));
            }
        }
    }
}

/// Returns a value as it is in the file.
pub(super) fn shown(value: &Scalar) -> String {
    match value {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Number(number) => number.as_str().to_owned(),
        Scalar::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
    }
}
