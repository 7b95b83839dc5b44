//! Context tickets: each altered field is rejected with the same public error.

#![allow(clippy::unwrap_used, reason = "a broken fixture ends the test")]

use synapsor_codes::ErrorCode;
use synapsor_domain::context_ticket::{
    CONTEXTS_MAX, ContextTicket, RecordKind, TicketAudience, TicketContext, VerifiedTicket,
};
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::BINDING_BYTES_MAX;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{DeploymentEnvironment, ServiceKey, TrustFile, TrustLimits};
use zeroize::Zeroizing;

const GATEWAY: &str = "spiffe://d1/gateway/g1";
const READER: u8 = 1;
const WRITER: u8 = 2;
const STRANGER: u8 = 9;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn now() -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse().unwrap()
}

fn trust() -> TrustFile {
    let service = |seed| {
        vec![ServiceKey {
            key_id: key(seed).key_id(),
            public_key: key(seed).public_key(),
            retired: false,
            retired_at_size: None,
            retired_at_root: None,
            pinned_at: None,
        }]
    };
    TrustFile {
        version: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        readers: service(READER),
        writers: service(WRITER),
        ledgers: Vec::new(),
        operators: Vec::new(),
        aliases: [].into(),
        separation_of_duties: None,
        ceilings: TrustLimits::default(),
        recoveries: Vec::new(),
    }
}

fn context(tenant: &str, principal: &str) -> TicketContext {
    TicketContext {
        principal: principal.to_owned(),
        tenant: tenant.to_owned(),
    }
}

fn ticket() -> ContextTicket {
    ContextTicket {
        audience: TicketAudience::Ledger,
        contexts: vec![context("acme", "agent-1"), context("north", "agent-2")],
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Staging,
        expires_at: now() + Span::minutes(5),
        gateway: GATEWAY.to_owned(),
        issued_at: now(),
        kinds: RecordKind::ALL.to_vec(),
        ledger_origin: "synapsor/d1".to_owned(),
        may_withdraw: true,
        v: 1,
        visible: [("billing.inspect".to_owned(), vec!["id".to_owned()])].into(),
    }
}

fn verify(ticket: &ContextTicket) -> Result<VerifiedTicket, PublicError> {
    let signed = DsseEnvelope::sign(ObjectKind::ContextTicket, ticket, &key(READER)).unwrap();
    VerifiedTicket::verify(signed, &trust(), GATEWAY, now())
}

fn why(result: Result<VerifiedTicket, PublicError>) -> String {
    let refusal = result.unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TicketRefused);
    // The same text for every error.
    assert_eq!(
        refusal.public,
        "invalid or expired context ticket; request a new one from the reader"
    );
    refusal.detail.unwrap()
}

fn error_with(change: impl FnOnce(&mut ContextTicket)) -> String {
    let mut ticket = ticket();
    change(&mut ticket);
    why(verify(&ticket))
}

#[test]
fn valid_ticket_names_contexts_and_columns() {
    let verified = verify(&ticket()).unwrap();
    assert!(verified.covers_principal("acme", "agent-1"));
    assert!(
        !verified.covers_principal("acme", "agent-2"),
        "pairs are not mixed"
    );
    assert!(!verified.covers_principal("south", "agent-1"));
    assert_eq!(verified.visible("billing.inspect").unwrap(), ["id"]);
    assert_eq!(verified.visible("billing.other"), None);
    assert!(RecordKind::ALL.iter().all(|kind| verified.allows(*kind)));
    assert_eq!(verified.expires_at(), now() + Span::minutes(5));
    assert!(verified.may_withdraw());
    let mut narrow = ticket();
    narrow.kinds = vec![RecordKind::Evidence];
    narrow.may_withdraw = false;
    let narrow = verify(&narrow).unwrap();
    assert!(narrow.allows(RecordKind::Evidence) && !narrow.allows(RecordKind::Proposal));
    assert!(!narrow.may_withdraw());
}

#[test]
fn rejects_ticket_for_another_gateway_or_deployment() {
    let elsewhere = "made for another deployment, environment or ledger";
    assert_eq!(error_with(|t| t.deployment_id = "d2".to_owned()), elsewhere);
    assert_eq!(
        error_with(|t| t.environment = DeploymentEnvironment::Production),
        elsewhere
    );
    assert_eq!(
        error_with(|t| t.ledger_origin = "synapsor/d2".to_owned()),
        elsewhere
    );
    assert_eq!(
        error_with(|t| t.gateway = "spiffe://d1/gateway/g2".to_owned()),
        "made for another gateway"
    );
}

