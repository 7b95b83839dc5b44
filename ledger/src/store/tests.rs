//! The store over real files: durability, order, append-only tables, tampering, and disk failures.

use std::path::Path;

use rusqlite::Connection;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{DecisionKind, ReceiptAction};
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::log::PinnedCheckpoint;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{AttemptResult, ReceiptIncidentKind};

use super::{
    NewEvent, NodeCache, ParsedBody, ProofReader, Store, StoreError, StoreTxError, WriteTransaction, log,
    verify_file,
};
use crate::test_kit::{LEDGER_KEY, NOBODY_KEY, ORIGIN, TestLedger, key};

fn open(path: &Path) -> Store {
    Store::open(path, ORIGIN, key(LEDGER_KEY)).unwrap()
}

fn append(step: &mut WriteTransaction<'_>, body: &[u8]) -> Result<u64, StoreTxError> {
    Ok(step.append(&NewEvent {
        kind: EventKind::LedgerStarted,
        at: Timestamp::from_unix_millis(1),
        actor: "test",
        proposal_id: None,
        body,
        read: ParsedBody::No,
        trace_id: None,
    })?)
}

async fn add(store: &Store, body: &'static [u8]) -> Result<u64, StoreTxError> {
    store
        .write(move |step| append(step, body))
        .await
        .map(|done| done.value)
}

fn code(result: Result<impl Sized, StoreError>) -> ErrorCode {
    result.err().expect("an error").code()
}

/// Edits the file as its owner could: drops the triggers and recreates them.
fn edit(path: &Path, sql: &str) {
    let conn = Connection::open(path).unwrap();
    let mut query = conn
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap();
    let triggers: Vec<(String, String)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    drop(query);
    for (name, _) in &triggers {
        conn.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    conn.execute_batch(sql).unwrap();
    for (_, sql) in &triggers {
        conn.execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn every_answer_is_in_the_log_of_its_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    let mut pinned = PinnedCheckpoint::new(ORIGIN);
    for n in 0..9 {
        let done = store.write(|step| append(step, b"{}")).await.unwrap();
        assert_eq!((done.value, done.head.size), (n, n + 1));
        let known = pinned.size;
        let (head, proof) = store
            .read(move |r| {
                let head = log::head(r.conn())?;
                let proof = log::proof_since(r.conn(), known, &head)?;
                Ok((head, proof))
            })
            .await
            .unwrap();
        assert_eq!(head, done.head);
        let verified =
            synapsor_domain::log::verify_checkpoint(&head.note, ORIGIN, &key(LEDGER_KEY).public_key())
                .unwrap();
        pinned.advance(&verified, proof.as_ref()).unwrap();
        let record = store
            .read(move |r| Ok(ProofReader::new(r.conn(), head.size, &NodeCache::default()).logged(n / 2)?))
            .await
            .unwrap();
        record.verify(&verified).unwrap();
    }
}

#[tokio::test]
async fn batch_keeps_request_order_and_isolates_failures() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    let requests: Vec<_> = (0..300_u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(move |step| {
                        let seq = append(step, b"{}")?;
                        if n % 3 == 0 {
                            return Err(PublicError::new(ErrorCode::NotAvailable, "on purpose").into());
                        }
                        Ok(seq)
                    })
                    .await
            })
        })
        .collect();
    let mut seqs = Vec::new();
    for (n, request) in (0..300_u64).zip(requests) {
        match request.await.unwrap() {
            Ok(done) => seqs.push(done.value),
            Err(StoreTxError::Refused(refusal)) => {
                assert!(refusal.code == ErrorCode::NotAvailable && n % 3 == 0)
            }
            Err(other) => panic!("{other}"),
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (0..200).collect::<Vec<_>>());
    let report = store.verify_full().await.unwrap();
    assert_eq!(report.events, 200);
    assert!(report.checkpoints <= 201);
}

