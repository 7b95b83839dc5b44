//! Load generation. In a closed loop each client calls again after each response. In an open loop calls are due at
//! fixed times, independent of responses.

use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::task::JoinSet;

use super::calls::{Ask, Client, Interface, Rows};
use super::figures::Calls;
use super::scene::Scene;
use super::usage::{Measured, Usage};

/// Calls per client before the measurement starts; they open connections and read pages into caches.
const WARM_UP: usize = 20;
/// Connections of an open loop; the gateway admits no more concurrent calls.
const OPEN_CLIENTS: usize = 48;

/// Calls, interface and number of clients of a load.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) interface: Interface,
    pub(super) ask: Ask,
    pub(super) clients: usize,
    pub(super) seconds: u64,
    pub(super) rows: Rows,
}

async fn clients(scene: &Scene, load: &Load, count: usize) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = Client::connect(scene, load.interface, load.ask, load.rows.clone()).await?;
        client.call().await?;
        clients.push(client);
    }
    Ok(clients)
}

/// Each client calls again after each response.
pub(super) async fn closed(scene: &Scene, load: &Load) -> anyhow::Result<Json> {
    let mut warm = JoinSet::new();
    for mut client in clients(scene, load, load.clients).await? {
        warm.spawn(async move {
            for _ in 0..WARM_UP {
                let _ = client.call().await;
            }
            client
        });
    }
    let clients = warm.join_all().await;
    let processes = scene.processes();
    let before = Usage::now(&processes)?;
    let start = Instant::now();
    let end = start + Duration::from_secs(load.seconds);
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let mut calls = Calls::default();
            loop {
                let begin = Instant::now();
                if begin >= end {
                    return calls;
                }
                match client.call().await {
                    Ok(()) => calls.good(begin.elapsed()),
                    Err(error) => {
                        calls.bad(&error);
                        // Without a pause, an immediate refusal would cause an immediate retry.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        });
    }
    finish(running, start, &before, &processes).await
}

/// Calls are due `rate` times a second. The latency of a late call counts from its due time.
pub(super) async fn open(scene: &Scene, load: &Load, rate: u64) -> anyhow::Result<Json> {
    let clients = clients(scene, load, OPEN_CLIENTS).await?;
    let processes = scene.processes();
    let before = Usage::now(&processes)?;
    let start = Instant::now();
    let due = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = rate * load.seconds;
    let mut running = JoinSet::new();
    for mut client in clients {
        let due = due.clone();
        running.spawn(async move {
            let mut calls = Calls::default();
            loop {
                let number = due.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= count {
                    return calls;
                }
                let intended = start + Duration::from_nanos(number * 1_000_000_000 / rate);
                tokio::time::sleep_until(intended.into()).await;
                match client.call().await {
                    Ok(()) => calls.good(intended.elapsed()),
                    Err(error) => calls.bad(&error),
                }
            }
        });
    }
    let mut figures = finish(running, start, &before, &processes).await?;
    figures["wanted_rate"] = rate.into();
    Ok(figures)
}

async fn finish(
    running: JoinSet<Calls>,
    start: Instant,
    before: &Usage,
    processes: &[Measured],
) -> anyhow::Result<Json> {
    let mut all = Calls::default();
    for calls in running.join_all().await {
        all.add(calls);
    }
    let took = start.elapsed();
    let used = before.since(processes, all.micros.len() as u64)?;
    let mut figures = all.figures(took);
    figures["processes"] = used;
    Ok(figures)
}
