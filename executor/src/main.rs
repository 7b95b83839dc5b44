//! Entry point of the executor; the library does all work.

use std::process::ExitCode;

use clap::CommandFactory as _;
use mimalloc::MiMalloc;
use synapsor_chassis::run;
use synapsor_chassis::telemetry::Level;
use synapsor_executor::settings::ExecutorArgs;

/// A call makes many small allocations; see docs/decisions/0006-allocator.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    run::run_confined(
        Level::INFO,
        || run::parse_arguments(ExecutorArgs::command()),
        |arguments| arguments.serve.run_file.clone(),
        |_| Ok(()),
        synapsor_executor::run,
    )
}
