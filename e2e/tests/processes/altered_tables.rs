//! A table that was altered after an approval: a column that the proposal uses ends it, and the same call makes another
//! one. Other columns do not matter.

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

/// Approves a change, alters other columns of the table, and applies.
fn unused_columns_do_not_matter(
    place: &CliFixture,
    mut alter: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let id = place.approved("INV-3003", "goodwill")?;
    alter("ALTER TABLE invoices ADD COLUMN colour TEXT")?;
    alter("ALTER TABLE invoices DROP COLUMN internal_note")?;
    let ran = place.json(&["apply", &id])?;
    assert_eq!(ran["status"], json!("applied"), "{ran}");
    Ok(())
}

fn on_server(engine: Engine, alter_used: &str) -> anyhow::Result<()> {
    let Some(server) = Server::of(engine)? else {
        return Ok(());
    };
    let place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let Target::Server { database, .. } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    unused_columns_do_not_matter(&place, |sql| database.execute(sql))?;
    altered_table_ends_the_proposal(&place, || database.execute(alter_used))
}

#[test]
fn altered_column_ends_the_proposal_on_postgres() -> anyhow::Result<()> {
    on_server(
        Engine::Postgres,
        "ALTER TABLE invoices ALTER COLUMN waiver_reason TYPE varchar(299)",
    )
}

#[test]
fn altered_column_ends_the_proposal_on_mysql() -> anyhow::Result<()> {
    on_server(
        Engine::Mysql,
        "ALTER TABLE invoices MODIFY waiver_reason VARCHAR(299)",
    )
}

#[test]
fn altered_column_ends_the_proposal_on_mariadb() -> anyhow::Result<()> {
    on_server(
        Engine::Mariadb,
        "ALTER TABLE invoices MODIFY waiver_reason VARCHAR(299)",
    )
}

#[test]
fn altered_column_ends_the_proposal_on_sqlite() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let owner = rusqlite::Connection::open(place.path("billing.db"))?;
    unused_columns_do_not_matter(&place, |sql| Ok(owner.execute_batch(sql)?))?;
    altered_table_ends_the_proposal(&place, || {
        Ok(owner.execute_batch(
            "ALTER TABLE invoices DROP COLUMN waiver_reason; \
             ALTER TABLE invoices ADD COLUMN waiver_reason ANY",
        )?)
    })
}
