//! The guards of the row under its lock: each names its own reason.

use synapsor_codes::ErrorCode;
use synapsor_domain::guard::{Conflict, RowCount, check_locked, single_row};
use synapsor_domain::proposal::Proposal;
use synapsor_domain::value::{ColumnValue, Value};

fn proposal(guard: &str) -> Proposal {
    let digest = format!("sha256:{}", "0".repeat(64));
    let text = format!(
        r#"{{"v":1,"id":"wrp_00000000000000000000","ledger_origin":"synapsor/x","environment":"dev",
        "source":{{"id":"app","engine":"sqlite","fingerprint":"sqlite:1"}},"capability":"a.b","contract_digest":"{digest}",
        "mode":"review","executor":"sql_update","operation":"update","args":{{}},
        "target":{{"schema":"main","table":"t","primary_key":{{"column":"id","value":{{"t":"text","v":"1"}}}},
          "tenant":{{"column":"tenant","value":{{"t":"text","v":"acme"}}}}}},
        "set":[{{"column":"fee","value":{{"t":"int","v":"0"}}}}],
        "before":[{{"column":"id","value":{{"t":"text","v":"1"}}}},{{"column":"tenant","value":{{"t":"text","v":"acme"}}}},
          {{"column":"fee","value":{{"t":"int","v":"5"}}}},{{"column":"version","value":{{"t":"int","v":"7"}}}}],
        "guard":{guard},"schema_fingerprint":"{digest}","side_effects":[],
        "approval":{{"required_role":"approver","quorum":1}},
        "requested_by":{{"tenant":"acme","principal":"p","provenance":"environment","client":"c"}},
        "on_behalf_of":null,"context_binding":"{digest}","evidence":[],
        "created_at":"2026-01-01T00:00:00.000Z","not_after":"2026-01-08T00:00:00.000Z"}}"#
    );
    serde_json::from_str(&text).expect("a whole proposal")
}

const BY_VERSION: &str =
    r#"{"kind":"version_column","version":{"column":"version","value":{"t":"int","v":"7"}}}"#;
const WEAK: &str = r#"{"kind":"weak","version":null}"#;

fn changed(proposal: &Proposal, column: &str, value: Value) -> Vec<ColumnValue> {
    let mut row = proposal.before.clone();
    row.iter_mut()
        .find(|c| c.column == column)
        .expect("a column that was read")
        .value = value;
    row
}

#[test]
fn reviewed_row_passes() {
    for guard in [BY_VERSION, WEAK] {
        let proposal = proposal(guard);
        assert_eq!(check_locked(&proposal, &proposal.before), Ok(()));
    }
}

#[test]
fn each_row_change_is_a_conflict_with_its_own_reason() {
    let proposal = proposal(BY_VERSION);
    for (column, value, code) in [
        ("id", Value::text("2"), ErrorCode::ConflictKeyChanged),
        ("id", Value::int(1), ErrorCode::ConflictKeyChanged),
        ("tenant", Value::text("ACME"), ErrorCode::ConflictTenantChanged),
        ("tenant", Value::text("acme "), ErrorCode::ConflictTenantChanged),
        ("version", Value::int(8), ErrorCode::ConflictVersionChanged),
        ("version", Value::null(), ErrorCode::ConflictVersionChanged),
        ("version", Value::text("7"), ErrorCode::ConflictVersionChanged),
        ("fee", Value::int(6), ErrorCode::ConflictRowChanged),
        ("fee", Value::null(), ErrorCode::ConflictRowChanged),
    ] {
        let row = changed(&proposal, column, value);
        assert_eq!(check_locked(&proposal, &row), Err(Conflict(code)), "{column}");
    }
    assert_eq!(
        check_locked(&proposal, &proposal.before[..3]),
        Err(Conflict(ErrorCode::ConflictVersionChanged))
    );
}

#[test]
fn a_weak_guard_still_compares_every_column() {
    let proposal = proposal(WEAK);
    let row = changed(&proposal, "version", Value::int(8));
    assert_eq!(
        check_locked(&proposal, &row),
        Err(Conflict(ErrorCode::ConflictRowChanged))
    );
}

#[test]
fn row_counts_none_one_and_many_are_distinct() {
    let row = proposal(WEAK).before;
    assert_eq!(single_row(&[]), RowCount::None);
    assert_eq!(single_row(std::slice::from_ref(&row)), RowCount::One(&row));
    assert_eq!(single_row(&[row.clone(), row]), RowCount::More);
}
