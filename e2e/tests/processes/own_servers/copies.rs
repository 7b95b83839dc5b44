//! Databases that look like the one of a proposal and are different: another one on the same server, a standby, a
//! copy of the server's files.

use anyhow::{Context as _, ensure};
use synapsor_e2e::databases::Engine;
use synapsor_source::EngineErrorKind;

use super::authority::Age;
use super::scene::{NAMES, READ_URL, Scene, WRITE_URL, open, open_writer, prepare, with_detail};

async fn identity(engine: Engine, url: &str) -> anyhow::Result<String> {
    let reader = open(engine, None, &[(READ_URL, url)])?;
    reader.identity().await.map_err(with_detail)
}

/// Identity values that a writer compares with the proposal.
async fn begun(engine: Engine, url: &str) -> anyhow::Result<String> {
    let writer = open_writer(engine, None, &[(WRITE_URL, url)])?;
    writer.try_begin().await.map_err(with_detail)
}

pub(crate) async fn restored_copy_on_the_server_is_another_database(scene: &Scene) -> anyhow::Result<()> {
    let own = begun(scene.engine, &scene.roles.write_url).await?;
    ensure!(identity(scene.engine, &scene.roles.read_url).await? == own);
    let (name, copy) = (scene.database.name(), format!("{}_copy", scene.database.name()));
    let owner = scene.server.server().session();
    match scene.engine {
        Engine::Mysql | Engine::Mariadb => {
            owner.execute(&format!("CREATE DATABASE {copy}"))?;
            let tables =
                format!("SELECT table_name FROM information_schema.tables WHERE table_schema = '{name}'");
            for table in owner.query_text(&tables)?.into_iter().flatten().flatten() {
                owner.execute(&format!("CREATE TABLE {copy}.{table} LIKE {name}.{table}"))?;
                owner.execute(&format!(
                    "INSERT INTO {copy}.{table} SELECT * FROM {name}.{table}"
                ))?;
            }
            for role in [&scene.roles.reader, &scene.roles.writer] {
                owner.execute(&format!("GRANT SELECT ON {copy}.* TO '{role}'@'%'"))?;
            }
        }
        Engine::Postgres | Engine::Sqlite => {
            // PostgreSQL copies a database only while it has no connections.
            scene.database.close();
            let others = format!(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            );
            owner.execute(&others)?;
            owner.execute(&format!("CREATE DATABASE {copy} TEMPLATE {name}"))?;
        }
    }
    let there = |url: &str| format!("{url}_copy");
    ensure!(begun(scene.engine, &there(&scene.roles.write_url)).await? != own);
    ensure!(identity(scene.engine, &there(&scene.roles.read_url)).await? != own);
    Ok(())
}

/// Copies the files of the stopped server and starts them as a separate server.
pub(crate) async fn copied_server_files_are_another_database(scene: &Scene) -> anyhow::Result<()> {
    let own = begun(scene.engine, &scene.roles.write_url).await?;
    scene.database.close();
    let leaf = scene.authority.leaf(&NAMES, Age::Valid)?;
    let copy = scene.server.copy(|folder| {
        match scene.engine {
            Engine::Mysql => std::fs::remove_file(folder.join("data/auto.cnf"))?,
            Engine::Mariadb => {}
            Engine::Postgres | Engine::Sqlite => {
                std::fs::write(folder.join("data/standby.signal"), "")?;
            }
        }
        prepare(scene.engine, folder, &scene.authority, &leaf)
    })?;
    let (here, there) = (scene.server.server().address(), copy.server().address());
    let write_url = scene.roles.write_url.replacen(here, there, 1);
    let read_url = scene.roles.read_url.replacen(here, there, 1);
    if scene.engine == Engine::Postgres {
        standby_is_not_written(scene, &write_url).await?;
        ensure!(
            identity(scene.engine, &read_url).await? != own,
            "standby reports the same identity"
        );
        copy.promote()?;
    }
    ensure!(
        begun(scene.engine, &write_url).await? != own,
        "copy reports the same identity"
    );
    ensure!(
        identity(scene.engine, &read_url).await? != own,
        "copy reports the same identity"
    );
    ensure!(
        begun(scene.engine, &scene.roles.write_url).await? == own,
        "original reports another identity after its restart"
    );
    Ok(())
}

async fn standby_is_not_written(scene: &Scene, url: &str) -> anyhow::Result<()> {
    let writer = scene.writer(None, &[(WRITE_URL, url)])?;
    let error = writer.try_begin().await.err().context("a standby was begun on")?;
    ensure!(
        error.kind == EngineErrorKind::Unavailable,
        "{error:?}: {}",
        error.detail
    );
    Ok(())
}
