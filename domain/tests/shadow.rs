//! Human actions and comparisons: valid signers, subject, content and time checks, and typed equality.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{SignatureAudience, SignerInfo};
use synapsor_domain::contract::VersionAdvance;
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::{
    ApprovalTerms, GuardKind, Operation, Proposal, ProposalMode, Requester, RowGuard, RowTarget, SourceRef,
};
use synapsor_domain::shadow::{
    ComparisonStatus, HumanAction, ShadowComparison, typed_patch, verify_human_action, verify_human_action_at,
};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{DeploymentEnvironment, OperatorKey, Position, TrustFile, TrustLimits};
use synapsor_domain::value::{ColumnValue, Value, ValueKind};
use zeroize::Zeroizing;

const LEAD: u8 = 1;
const VIEWER: u8 = 2;
const STRANGER: u8 = 9;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

fn digest(text: &str) -> Digest {
    Digest::of_typed("text/plain", text.as_bytes())
}

fn trust() -> TrustFile {
    let operator = |person: &str, seed, role: &str| OperatorKey {
        person: person.to_owned(),
        key_id: key(seed).key_id(),
        public_key: key(seed).public_key(),
        roles: vec![role.to_owned()],
        capabilities: Vec::new(),
        tenants: vec!["north".to_owned()],
        not_before: now() + Span::days(-10),
        not_after: now() + Span::days(10),
        revoked: false,
        retired: false,
        retired_at_size: None,
        retired_at_root: None,
        pinned_at: None,
    };
    TrustFile {
        version: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        readers: Vec::new(),
        writers: Vec::new(),
        ledgers: Vec::new(),
        operators: vec![operator("ann", LEAD, "lead"), operator("vic", VIEWER, "viewer")],
        aliases: [].into(),
        separation_of_duties: None,
        ceilings: TrustLimits::default(),
        recoveries: Vec::new(),
    }
}

