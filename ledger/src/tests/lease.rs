//! Handing out work.

use std::time::Duration;

use synapsor_domain::approval::Verdict;
use synapsor_domain::log::verify_checkpoint;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::Kind;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lease::{Job, LeaseTerms};
use crate::store::StepError;
use crate::test_kit::{ANN_KEY, LEDGER_KEY, OPERATOR, ORIGIN, WRITER, World, caller, key, seal};

pub(super) const OTHER_WRITER: &str = "spiffe://dep-test/writer/w2";

pub(super) type Jobs = mpsc::Receiver<Result<Job, Refusal>>;

pub(super) fn open(world: &World, writer: &str, capacity: u32) -> Jobs {
    let (sender, receiver) = mpsc::channel(4);
    let terms = LeaseTerms {
        writer: writer.into(),
        sources: vec!["main".into()],
        capacity,
        known_size: 0,
    };
    let ledger = world.ledger.clone();
    tokio::spawn(async move { ledger.serve_leases(terms, sender, CancellationToken::new()).await });
    receiver
}

pub(super) async fn next(jobs: &mut Jobs) -> Result<Job, Refusal> {
    tokio::time::timeout(Duration::from_secs(20), jobs.recv())
        .await
        .expect("a job in time")
        .expect("an open stream")
}

pub(super) fn code<T>(result: Result<T, StepError>) -> String {
    crate::refusal_of(result.err().expect("a refusal"))
        .code
        .to_string()
}

#[tokio::test]
async fn a_job_carries_everything_proven_under_one_checkpoint() {
    let world = World::new();
    let mut jobs = open(&world, WRITER, 1);
    let draft = world.draft("0");
    let id = world.ordered(&draft).await;
    let job = next(&mut jobs).await.unwrap();
    let head = verify_checkpoint(&job.checkpoint, ORIGIN, &key(LEDGER_KEY).public_key()).unwrap();
    assert_eq!(job.proposal.verify(&head).unwrap().proposal_id, Some(id));
    assert_eq!(job.decisions.len(), 1);
    job.decisions[0].verify(&head).unwrap();
    job.order.as_ref().unwrap().verify(&head).unwrap();
    assert_eq!((job.fence, job.attempt, job.unfinished), (1, 1, false));
    let (proposal, _, _) = draft.signed();
    assert_eq!(job.proposal.body, proposal.to_bytes().unwrap());
}

#[tokio::test]
async fn a_newer_stream_of_the_same_writer_supersedes_and_raises_the_fence() {
    let world = World::new();
    let mut old = open(&world, WRITER, 1);
    let id = world.ordered(&world.draft("0")).await;
    let first = next(&mut old).await.unwrap();
    let mut new = open(&world, WRITER, 1);
    let second = next(&mut new).await.unwrap();
    assert_eq!((first.fence, second.fence), (1, 2));
    assert_eq!(next(&mut old).await.unwrap_err().code, "LEASE_SUPERSEDED");
    let late = world
        .ledger
        .start(caller(WRITER), id.clone(), first.token.to_vec())
        .await;
    assert_eq!(code(late), "LEASE_NOT_HELD");
    world
        .ledger
        .start(caller(WRITER), id, second.token.to_vec())
        .await
        .unwrap();
}

#[tokio::test]
async fn another_writer_gets_the_proposal_only_when_the_lease_has_run_out() {
    let world = World::new();
    let mut first = open(&world, WRITER, 1);
    world.ordered(&world.draft("0")).await;
    next(&mut first).await.unwrap();
    let mut second = open(&world, OTHER_WRITER, 1);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), second.recv())
            .await
            .is_err()
    );
    world.clock.advance_ms(61_000);
    drop(first);
    assert_eq!(next(&mut second).await.unwrap().fence, 2);
}

#[tokio::test]
async fn a_guessed_or_borrowed_token_is_refused() {
    let world = World::new();
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&world.draft("0")).await;
    let job = next(&mut jobs).await.unwrap();
    for token in [vec![], vec![0; 32], vec![7; 32], job.token[..31].to_vec()] {
        assert_eq!(
            code(
                world
                    .ledger
                    .start(caller(WRITER), id.clone(), token.clone())
                    .await
            ),
            "LEASE_NOT_HELD"
        );
        assert_eq!(
            code(world.ledger.heartbeat(caller(WRITER), id.clone(), token).await),
            "LEASE_NOT_HELD"
        );
    }
    let borrowed = world
        .ledger
        .start(caller(OTHER_WRITER), id.clone(), job.token.to_vec())
        .await;
    assert_eq!(code(borrowed), "LEASE_NOT_HELD");
    world
        .ledger
        .heartbeat(caller(WRITER), id, job.token.to_vec())
        .await
        .unwrap();
}

