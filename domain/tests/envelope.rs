//! Result envelopes in both formats.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use serde_json::Value as Json;
use synapsor_codes::{ErrorCode, SafeCode};
use synapsor_domain::context::{Provenance, TrustedContext};
use synapsor_domain::contract::{Mode, ResultFormat, ToolKind};
use synapsor_domain::error::PublicError;
use synapsor_domain::result_envelope::{
    CallOutcome, ColumnDiff, EnvelopeState, FailureResult, ProposalResult, ReadResult, TruncatedColumn,
    cut_text, model_text, value_to_json,
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
        truncated: &[],
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
        truncated: &[],
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

/// What a model pays for a row: half as much again as the row, and a fixed part.
#[test]
fn one_row_costs_little_more_than_itself() {
    let context = context();
    let wide = |bytes: usize| vec![ColumnValue::new("note", Value::text("x".repeat(bytes)))];
    let uuid = "9f1c1d2e-8a55-4b8e-9a52-0c9d0c6c2f11";
    let long = "L".repeat(128);
    for (table, key, row) in [
        ("loans", "L-1", row()),
        ("loans", "L-1", wide(0)),
        (
            "a_table_with_a_rather_long_name_of_sixty_characters_in_total",
            "1",
            wide(1),
        ),
        ("loans", uuid, vec![ColumnValue::new("id", Value::text(uuid))]),
        ("loans", &long, wide(40)),
        ("loans", "L-1", wide(60_000)),
    ] {
        let outcome = CallOutcome::Read(ReadResult {
            capability: "loans_of_the_central_library.inspect_one_loan",
            mode: Mode::Review,
            object: (table, key),
            context: &context,
            row: &row,
            truncated: &[],
            evidence_id: "ev_0123456789abcdef0123",
        });
        let envelope = outcome.to_json(ResultFormat::V2);
        let bytes = envelope["data"].to_string().len();
        let text = model_text(&envelope, ResultFormat::V2);
        assert!(
            text.len() <= bytes * 3 / 2 + 150,
            "{} for {bytes}: {text}",
            text.len()
        );
        assert!(text.starts_with(r#"{"ok":true,"#), "{text}");
    }
}

/// The text that a model was shown is accepted as an argument; signed objects keep the database's text.
#[test]
fn times_reach_models_in_the_form_of_rfc_3339() {
    let context = context();
    let shown = |kind: ValueKind, text: &str| {
        let row = [ColumnValue::new("at", Value::exact(kind, text))];
        let json = read_outcome(&context, &row).to_json(ResultFormat::V2);
        json["data"]["at"].as_str().unwrap().to_owned()
    };
    for (kind, text, expected) in [
        (ValueKind::Tstz, "2026-01-31 13:05:59+00", "2026-01-31T13:05:59Z"),
        (
            ValueKind::Tstz,
            "2026-01-31 13:05:59.123+00",
            "2026-01-31T13:05:59.123Z",
        ),
        (ValueKind::Ts, "2026-01-31 13:05:59.5", "2026-01-31T13:05:59.5"),
        (ValueKind::Ts, "2026-01-31 00:00:00", "2026-01-31T00:00:00"),
        (ValueKind::Tstz, "infinity", "infinity"),
        (ValueKind::Ts, "-infinity", "-infinity"),
        (
            ValueKind::Tstz,
            "0044-03-15 00:00:00+00 BC",
            "0044-03-15 00:00:00+00 BC",
        ),
        (ValueKind::Ts, "12026-01-31 13:05:59", "12026-01-31 13:05:59"),
        (ValueKind::Date, "2026-01-31", "2026-01-31"),
        (ValueKind::Text, "2026-01-31 13:05:59", "2026-01-31 13:05:59"),
    ] {
        assert_eq!(shown(kind, text), expected, "{kind:?}");
    }
    let moment = Value::exact(ValueKind::Tstz, "2026-01-31 13:05:59+00");
    assert_eq!(
        value_to_json(&moment),
        "2026-01-31 13:05:59+00",
        "evidence and diff"
    );
}

#[test]
fn cut_columns_are_named_with_their_length() {
    let cut = |text: &str, max_chars: u32| {
        cut_text(&Value::text(text), max_chars)
            .map(|(value, chars)| (value.as_text().unwrap().to_owned(), chars))
    };
    assert_eq!(cut("abc", 3), None);
    assert_eq!(cut("", 1), None);
    assert_eq!(cut("abcd", 3), Some(("abc".to_owned(), 4)));
    assert_eq!(
        cut("\u{fc}\u{1f600}x", 2),
        Some(("\u{fc}\u{1f600}".to_owned(), 3)),
        "characters, not bytes"
    );
    assert!(cut_text(&Value::null(), 1).is_none());
    let (context, row) = (context(), row());
    let truncated = [TruncatedColumn {
        column: "note".to_owned(),
        chars: 60_000,
    }];
    let outcome = CallOutcome::Read(ReadResult {
        capability: "loans.inspect_loan",
        mode: Mode::Review,
        object: ("loans", "L-1"),
        context: &context,
        row: &row,
        truncated: &truncated,
        evidence_id: "ev_0123456789abcdef0123",
    });
    for format in [ResultFormat::V1, ResultFormat::V2] {
        let envelope = outcome.to_json(format);
        assert_eq!(envelope["truncated"], serde_json::json!({"note": 60_000}));
        assert!(model_text(&envelope, format).contains("truncated"));
    }
}

#[test]
fn every_failure_text_has_its_correlation_id() {
    for code in ErrorCode::ALL {
        let refusal = PublicError::new(*code, "Name what to change.");
        let failure = FailureResult {
            capability: "loans.inspect_loan",
            kind: None,
            context: None,
            refusal: &refusal,
            correlation_id: "qa_0123456789abcdef0123",
        };
        for format in [ResultFormat::V1, ResultFormat::V2] {
            let text = model_text(&CallOutcome::Failure(failure).to_json(format), format);
            assert!(
                text.contains("Correlation id: qa_0123456789abcdef0123."),
                "{code}: {text}"
            );
        }
    }
}

#[test]
fn busy_slow_and_unreachable_services_are_told_apart() {
    let message = |code: ErrorCode| {
        let refusal = PublicError::new(code, "");
        let failure = FailureResult {
            capability: "loans.inspect_loan",
            kind: None,
            context: None,
            refusal: &refusal,
            correlation_id: "q",
        };
        let envelope = CallOutcome::Failure(failure).to_json(ResultFormat::V2);
        assert_eq!(envelope["error"]["code"], "TEMPORARILY_UNAVAILABLE");
        envelope["error"]["message"].as_str().unwrap().to_owned()
    };
    for code in [
        ErrorCode::SourceBusy,
        ErrorCode::ExecutorBusy,
        ErrorCode::StoreBusy,
    ] {
        assert!(message(code).contains("busy"), "{code}");
    }
    assert!(message(ErrorCode::SourceTimeout).contains("in time"));
    for code in [ErrorCode::TokenKeysUnavailable, ErrorCode::TokenKeysUnreadable] {
        assert!(message(code).contains("Access tokens"), "{code}");
    }
    for code in [ErrorCode::SourceUnavailable, ErrorCode::ExecutorUnavailable] {
        let text = message(code);
        assert!(
            text.contains("cannot be reached") && !text.contains("busy"),
            "{code}: {text}"
        );
    }
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
        kind: Some(ToolKind::Proposal),
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
        (ErrorCode::SecretFileOpen, SafeCode::TemporarilyUnavailable),
        (ErrorCode::SettingInvalid, SafeCode::TemporarilyUnavailable),
        (ErrorCode::DatabaseUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::LedgerUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::ExecutorUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::StoreBusy, SafeCode::TemporarilyUnavailable),
        (ErrorCode::TokenKeysUnavailable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::TokenKeysUnreadable, SafeCode::TemporarilyUnavailable),
        (ErrorCode::ValueDoesNotFit, SafeCode::InvalidArgument),
        (ErrorCode::ConflictGuardNull, SafeCode::PolicyViolation),
        (ErrorCode::VersionConflict, SafeCode::VersionConflict),
        (ErrorCode::MultiRowBlocked, SafeCode::MultiRowBlocked),
        (ErrorCode::RowTooLarge, SafeCode::RowTooLarge),
        (ErrorCode::ValueUnreadable, SafeCode::ValueUnreadable),
        (ErrorCode::ColumnNotWritable, SafeCode::ColumnNotWritable),
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
        kind: Some(ToolKind::Read),
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
            kind: Some(ToolKind::Read),
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
