//! Ends of attempts.

use synapsor_codes::ErrorCode;
use synapsor_domain::event::EventKind;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{AttemptResult, ReceiptOutcome};

use super::lease::{code, next, open};
use crate::finish_attempt::FinishedAttempt;
use crate::store::events::{self, TailFilter};
use crate::store::proposals;
use crate::test_kit::{Draft, NOBODY_KEY, TestLedger, WRITER, WRITER_KEY, caller, seal};

struct Running {
    world: TestLedger,
    draft: Draft,
    id: ProposalId,
    token: Vec<u8>,
    _jobs: super::lease::Jobs,
}

async fn running() -> Running {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&draft).await;
    let token = next(&mut jobs).await.unwrap().token.to_vec();
    world
        .ledger
        .start(caller(WRITER), id.clone(), token.clone())
        .await
        .unwrap();
    Running {
        world,
        draft,
        id,
        token,
        _jobs: jobs,
    }
}

impl Running {
    fn receipt(&self, outcome: ReceiptOutcome) -> DsseEnvelope {
        seal(
            ObjectKind::Receipt,
            &self.world.receipt(&self.draft, outcome),
            WRITER_KEY,
        )
    }

    async fn settle(
        &self,
        token: &[u8],
        result: AttemptResult,
        receipt: Option<DsseEnvelope>,
    ) -> Result<ProposalState, ErrorCode> {
        let attempt = self.world.report(&self.draft, result, receipt.as_ref());
        let settlement = FinishedAttempt {
            id: self.id.clone(),
            token: token.to_vec(),
            attempt,
            receipt,
        };
        match self.world.ledger.settle(caller(WRITER), settlement).await {
            Ok(done) => done.value.map_err(|e| e.code),
            Err(error) => Err(crate::refusal_of(error).code),
        }
    }

    async fn state(&self) -> ProposalState {
        let id = self.id.clone();
        self.world
            .ledger
            .store
            .read(move |r| Ok(proposals::get(r.conn(), &id)?.state))
            .await
            .unwrap()
    }

