//! Accounts of MySQL and MariaDB by login method: over a local socket, and a method that the driver lacks.

use anyhow::Context as _;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, Server};

const URL: &str = "DB_URL";

fn inspect(url: &str, database: &Database) -> anyhow::Result<synapsor_e2e::cli::CommandOutput> {
    let mut place = CliFixture::empty()?;
    place.set(URL, url);
    place.run(&["inspect", "--from-env", URL, "--schema", database.schema()])
}

#[test]
fn new_account_logs_in_over_a_socket() -> anyhow::Result<()> {
    for engine in [Engine::Mysql, Engine::Mariadb] {
        let Some(server) = Server::of(engine)? else {
            continue;
        };
        let database = server.database()?;
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")?;
        let socket = database.value("SELECT CONCAT(IF(LEFT(@@socket, 1) = '/', '', @@datadir), @@socket)")?;
        if !std::path::Path::new(&socket).exists() {
            // A server that the machine provides elsewhere.
            synapsor_e2e::namespaces::left_out(format_args!(
                "{engine}: login over a socket: {socket} is not here"
            ));
            continue;
        }
        let name = format!("{}_s", database.name());
        database.execute(&format!(
            "CREATE USER '{name}'@'localhost' IDENTIFIED BY 'a-password-of-a-test'; \
             GRANT SELECT ON {}.* TO '{name}'@'localhost'",
            database.name()
        ))?;
        let url = format!(
            "mysql://{name}:a-password-of-a-test@localhost/{}?socket={socket}",
            database.name()
        );
        for attempt in ["first", "second"] {
            let seen = inspect(&url, &database)?;
            assert!(
                seen.exit == Some(0) && seen.stdout.contains("items"),
                "{engine}, {attempt}: {seen:?}"
            );
        }
        let wrong = inspect(&url.replace(":a-password", ":another-password"), &database)?;
        assert!(wrong.stderr.contains("SOURCE_DENIED"), "{engine}: {wrong:?}");
        database.execute(&format!("DROP USER '{name}'@'localhost'"))?;
    }
    Ok(())
}

#[test]
fn account_that_requires_tls_logs_in_each_time() -> anyhow::Result<()> {
    let Some(server) = Server::of(Engine::Mysql)? else {
        return Ok(());
    };
    let database = server.database()?;
    database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY)")?;
    let (name, _) = database.role("t")?;
    database.execute(&format!(
        "ALTER USER '{name}'@'%' IDENTIFIED BY 'a-password-of-a-test' REQUIRE SSL; \
         GRANT SELECT ON {}.* TO '{name}'@'%'",
        database.name()
    ))?;
    let url = server.url_for(Some((&name, "a-password-of-a-test")), database.name());
    for attempt in ["first", "second"] {
        let seen = inspect(&url, &database)?;
        assert!(
            seen.exit == Some(0) && seen.stdout.contains("items"),
            "{attempt}: {seen:?}"
        );
    }
    let wrong = inspect(&url.replace(":a-password", ":another-password"), &database)?;
    assert!(wrong.stderr.contains("SOURCE_DENIED"), "{wrong:?}");
    Ok(())
}

#[test]
fn login_method_that_the_driver_lacks_is_named() -> anyhow::Result<()> {
    let Some(server) = Server::mariadb()? else {
        return Ok(());
    };
    let database = server.database()?;
    database
        .execute("INSTALL PLUGIN IF NOT EXISTS ed25519 SONAME 'auth_ed25519'")
        .context("MariaDB's own plugin")?;
    let (name, _) = database.role("e")?;
    database.execute(&format!(
        "ALTER USER '{name}'@'%' IDENTIFIED VIA ed25519 USING PASSWORD('a-password-of-a-test')"
    ))?;
    let url = server.url_for(Some((&name, "a-password-of-a-test")), database.name());
    let seen = inspect(&url, &database)?;
    assert_eq!(seen.exit, Some(1), "{seen:?}");
    for part in ["SOURCE_DENIED", "client_ed25519"] {
        assert!(seen.stderr.contains(part), "{part}: {seen:?}");
    }
    Ok(())
}
