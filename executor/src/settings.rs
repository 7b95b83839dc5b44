//! Command line of both roles: a flag overrides the environment, which overrides the default. Database URLs,
//! tenant and principal come from the variables that the contract names, and each role refuses to hold those of
//! the other.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::{EnvVars, SettingError, required};
use synapsor_chassis::tls::TlsFiles;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, ExecutorKind, is_identifier};
use synapsor_domain::writeback::RECEIPT_TABLE;

/// Holds database credentials: reads for agents, and applies changes that operators approved
#[derive(Debug, Parser)]
#[command(name = "synapsor-executor", version)]
pub struct ExecutorArgs {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// Commands of the binary besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the demo database in a new file
    Sample {
        /// File to create; must not exist
        #[arg(long, value_name = "FILE")]
        path: PathBuf,
    },
    /// Print the schema catalog of a database as JSON
    Inspect(InspectFlags),
    /// Test a role's credentials on the contract's tables, rolled back, and print the findings as JSON
    Preflight(PreflightFlags),
}

/// Flags of an inspection.
#[derive(Debug, Args)]
pub struct InspectFlags {
    /// Variable that holds the URL, or whose NAME_FILE variant names a file that does
    #[arg(long, value_name = "NAME")]
    pub from_env: String,
    /// Variable that holds CA certificates, or whose NAME_FILE variant names a file that does
    #[arg(long, value_name = "NAME")]
    pub ssl_ca_env: Option<String>,
    /// Engine; default: that of the URL
    #[arg(long, value_name = "NAME")]
    pub engine: Option<String>,
    /// Only tables of this schema
    #[arg(long, value_name = "NAME")]
    pub schema: Option<String>,
}

/// Flags of a preflight.
#[derive(Debug, Args)]
pub struct PreflightFlags {
    /// Role whose credentials are tested
    #[arg(long = "as", value_enum)]
    pub credentials: RoleName,
    /// Contract file, synapsor.runner.json
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// Role of this process, which determines its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Answers the gateway: reads, and creates proposals
    Reader,
    /// Applies approved proposals
    Writer,
}

/// Condition that ends the process besides a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExitTrigger {
    /// The process ends when its stdin is closed
    Stdin,
}

/// Flags of a process that serves.
#[derive(Debug, Args)]
pub struct ServeFlags {
    /// Role of this process
    #[arg(long, value_enum, env = "SYNAPSOR_EXECUTOR_ROLE")]
    pub role: Option<RoleName>,
    /// Contract file, synapsor.runner.json
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_CONTRACT",
        hide_env_values = true
    )]
    pub contract: Option<PathBuf>,
    /// Trust file of the deployment
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_TRUST",
        hide_env_values = true
    )]
    pub trust: Option<PathBuf>,
    /// Listen address; port 0 selects a free port
    #[arg(
        long,
        value_name = "ADDR",
        env = "SYNAPSOR_EXECUTOR_LISTEN",
        default_value = "127.0.0.1:0"
    )]
    pub listen: SocketAddr,
    /// Ledger address, host:port
    #[arg(long, value_name = "ADDR", env = "SYNAPSOR_EXECUTOR_LEDGER")]
    pub ledger: Option<String>,
    /// CA certificate, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_TLS_CA",
        hide_env_values = true
    )]
    pub tls_ca: Option<PathBuf>,
    /// Certificate of this process, PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_TLS_CERT",
        hide_env_values = true
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, PEM, mode 0600
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_TLS_KEY",
        hide_env_values = true
    )]
    pub tls_key: Option<PathBuf>,
    /// Signing key for evidence and proposals, or attempts and receipts; Ed25519, PKCS#8 PEM, mode 0600
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_SIGNING_KEY",
        hide_env_values = true
    )]
    pub signing_key: Option<PathBuf>,
    /// State directory: the pinned checkpoint, and a writer's freezes and rejections
    #[arg(
        long,
        value_name = "DIR",
        env = "SYNAPSOR_EXECUTOR_STATE_DIR",
        hide_env_values = true
    )]
    pub state_dir: Option<PathBuf>,
    /// File that receives the address while the process serves; removed at the end
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_RUN_FILE",
        hide_env_values = true
    )]
    pub run_file: Option<PathBuf>,
    /// Reader: a gateway identity that may call, spiffe://…; by default the gateway of the own instance
    #[arg(
        long,
        value_name = "SAN",
        env = "SYNAPSOR_EXECUTOR_ALLOW_GATEWAY",
        value_delimiter = ','
    )]
    pub allow_gateway: Vec<String>,
    /// End when the parent process closes this
    #[arg(long, value_enum, env = "SYNAPSOR_EXECUTOR_LIFELINE")]
    pub lifeline: Option<ExitTrigger>,
    /// Reader: reject proposals regardless of the contract
    #[arg(long, env = "SYNAPSOR_EXECUTOR_READ_ONLY")]
    pub read_only: bool,
    /// Reader: JSON Web Key Set of the token issuer, instead of the address in the contract
    #[arg(
        long,
        value_name = "FILE",
        env = "SYNAPSOR_EXECUTOR_JWKS_FILE",
        hide_env_values = true
    )]
    pub jwks_file: Option<PathBuf>,
    /// Writer: name of the receipt table
    #[arg(long, value_name = "NAME", env = "SYNAPSOR_EXECUTOR_RECEIPT_TABLE", default_value = RECEIPT_TABLE)]
    pub receipt_table: String,
}

