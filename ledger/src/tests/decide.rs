//! Decisions and orders of operators.

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{ApprovalRule, DecisionKind, VerificationContext};
use synapsor_domain::event::EventKind;
use synapsor_domain::proposal::{ProposalMode, ProposalState};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;

use crate::signature_checks::SignatureChecks;
use crate::store::StoreTxError;
use crate::store::events::{self, TailFilter};
use crate::test_kit::{ANN_KEY, BOB_KEY, Draft, NOBODY_KEY, OPERATOR, TestLedger, caller, seal};

async fn decide(world: &TestLedger, signed: DsseEnvelope) -> Result<ProposalState, ErrorCode> {
    let done = world
        .ledger
        .decide(caller(OPERATOR), &random::hex_id(16), signed)
        .await;
    match done {
        Ok(done) => done.value.map(|d| d.state).map_err(|e| e.code),
        Err(error) => Err(crate::refusal_of(error).code),
    }
}

async fn order(world: &TestLedger, signed: DsseEnvelope) -> Result<u64, ErrorCode> {
    let done = world
        .ledger
        .request_apply(caller(OPERATOR), &random::hex_id(16), signed)
        .await
        .unwrap();
    done.value.map(|o| o.seq).map_err(|e| e.code)
}

async fn refused_events(world: &TestLedger) -> usize {
    let filter = TailFilter {
        proposal: None,
        kind: Some(EventKind::DecisionRefused),
        ..Default::default()
    };
    world
        .ledger
        .store
        .read(move |r| {
            Ok(events::tail(r.conn(), (0, u64::from(u32::MAX)), &filter)?
                .events
                .len())
        })
        .await
        .unwrap()
}

fn approval(world: &TestLedger, draft: &Draft) -> DsseEnvelope {
    seal(
        ObjectKind::Decision,
        &world.decision(draft, DecisionKind::Approve),
        ANN_KEY,
    )
}

#[tokio::test]
async fn approved_and_ordered_proposal_waits_for_a_writer() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    world.propose(&draft).await;
    let approval = approval(&world, &draft);
    let early = seal(ObjectKind::ApplyOrder, &world.order(&draft, &[]), ANN_KEY);
    assert_eq!(order(&world, early).await, Err(ErrorCode::ProposalNotApproved));
    assert_eq!(
        decide(&world, approval.clone()).await,
        Ok(ProposalState::Approved)
    );
    // Submitting the same decision again returns the same decision.
    assert_eq!(
        decide(&world, approval.clone()).await,
        Ok(ProposalState::Approved)
    );
    let digest = approval.digest(ObjectKind::Decision).unwrap();
    let signed = seal(ObjectKind::ApplyOrder, &world.order(&draft, &[digest]), ANN_KEY);
    let seq = order(&world, signed.clone()).await.unwrap();
    assert_eq!(order(&world, signed).await, Ok(seq));
    assert_eq!(refused_events(&world).await, 1);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn unverified_decisions_are_refused_and_recorded() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    world.propose(&draft).await;
    let good = world.decision(&draft, DecisionKind::Approve);
    let forged = seal(ObjectKind::Decision, &good, NOBODY_KEY);
    assert_eq!(decide(&world, forged).await, Err(ErrorCode::RefusedKey));
    let mut broken = seal(ObjectKind::Decision, &good, ANN_KEY);
    broken.signatures[0].sig[5] ^= 1;
    assert_eq!(decide(&world, broken).await, Err(ErrorCode::RefusedSignature));
    let mut elsewhere = good.clone();
    elsewhere.audience.deployment_id = "other".into();
    assert_eq!(
        decide(&world, seal(ObjectKind::Decision, &elsewhere, ANN_KEY)).await,
        Err(ErrorCode::RefusedAudience)
    );
    let mut late = good.clone();
    late.expires_at = world.now();
    assert_eq!(
        decide(&world, seal(ObjectKind::Decision, &late, ANN_KEY)).await,
        Err(ErrorCode::RefusedExpired)
    );
    let mut unseen = good.clone();
    unseen.render.digest = unseen.proposal_digest;
    assert_eq!(
        decide(&world, seal(ObjectKind::Decision, &unseen, ANN_KEY)).await,
        Err(ErrorCode::RefusedRender)
    );
    let mut other = good.clone();
    other.proposal_digest = other.contract_digest;
    assert_eq!(
        decide(&world, seal(ObjectKind::Decision, &other, ANN_KEY)).await,
        Err(ErrorCode::RefusedDigest)
    );
    let mut by_bob = good.clone();
    by_bob.approver.key_id = crate::test_kit::key(BOB_KEY).key_id();
    by_bob.approver.person = "bob".into();
    assert_eq!(
        decide(&world, seal(ObjectKind::Decision, &by_bob, BOB_KEY)).await,
        Err(ErrorCode::RefusedRole)
    );
    let mut payload = seal(ObjectKind::Decision, &good, ANN_KEY);
    payload.payload = String::from_utf8(payload.payload)
        .unwrap()
        .replacen("\"v\":1", "\"v\":1,\"v\":1", 1)
        .into();
    assert_eq!(decide(&world, payload).await, Err(ErrorCode::RefusedMalformed));
    assert_eq!(refused_events(&world).await, 8);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn revoked_key_stops_counting_with_the_trust_file() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    world.propose(&draft).await;
    let approval = approval(&world, &draft);
    assert_eq!(
        decide(&world, approval.clone()).await,
        Ok(ProposalState::Approved)
    );
    world.revoke_ann();
    let digest = approval.digest(ObjectKind::Decision).unwrap();
    let signed = seal(ObjectKind::ApplyOrder, &world.order(&draft, &[digest]), ANN_KEY);
    assert_eq!(order(&world, signed).await, Err(ErrorCode::RefusedKey));
}

