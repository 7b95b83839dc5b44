//! The ledger's command line: flag over environment over default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Keeps the record: proposals, evidence, decisions, receipts, in a log that can prove itself.
#[derive(Debug, Clone, Parser)]
#[command(name = "synapsor-ledger", version)]
pub struct Settings {
    /// The store file; made when it is missing, in a folder that must exist.
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_STORE",
        hide_env_values = true
    )]
    pub store: PathBuf,
    /// The trust file of the deployment.
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_TRUST_FILE",
        hide_env_values = true
    )]
    pub trust: PathBuf,
    /// The ledger's signing key: Ed25519, PKCS#8 PEM, closed to everybody else.
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_SIGNING_KEY_FILE",
        hide_env_values = true
    )]
    pub signing_key: PathBuf,
    /// The certificate authority that callers and the ledger share.
    #[arg(
        long = "tls-ca",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_CA",
        hide_env_values = true
    )]
    pub ca: PathBuf,
    /// The ledger's certificate.
    #[arg(
        long = "tls-cert",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_CERT",
        hide_env_values = true
    )]
    pub cert: PathBuf,
    /// The key of that certificate.
    #[arg(
        long = "tls-key",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_KEY",
        hide_env_values = true
    )]
    pub key: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "SYNAPSOR_LEDGER_LISTEN"
    )]
    pub listen: SocketAddr,
    /// Where to write address and process id once the ledger answers; removed at the end.
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_RUN_FILE",
        hide_env_values = true
    )]
    pub run_file: Option<PathBuf>,
    /// End 5 seconds after the last connection.
    #[arg(long)]
    pub on_demand: bool,
}
