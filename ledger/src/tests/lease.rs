//! Leases and jobs of writers.

use std::time::Duration;

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::verify_checkpoint;
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback::AttemptResult;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::finish_attempt::FinishedAttempt;
use crate::job::JobGrant;
use crate::lease::{GROUP_INTERVAL, LeaseStreamTerms, Leased};
use crate::store::listeners::Topic;
use crate::store::{StoreTxError, events, proposals};
use crate::test_kit::{
    ANN_KEY, Draft, LEDGER_KEY, OPERATOR, ORIGIN, TestLedger, WRITER, caller, key, seal, with_evidence,
};

pub(super) const OTHER_WRITER: &str = "spiffe://dep-test/writer/w2";

pub(super) type Jobs = mpsc::Receiver<Result<Leased, PublicError>>;

pub(super) fn open(world: &TestLedger, writer: &str, capacity: u32) -> Jobs {
    serve(world, terms(writer, &["main"], capacity))
}

fn terms(writer: &str, sources: &[&str], capacity_per_source: u32) -> LeaseStreamTerms {
    LeaseStreamTerms {
        writer: writer.into(),
        sources: sources.iter().map(|source| (*source).to_owned()).collect(),
        capacity: capacity_per_source * u32::try_from(sources.len()).unwrap(),
        capacity_per_source,
        known_size: 0,
        group_interval: GROUP_INTERVAL,
    }
}

fn serve(world: &TestLedger, terms: LeaseStreamTerms) -> Jobs {
    let (sender, receiver) = mpsc::channel(4);
    let ledger = world.ledger.clone();
    tokio::spawn(async move { ledger.serve_leases(terms, sender, CancellationToken::new()).await });
    receiver
}

pub(super) async fn next(jobs: &mut Jobs) -> Result<JobGrant, PublicError> {
    loop {
        match next_message(jobs).await? {
            Leased::Job(job) => return Ok(*job),
            Leased::Stops(_) => {}
        }
    }
}

fn job_of(leased: Leased) -> JobGrant {
    match leased {
        Leased::Job(job) => *job,
        Leased::Stops(_) => panic!("freezes or rejections instead of a job"),
    }
}

pub(super) async fn next_message(jobs: &mut Jobs) -> Result<Leased, PublicError> {
    tokio::time::timeout(Duration::from_secs(20), jobs.recv())
        .await
        .expect("a message in time")
        .expect("an open stream")
}

pub(super) fn code<T>(result: Result<T, StoreTxError>) -> ErrorCode {
    crate::refusal_of(result.err().expect("a refusal")).code
}

#[tokio::test]
async fn job_carries_everything_proven_under_one_checkpoint() {
    let world = TestLedger::new();
    let mut jobs = open(&world, WRITER, 1);
    let draft = world.draft("0");
    let id = world.ordered(&draft).await;
    let job = next(&mut jobs).await.unwrap();
    let head = verify_checkpoint(&job.checkpoint, ORIGIN, &key(LEDGER_KEY).public_key()).unwrap();
    assert_eq!(job.proposal.verify(&head).unwrap().proposal_id, Some(id));
    assert_eq!(job.decisions.len(), 1);
    job.decisions[0].verify(&head).unwrap();
    job.order.as_ref().unwrap().verify(&head).unwrap();
    assert_eq!((job.fence, job.attempt, job.has_open_attempt), (1, 1, false));
    let (proposal, _, _) = draft.signed();
    assert_eq!(job.proposal.body, proposal.to_bytes().unwrap());
}