#[tokio::test]
async fn rejects_order_on_an_expired_approval() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    world.propose(&draft).await;
    let approval = approval(&world, &draft);
    decide(&world, approval.clone()).await.unwrap();
    world.clock.advance_ms(Span::minutes(61).as_millis());
    let digest = approval.digest(ObjectKind::Decision).unwrap();
    let signed = seal(ObjectKind::ApplyOrder, &world.order(&draft, &[digest]), ANN_KEY);
    assert_eq!(order(&world, signed).await, Err(ErrorCode::RefusedExpired));
    let unknown = seal(
        ObjectKind::ApplyOrder,
        &world.order(&draft, &[draft.proposal.contract_digest]),
        ANN_KEY,
    );
    assert_eq!(order(&world, unknown).await, Err(ErrorCode::RefusedOrder));
}

#[tokio::test]
async fn rejected_proposal_is_final_and_may_be_proposed_again() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    world.propose(&draft).await;
    let deny = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        ANN_KEY,
    );
    assert_eq!(decide(&world, deny).await, Ok(ProposalState::Rejected));
    assert_eq!(
        decide(&world, approval(&world, &draft)).await,
        Err(ErrorCode::ProposalNotPendingReview)
    );
    let again = world.draft("0");
    assert_eq!(world.propose(&again).await, again.proposal.id);
}

#[tokio::test]
async fn quorum_counts_distinct_operators() {
    let world = TestLedger::new();
    let mut draft = world.draft("0");
    draft.proposal.approval.quorum = 2;
    world.propose(&draft).await;
    assert_eq!(
        decide(&world, approval(&world, &draft)).await,
        Ok(ProposalState::PendingReview)
    );
    assert_eq!(
        decide(&world, approval(&world, &draft)).await,
        Ok(ProposalState::PendingReview)
    );
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn shadow_proposal_is_never_approved() {
    let world = TestLedger::new();
    let mut draft = world.draft("0");
    draft.proposal.mode = ProposalMode::Shadow;
    world.propose(&draft).await;
    assert_eq!(
        decide(&world, approval(&world, &draft)).await,
        Err(ErrorCode::ShadowWritebackDisabled)
    );
}

#[tokio::test]
async fn rejects_reason_with_a_secret_without_storing_it() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    world.propose(&draft).await;
    let mut decision = world.decision(&draft, DecisionKind::Approve);
    decision.reason = Some("see postgres://u:hunter2@h/db".into());
    let signed = seal(ObjectKind::Decision, &decision, ANN_KEY);
    assert_eq!(
        decide(&world, signed).await,
        Err(ErrorCode::SecretMaterialRejected)
    );
    let path = world.store_path();
    drop(world.ledger);
    let mut all = std::fs::read(&path).unwrap();
    all.extend(std::fs::read(path.with_extension("db-wal")).unwrap_or_default());
    assert!(!all.windows(7).any(|w| w == b"hunter2"));
}

