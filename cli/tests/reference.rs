//! Keeps `docs/cli.md` equal to the commands. `SYNAPSOR_WRITE_REFERENCE=1 cargo test -p synapsor-cli --test reference`
//! writes the page.

use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use synapsor_cli::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
const HEAD: &str = "# Commands of `synapsor-runner`\n\n\
    Written from the program itself; `synapsor-runner help COMMAND` prints the same. The global options at the\n\
    end apply to every command that can use them. An option with a variable can be set by it; an option on the command line takes precedence.\n\n\
    Exit codes of all commands: 0 ok, 1 failure, 2 usage, 3 conflict, 4 rejected or not approved, 5 in doubt, 6 unreachable or no\n\
    writer, 10 tampered, 11 rolled back, 12 forked, 13 receipt missing, 14 orphan receipt.\n";

#[test]
fn reference_page_matches_the_commands() {
    let mut command = Cli::command();
    command.build();
    let mut page = HEAD.to_owned();
    for inner in visible(&command) {
        section(inner, "synapsor-runner", &mut page);
    }
    page.push_str("\n## Global options\n\n");
    options(
        command
            .get_arguments()
            .filter(|argument| argument.is_global_set()),
        &mut page,
    );
    let path = Path::new(PAGE);
    if std::env::var_os("SYNAPSOR_WRITE_REFERENCE").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/cli.md is out of date: SYNAPSOR_WRITE_REFERENCE=1 cargo test -p synapsor-cli --test reference"
    );
}

/// Every command that an operator runs has an example and its exit codes.
#[test]
fn every_command_has_an_example_and_exit_codes() {
    let mut command = Cli::command();
    command.build();
    let mut lacking = Vec::new();
    check(&command, &mut Vec::new(), &mut lacking);
    assert_eq!(lacking, [""; 0]);
}

fn check(command: &Command, trail: &mut Vec<String>, lacking: &mut Vec<String>) {
    let inner: Vec<&Command> = visible(command).collect();
    if inner.is_empty() && !trail.is_empty() {
        let help = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        if !help.contains("Example") || !help.contains("Exit codes: ") {
            lacking.push(trail.join(" "));
        }
    }
    for next in inner {
        trail.push(next.get_name().to_owned());
        check(next, trail, lacking);
        trail.pop();
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    let inner = command.get_subcommands();
    inner.filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

fn section(command: &Command, parent: &str, page: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    let inner: Vec<&Command> = visible(command).collect();
    if !inner.is_empty() {
        for next in inner {
            section(next, &name, page);
        }
        return;
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    page.push_str(&(format!("\n## `{name}`\n\n{about}.") + "\n"));
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|alias| format!("`{alias}`"))
        .collect();
    if !aliases.is_empty() {
        page.push_str(&(format!("\nAlso: {}.", aliases.join(", ")) + "\n"));
    }
    let own = command
        .get_arguments()
        .filter(|argument| !argument.is_global_set());
    let own: Vec<&Arg> = own.filter(|argument| argument.get_id() != "help").collect();
    if !own.is_empty() {
        page.push('\n');
        options(own.into_iter(), page);
    }
    if let Some(help) = command.get_after_help() {
        page.push('\n');
        for line in help.to_string().lines() {
            let line = format!("    {line}");
            page.push_str(line.trim_end());
            page.push('\n');
        }
    }
}

fn options<'a>(arguments: impl Iterator<Item = &'a Arg>, page: &mut String) {
    page.push_str("| option | meaning | default |\n|---|---|---|\n");
    for argument in arguments.filter(|argument| !argument.is_hide_set()) {
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let values = argument.get_possible_values();
        let values: Vec<&str> = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name())
            .collect();
        if !values.is_empty() && argument.get_action().takes_values() {
            meaning.push_str(&format!(" ({})", values.join(", ")));
        }
        if let Some(variable) = argument.get_env() {
            meaning.push_str(&format!("; variable `{}`", variable.to_string_lossy()));
        }
        let defaults = argument.get_default_values();
        let defaults: Vec<String> = defaults
            .iter()
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let default = if argument.get_action().takes_values() {
            defaults.join(", ")
        } else {
            String::new()
        };
        let aliases = argument.get_visible_aliases().unwrap_or_default();
        let aliases: Vec<String> = aliases.iter().map(|alias| format!(", `--{alias}`")).collect();
        let name = argument.to_string();
        page.push_str(
            &(format!(
                "| `{}`{} | {} | {default} |",
                name.replace('|', "\\|"),
                aliases.concat(),
                meaning.replace('|', "\\|")
            ) + "\n"),
        );
    }
}
