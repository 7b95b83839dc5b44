//! Shell blocks of the README section and the guide for one's own database, run unchanged and in order.

use std::path::Path;

use anyhow::Context as _;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Server, program};

use crate::shop;

const README: &str = include_str!("../../../README.md");
const GUIDE: &str = include_str!("../../../docs/own-database.md");

fn shell_blocks(markdown: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = markdown;
    while let Some(start) = rest.find("```sh\n") {
        let body = &rest[start + 6..];
        let end = body.find("\n```").expect("a closed block");
        blocks.push(&body[..end]);
        rest = &body[end..];
    }
    blocks
}

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
    std::fs::create_dir_all(place.path("examples/orders"))?;
    let (sql, contract) = shop::published(database.engine());
    place.write("examples/orders/postgres.sql", &shop::renamed(sql, &database))?;
    place.write("examples/orders/postgres.runner.json", contract)?;
    let blocks = shell_blocks(GUIDE);
    assert!(blocks.len() >= 7, "guide lacks commands");
    let out = run(&place, &database, &blocks)?;
    assert!(out.contains("Applied: one row changed, once"), "{out}");
    let row = database.value("SELECT status || version FROM shop.orders WHERE order_number = 'SO-1001'")?;
    assert_eq!(row, "packed2");
    Ok(())
}
