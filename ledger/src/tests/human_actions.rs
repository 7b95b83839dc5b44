//! Human actions in place of shadow proposals.

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::SignerInfo;
use synapsor_domain::event::EventKind;
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::shadow::HumanAction;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::value::{ColumnValue, Value};

use crate::store::{events, human_actions, proposals};
use crate::test_kit::{ANN_KEY, Draft, NOBODY_KEY, OPERATOR, TestLedger, audience, caller, key, seal};

async fn shadow(world: &TestLedger, value: &str) -> Draft {
    let mut draft = world.draft(value);
    draft.proposal.mode = ProposalMode::Shadow;
    world.propose(&draft).await;
    draft
}

fn action(world: &TestLedger, draft: &Draft) -> HumanAction {
    HumanAction {
        v: 1,
        proposal_id: draft.proposal.id.clone(),
        proposal_digest: world
            .decision(draft, synapsor_domain::approval::DecisionKind::Approve)
            .proposal_digest,
        audience: audience(),
        operator: SignerInfo {
            key_id: key(ANN_KEY).key_id(),
            person: "ann".into(),
            role: draft.proposal.approval.required_role.clone(),
        },
        patch: vec![ColumnValue::new("fee", Value::int(0))],
        notes: None,
        issued_at: world.now(),
        nonce: random::hex_id(32),
    }
}

fn signed(action: &HumanAction) -> DsseEnvelope {
    seal(ObjectKind::HumanAction, action, ANN_KEY)
}

async fn submit(world: &TestLedger, signed: DsseEnvelope) -> Result<u64, ErrorCode> {
    let done = world.ledger.submit_human_action(caller(OPERATOR), signed).await;
    done.map(|done| done.value)
        .map_err(|error| crate::refusal_of(error).code)
}

/// Position of the newest action, state of the proposal, and kinds of its events.
async fn recorded(world: &TestLedger, draft: &Draft) -> (Option<u64>, ProposalState, Vec<EventKind>) {
    let id = draft.proposal.id.clone();
    let read = world.ledger.store.read_records(move |reader| {
        let conn = reader.conn();
        let filter = events::TailFilter {
            proposal: Some(id.clone()),
            ..Default::default()
        };
        let tail = events::tail(conn, (0, u64::from(u32::MAX)), &filter)?.events;
        let kinds = tail.iter().map(|event| {
            let record: synapsor_domain::event::EventRecord =
                synapsor_domain::canonical::decode(&event.bytes).unwrap();
            record.kind
        });
        let newest = human_actions::newest(conn, &id)?;
        Ok((newest, proposals::get(conn, &id)?.state, kinds.collect()))
    });
    read.await.unwrap()
}

#[tokio::test]
async fn newest_action_is_kept_through_a_restart_and_changes_no_state() {
    let world = TestLedger::new();
    let draft = shadow(&world, "0").await;
    assert_eq!(recorded(&world, &draft).await.0, None);
    let first = signed(&action(&world, &draft));
    let seq = submit(&world, first.clone()).await.unwrap();
    // Submitting the same action again returns the recorded one.
    assert_eq!(submit(&world, first).await, Ok(seq));
    let second = submit(&world, signed(&action(&world, &draft))).await.unwrap();
    assert!(second > seq);
    let (newest, state, kinds) = recorded(&world, &draft).await;
    assert_eq!((newest, state), (Some(second), ProposalState::PendingReview));
    let count = kinds
        .iter()
        .filter(|kind| **kind == EventKind::ShadowHumanActionRecorded);
    assert_eq!(count.count(), 2);
    world.ledger.store.verify_full().await.unwrap();
    let world = world.restart().await;
    assert_eq!(recorded(&world, &draft).await.0, Some(second));
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn rejects_actions_that_are_not_genuine_or_hold_secrets() {
    let world = TestLedger::new();
    let draft = shadow(&world, "0").await;
    let reviewed = world.draft("1");
    world.propose(&reviewed).await;
    let submit_changed = async |change: fn(&mut HumanAction)| {
        let mut action = action(&world, &draft);
        change(&mut action);
        submit(&world, signed(&action)).await
    };
    assert_eq!(
        submit(&world, signed(&action(&world, &reviewed))).await,
        Err(ErrorCode::NotShadowProposal)
    );
    let stranger = seal(ObjectKind::HumanAction, &action(&world, &draft), NOBODY_KEY);
    assert_eq!(submit(&world, stranger).await, Err(ErrorCode::RefusedKey));
    for (change, code) in [
        (
            (|a| a.proposal_id = synapsor_domain::ids::ProposalId::from_random([9; 10]))
                as fn(&mut HumanAction),
            ErrorCode::ProposalNotFound,
        ),
        (
            |a| a.patch[0].column = "api_key".into(),
            ErrorCode::SecretMaterialRejected,
        ),
        (
            |a| a.patch[0].value = Value::text("postgres://u:p@h/db"),
            ErrorCode::SecretMaterialRejected,
        ),
        (
            |a| a.notes = Some("Bearer abcdefghijklmnop1234".into()),
            ErrorCode::SecretMaterialRejected,
        ),
        (|a| a.operator.role = "applier".into(), ErrorCode::RefusedRole),
    ] {
        assert_eq!(submit_changed(change).await, Err(code), "{code}");
    }
    assert_eq!(recorded(&world, &draft).await.0, None);
}
