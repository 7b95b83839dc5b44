//! Entry point of `synapsor-runner`: process hardening, command line and logs, then the library.

use std::process::ExitCode;

use synapsor_chassis::run;
use synapsor_chassis::telemetry::Level;

fn main() -> ExitCode {
    run::run(Level::WARN, synapsor_cli::parse_arguments, synapsor_cli::run)
}
