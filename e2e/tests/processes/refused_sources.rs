//! Servers that refuse a reader: a wrong password, no right to connect or to read, no such database. Each is named by
//! its cause, beside a source that is served.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Database, Engine, Server};
use synapsor_e2e::fixture::Fixture;

use crate::dead_sources::add_source_in;

/// Source that refuses a reader: code, text and part of the fix that name the cause.
struct RefusedSource {
    name: &'static str,
    url: String,
    code: &'static str,
    text: &'static str,
    fix: &'static str,
}

/// A wrong password, no right to connect, no right to read, and no such database.
fn refused_sources(database: &Database) -> anyhow::Result<[RefusedSource; 4]> {
    let (server, name) = (database.server(), database.name());
    let (reader, read_url) = database.role("r")?;
    let (_, url_without_rights) = database.role("n")?;
    let is_postgres = database.engine() == Engine::Postgres;
    if is_postgres {
        database.execute(&format!(
            "REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {reader}"
        ))?;
    } else {
        database.execute(&format!("GRANT SELECT ON {name}.credits TO '{reader}'@'%'"))?;
    }
    let (start, _) = read_url.rsplit_once('/').context("a database")?;
    // MySQL does not reveal to an account without rights which databases exist.
    let (code, text, fix) = if is_postgres {
        (
            "SOURCE_OBJECT_NOT_FOUND",
            "does not exist on this server",
            "the name of the database",
        )
    } else {
        (
            "SOURCE_DENIED",
            "does not let the role connect",
            "check the database in the URL",
        )
    };
    let absent = RefusedSource {
        name: "absent",
        url: format!("{start}/no_such_database"),
        code,
        text,
        fix,
    };
    let source = |name, url, code, text, fix| RefusedSource {
        name,
        url,
        code,
        text,
        fix,
    };
    let wrong = server.url_for(Some((&reader, "another-password")), name);
    Ok([
        source(
            "password",
            wrong,
            "SOURCE_DENIED",
            "rejected the login",
            "check user and password",
        ),
        source(
            "unconnected",
            url_without_rights,
            "SOURCE_DENIED",
            "does not let the role connect",
            "GRANT CONNECT ON DATABASE",
        ),
        source(
            "unreadable",
            read_url,
            "GRANT_MISSING",
            "lacks SELECT on `id`",
            "GRANT SELECT (",
        ),
        absent,
    ])
}

async fn serves_beside_refused_sources(engine: Engine) -> anyhow::Result<()> {
    let Some(server) = Server::of(engine)? else {
        return Ok(());
    };
    let (database, fixture) = (server.database()?, Fixture::billing());
    let is_postgres = engine == Engine::Postgres;
    database.execute(if is_postgres {
        &fixture.postgres
    } else {
        &fixture.mysql
    })?;
    let mut place = CliFixture::new()?;
    let sources = refused_sources(&database)?;
    let of_schema = (engine.in_contract().as_str(), database.schema());
    for source in &sources {
        add_source_in(&mut place, source.name, of_schema, &source.url)?;
    }
    let agent = Agent::launched(place.command(&["mcp", "serve"])?.into()).await?;
    for source in &sources {
        let arguments = json!({ "invoice_id": "INV-3001" });
        let tool = format!("{}.inspect_invoice", source.name);
        let read = agent.call(&tool, arguments).await?;
        ensure!(
            read["error"]["code"] == json!("TEMPORARILY_UNAVAILABLE"),
            "{}: {read}",
            source.name
        );
        let read = agent.inspect("INV-3001").await?;
        ensure!(read["ok"] == json!(true), "beside {}: {read}", source.name);
    }
    agent.close().await;
    let checked = place.run(&["writeback", "doctor", "--check-db", "--json"])?;
    checked.expect(1)?;
    ensure!(
        findings_of(&checked.object()?, "billing_db")?.is_empty(),
        "{checked}"
    );
    for source in &sources {
        let findings = findings_of(&checked.object()?, source.name)?;
        let [found] = &findings[..] else {
            anyhow::bail!("{}: {findings:?}", source.name);
        };
        let holds = |member: &str, part| found[member].as_str().is_some_and(|text| text.contains(part));
        ensure!(
            found["code"] == json!(source.code) && holds("text", source.text) && holds("fix", source.fix),
            "{}: {found}",
            source.name
        );
        ensure!(!checked.stdout.contains("another-password"), "{checked}");
    }
    for source in sources.iter().filter(|source| source.name != "unreadable") {
        let variable = format!("{}_URL", source.name.to_uppercase());
        let inspected = place.run(&["inspect", "--from-env", &variable])?;
        ensure!(
            inspected.stderr.contains(source.code) && inspected.stderr.contains(source.text),
            "{inspected}"
        );
    }
    Ok(())
}

/// Findings of the reader on a source.
fn findings_of(checked: &Json, name: &str) -> anyhow::Result<Vec<Json>> {
    let sources = checked["roles"][0]["sources"].as_array().context("sources")?;
    let found = sources.iter().find(|source| source["source_id"] == json!(name));
    let findings = found.and_then(|source| source["findings"].as_array());
    findings.cloned().with_context(|| format!("{name}: {checked}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_refuse_a_reader_are_named_and_others_served() -> anyhow::Result<()> {
    for engine in [Engine::Postgres, Engine::Mysql, Engine::Mariadb] {
        serves_beside_refused_sources(engine)
            .await
            .with_context(|| engine.to_string())?;
    }
    Ok(())
}