#[tokio::test]
async fn jobs_that_come_soon_after_others_are_one_group() {
    let world = TestLedger::new();
    let in_groups = LeaseStreamTerms {
        group_interval: Duration::from_secs(3),
        ..terms(WRITER, &["main"], 4)
    };
    let mut jobs = serve(&world, in_groups);
    row(&world, "main", "acme", 0).await;
    let first = next(&mut jobs).await.unwrap();
    row(&world, "main", "acme", 1).await;
    row(&world, "main", "acme", 2).await;
    let (second, third) = (next(&mut jobs).await.unwrap(), next(&mut jobs).await.unwrap());
    assert_eq!(second.checkpoint, third.checkpoint);
    // The proofs of the group begin where those of the job before it ended.
    let public = key(LEDGER_KEY).public_key();
    let old = verify_checkpoint(&first.checkpoint, ORIGIN, &public).unwrap();
    let new = verify_checkpoint(&third.checkpoint, ORIGIN, &public).unwrap();
    for job in [&second, &third] {
        let growth = job.consistency.iter().find(|proof| proof.old_size() == old.size);
        growth.unwrap().verify(&old.root, &new.root).unwrap();
        job.proposal.verify(&new).unwrap();
    }
}

#[tokio::test]
async fn newer_stream_supersedes_and_raises_the_fence() {
    let world = TestLedger::new();
    let mut old = open(&world, WRITER, 1);
    let id = world.ordered(&world.draft("0")).await;
    let first = next(&mut old).await.unwrap();
    let mut new = open(&world, WRITER, 1);
    let second = next(&mut new).await.unwrap();
    assert_eq!((first.fence, second.fence), (1, 2));
    assert_eq!(next(&mut old).await.unwrap_err().code, ErrorCode::LeaseSuperseded);
    let late = world
        .ledger
        .start(caller(WRITER), id.clone(), first.token.to_vec())
        .await;
    assert_eq!(code(late), ErrorCode::LeaseNotHeld);
    world
        .ledger
        .start(caller(WRITER), id, second.token.to_vec())
        .await
        .unwrap();
}

#[tokio::test]
async fn another_writer_gets_a_proposal_only_after_lease_expiry() {
    let world = TestLedger::new();
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
async fn rejects_guessed_or_borrowed_token() {
    let world = TestLedger::new();
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
            ErrorCode::LeaseNotHeld
        );
        assert_eq!(
            code(world.ledger.renew_lease(caller(WRITER), id.clone(), token).await),
            ErrorCode::LeaseNotHeld
        );
    }
    let borrowed = world
        .ledger
        .start(caller(OTHER_WRITER), id.clone(), job.token.to_vec())
        .await;
    assert_eq!(code(borrowed), ErrorCode::LeaseNotHeld);
    world
        .ledger
        .renew_lease(caller(WRITER), id, job.token.to_vec())
        .await
        .unwrap();
}

#[tokio::test]
async fn capacity_bounds_the_jobs_of_one_writer() {
    let world = TestLedger::new();
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
async fn start_is_durable_idempotent_and_defers_rejection() {
    let world = TestLedger::new();
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
    let deny = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        ANN_KEY,
    );
    // The rejection is now recorded, and only a receipt ends the proposal.
    let decided = world.ledger.decide(caller(OPERATOR), "deny", deny).await;
    let decided = decided.unwrap().value.unwrap();
    assert_eq!(decided.state, ProposalState::PendingWorker);
    // The writer disconnects; an open stream would receive the expired lease again.
    drop(jobs);
    while world.ledger.streams.serves("main") {
        tokio::task::yield_now().await;
    }
    // Expiry does not end it either.
    world.clock.advance_ms(8 * 86_400_000);
    world.ledger.sweep().await.unwrap();
    let unfinished = world
        .ledger
        .list_open_attempts(vec!["main".into()], None)
        .await
        .unwrap();
    assert_eq!(
        (unfinished.len(), unfinished[0].fence, unfinished[0].leased),
        (1, 1, false)
    );
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn rejection_before_the_start_reaches_the_lease_holder() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let mut jobs = open(&world, WRITER, 1);
    let id = world.ordered(&draft).await;
    let job = next(&mut jobs).await.unwrap();
    let deny = seal(
        ObjectKind::Decision,
        &world.decision(&draft, DecisionKind::Reject),
        ANN_KEY,
    );
    world
        .ledger
        .decide(caller(OPERATOR), "deny", deny.clone())
        .await
        .unwrap()
        .value
        .unwrap();
    let rejection = world
        .ledger
        .renew_lease(caller(WRITER), id.clone(), job.token.to_vec())
        .await
        .unwrap();
    assert_eq!(rejection, Some(deny));
    assert_eq!(
        code(world.ledger.start(caller(WRITER), id, job.token.to_vec()).await),
        ErrorCode::ProposalEnded
    );
}

