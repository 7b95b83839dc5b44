//! Access of gateways, and validation of context tickets.

use synapsor_chassis::identity::Role;
use synapsor_codes::ErrorCode;
use synapsor_domain::signing::ObjectKind;
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_proto::common::v1::DsseEnvelope;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::agent_record_service_client::AgentRecordServiceClient;
use tonic::Code;

use super::{ANN, Scene, code, error_bytes, json, sign};
use crate::test_kit::{NOBODY_KEY, WRITER_KEY, seal};

#[tokio::test]
async fn gateway_reads_its_tenants_records_with_a_ticket() {
    let scene = Scene::new().await;
    let draft = scene.draft(ANN, "0");
    let id = scene.world.propose(&draft).await;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    let proposal = gateway.proposal(&ticket, id.as_str()).await.unwrap();
    assert_eq!(
        (super::word(proposal.state), proposal.is_final),
        ("review_required", false)
    );
    assert_eq!(
        (proposal.capability.as_str(), proposal.is_own),
        ("billing.waive_fee", true)
    );
    let shown = json(&proposal.record_json);
    assert_eq!(
        shown["proposal"]["diff"]["fee"],
        serde_json::json!({"before": "10", "proposed": "0"})
    );
    assert_eq!(shown["events"][0]["kind"], "proposal_created");
    let evidence = json(
        &gateway
            .evidence(&ticket, draft.evidence.id.as_str())
            .await
            .unwrap(),
    );
    assert_eq!(evidence["proposal_ids"], serde_json::json!([id]));
    assert_eq!(evidence["query_audit"][0]["row_count"], 1);
    for name in [id.to_string(), format!("replay_{id}")] {
        let replay = json(&gateway.replay(&ticket, &name).await.unwrap());
        assert_eq!(replay["replay_id"], format!("replay_{id}"));
        assert_eq!(
            replay["evidence"][0]["evidence_bundle_id"],
            draft.evidence.id.as_str()
        );
        assert_eq!(replay["query_audit"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn columns_no_longer_visible_are_removed_from_old_records() {
    let scene = Scene::new().await;
    let draft = scene.draft(ANN, "0");
    let id = scene.world.propose(&draft).await;
    let mut gateway = scene.gateway("g1");
    let mut ticket = scene.ticket(&[ANN]);
    ticket
        .visible
        .insert("billing.waive_fee".to_owned(), vec!["id".to_owned()]);
    let replay = json(&gateway.replay(&sign(&ticket), id.as_str()).await.unwrap());
    assert_eq!(
        replay["evidence"][0]["items"][0]["visible_row"],
        serde_json::json!({"id": 1})
    );
    ticket.visible.clear();
    let signed = sign(&ticket);
    let record = gateway.proposal(&signed, id.as_str()).await.unwrap().record_json;
    assert_eq!(json(&record)["proposal"]["diff"], serde_json::json!({}));
    let evidence = gateway
        .evidence(&signed, draft.evidence.id.as_str())
        .await
        .unwrap();
    assert_eq!(json(&evidence)["items"][0]["visible_row"], serde_json::json!({}));
}

#[tokio::test]
async fn every_bad_ticket_gets_the_same_error_from_every_method() {
    let scene = Scene::new().await;
    let id = scene.world.propose(&scene.draft(ANN, "0")).await;
    let id = id.as_str();
    let good = scene.ticket(&[ANN]);
    let altered = |change: fn(&mut synapsor_domain::context_ticket::ContextTicket)| {
        let mut ticket = good.clone();
        change(&mut ticket);
        sign(&ticket)
    };
    let by = |seed| DsseEnvelope::from(&seal(ObjectKind::ContextTicket, &good, seed));
    let mut flipped = sign(&good);
    flipped.payload[20] ^= 1;
    let mut unsigned = sign(&good);
    unsigned.signatures.clear();
    let mut other_kind = sign(&good);
    other_kind.payload_type = ObjectKind::Evidence.payload_type().to_owned();
    let mut oversized = sign(&good);
    oversized.payload = vec![b' '; 300 * 1024];
    let mut no_key = sign(&good);
    no_key.signatures[0].key_id = "ed25519:x".to_owned();
    let bad = [
        altered(|t| t.gateway = "spiffe://dep-test/gateway/g2".to_owned()),
        altered(|t| t.deployment_id = "other".to_owned()),
        altered(|t| t.environment = DeploymentEnvironment::Production),
        altered(|t| t.ledger_origin = "synapsor/other".to_owned()),
        altered(|t| t.v = 2),
        altered(|t| t.contexts.clear()),
        altered(|t| t.expires_at = t.issued_at + Span::minutes(6)),
        altered(|t| {
            t.issued_at = t.issued_at + Span::minutes(-2);
            t.expires_at = t.issued_at + Span::minutes(2);
        }),
        by(NOBODY_KEY),
        by(WRITER_KEY),
        flipped,
        unsigned,
        other_kind,
        oversized,
        no_key,
        DsseEnvelope::default(),
    ];
    let mut gateway = scene.gateway("g1");
    let reference = error_bytes(gateway.proposal(&bad[0], id).await);
    assert!(String::from_utf8_lossy(&reference).contains(ErrorCode::TicketRefused.as_str()));
    for (n, ticket) in bad.iter().enumerate() {
        assert_eq!(error_bytes(gateway.proposal(ticket, id).await), reference, "{n}");
        assert_eq!(error_bytes(gateway.evidence(ticket, id).await), reference, "{n}");
        assert_eq!(error_bytes(gateway.replay(ticket, id).await), reference, "{n}");
        assert_eq!(error_bytes(gateway.withdraw(ticket, id).await), reference, "{n}");
        assert_eq!(error_bytes(gateway.watch(ticket, None).await), reference, "{n}");
    }
    let none = wire::AgentRecordServiceGetProposalRequest {
        ticket: None,
        proposal_id: id.to_owned(),
    };
    assert_eq!(error_bytes(gateway.client.get_proposal(none).await), reference);
    // The valid ticket still works, so all of these errors concern the tickets.
    assert!(gateway.proposal(&sign(&good), id).await.is_ok());
}

#[tokio::test]
async fn rejects_ticket_of_another_gateway_and_expired_ticket() {
    let scene = Scene::new().await;
    let id = scene.world.propose(&scene.draft(ANN, "0")).await;
    let ticket = scene.signed(&[ANN]);
    let stolen = scene.gateway("g2").proposal(&ticket, id.as_str()).await;
    assert_eq!(code(stolen), ErrorCode::TicketRefused);
    let mut gateway = scene.gateway("g1");
    scene.world.clock.advance_ms(5 * 60_000 - 1);
    assert!(gateway.proposal(&ticket, id.as_str()).await.is_ok());
    scene.world.clock.advance_ms(1);
    assert_eq!(
        code(gateway.proposal(&ticket, id.as_str()).await),
        ErrorCode::TicketRefused
    );
    assert_eq!(
        code(gateway.withdraw(&ticket, id.as_str()).await),
        ErrorCode::TicketRefused
    );
}

#[tokio::test]
async fn rejects_tickets_of_a_retired_reader_key() {
    let scene = Scene::new().await;
    let id = scene.world.propose(&scene.draft(ANN, "0")).await;
    let (mut gateway, ticket) = (scene.gateway("g1"), scene.signed(&[ANN]));
    assert!(gateway.proposal(&ticket, id.as_str()).await.is_ok());
    let mut trust: serde_json::Value = serde_json::from_str(&crate::test_kit::trust_file(false)).unwrap();
    trust["readers"][0]["retired"] = true.into();
    std::fs::write(scene.world.dir.path().join("trust.json"), trust.to_string()).unwrap();
    assert_eq!(
        code(gateway.proposal(&ticket, id.as_str()).await),
        ErrorCode::TicketRefused
    );
}

#[tokio::test]
async fn other_roles_are_denied_before_ticket_verification() {
    let scene = Scene::new().await;
    let id = scene.world.propose(&scene.draft(ANN, "0")).await;
    for (role, instance) in [
        (Role::Reader, Some("r1")),
        (Role::Writer, Some("w1")),
        (Role::Operator, Some("ann")),
        (Role::Ledger, None),
    ] {
        let mut client = AgentRecordServiceClient::new(scene.channel(role, instance));
        let request = wire::AgentRecordServiceGetProposalRequest {
            ticket: Some(scene.signed(&[ANN])),
            proposal_id: id.to_string(),
        };
        let status = client.get_proposal(request).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role}");
    }
}
