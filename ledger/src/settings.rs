//! Command line of the ledger: flag over environment variable over default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

/// Ledger: stores proposals, evidence, decisions and receipts in a verifiable log.
#[derive(Debug, Clone, Parser)]
#[command(name = "synapsor-ledger", version)]
pub struct Settings {
    /// Store file; created when missing, in an existing directory
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_STORE",
        hide_env_values = true
    )]
    pub store: PathBuf,
    /// Trust file of the deployment
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_TRUST_FILE",
        hide_env_values = true
    )]
    pub trust: PathBuf,
    /// Ledger signing key: Ed25519, PKCS#8 PEM, readable only by its owner
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_SIGNING_KEY_FILE",
        hide_env_values = true
    )]
    pub signing_key: PathBuf,
    /// Certificate authority shared by the ledger and its callers
    #[arg(
        long = "tls-ca",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_CA",
        hide_env_values = true
    )]
    pub ca: PathBuf,
    /// Certificate of the ledger
    #[arg(
        long = "tls-cert",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_CERT",
        hide_env_values = true
    )]
    pub cert: PathBuf,
    /// Private key of the certificate
    #[arg(
        long = "tls-key",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_KEY",
        hide_env_values = true
    )]
    pub key: PathBuf,
    /// Listen address; port 0 selects a free port
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        env = "SYNAPSOR_LEDGER_LISTEN"
    )]
    pub listen: SocketAddr,
    /// Run file for address and process id while the ledger is ready; removed on exit
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_RUN_FILE",
        hide_env_values = true
    )]
    pub run_file: Option<PathBuf>,
    /// Exit 5 seconds after the last connection
    #[arg(long)]
    pub on_demand: bool,
}