#[tokio::test]
async fn request_that_the_database_rejects_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    let requests: Vec<_> = (0..50_u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(move |step| {
                        let seq = append(step, b"{}")?;
                        if n % 5 == 0 {
                            step.conn()
                                .execute("INSERT INTO blocks VALUES (-1, 1, x'00')", [])?;
                        }
                        Ok(seq)
                    })
                    .await
            })
        })
        .collect();
    let mut kept = 0;
    for request in requests {
        match request.await.unwrap() {
            Ok(_) => kept += 1,
            Err(StoreTxError::Store(StoreError::Duplicate)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(kept, 40);
    assert_eq!(store.verify_full().await.unwrap().events, 40);
}

#[tokio::test]
async fn record_that_fails_after_its_first_change_fails_the_batch() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    let refused = || PublicError::new(ErrorCode::NotAvailable, "on purpose");
    let submit = |changes_first: bool| {
        let mut group = super::Group::new(0);
        let pending = group.push(super::StepKind::Record, move |step| {
            if changes_first {
                append(step, b"{}")?;
            }
            Err::<(), _>(refused().into())
        });
        store.submit(group).unwrap();
        pending.answer()
    };
    // A failed statement is no refusal, even before the first change.
    let mut group = super::Group::new(0);
    let failed = group.push(super::StepKind::Record, |_| Err::<(), _>(StoreError::Full.into()));
    let beside = group.push(super::StepKind::Any, |step| append(step, b"{}"));
    store.submit(group).unwrap();
    for lost in [failed.answer().await.map(drop), beside.answer().await.map(drop)] {
        assert!(matches!(lost, Err(StoreTxError::Store(StoreError::Full))));
    }
    let early = submit(false).await;
    assert!(matches!(early, Err(StoreTxError::Refused(_))));
    let late = submit(true).await;
    assert!(matches!(late, Err(StoreTxError::Store(StoreError::Failed(_)))));
    assert_eq!(add(&store, b"{}").await.unwrap(), 0);
    store.verify_full().await.unwrap();
}

#[tokio::test]
async fn queued_requests_become_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    let (enter, entered) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let first = store.clone();
    let blocking = tokio::spawn(async move {
        first
            .write(move |step| {
                enter.send(()).unwrap();
                left.recv().unwrap();
                append(step, b"{}")
            })
            .await
    });
    tokio::task::spawn_blocking(move || entered.recv().unwrap())
        .await
        .unwrap();
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.write(|step| append(step, b"{}")).await })
        })
        .collect();
    while store.queue.capacity() > super::QUEUE_MAX - 100 {
        tokio::task::yield_now().await;
    }
    leave.send(()).unwrap();
    blocking.await.unwrap().unwrap();
    for request in waiting {
        assert_eq!(request.await.unwrap().unwrap().head.size, 101);
    }
    // The empty log, the first batch and the second.
    assert_eq!(store.verify_full().await.unwrap().checkpoints, 3);
}

#[tokio::test]
async fn full_queue_returns_busy() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let (enter, entered) = std::sync::mpsc::channel();
    let blocked = store.clone();
    let blocking = tokio::spawn(async move {
        blocked
            .write(move |_| {
                enter.send(()).unwrap();
                left.recv().unwrap();
                Ok(())
            })
            .await
    });
    tokio::task::spawn_blocking(move || entered.recv().unwrap())
        .await
        .unwrap();
    let requests: Vec<_> = (0..super::QUEUE_MAX)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.write(|_| Ok(())).await })
        })
        .collect();
    while store.queue.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = store.write(|_| Ok(())).await;
    assert!(matches!(refused, Err(StoreTxError::Store(StoreError::Busy))));
    leave.send(()).unwrap();
    blocking.await.unwrap().unwrap();
    for request in requests {
        request.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn blocks_bodies_and_checkpoints_are_append_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = open(&path);
    add(&store, b"{}").await.unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA recursive_triggers = ON").unwrap();
    for table in ["blocks", "block_bodies", "checkpoints"] {
        let column = if table == "checkpoints" { "note" } else { "rowid" };
        assert!(
            conn.execute_batch(&format!("UPDATE {table} SET {column} = {column}"))
                .is_err(),
            "{table}"
        );
        assert!(
            conn.execute_batch(&format!("DELETE FROM {table}")).is_err(),
            "{table}"
        );
        let replace = format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}");
        assert!(conn.execute_batch(&replace).is_err(), "{table}");
    }
    let gap = "INSERT INTO blocks (first, count, events) VALUES (7, 1, x'00')";
    assert!(conn.execute_batch(gap).is_err());
    store.verify_full().await.unwrap();
}

