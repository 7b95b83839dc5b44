//! Reader and writer of one source with the URLs of two databases: the doctor names the difference and its fix, and no
//! proposal is applied.

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_e2e::cli::{CliFixture, INVOICE};
use synapsor_e2e::databases::{Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

const EXIT_REFUSED: i32 = 4;

/// A deployment, and the same rows in another database.
fn two(engine: Engine) -> anyhow::Result<Option<(CliFixture, Target)>> {
    if engine == Engine::Sqlite {
        let (place, other) = (CliFixture::new()?, CliFixture::new()?);
        let path = place.path("other.db");
        std::fs::rename(other.path("billing.db"), &path)?;
        return Ok(Some((place, Target::File(path))));
    }
    let Some(server) = Server::of(engine)? else {
        return Ok(None);
    };
    let fixture = Fixture::billing();
    let place = CliFixture::over(server.database()?, &fixture)?;
    let database = server.database()?;
    let roles = fixture.fill(&database)?;
    Ok(Some((place, Target::Server { database, roles })))
}

fn writes_only_what_was_read(engine: Engine) -> anyhow::Result<()> {
    let Some((mut place, other)) = two(engine)? else {
        return Ok(());
    };
    if let (Target::Server { database, .. }, Target::Server { roles, .. }) = (&place.target, &other)
        && database.engine() != Engine::Postgres
    {
        // A contract for MySQL names the database: without these rights the row is not found.
        let name = database.name();
        database.execute(&format!(
            "GRANT SELECT, UPDATE ON {name}.* TO '{}'@'%'",
            roles.writer
        ))?;
    }
    let id = place.approved(INVOICE, "goodwill")?;
    let before = (place.target.dump()?, other.dump()?);
    let own = place.target.write_url();
    place.set("BILLING_WRITE_URL", &other.write_url());

    let checked = place.run(&["writeback", "doctor", "--check-db"])?;
    checked.expect(1)?;
    for part in [
        "SOURCE_DIFFERS: reader and writer of the source `billing_db` open different databases",
        "give the read URL and the write URL the same server and the same database or file",
    ] {
        ensure!(checked.stdout.contains(part), "{part}: {checked}");
    }
    for arguments in [&["apply", &id][..], &["apply", &id, "--dry-run"]] {
        let refused = place.run(arguments)?;
        refused.expect(EXIT_REFUSED)?;
        for part in [
            "refused:source",
            "differs from the database that the proposal was read from",
            "give the read URL and the write URL the same server and database",
        ] {
            ensure!(refused.stdout.contains(part), "{part}: {refused}");
        }
    }
    ensure!(
        (place.target.dump()?, other.dump()?) == before,
        "a database was written"
    );
    // The fix: the order was not used up.
    place.set("BILLING_WRITE_URL", &own);
    let checked = place.run(&["writeback", "doctor", "--check-db"])?;
    ensure!(!checked.stdout.contains("SOURCE_DIFFERS"), "{checked}");
    let applied = place.json(&["apply", &id])?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    Ok(())
}

#[test]
fn writer_of_another_database_is_named_and_writes_nothing() -> anyhow::Result<()> {
    for engine in [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb] {
        writes_only_what_was_read(engine).with_context(|| engine.to_string())?;
    }
    Ok(())
}
