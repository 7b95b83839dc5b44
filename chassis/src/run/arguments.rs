//! Command line of a process that serves: a flag overrides its variable, which overrides the default. An error names
//! flag and variable, never the value: a variable set by mistake may hold a secret.

use std::ffi::OsString;
use std::io::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, FromArgMatches};
use synapsor_codes::ErrorCode;

use super::ExitError;

/// Parses the arguments of this process; ends it after `--help`, `--version` and errors.
pub fn parse_arguments<T: FromArgMatches>(command: Command) -> T {
    match parse(command, std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(Unparsed::Parser(error)) => error.exit(),
        Err(Unparsed::Value(failure)) => {
            let _ = writeln!(std::io::stderr().lock(), "{failure}");
            std::process::exit(i32::from(failure.exit().number()));
        }
    }
}

/// Reason why arguments were not parsed.
#[derive(Debug)]
enum Unparsed {
    /// Help, version, or an error whose text contains no value of a setting.
    Parser(Box<clap::Error>),
    Value(ExitError),
}

fn parse<T: FromArgMatches>(
    mut command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<T, Unparsed> {
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8 => {
            Unparsed::Value(invalid_value(&command, &error))
        }
        _ => Unparsed::Parser(Box::new(error.format(&mut command))),
    })
}

fn invalid_value(command: &Command, error: &clap::Error) -> ExitError {
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        let text = "an argument or the variable of a flag is not valid UTF-8";
        return ExitError::new(ErrorCode::SettingInvalid, text);
    };
    let subcommands = command.get_subcommands().flat_map(Command::get_arguments);
    let argument = command
        .get_arguments()
        .chain(subcommands)
        .find(|argument| argument.to_string() == *shown);
    let variable = argument.and_then(clap::Arg::get_env);
    let name = match variable {
        Some(variable) => format!("{shown} or {}", variable.to_string_lossy()),
        None => shown.clone(),
    };
    let fix = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!("use {}", values.join(", ")),
        _ => "see --help for the values".to_owned(),
    };
    ExitError::new(ErrorCode::SettingInvalid, format!("invalid value of {name}")).with_fix(fix)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use clap::{CommandFactory as _, Parser, ValueEnum};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, ValueEnum)]
    enum Color {
        Red,
        Blue,
    }

    #[derive(Debug, Parser)]
    struct Arguments {
        #[arg(long, env = "SYNAPSOR_TEST_LISTEN")]
        listen: Option<SocketAddr>,
        #[arg(long)]
        color: Option<Color>,
    }

    fn parsed(words: &[&str]) -> Result<Arguments, Unparsed> {
        let words = std::iter::once(&"x").chain(words);
        parse(Arguments::command(), words.map(OsString::from))
    }

    #[test]
    fn invalid_value_is_reported_without_it() {
        let Err(Unparsed::Value(error)) = parsed(&["--listen", "postgres://u:hunter2@h"]) else {
            panic!("the value was taken");
        };
        let text = error.to_string();
        assert_eq!(error.code(), ErrorCode::SettingInvalid);
        assert!(
            text.contains("--listen <LISTEN> or SYNAPSOR_TEST_LISTEN") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn invalid_word_is_answered_with_the_valid_ones() {
        let Err(Unparsed::Value(error)) = parsed(&["--color", "green"]) else {
            panic!("the value was taken");
        };
        let text = error.to_string();
        assert!(
            text.contains("use red, blue") && !text.contains("green"),
            "{text}"
        );
    }

    #[test]
    fn valid_arguments_and_help_pass() {
        let arguments = parsed(&["--listen", "127.0.0.1:1", "--color", "red"]).unwrap();
        assert_eq!(arguments.listen, "127.0.0.1:1".parse().ok());
        assert_eq!(arguments.color, Some(Color::Red));
        assert!(matches!(parsed(&["--help"]), Err(Unparsed::Parser(_))));
        assert!(matches!(parsed(&["--unknown"]), Err(Unparsed::Parser(_))));
    }
}
