//! Tests of bundle verification: one valid log and every kind of alteration.

mod fixture;
mod retired;

use serde_json::Value as Json;
use synapsor_codes::ErrorCode;

use self::fixture::{READER, ReplayFixture, STRANGER, WRITER, at, digest, ticket, trust};
use super::*;
use crate::approval::DecisionKind;
use crate::canonical;
use crate::context_ticket::ContextTicket;
use crate::ids::ProposalId;
use crate::log::ProvenEntry;
use crate::proposal::ProposalState;
use crate::timestamp::Span;
use crate::trust::DeploymentEnvironment;
use crate::value::Value;
use crate::writeback::{AttemptResult, ReceiptOutcome};

fn code(tale: ReplayFixture) -> ErrorCode {
    verify_bundle(&tale.bundle(), &trust()).unwrap_err().code()
}

#[test]
fn valid_bundle_verifies_and_renders_full_replay() {
    let bytes = ReplayFixture::new().bundle().to_bytes().unwrap();
    let verified = verify(&bytes, &trust()).unwrap();
    assert_eq!(verified.findings, Vec::<String>::new());
    let story = &verified.story;
    assert_eq!(story.state, ProposalState::Applied);
    assert!(story.evidence[0].cited);
    assert_eq!(story.diff[0].before, Some(Value::int(5500)));
    assert_eq!(story.decisions[0].approver.person, "ann");
    assert_eq!(story.orders[0].decision_digests, [story.decisions[0].digest]);
    assert_eq!(
        story.receipt.as_ref().unwrap().receipt.outcome,
        ReceiptOutcome::Applied
    );
    assert_eq!(story.events.len(), 6);
    let page = markdown(story, str::to_uppercase);
    for part in [
        "## Request",
        "## Trusted context",
        "## Evidence",
        "## Diff",
        "`fee`: `5500` to `0`",
        "ann",
        "reason: `CUSTOMER IS RIGHT`",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(
        page.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
        "{page}"
    );
    let argument = "`` \"late `courier`\\u{1B}[31m\" ``";
    assert!(page.contains(argument), "{page}");
}

#[test]
fn writeback_stays_valid_after_expiry_and_key_retirement() {
    let mut trust = trust();
    trust.readers[0].retired = true;
    trust.writers[0].retired = true;
    // The decision expired an hour after it was made; verification uses no clock.
    assert!(
        verify_bundle(&ReplayFixture::new().bundle(), &trust)
            .unwrap()
            .findings
            .is_empty()
    );
}

#[test]
fn later_revoked_key_is_reported_as_finding() {
    let mut trust = trust();
    trust.operators[0].revoked = true;
    let findings = verify_bundle(&ReplayFixture::new().bundle(), &trust)
        .unwrap()
        .findings;
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|f| f.contains("revoked")), "{findings:?}");
}

#[test]
fn bundle_with_evidence_of_a_batch_verifies() {
    for others_in_batch in [1, 15, 63] {
        let in_batch = |signer| {
            let mut tale = ReplayFixture::new();
            tale.others_in_batch = others_in_batch;
            tale.signers.evidence = signer;
            tale
        };
        let verified = verify_bundle(&in_batch(READER).bundle(), &trust()).unwrap();
        assert!(verified.findings.is_empty());
        assert_eq!(code(in_batch(STRANGER)), ErrorCode::BundleEvidence);
    }
}

#[test]
fn rejects_objects_of_keys_missing_from_trust_file() {
    let with = |change: fn(&mut ReplayFixture)| {
        let mut tale = ReplayFixture::new();
        change(&mut tale);
        code(tale)
    };
    assert_eq!(with(|t| t.signers.evidence = STRANGER), ErrorCode::BundleEvidence);
    assert_eq!(with(|t| t.signers.proposal = STRANGER), ErrorCode::BundleProposal);
    assert_eq!(with(|t| t.signers.decision = STRANGER), ErrorCode::BundleDecision);
    assert_eq!(with(|t| t.signers.order = STRANGER), ErrorCode::BundleOrder);
    assert_eq!(with(|t| t.signers.report = STRANGER), ErrorCode::BundleAttempt);
    assert_eq!(with(|t| t.signers.receipt = STRANGER), ErrorCode::BundleReceipt);
    assert_eq!(with(|t| t.checkpoint_key = STRANGER), ErrorCode::BundleCheckpoint);
    // A key of the deployment does not count for another role.
    assert_eq!(with(|t| t.signers.receipt = READER), ErrorCode::BundleReceipt);
    assert_eq!(with(|t| t.signers.evidence = WRITER), ErrorCode::BundleEvidence);
}

