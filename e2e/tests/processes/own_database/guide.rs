//! Shell blocks of the README section and the guide for one's own database, run unchanged and in order.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, Server, program};

use super::shop;
use crate::readme::shell_blocks;

const README: &str = include_str!("../../../../README.md");
const GUIDE: &str = include_str!("../../../../docs/own-database.md");
const MYSQL_GUIDE: &str = include_str!("../../../../docs/own-mysql.md");
const SQLITE_GUIDE: &str = include_str!("../../../../docs/own-sqlite.md");

/// Directory and empty PostgreSQL database with the variables of these pages; `None` without a server.
fn ready() -> anyhow::Result<Option<(CliFixture, Database)>> {
    let Some(server) = Server::postgres()? else {
        return Ok(None);
    };
    let database = server.database()?;
    let mut place = CliFixture::empty()?;
    place.set("OWNER_URL", &database.owner_url());
    place.set("DATABASE", &format!("{}/{}", server.address(), database.name()));
    Ok(Some((place, database)))
}

/// Runs the blocks in one shell, with roles of this test.
fn run(place: &CliFixture, database: &Database, blocks: &[&str]) -> anyhow::Result<String> {
    let psql = program("psql")?;
    let folder = psql.parent().unwrap_or(Path::new("/usr/bin"));
    shop::shell(place, &shop::renamed(&blocks.join("\n"), database), &[folder])
}

#[test]
fn readme_postgres_section_works_unchanged() -> anyhow::Result<()> {
    let Some((place, database)) = ready()? else {
        return Ok(());
    };
    let blocks = shell_blocks(README);
    let block = blocks
        .iter()
        .find(|block| block.contains("psql"))
        .context("the block")?;
    let out = run(&place, &database, &[block])?;
    assert!(out.contains("Applied: one row changed, once"), "{out}");
    let row = database.value("SELECT status || version FROM shop.orders WHERE id = 'SO-1001'")?;
    assert_eq!(row, "packed2");
    Ok(())
}

#[test]
fn database_guide_works_unchanged() -> anyhow::Result<()> {
    let Some((place, database)) = ready()? else {
        return Ok(());
    };
    let blocks = shell_blocks(GUIDE);
    assert!(blocks.len() >= 7, "guide lacks commands");
    let out = run(&place, &database, &blocks)?;
    assert!(out.contains("Applied: one row changed, once"), "{out}");
    let row = database.value("SELECT status || version FROM shop.orders WHERE order_number = 'SO-1001'")?;
    assert_eq!(row, "packed2");
    Ok(())
}

#[test]
fn sqlite_guide_works_unchanged() -> anyhow::Result<()> {
    let place = CliFixture::empty()?;
    let blocks = shell_blocks(SQLITE_GUIDE);
    assert!(blocks.len() >= 6, "guide lacks commands");
    let out = shop::shell(&place, &blocks.join("\n"), &[])?;
    assert!(out.contains("Applied: one row changed, once"), "{out}");
    let row: String = rusqlite::Connection::open(place.path("shop.db"))?.query_row(
        "SELECT status || version FROM orders WHERE id = 1001",
        [],
        |row| row.get(0),
    )?;
    assert_eq!(row, "packed2");
    Ok(())
}

#[test]
fn mysql_guide_works_unchanged() -> anyhow::Result<()> {
    let blocks = shell_blocks(MYSQL_GUIDE);
    assert!(blocks.len() >= 6, "guide lacks commands");
    for engine in [Engine::Mariadb, Engine::Mysql] {
        let Some(server) = Server::of(engine)? else {
            continue;
        };
        let database = server.database()?;
        let mut place = CliFixture::empty()?;
        let (host, port) = server.address().split_once(':').context("a port")?;
        let owner = database.owner_url();
        let login = owner
            .strip_prefix("mysql://")
            .and_then(|rest| rest.split_once('@'));
        let (user, password) = login
            .and_then(|(login, _)| login.split_once(':'))
            .context("a login")?;
        for (name, value) in [
            ("DATABASE_HOST", host),
            ("DATABASE_PORT", port),
            ("OWNER", user),
            ("MYSQL_PWD", password),
        ] {
            place.set(name, value);
        }
        let client = mysql_client(&place)?;
        let out = shop::shell(&place, &named(&blocks.join("\n"), &database), &[&client])?;
        assert!(out.contains("Applied: one row changed, once"), "{out}");
        let row = database.value("SELECT CONCAT(status, version) FROM orders WHERE id = 1001")?;
        assert_eq!(row, "packed2", "{engine}");
    }
    Ok(())
}

/// The guide's text with the database and the accounts of this test; the test has created the database.
fn named(text: &str, database: &Database) -> String {
    let name = database.name();
    text.replace("CREATE DATABASE shop CHARACTER SET utf8mb4;\n", "")
        .replace("shop_reader", &format!("{name}_r"))
        .replace("shop_writer", &format!("{name}_w"))
        .replace("shop.orders", &format!("{name}.orders"))
        .replace("--schema shop", &format!("--schema {name}"))
        .replace("DATABASE_PORT/shop", &format!("DATABASE_PORT/{name}"))
}

/// Directory with a program `mysql`: MariaDB's client, which also speaks to MySQL.
fn mysql_client(place: &CliFixture) -> anyhow::Result<PathBuf> {
    let program = program("mariadb")?;
    let tree = program.ancestors().nth(3).context("the packages")?;
    let plugins = std::fs::read_dir(tree.join("usr/lib"))?
        .filter_map(|entry| Some(entry.ok()?.path().join("libmariadb3/plugin")))
        .find(|path| path.is_dir())
        .context("the client's login methods")?;
    let folder = place.path("client");
    std::fs::create_dir(&folder)?;
    let script = format!(
        "#!/bin/sh\nexec '{}' --plugin-dir='{}' \"$@\"\n",
        program.display(),
        plugins.display()
    );
    let path = folder.join("mysql");
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}
