//! The process that holds database credentials, in one of two roles that share no credential: the reader of
//! `synapsor-reader`, and the writer, whose work around the sealed core of `synapsor-writeback` is here.

pub mod commands;
pub mod rpc;
pub mod serve;
pub mod settings;
pub mod writeback;

use synapsor_engine::sqlite::sample;

use synapsor_chassis::run::ExitError;
use tokio_util::sync::CancellationToken;

use settings::{Command, ExecutorArgs, Settings};

/// Does what the command line says: serves one role until `stop` is cancelled, answers one question about a
/// database, or makes the sample database.
///
/// # Errors
/// When settings, files or environment are not what the role needs, or the address cannot be listened on.
pub async fn run(flags: ExecutorArgs, stop: CancellationToken) -> Result<(), ExitError> {
    match flags.command {
        Some(Command::Sample { path }) => sample::create(&path),
        Some(Command::Inspect(flags)) => commands::inspect(&flags, stop).await,
        Some(Command::Probe(flags)) => commands::probe(&flags, stop).await,
        None => serve::run(Settings::resolve(flags.serve)?, stop).await,
    }
}
