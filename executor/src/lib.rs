//! The process that holds database credentials, in one of two roles that share no credential: the reader of
//! `synapsor-reader`, and the writer, which drives the sealed core of `synapsor-writeback` from here.

mod inspection;
mod reader;
mod serve;
pub mod settings;
mod writer;

use synapsor_engine::sqlite::sample;

use synapsor_chassis::run::ExitError;
use tokio_util::sync::CancellationToken;

use settings::{Command, ExecutorArgs, Settings};

/// Runs the command line: serves one role until `stop` is canceled, answers one question about a database, or
/// creates the sample database.
///
/// # Errors
/// When settings, files or environment do not fit the role, or the listen address is not available.
pub async fn run(flags: ExecutorArgs, stop: CancellationToken) -> Result<(), ExitError> {
    match flags.command {
        Some(Command::Sample { path }) => sample::create(&path),
        Some(Command::Inspect(flags)) => inspection::answered(inspection::inspect(&flags, stop).await),
        Some(Command::Preflight(flags)) => inspection::answered(inspection::preflight(&flags, stop).await),
        None => serve::run(Settings::resolve(flags.serve)?, stop).await,
    }
}
