//! Database whose clock differs from the writer's: the real writer refuses and changes nothing.

use std::time::Duration;

use anyhow::Context as _;
use synapsor_codes::ErrorCode;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::until;
use synapsor_e2e::databases::Engine;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::target::Target;
use synapsor_e2e::writer_harness::WriterHarness;

use super::scene::{Scene, sessions_of};

/// A little more than the writer allows, in seconds.
const APART: u32 = 180;
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn database_with_another_clock_is_not_written(scene: &Scene) -> anyhow::Result<()> {
    if matches!(scene.engine, Engine::Mysql | Engine::Mariadb) {
        return session_clock_is_the_server_clock(scene).await;
    }
    let deployment = Deployment::on(Build::Plain, scene.server.server())?;
    let mut harness = WriterHarness::with(deployment, &[]).await?;
    for sign in ["-", "+"] {
        harness.deployment().target.execute(&format!(
            "SET allow_system_table_mods = on;
             CREATE OR REPLACE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
               $$ SELECT pg_catalog.statement_timestamp() {sign} interval '{APART} s' $$"
        ))?;
        let inputs = harness.valid_inputs();
        harness.refuses(&inputs, ErrorCode::RefusedClock).await?;
    }
    harness.deployment().target.execute(
        "SET allow_system_table_mods = on;
         CREATE OR REPLACE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
           $$ SELECT pg_catalog.statement_timestamp() $$",
    )?;
    harness.expect_valid_job_applied().await
}

/// MySQL and MariaDB let a session have its own time; the writer uses the server's. The proof `switches`, which
/// steps the writer's clock, covers a server with another clock.
async fn session_clock_is_the_server_clock(scene: &Scene) -> anyhow::Result<()> {
    let deployment = Deployment::on(Build::Plain, scene.server.server())?;
    let mut harness = WriterHarness::with(deployment, &[]).await?;
    let owner = scene.server.server().session();
    owner.execute(&format!(
        "SET GLOBAL init_connect = 'SET timestamp = UNIX_TIMESTAMP() + {APART}'"
    ))?;
    close_connections(scene, &harness)?;
    let applied = harness.expect_valid_job_applied().await;
    owner.execute("SET GLOBAL init_connect = ''")?;
    close_connections(scene, &harness)?;
    applied
}

/// A MySQL connection keeps the time that it was opened with.
fn close_connections(scene: &Scene, harness: &WriterHarness) -> anyhow::Result<()> {
    let Target::Server { roles, .. } = &harness.deployment().target else {
        anyhow::bail!("a server has the target");
    };
    let owner = scene.server.server().session();
    if matches!(scene.engine, Engine::Mysql | Engine::Mariadb) {
        for session in sessions_of(&owner, scene.engine, &roles.writer)? {
            // It may have ended since it was listed. The server ends it some time after its answer.
            let ended = owner.execute(&format!("KILL CONNECTION {session}"));
            until(KILL_TIMEOUT, || {
                Ok(!sessions_of(&owner, scene.engine, &roles.writer)?.contains(&session))
            })
            .with_context(|| format!("connection {session} was not ended: {ended:?}"))?;
        }
    }
    Ok(())
}
