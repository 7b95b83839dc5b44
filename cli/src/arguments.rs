//! Parses the command line: global options, and 0.1.x spellings that are still accepted.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::error::Error as ClapError;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::telemetry::redact;
use synapsor_codes::{ErrorCode, Exit};
use synapsor_domain::contract::holds_connection_url;

use crate::commands::Command;
use crate::earlier_commands;
use crate::output::shell_word;
use crate::setting_origin::{Setting, settings_of};

/// Options that hold addresses of running services.
const SERVICES: [&str; 3] = ["ledger", "reader", "writer"];
/// Options whose command validates a URL itself and never repeats it.
const JUDGED_BY_COMMAND: [&str; 9] = [
    "auth_token_env",
    "from",
    "from_env",
    "principal_env",
    "reason",
    "ssl_ca_env",
    "tenant_env",
    "url",
    "write_url_env",
];
/// Options that may hold a web URL: free text, origins, ids of operators and objects, values of tool arguments.
const MAY_NAME_THE_WEB: [&str; 14] = [
    "allowed_origins",
    "audit_target",
    "cors_origin",
    "input_object",
    "object",
    "object_id",
    "patch",
    "patch_fixed",
    "principal",
    "proposal_description",
    "proposal_returns_hint",
    "read_description",
    "read_returns_hint",
    "stdio",
];

/// Exit codes, appended to every long help.
const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 usage, 3 conflict, 4 rejected or not approved, 5 in doubt,
6 unreachable or no writer, 10 tampered, 11 rolled back, 12 forked, 13 receipt missing, 14 orphan receipt";

/// Safety layer between AI agents and SQL databases: agents propose, operators approve, a guarded writer
/// applies
#[derive(Debug, Parser)]
#[command(
    name = "synapsor-runner",
    version,
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    propagate_version = false,
    max_term_width = 110
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Global options.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Contract file [default: ./synapsor.runner.json]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_MCP_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Ledger store; its directory is the state directory [default: the contract's, else ./.synapsor/local.db]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_LOCAL_STORE",
        hide_env_values = true
    )]
    pub store: Option<PathBuf>,
    /// Trust file [default: synapsor.trust.json in the state directory]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_TRUST",
        hide_env_values = true
    )]
    pub trust: Option<PathBuf>,
    /// Operator signing key [default: the one in the state directory]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_SIGNING_KEY",
        hide_env_values = true
    )]
    pub signing_key: Option<PathBuf>,
    /// Load environment variables from a file (NAME=value lines, mode 0600); existing variables take precedence
    #[arg(long, global = true, value_name = "PATH")]
    pub env_file: Option<PathBuf>,
    /// Print data as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Disable colors (same as the variable NO_COLOR)
    #[arg(long, global = true)]
    pub no_color: bool,
    #[command(flatten)]
    pub remote: Remote,
    /// The settings above with their origin.
    #[arg(skip)]
    pub(crate) settings: Vec<Setting>,
}

impl Global {
    /// Returns a command line of this program for the same contract and state directory, to be copied.
    pub(crate) fn command(&self, words: &str) -> String {
        let mut command = format!("synapsor-runner {words}");
        for (flag, path) in [("--config", &self.config), ("--store", &self.store)] {
            if let Some(path) = path {
                command.push_str(&format!(" {flag} {}", shell_word(&path.to_string_lossy())));
            }
        }
        command
    }
}

/// Addresses of running services, and the client certificate for them. With any address set, the CLI starts no
/// service.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Running services")]
pub struct Remote {
    /// Ledger address, host:port; connects instead of starting local services
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SYNAPSOR_LEDGER",
        hide_env_values = true
    )]
    pub ledger: Option<String>,
    /// Reader address, host:port
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SYNAPSOR_READER",
        hide_env_values = true
    )]
    pub reader: Option<String>,
    /// Writer address, host:port, or a comma-separated list; freeze, unfreeze and doctor call every writer,
    /// other commands the first
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SYNAPSOR_WRITER",
        hide_env_values = true
    )]
    pub writer: Option<String>,
    /// CA certificate, PEM
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// Operator certificate, PEM
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_CERT",
        hide_env_values = true
    )]
    pub cert: Option<PathBuf>,
    /// Private key of the operator certificate, PEM, mode 0600
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_KEY",
        hide_env_values = true
    )]
    pub key: Option<PathBuf>,
}

