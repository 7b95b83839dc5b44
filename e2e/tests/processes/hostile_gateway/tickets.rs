//! Tickets that no reader issued to this gateway for this caller: forged, edited, of another caller, expired.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use synapsor_domain::context_ticket::ContextTicket;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::Span;
use synapsor_e2e::now;
use synapsor_proto::common::v1 as common;
use synapsor_proto::status::from_status;

use super::Scene;
use super::attempts::Attempts;
use super::hands::{StolenGateway, Way};

pub(crate) async fn run(
    scene: &Scene,
    hands: &mut StolenGateway,
    attempts: &mut Attempts,
) -> anyhow::Result<()> {
    let good = hands.ticket(&scene.token).await?;
    assert!(
        hands
            .ask(Way::Proposal, Some(good.clone()), &scene.own.proposal)
            .await
            .is_ok()
    );
    let mut all = edited(&good)?;
    all.extend(unsigned(&good)?);
    all.extend(signed(scene, &good)?);
    for (number, (name, ticket)) in all.into_iter().enumerate() {
        // The methods alternate, so that each gets several kinds.
        let way = Way::ALL[number % Way::ALL.len()];
        let id = match way {
            Way::Evidence => &scene.own.evidence,
            _ => &scene.own.proposal,
        };
        let answer = hands.ask(way, Some(ticket), id).await;
        let status = attempts.refused(&format!("{way:?} with a ticket: {name}"), answer);
        assert_eq!(
            from_status(&status).code,
            ErrorCode::TicketRefused,
            "{name}: {status:?}"
        );
    }
    for way in Way::ALL {
        let answer = hands.ask(way, None, &scene.own.proposal).await;
        attempts.refused(&format!("{way:?} without a ticket"), answer);
    }
    Ok(())
}

/// The reader's own ticket with one altered field, under the reader's signature.
fn edited(good: &common::DsseEnvelope) -> anyhow::Result<Vec<(String, common::DsseEnvelope)>> {
    let payload: Json = serde_json::from_slice(&good.payload)?;
    let later = json!((now() + Span::days(1)).to_string());
    let changes = [
        ("audience", json!("gateway")),
        ("contexts", json!([{"principal": "zoe", "tenant": "globex"}])),
        ("deployment_id", json!("test-0")),
        ("environment", json!("production")),
        ("expires_at", later.clone()),
        ("gateway", json!("spiffe://globex/gateway/client-1")),
        ("issued_at", later),
        ("kinds", json!(["proposal"])),
        ("ledger_origin", json!("globex/log")),
        ("may_withdraw", json!(false)),
        ("v", json!(2)),
        ("visible", json!({"billing.inspect_invoice": ["internal_note"]})),
        ("tenant", json!("globex")),
    ];
    let mut all = Vec::new();
    for (field, value) in changes {
        let mut altered = payload.clone();
        anyhow::ensure!(altered[field] != value, "{field} is unchanged");
        altered[field] = value;
        let mut ticket = good.clone();
        ticket.payload = altered.to_string().into_bytes();
        all.push((format!("with another `{field}`"), ticket));
    }
    Ok(all)
}

/// Signatures that are missing, duplicated, altered or of an untrusted key.
fn unsigned(good: &common::DsseEnvelope) -> anyhow::Result<Vec<(String, common::DsseEnvelope)>> {
    let own = SigningKey::from_seed(&zeroize::Zeroizing::new([7; 32]));
    let ticket: ContextTicket =
        DsseEnvelope::try_from(good.clone())?.decode_unverified(ObjectKind::ContextTicket)?;
    let forged: common::DsseEnvelope = DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket, &own)?.into();
    let with = |change: &dyn Fn(&mut common::DsseEnvelope)| {
        let mut ticket = good.clone();
        change(&mut ticket);
        ticket
    };
    let as_the_reader = {
        let mut ticket = forged.clone();
        ticket.signatures[0].key_id.clone_from(&good.signatures[0].key_id);
        ticket
    };
    Ok(vec![
        ("of a key of its own".to_owned(), forged),
        ("of its own key under the reader's name".to_owned(), as_the_reader),
        ("without a signature".to_owned(), with(&|t| t.signatures.clear())),
        (
            "with a duplicate signature".to_owned(),
            with(&|t| t.signatures.push(t.signatures[0].clone())),
        ),
        (
            "with an altered signature".to_owned(),
            with(&|t| t.signatures[0].sig[0] ^= 1),
        ),
        (
            "with a short signature".to_owned(),
            with(&|t| t.signatures[0].sig.truncate(63)),
        ),
        (
            "as another kind".to_owned(),
            with(&|t| {
                t.payload_type = "application/vnd.synapsor.decision.v1+json".to_owned();
            }),
        ),
        (
            "with a blank behind it".to_owned(),
            with(&|t| t.payload.push(b' ')),
        ),
        ("with nothing in it".to_owned(), with(&|t| t.payload.clear())),
    ])
}

/// Tickets with a genuine reader signature: for another gateway, earlier, or in another deployment.
fn signed(scene: &Scene, good: &common::DsseEnvelope) -> anyhow::Result<Vec<(String, common::DsseEnvelope)>> {
    let deployment = &scene.tenants.stack.deployment;
    let ticket: ContextTicket =
        DsseEnvelope::try_from(good.clone())?.decode_unverified(ObjectKind::ContextTicket)?;
    let mut others = ticket.clone();
    others.gateway = format!("spiffe://{}/gateway/client-2", deployment.id);
    let mut of_globex = others.clone();
    of_globex.contexts[0].tenant = "globex".to_owned();
    of_globex.contexts[0].principal = "zoe".to_owned();
    let mut old = ticket.clone();
    old.issued_at = now() + Span::minutes(-6);
    old.expires_at = old.issued_at + Span::minutes(5);
    let mut long = ticket.clone();
    long.expires_at = long.issued_at + Span::minutes(60);
    let mut early = ticket.clone();
    early.issued_at = now() + Span::minutes(10);
    early.expires_at = early.issued_at + Span::minutes(5);
    let mut elsewhere = ticket;
    elsewhere.deployment_id = "test-0".to_owned();
    let cases = [
        ("of another gateway", others),
        ("of another gateway and tenant", of_globex),
        ("that has expired", old),
        ("that lasts for too long", long),
        ("of tomorrow", early),
        ("of another deployment", elsewhere),
    ];
    let seal = |(name, ticket): (&str, ContextTicket)| {
        let sealed = DsseEnvelope::sign(ObjectKind::ContextTicket, &ticket, &deployment.reader_key)?;
        Ok((name.to_owned(), sealed.into()))
    };
    cases.into_iter().map(seal).collect()
}
