//! Whether the cost of a read grows with the records of its ledger: reads on ledgers of different sizes in interleaved
//! rounds, so that the machine's own changes of speed reach all of them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::calls::{Ask, Interface, Rows};
use super::drive::{self, Load};
use super::figures::rounded;
use super::scene::{ROWS, Scene};
use super::{Plan, applies, commands, fill};

/// Recorded reads and proposals of each ledger.
const SIZES: [(u64, u64); 4] = [(0, 0), (10_000, 0), (1_000_000, 0), (0, 100_000)];

/// Processor time of a call by process, one value per round.
type Rounds = BTreeMap<String, Vec<f64>>;

/// Measures reads on each ledger, round by round, and returns the medians.
pub(super) async fn run(plan: &Plan, report: impl Fn(&str, &Json)) -> anyhow::Result<Json> {
    let rows = Rows::new(0, ROWS);
    let mut scenes = Vec::new();
    for (reads, proposals) in SIZES {
        let scene = Scene::start(plan)?;
        if reads + proposals > 0 {
            let like = applies::some_proposal(&scene, &rows).await?;
            fill::reads(&scene, &like, reads).await?;
            fill::proposals(&scene, &like, proposals).await?;
        }
        report(&name_of(reads, proposals), &json!("filled"));
        scenes.push(scene);
    }
    let mut measures = json!({});
    for clients in [1, plan.clients.iter().max().copied().unwrap_or(1)] {
        let mut all = vec![Rounds::new(); scenes.len()];
        for _ in 0..plan.flat_rounds {
            for (scene, rounds) in scenes.iter().zip(&mut all) {
                let load = Load {
                    interface: Interface::Mcp,
                    ask: Ask::Read,
                    clients,
                    seconds: plan.seconds,
                    rows: rows.clone(),
                };
                let figures = drive::closed(scene, &load).await?;
                add(rounds, &figures);
            }
        }
        let base = sum_of_medians(&all[0]);
        for ((reads, proposals), rounds) in SIZES.into_iter().zip(&all) {
            let name = format!("flat.{clients}.{}", name_of(reads, proposals));
            let mut medians: Json = rounds
                .iter()
                .map(|(process, values)| (process.clone(), json!(rounded(median(values), 1))))
                .collect();
            medians["sum"] = rounded(sum_of_medians(rounds), 1).into();
            medians["ratio_to_empty"] = rounded(sum_of_medians(rounds) / base, 3).into();
            report(&name, &medians);
            measures[&name] = medians;
        }
    }
    for ((reads, proposals), scene) in SIZES.into_iter().zip(&scenes) {
        let verified = commands::verify(scene)?;
        report(&format!("verify.{}", name_of(reads, proposals)), &verified);
    }
    Ok(json!({
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "rounds": plan.flat_rounds,
        "cpu_us_per_call": measures,
    }))
}

fn name_of(reads: u64, proposals: u64) -> String {
    format!("{reads}-reads-{proposals}-proposals")
}

fn add(rounds: &mut Rounds, figures: &Json) {
    let processes = figures["processes"].as_object().into_iter().flatten();
    for (name, used) in processes.filter(|(name, _)| OURS.contains(&name.as_str())) {
        let value = used["cpu_us_per_call"].as_f64().unwrap_or_default();
        rounds.entry(name.clone()).or_default().push(value);
    }
}

/// Processes whose cost must not grow.
const OURS: [&str; 3] = ["gateway", "reader", "ledger"];

fn sum_of_medians(rounds: &Rounds) -> f64 {
    rounds.values().map(|values| median(values)).sum()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
