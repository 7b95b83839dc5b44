//! Discontinuities: who may sign one, which pins it moves, and that it moves nothing else.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{
    Discontinuity, SignerInfo, SignerTreeHead, recovered_head, verify_discontinuity,
};
use synapsor_domain::log::TreeHead;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{DeploymentEnvironment, OperatorKey, TrustFile, TrustLimits};
use zeroize::Zeroizing;

const ANN: u8 = 1;
const BOB: u8 = 2;
const VIEWER: u8 = 3;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

fn trust(environment: DeploymentEnvironment) -> TrustFile {
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
        environment,
        readers: Vec::new(),
        writers: Vec::new(),
        ledgers: Vec::new(),
        operators: vec![
            operator("ann", ANN, "recovery"),
            operator("bob", BOB, "recovery"),
            operator("vic", VIEWER, "viewer"),
        ],
        aliases: [].into(),
        separation_of_duties: None,
        ceilings: TrustLimits::default(),
        recoveries: Vec::new(),
    }
}

fn head(size: u64) -> TreeHead {
    TreeHead {
        size,
        root: [u8::try_from(size).unwrap(); 32],
    }
}

fn signed_head(size: u64) -> SignerTreeHead {
    SignerTreeHead {
        origin: "synapsor/d1".to_owned(),
        size,
        root: hex::encode(head(size).root),
    }
}

fn statement(environment: DeploymentEnvironment, seed: u8) -> Discontinuity {
    Discontinuity {
        v: 1,
        deployment_id: "d1".to_owned(),
        environment,
        kept: signed_head(10),
        lost: vec![signed_head(12), signed_head(15)],
        approver: SignerInfo {
            key_id: key(seed).key_id(),
            person: match seed {
                ANN => "ann",
                BOB => "bob",
                _ => "vic",
            }
            .to_owned(),
            role: "recovery".to_owned(),
        },
        issued_at: now(),
        nonce: seed.to_string().repeat(32),
        reason: None,
    }
}

fn seal(statement: &Discontinuity, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(ObjectKind::Discontinuity, statement, &key(seed)).unwrap()
}

#[test]
fn exactly_the_named_pins_move() {
    let mut trust = trust(DeploymentEnvironment::Dev);
    assert_eq!(recovered_head(&trust, &head(12)), None);
    trust.recoveries = vec![seal(&statement(DeploymentEnvironment::Dev, ANN), ANN)];
    assert_eq!(recovered_head(&trust, &head(12)), Some(head(10)));
    assert_eq!(recovered_head(&trust, &head(15)), Some(head(10)));
    // Another state of the log, an earlier one, and the one that is kept.
    let other = TreeHead {
        size: 12,
        root: [9; 32],
    };
    for pin in [other, head(13), head(9), head(10)] {
        assert_eq!(recovered_head(&trust, &pin), None, "{pin:?}");
    }
}

#[test]
fn two_persons_sign_the_same_statement_outside_dev() {
    let environment = DeploymentEnvironment::Production;
    let mut trust = trust(environment);
    let by = |seed| seal(&statement(environment, seed), seed);
    trust.recoveries = vec![by(ANN), by(ANN)];
    assert_eq!(recovered_head(&trust, &head(12)), None);
    // Bob signs another kept head, and others lost ones.
    let mut other = statement(environment, BOB);
    other.kept = signed_head(11);
    let mut fewer = statement(environment, BOB);
    fewer.lost.pop();
    trust.recoveries.extend([seal(&other, BOB), seal(&fewer, BOB)]);
    assert_eq!(recovered_head(&trust, &head(12)), None);
    trust.recoveries.push(by(BOB));
    assert_eq!(recovered_head(&trust, &head(12)), Some(head(10)));
    // A revoked key counts for nothing.
    trust.operators[0].revoked = true;
    assert_eq!(recovered_head(&trust, &head(12)), None);
}

#[test]
fn other_statements_are_refused() {
    let environment = DeploymentEnvironment::Dev;
    let trust = trust(environment);
    let code = |change: &dyn Fn(&mut Discontinuity), seed: u8| {
        let mut changed = statement(environment, seed);
        change(&mut changed);
        verify_discontinuity(&seal(&changed, seed), &trust)
            .unwrap_err()
            .code
    };
    assert_eq!(code(&|_| {}, VIEWER), ErrorCode::RefusedRole);
    assert_eq!(
        code(&|s| s.deployment_id = "d2".to_owned(), ANN),
        ErrorCode::RefusedAudience
    );
    assert_eq!(
        code(&|s| s.environment = DeploymentEnvironment::Production, ANN),
        ErrorCode::RefusedAudience
    );
    assert_eq!(
        code(&|s| s.approver.person = "bob".to_owned(), ANN),
        ErrorCode::RefusedKey
    );
    let malformed: [&dyn Fn(&mut Discontinuity); 5] = [
        &|s| s.v = 2,
        &|s| s.lost.clear(),
        &|s| s.lost.reverse(),
        &|s| s.lost.push(signed_head(10)),
        &|s| s.kept.origin = "synapsor/d2".to_owned(),
    ];
    for change in malformed {
        assert_eq!(code(change, ANN), ErrorCode::RefusedMalformed);
    }
    let mut forged = seal(&statement(environment, ANN), ANN);
    forged.payload.push(b' ');
    assert!(verify_discontinuity(&forged, &trust).is_err());
}
