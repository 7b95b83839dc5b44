//! The command line as a whole: options that every command takes, and spellings of 0.1.x that are still read.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Parser};
use synapsor_chassis::telemetry::redact;

use crate::commands::Command;

/// Exit codes, at the end of every long help.
const EXIT_CODES: &str = "\
Exit codes: 0 ok, 1 failure, 2 usage, 3 conflict, 4 refused or not approved, 5 in doubt,
6 unreachable or no writer, 10 tampered, 11 rolled back, 12 forked, 13 receipt missing, 14 orphan receipt";

/// A safety layer between AI agents and SQL databases: agents propose, people sign, one row changes once.
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

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The contract [default: ./synapsor.runner.json]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_MCP_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// The ledger's store; its folder is the state folder [default: the contract's, else ./.synapsor/local.db]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_LOCAL_STORE",
        hide_env_values = true
    )]
    pub store: Option<PathBuf>,
    /// The trust file [default: synapsor.trust.json in the state folder]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_TRUST",
        hide_env_values = true
    )]
    pub trust: Option<PathBuf>,
    /// The operator's signing key [default: the one in the state folder]
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_SIGNING_KEY",
        hide_env_values = true
    )]
    pub signing_key: Option<PathBuf>,
    /// A file with variables, NAME=value lines, 0600, for where no shell sets them; what is set already wins
    #[arg(long, global = true, value_name = "PATH")]
    pub env_file: Option<PathBuf>,
    /// Data as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// No colours (as does the variable NO_COLOR)
    #[arg(long, global = true)]
    pub no_color: bool,
    #[command(flatten)]
    pub remote: Remote,
}

/// Where running services are, and the certificate to show them. With any of the addresses nothing is started here.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Running services")]
pub struct Remote {
    /// A running ledger, host:port; nothing is started locally
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SYNAPSOR_LEDGER",
        hide_env_values = true
    )]
    pub ledger: Option<String>,
    /// A running reader, host:port
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SYNAPSOR_READER",
        hide_env_values = true
    )]
    pub reader: Option<String>,
    /// A running writer, host:port; stops reach several, separated by commas
    #[arg(
        long,
        global = true,
        value_name = "ADDR",
        env = "SYNAPSOR_WRITER",
        hide_env_values = true
    )]
    pub writer: Option<String>,
    /// The authority's certificate, PEM
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_CA",
        hide_env_values = true
    )]
    pub ca: Option<PathBuf>,
    /// The operator's certificate, PEM
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "SYNAPSOR_CERT",
        hide_env_values = true
    )]
    pub cert: Option<PathBuf>,
    /// The key of the operator's certificate, PEM, 0600
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
    /// Addresses of the running writers.
    pub(crate) fn writers(&self) -> Vec<&str> {
        let given = self.writer.as_deref().unwrap_or_default();
        given
            .split(',')
            .map(str::trim)
            .filter(|a| !a.is_empty())
            .collect()
    }
}

/// The command line of this process; usage errors and help end the process here.
pub fn parse_arguments() -> Cli {
    let arguments = modern(std::env::args_os().collect());
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let _ = write!(std::io::stderr().lock(), "{}", shown(&error, &arguments));
            std::process::exit(error.exit_code());
        }
        Err(help) => help.exit(),
    }
}

/// A usage error repeats the argument that it is about, which may be a URL with a password.
fn shown(error: &clap::Error, arguments: &[OsString]) -> String {
    let arguments: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
    let text = error.render().to_string();
    let text = redact::hide_urls_of(&text, arguments.iter().map(AsRef::as_ref));
    let lines: Vec<String> = text.lines().map(redact::scrub).collect();
    lines.join("\n") + "\n"
}

/// In 0.1.x `--json '{…}'` of `smoke call` and `propose` was input; here `--json` is output only. An object after it
/// is still taken as input.
fn modern(arguments: Vec<OsString>) -> Vec<OsString> {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn modernised(words: &[&str]) -> Vec<String> {
        let words = words.iter().map(OsString::from).collect();
        modern(words)
            .into_iter()
            .map(|w| w.into_string().unwrap())
            .collect()
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn object_after_json_is_still_input_of_calls() {
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
    fn a_url_in_the_wrong_place_is_not_repeated() {
        let url = "postgres://app:hunter2 or 'so'@db:5432/x?sslpassword=hunter2";
        for words in [
            vec!["x", "proposals", "list", url],
            vec!["x", "up", "--result-format", url],
            vec!["x", url],
            vec!["x", "events", "tail", &format!("--limit={url}")],
            vec!["x", "tools", "list", &format!("--no-such={url}")],
        ] {
            // What clap itself prints has the argument in it, but for the last one.
            let error = Cli::try_parse_from(&words).unwrap_err();
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let text = shown(&error, &words);
            assert!(!text.contains("hunter2") && !text.contains("db:5432"), "{text}");
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        assert!(Cli::try_parse_from(["x", "up", "--no-such"]).is_err());
        assert!(Cli::try_parse_from(["x", "tools", "list", "--json", "--store", "a/b.db"]).is_ok());
    }
}
