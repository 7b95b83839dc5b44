//! Shell blocks of the page about onboarding, run unchanged and in order.

use anyhow::ensure;
use synapsor_e2e::cli::CliFixture;

use crate::own_database::shell;
use crate::readme::shell_blocks;

const GUIDE: &str = include_str!("../../../../docs/onboarding.md");

#[test]
fn onboarding_guide_works_unchanged() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    let blocks = shell_blocks(GUIDE);
    ensure!(blocks.len() >= 6, "guide lacks commands");
    let out = shell(&place, &blocks.join("\n"), &[])?;
    ensure!(out.contains("Applied: one row changed, once"), "{out}");
    let connection = rusqlite::Connection::open(place.path("shop.db"))?;
    let fee: i64 = connection.query_row(
        "SELECT late_fee_cents FROM invoices WHERE id = 'INV-1'",
        [],
        |row| row.get(0),
    )?;
    ensure!(fee == 0, "{fee}");
    Ok(())
}
