//! Entry point of the gateway: hardening, flags and logs first, then the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use synapsor_chassis::run;
use synapsor_chassis::telemetry::Level;
use synapsor_gateway::GatewayArgs;

/// A call makes many small allocations; see docs/decisions/0006-allocator.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    run::run_confined(
        Level::INFO,
        || run::parse_arguments(GatewayArgs::command_line()),
        GatewayArgs::run_file,
        synapsor_gateway::enter_sandbox,
        synapsor_gateway::run,
    )
}
