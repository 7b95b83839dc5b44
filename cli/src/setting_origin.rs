//! Global settings of a command line with their origin: an option, a variable, or the default.

use clap::ArgMatches;
use clap::parser::ValueSource;

/// Settings and the variables that set them, in the order of the help.
const SETTINGS: [(&str, Option<&str>); 11] = [
    ("config", Some("SYNAPSOR_MCP_CONFIG")),
    ("store", Some("SYNAPSOR_LOCAL_STORE")),
    ("trust", Some("SYNAPSOR_TRUST")),
    ("signing_key", Some("SYNAPSOR_SIGNING_KEY")),
    ("env_file", None),
    ("ledger", Some("SYNAPSOR_LEDGER")),
    ("reader", Some("SYNAPSOR_READER")),
    ("writer", Some("SYNAPSOR_WRITER")),
    ("ca", Some("SYNAPSOR_CA")),
    ("cert", Some("SYNAPSOR_CERT")),
    ("key", Some("SYNAPSOR_KEY")),
];

/// Origin of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SettingOrigin {
    Option,
    Variable,
    Default,
}

impl SettingOrigin {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Option => "option",
            Self::Variable => "variable",
            Self::Default => "default",
        }
    }
}

/// One global setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// The path or address; `None` if the command decides.
    pub(crate) value: Option<String>,
    pub(crate) origin: SettingOrigin,
    /// Variable that can set it.
    pub(crate) variable: Option<&'static str>,
}

/// Returns all settings of a parsed command line.
pub(crate) fn settings_of(matches: &ArgMatches) -> Vec<Setting> {
    let setting = |(name, variable): (&'static str, Option<&'static str>)| {
        let raw = matches.get_raw(name).and_then(|mut values| values.next());
        let origin = match matches.value_source(name) {
            Some(ValueSource::CommandLine) => SettingOrigin::Option,
            Some(ValueSource::EnvVariable) => SettingOrigin::Variable,
            _ => SettingOrigin::Default,
        };
        Setting {
            name,
            value: raw.map(|value| value.to_string_lossy().into_owned()),
            origin,
            variable,
        }
    };
    SETTINGS.into_iter().map(setting).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Cli;

    #[test]
    fn option_after_the_command_is_the_origin() {
        let words = ["x", "config", "show", "--config", "a.json"];
        let matches = Cli::command().try_get_matches_from(words).unwrap();
        let settings = settings_of(&matches);
        assert_eq!(
            settings[0],
            Setting {
                name: "config",
                value: Some("a.json".to_owned()),
                origin: SettingOrigin::Option,
                variable: Some("SYNAPSOR_MCP_CONFIG"),
            }
        );
        let trust = settings.iter().find(|setting| setting.name == "trust").unwrap();
        assert_eq!((trust.origin, &trust.value), (SettingOrigin::Default, &None));
    }

    #[test]
    fn every_setting_has_its_variable_from_the_command_line() {
        let command = Cli::command();
        for (name, variable) in SETTINGS {
            let argument = command.get_arguments().find(|argument| argument.get_id() == name);
            let declared = argument.unwrap().get_env().and_then(|name| name.to_str());
            assert_eq!(declared, variable, "{name}");
        }
    }
}
