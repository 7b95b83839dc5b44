//! Sources: the engine and the names of the variables that hold the URLs. Never a URL.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields;
use super::names::is_identifier;
use super::object::{ObjectReader, member};
use super::report::ValidationReport;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// A database engine that a contract can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Postgres,
    Mysql,
    Sqlite,
}

impl EngineKind {
    pub(super) const WORDS: &[(&str, EngineKind)] = &[
        ("postgres", EngineKind::Postgres),
        ("mysql", EngineKind::Mysql),
        ("sqlite", EngineKind::Sqlite),
    ];

    /// The engine of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(word, _)| *word == name)
            .map(|(_, engine)| *engine)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            EngineKind::Postgres => "postgres",
            EngineKind::Mysql => "mysql",
            EngineKind::Sqlite => "sqlite",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Largest allowed `max_connections` of a source.
const MAX_CONNECTIONS_MAX: u32 = 256;

/// One database that capabilities may use.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    pub name: String,
    pub engine: EngineKind,
    /// Variable that holds the reader's URL.
    pub read_url_env: String,
    /// Variable that holds the writer's URL; without it no direct writeback is possible.
    pub write_url_env: Option<String>,
    /// The owner declares that the writer never writes to this source itself.
    pub is_read_only: bool,
    /// Statement timeout; none is set if absent.
    pub statement_timeout_ms: Option<u32>,
    /// Connections that one process opens at most; the engine's default if absent.
    pub max_connections: Option<u32>,
    pub ssl: Option<Ssl>,
    /// Schema of the receipt table; the target's schema by default.
    pub receipt_schema: Option<String>,
    /// Name of the receipt table; the documented name by default.
    pub receipt_table: Option<String>,
    /// The owner declares that all writes of the Galera cluster go to this one node, so that its row locks hold.
    pub is_galera_single_writer: bool,
    /// What becomes of proposals that were read before the server started another timeline.
    pub on_failover: OnFailover,
}

/// Treatment of proposals that were read before the database server started another timeline. PostgreSQL only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailover {
    /// They are applied once the database is known to hold the newest receipts of the ledger.
    #[default]
    Compare,
    /// They are refused.
    Refuse,
}

impl OnFailover {
    pub(super) const WORDS: &[(&str, OnFailover)] =
        &[("compare", OnFailover::Compare), ("refuse", OnFailover::Refuse)];
}

/// TLS settings of the connection to a database server. Each `*_env` field names an environment variable `NAME`:
/// `NAME` holds PEM text, or `NAME_FILE` holds the path of a PEM file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ssl {
    pub mode: SslMode,
    /// CA certificates that are trusted in addition to the system's.
    pub ca_env: Option<String>,
    /// Client certificate; only together with `key_env`.
    pub cert_env: Option<String>,
    /// Private key of the client certificate; only together with `cert_env`.
    pub key_env: Option<String>,
}

/// Required protection of the connection, from weakest to strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Plain text; only on loopback and local sockets.
    Disable,
    /// Encrypted to a server whose certificate an authority signed, whatever its name.
    VerifyCa,
    /// As `VerifyCa`, and the certificate names the host; the default off loopback.
    VerifyFull,
}

impl SslMode {
    pub(super) const WORDS: &[(&str, SslMode)] = &[
        ("disable", SslMode::Disable),
        ("verify-ca", SslMode::VerifyCa),
        ("verify-full", SslMode::VerifyFull),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            SslMode::Disable => "disable",
            SslMode::VerifyCa => "verify-ca",
            SslMode::VerifyFull => "verify-full",
        }
    }
}

pub(super) fn read_all(
    root: &ObjectReader<'_>,
    is_required: bool,
    report: &mut ValidationReport,
) -> Vec<Source> {
    let Some(JsonNode::Map(entries)) = root.get("sources").filter(|node| !is_empty(node)) else {
        if is_required || root.has("sources") {
            let message = "Add `sources`, an object with at least one named source.";
            report.error(root.at("sources"), ErrorCode::SourcesRequired, message);
        }
        return Vec::new();
    };
    let path = root.at("sources");
    entries
        .iter()
        .filter_map(|(name, node)| read(name, node, &member(&path, name), report))
        .collect()
}

pub(super) fn is_empty(node: &JsonNode) -> bool {
    matches!(node, JsonNode::Map(entries) if entries.is_empty())
        || matches!(node, JsonNode::List(items) if items.is_empty())
}

