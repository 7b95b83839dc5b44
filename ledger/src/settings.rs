//! Command line of the ledger: a flag overrides the environment, which overrides the default.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::required;
use synapsor_chassis::tls::TlsFiles;
use synapsor_outbound::AddressRange;

/// Ledger: stores proposals, evidence, decisions and receipts in a verifiable log.
#[derive(Debug, Parser)]
#[command(name = "synapsor-ledger", version)]
pub struct LedgerArgs {
    #[command(subcommand)]
    pub command: Option<LedgerCommand>,
    /// Store file; created when missing, in an existing directory
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_STORE",
        hide_env_values = true
    )]
    pub store: Option<PathBuf>,
    /// Trust file of the deployment
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_TRUST_FILE",
        hide_env_values = true
    )]
    pub trust: Option<PathBuf>,
    /// Ledger signing key: Ed25519, PKCS#8 PEM, readable only by its owner
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_SIGNING_KEY_FILE",
        hide_env_values = true
    )]
    pub signing_key: Option<PathBuf>,
    /// Certificate authority shared by the ledger and its callers
    #[arg(
        long = "tls-ca",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// Certificate of the ledger
    #[arg(
        long = "tls-cert",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_CERT",
        hide_env_values = true
    )]
    pub cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(
        long = "tls-key",
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_TLS_KEY",
        hide_env_values = true
    )]
    pub key: Option<PathBuf>,
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
    /// File that lists the webhooks; reloaded on change
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_LEDGER_WEBHOOKS",
        hide_env_values = true
    )]
    pub webhooks: Option<PathBuf>,
    /// Private or loopback addresses that receivers may have, such as 10.0.0.0/8; repeatable or separated by commas
    #[arg(
        long,
        value_name = "RANGE",
        value_delimiter = ',',
        env = "SYNAPSOR_LEDGER_WEBHOOK_ALLOW_RANGES"
    )]
    pub webhook_allow_ranges: Vec<AddressRange>,
    /// Exit 5 seconds after the last connection
    #[arg(long)]
    pub on_demand: bool,
}

/// Commands of the binary besides serving.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Build the store from a backup file, and print what it contains as JSON
    Restore(RestoreFlags),
}

/// Flags of a restore.
#[derive(Debug, Args)]
pub struct RestoreFlags {
    /// Backup file to read
    #[arg(long, value_name = "FILE")]
    pub backup: PathBuf,
    /// Store file to create
    #[arg(long = "to", value_name = "FILE")]
    pub store: PathBuf,
    /// Trust file of the deployment
    #[arg(long = "under", value_name = "FILE")]
    pub trust: PathBuf,
    /// Replace an existing store, which is kept under another name
    #[arg(long)]
    pub replace: bool,
}

/// Validated settings of the ledger.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) store: PathBuf,
    pub(crate) trust: PathBuf,
    pub(crate) signing_key: PathBuf,
    pub(crate) tls: TlsFiles,
    pub(crate) listen: SocketAddr,
    pub(crate) run_file: Option<PathBuf>,
    pub(crate) webhooks: Option<PathBuf>,
    pub(crate) webhook_ranges: Vec<AddressRange>,
    pub(crate) on_demand: bool,
}

impl Settings {
    /// # Errors
    /// `SETTING_MISSING` for a setting without a value or default.
    pub(crate) fn resolve(flags: LedgerArgs) -> Result<Self, ExitError> {
        Ok(Self {
            store: required(flags.store, "SYNAPSOR_LEDGER_STORE")?,
            trust: required(flags.trust, "SYNAPSOR_TRUST_FILE")?,
            signing_key: required(flags.signing_key, "SYNAPSOR_LEDGER_SIGNING_KEY_FILE")?,
            tls: TlsFiles {
                ca: required(flags.ca, "SYNAPSOR_LEDGER_TLS_CA")?,
                cert: required(flags.cert, "SYNAPSOR_LEDGER_TLS_CERT")?,
                key: required(flags.key, "SYNAPSOR_LEDGER_TLS_KEY")?,
            },
            listen: flags.listen,
            run_file: flags.run_file,
            webhooks: flags.webhooks,
            webhook_ranges: flags.webhook_allow_ranges,
            on_demand: flags.on_demand,
        })
    }
}
