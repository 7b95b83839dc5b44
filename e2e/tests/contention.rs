//! Concurrent connections and a failing server, on each database server: no receipt without its effect, no effect
//! without its receipt, and every attempt ends.

use synapsor_e2e::databases::Engine;
use synapsor_e2e::proofs::contention::{Scene, play};
use tokio::task::JoinSet;

async fn holds(scene: Scene) {
    let mut playing = JoinSet::new();
    for engine in [Engine::Postgres, Engine::Mysql, Engine::Mariadb] {
        playing.spawn(async move { (engine, play(scene, engine).await) });
    }
    let mut broken = Vec::new();
    while let Some(played) = playing.join_next().await {
        match played.unwrap() {
            (_, Ok(Some(0) | None)) => {}
            (engine, played) => broken.push(format!("{scene:?} on {engine}: {played:#?}")),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_held_for_a_moment_is_written_when_it_is_free() {
    holds(Scene::RowHeldBriefly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_timeout_writes_nothing_and_the_row_is_written_when_it_is_free() {
    holds(Scene::RowHeldLong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_times_out_takes_its_effect_with_it() {
    holds(Scene::KeyHeldLong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_ends_in_one_effect_with_its_receipt() {
    holds(Scene::Deadlock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serializable_neighbour_costs_no_effect_and_doubles_none() {
    holds(Scene::Serializable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_the_server_cost_no_effect_and_double_none() {
    holds(Scene::Restarts).await;
}