#[test]
fn rejects_objects_with_wrong_references() {
    let with = |change: fn(&mut ReplayFixture)| {
        let mut tale = ReplayFixture::new();
        change(&mut tale);
        code(tale)
    };
    assert_eq!(with(|t| t.fixed.evidence_ref = true), ErrorCode::BundleEvidence);
    assert_eq!(
        with(|t| t.evidence.row[2].value = Value::int(1)),
        ErrorCode::BundleEvidence
    );
    assert_eq!(with(|t| t.fixed.decision = true), ErrorCode::BundleDecision);
    assert_eq!(
        with(|t| t.decision.proposal_id = ProposalId::from_random([3; 10])),
        ErrorCode::BundleDecision
    );
    assert_eq!(
        with(|t| {
            t.fixed.order = true;
            t.order.decision_digests = vec![digest("another")];
        }),
        ErrorCode::BundleOrder
    );
    assert_eq!(with(|t| t.fixed.report = true), ErrorCode::BundleAttempt);
    assert_eq!(with(|t| t.fixed.receipt = true), ErrorCode::BundleReceipt);
    assert_eq!(
        with(|t| t.receipt.outcome = ReceiptOutcome::Conflict),
        ErrorCode::BundleReceipt
    );
    assert_eq!(
        with(|t| t.report.result = AttemptResult::InDoubt),
        ErrorCode::BundleReceipt
    );
    assert_eq!(with(|t| t.receipt.ledger_size = 7), ErrorCode::BundleReceipt);
}

#[test]
fn approvals_are_checked_at_the_time_of_the_order() {
    let with = |change: fn(&mut ReplayFixture)| {
        let mut tale = ReplayFixture::new();
        change(&mut tale);
        code(tale)
    };
    // Valid when submitted, expired when the order arrived.
    assert_eq!(
        with(|t| t.decision.expires_at = at(2) + Span::seconds(30)),
        ErrorCode::BundleOrder
    );
    assert_eq!(with(|t| t.decision.expires_at = at(1)), ErrorCode::BundleDecision);
    assert_eq!(with(|t| t.proposal.approval.quorum = 2), ErrorCode::BundleOrder);
    assert_eq!(
        with(|t| t.decision.approver.role = "applier".to_owned()),
        ErrorCode::BundleDecision
    );
    assert_eq!(with(|t| t.order.nonce = "a".repeat(32)), ErrorCode::BundleOrder);
    assert_eq!(
        with(|t| t.decision.decision = DecisionKind::Reject),
        ErrorCode::BundleOrder
    );
    assert_eq!(
        with(|t| t.decision.seen_checkpoint.as_mut().unwrap().size = 6),
        ErrorCode::BundleDecision
    );
    let mut tale = ReplayFixture::new();
    tale.order.approver.person = "bob".to_owned();
    assert_eq!(code(tale), ErrorCode::BundleOrder);
}

#[test]
fn bundle_of_withdrawn_proposal_proves_the_withdrawal() {
    let verified = verify_bundle(&ReplayFixture::new().withdrawn(&ticket(), READER), &trust()).unwrap();
    assert_eq!(verified.story.state, ProposalState::Canceled);
    let line = verified.story.withdrawal.as_ref().unwrap();
    assert_eq!((line.seq, line.gateway.as_str()), (4, "spiffe://d1/x"));
    let page = markdown(&verified.story, str::to_owned);
    assert!(
        page.contains("withdrawn by its agent at 2026-03-01T00:03:00.000Z through `spiffe://d1/x`"),
        "{page}"
    );
    let with = |signer, change: fn(&mut ContextTicket)| {
        let mut ticket = ticket();
        change(&mut ticket);
        verify_bundle(&ReplayFixture::new().withdrawn(&ticket, signer), &trust())
            .err()
            .map(|e| e.code())
    };
    assert_eq!(with(READER, |_| ()), None);
    assert_eq!(with(STRANGER, |_| ()), Some(ErrorCode::BundleWithdrawal));
    assert_eq!(with(WRITER, |_| ()), Some(ErrorCode::BundleWithdrawal));
    assert_eq!(
        with(READER, |t| t.gateway = "spiffe://d1/y".to_owned()),
        Some(ErrorCode::BundleWithdrawal)
    );
    assert_eq!(
        with(READER, |t| t.contexts[0].principal = "other".to_owned()),
        Some(ErrorCode::BundleWithdrawal)
    );
    assert_eq!(
        with(READER, |t| t.contexts[0].tenant = "other".to_owned()),
        Some(ErrorCode::BundleWithdrawal)
    );
    assert_eq!(
        with(READER, |t| t.may_withdraw = false),
        Some(ErrorCode::BundleWithdrawal)
    );
    // The ticket had expired when it was presented.
    assert_eq!(
        with(READER, |t| t.expires_at = at(3)),
        Some(ErrorCode::BundleWithdrawal)
    );
}

