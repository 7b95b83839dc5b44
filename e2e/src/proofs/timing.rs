//! Response time for a missing record or task does not depend on whether it belongs to another tenant.
//!
//! Both ids are requested alternately on one connection, and the differences of the pairs are ranked (Wilcoxon
//! signed-rank test, normal approximation). A difference counts as found if the pairs are apart by more than
//! half of the planted delay at [`ALARM`] standard deviations: with unmodified processes that happens in one of 5,000
//! runs. The proof also plants a delay into the ledger of the proof build and must find it.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value as Json, json};

use super::Plan;
use crate::binaries::Build;
use crate::mcp_http::{McpHttpClient, Message, uri};
use crate::tenants::{ACME, GLOBEX, Tenants};

const UNKNOWN: &str = "wrp_ffffffffffffffffffff";
/// Calls before the measurement.
const WARM_UP: usize = 50;
/// One side of a normal distribution beyond this has a probability of 3.2e-5; a run has six sides.
const ALARM: f64 = 4.0;

/// Size of a run: a smaller delay needs more pairs to be found.
#[derive(Debug, Clone, Copy)]
struct Size {
    pairs: usize,
    planted: Duration,
}

impl Size {
    /// Finds an additional round trip between processes, on a busy machine too.
    const SMALL: Self = Self {
        pairs: 250,
        planted: Duration::from_millis(2),
    };
    /// Finds an additional query of the ledger.
    const FULL: Self = Self {
        pairs: 10_000,
        planted: Duration::from_micros(50),
    };

    /// Makes the ledger take the planted delay longer for ids of another tenant.
    fn variable(self) -> (&'static str, String) {
        let delay = self.planted.as_micros();
        ("SYNAPSOR_FAILPOINT", format!("foreign-id:delay:{delay}"))
    }
}

/// Measured pairs of one kind of record.
#[derive(Debug)]
struct Measured {
    median_us: f64,
    /// Standard deviations by which the pairs are apart beyond what is tolerated, the larger of both sides.
    deviations: f64,
}

impl Measured {
    fn of(pairs: &[f64], planted: Duration) -> Self {
        let tolerated = planted.as_secs_f64() / 2.0;
        let slower: Vec<f64> = pairs.iter().map(|pair| pair - tolerated).collect();
        let faster: Vec<f64> = pairs.iter().map(|pair| -pair - tolerated).collect();
        let mut sorted = pairs.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        Self {
            median_us: sorted[sorted.len() / 2] * 1e6,
            deviations: signed_rank(&slower).max(signed_rank(&faster)),
        }
    }

    fn is_apart(&self) -> bool {
        self.deviations > ALARM
    }

    fn to_json(&self) -> Json {
        json!({
            "median_us": (self.median_us * 10.0).round() / 10.0,
            "deviations": (self.deviations * 10.0).round() / 10.0,
        })
    }
}

/// Standard deviations by which positive differences have higher ranks than chance gives them.
#[expect(clippy::cast_precision_loss, reason = "ranks are far below 2^52")]
fn signed_rank(differences: &[f64]) -> f64 {
    let mut by_size: Vec<f64> = differences.to_vec();
    by_size.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = (1..).zip(&by_size);
    let positive: f64 = ranks
        .filter(|(_, difference)| **difference > 0.0)
        .map(|(rank, _): (u32, _)| f64::from(rank))
        .sum();
    let n = by_size.len() as f64;
    let expected = n * (n + 1.0) / 4.0;
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    (positive - expected) / deviation
}

