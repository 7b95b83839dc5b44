//! Small form of the proofs, with every run of the tests.

use serde_json::Value as Json;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::proofs::{self, Plan};

/// The same choices in every run; the full proofs use new seeds.
const PLAN: Plan = Plan {
    small: true,
    seed: 20_260_401,
    engine: None,
};

/// Runs a proof, of which at least `cases` cases must run; returns the summary.
async fn holds(name: &str, cases: u64) -> Json {
    let summary = proofs::run(name, PLAN).await.unwrap();
    assert_eq!(proofs::violations(&summary), 0, "{summary}");
    let ran = proofs::cases(&summary);
    assert!(
        ran >= cases || proofs::lacks_server(&summary),
        "{ran} of at least {cases} cases ran: {summary}"
    );
    summary
}

fn needs_failpoints() {
    assert!(
        Build::Failpoints.folder().is_ok(),
        "the binaries with crash points are missing: run `cargo xtask failpoints` (`make test` does)"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn process_reaches_no_resource_of_another() {
    holds("wall", 700).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn loop_stays_local_and_failures_leak_no_secret() {
    holds("quiet", 400).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crash_leaves_one_effect_or_none_with_a_receipt() {
    needs_failpoints();
    let summary = holds("crash", 110).await;
    // A passed proof must also list what it skipped.
    let is_listed = |left_out: &Json| {
        left_out["what"]
            .as_str()
            .is_some_and(|what| what.contains("takes over"))
    };
    let skipped = summary["skipped"].as_array();
    assert!(
        skipped.is_some_and(|skipped| skipped.iter().any(is_listed)),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_and_names_round_trip_on_every_engine() {
    let summary = holds("properties", 500).await;
    assert_eq!(summary["properties"], 4, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_commit_or_response_gives_the_right_outcome() {
    holds("lost", 120).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_approved_change_is_committed() {
    needs_failpoints();
    holds("preconditions", 258).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn duplicate_jobs_have_one_effect_per_proposal() {
    holds("concurrency", 1_920).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_store_tampering_is_reported() {
    holds("tamper", 124).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_under_load_without_a_failed_call() {
    let summary = holds("lifetimes", 200).await;
    assert_eq!(summary["refused"], 6, "{summary}");
}

#[test]
fn only_the_proof_build_has_crash_points() {
    needs_failpoints();
    let has_switch = |build: Build, name: &str| {
        let binary = std::fs::read(build.binary(name).unwrap()).unwrap();
        let switch = b"SYNAPSOR_FAILPOINT";
        binary.windows(switch.len()).any(|w| w == switch)
    };
    for name in ["synapsor-executor", "synapsor-ledger"] {
        assert!(
            has_switch(Build::Failpoints, name),
            "{name} of the proofs has no crash points"
        );
        assert!(
            !has_switch(Build::Plain, name),
            "the plain {name} has crash points"
        );
    }
}
