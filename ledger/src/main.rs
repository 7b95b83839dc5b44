//! The ledger's process; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use synapsor_chassis::run;
use synapsor_chassis::telemetry::Level;
use synapsor_ledger::{Settings, serve};

fn main() -> ExitCode {
    run::run(Level::INFO, Settings::parse, serve)
}
