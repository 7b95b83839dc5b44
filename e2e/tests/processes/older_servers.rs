//! Versions of MySQL and MariaDB that the test machine cannot run. A running server is shown as an older one, and each
//! word of each statement is compared with the list of versions that brought it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Context as _;
use synapsor_e2e::cli::{CliFixture, INVOICE};
use synapsor_e2e::databases::{Engine, Server, Session};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::server_versions::{Features, OlderServer, Version};

/// The oldest supported versions.
const MYSQL_MIN: Version = Version(8, 0, 16);
const MARIADB_MIN: Version = Version(10, 6, 0);
const URLS: [&str; 2] = ["BILLING_READ_URL", "BILLING_WRITE_URL"];

/// Creates a user's directory over a database whose server is reached through a proxy.
fn place_behind(server: &Server, proxy: SocketAddr) -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::over(server.database()?, &Fixture::billing())?;
    for name in URLS {
        let known = place.environment.iter().find(|(known, _)| known == name);
        let url = known.context("no URL")?.1.clone();
        // MySQL asks for TLS at the first login of an account; the proxy offers none.
        Session::new(server.engine, url.clone()).execute("SELECT 1")?;
        place.set(name, &url.replace(server.address(), &proxy.to_string()));
    }
    Ok(place)
}

/// Runs every command that sends statements of a different kind.
fn run_commands(place: &mut CliFixture) -> anyhow::Result<()> {
    for name in URLS {
        place.ok(&["inspect", "--from-env", name])?;
    }
    place.ok(&[
        "init",
        "--from-env",
        URLS[0],
        "--table",
        "invoices",
        "--mode",
        "read_only",
        "--dry-run",
    ])?;
    place.ok(&["writeback", "doctor", "--check-db"])?;
    let applied = place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", &applied])?;
    let stale = place.approved("INV-3002", "goodwill")?;
    place
        .target
        .execute("UPDATE invoices SET version = version + 1 WHERE id = 'INV-3002'")?;
    place.run(&["apply", &stale])?.expect(3)?;
    place.ok(&["receipts", "audit"])?;
    place.ok(&["replay", "show", &applied])?;
    Ok(())
}

/// Shows the servers of one product as each of these versions, runs the commands, and compares every statement.
async fn statements_are_known_to(engine: Engine, versions: &[Version]) -> anyhow::Result<()> {
    let Some(server) = Server::of(engine)? else {
        return Ok(());
    };
    let features = Features::of(engine)?;
    let mut unlisted = BTreeSet::new();
    for &version in versions {
        let proxy = OlderServer::start(&server, version).await?;
        let mut place = place_behind(&server, proxy.address)?;
        run_commands(&mut place)?;
        let printed = place.ok(&["inspect", "--from-env", URLS[0], "--json"])?.stdout;
        assert!(printed.contains(&version.to_string()), "{version}: {printed}");

        let mut statements = proxy.statements();
        assert!(
            statements.iter().any(|sql| sql.starts_with("UPDATE")),
            "nothing was written"
        );
        for what in ["migration", "grants"] {
            let roles: &[&str] = match what {
                "grants" => &["--read-role", "reader", "--writer-role", "writer"],
                _ => &[],
            };
            statements.insert(place.ok(&[&["writeback", what], roles].concat())?.stdout);
        }
        for sql in &statements {
            assert!(features.newer_than(version, sql).is_none(), "{version}: {sql}");
            unlisted.extend(features.unlisted(sql));
        }
    }
    assert!(
        unlisted.is_empty(),
        "not in e2e/fixtures/server_features.txt: {unlisted:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_needs_a_newer_mysql() -> anyhow::Result<()> {
    statements_are_known_to(Engine::Mysql, &[MYSQL_MIN, Version(8, 0, 36), Version(8, 4, 0)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_needs_a_newer_mariadb() -> anyhow::Result<()> {
    statements_are_known_to(Engine::Mariadb, &[MARIADB_MIN]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn older_server_is_refused_with_both_versions() -> anyhow::Result<()> {
    for (engine, version, oldest) in [
        (Engine::Mysql, Version(8, 0, 15), "8.0.16"),
        (Engine::Mysql, Version(5, 7, 44), "8.0.16"),
        (Engine::Mariadb, Version(10, 5, 28), "10.6"),
    ] {
        let Some(server) = Server::of(engine)? else {
            continue;
        };
        let proxy = OlderServer::start(&server, version).await?;
        let place = place_behind(&server, proxy.address)?;
        for command in [
            &["inspect", "--from-env", URLS[0]][..],
            &["writeback", "doctor", "--check-db"],
        ] {
            let refused = place.run(command)?;
            let text = refused.stdout + &refused.stderr;
            assert_ne!(refused.exit, Some(0), "{text}");
            for part in ["SOURCE_TOO_OLD", &version.to_string(), oldest] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains("writeback grants"), "{text}");
        }
    }
    Ok(())
}

/// The proxy answers as the older server does; otherwise the tests above could not fail at a newer word.
#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_too_new_get_the_error_of_the_server() -> anyhow::Result<()> {
    let Some(server) = Server::mysql()? else {
        return Ok(());
    };
    let proxy = OlderServer::start(&server, Version(8, 0, 15)).await?;
    let database = server.database()?;
    // The owner's first login was made by the database above.
    let url = database.owner_url();
    let older = Session::new(
        Engine::Mysql,
        url.replace(server.address(), &proxy.address.to_string()),
    );
    assert_eq!(older.value("SELECT VERSION()")?, "8.0.15");
    let error = older
        .execute("SELECT ENFORCED FROM information_schema.TABLE_CONSTRAINTS")
        .unwrap_err();
    assert!(format!("{error:#}").contains("1054"), "{error:#}");
    database.execute("SELECT ENFORCED FROM information_schema.TABLE_CONSTRAINTS")
}
