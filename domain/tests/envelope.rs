//! Result envelopes in both formats.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use serde_json::Value as Json;
use synapsor_codes::{ErrorCode, SafeCode};
use synapsor_domain::context::{Provenance, TrustedContext};
use synapsor_domain::contract::{Mode, ResultFormat};
use synapsor_domain::error::PublicError;
use synapsor_domain::result_envelope::{
    CallOutcome, ColumnDiff, EnvelopeState, FailureResult, ProposalResult, ReadResult, value_to_json,
};
use synapsor_domain::value::{ColumnValue, Value, ValueKind};

fn context() -> TrustedContext {
    TrustedContext {
        tenant: "north".to_owned(),
        principal: "ann".to_owned(),
        provenance: Provenance::Environment,
    }
}

fn row() -> Vec<ColumnValue> {
    vec![
        ColumnValue::new("loan_no", Value::text("L-1")),
        ColumnValue::new("fee_cents", Value::int(250)),
        ColumnValue::new("note", Value::null()),
        ColumnValue::new("is_settled", Value::bool(false)),
        ColumnValue::new("serial", Value::int(9_007_199_254_740_993)),
        ColumnValue::new("rate", Value::exact(ValueKind::Dec, "1.50")),
    ]
}

fn render(outcome: &CallOutcome<'_>, format: ResultFormat) -> String {
    serde_json::to_string_pretty(&outcome.to_json(format)).unwrap() + "\n"
}

fn read_outcome<'a>(context: &'a TrustedContext, row: &'a [ColumnValue]) -> CallOutcome<'a> {
    CallOutcome::Read(ReadResult {
        capability: "loans.inspect_loan",
        mode: Mode::Review,
        object: ("loans", "L-1"),
        context,
        row,
        evidence_id: "ev_0123456789abcdef0123",
    })
}

fn proposal_outcome<'a>(
    context: &'a TrustedContext,
    diff: &'a [ColumnDiff],
    state: EnvelopeState,
) -> CallOutcome<'a> {
    CallOutcome::Proposal(ProposalResult {
        capability: "loans.propose_fee",
        object: ("loans", "L-1"),
        context,
        proposal_id: "wrp_0123456789abcdef0123",
        proposal_digest: "sha256:00",
        state,
        diff,
        evidence_id: "ev_0123456789abcdef0123",
        executor: "sql_update",
        is_direct: true,
    })
}

#[test]
fn read_envelope_matches_golden_in_both_formats() {
    let (context, row) = (context(), row());
    let outcome = read_outcome(&context, &row);
    assert_eq!(
        render(&outcome, ResultFormat::V2),
        include_str!("golden/envelope/read.v2.json")
    );
    assert_eq!(
        render(&outcome, ResultFormat::V1),
        include_str!("golden/envelope/read.v1.json")
    );
}

#[test]
fn proposal_envelope_matches_golden_in_both_formats() {
    let context = context();
    let diff = [
        ColumnDiff {
            column: "fee_cents".to_owned(),
            before: Some(Value::int(250)),
            proposed: Value::int(0),
        },
        ColumnDiff {
            column: "note".to_owned(),
            before: None,
            proposed: Value::text("waived"),
        },
    ];
    let outcome = proposal_outcome(&context, &diff, EnvelopeState::ReviewRequired);
    assert_eq!(
        render(&outcome, ResultFormat::V2),
        include_str!("golden/envelope/proposal.v2.json")
    );
    assert_eq!(
        render(&outcome, ResultFormat::V1),
        include_str!("golden/envelope/proposal.v1.json")
    );
}

#[test]
fn failure_envelope_matches_golden_in_both_formats() {
    let refusal = PublicError::new(
        ErrorCode::ArgumentTooLong,
        "Argument `note` may have at most 200 characters.",
    );
    let context = context();
    let failure = FailureResult {
        capability: "loans.propose_fee",
        kind: Some("proposal"),
        context: Some(&context),
        refusal: &refusal,
        correlation_id: "qa_0123456789abcdef0123",
    };
    let outcome = CallOutcome::Failure(failure);
    assert!(outcome.is_error());
    assert_eq!(
        render(&outcome, ResultFormat::V2),
        include_str!("golden/envelope/failure.v2.json")
    );
    assert_eq!(
        render(&outcome, ResultFormat::V1),
        include_str!("golden/envelope/failure.v1.json")
    );
}

#[test]
fn every_result_of_format_2_has_every_key() {
    let (context, row) = (context(), row());
    let refusal = PublicError::new(ErrorCode::McpToolNotFound, "");
    let failure = FailureResult {
        capability: "x.y",
        kind: None,
        context: None,
        refusal: &refusal,
        correlation_id: "qa_0",
    };
    for outcome in [
        read_outcome(&context, &row),
        proposal_outcome(&context, &[], EnvelopeState::ShadowProposalCreated),
        CallOutcome::Failure(failure),
    ] {
        let json = outcome.to_json(ResultFormat::V2);
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "ok",
            "summary",
            "action",
            "kind",
            "data",
            "proposal",
            "error",
            "evidence",
            "source_database_changed",
            "_meta",
        ];
        assert_eq!(keys, expected);
        assert_eq!(json["source_database_changed"], false);
    }
}

