//! Small form of the freeze and rejection proof, as a separate program: it measures times, and concurrent proofs
//! would distort them.

use synapsor_e2e::proofs::{self, Plan};

const PLAN: Plan = Plan {
    small: true,
    seed: 20_260_401,
    engine: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn freezes_hold_and_hanging_sources_stop_no_others() {
    let summary = proofs::run("switches", PLAN).await.unwrap();
    assert_eq!(proofs::violations(&summary), 0, "{summary}");
    let ran = proofs::cases(&summary);
    assert!(
        ran >= 41 || proofs::lacks_server(&summary),
        "{ran} of at least 41 cases ran: {summary}"
    );
}
