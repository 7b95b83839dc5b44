//! Agent views of records.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_domain::agent_view::{
    EventSummary, EvidenceFacts, ProposalSnapshot, ReplayFacts, Visible, evidence_view, proposal_view,
    replay_view,
};
use synapsor_domain::contract::VersionAdvance;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::EventKind;
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::proposal::{
    ApprovalTerms, EvidenceRef, GuardKind, Operation, Proposal, ProposalMode, ProposalState, Requester,
    RowGuard, RowTarget, SourceRef,
};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::value::{ColumnValue, Value, ValueKind};
use synapsor_domain::writeback::{Receipt, ReceiptOutcome};

mod fits;

fn at(minute: i64) -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse::<Timestamp>().unwrap() + Span::minutes(minute)
}

fn digest(text: &str) -> Digest {
    Digest::of_typed("text/plain", text.as_bytes())
}

fn requester() -> Requester {
    Requester {
        tenant: "north".to_owned(),
        principal: "agent-1".to_owned(),
        provenance: "environment".to_owned(),
        client: "spiffe://d1/gateway/SECRET-gateway".to_owned(),
    }
}

fn target() -> RowTarget {
    RowTarget {
        schema: "main".to_owned(),
        table: "loans".to_owned(),
        keys: vec![ColumnValue::new("loan_no", Value::text("L-1"))],
        tenant: Some(ColumnValue::new("library", Value::text("north"))),
    }
}

fn source() -> SourceRef {
    SourceRef {
        id: "loans_db".to_owned(),
        engine: "sqlite".to_owned(),
        fingerprint: "SECRET-fingerprint".to_owned(),
    }
}

fn row() -> Vec<ColumnValue> {
    vec![
        ColumnValue::new("loan_no", Value::text("L-1")),
        ColumnValue::new("library", Value::text("north")),
        ColumnValue::new("fee_cents", Value::int(250)),
        ColumnValue::new("serial", Value::int(9_007_199_254_740_993)),
        ColumnValue::new("rate", Value::exact(ValueKind::Dec, "1.50")),
        ColumnValue::new("home_address", Value::text("HIDDEN street")),
        ColumnValue::new("note", Value::text("HIDDEN note")),
        ColumnValue::new("version", Value::int(77_777)),
    ]
}