#[tokio::test]
async fn two_hundred_clean_restarts_raise_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    for n in 0..200 {
        let store = open(&path);
        assert_eq!(add(&store, b"{}").await.unwrap(), n);
    }
    verify_file(&path, ORIGIN, &key(LEDGER_KEY).public_key()).unwrap();
}

/// Creates a store with every kind of record in it.
async fn rich() -> (tempfile::TempDir, std::path::PathBuf) {
    use synapsor_domain::signing::ObjectKind;
    use synapsor_domain::writeback::{AttemptResult, ReceiptOutcome};

    use crate::test_kit::{WRITER, WRITER_KEY, caller, seal};
    let world = TestLedger::new();
    let draft = world.draft("0");
    let id = world.ordered(&draft).await;
    world.propose(&world.draft("5")).await;
    let receipt = seal(
        ObjectKind::Receipt,
        &world.receipt(&draft, ReceiptOutcome::Applied),
        WRITER_KEY,
    );
    let attempt = world.report(&draft, AttemptResult::Applied, Some(&receipt));
    let settlement = crate::finish_attempt::FinishedAttempt {
        id,
        token: Vec::new(),
        attempt,
        receipt: Some(receipt),
    };
    world
        .ledger
        .settle(caller(WRITER), settlement)
        .await
        .unwrap()
        .value
        .unwrap();
    let path = world.store_path();
    let TestLedger { dir, ledger, .. } = world;
    ledger.store.read_records(|_| Ok(())).await.unwrap();
    ledger.store.verify_full().await.unwrap();
    drop(ledger);
    (dir, path)
}

#[tokio::test]
async fn every_edit_of_a_stored_value_is_reported() {
    let edits = [
        "UPDATE blocks SET events = unhex(replace(hex(events), hex('\"at\"'), hex('\"au\"'))) WHERE first = 0"
            .to_owned(),
        "UPDATE blocks SET events = zeroblob(length(events)) WHERE first = 0".into(),
        "UPDATE blocks SET events = unhex(hex(events) || '00') WHERE first = 0".into(),
        "UPDATE blocks SET count = count + 1 WHERE first = (SELECT max(first) FROM blocks)".into(),
        "UPDATE block_bodies SET bodies = unhex(replace(hex(bodies), hex('payload'), hex('pbyload'))) \
         WHERE first = 0"
            .into(),
        "UPDATE block_bodies SET bodies = unhex(hex(bodies) || '00') WHERE first = 0".into(),
        "UPDATE block_bodies SET bodies = x'00000000' WHERE first = 0".into(),
        "DELETE FROM block_bodies WHERE first = 0".into(),
        "INSERT INTO block_bodies VALUES (1, x'00000000')".into(),
        // A block over events of the first one: lookups would find it, scans would not.
        "INSERT INTO blocks SELECT 1, count - 1, events FROM blocks WHERE first = 0; \
         INSERT INTO block_bodies SELECT 1, bodies FROM block_bodies WHERE first = 0"
            .into(),
        "UPDATE blocks SET count = count - 1 WHERE first = 0".into(),
        "UPDATE checkpoints SET nodes = zeroblob(length(nodes)) WHERE size = 3".into(),
        "UPDATE checkpoints SET nodes = unhex(hex(nodes) || hex(zeroblob(32))) WHERE size = 3".into(),
        "UPDATE checkpoints SET nodes = substr(nodes, 33) WHERE size = 3".into(),
        "UPDATE checkpoints SET nodes = x'' WHERE size = 3".into(),
        "UPDATE checkpoints SET root = zeroblob(32) WHERE size = 3".into(),
        "UPDATE checkpoints SET note = replace(note, 'A', 'B') WHERE size = 3".into(),
        "DELETE FROM checkpoints WHERE size = 0".into(),
        "UPDATE proposals SET state = 'approved' WHERE state = 'pending_review'".into(),
        "UPDATE proposals SET tenant = 'other'".into(),
        "UPDATE decisions SET person = 'bob'".into(),
        "UPDATE apply_orders SET expires_at = expires_at + 1".into(),
        "UPDATE receipts SET outcome = 'conflict'".into(),
        "UPDATE evidence SET tenant = 'other'".into(),
        "DELETE FROM evidence_links".into(),
        "UPDATE audit SET result = 'x'".into(),
        "DELETE FROM record_segments WHERE field = 'tenant'".into(),
        "DELETE FROM record_postings WHERE field = 'object_id'".into(),
        "UPDATE record_postings SET entries = substr(entries, 9)".into(),
        "UPDATE record_times SET at_max = at_max + 1".into(),
        "UPDATE record_views_end SET seq = seq + 1".into(),
        "UPDATE record_views_end SET seq = 0".into(),
        "DELETE FROM record_views_end".into(),
        "UPDATE event_index SET kind = 'x' WHERE seq = 1".into(),
        "INSERT INTO event_index VALUES (99, 'x', 0, NULL)".into(),
        "CREATE TABLE extra (x)".into(),
        "DROP INDEX proposals_listed".into(),
    ];
    let (dir, path) = rich().await;
    let public = key(LEDGER_KEY).public_key();
    verify_file(&path, ORIGIN, &public).unwrap();
    for (n, sql) in edits.iter().enumerate() {
        let copy = dir.path().join(format!("copy-{n}.db"));
        Connection::open(&path)
            .unwrap()
            .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
            .unwrap();
        verify_file(&copy, ORIGIN, &public).unwrap();
        edit(&copy, sql);
        assert_eq!(
            code(verify_file(&copy, ORIGIN, &public)),
            ErrorCode::StoreTampered,
            "{sql}"
        );
    }
}