#[tokio::test]
async fn capacity_bounds_what_one_writer_holds() {
    let world = World::new();
    world.ordered(&world.draft("0")).await;
    world.ordered(&world.draft("5")).await;
    let mut jobs = open(&world, WRITER, 1);
    next(&mut jobs).await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(100), jobs.recv())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_start_is_durable_idempotent_and_ends_the_time_of_rejection() {
    let world = World::new();
    let draft = world.draft("0");
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&draft).await;
    let job = next(&mut jobs).await.unwrap();
    for _ in 0..2 {
        let started = world
            .ledger
            .start(caller(WRITER), id.clone(), job.token.to_vec())
            .await
            .unwrap();
        assert_eq!(started.value, 1);
    }
    let deny = seal(Kind::Decision, &world.decision(&draft, Verdict::Deny), ANN_KEY);
    let refused = world
        .ledger
        .decide(caller(OPERATOR), "deny", deny)
        .await
        .unwrap()
        .value
        .unwrap_err();
    assert_eq!(refused.code, "WRITEBACK_STARTED");
    // The writer goes away; a stream that is still open would be given the lapsed lease again.
    drop(jobs);
    while world.ledger.streams.serves("main") {
        tokio::task::yield_now().await;
    }
    // Time does not end it either.
    world.clock.advance_ms(8 * 86_400_000);
    world.ledger.sweep().await.unwrap();
    let unfinished = world.ledger.list_unfinished(vec!["main".into()]).await.unwrap();
    assert_eq!(
        (unfinished.len(), unfinished[0].fence, unfinished[0].leased),
        (1, 1, false)
    );
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn a_deny_before_the_start_reaches_the_holder_of_the_lease() {
    let world = World::new();
    let draft = world.draft("0");
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&draft).await;
    let job = next(&mut jobs).await.unwrap();
    let deny = seal(Kind::Decision, &world.decision(&draft, Verdict::Deny), ANN_KEY);
    world
        .ledger
        .decide(caller(OPERATOR), "deny", deny.clone())
        .await
        .unwrap()
        .value
        .unwrap();
    let told = world
        .ledger
        .heartbeat(caller(WRITER), id.clone(), job.token.to_vec())
        .await
        .unwrap();
    assert_eq!(told, Some(deny));
    assert_eq!(
        code(world.ledger.start(caller(WRITER), id, job.token.to_vec()).await),
        "PROPOSAL_ENDED"
    );
}

#[tokio::test]
async fn a_restarted_ledger_goes_on_with_the_fence() {
    let world = World::new();
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&world.draft("0")).await;
    let job = next(&mut jobs).await.unwrap();
    world
        .ledger
        .start(caller(WRITER), id, job.token.to_vec())
        .await
        .unwrap();
    drop(jobs);
    let world = world.restart().await;
    let mut jobs = open(&world, WRITER, 1);
    let again = next(&mut jobs).await.unwrap();
    assert_eq!((again.fence, again.attempt, again.unfinished), (2, 2, true));
}

#[tokio::test]
async fn the_lease_of_a_writer_that_went_away_soon_goes_to_another() {
    let world = World::new();
    let mut gone = open(&world, WRITER, 1);
    let id = world.ordered(&world.draft("0")).await;
    let first = next(&mut gone).await.unwrap();
    drop(gone);
    // The shortened lease is what the next look at the row shows; well before its sixty seconds are over.
    let soon = world.ledger.now() + synapsor_domain::timestamp::Span::seconds(5);
    let shortened = async {
        loop {
            let row = id.clone();
            let lease = world
                .ledger
                .store
                .read(move |reader| Ok::<_, StepError>(crate::store::leases::find(reader.conn(), &row)?))
                .await
                .unwrap();
            if lease.is_some_and(|l| l.expires_at <= soon) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), shortened)
        .await
        .expect("a shorter lease");
    world.clock.advance_ms(6_000);
    let mut other = open(&world, OTHER_WRITER, 1);
    let second = next(&mut other).await.unwrap();
    assert!(second.fence > first.fence);
}