#[test]
fn rejects_malformed_tickets() {
    assert_eq!(error_with(|t| t.v = 2), "an unknown version");
    assert_eq!(error_with(|t| t.contexts.clear()), "not 1 to 16 contexts");
    let many = |count: usize| (0..count).map(|n| context("t", &format!("p{n:02}"))).collect();
    assert_eq!(
        error_with(|t| t.contexts = many(CONTEXTS_MAX + 1)),
        "not 1 to 16 contexts"
    );
    let mut most = ticket();
    most.contexts = many(CONTEXTS_MAX);
    assert!(verify(&most).is_ok());
    assert_eq!(
        error_with(|t| t.contexts.swap(0, 1)),
        "contexts unsorted or duplicated"
    );
    assert_eq!(
        error_with(|t| t.contexts = vec![context("a", "p"), context("a", "p")]),
        "contexts unsorted or duplicated"
    );
    let unbound = "a tenant or principal that is empty or too long";
    for text in ["", &"x".repeat(BINDING_BYTES_MAX + 1)] {
        assert_eq!(error_with(|t| t.contexts = vec![context(text, "p")]), unbound);
        assert_eq!(error_with(|t| t.contexts = vec![context("t", text)]), unbound);
    }
    let kinds = "kinds missing, unsorted or duplicated";
    assert_eq!(error_with(|t| t.kinds.clear()), kinds);
    assert_eq!(error_with(|t| t.kinds.swap(0, 1)), kinds);
    assert_eq!(error_with(|t| t.kinds = vec![RecordKind::Proposal; 2]), kinds);
}

#[test]
fn ticket_lasts_at_most_five_minutes_and_expires() {
    let lifetime = "a lifetime that is not 1 ms to 5 minutes";
    assert_eq!(error_with(|t| t.expires_at = t.issued_at), lifetime);
    assert_eq!(
        error_with(|t| t.expires_at = t.issued_at + Span::minutes(5) + Span::seconds(1)),
        lifetime
    );
    let early = |seconds| {
        move |t: &mut ContextTicket| {
            t.issued_at = now() + Span::seconds(seconds);
            t.expires_at = t.issued_at + Span::minutes(1);
        }
    };
    let text = error_with(early(61));
    for time in [now(), now() + Span::seconds(61)] {
        assert!(text.contains(&time.to_string()), "{text}");
    }
    let mut ahead = ticket();
    early(60)(&mut ahead);
    assert!(verify(&ahead).is_ok(), "clocks may differ by a minute");
    assert_eq!(
        error_with(|t| {
            t.issued_at = now() + Span::minutes(-5);
            t.expires_at = now();
        }),
        "expired"
    );
}

#[test]
fn ticket_requires_active_reader_key() {
    let sealed = |seed| DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket(), &key(seed)).unwrap();
    let open = |envelope, trust: &TrustFile| VerifiedTicket::verify(envelope, trust, GATEWAY, now());
    for seed in [WRITER, STRANGER] {
        assert_eq!(
            why(open(sealed(seed), &trust())),
            "not signed by a reader of the trust file"
        );
    }
    let mut retired = trust();
    retired.readers[0].retired = true;
    assert_eq!(
        why(open(sealed(READER), &retired)),
        "signed by a reader key that is retired"
    );
    assert!(VerifiedTicket::verify_past(sealed(READER), &retired, GATEWAY, now()).is_ok());
    let mut claimed = sealed(STRANGER);
    claimed.signatures[0].keyid = key(READER).key_id();
    assert_eq!(why(open(claimed, &trust())), "signature verification failed");
    let mut unsigned = sealed(READER);
    unsigned.signatures.clear();
    assert_eq!(why(open(unsigned, &trust())), "expected exactly one signature");
    let mut doubled = sealed(READER);
    doubled.signatures.push(doubled.signatures[0].clone());
    assert_eq!(why(open(doubled, &trust())), "expected exactly one signature");
}

#[test]
fn rejects_ticket_with_any_changed_byte() {
    let sealed = DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket(), &key(READER)).unwrap();
    for position in 0..sealed.payload.len() {
        let mut changed = sealed.clone();
        changed.payload[position] ^= 1;
        why(VerifiedTicket::verify(changed, &trust(), GATEWAY, now()));
    }
}

#[test]
fn rejects_signed_bytes_that_are_not_a_canonical_ticket() {
    let canonical = DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket(), &key(READER)).unwrap();
    let text = String::from_utf8(canonical.payload).unwrap();
    for payload in [
        text.replacen("\"v\":1", "\"v\":1,\"v\":1", 1),
        text.replacen("\"v\":1", "\"v\":1.0", 1),
        text.replacen("\"v\":1", "\"v\":1,\"w\":1", 1),
        text.replacen("\"ledger\"", "\"writer\"", 1),
        text.replacen("\"proposal\"", "\"decision\"", 1),
        text.replacen(',', ", ", 1),
        text.replacen(",\"v\":1", "", 1),
    ] {
        let signed = DsseEnvelope::seal_bytes(
            ObjectKind::ContextTicket,
            payload.clone().into_bytes(),
            &key(READER),
        );
        let detail = why(VerifiedTicket::verify(signed, &trust(), GATEWAY, now()));
        assert!(detail.starts_with("malformed"), "{payload}: {detail}");
    }
    // Another object of the same reader is not a ticket.
    let other = DsseEnvelope::sign(ObjectKind::Evidence, &ticket(), &key(READER)).unwrap();
    why(VerifiedTicket::verify(other, &trust(), GATEWAY, now()));
}