pub(super) async fn run(plan: Plan) -> anyhow::Result<Json> {
    let size = if plan.small { Size::SMALL } else { Size::FULL };
    let (name, value) = size.variable();
    let unmodified = scene(&[], size).await?;
    let planted = scene(&[(name, &value)], size).await?;
    let mut violations = 0;
    for (kind, measured) in &unmodified {
        if measured.is_apart() {
            violations += 1;
            println!("VIOLATION timing: {kind} of another tenant take another time: {measured:?}");
        }
    }
    for (kind, measured) in &planted {
        if !measured.is_apart() {
            violations += 1;
            let delay = size.planted;
            println!(
                "VIOLATION timing: an added delay of {delay:?} in {kind} was not detected: {measured:?}"
            );
        }
    }
    let shown = |scene: &[(&str, Measured)]| -> serde_json::Map<String, Json> {
        let kinds = scene.iter();
        kinds
            .map(|(kind, measured)| ((*kind).to_owned(), measured.to_json()))
            .collect()
    };
    Ok(json!({
        "proof": "timing",
        "pairs": size.pairs,
        "cases": unmodified.len() + planted.len(),
        "honest": shown(&unmodified),
        "planted": shown(&planted),
        "violations": violations,
        "skipped": [],
    }))
}

/// Measures every kind of record against processes with these variables of the ledger.
async fn scene(variables: &[(&str, &str)], size: Size) -> anyhow::Result<Vec<(&'static str, Measured)>> {
    let tenants = Tenants::start_as(Build::Failpoints, variables, &["--rate-per-second", "100000"])?;
    let (client, token) = (tenants.mcp_client(), tenants.token(ACME, "ann"));
    let theirs = tenants
        .file(GLOBEX, &tenants.token(GLOBEX, "zoe"), "goodwill")
        .await?;
    let missing = format!("{}ffff", &theirs.evidence[..theirs.evidence.len() - 4]);
    let read = |kind: &str, id: &str| Message::read(&uri(kind, id));
    let task = |id: &str| Message::task("tasks/get", id);
    let mut measured = Vec::new();
    for (kind, foreign, unknown) in [
        (
            "proposals",
            read("proposals", &theirs.proposal),
            read("proposals", UNKNOWN),
        ),
        (
            "evidence",
            read("evidence", &theirs.evidence),
            read("evidence", &missing),
        ),
        ("tasks", task(&theirs.proposal), task(UNKNOWN)),
    ] {
        let differences = differences(&client, &token, [&foreign, &unknown], size.pairs).await?;
        measured.push((kind, Measured::of(&differences, size.planted)));
    }
    Ok(measured)
}

/// Seconds that the first message of each pair took longer than the second; the order changes with each pair.
async fn differences(
    client: &McpHttpClient,
    token: &str,
    pair: [&Message; 2],
    pairs: usize,
) -> anyhow::Result<Vec<f64>> {
    let mut differences = Vec::with_capacity(pairs);
    for number in 0..WARM_UP + pairs {
        let first = number % 2;
        let mut took = [Duration::ZERO; 2];
        for which in [first, 1 - first] {
            let begun = Instant::now();
            let answer = client.ask(token, pair[which]).await?;
            took[which] = begun.elapsed();
            ensure!(answer.body.contains("no such"), "{answer:?}");
        }
        if number >= WARM_UP {
            differences.push(took[0].as_secs_f64() - took[1].as_secs_f64());
        }
    }
    Ok(differences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proofs::SeededRng;

    const PLANTED: Duration = Duration::from_micros(50);

    /// Differences with a spread of 400 µs around `shift`, in seconds.
    fn noise(shift: f64) -> Vec<f64> {
        let mut random = SeededRng::new(7);
        let mut micros = || f64::from(u32::try_from(random.below(400)).unwrap()) - 200.0;
        (0..3_000).map(|_| (micros() + shift) / 1e6).collect()
    }

    #[test]
    fn shift_of_50_us_is_found_in_noise_and_none_is_not() {
        assert!(Measured::of(&noise(50.0), PLANTED).is_apart());
        assert!(Measured::of(&noise(-50.0), PLANTED).is_apart());
        assert!(!Measured::of(&noise(0.0), PLANTED).is_apart());
        assert!(!Measured::of(&noise(20.0), PLANTED).is_apart());
    }
}