fn proposal() -> Proposal {
    Proposal {
        approval: ApprovalTerms {
            quorum: 1,
            required_role: "lead".to_owned(),
        },
        args: [].into(),
        before: vec![
            ColumnValue::new("fee_cents", Value::int(250)),
            ColumnValue::new("rate", Value::exact(ValueKind::Dec, "1.50")),
            ColumnValue::new("serial", Value::int(9_007_199_254_740_993)),
        ],
        capability: "loans.propose_fee".to_owned(),
        context_binding: digest("binding"),
        contract_digest: digest("contract"),
        created_at: now(),
        environment: DeploymentEnvironment::Staging,
        evidence: Vec::new(),
        executor: "sql_update".to_owned(),
        guard: RowGuard {
            kind: GuardKind::VersionColumn,
            version: Some(ColumnValue::new("version", Value::int(7))),
            declared_type: None,
            strength: None,
            advance: VersionAdvance::Increment,
        },
        id: ProposalId::from_random([2; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        mode: ProposalMode::Shadow,
        not_after: now(),
        on_behalf_of: None,
        operation: Operation::Update,
        requested_by: Requester {
            tenant: "north".to_owned(),
            principal: "agent-1".to_owned(),
            provenance: "environment".to_owned(),
            client: "spiffe://d1/gateway/g1".to_owned(),
        },
        schema_fingerprint: digest("schema"),
        set: vec![
            ColumnValue::new("fee_cents", Value::int(0)),
            ColumnValue::new("note", Value::text("waived")),
            ColumnValue::new("version", Value::int(8)),
        ],
        side_effects: Vec::new(),
        source: SourceRef {
            id: "loans_db".to_owned(),
            engine: "postgres".to_owned(),
            fingerprint: "f".to_owned(),
        },
        target: RowTarget {
            schema: "public".to_owned(),
            table: "loans".to_owned(),
            keys: vec![ColumnValue::new("loan_no", Value::text("L-1"))],
            tenant: Some(ColumnValue::new("library", Value::text("north"))),
        },
        v: 2,
    }
}

fn action() -> HumanAction {
    HumanAction {
        v: 1,
        proposal_id: proposal().id,
        proposal_digest: digest("proposal"),
        audience: SignatureAudience {
            deployment_id: "d1".to_owned(),
            environment: DeploymentEnvironment::Staging,
            source_id: "loans_db".to_owned(),
        },
        operator: SignerInfo {
            key_id: key(LEAD).key_id(),
            person: "ann".to_owned(),
            role: "lead".to_owned(),
        },
        patch: patch(json!({"fee_cents": 0, "note": "waived"})),
        notes: Some("agreed by phone".to_owned()),
        issued_at: now(),
        nonce: "a".repeat(32),
    }
}

fn patch(object: Json) -> Vec<ColumnValue> {
    typed_patch(&proposal(), object.as_object().unwrap()).unwrap()
}

fn seal(action: &HumanAction, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::HumanAction, action, &key(seed)).unwrap()
}

fn refused(change: impl FnOnce(&mut HumanAction)) -> ErrorCode {
    let mut action = action();
    change(&mut action);
    let subject = (&proposal(), digest("proposal"));
    let verdict = verify_human_action(&seal(&action, LEAD), &trust(), now(), subject);
    verdict.unwrap_err().code
}

#[test]
fn operator_with_the_role_signs_human_actions() {
    let (proposal, envelope) = (proposal(), seal(&action(), LEAD));
    let subject = (&proposal, digest("proposal"));
    let verified = verify_human_action(&envelope, &trust(), now(), subject).unwrap();
    assert_eq!((verified.person(), verified.action()), ("ann", &action()));
    // What the log holds was submitted in time.
    let later = verify_human_action_at(&envelope, &trust(), &Position::Unproven, subject);
    assert_eq!(later.unwrap(), verified);
}

#[test]
fn rejects_other_signers_subjects_and_times() {
    let subject_of = |proposal: &Proposal, seed| {
        let subject = (proposal, digest("proposal"));
        let verdict = verify_human_action(&seal(&action(), seed), &trust(), now(), subject);
        verdict.unwrap_err().code
    };
    assert_eq!(subject_of(&proposal(), STRANGER), ErrorCode::RefusedKey);
    assert_eq!(subject_of(&proposal(), VIEWER), ErrorCode::RefusedKey);
    let mut other = proposal();
    other.mode = ProposalMode::Review;
    assert_eq!(subject_of(&other, LEAD), ErrorCode::NotShadowProposal);
    let mut other = proposal();
    other.requested_by.tenant = "south".to_owned();
    assert_eq!(subject_of(&other, LEAD), ErrorCode::RefusedRole);
    let mut revoked = trust();
    revoked.operators[0].revoked = true;
    let subject = (&proposal(), digest("proposal"));
    let verdict = verify_human_action(&seal(&action(), LEAD), &revoked, now(), subject);
    assert_eq!(verdict.unwrap_err().code, ErrorCode::RefusedKey);
    assert_eq!(
        refused(|a| a.operator.role = "viewer".to_owned()),
        ErrorCode::RefusedRole
    );
    assert_eq!(
        refused(|a| a.operator.person = "vic".to_owned()),
        ErrorCode::RefusedKey
    );
    assert_eq!(
        refused(|a| a.proposal_digest = digest("other")),
        ErrorCode::RefusedDigest
    );
    assert_eq!(
        refused(|a| a.audience.deployment_id = "d2".to_owned()),
        ErrorCode::RefusedAudience
    );
    assert_eq!(
        refused(|a| a.issued_at = now() + Span::minutes(2)),
        ErrorCode::RefusedFuture
    );
    assert_eq!(
        refused(|a| a.issued_at = now() + Span::minutes(-15)),
        ErrorCode::RefusedExpired
    );
    assert_eq!(refused(|a| a.v = 2), ErrorCode::RefusedMalformed);
    assert_eq!(refused(|a| a.nonce = "x".to_owned()), ErrorCode::RefusedMalformed);
    assert_eq!(refused(|a| a.patch.reverse()), ErrorCode::RefusedMalformed);
    let twice = |a: &mut HumanAction| a.patch.push(a.patch[1].clone());
    assert_eq!(refused(twice), ErrorCode::RefusedMalformed);
}

#[test]
fn rejects_secrets_in_patch_and_notes() {
    let with = |column: &str, value: &str| vec![ColumnValue::new(column, Value::text(value))];
    for patch in [
        with("user_password", "x"),
        with("note", "postgres://u:p@h/db"),
        with("note", "Bearer abcdefghijklmnop1234"),
    ] {
        assert_eq!(refused(|a| a.patch = patch), ErrorCode::SecretMaterialRejected);
    }
    let notes = |a: &mut HumanAction| a.notes = Some("see https://user:tok@wiki.example/x".to_owned());
    assert_eq!(refused(notes), ErrorCode::SecretMaterialRejected);
}

#[test]
fn values_are_compared_with_their_types() {
    let status = |human: Option<Json>| {
        let human = human.map(patch);
        ShadowComparison::of(&proposal(), human.as_deref()).status
    };
    for (human, expected) in [
        (
            json!({"fee_cents": 0, "note": "waived"}),
            ComparisonStatus::ExactMatch,
        ),
        (json!({"fee_cents": 0}), ComparisonStatus::PartialMatch),
        (
            json!({"fee_cents": 0, "note": "other"}),
            ComparisonStatus::PartialMatch,
        ),
        (
            json!({"fee_cents": 0, "note": "waived", "rate": "1.00"}),
            ComparisonStatus::PartialMatch,
        ),
        (
            json!({"fee_cents": "0", "note": null}),
            ComparisonStatus::Mismatch,
        ),
        (json!({"fee_cents": false}), ComparisonStatus::Mismatch),
        (json!({"rate": "1.50"}), ComparisonStatus::Mismatch),
        (json!({}), ComparisonStatus::Mismatch),
    ] {
        assert_eq!(status(Some(human.clone())), expected, "{human}");
    }
    assert_eq!(status(None), ComparisonStatus::NoHumanAction);
    // The version column that the writer advances was not requested by the agent.
    let human = patch(json!({"fee_cents": 0, "rate": "1.00", "version": 8}));
    let compared = ShadowComparison::of(&proposal(), Some(&human));
    assert_eq!(compared.matching_columns, ["fee_cents"]);
    assert_eq!(compared.missing_from_human, ["note"]);
    assert_eq!(compared.extra_human_columns, ["rate", "version"]);
    assert!(compared.differing_columns.is_empty());
}

#[test]
fn patch_has_the_types_of_the_columns() {
    let read = patch(json!({"rate": "2.00", "serial": "9007199254740994", "fee_cents": 5, "other": "x"}));
    let kinds: Vec<(&str, ValueKind)> = read.iter().map(|c| (c.column.as_str(), c.value.kind())).collect();
    assert_eq!(
        kinds,
        [
            ("fee_cents", ValueKind::Int),
            ("other", ValueKind::Text),
            ("rate", ValueKind::Dec),
            ("serial", ValueKind::Int),
        ]
    );
    for (patch, named) in [
        (json!({"rate": 2}), "rate"),
        (json!({"fee_cents": 0.5}), "fee_cents"),
        (json!({"note": ["x"]}), "note"),
    ] {
        let error = typed_patch(&proposal(), patch.as_object().unwrap()).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
}
