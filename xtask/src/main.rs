//! Build commands of the project. This file contains the menu; each command has its own file.

mod boundaries;
mod error_codes;
mod failpoints;
mod prove;
mod schemas;
mod tidy;

use std::process::ExitCode;

const MENU: &str = "\
usage: cargo xtask COMMAND

  boundaries [--manifest-path FILE]   check crate dependencies and access to database drivers
  error-codes [--check]               write docs/error-codes.md, or check that it is up to date
  failpoints                          build the binaries with crash points, beside the plain ones
  prove [NAME] [--small] [--engine NAME] [--seed N]
                                      run one long proof, or all; prints one JSON object at the end
  schemas [--check]                   write schemas/, or list its stale files
  tidy [--update | --list]            check the language of the tree against xtask/tidy.toml
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.split_first() {
        Some((&"boundaries", rest)) => boundaries::run(rest),
        Some((&"error-codes", rest)) => error_codes::run(rest),
        Some((&"failpoints", rest)) => failpoints::run(rest),
        Some((&"prove", rest)) => prove::run(rest),
        Some((&"schemas", rest)) => schemas::run(rest),
        Some((&"tidy", rest)) => tidy::run(rest),
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