#[tokio::test]
async fn proofs_from_cached_nodes_verify_in_a_grown_log() {
    let (_dir, path) = rich().await;
    let store = open(&path);
    let public = key(LEDGER_KEY).public_key();
    let mut cache = NodeCache::default();
    for _ in 0..3 {
        let head = store.head().borrow().clone();
        let (records, filled) = store
            .read(move |r| {
                let proofs = ProofReader::new(r.conn(), head.size, &cache);
                let records = (0..head.size).map(|seq| proofs.logged(seq));
                let records: Vec<_> = records.collect::<Result<_, StoreError>>()?;
                Ok((records, cache))
            })
            .await
            .unwrap();
        cache = filled;
        let head = store.head().borrow().clone();
        let verified = synapsor_domain::log::verify_checkpoint(&head.note, ORIGIN, &public).unwrap();
        for record in records {
            record.verify(&verified).unwrap();
        }
        add(&store, b"{}").await.unwrap();
    }
}

#[tokio::test]
async fn store_with_rows_of_events_keeps_every_proof() {
    let (_dir, path) = rich().await;
    let public = key(LEDGER_KEY).public_key();
    let before = verify_file(&path, ORIGIN, &public).unwrap();
    let records = dump(&path).unwrap();
    super::migrate::older::out_of_blocks(&path);
    let store = open(&path);
    let head = store.head().borrow().clone();
    assert_eq!(
        (head.note.as_str(), head.root),
        (before.note.as_str(), before.root)
    );
    assert_eq!(store.verify_full().await.unwrap(), before);
    let verified = synapsor_domain::log::verify_checkpoint(&head.note, ORIGIN, &public).unwrap();
    for seq in 0..head.size {
        let record = store
            .read(move |r| Ok(ProofReader::new(r.conn(), head.size, &NodeCache::default()).logged(seq)?))
            .await
            .unwrap();
        record.verify(&verified).unwrap();
    }
    add(&store, b"{}").await.unwrap();
    store.verify_full().await.unwrap();
    drop(store);
    // The same events with the same proofs; a migrated batch is one block.
    let events = |rows: &[Vec<rusqlite::types::Value>]| rows.iter().filter(|row| row.len() == 4).count();
    assert_eq!(events(&dump(&path).unwrap()), events(&records) + 1);
}