/// Validated settings of a process that serves.
#[derive(Debug)]
pub struct Settings {
    pub role: RoleName,
    pub contract: PathBuf,
    pub trust: PathBuf,
    pub listen: SocketAddr,
    pub ledger: String,
    pub tls: TlsFiles,
    pub signing_key: PathBuf,
    pub state_dir: PathBuf,
    pub run_file: Option<PathBuf>,
    pub allow_gateway: Vec<String>,
    pub has_lifeline: bool,
    pub read_only: bool,
    pub jwks_file: Option<PathBuf>,
    pub receipt_table: String,
}

impl Settings {
    /// # Errors
    /// `SETTING_MISSING` for a setting without a value or default, `SETTING_INVALID` for an invalid receipt
    /// table name.
    pub fn resolve(flags: ServeFlags) -> Result<Self, ExitError> {
        if !is_identifier(&flags.receipt_table) {
            let text = "invalid receipt table name: use letters, digits and `_`, not starting with a digit";
            return Err(ExitError::new(ErrorCode::SettingInvalid, text));
        }
        Ok(Self {
            role: required(flags.role, "SYNAPSOR_EXECUTOR_ROLE")?,
            contract: required(flags.contract, "SYNAPSOR_EXECUTOR_CONTRACT")?,
            trust: required(flags.trust, "SYNAPSOR_EXECUTOR_TRUST")?,
            listen: flags.listen,
            ledger: required(flags.ledger, "SYNAPSOR_EXECUTOR_LEDGER")?,
            tls: TlsFiles {
                ca: required(flags.tls_ca, "SYNAPSOR_EXECUTOR_TLS_CA")?,
                cert: required(flags.tls_cert, "SYNAPSOR_EXECUTOR_TLS_CERT")?,
                key: required(flags.tls_key, "SYNAPSOR_EXECUTOR_TLS_KEY")?,
            },
            signing_key: required(flags.signing_key, "SYNAPSOR_EXECUTOR_SIGNING_KEY")?,
            state_dir: required(flags.state_dir, "SYNAPSOR_EXECUTOR_STATE_DIR")?,
            run_file: flags.run_file,
            allow_gateway: flags.allow_gateway,
            has_lifeline: flags.lifeline == Some(ExitTrigger::Stdin),
            read_only: flags.read_only,
            jwks_file: flags.jwks_file,
            receipt_table: flags.receipt_table,
        })
    }
}

/// Rejects a start with a credential of the other role in the environment. A variable that the contract names
/// for both roles belongs to both.
///
/// # Errors
/// `ENVIRONMENT_FORBIDDEN` with the names.
pub fn refuse_foreign_credentials(
    role: RoleName,
    contract: &Contract,
    env: &EnvVars,
) -> Result<(), SettingError> {
    let read: BTreeSet<&str> = contract
        .sources()
        .iter()
        .map(|s| s.read_url_env.as_str())
        .collect();
    let write: BTreeSet<&str> = contract
        .sources()
        .iter()
        .filter_map(|s| s.write_url_env.as_deref())
        .collect();
    let foreign: Vec<&str> = match role {
        RoleName::Reader => write
            .difference(&read)
            .copied()
            .chain(handler_secrets(contract))
            .collect(),
        RoleName::Writer => read.difference(&write).copied().collect(),
    };
    let with_files: Vec<String> = foreign
        .iter()
        .flat_map(|name| [(*name).to_owned(), format!("{name}_FILE")])
        .collect();
    env.forbid(&with_files.iter().map(String::as_str).collect::<Vec<_>>())
}

fn handler_secrets(contract: &Contract) -> impl Iterator<Item = &str> {
    contract
        .executors()
        .iter()
        .flat_map(|executor| match &executor.kind {
            ExecutorKind::Direct | ExecutorKind::Command { .. } => [None, None],
            ExecutorKind::Http {
                token_env,
                signing_secret_env,
                ..
            } => [token_env.as_deref(), signing_secret_env.as_deref()],
        })
        .flatten()
}
