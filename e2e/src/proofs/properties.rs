//! Property tests of the engines, quoting and round trips of values, with the number of cases of a proof.

use std::process::Command;

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use tokio::task::block_in_place;

use super::Plan;

const CASES: u32 = 10_000;
const CASES_SMALL: u32 = 500;
/// Module of these tests.
const NAMES: &str = "conformance::properties";
/// Number of these tests: one for each engine.
const TESTS: u64 = 4;

pub(super) fn run(plan: Plan) -> anyhow::Result<Json> {
    let cases = if plan.small { CASES_SMALL } else { CASES };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "test",
            "--locked",
            // The packages of `make test`, so that features are the same and nothing is compiled again.
            "--workspace",
            "--lib",
            "--no-fail-fast",
            "--",
            NAMES,
        ])
        .env("SYNAPSOR_PROPERTY_CASES", cases.to_string())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let output = block_in_place(|| command.output()).context("starting cargo")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let (passed, failed) = (count(&printed, "passed"), count(&printed, "failed"));
    // A run without all tests, or an interrupted run, proves nothing.
    let violations = failed.max(u64::from(!output.status.success() || passed < TESTS));
    if violations > 0 {
        println!(
            "VIOLATION properties: {printed}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(json!({
        "proof": "properties",
        "properties": passed + failed,
        "cases": cases,
        "violations": violations,
        "skipped": [],
    }))
}

/// Sums one number over the lines `test result: ok. 3 passed; 0 failed; …`.
fn count(printed: &str, what: &str) -> u64 {
    let results = printed.lines().filter(|line| line.starts_with("test result:"));
    let counts = results.filter_map(|line| {
        let before = line.split(what).next()?.trim_end();
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn counts_of_all_result_lines_are_summed() {
        let printed =
            "test result: ok. 3 passed; 0 failed; 1 ignored\nx\ntest result: FAILED. 4 passed; 2 failed;";
        assert_eq!((count(printed, "passed"), count(printed, "failed")), (7, 2));
    }
}