#[test]
fn rejects_bundle_of_other_deployment_or_environment() {
    let mut other = trust();
    other.deployment_id = "d2".to_owned();
    let bundle = ReplayFixture::new().bundle();
    assert_eq!(
        verify_bundle(&bundle, &other).unwrap_err().code(),
        ErrorCode::BundleOtherLog
    );
    let mut staging = trust();
    staging.environment = DeploymentEnvironment::Staging;
    assert_eq!(
        verify_bundle(&bundle, &staging).unwrap_err().code(),
        ErrorCode::BundleProposal
    );
}

#[test]
fn rejects_bundle_with_any_changed_json_value() {
    let clean: Json = serde_json::from_slice(&ReplayFixture::new().bundle().to_bytes().unwrap()).unwrap();
    let trust = trust();
    let mut changed = 0;
    for pointer in leaves(&clean, String::new()) {
        for edit in edits(clean.pointer(&pointer).unwrap()) {
            let mut json = clean.clone();
            *json.pointer_mut(&pointer).unwrap() = edit;
            let bytes = canonical::encode_within(&json, BUNDLE_BYTES_MAX).unwrap();
            assert!(verify(&bytes, &trust).is_err(), "{pointer}");
            changed += 1;
        }
    }
    assert!(changed > 60, "{changed}");
}

#[test]
fn rejects_omitted_duplicated_and_swapped_records() {
    let bundle = ReplayFixture::new().bundle();
    let records = bundle.records().unwrap();
    let trust = trust();
    let verdict = |records: &[ProvenEntry]| {
        verify_bundle(
            &ProofBundle::new(&bundle.origin, &bundle.checkpoint, records),
            &trust,
        )
    };
    for left_out in 0..4 {
        let mut fewer = records.clone();
        fewer.remove(left_out);
        assert!(verdict(&fewer).is_err(), "{left_out}");
    }
    let mut doubled = records.clone();
    doubled.push(records[5].clone());
    assert_eq!(verdict(&doubled).unwrap_err(), BundleError::RecordOrder);
    let mut swapped = records;
    swapped.swap(2, 3);
    assert_eq!(verdict(&swapped).unwrap_err(), BundleError::RecordOrder);
}

#[test]
fn rejects_bundle_with_any_changed_byte() {
    let clean = ReplayFixture::new().bundle().to_bytes().unwrap();
    let trust = trust();
    for position in (0..clean.len()).step_by(101) {
        let mut bytes = clean.clone();
        bytes[position] ^= 1;
        assert!(verify(&bytes, &trust).is_err(), "{position}");
    }
}

fn leaves(json: &Json, pointer: String) -> Vec<String> {
    match json {
        Json::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(n, item)| leaves(item, format!("{pointer}/{n}")))
            .collect(),
        Json::Object(map) => map
            .iter()
            .flat_map(|(name, item)| leaves(item, format!("{pointer}/{name}")))
            .collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => vec![pointer],
    }
}

/// Returns other values of the same type: an adjacent number, or a string with one character changed at start,
/// middle or end.
fn edits(leaf: &Json) -> Vec<Json> {
    match leaf {
        Json::Number(number) => vec![Json::from(number.as_u64().unwrap() + 1)],
        Json::String(text) => [0, text.len() / 2, text.len().saturating_sub(3)]
            .into_iter()
            .filter(|n| *n < text.len())
            .map(|n| {
                let mut bytes = text.clone().into_bytes();
                bytes[n] = if bytes[n] == b'A' { b'B' } else { b'A' };
                Json::from(String::from_utf8(bytes).unwrap())
            })
            .collect(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Vec::new(),
    }
}
