//! Freezes and lifts: valid signers, matching of lift and freeze, and time checks.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    Freeze, LiftClock, SignerInfo, Unfreeze, verify_freeze, verify_lift, verify_unfreeze,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{DeploymentEnvironment, OperatorKey, TrustFile, TrustLimits};
use zeroize::Zeroizing;

const APPLIER: u8 = 1;
const VIEWER: u8 = 2;
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
    TrustFile {
        version: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        readers: Vec::new(),
        writers: Vec::new(),
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

fn approver(person: &str, seed: u8, role: &str) -> SignerInfo {
    SignerInfo {
        key_id: key(seed).key_id(),
        person: person.to_owned(),
        role: role.to_owned(),
    }
}

fn freeze() -> Freeze {
    Freeze {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        approver: approver("vic", VIEWER, "viewer"),
        issued_at: now(),
        nonce: "a".repeat(32),
        reason: None,
    }
}

fn sealed(freeze: &Freeze, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::Freeze, freeze, &key(seed)).unwrap()
}

fn lift(digest: Option<Digest>) -> Unfreeze {
    Unfreeze {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        writer: if digest.is_some() { "" } else { "w1" }.to_owned(),
        approver: approver("ann", APPLIER, "applier"),
        issued_at: now(),
        expires_at: now() + Span::minutes(5),
        nonce: "b".repeat(32),
        freeze_digest: digest,
    }
}

fn seal_lift(lift: &Unfreeze, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::Unfreeze, lift, &key(seed)).unwrap()
}

fn digest() -> Digest {
    Digest::of_typed("x", b"freeze")
}

#[test]
fn freeze_is_valid_under_each_key_that_is_not_revoked() {
    let signed = sealed(&freeze(), VIEWER);
    assert_eq!(verify_freeze(&signed, &trust()).unwrap().person(), "vic");
    let code = |trust: &TrustFile, signed: &DsseEnvelope| verify_freeze(signed, trust).unwrap_err().code;
    let mut revoked = trust();
    revoked.operators[1].revoked = true;
    assert_eq!(code(&revoked, &signed), ErrorCode::RefusedKey);
    assert_eq!(
        code(&trust(), &sealed(&freeze(), STRANGER)),
        ErrorCode::RefusedKey
    );
    let mut altered = signed.clone();
    altered.signatures[0].sig[0] ^= 1;
    assert_eq!(code(&trust(), &altered), ErrorCode::RefusedSignature);
}

#[test]
fn freeze_depends_on_no_clock() {
    for hours in [-100_000, -2, 2, 100_000] {
        let mut freeze = freeze();
        freeze.issued_at = now() + Span::minutes(hours * 60);
        let mut trust = trust();
        // The key's own window ended, or has not begun.
        trust.operators[1].not_before = freeze.issued_at + Span::days(1);
        trust.operators[1].not_after = freeze.issued_at + Span::days(2);
        assert!(verify_freeze(&sealed(&freeze, VIEWER), &trust).is_ok(), "{hours}");
    }
}

#[test]
fn rejects_a_freeze_of_another_deployment_or_environment() {
    let mut other = freeze();
    other.deployment_id = "d2".to_owned();
    let code = |freeze| verify_freeze(&sealed(freeze, VIEWER), &trust()).unwrap_err().code;
    assert_eq!(code(&other), ErrorCode::RefusedAudience);
    let mut other = freeze();
    other.environment = DeploymentEnvironment::Production;
    assert_eq!(code(&other), ErrorCode::RefusedAudience);
}

#[test]
fn lift_names_its_freeze_and_needs_an_applier_and_the_clock() {
    let clock = LiftClock::Now(now());
    let signed = seal_lift(&lift(Some(digest())), APPLIER);
    assert_eq!(
        verify_lift(&signed, &trust(), clock).unwrap().freeze_digest(),
        digest()
    );
    let code = |lift: &Unfreeze, seed, clock| {
        verify_lift(&seal_lift(lift, seed), &trust(), clock)
            .unwrap_err()
            .code
    };
    let mut by_viewer = lift(Some(digest()));
    by_viewer.approver = approver("vic", VIEWER, "applier");
    assert_eq!(code(&by_viewer, VIEWER, clock), ErrorCode::RefusedRole);
    assert_eq!(code(&lift(None), APPLIER, clock), ErrorCode::RefusedMalformed);
    let late = LiftClock::Now(now() + Span::minutes(6));
    assert_eq!(
        code(&lift(Some(digest())), APPLIER, late),
        ErrorCode::RefusedExpired
    );
    let early = LiftClock::Now(now() + Span::minutes(-6));
    assert_eq!(
        code(&lift(Some(digest())), APPLIER, early),
        ErrorCode::RefusedFuture
    );
    let mut long = lift(Some(digest()));
    long.expires_at = now() + Span::days(1);
    assert_eq!(
        code(&long, APPLIER, LiftClock::Recorded),
        ErrorCode::RefusedExpired
    );
    assert!(verify_lift(&signed, &trust(), LiftClock::Recorded).is_ok());
}

#[test]
fn unfreeze_keeps_its_bytes_and_ends_no_signed_freeze() {
    let payload = seal_lift(&lift(None), APPLIER).payload;
    assert!(!String::from_utf8(payload).unwrap().contains("freeze_digest"));
    let old = seal_lift(&lift(None), APPLIER);
    assert_eq!(verify_unfreeze(&old, &trust(), "w1", now()).unwrap(), "ann");
    let new = seal_lift(&lift(Some(digest())), APPLIER);
    let refused = verify_unfreeze(&new, &trust(), "", now()).unwrap_err();
    assert_eq!(refused.code, ErrorCode::RefusedMalformed);
}