impl Remote {
    /// Returns the addresses of the running writers; empty if the option is not set.
    ///
    /// # Errors
    /// `WRITER_ADDRESS_INVALID` (exit 2) for an address that is not `host:port`.
    pub(crate) fn named_writers(&self) -> Result<Vec<&str>, ExitError> {
        let given = self.writer.as_deref().unwrap_or_default();
        if given.trim().is_empty() {
            return Ok(Vec::new());
        }
        let addresses: Vec<&str> = given.split(',').map(str::trim).collect();
        let is_address = |address: &&str| {
            let parts = address.rsplit_once(':');
            parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p != 0))
        };
        match addresses.iter().position(|address| !is_address(address)) {
            None => Ok(addresses),
            Some(at) => {
                let text = format!("address {} of --writer is not host:port", at + 1);
                Err(ExitError::new(ErrorCode::WriterAddressInvalid, text)
                    .with_fix("pass host:port of each writer, separated by commas; no writer was called"))
            }
        }
    }

    /// Whether any part of a certificate is set.
    pub(crate) const fn has_certificate(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.key.is_some()
    }
}

/// Reason why a command line is not run.
enum Unparsed {
    /// A usage error of the parser, or requested help.
    Parser(Box<ClapError>),
    /// An argument that is not allowed in this position.
    Refused(ExitError),
}

/// Parses the command line of this process. Usage errors and help end the process here.
pub fn parse_arguments() -> Cli {
    let arguments = rewrite_legacy_args(std::env::args_os().collect());
    match parse(&arguments) {
        Ok(cli) => cli,
        Err(Unparsed::Parser(error)) if error.use_stderr() => {
            let _ = write!(std::io::stderr().lock(), "{}", shown(&error, &arguments));
            std::process::exit(error.exit_code());
        }
        Err(Unparsed::Parser(help)) => help.exit(),
        Err(Unparsed::Refused(failure)) => {
            let _ = writeln!(std::io::stderr().lock(), "{failure}");
            std::process::exit(i32::from(Exit::Usage.number()));
        }
    }
}

fn parse(arguments: &[OsString]) -> Result<Cli, Unparsed> {
    let parser = |error| Unparsed::Parser(Box::new(error));
    let mut words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let first = words.find(|word| !word.starts_with('-')).unwrap_or_default();
    let mut command = Cli::command();
    let mut matches = command.try_get_matches_from_mut(arguments).map_err(|error| {
        match earlier_commands::refused(&error, first) {
            Some(refused) => Unparsed::Refused(refused),
            None => parser(error),
        }
    })?;
    refuse_urls(&command, &matches).map_err(Unparsed::Refused)?;
    refuse_empty(&command, &matches).map_err(Unparsed::Refused)?;
    refuse_unused(&matches).map_err(Unparsed::Refused)?;
    let settings = settings_of(&matches);
    let mut cli =
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| parser(error.format(&mut command)))?;
    cli.global.settings = settings;
    Ok(cli)
}

/// Rejects URLs in options that take none, also from variables that set options. Messages and signed records
/// repeat paths, names and ids, and any part of a URL may hold a password.
fn refuse_urls(command: &clap::Command, matches: &ArgMatches) -> Result<(), ExitError> {
    for id in matches.ids().map(clap::Id::as_str) {
        let values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        for value in values {
            let value = value.to_string_lossy();
            let Some((before, _)) = value.split_once("://") else {
                continue;
            };
            let is_allowed = JUDGED_BY_COMMAND.contains(&id)
                || (MAY_NAME_THE_WEB.contains(&id) && !holds_connection_url(&value));
            if !is_allowed {
                return Err(url_refused(&name_of(command, id), before));
            }
        }
    }
    match matches.subcommand() {
        Some((name, matches)) => {
            let command = command.find_subcommand(name).unwrap_or(command);
            refuse_urls(command, matches)
        }
        None => Ok(()),
    }
}

/// Rejects empty values on the command line: `--tenant "$TENANT"` with an unset variable would search, or reject,
/// proposals of every tenant.
fn refuse_empty(command: &clap::Command, matches: &ArgMatches) -> Result<(), ExitError> {
    for id in matches.ids().map(clap::Id::as_str) {
        let is_typed = matches.value_source(id) == Some(ValueSource::CommandLine);
        let mut values = matches.try_get_raw(id).ok().flatten().into_iter().flatten();
        if is_typed && values.any(|value| value.is_empty()) {
            let text = format!("{} has an empty value", name_of(command, id));
            return Err(ExitError::new(ErrorCode::OptionEmpty, text)
                .with_fix("pass a value, or omit the option; a shell variable may be unset"));
        }
    }
    match matches.subcommand() {
        Some((name, matches)) => refuse_empty(command.find_subcommand(name).unwrap_or(command), matches),
        None => Ok(()),
    }
}

