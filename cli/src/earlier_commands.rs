//! Commands of 0.1.x that this version does not have, so that they are refused by name and with what to use instead.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

/// Names of the commands, and what to use instead.
const MISSING: [(&str, &str); 4] = [
    (
        "cloud",
        "there is no hosted control plane; run `synapsor-runner up`",
    ),
    (
        "handler",
        "let the writer apply proposals: leave `executor` out of the capability",
    ),
    (
        "runner",
        "run `synapsor-runner up`, `synapsor-runner start` or `synapsor-runner doctor`",
    ),
    (
        "ui",
        "review with `synapsor-runner proposals list` and `synapsor-runner proposals show`",
    ),
];

/// Returns the error for a command of 0.1.x that does not exist here; `first` is the first word of the command line.
pub(crate) fn refused(error: &clap::Error, first: &str) -> Option<ExitError> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let (name, instead) = MISSING
        .iter()
        .find(|(known, _)| known == name && *known == first)?;
    let text = format!("this version has no command `{name}`");
    Some(ExitError::new(ErrorCode::NotAvailable, text).with_fix(instead))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::Cli;

    #[test]
    fn command_of_an_earlier_version_is_refused_by_name() {
        for (name, instead) in MISSING {
            let error = Cli::try_parse_from(["x", name, "--json"]).unwrap_err();
            let refused = refused(&error, name).unwrap();
            assert!(refused.message().contains(name), "{refused}");
            assert_eq!(refused.fix(), Some(instead));
        }
        let unknown = Cli::try_parse_from(["x", "frobnicate"]).unwrap_err();
        assert_eq!(refused(&unknown, "frobnicate"), None);
        let inner = Cli::try_parse_from(["x", "proposals", "ui"]).unwrap_err();
        assert_eq!(refused(&inner, "proposals"), None);
    }
}