fn read(name: &str, node: &JsonNode, path: &str, report: &mut ValidationReport) -> Option<Source> {
    if !is_identifier(name) {
        let message = "Rename the source: a letter or `_` first, then letters, digits and `_`.";
        report.error(path, ErrorCode::UnsafeSourceName, message);
    }
    let Some(source) = ObjectReader::of(node, path) else {
        report.error(
            path,
            ErrorCode::SourceNotObject,
            "Make the source an object with `engine` and `read_url_env`.",
        );
        return None;
    };
    source.only(fields::SOURCE, report);
    let ssl = source
        .object("ssl", ErrorCode::InvalidSsl, report)
        .and_then(|ssl| read_ssl(&ssl, report));
    let engine = source.required_choice(
        "engine",
        EngineKind::WORDS,
        ErrorCode::InvalidSourceEngine,
        report,
    );
    let read_url_env = source.required_env_name("read_url_env", ErrorCode::ReadUrlEnvRequired, report);
    let write_url_env = source.env_name("write_url_env", ErrorCode::InvalidWriteUrlEnv, report);
    let is_read_only = source
        .flag("read_only", ErrorCode::InvalidSourceReadOnly, report)
        .unwrap_or(false);
    let is_galera_single_writer = source
        .flag(
            "galera_single_writer_ack",
            ErrorCode::InvalidGaleraSingleWriterAck,
            report,
        )
        .unwrap_or(false);
    if is_galera_single_writer && engine.is_some_and(|engine| engine != EngineKind::Mysql) {
        let message = "Remove it: only MySQL and MariaDB servers are nodes of a Galera cluster.";
        report.error(
            source.at("galera_single_writer_ack"),
            ErrorCode::InvalidGaleraSingleWriterAck,
            message,
        );
    }
    let on_failover = read_on_failover(&source, engine, report);
    let statement_timeout_ms = source.positive("statement_timeout_ms", ErrorCode::InvalidTimeout, report);
    let max_connections = read_max_connections(&source, report);
    Some(Source {
        name: name.to_owned(),
        engine: engine?,
        read_url_env: read_url_env?,
        write_url_env,
        is_read_only,
        statement_timeout_ms,
        max_connections,
        ssl,
        receipt_schema: optional_identifier(&source, "receipt_schema", report),
        receipt_table: optional_identifier(&source, "receipt_table", report),
        is_galera_single_writer,
        on_failover,
    })
}

fn read_max_connections(source: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<u32> {
    let connections = source.positive("max_connections", ErrorCode::InvalidMaxConnections, report)?;
    if connections <= MAX_CONNECTIONS_MAX {
        return Some(connections);
    }
    let message = format!("Use a number from 1 to {MAX_CONNECTIONS_MAX}.");
    report.error(
        source.at("max_connections"),
        ErrorCode::InvalidMaxConnections,
        message,
    );
    None
}

fn read_on_failover(
    source: &ObjectReader<'_>,
    engine: Option<EngineKind>,
    report: &mut ValidationReport,
) -> OnFailover {
    let chosen = source.choice(
        "on_failover",
        OnFailover::WORDS,
        ErrorCode::InvalidOnFailover,
        report,
    );
    if chosen.is_some() && engine.is_some_and(|engine| engine != EngineKind::Postgres) {
        let message = "Remove it: only PostgreSQL servers have timelines.";
        report.error(source.at("on_failover"), ErrorCode::InvalidOnFailover, message);
    }
    chosen.unwrap_or_default()
}

fn optional_identifier(
    source: &ObjectReader<'_>,
    key: &str,
    report: &mut ValidationReport,
) -> Option<String> {
    source.get(key)?;
    source.identifier(key, ErrorCode::InvalidReceiptTable, report)
}

fn read_ssl(ssl: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<Ssl> {
    ssl.only(fields::SSL, report);
    let mode = ssl.required_choice("mode", SslMode::WORDS, ErrorCode::InvalidSsl, report);
    let mut name = |key| ssl.env_name(key, ErrorCode::InvalidSsl, report);
    let (ca_env, cert_env, key_env) = (name("ca_env"), name("cert_env"), name("key_env"));
    if cert_env.is_some() != key_env.is_some() {
        let message = "Give `cert_env` and `key_env` together, or neither.";
        report.error(&ssl.path, ErrorCode::InvalidSsl, message);
    }
    Some(Ssl {
        mode: mode?,
        ca_env,
        cert_env,
        key_env,
    })
}