#[test]
fn each_internal_code_has_one_safe_code() {
    for (code, safe) in [
        (ErrorCode::RowNotFound, SafeCode::NotFoundInTenant),
        (ErrorCode::ArgumentRequired, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentTypeInvalid, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentTooLong, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentBelowMinimum, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentAboveMaximum, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentNotAllowed, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentUnknown, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentsTooLarge, SafeCode::InvalidArgument),
        (ErrorCode::ArgumentsNotJson, SafeCode::InvalidArgument),
        (ErrorCode::LookupArgMissing, SafeCode::InvalidArgument),
        (ErrorCode::ModelCannotOverrideBinding, SafeCode::InvalidArgument),
        (ErrorCode::TrustedBindingMissing, SafeCode::InvalidArgument),
        (ErrorCode::TrustedContextMissing, SafeCode::InvalidArgument),
        (ErrorCode::PatchRequired, SafeCode::PolicyViolation),
        (ErrorCode::PatchAboveMaximum, SafeCode::PolicyViolation),
        (ErrorCode::PatchTransitionNotAllowed, SafeCode::PolicyViolation),
        (ErrorCode::PatchColumnNotAllowed, SafeCode::PolicyViolation),
        (ErrorCode::ConflictGuardMissing, SafeCode::PolicyViolation),
        (ErrorCode::McpToolNotFound, SafeCode::CapabilityNotFound),
        (ErrorCode::ProposalsDisabled, SafeCode::ApprovalRequired),
        (
            ErrorCode::SourceCredentialMissing,
            SafeCode::TemporarilyUnavailable,
        ),
        (ErrorCode::DatabaseUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::LedgerUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::ExecutorUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::StoreBusy, SafeCode::TemporarilyUnavailable),
        (ErrorCode::ValueDoesNotFit, SafeCode::InvalidArgument),
        (ErrorCode::ConflictGuardNull, SafeCode::PolicyViolation),
        (ErrorCode::VersionConflict, SafeCode::VersionConflict),
        (ErrorCode::MultiRowBlocked, SafeCode::MultiRowBlocked),
        (ErrorCode::TrustedContextUnsupported, SafeCode::Internal),
        (ErrorCode::StoreTampered, SafeCode::Internal),
    ] {
        assert_eq!(code.safe(), safe, "{code}");
    }
    for safe in SafeCode::ALL {
        assert_eq!(safe.retryable(), safe == SafeCode::TemporarilyUnavailable);
    }
}

#[test]
fn internal_failure_detail_is_not_disclosed() {
    let refusal = PublicError::new(ErrorCode::SourceFailed, "connect to db.internal:5432 as root")
        .with_detail("driver text");
    let failure = FailureResult {
        capability: "loans.inspect_loan",
        kind: Some("read"),
        context: None,
        refusal: &refusal,
        correlation_id: "qa_0123456789abcdef0123",
    };
    for format in [ResultFormat::V1, ResultFormat::V2] {
        let text = CallOutcome::Failure(failure).to_json(format).to_string();
        assert!(
            !text.contains("db.internal") && !text.contains("driver") && !text.contains("BROKE"),
            "{text}"
        );
    }
}

#[test]
fn foreign_tenant_and_missing_row_give_same_result() {
    let text = |public: &str| {
        let refusal = PublicError::new(ErrorCode::RowNotFound, public);
        let failure = FailureResult {
            capability: "a.b",
            kind: Some("read"),
            context: None,
            refusal: &refusal,
            correlation_id: "q",
        };
        CallOutcome::Failure(failure).to_json(ResultFormat::V2)
    };
    assert_eq!(text("no such key"), text("the row belongs to south"));
}

#[test]
fn only_safe_integers_are_json_numbers() {
    let limit = 9_007_199_254_740_991_i128;
    assert_eq!(
        value_to_json(&Value::int(limit)),
        Json::from(9_007_199_254_740_991_i64)
    );
    assert_eq!(
        value_to_json(&Value::int(-limit)),
        Json::from(-9_007_199_254_740_991_i64)
    );
    assert_eq!(
        value_to_json(&Value::int(limit + 1)),
        Json::from("9007199254740992")
    );
    assert_eq!(
        value_to_json(&Value::int(-limit - 1)),
        Json::from("-9007199254740992")
    );
    assert_eq!(
        value_to_json(&Value::exact(ValueKind::Dec, "1.0")),
        Json::from("1.0")
    );
    assert_eq!(
        value_to_json(&Value::exact(ValueKind::Float, "1")),
        Json::from("1")
    );
    assert_eq!(value_to_json(&Value::null()), Json::Null);
    assert_eq!(value_to_json(&Value::bool(true)), Json::Bool(true));
}
