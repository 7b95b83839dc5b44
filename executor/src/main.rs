//! The executor's process; everything it does is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;
use synapsor_chassis::run;
use synapsor_chassis::telemetry::Level;
use synapsor_executor::settings::ExecutorArgs;

/// A call is many small pieces of memory; see docs/decisions/0006-allocator.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    run::run(Level::INFO, ExecutorArgs::parse, synapsor_executor::run)
}
