//! A change that a constraint of the table rejects ends its proposal, and the receipt names class and constraint.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

const INVOICE: &str = "INV-3001";

/// A constraint that the sample proposal violates: class in words, and its name, or the column's, if the server
/// names one.
struct Case {
    class: &'static str,
    name: &'static str,
    /// Statement before the proposal, of what is part of the table's fingerprint.
    prepare: String,
    add: String,
    drop: String,
}

impl Case {
    fn new(class: &'static str, name: &'static str, add: String, drop: String) -> Self {
        Self {
            class,
            name,
            prepare: String::new(),
            add,
            drop,
        }
    }
}

fn cases(engine: Engine, database: &Database, writer: &str) -> Vec<Case> {
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
    let case = |class, name, rule: &str, kind: &str| {
        let add = format!("ALTER TABLE {table} ADD CONSTRAINT {name} {rule}");
        Case::new(class, name, add, drop_of(kind, name))
    };
    let check = if engine == Engine::Mysql {
        "CHECK"
    } else {
        "CONSTRAINT"
    };
    let listed = "FOREIGN KEY (late_fee_cents) REFERENCES fees (cents)";
    let mut cases = vec![
        case("check", "fee_is_positive", "CHECK (late_fee_cents > 0)", check),
        case(
            "unique",
            "one_fee_each",
            "UNIQUE (tenant_id, late_fee_cents)",
            "INDEX",
        ),
    ];
    // MySQL names a foreign key only to accounts with rights on the table that it references.
    if engine == Engine::Mysql {
        let unnamed = case("foreign key", "fee_is_listed", listed, "FOREIGN KEY");
        cases.push(Case { name: "", ..unnamed });
    }
    cases.push(Case {
        prepare: format!("GRANT SELECT ON fees TO {writer}"),
        ..case("foreign key", "fee_is_listed", listed, "FOREIGN KEY")
    });
    if is_postgres {
        let deferred = format!("{listed} DEFERRABLE INITIALLY DEFERRED");
        let apart = "EXCLUDE USING hash (late_fee_cents WITH =)";
        cases.push(case(
            "foreign key",
            "fee_is_listed_later",
            &deferred,
            "FOREIGN KEY",
        ));
        cases.push(case("exclusion", "fees_are_apart", apart, "CONSTRAINT"));
    }
    cases.push(set_by_trigger(engine, "not null", "internal_note", "NULL"));
    // PostgreSQL names no column of a value that is too long.
    let column = if is_postgres { "" } else { "internal_note" };
    cases.push(set_by_trigger(
        engine,
        "length",
        column,
        "'longer than thirty-two characters, all of it'",
    ));
    cases
}

/// A trigger that sets another column to what it does not hold: the reader checks the values of the proposal.
fn set_by_trigger(engine: Engine, class: &'static str, name: &'static str, value: &str) -> Case {
    let (prepare, drop) = match engine {
        Engine::Postgres => (
            format!(
                "CREATE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS
                   $$ BEGIN new.internal_note := {value}; RETURN new; END $$;
                 CREATE TRIGGER sets BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION sets()"
            ),
            "DROP TRIGGER sets ON invoices; DROP FUNCTION sets()",
        ),
        Engine::Mysql | Engine::Mariadb | Engine::Sqlite => (
            format!(
                "CREATE TRIGGER sets BEFORE UPDATE ON invoices FOR EACH ROW SET NEW.internal_note = {value}"
            ),
            "DROP TRIGGER sets",
        ),
    };
    Case {
        prepare,
        ..Case::new(class, name, String::new(), drop.to_owned())
    }
}

/// Tables in which no row violates a constraint that is added.
fn prepared(engine: Engine, database: &Database) -> anyhow::Result<()> {
    database.execute("UPDATE invoices SET late_fee_cents = version + 1 WHERE late_fee_cents = 0")?;
    database.execute("UPDATE invoices SET internal_note = 'none' WHERE internal_note IS NULL")?;
    database.execute("CREATE TABLE fees (cents BIGINT PRIMARY KEY)")?;
    database.execute("INSERT INTO fees SELECT DISTINCT late_fee_cents FROM invoices")?;
    database.execute(match engine {
        Engine::Postgres => {
            "ALTER TABLE invoices ALTER internal_note TYPE varchar(32), ALTER internal_note SET NOT NULL"
        }
        _ => "ALTER TABLE invoices MODIFY internal_note VARCHAR(32) NOT NULL",
    })
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
    let Target::Server { database, roles } = &place.target else {
        anyhow::bail!("a server has the target");
    };
    prepared(engine, database)?;
    for case in cases(engine, database, &roles.writer) {
        fails_by(&place, database, &case)
            .with_context(|| format!("{engine}: {} {}", case.class, case.name))?;
    }
    Ok(())
}

