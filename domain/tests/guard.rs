//! The guards over proposed values and the row as it was read.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Capability, Contract};
use synapsor_domain::guard::{build_patch, check_bounds, check_columns, check_proposed, check_transitions};
use synapsor_domain::tool::check_arguments;
use synapsor_domain::value::{ColumnValue, Value, ValueKind, find};

const LIBRARY: &str = include_str!("golden/contract/library.json");

fn propose_fee() -> Capability {
    let contract = Contract::parse(LIBRARY.as_bytes()).unwrap().contract;
    contract.capability("loans.propose_fee").unwrap().clone()
}

fn patch(fee: &str) -> Vec<ColumnValue> {
    let capability = propose_fee();
    let arguments = format!(r#"{{"loan_no": "L-1", "fee_cents": {fee}, "state": "lost"}}"#);
    let checked = check_arguments(&capability, arguments.as_bytes()).unwrap();
    build_patch(capability.proposal().unwrap(), &checked).unwrap()
}

fn row(state: Value) -> Vec<ColumnValue> {
    vec![
        ColumnValue::new("loan_no", Value::text("L-1")),
        ColumnValue::new("state", state),
    ]
}

fn replaced(column: &str, value: Value) -> Vec<ColumnValue> {
    let mut set = patch("5");
    set.iter_mut().find(|entry| entry.column == column).unwrap().value = value;
    set
}

#[test]
fn patch_sets_null_for_absent_optional_argument() {
    let set = patch("5");
    let columns: Vec<_> = set.iter().map(|entry| entry.column.as_str()).collect();
    assert_eq!(columns, ["fee_cents", "state", "note", "is_settled"]);
    assert_eq!(find(&set, "note").unwrap(), &Value::null());
    assert_eq!(find(&set, "is_settled").unwrap(), &Value::bool(false));
    assert!(check_proposed(&propose_fee(), &set, &row(Value::text("out"))).is_ok());
}

#[test]
fn bounds_are_inclusive_and_exact() {
    let capability = propose_fee();
    let check = |value: Value| {
        let refusal = check_bounds(capability.proposal().unwrap(), &replaced("fee_cents", value)).err()?;
        Some((refusal.code, refusal.public))
    };
    let number = |text: &str| Value::exact(ValueKind::Dec, text);
    for good in ["0", "5000", "5000.000", "0.00"] {
        assert_eq!(check(number(good)), None, "{good}");
    }
    let (code, message) = check(number("5000.0000000000000000000000001")).unwrap();
    assert_eq!(code, ErrorCode::PatchAboveMaximum);
    assert!(
        message.contains("`fee_cents`") && message.contains("5000"),
        "{message}"
    );
    assert_eq!(check(Value::int(-1)).unwrap().0, ErrorCode::PatchBelowMinimum);
    for value in [
        Value::null(),
        Value::text("5"),
        Value::bool(true),
        Value::exact(ValueKind::Float, "5"),
    ] {
        assert_eq!(
            check(value.clone()).unwrap().0,
            ErrorCode::PatchNumericBoundTypeInvalid,
            "{value:?}"
        );
    }
}

#[test]
fn argument_within_its_bounds_is_checked_by_column_bounds() {
    let refusal = check_proposed(&propose_fee(), &patch("5000.25"), &row(Value::text("out"))).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::PatchAboveMaximum);
}

#[test]
fn only_listed_transitions_pass() {
    let capability = propose_fee();
    let check = |before: Value, after: Value| {
        let set = replaced("state", after);
        check_transitions(capability.proposal().unwrap(), &set, &row(before))
            .err()
            .map(|refusal| refusal.code)
    };
    let text = |state: &str| Value::text(state);
    assert_eq!(check(text("out"), text("lost")), None);
    assert_eq!(check(text("lost"), text("returned")), None);
    for (before, after) in [
        ("lost", "lost"),
        ("returned", "lost"),
        ("OUT", "lost"),
        ("out", "out"),
    ] {
        assert_eq!(
            check(text(before), text(after)).unwrap(),
            ErrorCode::PatchTransitionNotAllowed,
            "{before}"
        );
    }
    for (before, after) in [
        (Value::null(), text("lost")),
        (text("out"), Value::null()),
        (Value::int(1), text("lost")),
    ] {
        assert_eq!(
            check(before, after).unwrap(),
            ErrorCode::PatchTransitionTypeInvalid
        );
    }
    let set = patch("5");
    let refusal = check_transitions(capability.proposal().unwrap(), &set, &[]).unwrap_err();
    assert_eq!(
        refusal.code,
        ErrorCode::PatchTransitionTypeInvalid,
        "a column that was not read has no current state"
    );
}

#[test]
fn exactly_the_reviewed_columns_are_changed() {
    let capability = propose_fee();
    let code = |set: &[ColumnValue]| check_columns(&capability, set).unwrap_err().code;
    for column in ["loan_no", "library_id", "revision", "updated_at", "title"] {
        let mut set = patch("5");
        set.push(ColumnValue::new(column, Value::text("x")));
        assert_eq!(code(&set), ErrorCode::PatchColumnNotAllowed, "{column}");
    }
    let mut twice = patch("5");
    twice.push(twice[0].clone());
    assert_eq!(code(&twice), ErrorCode::PatchColumnNotAllowed);
    assert_eq!(
        code(&patch("5")[1..]),
        ErrorCode::PatchColumnNotAllowed,
        "a reviewed column must not be omitted"
    );
    assert_eq!(code(&[]), ErrorCode::PatchRequired);
}

#[test]
fn a_read_has_no_patch() {
    let contract = Contract::parse(LIBRARY.as_bytes()).unwrap().contract;
    let refusal = check_proposed(&contract.capabilities()[0], &patch("5"), &[]).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::PatchRequired);
}
