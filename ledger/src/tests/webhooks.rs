//! Delivery state of webhooks in a real store, and the events that a webhook reads.

use std::collections::BTreeMap;

use synapsor_domain::event::EventKind;
use synapsor_domain::webhook::{READ_KINDS, SourceName, WebhookFormat};

use crate::store::webhooks::{
    DeadLetter, DeliveryReader, WaitingSubject, WebhookProgress, dead_letter_count, dead_letters,
    deliver_again, load, names, remove_dead_letter, save, scheduled,
};
use crate::test_kit::{ORIGIN, TestLedger};

/// New value of the proposals.
const VALUE: &str = "424242";

fn letter(seq: u64, retry_ms: Option<i64>) -> DeadLetter {
    DeadLetter {
        seq,
        subject: format!("#{seq}"),
        attempts: 3,
        died_ms: 9,
        failure: "status 500".into(),
        retry_ms,
    }
}

fn progress(position: u64) -> WebhookProgress {
    let waiting = WaitingSubject {
        next: 1,
        attempts: 2,
        retry_ms: 8,
        failure: "timed out".into(),
    };
    WebhookProgress {
        position,
        delivered: 7,
        last_delivery_ms: Some(5),
        last_failure: Some((6, "timed out".into())),
        waiting: BTreeMap::from([("wrp_x".to_owned(), waiting)]),
    }
}

#[tokio::test]
async fn delivery_state_survives_a_restart() {
    let world = TestLedger::new();
    let before = world.ledger.store.head().borrow().clone();
    let store = world.ledger.write(|step| {
        let conn = step.conn();
        save(conn, "a", &progress(1), &[letter(1, None), letter(2, None)])?;
        save(conn, "a", &progress(3), &[])?;
        Ok(save(conn, "b", &WebhookProgress::default(), &[letter(1, None)])?)
    });
    store.await.unwrap();
    assert_eq!(
        *world.ledger.store.head().borrow(),
        before,
        "no event is recorded"
    );
    let world = world.restart().await;
    let read = world.ledger.store.read(|reader| {
        let conn = reader.conn();
        assert_eq!(names(conn)?, ["a", "b"]);
        assert_eq!(load(conn, "a")?, Some(progress(3)));
        assert_eq!(load(conn, "b")?, Some(WebhookProgress::default()));
        assert_eq!(load(conn, "c")?, None);
        assert_eq!(
            dead_letters(conn, "a", None, 9)?,
            [letter(1, None), letter(2, None)]
        );
        assert_eq!(dead_letters(conn, "a", Some(1), 9)?, [letter(2, None)]);
        assert_eq!(scheduled(conn, "a", 9)?, []);
        Ok(())
    });
    read.await.unwrap();
    let again = world.ledger.write(|step| {
        let conn = step.conn();
        assert_eq!(deliver_again(conn, "a", Some(5), 20)?, 0);
        assert_eq!(deliver_again(conn, "a", Some(2), 20)?, 1);
        assert_eq!(deliver_again(conn, "b", None, 20)?, 1);
        let due = scheduled(conn, "a", 9)?;
        assert_eq!((due.len(), due[0].attempts, due[0].retry_ms), (1, 0, Some(20)));
        remove_dead_letter(conn, "a", 2)?;
        Ok((dead_letter_count(conn, "a")?, dead_letter_count(conn, "b")?))
    });
    assert_eq!(again.await.unwrap().value, (1, 1));
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn index_and_log_have_the_same_events() {
    let world = TestLedger::new();
    let mut ids = Vec::new();
    for value in ["424242", "4242421", "4242422"] {
        let draft = world.draft(value);
        world.read(&world.draft("read")).await;
        ids.push(world.ordered(&draft).await.to_string());
    }
    let read = world.ledger.store.read_records(move |reader| {
        let mut events = DeliveryReader::new(reader.conn());
        let wants = |kind: EventKind| !READ_KINDS.contains(&kind);
        let (indexed, end) = events.page((0, u64::MAX >> 11), 100, true, wants)?;
        let (scanned, scanned_end) = events.page((0, u64::MAX >> 11), 100, false, wants)?;
        assert_eq!((&indexed, end), (&scanned, scanned_end));
        assert_eq!(indexed.len(), 9, "created, approved and ordered, three times");

        // Pages of any size return each event once.
        let (mut position, mut paged) = (0, Vec::new());
        while position < end {
            let (page, next) = events.page((position, end), 2, true, wants)?;
            assert!(next > position && page.len() <= 2);
            (position, paged) = (next, [paged, page].concat());
        }
        assert_eq!(paged, indexed);

        for id in &ids {
            let of_id = |delivery: &&_| crate::store::webhooks::subject_of(delivery) == *id;
            let expected: Vec<_> = indexed.iter().filter(of_id).cloned().collect();
            assert_eq!(
                events.of_subject(id, (0, end), 9, wants)?,
                (expected.clone(), true)
            );
            let (first, is_all) = events.of_subject(id, (0, end), 2, wants)?;
            assert_eq!((first.as_slice(), is_all), (&expected[..2], false));
        }
        assert_eq!(events.of_subject("#0", (1, end), 9, wants)?, (Vec::new(), true));

        let (all, _) = events.page((0, end), 100, false, |_| true)?;
        assert!(all.len() > indexed.len());
        for delivery in &all {
            for format in WebhookFormat::ALL {
                let body = delivery.render(format, SourceName(ORIGIN), delivery.event.at);
                let text = String::from_utf8(body.bytes).unwrap();
                for value in [VALUE, "acme", "agent-1"] {
                    assert!(!text.contains(value), "{value} is in {text}");
                }
            }
        }
        Ok(())
    });
    read.await.unwrap();
}
