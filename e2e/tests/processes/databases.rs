//! Database servers of the tests: fresh databases, least-privilege accounts, and servers that survive a kill.

use synapsor_domain::writeback::GrantTarget;
use synapsor_e2e::databases::{Engine, EngineVersion, PrivateServer, Server, Session};

fn target(schema: &str) -> GrantTarget {
    let columns = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    GrantTarget {
        schema: schema.to_owned(),
        table: "items".to_owned(),
        reads: columns(&["id", "amount"]),
        writes: columns(&["amount"]),
    }
}

fn on_every_server_of(
    engine: Engine,
    test: impl Fn(EngineVersion) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut versions = EngineVersion::SERVERS
        .into_iter()
        .filter(|version| version.engine == engine);
    versions.try_for_each(test)
}

fn roles_have_exactly_their_rights(version: EngineVersion) -> anyhow::Result<()> {
    let Some(server) = Server::of(version)? else {
        return Ok(());
    };
    let database = server.database()?;
    database.execute("CREATE TABLE items (id INT PRIMARY KEY, amount INT NOT NULL, hidden INT)")?;
    database.execute("INSERT INTO items VALUES (1, 10, 5)")?;
    let roles = database.prepare_writeback(vec![target(database.schema())])?;
    let reader = Session::new(version.engine, roles.read_url.clone());
    let writer = Session::new(version.engine, roles.write_url.clone());
    for role in [&reader, &writer] {
        assert_eq!(role.value("SELECT amount FROM items")?, "10");
        for sql in [
            "SELECT hidden FROM items",
            "DELETE FROM items",
            "UPDATE items SET id = 2",
        ] {
            assert!(role.execute(sql).is_err(), "{version}: {sql}");
        }
    }
    assert!(reader.execute("UPDATE items SET amount = 11").is_err());
    writer.execute("UPDATE items SET amount = 11")?;
    assert_eq!(database.value("SELECT amount FROM items")?, "11");
    let wrong = roles.read_url.replacen(&roles.reader, &roles.writer, 1);
    let session = Session::new(version.engine, wrong);
    assert!(
        session.execute("SELECT 1").is_err(),
        "{version} accepted a wrong password"
    );
    Ok(())
}

#[test]
fn postgres_roles_have_exactly_their_rights() -> anyhow::Result<()> {
    on_every_server_of(Engine::Postgres, roles_have_exactly_their_rights)
}

#[test]
fn mysql_roles_have_exactly_their_rights() -> anyhow::Result<()> {
    on_every_server_of(Engine::Mysql, roles_have_exactly_their_rights)
}

#[test]
fn mariadb_roles_have_exactly_their_rights() -> anyhow::Result<()> {
    on_every_server_of(Engine::Mariadb, roles_have_exactly_their_rights)
}

#[test]
fn dropped_database_removes_its_roles() -> anyhow::Result<()> {
    for version in EngineVersion::SERVERS {
        let Some(server) = Server::of(version)? else {
            continue;
        };
        let database = server.database()?;
        database.execute("CREATE TABLE items (id INT PRIMARY KEY, amount INT)")?;
        let roles = database.prepare_writeback(vec![target(database.schema())])?;
        let session = Session::new(version.engine, roles.read_url);
        session.execute("SELECT 1")?;
        drop(database);
        session.close();
        assert!(session.execute("SELECT 1").is_err(), "{version}");
    }
    Ok(())
}

fn committed_rows_survive_a_kill(engine: Engine) -> anyhow::Result<()> {
    let Some(private) = PrivateServer::start(engine, &[])? else {
        return Ok(());
    };
    let database = private.server().database()?;
    database.execute("CREATE TABLE items (id INT PRIMARY KEY)")?;
    database.execute("INSERT INTO items VALUES (1)")?;
    let open = database.session();
    open.execute("BEGIN")?;
    open.execute("INSERT INTO items VALUES (2)")?;
    private.kill_hard()?;
    assert!(database.execute("SELECT 1").is_err(), "{engine} still answers");
    private.start_again()?;
    assert_eq!(database.value("SELECT COUNT(*) FROM items")?, "1", "{engine}");
    private.stop()?;
    assert!(database.execute("SELECT 1").is_err(), "{engine} still answers");
    Ok(())
}

#[test]
fn committed_rows_survive_a_kill_of_postgres() -> anyhow::Result<()> {
    committed_rows_survive_a_kill(Engine::Postgres)
}

#[test]
fn committed_rows_survive_a_kill_of_mysql() -> anyhow::Result<()> {
    committed_rows_survive_a_kill(Engine::Mysql)
}

#[test]
fn committed_rows_survive_a_kill_of_mariadb() -> anyhow::Result<()> {
    committed_rows_survive_a_kill(Engine::Mariadb)
}
