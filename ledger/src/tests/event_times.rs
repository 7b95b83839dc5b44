//! Tail of the log by time, across segments of the log.

use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, LedgerStartedBody};
use synapsor_domain::timestamp::{Span, Timestamp};

use crate::store::event_times::TimeRange;
use crate::store::events::{TailFilter, tail};
use crate::store::record_index::SEGMENT_EVENTS;
use crate::store::{NewEvent, ParsedBody};
use crate::test_kit::TestLedger;

/// Appends events of one time in one batch.
async fn append(world: &TestLedger, count: u64, at: Timestamp) {
    let body = LedgerStartedBody {
        trust_digest: Digest::from_bytes([1; 32]),
        version: "1".to_owned(),
    };
    let body = canonical::encode(&body).unwrap();
    let done = world.ledger.write(move |step| {
        for _ in 0..count {
            step.append(&NewEvent {
                kind: EventKind::LedgerStarted,
                at,
                actor: "spiffe://dep-test/ledger/l1",
                proposal_id: None,
                body: &body,
                read: ParsedBody::No,
                trace_id: None,
            })?;
        }
        Ok(())
    });
    done.await.unwrap();
}

/// Number of events from a time on, in all pages.
async fn count_from(world: &TestLedger, from: Timestamp) -> usize {
    let filter = TailFilter {
        times: TimeRange {
            from_ms: Some(from.as_unix_millis()),
            to_ms: None,
        },
        ..TailFilter::default()
    };
    let read = world.ledger.store.read(move |reader| {
        let (mut next, end, mut found) = (0, 3 * SEGMENT_EVENTS, 0);
        while next < end {
            let page = tail(reader.conn(), (next, end), &filter)?;
            found += page.events.len();
            next = page.next;
        }
        Ok(found)
    });
    read.await.unwrap()
}

/// Times of segments are stored with the batch that completes them, and follow from the events.
#[tokio::test]
async fn events_are_found_by_time_after_the_clock_was_set_back() {
    let world = TestLedger::new();
    let (now, ahead) = (world.now(), world.now() + Span::days(2));
    append(&world, SEGMENT_EVENTS - 10, now).await;
    append(&world, 3, ahead).await;
    append(&world, SEGMENT_EVENTS + 100, now).await;
    assert_eq!(count_from(&world, ahead).await, 3);
    world.ledger.store.verify_full().await.unwrap();
    let world = world.restart().await;
    assert_eq!(count_from(&world, ahead).await, 3);
}
