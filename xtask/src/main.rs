//! The project's own build commands. This file is the menu; each command has a file of its own.

mod boundaries;
mod failpoints;
mod prove;
mod schemas;

use std::process::ExitCode;

const MENU: &str = "\
usage: cargo xtask COMMAND

  boundaries [--manifest-path FILE]   check who may depend on whom, and who may reach a driver
  failpoints                          build the binaries with crash points, beside the plain ones
  prove [NAME] [--small] [--engine NAME] [--seed N]
                                      run one of the long proofs, or all; ends with one JSON object
  schemas [--check]                   write schemas/, or say which files there are stale
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.split_first() {
        Some((&"boundaries", rest)) => boundaries::run(rest),
        Some((&"failpoints", rest)) => failpoints::run(rest),
        Some((&"prove", rest)) => prove::run(rest),
        Some((&"schemas", rest)) => schemas::run(rest),
        _ => {
            eprint!("{MENU}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
