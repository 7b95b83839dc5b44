//! Leakage proof: the loop connects only to this machine, and no failure discloses a secret.

mod agents;
mod canary;
mod commands;
mod credentials;
mod rpcs;
mod scene;
mod traced;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::Plan;
use crate::cli::until;
use crate::namespaces;
use scene::Scene;

/// Fewer provoked failures prove nothing.
const FAILURES_MIN: usize = 40;
const CANARIES: usize = 23;
const BACK: Duration = Duration::from_secs(30);

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let began = Instant::now();
    let mut violations = Vec::new();
    let mut skipped = Vec::new();
    let mut beyond = None;
    if traced::has_strace(!plan.small) {
        let folder = tempfile::tempdir()?;
        let traced = traced::demo(folder.path())?;
        println!(
            "quiet: the loop made {} calls that can name an address: {} to loopback, {} to local sockets, {} beyond; {}; {} s",
            traced.calls,
            traced.to_loopback,
            traced.local,
            traced.beyond.len(),
            if traced.is_isolated {
                "only a loopback interface exists"
            } else {
                "the machine's own network was there"
            },
            began.elapsed().as_secs()
        );
        beyond = Some(traced.beyond.len());
        violations.extend(
            traced
                .beyond
                .into_iter()
                .map(|line| format!("a connection: {line}")),
        );
    } else {
        let missing =
            "strace is missing: install it (apt-get install strace) to trace the loop's connections";
        namespaces::left_out(format_args!("{missing}"));
        if plan.small {
            skipped.push(missing);
        } else {
            violations.push(missing.to_owned());
        }
    }
    let mut scene = Scene::build()?;
    provoke(&mut scene).await?;
    println!(
        "quiet: {} failures provoked, {} s",
        scene.provoked,
        began.elapsed().as_secs()
    );
    scene.find_all_where_they_belong()?;
    let hits = scene.capture.scan(&scene.canaries);
    println!(
        "quiet: {} bytes scanned, {} s",
        scene.capture.bytes(),
        began.elapsed().as_secs()
    );
    violations.extend(hits.iter().map(|hit| format!("a secret: {hit}")));
    violations.extend(scene.wrong.iter().cloned());
    if scene.provoked < FAILURES_MIN || scene.canaries.len() != CANARIES {
        violations.push(format!(
            "{} failures, {} canaries",
            scene.provoked,
            scene.canaries.len()
        ));
    }
    for violation in &violations {
        println!("VIOLATION {violation}");
    }
    Ok(json!({
        "proof": "quiet",
        "failures_provoked": scene.provoked,
        "canaries": scene.canaries.len(),
        "bytes_scanned": scene.capture.bytes(),
        "connects_beyond_loopback": beyond,
        "hits": hits,
        "violations": violations,
        "skipped": skipped,
    }))
}

/// Runs the loop once, then provokes every failure.
async fn provoke(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start()?;
    let applied = scene.do_the_loop()?;
    credentials::visit(scene, &applied)?;
    commands::arguments(scene)?;
    commands::files(scene)?;
    commands::variables(scene)?;
    commands::remote(scene)?;
    commands::writeback(scene, &applied)?;
    agents::over_stdio(scene)?;
    agents::over_http(scene).await?;
    rpcs::all(scene, &applied).await?;
    broken_neighbours(scene).await?;
    scene.end()?;
    commands::state(scene)?;
    scene.collect()
}

/// A missing or invalid database, and a ledger that is killed under a reader.
async fn broken_neighbours(scene: &mut Scene) -> anyhow::Result<()> {
    let (database, away) = (scene.database.clone(), scene.place.path("away.db"));
    std::fs::rename(&database, &away)?;
    agents::read_fails(scene, "HTTP: the database is gone").await?;
    std::fs::write(&database, "no database at all")?;
    agents::read_fails(scene, "HTTP: the database is none").await?;
    std::fs::rename(&away, &database)?;

    let pid = scene.process("ledger")?["pid"]
        .as_i64()
        .and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw).context("a pid")?;
    // The supervisor is stopped meanwhile: it would start a new ledger before the call.
    scene.supervisor()?.signal(rustix::process::Signal::STOP)?;
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
    let failed = agents::read_fails(scene, "HTTP: the ledger is killed").await;
    scene.supervisor()?.signal(rustix::process::Signal::CONT)?;
    failed?;
    // The supervisor starts a new one, which the next steps need.
    until(BACK, || {
        Ok(scene.place.run(&["proposals", "list"])?.exit == Some(0))
    })
}
