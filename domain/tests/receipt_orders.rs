//! Receipt orders and findings: valid signers, required content and time checks.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    ReceiptAction, ReceiptOrder, SignerInfo, verify_receipt_order, verify_receipt_order_at,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::{REASON_CHARS_MAX, RECEIPT_REFS_MAX};
use synapsor_domain::log::TreeHead;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{
    DeploymentEnvironment, OperatorKey, Position, ServiceKey, TrustFile, TrustLimits,
};
use synapsor_domain::writeback::{
    Receipt, ReceiptDiscrepancy, ReceiptFinding, ReceiptOutcome, ReceiptRef, verify_receipt_finding,
};
use zeroize::Zeroizing;

const APPLIER: u8 = 1;
const VIEWER: u8 = 2;
const WRITER: u8 = 3;
const STRANGER: u8 = 9;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

fn trust() -> TrustFile {
    let operator = |person: &str, seed, role: &str| OperatorKey {
        person: person.to_owned(),
        key_id: key(seed).key_id(),
        public_key: key(seed).public_key(),
        roles: vec![role.to_owned()],
        capabilities: Vec::new(),
        tenants: Vec::new(),
        not_before: now() + Span::days(-10),
        not_after: now() + Span::days(10),
        revoked: false,
        retired: false,
        retired_at_size: None,
        retired_at_root: None,
        pinned_at: None,
    };
    let writer = ServiceKey {
        key_id: key(WRITER).key_id(),
        public_key: key(WRITER).public_key(),
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
        writers: vec![writer],
        ledgers: Vec::new(),
        operators: vec![
            operator("ann", APPLIER, "applier"),
            operator("vic", VIEWER, "viewer"),
        ],
        aliases: [].into(),
        separation_of_duties: None,
        ceilings: TrustLimits::default(),
        recoveries: Vec::new(),
    }
}

fn named(n: u8) -> ReceiptRef {
    ReceiptRef {
        proposal_id: ProposalId::from_random([n; 10]),
        receipt_digest: Digest::from_bytes([n; 32]),
    }
}

fn refs(count: u8) -> Vec<ReceiptRef> {
    let mut refs: Vec<_> = (1..=count).map(named).collect();
    refs.sort();
    refs
}

fn order() -> ReceiptOrder {
    ReceiptOrder {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        source: "main".to_owned(),
        action: ReceiptAction::GiveUp,
        receipts: refs(2),
        before: None,
        approver: SignerInfo {
            key_id: key(APPLIER).key_id(),
            person: "ann".to_owned(),
            role: "applier".to_owned(),
        },
        issued_at: now(),
        nonce: "a".repeat(32),
        reason: None,
    }
}

fn seal(order: &ReceiptOrder, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::ReceiptOrder, order, &key(seed)).unwrap()
}

fn refused(change: impl FnOnce(&mut ReceiptOrder)) -> ErrorCode {
    let mut order = order();
    change(&mut order);
    let verdict = verify_receipt_order(&seal(&order, APPLIER), &trust(), now());
    verdict.unwrap_err().code
}

#[test]
fn applier_signs_receipt_orders() {
    let verified = verify_receipt_order(&seal(&order(), APPLIER), &trust(), now()).unwrap();
    assert_eq!((verified.person(), verified.order()), ("ann", &order()));
    assert_eq!(
        verified.digest(),
        seal(&order(), APPLIER).digest(ObjectKind::ReceiptOrder).unwrap()
    );
}

#[test]
fn rejects_an_order_of_another_key_person_or_role() {
    let code = |envelope: &DsseEnvelope, trust: &TrustFile| {
        verify_receipt_order(envelope, trust, now()).unwrap_err().code
    };
    assert_eq!(code(&seal(&order(), STRANGER), &trust()), ErrorCode::RefusedKey);
    // A key of the file with another operator's name.
    assert_eq!(code(&seal(&order(), VIEWER), &trust()), ErrorCode::RefusedKey);
    let mut viewer = order();
    viewer.approver.person = "vic".to_owned();
    viewer.approver.key_id = key(VIEWER).key_id();
    assert_eq!(code(&seal(&viewer, VIEWER), &trust()), ErrorCode::RefusedRole);
    assert_eq!(
        refused(|o| o.approver.key_id = key(VIEWER).key_id()),
        ErrorCode::RefusedKey
    );
    assert_eq!(
        refused(|o| o.approver.role = "approver".to_owned()),
        ErrorCode::RefusedRole
    );
    let mut revoked = trust();
    revoked.operators[0].revoked = true;
    assert_eq!(code(&seal(&order(), APPLIER), &revoked), ErrorCode::RefusedKey);
    let mut ended = trust();
    ended.operators[0].not_after = now() + Span::days(-1);
    assert_eq!(code(&seal(&order(), APPLIER), &ended), ErrorCode::RefusedKey);
    let kind = DsseEnvelope::sign(ObjectKind::Unfreeze, &order(), &key(APPLIER)).unwrap();
    assert_eq!(code(&kind, &trust()), ErrorCode::RefusedMalformed);
}

