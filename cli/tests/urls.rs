//! No argument and no variable that sets one repeats a URL: the test runs every command with a URL in each of
//! its arguments.

use std::path::Path;
use std::process::Command as Process;

use clap::{ArgAction, CommandFactory as _};
use synapsor_cli::Cli;

const URL: &str = "postgres://USERPART:SECRETPART@hostpart:5432/db?sslpassword=SECRETPART";
/// Valid as a path, a name and a time.
const FILLER: &str = "2026-01-02";
const HIDDEN: [&str; 3] = ["USERPART", "SECRETPART", "hostpart"];

fn leaves(command: &clap::Command, path: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
    for inner in command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help")
    {
        let path = [path, &[inner.get_name().to_owned()]].concat();
        if inner.has_subcommands() {
            leaves(inner, &path, found);
        } else {
            found.push((path, inner.clone()));
        }
    }
}

/// Builds the command line arguments that set `argument` to `value`.
fn given(argument: &clap::Arg, value: &str) -> Vec<String> {
    match argument.get_long() {
        Some(long) => vec![format!("--{long}"), value.to_owned()],
        None => vec![value.to_owned()],
    }
}

fn takes_value(argument: &clap::Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

fn silent(directory: &Path, words: &[String], variables: &[(String, &str)]) {
    let output = Process::new(env!("CARGO_BIN_EXE_synapsor-runner"))
        .args(words)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("the program runs");
    let printed = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_ne!(output.status.code(), Some(0), "{words:?}: {printed}");
    for hidden in HIDDEN {
        assert!(!printed.contains(hidden), "{words:?}: {printed}");
    }
}

#[test]
fn urls_in_arguments_are_never_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    assert!(found.len() > 40, "{} commands", found.len());
    let mut tried = 0;
    for (path, leaf) in &found {
        let arguments: Vec<&clap::Arg> = leaf.get_arguments().filter(|a| takes_value(a)).collect();
        for argument in &arguments {
            let required = arguments
                .iter()
                .filter(|other| other.is_required_set() && other.get_id() != argument.get_id());
            let mut words = path.clone();
            words.extend(required.flat_map(|other| given(other, FILLER)));
            words.extend(given(argument, URL));
            silent(directory.path(), &words, &[]);
            tried += 1;
        }
        // An unknown option, and a surplus argument.
        silent(
            directory.path(),
            &[path.as_slice(), &[format!("--no-such={URL}")]].concat(),
            &[],
        );
        silent(
            directory.path(),
            &[path.as_slice(), &vec![URL.to_owned(); 12]].concat(),
            &[],
        );
    }
    assert!(tried > 600, "{tried} arguments");
}

#[test]
fn urls_in_option_variables_are_never_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let words = ["proposals", "list"].map(str::to_owned);
    let command = Cli::command();
    let names: Vec<String> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        silent(directory.path(), &words, &[(name, URL)]);
    }
}

#[test]
fn rejects_web_urls_as_paths_and_names() {
    let directory = tempfile::tempdir().unwrap();
    let url = "https://hostpart/x?key=SECRETPART";
    for words in [
        ["proposals", "list", "--store", url],
        ["proposals", "list", "--trust", url],
        ["proposals", "show", "--json", url],
        ["receipts", "audit", "--source", url],
    ] {
        silent(directory.path(), &words.map(str::to_owned), &[]);
    }
}