/// A store whose log has rows behind its newest checkpoint is not migrated.
#[tokio::test]
async fn damaged_store_with_rows_of_events_is_not_migrated() {
    for damage in [
        "DELETE FROM bodies WHERE event_seq = 1",
        "DELETE FROM events WHERE seq = 1",
        "DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)",
        "INSERT INTO nodes SELECT max(idx) + 1, zeroblob(32) FROM nodes",
        "DELETE FROM nodes WHERE idx = 2",
        "UPDATE events SET leaf = zeroblob(32) WHERE seq = 1",
        "PRAGMA ignore_check_constraints = ON; INSERT INTO events SELECT -1, bytes, leaf FROM events WHERE seq = 0",
    ] {
        let (_dir, path) = rich().await;
        super::migrate::older::out_of_blocks(&path);
        edit(&path, damage);
        let opened = Store::open(&path, ORIGIN, key(LEDGER_KEY));
        let found = match opened {
            Ok(store) => store.verify_full().await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert_eq!(code(found), ErrorCode::StoreTampered, "{damage}");
    }
}

#[tokio::test]
async fn truncated_log_does_not_start() {
    let (_dir, path) = rich().await;
    edit(
        &path,
        "DELETE FROM block_bodies WHERE first = (SELECT max(first) FROM blocks); \
         DELETE FROM blocks WHERE first = (SELECT max(first) FROM blocks)",
    );
    assert_eq!(
        code(Store::open(&path, ORIGIN, key(LEDGER_KEY))),
        ErrorCode::StoreTampered
    );
}

#[tokio::test]
async fn log_with_overlapping_blocks_does_not_start() {
    let (_dir, path) = rich().await;
    edit(
        &path,
        "INSERT INTO blocks SELECT 1, count - 1, events FROM blocks WHERE first = 0; \
         INSERT INTO block_bodies SELECT 1, bodies FROM block_bodies WHERE first = 0",
    );
    assert_eq!(
        code(Store::open(&path, ORIGIN, key(LEDGER_KEY))),
        ErrorCode::StoreTampered
    );
}

#[tokio::test]
async fn older_complete_log_fails_the_pinned_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = open(&path);
    let mut pinned = PinnedCheckpoint::new(ORIGIN);
    add(&store, b"{}").await.unwrap();
    let old = dir.path().join("old.db");
    Connection::open(&path)
        .unwrap()
        .execute("VACUUM INTO ?1", [old.to_str().unwrap()])
        .unwrap();
    add(&store, b"{}").await.unwrap();
    let public = key(LEDGER_KEY).public_key();
    let checkpoint = |store: &Store| {
        let note = store.head().borrow().note.clone();
        synapsor_domain::log::verify_checkpoint(&note, ORIGIN, &public).unwrap()
    };
    pinned.advance(&checkpoint(&store), None).unwrap();
    let back = open(&old);
    assert_eq!(
        pinned.advance(&checkpoint(&back), None).unwrap_err().code(),
        ErrorCode::LedgerRolledBack
    );
    add(&back, b"{}").await.unwrap();
    // The salt of the body differs, and so does the history.
    assert_eq!(
        pinned.advance(&checkpoint(&back), None).unwrap_err().code(),
        ErrorCode::LedgerForked
    );
}

#[tokio::test]
async fn store_changed_while_running_accepts_no_more_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = open(&path);
    add(&store, b"{}").await.unwrap();
    edit(&path, "UPDATE checkpoints SET root = zeroblob(32) WHERE size = 1");
    for _ in 0..2 {
        let refused = add(&store, b"{}").await;
        assert!(matches!(
            refused,
            Err(StoreTxError::Store(StoreError::Tampered(_)))
        ));
    }
    // Two ledgers on one file would have the same effect; the lock beside the store keeps them apart.
    let (one, two) = (open(&dir.path().join("t.db")), open(&dir.path().join("t.db")));
    add(&one, b"{}").await.unwrap();
    assert!(matches!(
        add(&two, b"{}").await,
        Err(StoreTxError::Store(StoreError::Tampered(_)))
    ));
    one.verify_full().await.unwrap();
}

#[tokio::test]
async fn rejects_store_of_another_log_or_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    drop(open(&path));
    assert_eq!(
        code(Store::open(&path, "synapsor/other", key(LEDGER_KEY))),
        ErrorCode::StoreOtherLog
    );
    assert_eq!(
        code(Store::open(&path, ORIGIN, key(NOBODY_KEY))),
        ErrorCode::StoreTampered
    );
}