fn fails_by(place: &CliFixture, database: &Database, case: &Case) -> anyhow::Result<()> {
    let run = |sql: &str| {
        if sql.is_empty() {
            Ok(())
        } else {
            database.execute(sql)
        }
    };
    run(&case.prepare)?;
    let before = place.invoice(INVOICE)?;
    let first = place.approved(INVOICE, case.class)?;
    if matches!(case.class, "unique" | "exclusion") {
        database.execute("UPDATE invoices SET late_fee_cents = 0 WHERE id = 'INV-3003'")?;
    }
    run(&case.add)?;
    let ran = place.run(&["apply", &first, "--json"])?;
    ran.expect(1)?;
    ended_by(&ran.object()?, case)?;
    assert_eq!(place.invoice(INVOICE)?, before);
    let shown = place.ok(&["receipts", "show", &first])?.stdout;
    ensure!(
        shown.contains("failed constraint") && shown.contains(case.class) && shown.contains(case.name),
        "{shown}"
    );
    let replay = place.ok(&["replay", "show", &first])?.stdout;
    ensure!(replay.contains(case.name), "{replay}");
    let proposal = place.json(&["proposals", "show", &first])?;
    assert_eq!(proposal["state"], json!("failed"), "{proposal}");
    // The proposal has ended: the same call makes another one, and the same order finds the receipt.
    let again = place.run(&["apply", &first, "--json"])?;
    again.expect(1)?;
    assert_eq!(again.object()?["status"], json!("failed"), "{again}");
    run(&case.drop)?;
    database.execute("UPDATE invoices SET late_fee_cents = 13 WHERE id = 'INV-3003'")?;
    let second = place.propose(INVOICE, case.class)?;
    assert_ne!(first, second);
    place.ok(&[
        "proposals",
        "reject",
        &second,
        "--yes",
        "--reason",
        "made for the test",
    ])?;
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

/// Class, name, and what is part of the table, or of the database besides it. SQLite names no foreign key.
const OF_SQLITE: [(&str, &str, &str, &str); 4] = [
    (
        "unique",
        "invoices.late_fee_cents",
        "",
        "CREATE UNIQUE INDEX one_without_fee ON invoices (late_fee_cents) WHERE late_fee_cents = 0; \
         UPDATE invoices SET late_fee_cents = 0 WHERE id = 'INV-3003'",
    ),
    (
        "check",
        "fee_is_positive",
        ", CONSTRAINT fee_is_positive CHECK (late_fee_cents > 0)",
        "",
    ),
    (
        "foreign key",
        "",
        ", CONSTRAINT fee_is_listed FOREIGN KEY (late_fee_cents) REFERENCES fees (cents)",
        "",
    ),
    (
        "not null",
        "invoices.internal_note",
        "",
        "CREATE TRIGGER sets AFTER UPDATE OF late_fee_cents ON invoices \
         BEGIN UPDATE invoices SET internal_note = NULL WHERE id = new.id; END",
    ),
];

/// The sample's table again, whose notes are not null and which has these constraints.
fn sqlite_table(constraints: &str) -> String {
    format!(
        "UPDATE invoices SET late_fee_cents = version + 1 WHERE late_fee_cents = 0;
         UPDATE invoices SET internal_note = 'none' WHERE internal_note IS NULL;
         CREATE TABLE fees (cents INTEGER PRIMARY KEY) STRICT;
         INSERT INTO fees SELECT DISTINCT late_fee_cents FROM invoices;
         CREATE TABLE kept AS SELECT * FROM invoices;
         DROP TABLE invoices;
         CREATE TABLE invoices (
           id TEXT NOT NULL PRIMARY KEY, tenant_id TEXT NOT NULL, customer_name TEXT, status TEXT,
           late_fee_cents INTEGER NOT NULL, waiver_reason TEXT, internal_note TEXT NOT NULL,
           version INTEGER NOT NULL {constraints}) STRICT;
         INSERT INTO invoices SELECT * FROM kept;
         CREATE TRIGGER invoices_version AFTER UPDATE ON invoices WHEN new.version = old.version
         BEGIN UPDATE invoices SET version = old.version + 1 WHERE id = new.id; END;"
    )
}

#[test]
fn violated_constraint_ends_the_proposal_on_sqlite() -> anyhow::Result<()> {
    for (class, name, constraints, besides) in OF_SQLITE {
        let place = CliFixture::new()?;
        place.target.execute(&sqlite_table(constraints))?;
        place.target.execute(besides)?;
        let before = place.invoice(INVOICE)?;
        let id = place.approved(INVOICE, "goodwill")?;
        let ran = place.run(&["apply", &id, "--json"])?;
        ran.expect(1)?;
        let case = Case::new(class, name, String::new(), String::new());
        ended_by(&ran.object()?, &case).context(class)?;
        assert_eq!(place.invoice(INVOICE)?, before, "{class}");
        let proposal = place.json(&["proposals", "show", &id])?;
        assert_eq!(proposal["state"], json!("failed"), "{class}: {proposal}");
        let shown = place.ok(&["receipts", "show", &id])?.stdout;
        ensure!(shown.contains(class) && shown.contains(name), "{shown}");
    }
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
