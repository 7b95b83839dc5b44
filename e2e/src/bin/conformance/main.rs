//! MCP server on the gateway's HTTP stack with the fixtures that the official conformance suite needs. The product
//! contains none of these fixtures.

mod asking;
mod catalog;
mod fixtures;
mod plain;
mod reading;
mod tasks;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use synapsor_chassis::run::{self, ExitError};
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::telemetry::Level;
use synapsor_domain::contract::Mode;
use synapsor_gateway::http::{self, HttpFlags, ServerInfo};
use tokio_util::sync::CancellationToken;

use fixtures::Fixtures;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    http: HttpFlags,
    /// File that receives the listen address once the server is ready
    #[arg(long, value_name = "PATH")]
    run_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    run::run(Level::INFO, Flags::parse, serve)
}

async fn serve(flags: Flags, stop: CancellationToken) -> Result<(), ExitError> {
    let settings = flags.http.resolve(&EnvVars::of_process(), false)?;
    let about = ServerInfo::new(catalog::tools().len(), Mode::Review, || async { true });
    let fixtures = Fixtures::default();
    http::serve(fixtures, about, &settings, flags.run_file.as_deref(), stop).await
}