#[test]
fn rejects_content_that_does_not_fit_the_action() {
    let changes: [fn(&mut ReceiptOrder); 10] = [
        |o| o.v = 2,
        |o| o.receipts.clear(),
        |o| o.before = Some(now()),
        |o| o.action = ReceiptAction::Archive,
        |o| {
            o.action = ReceiptAction::Archive;
            o.receipts.clear();
        },
        |o| {
            o.action = ReceiptAction::Archive;
            o.before = Some(now());
        },
        |o| o.receipts.reverse(),
        |o| o.receipts.push(o.receipts[1].clone()),
        |o| {
            let ids = (0..=RECEIPT_REFS_MAX).map(|n| {
                let mut bytes = [0; 10];
                bytes[..8].copy_from_slice(&u64::try_from(n).unwrap().to_be_bytes());
                ProposalId::from_random(bytes)
            });
            let receipt_digest = Digest::from_bytes([1; 32]);
            o.receipts = ids
                .map(|proposal_id| ReceiptRef {
                    proposal_id,
                    receipt_digest,
                })
                .collect();
            o.receipts.sort();
        },
        |o| o.reason = Some("x".repeat(REASON_CHARS_MAX + 1)),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(refused(change), ErrorCode::RefusedMalformed, "{at}");
    }
    assert_eq!(
        refused(|o| o.deployment_id = "d2".to_owned()),
        ErrorCode::RefusedAudience
    );
    assert_eq!(
        refused(|o| o.environment = DeploymentEnvironment::Production),
        ErrorCode::RefusedAudience
    );
}

#[test]
fn archive_cutoff_is_at_most_the_signature_time() {
    let archive = |before| {
        let mut order = order();
        order.action = ReceiptAction::Archive;
        order.receipts.clear();
        order.before = Some(before);
        verify_receipt_order(&seal(&order, APPLIER), &trust(), now())
    };
    assert!(archive(now()).is_ok());
    let future = archive(now() + Span::millis(1)).unwrap_err();
    assert_eq!(future.code, ErrorCode::RefusedMalformed);
}

#[test]
fn receipt_order_expires_after_15_minutes() {
    let signed = seal(&order(), APPLIER);
    let code = |seconds| {
        let verdict = verify_receipt_order(&signed, &trust(), now() + Span::seconds(seconds));
        verdict.err().map(|refusal| refusal.code)
    };
    assert_eq!(code(0), None);
    assert_eq!(code(15 * 60 - 1), None);
    assert_eq!(code(15 * 60), Some(ErrorCode::RefusedExpired));
    assert_eq!(code(-3_600), Some(ErrorCode::RefusedFuture));
    let earlier = now() + Span::minutes(-60);
    let text = verify_receipt_order(&signed, &trust(), earlier)
        .unwrap_err()
        .public;
    for time in [now(), earlier] {
        assert!(text.contains(&time.to_string()), "both clocks are named: {text}");
    }
    // The log holds it, so it was submitted in time; no clock is consulted.
    assert!(verify_receipt_order_at(&signed, &trust(), &Position::Unproven).is_ok());
}

#[test]
fn order_of_retired_key_is_valid_only_before_retirement() {
    let signed = seal(&order(), APPLIER);
    let head = TreeHead {
        size: 10,
        root: [7; 32],
    };
    let mut trust = trust();
    trust.operators[0].retired = true;
    trust.operators[0].retired_at_size = Some(head.size);
    trust.operators[0].retired_at_root = Some(hex::encode(head.root));
    let is_known = move |known: &TreeHead| *known == head;
    let no = |_: &TreeHead| false;
    let at = |index, continues: &(dyn Fn(&TreeHead) -> bool + Sync)| {
        verify_receipt_order_at(&signed, &trust, &Position::Logged { index, continues }).is_ok()
    };
    assert!(at(9, &is_known));
    assert!(!at(10, &is_known));
    assert!(!at(9, &no));
    assert!(verify_receipt_order_at(&signed, &trust, &Position::Unproven).is_err());
    assert!(verify_receipt_order(&signed, &trust, now()).is_err());
}

#[test]
fn rejects_receipt_order_with_any_flipped_bit() {
    let signed = seal(&order(), APPLIER);
    for bit in 0..signed.payload.len() * 8 {
        let mut altered = signed.clone();
        altered.payload[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_receipt_order(&altered, &trust(), now()).is_err(), "{bit}");
    }
    for bit in 0..signed.signatures[0].sig.len() * 8 {
        let mut altered = signed.clone();
        altered.signatures[0].sig[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_receipt_order(&altered, &trust(), now()).is_err(), "{bit}");
    }
}