/// Rejects service addresses for a command that starts its own services, and a certificate without any address.
/// Variables are exempt, because they apply to every command.
fn refuse_unused(matches: &ArgMatches) -> Result<(), ExitError> {
    let typed = |ids: &[&'static str]| {
        let is_typed = |id: &&&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        ids.iter().find(is_typed).copied()
    };
    let mut words = Vec::new();
    let mut inner = matches;
    while let Some((word, next)) = inner.subcommand() {
        words.push(word);
        inner = next;
    }
    let starts_its_own = match words.as_slice() {
        ["up" | "demo" | "store", ..] => true,
        ["mcp", word] => !matches!(*word, "config" | "audit" | "smoke"),
        _ => false,
    };
    if starts_its_own && let Some(id) = typed(&SERVICES) {
        let text = format!(
            "`{}` calls no running service and does not accept --{id}",
            words.join(" ")
        );
        return Err(ExitError::new(ErrorCode::OptionUnused, text).with_fix(format!("remove --{id}")));
    }
    if let Some(id) = typed(&["ca", "cert", "key"])
        && !SERVICES.iter().any(|service| matches.contains_id(service))
    {
        let text = format!("--{id} requires the address of a running service");
        return Err(ExitError::new(ErrorCode::OptionUnused, text)
            .with_fix("pass --ledger, --reader or --writer, or remove the certificate options"));
    }
    Ok(())
}

/// Returns the argument as the help shows it, with the variable that sets it.
fn name_of(command: &clap::Command, id: &str) -> String {
    let Some(argument) = command.get_arguments().find(|a| a.get_id() == id) else {
        return "an argument".to_owned();
    };
    match argument.get_env() {
        Some(variable) => format!("{argument} (or {})", variable.to_string_lossy()),
        None => argument.to_string(),
    }
}

fn url_refused(argument: &str, before: &str) -> ExitError {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let scheme = &before[before.trim_end_matches(is_scheme).len()..];
    let text = format!("{argument} does not accept a URL ({scheme}://...)");
    ExitError::new(ErrorCode::InlineUrlRefused, text).with_fix(
        "put connection URLs in environment variables and pass the variable name; change a password that was typed here, \
         because the shell history may contain it",
    )
}

/// Formats a usage error. The parser repeats the argument in it, which may be a URL with a password.
fn shown(error: &clap::Error, arguments: &[OsString]) -> String {
    let arguments: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let text = error.render().to_string();
    let text = redact::hide_urls_of(&text, arguments.iter().map(AsRef::as_ref));
    let lines: Vec<String> = text.lines().map(redact::redact).collect();
    lines.join("\n") + "\n"
}

/// Maps 0.1.x spellings. There `--json '{…}'` of `smoke call` and `propose` was input; `--json` is now output
/// only. An object after it is still accepted as input.
fn rewrite_legacy_args(arguments: Vec<OsString>) -> Vec<OsString> {
    let arguments = with_replay_show(without_runner(arguments));
    let words: Vec<&str> = arguments
        .iter()
        .skip(1)
        .filter_map(|a| a.to_str())
        .filter(|a| !a.starts_with('-'))
        .collect();
    let takes_input =
        matches!(words.as_slice(), ["propose", ..]) || words.windows(2).any(|w| w == ["smoke", "call"]);
    if !takes_input {
        return arguments;
    }
    let mut out: Vec<OsString> = Vec::with_capacity(arguments.len() + 1);
    let is_object = |text: Option<&str>| text.is_some_and(|t| t.trim_start().starts_with('{'));
    for argument in arguments {
        if argument
            .to_str()
            .and_then(|a| a.strip_prefix("--json="))
            .is_some_and(|v| is_object(Some(v)))
        {
            let value = argument
                .to_str()
                .and_then(|a| a.strip_prefix("--json="))
                .unwrap_or_default()
                .to_owned();
            out.extend(["--json".into(), "--input-object".into(), value.into()]);
        } else {
            if is_object(argument.to_str()) && out.last().is_some_and(|last| last == "--json") {
                out.push("--input-object".into());
            }
            out.push(argument);
        }
    }
    out
}

/// Returns `up` for `runner up`; also for `start` and `doctor`.
fn without_runner(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_alias = arguments.get(1).is_some_and(|word| word == "runner")
        && arguments
            .get(2)
            .is_some_and(|word| word == "up" || word == "start" || word == "doctor");
    if is_alias {
        arguments.remove(1);
    }
    arguments
}

