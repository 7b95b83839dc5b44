//! The process that holds database credentials, in one of two roles that share no credential: the reader
//! answers the gateway and mints proposals, the writer applies what people signed.

pub mod callers;
pub mod clients;
pub mod context;
pub mod engine;
pub mod error;
pub mod explain;
pub mod failpoint;
pub mod inspect;
pub mod oneshot;
pub mod probe;
pub mod reader;
pub mod rpc;
pub mod sample;
pub mod serve;
pub mod settings;
pub mod trust;
pub mod witness;
pub mod writeback;

mod call;
mod propose;
mod read;
mod ticket;

use synapsor_chassis::run::Failure;
use tokio_util::sync::CancellationToken;

use settings::{Command, Flags, Settings};

/// Does what the command line says: serves one role until `stop` is cancelled, answers one question about a
/// database, or makes the sample database.
///
/// # Errors
/// When settings, files or environment are not what the role needs, or the address cannot be listened on.
pub async fn run(flags: Flags, stop: CancellationToken) -> Result<(), Failure> {
    match flags.command {
        Some(Command::Sample { path }) => sample::create(&path),
        Some(Command::Inspect(flags)) => oneshot::inspect(&flags, stop).await,
        Some(Command::Probe(flags)) => oneshot::probe(&flags, stop).await,
        None => serve::run(Settings::resolve(flags.serve)?, stop).await,
    }
}
