//! A stepped wall clock expires no proposal permanently.

use synapsor_domain::ids::ProposalId;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::timestamp::Span;

use crate::store::proposals;
use crate::test_kit::{NOW_MS, TestLedger};

const HOURS_2: i64 = 2 * 3_600_000;
/// Later than every deadline, and one second after the end of 32-bit time.
const YEAR_2038: i64 = 2_147_483_648_000;

async fn state(world: &TestLedger, id: &ProposalId) -> ProposalState {
    let id = id.clone();
    let row = world.ledger.store.read(move |r| proposals::get(r.conn(), &id));
    row.await.unwrap().state
}

/// Creates a proposal whose deadline is one hour away.
async fn open_for_an_hour(world: &TestLedger) -> ProposalId {
    let mut draft = world.draft("0");
    draft.proposal.not_after = world.now() + Span::minutes(60);
    world.propose(&draft).await
}

#[tokio::test]
async fn stepped_wall_clock_expires_nothing_until_set_back() {
    for step in [HOURS_2, YEAR_2038 - NOW_MS] {
        let world = TestLedger::new();
        let id = open_for_an_hour(&world).await;
        world.clock.set_ms(NOW_MS + step);
        world.ledger.sweep().await.unwrap();
        // A submission also checks deadlines.
        world.propose(&world.draft("1")).await;
        assert_eq!(state(&world, &id).await, ProposalState::PendingReview);
        world.clock.set_ms(NOW_MS);
        world.ledger.sweep().await.unwrap();
        assert_eq!(state(&world, &id).await, ProposalState::PendingReview);
        world.clock.advance_ms(Span::minutes(61).as_millis());
        world.ledger.sweep().await.unwrap();
        assert_eq!(state(&world, &id).await, ProposalState::Expired);
    }
}

#[tokio::test]
async fn stepped_wall_clock_is_trusted_again_when_a_writer_agrees() {
    for step in [HOURS_2, -HOURS_2] {
        let world = TestLedger::new();
        let id = open_for_an_hour(&world).await;
        world.clock.set_ms(NOW_MS + step);
        // A writer with a different time, or without one, confirms nothing.
        for other in [0, NOW_MS, NOW_MS + step + 120_001, NOW_MS + step - 120_001] {
            world.ledger.clock.compare_with_writer(other);
            assert_eq!(world.ledger.expiry_time(), None, "{other}");
        }
        world.ledger.clock.compare_with_writer(NOW_MS + step + 120_000);
        assert_eq!(world.ledger.expiry_time(), Some(world.now()));
        world.ledger.sweep().await.unwrap();
        let expected = if step > 0 {
            ProposalState::Expired
        } else {
            ProposalState::PendingReview
        };
        assert_eq!(state(&world, &id).await, expected);
    }
}

#[tokio::test]
async fn skew_of_a_minute_is_not_a_step() {
    let world = TestLedger::new();
    world.clock.set_ms(NOW_MS + 60_000);
    assert!(world.ledger.expiry_time().is_some());
    world.clock.set_ms(NOW_MS + 60_001);
    assert!(world.ledger.expiry_time().is_none());
    world.clock.set_ms(NOW_MS - 60_000);
    assert!(world.ledger.expiry_time().is_some());
}
