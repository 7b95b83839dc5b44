//! The cost of a lookup does not depend on the size of the ledger, measured in steps of SQLite's virtual machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use synapsor_domain::context_ticket::VerifiedTicket;
use synapsor_domain::ids::ProposalId;

use super::{ANN, NORA, Scene, envelope, unknown};
use crate::store::agents::{self, AgentScope};
use crate::test_kit::{TestLedger, caller};

/// Number of proposals added between the two measurements.
const MORE: usize = 300;

/// Lookup of which the steps are counted.
type Lookup<'a> = &'a dyn Fn(&Connection);

/// Returns the steps of each lookup.
fn count_steps(world: &TestLedger, lookups: &[Lookup<'_>]) -> Vec<u64> {
    let mut conn = Connection::open(world.store_path()).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    conn.progress_handler(
        1,
        Some(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            false
        }),
    )
    .unwrap();
    let steps = lookups.iter().map(|scan| {
        // The first run reads the schema and prepares the statements.
        scan(&conn);
        count.store(0, Ordering::Relaxed);
        scan(&conn);
        count.load(Ordering::Relaxed)
    });
    steps.collect()
}

/// Returns the steps of each kind of lookup.
fn steps(world: &TestLedger, scope: &AgentScope, id: &ProposalId, evidence: &str) -> Vec<u64> {
    let looks: [Lookup<'_>; 7] = [
        &|conn| drop(agents::proposal(conn, id.as_str(), scope).unwrap().unwrap()),
        &|conn| {
            assert!(
                agents::proposal(conn, unknown().as_str(), scope)
                    .unwrap()
                    .is_none()
            )
        },
        &|conn| drop(agents::own_proposal(conn, id.as_str(), scope).unwrap().unwrap()),
        &|conn| assert!(agents::evidence(conn, evidence, scope).unwrap().is_some()),
        &|conn| assert!(agents::links(conn, evidence, ANN.0).unwrap().len() == 1),
        &|conn| assert!(agents::events_of(conn, id).unwrap().0.len() == 1),
        &|conn| assert!(agents::withdrawal(conn, id).unwrap().is_none()),
    ];
    count_steps(world, &looks)
}

#[tokio::test]
async fn lookup_cost_is_equal_in_small_and_large_ledgers() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let draft = scene.draft(ANN, "0");
    let id = world.propose(&draft).await;
    let ticket = envelope(scene.signed(&[ANN, NORA]));
    let ticket = world
        .ledger
        .verify_ticket(&caller(super::GATEWAY), ticket)
        .unwrap();
    let scope = AgentScope::of(&ticket);
    let evidence = draft.evidence.id.as_str();
    world.write_views().await;
    let small = steps(world, &scope, &id, evidence);
    for n in 0..MORE {
        // The number of open proposals per principal is limited.
        let who = format!("agent-{}", n / 40);
        world.propose(&scene.draft((ANN.0, &who), &format!("9{n}"))).await;
    }
    world.write_views().await;
    let large = steps(world, &scope, &id, evidence);
    // A search that ends at the last entry of an index takes one step less than a search that ends before another
    // entry.
    let apart = small.iter().zip(&large).map(|(s, l)| s.abs_diff(*l)).max();
    assert!(apart <= Some(2), "{small:?} {large:?}");
    assert!(large.iter().all(|steps| *steps < 250), "{large:?}");
}

#[tokio::test]
async fn foreign_id_takes_as_many_steps_as_an_unknown_one() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let foreign = scene.draft(NORA, "0");
    let id = world.propose(&foreign).await;
    let ticket = envelope(scene.signed(&[ANN]));
    let ticket = world
        .ledger
        .verify_ticket(&caller(super::GATEWAY), ticket)
        .unwrap();
    let scope = &AgentScope::of(&ticket);
    let proposal = |conn: &Connection, id: &str| agents::proposal(conn, id, scope).unwrap().is_none();
    let own = |conn: &Connection, id: &str| agents::own_proposal(conn, id, scope).unwrap().is_none();
    let evidence = |conn: &Connection, id: &str| agents::evidence(conn, id, scope).unwrap().is_none();
    let (id, cited, unknown) = (id.as_str(), foreign.evidence.id.as_str(), unknown());
    let steps = |of_proposal: &str, of_evidence: &str| {
        count_steps(
            world,
            &[
                &|conn| assert!(proposal(conn, of_proposal)),
                &|conn| assert!(own(conn, of_proposal)),
                &|conn| assert!(evidence(conn, of_evidence)),
            ],
        )
    };
    world.write_views().await;
    let (foreign, missing) = (steps(id, cited), steps(unknown.as_str(), unknown.as_str()));
    let apart = foreign.iter().zip(&missing).map(|(f, m)| f.abs_diff(*m)).max();
    // Reading the tenant of a row that exists.
    assert!(apart <= Some(4), "{foreign:?} {missing:?}");
}

#[tokio::test]
async fn watch_reads_new_events_only() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let ticket: VerifiedTicket = world
        .ledger
        .verify_ticket(&caller(super::GATEWAY), envelope(scene.signed(&[ANN])))
        .unwrap();
    let scope = AgentScope::of(&ticket);
    let scan = || {
        let mut conn = Connection::open(world.store_path()).unwrap();
        let size = world.ledger.store.head().borrow().size;
        let range = (size - 3, size);
        let count = Arc::new(AtomicU64::new(0));
        let counter = count.clone();
        assert_eq!(agents::changes(&conn, range, &scope).unwrap().0.len(), 1);
        conn.progress_handler(
            1,
            Some(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            }),
        )
        .unwrap();
        assert_eq!(agents::changes(&conn, range, &scope).unwrap().0.len(), 1);
        count.load(Ordering::Relaxed)
    };
    world.propose(&scene.draft(ANN, "0")).await;
    let small = scan();
    for n in 0..MORE {
        let who = format!("agent-{}", n / 40);
        world.propose(&scene.draft((ANN.0, &who), &format!("9{n}"))).await;
    }
    assert!(scan().abs_diff(small) <= 4, "{small} {}", scan());
}