fn evidence() -> Evidence {
    Evidence {
        v: 1,
        id: EvidenceId::from_random([1; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        source: source(),
        capability: "loans.propose_fee".to_owned(),
        contract_digest: digest("contract"),
        requested_by: requester(),
        target: target(),
        row: row(),
        query_fingerprint: digest("query"),
        read_at: at(0),
    }
}

fn proposal() -> Proposal {
    Proposal {
        v: 1,
        id: ProposalId::from_random([2; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        source: source(),
        capability: "loans.propose_fee".to_owned(),
        contract_digest: digest("contract"),
        mode: ProposalMode::Review,
        executor: "sql_update".to_owned(),
        operation: Operation::Update,
        args: [("reason".to_owned(), Value::text("courier was late"))].into(),
        target: target(),
        // `note` is patched and not visible; the version is advanced by the writer and not visible.
        set: vec![
            ColumnValue::new("fee_cents", Value::int(0)),
            ColumnValue::new("serial", Value::int(-9_007_199_254_740_993)),
            ColumnValue::new("note", Value::text("courier was late")),
            ColumnValue::new("version", Value::int(77_778)),
        ],
        before: row(),
        guard: RowGuard {
            kind: GuardKind::VersionColumn,
            version: Some(ColumnValue::new("version", Value::int(77_777))),
            advance: VersionAdvance::Increment,
            ..RowGuard::weak()
        },
        schema_fingerprint: digest("schema"),
        side_effects: Vec::new(),
        approval: ApprovalTerms {
            required_role: "SECRET-role".to_owned(),
            quorum: 1,
        },
        requested_by: requester(),
        on_behalf_of: None,
        context_binding: digest("context"),
        evidence: vec![EvidenceRef {
            id: EvidenceId::from_random([1; 10]),
            digest: digest("evidence"),
        }],
        created_at: at(0),
        not_after: at(10_000),
    }
}

fn receipt(outcome: ReceiptOutcome) -> Receipt {
    Receipt {
        v: 1,
        proposal_id: ProposalId::from_random([2; 10]),
        proposal_digest: digest("proposal"),
        outcome,
        reason: if outcome == ReceiptOutcome::Applied {
            ""
        } else {
            "row_changed"
        }
        .to_owned(),
        constraint: None,
        rows_affected: u32::from(outcome == ReceiptOutcome::Applied),
        previous_version: Some(Value::int(77_777)),
        new_version: Some(Value::int(77_778)),
        order_digest: None,
        fence: 1,
        attempt: 1,
        writer: "spiffe://d1/writer/SECRET-writer".to_owned(),
        ledger_size: 4,
        ledger_root: "0".repeat(64),
        database_identity: "SECRET-database".to_owned(),
        created_at: at(3),
    }
}

fn audit() -> AuditRecord {
    AuditRecord {
        arguments_digest: digest("arguments"),
        at: at(0),
        capability: "loans.propose_fee".to_owned(),
        client: "spiffe://d1/gateway/SECRET-gateway".to_owned(),
        columns: row().into_iter().map(|c| c.column).collect(),
        evidence_id: Some(EvidenceId::from_random([1; 10])),
        id: AuditId::from_random([3; 10]),
        primary_key: None,
        primary_keys: Vec::new(),
        principal: Some("agent-1".to_owned()),
        proposal_id: Some(ProposalId::from_random([2; 10])),
        query_fingerprint: Some(digest("query")),
        result: "row".to_owned(),
        row_count: 1,
        source_id: Some("loans_db".to_owned()),
        table: Some("main.loans".to_owned()),
        tenant: Some("north".to_owned()),
        tenant_bound: true,
        v: 1,
    }
}

const EVENTS: [EventSummary; 0] = [];

fn events() -> Vec<EventSummary> {
    let event = |kind, minute| EventSummary { kind, at: at(minute) };
    vec![
        event(EventKind::ProposalCreated, 0),
        event(EventKind::ProposalApproved, 1),
        event(EventKind::ApplyRequested, 2),
        event(EventKind::WritebackStarted, 2),
        event(EventKind::WritebackApplied, 3),
    ]
}

fn facts<'a>(
    proposal: &'a Proposal,
    state: ProposalState,
    events: &'a [EventSummary],
    receipt: Option<&'a Receipt>,
) -> ProposalSnapshot<'a> {
    ProposalSnapshot {
        proposal,
        digest: digest("proposal"),
        state,
        updated_at: at(3),
        events,
        events_omitted: false,
        receipt,
        rejection_reason: Some("wrong fee"),
    }
}

fn visible() -> Vec<String> {
    ["loan_no", "fee_cents", "serial", "rate"]
        .map(str::to_owned)
        .to_vec()
}

fn render(json: &serde_json::Value) -> String {
    serde_json::to_string_pretty(json).unwrap() + "\n"
}

/// Renders every view of an applied proposal.
fn all(visible: Visible<'_>) -> [String; 3] {
    let (proposal, events, receipt) = (proposal(), events(), receipt(ReceiptOutcome::Applied));
    let (evidence, audit, ids) = (evidence(), audit(), [proposal.id.clone()]);
    let snapshot = facts(&proposal, ProposalState::Applied, &events, Some(&receipt));
    let bundle = EvidenceFacts {
        evidence: &evidence,
        audit: Some(&audit),
        proposals: &ids,
    };
    let replay = ReplayFacts {
        proposal: snapshot,
        evidence: &[bundle],
        now: at(5),
    };
    [
        render(&proposal_view(&snapshot, visible)),
        render(&evidence_view(&bundle, visible)),
        render(&replay_view(&replay, visible)),
    ]
}

#[test]
fn agent_views_match_golden_files() {
    let visible = visible();
    let [proposal, evidence, replay] = all(Some(&visible));
    assert_eq!(proposal, include_str!("golden/agent_view/proposal.json"));
    assert_eq!(evidence, include_str!("golden/agent_view/evidence.json"));
    assert_eq!(replay, include_str!("golden/agent_view/replay.json"));
}

#[test]
fn views_omit_hidden_columns_operators_and_keys() {
    let visible = visible();
    for shown in all(Some(&visible)) {
        for hidden in [
            "HIDDEN",
            "SECRET",
            "home_address",
            "77777",
            "77778",
            "ed25519",
            "nonce",
        ] {
            assert!(!shown.contains(hidden), "{hidden}\n{shown}");
        }
    }
}

#[test]
fn removed_capability_shows_no_values() {
    for shown in all(None) {
        for value in [
            "L-1",
            "250",
            "9007199254740993",
            "1.50",
            "courier",
            "fee_cents",
            "HIDDEN",
        ] {
            assert!(!shown.contains(value), "{value}\n{shown}");
        }
    }
}

#[test]
fn source_is_changed_only_with_applied_receipt() {
    let (proposal, visible) = (proposal(), visible());
    for state in ProposalState::ALL {
        for outcome in [
            None,
            Some(ReceiptOutcome::Applied),
            Some(ReceiptOutcome::Conflict),
        ] {
            let receipt = outcome.map(receipt);
            let view = proposal_view(
                &facts(&proposal, state, &EVENTS, receipt.as_ref()),
                Some(&visible),
            );
            let changed = outcome == Some(ReceiptOutcome::Applied);
            assert_eq!(view["proposal"]["source_database_changed"], changed, "{state}");
            assert_eq!(view["proposal"]["writeback"]["applied"], changed, "{state}");
        }
    }
}

/// The tool's output schema lists the patched columns only, so the result of a task must not have more.
#[test]
fn version_that_the_writer_advances_is_never_in_the_diff() {
    let shown = |proposal: &Proposal, visible: &[String]| -> Vec<String> {
        let view = proposal_view(
            &facts(proposal, ProposalState::Applied, &EVENTS, None),
            Some(visible),
        );
        let diff = view["proposal"]["diff"].as_object().unwrap();
        diff.keys().cloned().collect()
    };
    let asked = ["fee_cents", "serial", "note"];
    let mut visible = visible();
    let mut proposal = proposal();
    assert_eq!(shown(&proposal, &visible), asked);
    visible.push("version".to_owned());
    for advance in [VersionAdvance::Increment, VersionAdvance::Now] {
        proposal.guard.advance = advance;
        assert_eq!(shown(&proposal, &visible), asked, "{advance:?}, visible");
    }
    proposal.guard.advance = VersionAdvance::None;
    for visible in [&visible[..], &visible[..1]] {
        assert_eq!(
            shown(&proposal, visible),
            ["fee_cents", "serial", "note", "version"],
            "a version that the agent asked for"
        );
    }
}

#[test]
fn task_envelope_without_evidence_has_none() {
    use synapsor_domain::agent_view::settled_envelope;
    use synapsor_domain::contract::ResultFormat;
    let mut proposal = proposal();
    proposal.evidence.clear();
    let view = proposal_view(&facts(&proposal, ProposalState::Rejected, &EVENTS, None), None);
    let envelope = settled_envelope(&view, ResultFormat::V2).unwrap();
    assert_eq!(envelope["evidence"], serde_json::Value::Null);
}

#[test]
fn rejection_reason_is_shown_only_if_it_ended_the_proposal() {
    let (proposal, visible) = (proposal(), visible());
    for state in ProposalState::ALL {
        let view = proposal_view(&facts(&proposal, state, &EVENTS, None), Some(&visible));
        let is_shown = matches!(state, ProposalState::Rejected | ProposalState::Canceled);
        let reason = is_shown.then_some("wrong fee");
        assert_eq!(
            view["proposal"]["rejection_reason"],
            serde_json::json!(reason),
            "{state}"
        );
    }
}

#[test]
fn status_names_state_reason_and_next_step() {
    use synapsor_domain::agent_view::{AgentProposalState, status_envelope};
    use synapsor_domain::contract::ResultFormat;
    let (proposal, visible) = (proposal(), visible());
    let schema = synapsor_domain::tool::Catalog::from_contract(&contract(), false)
        .tool(synapsor_domain::tool::STATUS_TOOL)
        .unwrap()
        .output_schema
        .clone();
    for state in ProposalState::ALL {
        let outcome = match state {
            ProposalState::Applied => Some(ReceiptOutcome::Applied),
            ProposalState::Conflict => Some(ReceiptOutcome::Conflict),
            ProposalState::Failed => Some(ReceiptOutcome::Failed),
            _ => None,
        };
        let receipt = outcome.map(receipt);
        let view = proposal_view(
            &facts(&proposal, state, &EVENTS, receipt.as_ref()),
            Some(&visible),
        );
        let reason = match state {
            ProposalState::Rejected | ProposalState::Canceled => Some("wrong fee"),
            ProposalState::Conflict | ProposalState::Failed => Some("row_changed"),
            _ => None,
        };
        let envelope = status_envelope(&view, ResultFormat::V2).unwrap();
        assert_eq!(fits::misfit(&schema, &envelope), None, "{state}");
        let data = &envelope["data"];
        let word = AgentProposalState::of(state, ProposalMode::Review).as_str();
        assert_eq!(data["state"], word);
        assert_eq!(data["reason"], serde_json::json!(reason), "{state}");
        assert!(!data["next"].as_str().unwrap().is_empty());
        let is_applied = state == ProposalState::Applied;
        assert_eq!(envelope["source_database_changed"], is_applied, "{state}");
        let old = status_envelope(&view, ResultFormat::V1).unwrap();
        assert_eq!(
            (&old["state"], &old["reason"], &old["source_database_changed"]),
            (
                &data["state"],
                &data["reason"],
                &envelope["source_database_changed"]
            )
        );
    }
    assert!(status_envelope(&serde_json::json!({}), ResultFormat::V2).is_none());
}

fn contract() -> synapsor_domain::contract::Contract {
    let file = include_bytes!("golden/contract/library.json");
    synapsor_domain::contract::Contract::parse(file).unwrap().contract
}

#[test]
fn shadow_proposal_requires_no_approval() {
    let (mut proposal, visible) = (proposal(), visible());
    proposal.mode = ProposalMode::Shadow;
    let view = proposal_view(
        &facts(&proposal, ProposalState::PendingReview, &EVENTS, None),
        Some(&visible),
    );
    assert_eq!(view["proposal"]["state"], "shadow_proposal_created");
    assert_eq!(view["proposal"]["approval_required"], false);
}

/// The tool's own schema names the patched columns and rejects every other member.
#[test]
fn result_of_an_ended_task_fits_its_tool() {
    use synapsor_domain::agent_view::settled_envelope;
    use synapsor_domain::contract::ResultFormat;
    let contract = contract();
    let schema = synapsor_domain::tool::Catalog::from_contract(&contract, false)
        .tool("loans.propose_fee")
        .unwrap()
        .output_schema
        .clone();
    let mut proposal = proposal();
    proposal.set = vec![
        ColumnValue::new("fee_cents", Value::int(0)),
        ColumnValue::new("state", Value::text("lost")),
        ColumnValue::new("note", Value::null()),
        ColumnValue::new("is_settled", Value::bool(false)),
        ColumnValue::new("version", Value::int(77_778)),
    ];
    // Columns that operators hid after the proposal was made keep their place in its diff.
    let (all, few) = (visible(), ["loan_no".to_owned()]);
    for (state, outcome) in [
        (ProposalState::Applied, Some(ReceiptOutcome::Applied)),
        (ProposalState::Conflict, Some(ReceiptOutcome::Conflict)),
        (ProposalState::Failed, Some(ReceiptOutcome::Failed)),
        (ProposalState::Failed, Some(ReceiptOutcome::Abandoned)),
        (ProposalState::Rejected, None),
        (ProposalState::Canceled, Some(ReceiptOutcome::Rejected)),
        (ProposalState::Expired, Some(ReceiptOutcome::Expired)),
    ] {
        let receipt = outcome.map(receipt);
        for visible in [&all[..], &few] {
            let facts = facts(&proposal, state, &EVENTS, receipt.as_ref());
            let record = proposal_view(&facts, Some(visible));
            let envelope = settled_envelope(&record, ResultFormat::V2).unwrap();
            assert_eq!(fits::misfit(&schema, &envelope), None, "{state}");
            let mut other = envelope.clone();
            other["proposal"]["diff"]["revision"] = envelope["proposal"]["diff"]["note"].clone();
            assert!(fits::misfit(&schema, &other).is_some(), "{state}");
        }
    }
}

#[test]
fn final_task_envelope_matches_tool_schema() {
    use synapsor_domain::agent_view::settled_envelope;
    use synapsor_domain::contract::ResultFormat;
    let record: serde_json::Value =
        serde_json::from_str(include_str!("golden/agent_view/proposal.json")).unwrap();
    let envelope = settled_envelope(&record, ResultFormat::V2).unwrap();
    let schema = synapsor_domain::tool::envelope_schema();
    let required = schema["required"].as_array().unwrap();
    let keys: Vec<_> = envelope.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        required.iter().map(|k| k.as_str().unwrap()).collect::<Vec<_>>(),
        keys
    );
    assert_eq!(envelope["proposal"]["state"], "applied");
    assert_eq!(envelope["source_database_changed"], true);
    assert_eq!(envelope["proposal"]["diff"], record["proposal"]["diff"]);
    let states = &schema["properties"]["proposal"]["anyOf"][0]["properties"]["state"]["enum"];
    for state in [
        "review_required",
        "approved",
        "in_doubt",
        "applied",
        "conflict",
        "failed",
        "rejected",
        "canceled",
        "expired",
    ] {
        let mut record = record.clone();
        record["proposal"]["state"] = state.into();
        let word = settled_envelope(&record, ResultFormat::V2).unwrap()["proposal"]["state"].clone();
        assert!(
            states.as_array().unwrap().contains(&word),
            "{state} is reported as {word}"
        );
        assert!(
            word == state || state == "in_doubt",
            "{state} is reported as {word}"
        );
    }
    let old = settled_envelope(&record, ResultFormat::V1).unwrap();
    assert_eq!(
        (old["status"].as_str(), old["source_database_mutated"].as_bool()),
        (Some("applied"), Some(true))
    );
    assert!(settled_envelope(&serde_json::json!({}), ResultFormat::V2).is_none());
}