#[test]
fn rejects_foreign_and_newer_files_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = dir.path().join("app.db");
    Connection::open(&foreign)
        .unwrap()
        .execute_batch("CREATE TABLE customers (id)")
        .unwrap();
    let before = std::fs::read(&foreign).unwrap();
    assert_eq!(
        code(Store::open(&foreign, ORIGIN, key(LEDGER_KEY))),
        ErrorCode::StoreForeign
    );
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to check".repeat(20)).unwrap();
    assert_eq!(
        code(Store::open(&text, ORIGIN, key(LEDGER_KEY))),
        ErrorCode::StoreTampered
    );
    let newer = dir.path().join("newer.db");
    drop(open(&newer));
    Connection::open(&newer)
        .unwrap()
        .execute_batch("PRAGMA user_version = 99")
        .unwrap();
    assert_eq!(
        code(Store::open(&newer, ORIGIN, key(LEDGER_KEY))),
        ErrorCode::StoreNewer
    );
}

#[tokio::test]
async fn removed_or_replaced_store_fails_closed_permanently() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("s.db"), dir.path().join("aside.db"));
    let store = open(&path);
    add(&store, b"{}").await.unwrap();
    std::fs::rename(&path, &aside).unwrap();
    let vanished =
        |result: Result<u64, StoreTxError>| matches!(result, Err(StoreTxError::Store(StoreError::Vanished)));
    assert!(vanished(add(&store, b"{}").await));
    std::fs::copy(&aside, &path).unwrap();
    assert!(vanished(add(&store, b"{}").await));
    let read = store.read(|r| Ok(log::head(r.conn())?)).await;
    assert!(matches!(read, Err(StoreTxError::Store(StoreError::Vanished))));
}

#[tokio::test]
async fn database_locked_by_another_process_is_not_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = open(&path);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = add(&store, b"{}").await;
    assert!(matches!(refused, Err(StoreTxError::Store(StoreError::Locked))));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(add(&store, b"{}").await.unwrap(), 0);
    store.verify_full().await.unwrap();
}

#[tokio::test]
async fn full_disk_fails_the_batch_and_later_ones_succeed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    // A page limit makes SQLite report a full disk.
    let limit = |pages: &'static str| {
        store.write(move |step| {
            step.conn().query_row(pages, [], |_| Ok(()))?;
            Ok(())
        })
    };
    limit("PRAGMA max_page_count = 1").await.unwrap();
    let big: &'static [u8] = Box::leak(vec![b' '; 1_000_000].into_boxed_slice());
    assert!(matches!(
        add(&store, big).await,
        Err(StoreTxError::Store(StoreError::Full))
    ));
    limit("PRAGMA max_page_count = 1000000").await.unwrap();
    assert_eq!(add(&store, big).await.unwrap(), 0);
    store.verify_full().await.unwrap();
}

#[tokio::test]
async fn store_files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("s.db"));
    add(&store, b"{}").await.unwrap();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(
            entry.metadata().unwrap().permissions().mode() & 0o077,
            0,
            "{:?}",
            entry.file_name()
        );
    }
}

/// Returns every row of the log, or nothing when it cannot be read.
fn dump(path: &Path) -> Option<Vec<Vec<rusqlite::types::Value>>> {
    let conn = super::connection::open_reader(path, super::connection::ReadAs::Shared).ok()?;
    let mut all = Vec::new();
    for table in ["blocks", "block_bodies", "checkpoints"] {
        let mut query = conn.prepare(&format!("SELECT * FROM {table} ORDER BY 1")).ok()?;
        let columns = query.column_count();
        let mut rows = query.query([]).ok()?;
        while let Some(row) = rows.next().ok()? {
            all.push((0..columns).map(|c| row.get(c)).collect::<Result<_, _>>().ok()?);
        }
    }
    Some(all)
}

