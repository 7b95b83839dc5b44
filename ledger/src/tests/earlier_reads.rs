//! Reads as earlier builds recorded them, evidence and audit record as two events, next to reads of this build.

use synapsor_codes::ErrorCode;
use synapsor_domain::event::EventKind;
use synapsor_domain::replay::{Entry, EventBody};
use synapsor_domain::signing::DsseEnvelope;

use crate::intake::CallRecordBody;
use crate::store::events::{self, TailFilter};
use crate::store::{NewEvent, ParsedBody, agents, records};
use crate::test_kit::{Draft, READER, TestLedger, read_call};

/// Evidence and audit record as a reader submits them.
fn parts(call: &CallRecordBody) -> (DsseEnvelope, Vec<u8>) {
    let CallRecordBody::Read { evidence, audit } = call.clone() else {
        unreachable!("it is a read")
    };
    (evidence, audit)
}

/// Records a read like an earlier build.
async fn record_apart(world: &TestLedger, call: &CallRecordBody) {
    let (evidence, audit) = parts(call);
    let (evidence, at) = (evidence.to_bytes().unwrap(), world.now());
    let write = world.ledger.store.write(move |step| {
        let event = |kind, body| NewEvent {
            kind,
            at,
            actor: READER,
            proposal_id: None,
            body,
            read: ParsedBody::No,
            trace_id: None,
        };
        let events = [
            event(EventKind::EvidenceRecorded, evidence.as_slice()),
            event(EventKind::QueryAudited, audit.as_slice()),
        ];
        Ok(step.append_all(&events).map(drop)?)
    });
    write.await.unwrap();
}

/// Ledger with two events of an earlier read, and one of a read of this build.
async fn both() -> (TestLedger, [Draft; 2], [CallRecordBody; 2]) {
    let world = TestLedger::new();
    let drafts = [world.draft("0"), world.draft("1")];
    let calls = [read_call(&drafts[0]), read_call(&drafts[1])];
    record_apart(&world, &calls[0]).await;
    world.submit("new", calls[1].clone()).await.unwrap();
    (world, drafts, calls)
}

#[tokio::test]
async fn reads_of_both_forms_are_found_and_returned_alike() {
    let (world, drafts, calls) = both().await;
    for (draft, call, positions) in [(&drafts[0], &calls[0], (0, 1)), (&drafts[1], &calls[1], (2, 2))] {
        let (evidence, audit) = parts(call);
        let id = draft.evidence.id.to_string();
        let read = world.ledger.store.read_records(move |reader| {
            let conn = reader.conn();
            let (seq, _) = records::resolve_evidence(conn, &id)?;
            let audited = agents::audit_of(conn, seq, &id)?.unwrap();
            let stored = (events::evidence(conn, seq)?, events::audit(conn, audited)?.1);
            Ok(((seq, audited), stored))
        });
        assert_eq!(read.await.unwrap(), (positions, (evidence, audit)));
    }
    for (kind, expected) in [
        (EventKind::EvidenceRecorded, [0, 2].as_slice()),
        (EventKind::QueryAudited, &[1, 2]),
        (EventKind::ReadRecorded, &[2]),
    ] {
        let filter = TailFilter {
            kind: Some(kind),
            ..TailFilter::default()
        };
        let read = world
            .ledger
            .store
            .read_records(move |reader| Ok(events::tail(reader.conn(), (0, 9), &filter)?.events));
        let found = read.await.unwrap();
        assert_eq!(
            found.iter().map(|event| event.seq).collect::<Vec<_>>(),
            expected,
            "{kind}"
        );
    }
}

#[tokio::test]
async fn event_of_a_read_contains_its_records() {
    let (world, _, calls) = both().await;
    let read = world
        .ledger
        .store
        .read(|reader| Ok(events::tail(reader.conn(), (2, 3), &TailFilter::default())?.events));
    let event = &read.await.unwrap()[0];
    let EventBody::Read { evidence, audit } = Entry::read(&event.bytes, &event.body).unwrap().body else {
        panic!("it is a read")
    };
    let (signed, audited) = parts(&calls[1]);
    assert_eq!(evidence, signed);
    assert_eq!(synapsor_domain::canonical::encode(&audit).unwrap(), audited);
}

#[tokio::test]
async fn repeated_reads_of_both_forms_are_recognized() {
    let (world, drafts, calls) = both().await;
    for written in [false, true] {
        for (draft, call) in drafts.iter().zip(&calls) {
            let again = world.submit("again", call.clone()).await.unwrap();
            assert_eq!(again.head.size, 3, "{written}");
            // The same evidence with another audit record, and the same audit record of a refused call.
            let refusal = CallRecordBody::Refusal { audit: parts(call).1 };
            for other in [read_call(draft), refusal] {
                let refused = world.submit("other", other).await.unwrap_err();
                assert_eq!(crate::refusal_of(refused).code, ErrorCode::AlreadyRecorded);
            }
        }
        world.write_views().await;
    }
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn views_of_both_forms_are_derived_after_a_start() {
    let (world, drafts, _) = both().await;
    world.write_views().await;
    rusqlite::Connection::open(world.store_path())
        .unwrap()
        .execute_batch("DELETE FROM record_views_end; DELETE FROM evidence; DELETE FROM audit")
        .unwrap();
    let world = world.restart().await;
    world.write_views().await;
    world.ledger.store.verify_full().await.unwrap();
    let ids = drafts.map(|draft| draft.evidence.id.to_string());
    for id in ids {
        let read = world
            .ledger
            .store
            .read_records(move |reader| records::resolve_evidence(reader.conn(), &id));
        read.await.unwrap();
    }
}
