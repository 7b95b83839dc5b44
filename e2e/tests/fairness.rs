//! Hanging sources, locked rows and other tenants do not delay the rest.

use serde_json::{Value as Json, json};
use synapsor_e2e::proofs::fairness::{Size, hanging_sources, one_locked_row, two_tenants};

fn holds(figures: Option<Json>) {
    if let Some(figures) = figures {
        println!("{figures}");
        assert_eq!(figures["violations"], json!([]), "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_hanging_sources_do_not_delay_a_working_one() {
    holds(hanging_sources(Size::SMALL).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_row_holds_one_slot_however_many_wait_for_it() {
    holds(one_locked_row(45).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_rows_are_locked_does_not_delay_another() {
    holds(two_tenants(24).await.unwrap());
}