#[tokio::test]
async fn restarted_ledger_continues_with_the_fence() {
    let world = TestLedger::new();
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
    assert_eq!((again.fence, again.attempt, again.has_open_attempt), (2, 2, true));
}

#[tokio::test]
async fn new_order_reports_the_lease_until_it_expires() {
    let world = TestLedger::new();
    let mut jobs = open(&world, WRITER, 1);
    let draft = world.draft("0");
    let id = world.ordered(&draft).await;
    next(&mut jobs).await.unwrap();
    let row = id.clone();
    let signed = world
        .ledger
        .store
        .read(move |r| {
            let seq = proposals::newest_order(r.conn(), &row)?.unwrap();
            Ok::<_, StoreTxError>(events::envelope(r.conn(), seq)?)
        })
        .await
        .unwrap();
    let lease_at = async |request: &str| {
        let done = world
            .ledger
            .request_apply(caller(OPERATOR), request, signed.clone());
        done.await.unwrap().value.unwrap().lease
    };
    let lease = lease_at("valid").await.expect("the writer's lease");
    assert_eq!(lease.writer, WRITER);
    assert!(lease.expires_at > world.ledger.now());
    world.clock.advance_ms(61_000);
    assert!(lease_at("ended").await.is_none());
}

#[tokio::test]
async fn lease_of_a_disconnected_writer_soon_moves_to_another() {
    let world = TestLedger::new();
    let mut gone = open(&world, WRITER, 1);
    let id = world.ordered(&world.draft("0")).await;
    let first = next(&mut gone).await.unwrap();
    drop(gone);
    // The next read of the row shows the shortened lease, well before its sixty seconds are over.
    let soon = world.ledger.now() + synapsor_domain::timestamp::Span::seconds(5);
    let shortened = async {
        loop {
            let row = id.clone();
            let lease = world
                .ledger
                .store
                .read(move |reader| Ok::<_, StoreTxError>(crate::store::leases::find(reader.conn(), &row)?))
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

fn two_sources(world: &TestLedger, capacity_per_source: u32) -> Jobs {
    serve(world, terms(WRITER, &["main", "crm"], capacity_per_source))
}

/// Creates a change of one row, in a source, for a tenant.
async fn row(world: &TestLedger, source: &str, tenant: &str, id: i128) -> Draft {
    let mut draft = world.draft(&random::hex_id(8));
    for at in [&mut draft.proposal.source, &mut draft.evidence.source] {
        at.id = source.into();
    }
    for by in [&mut draft.proposal.requested_by, &mut draft.evidence.requested_by] {
        by.tenant = tenant.into();
    }
    for target in [&mut draft.proposal.target, &mut draft.evidence.target] {
        target.keys = vec![ColumnValue::new("id", Value::int(id))];
        target.tenant = Some(ColumnValue::new("tenant_id", Value::text(tenant)));
    }
    let draft = with_evidence(draft);
    world.ordered_at(&draft, source).await;
    draft
}

fn about(job: &JobGrant) -> (String, String, String) {
    let proposal: Proposal = DsseEnvelope::from_bytes(&job.proposal.body)
        .unwrap()
        .decode_unverified(ObjectKind::Proposal)
        .unwrap();
    let key = proposal.target.keys[0].value.as_text().unwrap_or_default();
    (proposal.source.id, proposal.requested_by.tenant, key.to_owned())
}

async fn silent(jobs: &mut Jobs) {
    let more = tokio::time::timeout(Duration::from_millis(200), jobs.recv()).await;
    assert!(
        more.is_err(),
        "{:?}",
        more.unwrap().map(|job| about(&job_of(job.unwrap())))
    );
}

/// Ends an attempt without a receipt, as the writer of the test fixture.
async fn give_back(world: &TestLedger, draft: &Draft, job: &JobGrant) {
    let settlement = FinishedAttempt {
        id: draft.proposal.id.clone(),
        token: job.token.to_vec(),
        attempt: world.report(draft, AttemptResult::of_code(ErrorCode::RetryableTimeout), None),
        receipt: None,
    };
    world
        .ledger
        .settle(caller(WRITER), settlement)
        .await
        .unwrap()
        .value
        .unwrap();
}

#[tokio::test]
async fn source_with_many_jobs_does_not_delay_another() {
    let world = TestLedger::new();
    for id in 0..30 {
        row(&world, "main", "acme", id).await;
    }
    row(&world, "crm", "acme", 1).await;
    let mut jobs = two_sources(&world, 8);
    let first = about(&next(&mut jobs).await.unwrap()).0;
    let second = about(&next(&mut jobs).await.unwrap()).0;
    assert_eq!([first.as_str(), second.as_str()], ["main", "crm"]);
    // A full source leaves the other its own capacity, however many orders follow.
    while let Ok(Some(job)) = tokio::time::timeout(Duration::from_millis(200), jobs.recv()).await {
        assert_eq!(about(&job_of(job.unwrap())).0, "main");
    }
    for id in 2..5 {
        row(&world, "crm", "acme", id).await;
        assert_eq!(about(&next(&mut jobs).await.unwrap()).2, id.to_string());
    }
}

#[tokio::test]
async fn row_has_one_writer_and_other_rows_are_not_blocked() {
    let world = TestLedger::new();
    let mut held = Vec::new();
    for _ in 0..45 {
        held.push(row(&world, "main", "acme", 7).await);
    }
    row(&world, "main", "acme", 8).await;
    let mut jobs = open(&world, WRITER, 16);
    let first = next(&mut jobs).await.unwrap();
    assert_eq!(about(&first).2, "7");
    assert_eq!(about(&next(&mut jobs).await.unwrap()).2, "8");
    silent(&mut jobs).await;
    let mut other = open(&world, OTHER_WRITER, 16);
    silent(&mut other).await;
    drop(other);
    world
        .ledger
        .start(caller(WRITER), held[0].proposal.id.clone(), first.token.to_vec())
        .await
        .unwrap();
    give_back(&world, &held[0], &first).await;
    let second = next(&mut jobs).await.unwrap();
    assert_eq!(about(&second).2, "7");
    silent(&mut jobs).await;
}

#[tokio::test]
async fn tenants_are_served_round_robin() {
    let world = TestLedger::new();
    for id in 0..40 {
        row(&world, "main", "acme", id).await;
    }
    row(&world, "main", "globex", 100).await;
    row(&world, "main", "initech", 200).await;
    let mut jobs = open(&world, WRITER, 8);
    let mut tenants = Vec::new();
    for _ in 0..7 {
        tenants.push(about(&next(&mut jobs).await.unwrap()).1);
    }
    assert_eq!(tenants[..3], ["acme", "globex", "initech"]);
    // However many jobs of one tenant wait, it receives a share; another tenant is served at once.
    let acme = tenants.iter().filter(|t| *t == "acme").count();
    assert_eq!(acme, 5);
    row(&world, "main", "globex", 101).await;
    silent(&mut jobs).await;
}

#[tokio::test]
async fn tenant_with_many_jobs_leaves_capacity_for_another() {
    let world = TestLedger::new();
    for id in 0..40 {
        row(&world, "main", "acme", id).await;
    }
    let mut jobs = open(&world, WRITER, 8);
    for _ in 0..6 {
        assert_eq!(about(&next(&mut jobs).await.unwrap()).1, "acme");
    }
    silent(&mut jobs).await;
    row(&world, "main", "globex", 100).await;
    assert_eq!(about(&next(&mut jobs).await.unwrap()).1, "globex");
}

#[tokio::test]
async fn attempt_in_doubt_gets_capacity_when_the_rest_is_used() {
    let world = TestLedger::new();
    let doubtful = row(&world, "main", "acme", 1).await;
    let mut jobs = open(&world, WRITER, 4);
    let job = next(&mut jobs).await.unwrap();
    let id = doubtful.proposal.id.clone();
    let token = job.token.to_vec();
    world
        .ledger
        .start(caller(WRITER), id.clone(), token.clone())
        .await
        .unwrap();
    let doubt = FinishedAttempt {
        id: id.clone(),
        token,
        attempt: world.report(&doubtful, AttemptResult::InDoubt, None),
        receipt: None,
    };
    world.ledger.report_in_doubt(caller(WRITER), doubt).await.unwrap();
    for tenant in ["acme", "globex", "initech", "umbrella"] {
        row(&world, "main", tenant, 1).await;
        row(&world, "main", tenant, 2).await;
    }
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(200), jobs.recv()).await {}
    // A new stream receives the attempts in doubt first, and then no more than its share.
    let mut again = open(&world, WRITER, 4);
    let first = next(&mut again).await.unwrap();
    assert!(first.has_open_attempt, "{:?}", about(&first));
    for _ in 0..2 {
        assert!(!next(&mut again).await.unwrap().has_open_attempt);
    }
}

#[tokio::test]
async fn event_without_effect_on_a_source_wakes_no_stream() {
    let world = TestLedger::new();
    let crm = world.ledger.store.listen(vec![Topic::Source("crm".into())]);
    let main = world.ledger.store.listen(vec![Topic::Source("main".into())]);
    let globex = world.ledger.store.listen(vec![Topic::Tenant("globex".into())]);
    row(&world, "main", "acme", 1).await;
    assert!(main.take().is_some());
    assert_eq!((crm.peek(), globex.peek()), (None, None));
    // A submitted or decided proposal is not a job yet.
    world.propose(&world.draft("5")).await;
    assert_eq!(main.peek(), None);
    // A refused request stores nothing and wakes no stream.
    let forged = world.decision(&world.draft("6"), DecisionKind::Approve);
    let _ = world
        .ledger
        .decide(
            caller(OPERATOR),
            "forged",
            seal(ObjectKind::Decision, &forged, ANN_KEY),
        )
        .await;
    assert_eq!((crm.peek(), globex.peek(), main.peek()), (None, None, None));
}

#[tokio::test]
async fn unfinished_attempts_are_paged_newest_first() {
    let world = TestLedger::new();
    let mut jobs = two_sources(&world, 8);
    for (source, id) in [("main", 1), ("crm", 2), ("main", 3)] {
        let draft = row(&world, source, "acme", id).await;
        let job = next(&mut jobs).await.unwrap();
        world
            .ledger
            .start(caller(WRITER), draft.proposal.id.clone(), job.token.to_vec())
            .await
            .unwrap();
    }
    let sources = vec!["main".to_owned(), "crm".to_owned()];
    let all = world
        .ledger
        .list_open_attempts(sources.clone(), None)
        .await
        .unwrap();
    let key = |unfinished: &crate::finish_attempt::OpenAttemptRow| {
        let proposal: Proposal = unfinished
            .proposal
            .decode_unverified(ObjectKind::Proposal)
            .unwrap();
        proposal.target.keys[0]
            .value
            .as_text()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(all.iter().map(key).collect::<Vec<_>>(), ["3", "2", "1"]);
    let older = world
        .ledger
        .list_open_attempts(sources, Some(all[0].changed_seq))
        .await
        .unwrap();
    assert_eq!(older.iter().map(key).collect::<Vec<_>>(), ["2", "1"]);
}
