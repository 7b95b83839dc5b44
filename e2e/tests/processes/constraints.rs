//! A change that a constraint of the table rejects ends its proposal, and the receipt names class and constraint.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

const INVOICE: &str = "INV-3001";

/// A constraint that the sample proposal violates: class in words, name, and the statements that add and drop it.
struct Case {
    class: &'static str,
    name: &'static str,
    add: String,
    drop: String,
}

fn cases(engine: Engine, database: &Database) -> Vec<Case> {
    let is_postgres = matches!(engine, Engine::Postgres);
    let table = if is_postgres {
        format!("{}.invoices", database.schema())
    } else {
        "invoices".to_owned()
    };
    let drop_of = |kind: &str, name: &str| {
        let kind = if is_postgres { "CONSTRAINT" } else { kind };
        format!("ALTER TABLE {table} DROP {kind} {name}")
    };
    let case = |class, name, rule: &str, kind: &str| Case {
        class,
        name,
        add: format!("ALTER TABLE {table} ADD CONSTRAINT {name} {rule}"),
        drop: drop_of(kind, name),
    };
    let check = if engine == Engine::Mysql {
        "CHECK"
    } else {
        "CONSTRAINT"
    };
    vec![
        case("check", "fee_is_positive", "CHECK (late_fee_cents > 0)", check),
        case(
            "unique",
            "one_fee_each",
            "UNIQUE (tenant_id, late_fee_cents)",
            "INDEX",
        ),
    ]
}

fn ended_by(ran: &Json, case: &Case) -> anyhow::Result<()> {
    ensure!(
        ran["status"] == json!("failed") && ran["result"] == json!("failed:constraint"),
        "{ran}"
    );
    let message = ran["message"].as_str().unwrap_or_default();
    ensure!(
        message.contains(case.class) && message.contains(case.name),
        "{message}"
    );
    Ok(())
}

fn violated_constraint_ends_the_proposal(engine: Engine) -> anyhow::Result<()> {
    let Some(server) = Server::of(engine)? else {
        return Ok(());
    };
    let place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let Target::Server { database, .. } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    // No other invoice of the tenants violates a constraint that is added.
    database.execute("UPDATE invoices SET late_fee_cents = version + 1 WHERE late_fee_cents = 0")?;
    for case in cases(engine, database) {
        let before = place.invoice(INVOICE)?;
        let first = place.approved(INVOICE, case.class)?;
        if case.class == "unique" {
            database.execute("UPDATE invoices SET late_fee_cents = 0 WHERE id = 'INV-3003'")?;
        }
        database.execute(&case.add).with_context(|| case.add.clone())?;
        let ran = place.run(&["apply", &first, "--json"])?;
        ran.expect(1)?;
        ended_by(&ran.object()?, &case)?;
        assert_eq!(place.invoice(INVOICE)?, before, "{engine}: {}", case.class);
        let shown = place.ok(&["receipts", "show", &first])?.stdout;
        assert!(
            shown.contains("failed constraint") && shown.contains(case.name),
            "{engine}: {shown}"
        );
        let replay = place.ok(&["replay", "show", &first])?.stdout;
        assert!(replay.contains(case.name), "{engine}: {replay}");
        // The proposal has ended: the same call makes another one, and the same order finds the receipt.
        let again = place.run(&["apply", &first, "--json"])?;
        again.expect(1)?;
        assert_eq!(again.object()?["status"], json!("failed"), "{again}");
        database.execute(&case.drop).with_context(|| case.drop.clone())?;
        let second = place.propose(INVOICE, case.class)?;
        assert_ne!(first, second, "{engine}: {}", case.class);
        place.ok(&[
            "proposals",
            "reject",
            &second,
            "--yes",
            "--reason",
            "made for the test",
        ])?;
    }
    Ok(())
}

#[test]
fn violated_constraint_ends_the_proposal_on_postgres() -> anyhow::Result<()> {
    violated_constraint_ends_the_proposal(Engine::Postgres)
}

#[test]
fn violated_constraint_ends_the_proposal_on_mysql() -> anyhow::Result<()> {
    violated_constraint_ends_the_proposal(Engine::Mysql)
}

#[test]
fn violated_constraint_ends_the_proposal_on_mariadb() -> anyhow::Result<()> {
    violated_constraint_ends_the_proposal(Engine::Mariadb)
}

#[test]
fn violated_unique_index_ends_the_proposal_on_sqlite() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved(INVOICE, "goodwill")?;
    let before = place.invoice(INVOICE)?;
    let owner = rusqlite::Connection::open(place.path("billing.db"))?;
    owner.execute_batch(
        "UPDATE invoices SET late_fee_cents = version + 1 WHERE late_fee_cents = 0 AND id <> 'INV-3003'; \
         CREATE UNIQUE INDEX one_without_fee ON invoices (late_fee_cents) WHERE late_fee_cents = 0",
    )?;
    let ran = place.run(&["apply", &id, "--json"])?;
    ran.expect(1)?;
    let found = ran.object()?;
    assert_eq!(found["result"], json!("failed:constraint"), "{found}");
    assert!(
        found["message"].as_str().unwrap_or_default().contains("unique"),
        "{found}"
    );
    assert_eq!(place.invoice(INVOICE)?, before);
    Ok(())
}

#[test]
fn text_that_the_database_cannot_encode_ends_the_proposal() -> anyhow::Result<()> {
    let Some(server) = Server::postgres()? else {
        return Ok(());
    };
    let options = "ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'";
    let place = CliFixture::over(server.database_with(options)?, &Fixture::billing())?;
    let before = place.invoice(INVOICE)?;
    let id = place.approved(INVOICE, "late by one day \u{65e5}")?;
    let ran = place.run(&["apply", &id, "--json"])?;
    ran.expect(1)?;
    let found = ran.object()?;
    assert_eq!(found["result"], json!("failed:type"), "{found}");
    assert_eq!(place.invoice(INVOICE)?, before);
    let shown = place.ok(&["receipts", "show", &id])?.stdout;
    assert!(shown.contains("failed type"), "{shown}");
    let next = place.approved(INVOICE, "late by one day \u{e9}")?;
    assert_eq!(place.json(&["apply", &next])?["status"], json!("applied"));
    Ok(())
}