    async fn count(&self, kind: EventKind) -> usize {
        let filter = TailFilter {
            proposal: Some(self.id.clone()),
            kind: Some(kind),
            ..Default::default()
        };
        self.world
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
}

#[tokio::test]
async fn settled_proposals_are_erased_and_keep_their_receipts() {
    for (result, outcome) in [
        (AttemptResult::Applied, ReceiptOutcome::Applied),
        (
            AttemptResult::of_code(ErrorCode::ConflictRowChanged),
            ReceiptOutcome::Conflict,
        ),
    ] {
        let run = running().await;
        let receipt = run.receipt(outcome);
        run.settle(&run.token, result, Some(receipt)).await.unwrap();
        super::erase::erase_ended(&run.world, 1).await;
        let stats = run.world.ledger.store.stats().await.unwrap();
        for (table, rows) in [
            ("receipts", 1),
            ("source_receipts", 1),
            ("attempts", 0),
            ("decisions", 0),
        ] {
            assert!(stats.tables.contains(&(table, rows)), "{table}: {stats:?}");
        }
    }
}

#[tokio::test]
async fn repeated_settlement_changes_nothing() {
    let run = running().await;
    let receipt = run.receipt(ReceiptOutcome::Applied);
    assert_eq!(
        run.settle(&run.token, AttemptResult::Applied, Some(receipt.clone()))
            .await,
        Ok(ProposalState::Applied)
    );
    assert_eq!(
        run.settle(&[], AttemptResult::AlreadyApplied, Some(receipt))
            .await,
        Ok(ProposalState::Applied)
    );
    assert_eq!(run.count(EventKind::WritebackApplied).await, 1);
    assert_eq!(run.count(EventKind::ReceiptAlarm).await, 0);
    run.world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn second_different_receipt_raises_alarm_and_changes_nothing() {
    let run = running().await;
    run.settle(
        &run.token,
        AttemptResult::Applied,
        Some(run.receipt(ReceiptOutcome::Applied)),
    )
    .await
    .unwrap();
    let conflict = run.receipt(ReceiptOutcome::Conflict);
    let refused = run
        .settle(
            &[],
            AttemptResult::of_code(ErrorCode::ConflictRowChanged),
            Some(conflict),
        )
        .await;
    assert_eq!(refused, Err(ErrorCode::ReceiptDiffers));
    assert_eq!(
        (run.state().await, run.count(EventKind::ReceiptAlarm).await),
        (ProposalState::Applied, 1)
    );
    run.world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn rejects_receipt_without_a_trusted_writer_signature() {
    let run = running().await;
    let forged = seal(
        ObjectKind::Receipt,
        &run.world.receipt(&run.draft, ReceiptOutcome::Applied),
        NOBODY_KEY,
    );
    let refused = run.settle(&run.token, AttemptResult::Applied, Some(forged)).await;
    assert_eq!(refused, Err(ErrorCode::RefusedReceiptIntegrity));
    assert_eq!(
        (run.state().await, run.count(EventKind::ReceiptAlarm).await),
        (ProposalState::PendingWorker, 1)
    );
}

#[tokio::test]
async fn rejects_report_that_names_another_receipt() {
    let run = running().await;
    let other = run.receipt(ReceiptOutcome::Conflict);
    let attempt = run.world.report(&run.draft, AttemptResult::Applied, Some(&other));
    let receipt = Some(run.receipt(ReceiptOutcome::Applied));
    let settlement = FinishedAttempt {
        id: run.id.clone(),
        token: run.token.clone(),
        attempt,
        receipt,
    };
    let done = run.world.ledger.settle(caller(WRITER), settlement).await.unwrap();
    assert_eq!(done.value.unwrap_err().code, ErrorCode::RefusedReceiptIntegrity);
    assert_eq!(run.state().await, ProposalState::PendingWorker);
}

#[tokio::test]
async fn refused_attempt_returns_to_approved_and_is_reorderable() {
    let mut run = running().await;
    let refused = AttemptResult::of_code(ErrorCode::RefusedFrozen);
    assert_eq!(
        run.settle(&[7; 32], refused.clone(), None).await,
        Err(ErrorCode::LeaseNotHeld)
    );
    assert_eq!(
        run.settle(&[], refused.clone(), None).await,
        Err(ErrorCode::LeaseNotHeld)
    );
    assert_eq!(
        run.settle(&run.token, refused.clone(), None).await,
        Ok(ProposalState::Approved)
    );
    // The lease ended with the attempt.
    assert_eq!(
        run.settle(&run.token, refused, None).await,
        Err(ErrorCode::LeaseNotHeld)
    );
    let order = run
        .world
        .ledger
        .store
        .read({
            let id = run.id.clone();
            move |r| {
                let seq = proposals::newest_order(r.conn(), &id)?.unwrap();
                Ok(events::envelope(r.conn(), seq)?)
            }
        })
        .await
        .unwrap();
    run.world
        .ledger
        .request_apply(caller(crate::test_kit::OPERATOR), "again", order)
        .await
        .unwrap()
        .value
        .unwrap();
    let job = next(&mut run._jobs).await.unwrap();
    assert_eq!((job.fence, job.attempt, job.has_open_attempt), (2, 2, false));
    run.world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn rejects_final_result_without_a_receipt() {
    let run = running().await;
    for result in [
        AttemptResult::Applied,
        AttemptResult::of_code(ErrorCode::ConflictRowChanged),
        AttemptResult::InDoubt,
    ] {
        assert_eq!(
            run.settle(&run.token, result, None).await,
            Err(ErrorCode::Malformed)
        );
    }
    assert_eq!(run.state().await, ProposalState::PendingWorker);
}

#[tokio::test]
async fn attempt_in_doubt_stays_open_until_a_receipt_resolves_it() {
    let run = running().await;
    let attempt = run.world.report(&run.draft, AttemptResult::InDoubt, None);
    let settlement = |token: Vec<u8>| FinishedAttempt {
        id: run.id.clone(),
        token,
        attempt: attempt.clone(),
        receipt: None,
    };
    let guessed = run
        .world
        .ledger
        .report_in_doubt(caller(WRITER), settlement(vec![7; 32]))
        .await;
    assert_eq!(code(guessed), ErrorCode::LeaseNotHeld);
    run.world
        .ledger
        .report_in_doubt(caller(WRITER), settlement(run.token.clone()))
        .await
        .unwrap();
    assert_eq!(run.state().await, ProposalState::InDoubt);
    assert_eq!(
        run.world
            .ledger
            .list_open_attempts(vec!["main".into()], None)
            .await
            .unwrap()
            .len(),
        1
    );
    let abandoned = run.receipt(ReceiptOutcome::Abandoned);
    let result = AttemptResult::Abandoned;
    assert_eq!(
        run.settle(&[], result, Some(abandoned)).await,
        Ok(ProposalState::Failed)
    );
    assert!(
        run.world
            .ledger
            .list_open_attempts(vec!["main".into()], None)
            .await
            .unwrap()
            .is_empty()
    );
    run.world.ledger.store.verify_full().await.unwrap();
}
