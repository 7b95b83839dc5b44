//! Hanging sources, locked rows and other tenants do not delay the rest.

use serde_json::{Value as Json, json};
use synapsor_e2e::proofs::fairness::{Size, hanging_sources, one_locked_row, two_tenants};
use tokio::sync::Mutex;

/// Held by each test: they measure times, which others would distort.
static TURN: Mutex<()> = Mutex::const_new(());

fn holds(figures: Option<Json>) {
    if let Some(figures) = figures {
        println!("{figures}");
        assert_eq!(figures["violations"], json!([]), "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hanging_sources_do_not_delay_a_working_source() {
    let _turn = TURN.lock().await;
    holds(hanging_sources(Size::SMALL).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_row_uses_one_slot_for_all_waiting_jobs() {
    let _turn = TURN.lock().await;
    holds(one_locked_row(45).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_tenant_does_not_delay_another_tenant() {
    let _turn = TURN.lock().await;
    holds(two_tenants(24).await.unwrap());
}
