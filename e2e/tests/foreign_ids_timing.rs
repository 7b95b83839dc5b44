//! Small form of the proof of response times. This is a separate program, so that no other test runs at the same
//! time.

use synapsor_e2e::proofs::{self, Plan};

const PLAN: Plan = Plan {
    small: true,
    seed: 20_260_401,
    engine: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn foreign_ids_take_as_long_as_unknown_ids() {
    let summary = proofs::run("timing", PLAN).await.unwrap();
    assert_eq!(proofs::violations(&summary), 0, "{summary}");
    assert_eq!(summary["cases"], 6, "{summary}");
}