#[tokio::test]
async fn rejects_decision_about_a_missing_proposal() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    assert_eq!(
        decide(&world, approval(&world, &draft)).await,
        Err(ErrorCode::ProposalNotFound)
    );
    let row = world
        .ledger
        .store
        .read(|r| crate::store::proposals::resolve(r.conn(), "latest"))
        .await;
    assert!(
        matches!(row, Err(StoreTxError::Refused(refusal)) if refusal.code == ErrorCode::ProposalNotFound)
    );
}

#[tokio::test]
async fn proposal_resolves_by_id_prefix_code_and_latest() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let id = world.propose(&draft).await;
    let code = draft
        .signed()
        .0
        .digest(ObjectKind::Proposal)
        .unwrap()
        .short_code();
    for name in [
        id.to_string(),
        id.as_str()[..12].to_owned(),
        "latest".into(),
        code.clone(),
        code.to_lowercase(),
    ] {
        let row = world
            .ledger
            .store
            .read(move |r| crate::store::proposals::resolve(r.conn(), &name))
            .await
            .unwrap();
        assert_eq!(row.id, id);
    }
    let other = world.draft("5");
    world.propose(&other).await;
    let both = world
        .ledger
        .store
        .read(|r| crate::store::proposals::resolve(r.conn(), "wrp_"))
        .await;
    assert!(
        matches!(both, Err(StoreTxError::Refused(refusal)) if refusal.code == ErrorCode::AmbiguousProposal)
    );
}

#[tokio::test]
async fn writing_thread_reuses_verification_results() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let id = world.propose(&draft).await;
    let first = approval(&world, &draft);
    decide(&world, first.clone()).await.unwrap();
    let second = approval(&world, &draft);
    let (trust, now) = (
        crate::trust::Trust::current(&world.ledger.trust).unwrap(),
        world.now(),
    );
    let (presented, verified_by) = (second.clone(), trust.clone());
    let verdicts = world
        .ledger
        .store
        .read(move |r| SignatureChecks::of(r, (ObjectKind::Decision, &presented), &verified_by, now))
        .await
        .unwrap();
    let (proposal, _, _) = draft.signed();
    let verification = VerificationContext {
        trust: &trust.file,
        now,
        proposal: verdicts.proposal.as_ref().unwrap(),
        proposal_digest: proposal.digest(ObjectKind::Proposal).unwrap(),
    };
    assert_eq!(verification.proposal.id, id);
    for known in [&first, &second] {
        let digest = known.digest(ObjectKind::Decision).unwrap();
        let unread = || -> Result<DsseEnvelope, StoreTxError> { panic!("read again") };
        let verdict = verdicts.on_file(digest, unread, &verification).unwrap().unwrap();
        assert_eq!(verdict.person(), "ann");
    }
    // A decision recorded in between is verified inside the batch, and a forged one never counts.
    let third = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Approve),
        NOBODY_KEY,
    );
    let digest = third.digest(ObjectKind::Decision).unwrap();
    let verdict = verdicts
        .on_file(digest, || Ok(third.clone()), &verification)
        .unwrap();
    assert_eq!(verdict.unwrap_err().rule, ApprovalRule::Key);
    // A copy of a valid payload with another signature has the same digest and a different verification result.
    let mut copy = first.clone();
    copy.signatures[0].sig[3] ^= 1;
    assert_eq!(decide(&world, copy).await, Err(ErrorCode::RefusedSignature));
}
