//! Differences of the databases behind the tools.

use super::ChangeList;
use crate::contract::{OnFailover, Source, SslMode};

pub(super) fn added(source: &Source, changes: &mut ChangeList) {
    let access = match &source.write_url_env {
        Some(name) if !source.is_read_only => {
            format!("read by `{}`, written by `{name}`", source.read_url_env)
        }
        _ => format!("read by `{}`", source.read_url_env),
    };
    changes.widens(format!("new {} source, {access}", source.engine));
}

pub(super) fn compare(before: &Source, after: &Source, changes: &mut ChangeList) {
    if before.engine != after.engine {
        changes.widens(format!("engine {} instead of {}", after.engine, before.engine));
    }
    if before.read_url_env != after.read_url_env {
        changes.widens(format!(
            "read by `{}` instead of `{}`: check that it is the same database",
            after.read_url_env, before.read_url_env
        ));
    }
    match (written_by(before), written_by(after)) {
        (None, Some(name)) => changes.widens(format!("written by `{name}`")),
        (Some(_), None) => changes.narrows("not written by the writer"),
        (Some(from), Some(to)) if from != to => changes.widens(format!(
            "written by `{to}` instead of `{from}`: check that it is the same database"
        )),
        _ => {}
    }
    // Without `ssl`, a remote server needs the strongest mode.
    let mode = |source: &Source| source.ssl.as_ref().map_or(SslMode::VerifyFull, |ssl| ssl.mode);
    let text = format!("TLS mode `{}`", mode(after).as_str());
    changes.of_order(mode(before).cmp(&mode(after)), text);
    let ca = |source: &Source| source.ssl.as_ref().and_then(|ssl| ssl.ca_env.clone());
    if ca(before) != ca(after) {
        changes.widens("other CA certificates of the database server");
    }
    let client = |source: &Source| {
        source
            .ssl
            .as_ref()
            .map(|ssl| (ssl.cert_env.clone(), ssl.key_env.clone()))
    };
    if client(before).unwrap_or_default() != client(after).unwrap_or_default() {
        changes.widens("another client certificate, which can have other rights in the database");
    }
    if before.is_galera_single_writer != after.is_galera_single_writer {
        let order = after.is_galera_single_writer.cmp(&before.is_galera_single_writer);
        let text = if after.is_galera_single_writer {
            "declared a Galera cluster with one writing node"
        } else {
            "no longer declared a Galera cluster with one writing node"
        };
        changes.of_order(order, text);
    }
    match (before.on_failover, after.on_failover) {
        (OnFailover::Refuse, OnFailover::Compare) => {
            changes.widens("proposals from before a failover are applied once receipts match");
        }
        (OnFailover::Compare, OnFailover::Refuse) => {
            changes.narrows("proposals from before a failover are refused");
        }
        _ => {}
    }
    if receipts(before) != receipts(after) {
        changes.widens("another receipt table: receipts and tombstones of the earlier one do not count");
    }
    if before.statement_timeout_ms != after.statement_timeout_ms
        || before.max_connections != after.max_connections
    {
        changes.other("other timeout or number of connections");
    }
}

fn written_by(source: &Source) -> Option<&str> {
    source.write_url_env.as_deref().filter(|_| !source.is_read_only)
}

fn receipts(source: &Source) -> (Option<&str>, Option<&str>) {
    (source.receipt_schema.as_deref(), source.receipt_table.as_deref())
}
