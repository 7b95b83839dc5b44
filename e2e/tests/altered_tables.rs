//! A table that was altered after an approval ends the proposal; the same call makes another one.

use serde_json::json;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

const INVOICE: &str = "INV-3001";

/// Approves a change, alters the table, applies, and applies the repeated call's proposal.
fn altered_table_ends_the_proposal(
    place: &CliFixture,
    alter: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let first = place.approved(INVOICE, "goodwill")?;
    let before = place.invoice(INVOICE)?;
    alter()?;
    let ran = place.run(&["apply", &first, "--json"])?;
    ran.expect(1)?;
    let ended = ran.object()?;
    assert_eq!(ended["status"], json!("failed"), "{ended}");
    assert_eq!(ended["result"], json!("failed:schema_drift"), "{ended}");
    let message = ended["message"].as_str().unwrap_or_default();
    assert!(message.contains("submit a new proposal"), "{message}");
    assert_eq!(place.invoice(INVOICE)?, before);
    let shown = place.ok(&["receipts", "show", &first])?.stdout;
    assert!(shown.contains("failed schema_drift"), "{shown}");

    let second = place.propose(INVOICE, "goodwill")?;
    assert_ne!(first, second, "the first one has ended");
    place.ok(&["proposals", "approve", &second, "--yes"])?;
    place.ok(&["apply", &second, "--json"])?;
    assert_ne!(place.invoice(INVOICE)?, before, "the second one is written");
    Ok(())
}

fn on_server(engine: Engine) -> anyhow::Result<()> {
    let Some(server) = Server::of(engine)? else {
        return Ok(());
    };
    let place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let Target::Server { database, .. } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    altered_table_ends_the_proposal(&place, || {
        database.execute("ALTER TABLE invoices ADD COLUMN colour VARCHAR(20)")
    })
}

#[test]
fn altered_table_ends_the_proposal_on_postgres() -> anyhow::Result<()> {
    on_server(Engine::Postgres)
}

#[test]
fn altered_table_ends_the_proposal_on_mysql() -> anyhow::Result<()> {
    on_server(Engine::Mysql)
}

#[test]
fn altered_table_ends_the_proposal_on_mariadb() -> anyhow::Result<()> {
    on_server(Engine::Mariadb)
}

#[test]
fn altered_table_ends_the_proposal_on_sqlite() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let path = place.path("billing.db");
    altered_table_ends_the_proposal(&place, || {
        let owner = rusqlite::Connection::open(path)?;
        Ok(owner.execute_batch("ALTER TABLE invoices ADD COLUMN colour TEXT")?)
    })
}
