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
async fn briefly_locked_row_is_written_after_release() {
    holds(Scene::RowHeldBriefly).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_timeout_writes_nothing_until_release() {
    holds(Scene::RowHeldLong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_timeout_rolls_back_the_effect() {
    holds(Scene::KeyHeldLong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlock_ends_with_one_effect_and_receipt() {
    holds(Scene::Deadlock).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serializable_rival_leaves_exactly_one_effect() {
    holds(Scene::Serializable).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn server_restarts_leave_exactly_one_effect() {
    holds(Scene::Restarts).await;
}
