//! Every result of a call fits the output schema of its tool. The result of its task is in `agent_view.rs`.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use synapsor_domain::context::{Provenance, TrustedContext};
use synapsor_domain::contract::{Contract, Mode, ResultFormat, ToolKind};
use synapsor_domain::error::PublicError;
use synapsor_domain::result_envelope::{
    CallOutcome, ColumnDiff, EnvelopeState, FailureResult, ProposalResult, ReadResult,
};
use synapsor_domain::tool::Catalog;
use synapsor_domain::value::{ColumnValue, Value};

use fits::misfit;

mod fits;

const LIBRARY: &str = include_str!("golden/contract/library.json");

fn schema(tool: &str, binding_of_note: &str) -> Json {
    let file = LIBRARY.replace("\"note\": {\"from_arg\": \"note\"}", binding_of_note);
    let contract = Contract::parse(file.as_bytes()).unwrap().contract;
    Catalog::from_contract(&contract, false)
        .tool(tool)
        .unwrap()
        .output_schema
        .clone()
}

fn context() -> TrustedContext {
    TrustedContext {
        tenant: "north".to_owned(),
        principal: "ann".to_owned(),
        provenance: Provenance::Environment,
    }
}

fn proposal(columns: &[&str]) -> Json {
    let change = |column: &&str| ColumnDiff {
        column: (*column).to_owned(),
        before: None,
        proposed: Value::text("x"),
    };
    let diff: Vec<ColumnDiff> = columns.iter().map(change).collect();
    CallOutcome::Proposal(ProposalResult {
        capability: "loans.propose_fee",
        object: ("loans", "L-1"),
        context: &context(),
        proposal_id: "wrp_0123456789abcdef0123",
        proposal_digest: "sha256:00",
        state: EnvelopeState::ReviewRequired,
        diff: &diff,
        truncated: &[],
        evidence_id: "ev_0123456789abcdef0123",
        executor: "sql_update",
        is_direct: true,
    })
    .to_json(ResultFormat::V2)
}

#[test]
fn results_of_calls_fit_their_tool() {
    let context = context();
    let row = ["loan_no", "state", "fee_cents"].map(|column| ColumnValue::new(column, Value::null()));
    let read = CallOutcome::Read(ReadResult {
        capability: "loans.inspect_loan",
        mode: Mode::Review,
        object: ("loans", "L-1"),
        context: &context,
        row: &row,
        truncated: &[],
        evidence_id: "ev_0123456789abcdef0123",
    });
    let read_schema = schema("loans.inspect_loan", "\"note\": {\"from_arg\": \"note\"}");
    assert_eq!(misfit(&read_schema, &read.to_json(ResultFormat::V2)), None);
    for code in [
        ErrorCode::RowNotFound,
        ErrorCode::Internal,
        ErrorCode::NothingToChange,
    ] {
        let refusal = PublicError::new(code, "Nothing to change.");
        let failure = CallOutcome::Failure(FailureResult {
            capability: "loans.inspect_loan",
            kind: Some(ToolKind::Read),
            context: Some(&context),
            refusal: &refusal,
            correlation_id: "qa_0123456789abcdef0123",
        });
        assert_eq!(
            misfit(&read_schema, &failure.to_json(ResultFormat::V2)),
            None,
            "{code}"
        );
    }
}

/// A column that an absent argument keeps is not in the diff.
#[test]
fn diff_without_kept_column_fits_and_other_columns_are_required() {
    let all = ["fee_cents", "state", "note", "is_settled"];
    let without = ["fee_cents", "state", "is_settled"];
    let kept = schema(
        "loans.propose_fee",
        r#""note": {"from_arg": "note", "when_absent": "keep"}"#,
    );
    let emptied = schema("loans.propose_fee", r#""note": {"from_arg": "note"}"#);
    for schema in [&kept, &emptied] {
        assert_eq!(misfit(schema, &proposal(&all)), None);
        assert!(
            misfit(schema, &proposal(&all[1..])).is_some(),
            "fee_cents is always set"
        );
        assert!(misfit(schema, &proposal(&[&all[..], &["revision"]].concat())).is_some());
    }
    assert_eq!(misfit(&kept, &proposal(&without)), None);
    assert!(misfit(&emptied, &proposal(&without)).is_some());
    assert!(misfit(&kept, &json!({})).is_some());
}
