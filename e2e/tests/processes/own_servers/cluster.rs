//! Server that reports that it is a node of a cluster.

use anyhow::ensure;
use serde_json::json;
use synapsor_e2e::databases::{Engine, PrivateServer};
use synapsor_source::EngineErrorKind;

use super::scene::{READ_URL, WRITE_URL, open, open_writer, open_writer_source, plan, tables, with_detail};

/// It is a cluster of one node, without the library that finds others; the server reports the same about itself.
pub(crate) async fn cluster_node_is_written_only_if_configured() -> anyhow::Result<()> {
    let Some(server) = PrivateServer::start(Engine::Mariadb, &["--wsrep-on=ON"])? else {
        return Ok(());
    };
    let (database, roles) = tables(&server)?;
    let (read, write) = (
        (READ_URL, roles.read_url.as_str()),
        (WRITE_URL, roles.write_url.as_str()),
    );
    let writer = open_writer(Engine::Mariadb, None, &[write])?;
    let error = writer.try_begin().await.err().map(|error| error.kind);
    ensure!(error == Some(EngineErrorKind::Denied), "{error:?}");
    let problems = writer.reading().receipt_problems().await.map_err(with_detail)?;
    ensure!(
        problems
            .iter()
            .any(|p| p.text.contains("galera_single_writer_ack")),
        "{problems:?}"
    );
    let reader = open(Engine::Mariadb, None, &[read])?;
    ensure!(
        reader
            .read(&plan(&database))
            .await
            .map_err(with_detail)?
            .rows
            .len()
            == 1
    );

    let acknowledged = json!({ "galera_single_writer_ack": true });
    let writer = open_writer_source(Engine::Mariadb, &acknowledged, &[write])?;
    writer.try_begin().await.map_err(with_detail)?;
    ensure!(
        writer
            .reading()
            .receipt_problems()
            .await
            .map_err(with_detail)?
            .is_empty()
    );
    Ok(())
}
