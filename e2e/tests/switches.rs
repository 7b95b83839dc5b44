//! What stops writers, in its small form and in a program of its own: it measures times, and other proofs would be
//! measured with it.

use synapsor_e2e::proofs::{self, Plan};

const PLAN: Plan = Plan {
    small: true,
    seed: 20_260_401,
    engine: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn stops_hold_and_what_hangs_stops_nothing_else() {
    let summary = proofs::run("switches", PLAN).await.unwrap();
    assert_eq!(proofs::violations(&summary), 0, "{summary}");
}
