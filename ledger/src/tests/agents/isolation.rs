//! Two tenants, every kind of record, every kind of id: foreign records appear as missing.

use synapsor_codes::ErrorCode;
use synapsor_domain::context_ticket::RecordKind;

use super::{ANN, BEN, NORA, Scene, code, error_bytes, sign, unknown};

/// Returns ids that match no record, and malformed ids.
fn no_ids() -> Vec<String> {
    vec![
        unknown().to_string(),
        String::new(),
        "latest".to_owned(),
        "wrp_".to_owned(),
        "wrp_%".to_owned(),
        "' OR 1=1 --".to_owned(),
        "\u{0}".to_owned(),
        "é".repeat(40),
        "x".repeat(100_000),
    ]
}

#[tokio::test]
async fn foreign_and_missing_ids_get_byte_identical_responses() {
    let scene = Scene::new().await;
    let mut gateway = scene.gateway("g1");
    let mut own = Vec::new();
    for who in [ANN, NORA] {
        let draft = scene.draft(who, "0");
        let id = scene.world.propose(&draft).await.to_string();
        own.push((who, id, draft.evidence.id.to_string()));
    }
    for (who, proposal, evidence) in &own {
        let ticket = scene.signed(&[*who]);
        assert!(gateway.proposal(&ticket, proposal).await.is_ok());
        assert!(gateway.evidence(&ticket, evidence).await.is_ok());
        assert!(gateway.replay(&ticket, proposal).await.is_ok());
        let reference = error_bytes(gateway.proposal(&ticket, unknown().as_str()).await);
        assert!(String::from_utf8_lossy(&reference).contains(ErrorCode::RecordNotFound.as_str()));
        let mut ids = no_ids();
        // A prefix of a valid id is not an id.
        ids.push(proposal[..12].to_owned());
        for (other, proposal, evidence) in &own {
            if other != who {
                ids.extend([proposal.clone(), evidence.clone(), format!("replay_{proposal}")]);
            }
        }
        for id in &ids {
            assert_eq!(
                error_bytes(gateway.proposal(&ticket, id).await),
                reference,
                "{id}"
            );
            assert_eq!(
                error_bytes(gateway.evidence(&ticket, id).await),
                reference,
                "{id}"
            );
            assert_eq!(error_bytes(gateway.replay(&ticket, id).await), reference, "{id}");
            assert_eq!(
                error_bytes(gateway.withdraw(&ticket, id).await),
                reference,
                "{id}"
            );
        }
        // An id of the right tenant and the wrong kind.
        assert_eq!(error_bytes(gateway.proposal(&ticket, evidence).await), reference);
        assert_eq!(error_bytes(gateway.evidence(&ticket, proposal).await), reference);
    }
    scene.world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn tenant_reads_all_and_only_the_requester_withdraws() {
    let scene = Scene::new().await;
    let id = scene.world.propose(&scene.draft(ANN, "0")).await;
    let (mut gateway, ben) = (scene.gateway("g1"), scene.signed(&[BEN]));
    let read = gateway.proposal(&ben, id.as_str()).await.unwrap();
    assert!(!read.is_own);
    assert_eq!(
        error_bytes(gateway.withdraw(&ben, id.as_str()).await),
        error_bytes(gateway.withdraw(&ben, unknown().as_str()).await)
    );
    // The same principal name in another tenant is another principal, also beside the tenant itself.
    let mixed = scene.signed(&[BEN, NORA]);
    assert_eq!(
        error_bytes(gateway.withdraw(&mixed, id.as_str()).await),
        error_bytes(gateway.withdraw(&mixed, unknown().as_str()).await)
    );
    let own = scene.signed(&[ANN]);
    assert!(gateway.withdraw(&own, id.as_str()).await.unwrap().withdrawn);
}

#[tokio::test]
async fn ticket_of_several_contexts_reads_each_context() {
    let scene = Scene::new().await;
    let mut gateway = scene.gateway("g1");
    let both = scene.signed(&[ANN, NORA]);
    for who in [ANN, NORA] {
        let id = scene.world.propose(&scene.draft(who, "0")).await;
        let read = gateway.proposal(&both, id.as_str()).await.unwrap();
        assert!(read.is_own, "{who:?}");
    }
}

#[tokio::test]
async fn kind_excluded_by_the_ticket_appears_missing() {
    let scene = Scene::new().await;
    let draft = scene.draft(ANN, "0");
    let id = scene.world.propose(&draft).await;
    let mut gateway = scene.gateway("g1");
    let only = |kind| {
        let mut ticket = scene.ticket(&[ANN]);
        ticket.kinds = vec![kind];
        sign(&ticket)
    };
    let (proposal, evidence, replay) = (
        only(RecordKind::Proposal),
        only(RecordKind::Evidence),
        only(RecordKind::Replay),
    );
    let bundle = draft.evidence.id.as_str();
    let id = id.as_str();
    assert!(gateway.proposal(&proposal, id).await.is_ok());
    assert!(gateway.evidence(&evidence, bundle).await.is_ok());
    assert!(gateway.replay(&replay, id).await.is_ok());
    assert_eq!(
        code(gateway.proposal(&evidence, id).await),
        ErrorCode::RecordNotFound
    );
    assert_eq!(
        code(gateway.evidence(&replay, bundle).await),
        ErrorCode::RecordNotFound
    );
    assert_eq!(
        code(gateway.replay(&proposal, id).await),
        ErrorCode::RecordNotFound
    );
    assert_eq!(
        code(gateway.withdraw(&replay, id).await),
        ErrorCode::RecordNotFound
    );
    assert_eq!(
        code(gateway.watch(&evidence, None).await),
        ErrorCode::RecordNotFound
    );
}
