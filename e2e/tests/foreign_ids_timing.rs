//! Response time for a missing record or task does not depend on whether it belongs to another tenant. This is a
//! separate program, so that no other test runs at the same time.

use std::time::{Duration, Instant};

use anyhow::ensure;
use synapsor_e2e::mcp_http::{McpHttpClient, Message, uri};
use synapsor_e2e::tenants::{ACME, GLOBEX, Tenants};

const UNKNOWN: &str = "wrp_ffffffffffffffffffff";
const PAIRS: usize = 1_000;
/// Calls before the measurement.
const WARM_UP: usize = 50;
const PERCENT_MAX: u128 = 5;
/// Other programs may use the machine.
const MEASUREMENTS_MAX: usize = 3;

async fn timed(door: &McpHttpClient, token: &str, message: &Message) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let answer = door.ask(token, message).await?;
    let took = begun.elapsed();
    ensure!(answer.body.contains("no such"), "{answer:?}");
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Medians of both ids, requested alternately on one connection; the order changes with each pair.
async fn medians(door: &McpHttpClient, token: &str, pair: [&Message; 2]) -> anyhow::Result<[Duration; 2]> {
    let mut times = [Vec::with_capacity(PAIRS), Vec::with_capacity(PAIRS)];
    for number in 0..WARM_UP + PAIRS {
        let first = number % 2;
        for which in [first, 1 - first] {
            let took = timed(door, token, pair[which]).await?;
            if number >= WARM_UP {
                times[which].push(took);
            }
        }
    }
    Ok(times.map(median))
}

/// Measures until the medians are close together.
async fn compare(name: &str, door: &McpHttpClient, token: &str, pair: [&Message; 2]) -> anyhow::Result<()> {
    for measurement in 1..=MEASUREMENTS_MAX {
        let [of_other, of_none] = medians(door, token, pair).await?;
        let apart = of_other.abs_diff(of_none);
        println!(
            "{name}, measurement {measurement}: the other's {of_other:?}, unknown {of_none:?}, apart {apart:?}"
        );
        if apart.as_nanos() * 100 <= of_none.as_nanos() * PERCENT_MAX {
            return Ok(());
        }
    }
    anyhow::bail!("{name}: more than {PERCENT_MAX} % apart {MEASUREMENTS_MAX} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_ids_take_as_long_as_unknown_ids() -> anyhow::Result<()> {
    let tenants = Tenants::start(&["--rate-per-second", "100000"])?;
    let (door, token) = (tenants.door(), tenants.token(ACME, "ann"));
    let victim = tenants.token(GLOBEX, "zoe");
    let theirs = tenants.file(GLOBEX, &victim, "goodwill").await?;
    let nothing = format!("{}ffff", &theirs.evidence[..theirs.evidence.len() - 4]);
    let read = |kind: &str, id: &str| Message::read(&uri(kind, id));
    for (name, foreign, unknown) in [
        (
            "proposals",
            read("proposals", &theirs.proposal),
            read("proposals", UNKNOWN),
        ),
        (
            "evidence",
            read("evidence", &theirs.evidence),
            read("evidence", &nothing),
        ),
        (
            "tasks",
            Message::task("tasks/get", &theirs.proposal),
            Message::task("tasks/get", UNKNOWN),
        ),
    ] {
        compare(name, &door, &token, [&foreign, &unknown]).await?;
    }
    Ok(())
}