fn receipt(proposal_id: ProposalId, created_at: Timestamp) -> Receipt {
    Receipt {
        v: 1,
        proposal_id,
        proposal_digest: Digest::from_bytes([5; 32]),
        outcome: ReceiptOutcome::Applied,
        reason: String::new(),
        constraint: None,
        rows_affected: 1,
        previous_version: None,
        new_version: None,
        order_digest: None,
        fence: 1,
        attempt: 1,
        writer: "w1".to_owned(),
        ledger_size: 1,
        ledger_root: "00".repeat(32),
        database_identity: "sqlite:x".to_owned(),
        created_at,
    }
}

#[test]
fn order_allows_exactly_what_its_action_names() {
    let verified = |action, before| {
        let mut order = order();
        order.action = action;
        order.before = before;
        if before.is_some() {
            order.receipts.clear();
        }
        verify_receipt_order(&seal(&order, APPLIER), &trust(), now()).unwrap()
    };
    let (one, other) = (named(1), named(3));
    let missing = |action, before, source: &str, named: &ReceiptRef, digest| {
        let receipt = receipt(named.proposal_id.clone(), now() + Span::days(-1));
        verified(action, before).allows_missing(source, &receipt, digest)
    };
    let give_up = ReceiptAction::GiveUp;
    assert!(missing(give_up, None, "main", &one, one.receipt_digest));
    assert!(!missing(give_up, None, "other", &one, one.receipt_digest));
    assert!(!missing(give_up, None, "main", &one, other.receipt_digest));
    assert!(!missing(give_up, None, "main", &other, other.receipt_digest));
    assert!(!missing(
        ReceiptAction::Adopt,
        None,
        "main",
        &one,
        one.receipt_digest
    ));
    let archive = ReceiptAction::Archive;
    let (before, at) = (now(), now() + Span::days(-1));
    assert!(missing(
        archive,
        Some(before),
        "main",
        &other,
        other.receipt_digest
    ));
    assert!(!missing(
        archive,
        Some(before),
        "other",
        &other,
        other.receipt_digest
    ));
    // A receipt created at exactly the cutoff is not before it.
    assert!(!missing(archive, Some(at), "main", &other, other.receipt_digest));

    let adopts = |action, source: &str, named: &ReceiptRef, digest| {
        verified(action, None).adopts(source, &named.proposal_id, digest)
    };
    assert!(adopts(ReceiptAction::Adopt, "main", &one, one.receipt_digest));
    assert!(!adopts(ReceiptAction::Adopt, "other", &one, one.receipt_digest));
    assert!(!adopts(ReceiptAction::Adopt, "main", &one, other.receipt_digest));
    assert!(!adopts(
        ReceiptAction::Adopt,
        "main",
        &other,
        other.receipt_digest
    ));
    assert!(!adopts(give_up, "main", &one, one.receipt_digest));
}

fn finding() -> ReceiptFinding {
    ReceiptFinding {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        writer: "w1".to_owned(),
        source: "main".to_owned(),
        discrepancy: ReceiptDiscrepancy::EffectLost,
        receipts: refs(2),
        database_identity: "sqlite:x".to_owned(),
        at: now(),
    }
}

fn seal_finding(finding: &ReceiptFinding, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::ReceiptFinding, finding, &key(seed)).unwrap()
}

#[test]
fn finding_is_valid_under_an_active_writer_key() {
    let signed = seal_finding(&finding(), WRITER);
    assert_eq!(verify_receipt_finding(&signed, &trust()).unwrap(), finding());
    let code = |envelope: &DsseEnvelope, trust: &TrustFile| {
        verify_receipt_finding(envelope, trust).unwrap_err().code
    };
    assert_eq!(
        code(&seal_finding(&finding(), STRANGER), &trust()),
        ErrorCode::RefusedKey
    );
    assert_eq!(
        code(&seal_finding(&finding(), APPLIER), &trust()),
        ErrorCode::RefusedKey
    );
    let mut retired = trust();
    retired.writers[0].retired = true;
    assert_eq!(code(&signed, &retired), ErrorCode::RefusedKey);
    for bit in 0..signed.payload.len() * 8 {
        let mut altered = signed.clone();
        altered.payload[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(code(&altered, &trust()), ErrorCode::RefusedSignature, "{bit}");
    }
}

#[test]
fn rejects_a_finding_of_another_form_or_deployment() {
    let code = |change: fn(&mut ReceiptFinding)| {
        let mut finding = finding();
        change(&mut finding);
        let verdict = verify_receipt_finding(&seal_finding(&finding, WRITER), &trust());
        verdict.unwrap_err().code
    };
    assert_eq!(code(|f| f.v = 2), ErrorCode::RefusedMalformed);
    assert_eq!(code(|f| f.receipts.clear()), ErrorCode::RefusedMalformed);
    assert_eq!(code(|f| f.receipts.reverse()), ErrorCode::RefusedMalformed);
    assert_eq!(
        code(|f| f.deployment_id = "d2".to_owned()),
        ErrorCode::RefusedAudience
    );
    assert_eq!(
        code(|f| f.environment = DeploymentEnvironment::Dev),
        ErrorCode::RefusedAudience
    );
}