#[tokio::test]
async fn every_changed_byte_is_reported_or_changes_no_record() {
    let (dir, path) = rich().await;
    let whole = dir.path().join("whole.db");
    Connection::open(&path)
        .unwrap()
        .execute("VACUUM INTO ?1", [whole.to_str().unwrap()])
        .unwrap();
    let (bytes, records) = (std::fs::read(&whole).unwrap(), dump(&whole));
    let public = key(LEDGER_KEY).public_key();
    let copy = dir.path().join("changed.db");
    for n in 0..120_usize {
        // A change in the header and the first pages has the most effects.
        let index = if n < 40 { n * 5 } else { (n * 7_919) % bytes.len() };
        let mut changed = bytes.clone();
        changed[index] ^= 1 << (n % 8);
        std::fs::write(&copy, &changed).unwrap();
        if verify_file(&copy, ORIGIN, &public).is_ok() {
            assert_eq!(dump(&copy), records, "byte {index}");
        }
        for side in ["changed.db-wal", "changed.db-shm", "changed.db-journal"] {
            let _ = std::fs::remove_file(dir.path().join(side));
        }
    }
}

#[test]
fn rejects_store_in_a_missing_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no/such/s.db");
    assert_eq!(
        code(Store::open(&path, ORIGIN, key(LEDGER_KEY))),
        ErrorCode::StoreReadOnly
    );
    assert!(!dir.path().join("no").exists());
}

#[tokio::test]
async fn panic_of_the_writing_thread_is_detected_and_stops_writes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("local.db"));
    add(&store, b"1").await.unwrap();
    let ended = store.writer_ended();
    let mut ended = std::pin::pin!(ended);
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(50), &mut ended)
            .await
            .is_err()
    );
    let lost = store
        .write(|_| -> Result<(), StoreTxError> { panic!("on purpose") })
        .await;
    assert!(matches!(lost, Err(StoreTxError::Store(StoreError::Closed))));
    tokio::time::timeout(std::time::Duration::from_secs(20), ended)
        .await
        .expect("the end of the thread is detected");
    assert!(matches!(
        add(&store, b"2").await,
        Err(StoreTxError::Store(StoreError::Closed))
    ));
}

/// Statements repeat words of enums as literals, because an index covers only some of them.
#[test]
fn literals_in_statements_are_words_of_the_enums() {
    let stored = |value: serde_json::Result<serde_json::Value>| value.unwrap().as_str().unwrap().to_owned();
    let states = ProposalState::ALL.map(|state| state.as_str().to_owned()).to_vec();
    let kinds = ReceiptIncidentKind::ALL
        .map(|kind| kind.as_str().to_owned())
        .to_vec();
    let results = vec![AttemptResult::InDoubt.to_string()];
    let actions = [
        ReceiptAction::GiveUp,
        ReceiptAction::Adopt,
        ReceiptAction::Archive,
    ];
    let actions = actions
        .map(|action| stored(serde_json::to_value(action)))
        .to_vec();
    let verdicts = [DecisionKind::Approve, DecisionKind::Reject];
    let verdicts = verdicts
        .map(|verdict| stored(serde_json::to_value(verdict)))
        .to_vec();
    let columns = [
        ("state", states),
        ("kind", kinds),
        ("result", results),
        ("action", actions),
        ("verdict", verdicts),
    ];
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = [source.clone(), source.join("views")]
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs"));
    let mut found = 0;
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for (column, words) in &columns {
            for literal in literals_of(&text, column) {
                found += 1;
                assert!(
                    words.contains(&literal),
                    "{}: {column} '{literal}'",
                    path.display()
                );
            }
        }
    }
    assert!(found >= 30, "only {found} literals were found");
}

/// Returns the literals that are compared with a column: `column = 'a'`, `column IN ('a', 'b')`.
fn literals_of(text: &str, column: &str) -> Vec<String> {
    let mut literals = Vec::new();
    for comparison in [" = ", " <> ", " IN ("] {
        for after in text.split(&format!("{column}{comparison}'")).skip(1) {
            let end = if comparison == " IN (" { ')' } else { '\'' };
            let list = after.split(end).next().unwrap_or_default();
            literals.extend(list.split(", ").map(|word| word.trim_matches('\'').to_owned()));
        }
    }
    literals.retain(|literal| !literal.starts_with('{'));
    literals
}