/// Completes `replay ID` to `replay show ID`. Only switches may precede it: the word after another option may be its
/// value.
fn with_replay_show(mut arguments: Vec<OsString>) -> Vec<OsString> {
    const SUBCOMMANDS: [&str; 4] = ["list", "show", "export", "help"];
    const SWITCHES: [&str; 2] = ["--json", "--no-color"];
    let mut words = arguments.iter().enumerate().skip(1);
    let mut next_word =
        || words.find(|(_, word)| !word.to_str().is_some_and(|word| SWITCHES.contains(&word)));
    if next_word().is_none_or(|(_, word)| word != "replay") {
        return arguments;
    }
    let is_id = |word: &&str| !word.starts_with('-') && !SUBCOMMANDS.contains(word);
    let named = next_word().filter(|(_, word)| word.to_str().as_ref().is_some_and(is_id));
    if let Some((at, _)) = named {
        arguments.insert(at, "show".into());
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_earlier_versions_are_completed() {
        for (words, expected) in [
            (["x", "replay", "latest"].as_slice(), "x replay show latest"),
            (&["x", "replay", "wrp_1", "--json"], "x replay show wrp_1 --json"),
            (&["x", "--json", "replay", "wrp_1"], "x --json replay show wrp_1"),
            (&["x", "replay", "--json", "wrp_1"], "x replay --json show wrp_1"),
            (
                &["x", "--store", "a.db", "replay", "list"],
                "x --store a.db replay list",
            ),
            (&["x", "replay", "list"], "x replay list"),
            (&["x", "replay", "export", "wrp_1"], "x replay export wrp_1"),
            (&["x", "replay", "--help"], "x replay --help"),
            (&["x", "replay"], "x replay"),
            (&["x", "runner", "doctor", "--json"], "x doctor --json"),
            (
                &["x", "runner", "start", "--mode", "review"],
                "x start --mode review",
            ),
            (&["x", "runner", "stop"], "x runner stop"),
        ] {
            assert_eq!(modernised(words).join(" "), expected);
        }
    }

    #[test]
    fn command_to_copy_keeps_contract_and_store() {
        let global = Global {
            config: Some("my contract.json".into()),
            store: Some("other/local.db".into()),
            ..Global::default()
        };
        assert_eq!(
            global.command("apply wrp_1"),
            "synapsor-runner apply wrp_1 --config 'my contract.json' --store other/local.db"
        );
        assert_eq!(
            Global::default().command("apply wrp_1"),
            "synapsor-runner apply wrp_1"
        );
    }

    fn modernised(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        rewrite_legacy_args(words)
            .into_iter()
            .map(|w| w.into_string().unwrap())
            .collect()
    }

    #[test]
    fn command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn object_after_json_flag_is_parsed_as_call_input() {
        let wanted = [
            "x",
            "smoke",
            "call",
            "c.d",
            "--json",
            "--input-object",
            "{\"a\":1}",
        ];
        assert_eq!(
            modernised(&["x", "smoke", "call", "c.d", "--json", "{\"a\":1}"]),
            wanted
        );
        assert_eq!(
            modernised(&["x", "smoke", "call", "c.d", "--json={\"a\":1}"]),
            wanted
        );
        assert_eq!(
            modernised(&["x", "smoke", "call", "--json", "c.d"]),
            ["x", "smoke", "call", "--json", "c.d"]
        );
        assert_eq!(
            modernised(&["x", "apply", "--json", "{}"]),
            ["x", "apply", "--json", "{}"]
        );
    }

    #[test]
    fn rejects_misplaced_url_without_repeating_it() {
        let url = "postgres://app:hunter2 or 'so'@db:5432/x?sslpassword=hunter2";
        for words in [
            vec!["x", "proposals", "list", url],
            vec!["x", "up", "--result-format", url],
            vec!["x", url],
            vec!["x", "events", "tail", &format!("--limit={url}")],
            vec!["x", "tools", "list", &format!("--no-such={url}")],
        ] {
            // The parser's own message contains the argument, except for the last one.
            let error = Cli::try_parse_from(&words).unwrap_err();
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let text = shown(&error, &words);
            assert!(!text.contains("hunter2") && !text.contains("db:5432"), "{text}");
        }
    }

    #[test]
    fn rejects_an_empty_value() {
        for words in [
            ["x", "proposals", "reject", "--reason=no", "--tenant", ""].as_slice(),
            &["x", "query-audit", "list", "--principal="],
            &["x", "evidence", "show", ""],
        ] {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let Err(Unparsed::Refused(refused)) = parse(&words) else {
                panic!("{words:?}");
            };
            assert_eq!(refused.code(), ErrorCode::OptionEmpty, "{words:?}");
        }
    }

    #[test]
    fn rejects_unknown_options() {
        assert!(Cli::try_parse_from(["x", "up", "--no-such"]).is_err());
        assert!(Cli::try_parse_from(["x", "tools", "list", "--json", "--store", "a/b.db"]).is_ok());
    }
}
