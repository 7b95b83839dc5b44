//! Process environment: typed values by name, with flags before environment variables before defaults, and
//! rejection of forbidden variables. Only this module reads the environment; `secret` uses it too.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use synapsor_codes::ErrorCode;

use crate::run::ExitError;

/// Environment variables of this process, or a fixed set in tests and dry runs, with optional defaults. Debug
/// prints names only.
#[derive(Clone)]
pub struct EnvVars {
    set: EnvSource,
    /// Contains only names that `set` does not contain.
    defaults: BTreeMap<String, String>,
}

#[derive(Clone)]
enum EnvSource {
    Process,
    Fixed(BTreeMap<String, String>),
}

/// Invalid setting. Never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The value is not UTF-8.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotUtf8 { name: String },
    /// The value begins with U+FEFF, which some editors and shells write before text and which does not display.
    #[error("the environment variable {name} begins with a byte order mark")]
    ByteOrderMark { name: String },
    /// The value does not parse.
    #[error("the environment variable {name} is invalid: {why}")]
    Invalid { name: String, why: String },
    /// Neither flag, variable nor default is set.
    #[error("missing setting {name}")]
    Missing { name: String },
    /// The environment contains forbidden variables.
    #[error("forbidden environment variables: {}", names.join(", "))]
    Forbidden { names: Vec<String> },
}

impl SettingError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotUtf8 { .. } | Self::ByteOrderMark { .. } | Self::Invalid { .. } => {
                ErrorCode::SettingInvalid
            }
            Self::Missing { .. } => ErrorCode::SettingMissing,
            Self::Forbidden { .. } => ErrorCode::EnvironmentForbidden,
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::NotUtf8 { name } | Self::Invalid { name, .. } => format!("correct or unset {name}"),
            Self::ByteOrderMark { name } => {
                format!("set {name} again without the mark (U+FEFF) before its first character")
            }
            Self::Missing { name } => format!("set {name} or pass the flag"),
            Self::Forbidden { names } => format!("start it without them: env -u {} …", names.join(" -u ")),
        }
    }
}

impl From<SettingError> for ExitError {
    fn from(error: SettingError) -> Self {
        ExitError::new(error.code(), error.to_string()).with_fix(error.fix())
    }
}

/// Returns the value of a setting that has no default; `name` is its variable.
///
/// # Errors
/// `SETTING_MISSING` when neither flag nor variable is set.
pub fn required<T>(value: Option<T>, name: &str) -> Result<T, SettingError> {
    value.ok_or_else(|| SettingError::Missing {
        name: name.to_owned(),
    })
}

impl EnvVars {
    /// Uses the variables of this process; each is read on access.
    pub fn of_process() -> Self {
        Self {
            set: EnvSource::Process,
            defaults: BTreeMap::new(),
        }
    }

    /// Uses a fixed set of variables.
    pub fn fixed<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self {
            set: EnvSource::Fixed(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect()),
            defaults: BTreeMap::new(),
        }
    }

    /// Adds defaults for unset names. `NAME` and `NAME_FILE` are one setting: if either is set, defaults of both
    /// are ignored.
    #[must_use]
    pub fn with_defaults(mut self, defaults: BTreeMap<String, String>) -> Self {
        let is_free = |name: &String| {
            let other = name
                .strip_suffix("_FILE")
                .map_or_else(|| format!("{name}_FILE"), str::to_owned);
            !self.set.has(name) && !self.set.has(&other)
        };
        self.defaults = defaults.into_iter().filter(|(name, _)| is_free(name)).collect();
        self
    }

    /// Returns the value of `name`; an empty value counts as absent.
    ///
    /// # Errors
    /// When the value is not UTF-8, or begins with a byte order mark: it would silently differ from the value that is
    /// displayed.
    pub fn get(&self, name: &str) -> Result<Option<String>, SettingError> {
        let value = self.unchecked(name)?;
        if value.as_ref().is_some_and(|value| value.starts_with('\u{feff}')) {
            return Err(SettingError::ByteOrderMark {
                name: name.to_owned(),
            });
        }
        Ok(value)
    }

    /// Returns the sorted names of the variables whose value satisfies `is_found`. Values that are not UTF-8 do not.
    pub fn names_with(&self, is_found: impl Fn(&str) -> bool) -> Vec<String> {
        let has = |name: &String| matches!(self.unchecked(name), Ok(Some(value)) if is_found(&value));
        self.names().into_iter().filter(has).collect()
    }

    fn unchecked(&self, name: &str) -> Result<Option<String>, SettingError> {
        let value = match &self.set {
            EnvSource::Fixed(pairs) => pairs.get(name).cloned(),
            EnvSource::Process => match std::env::var_os(name) {
                None => None,
                Some(value) => Some(value.into_string().map_err(|_| SettingError::NotUtf8 {
                    name: name.to_owned(),
                })?),
            },
        };
        let value = value.filter(|v| !v.is_empty());
        Ok(value.or_else(|| self.defaults.get(name).filter(|v| !v.is_empty()).cloned()))
    }

    /// Parses the value of `name` as a `T`.
    ///
    /// # Errors
    /// When the value is present and does not parse. The error does not contain the value.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, SettingError> {
        let Some(text) = self.get(name)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|why: T::Err| SettingError::Invalid {
                name: name.to_owned(),
                why: why.to_string(),
            })
    }

    /// Returns `flag`, else the variable `name`, else `default`.
    ///
    /// # Errors
    /// When the variable is used and does not parse.
    pub fn choose<T: FromStr<Err: fmt::Display>>(
        &self,
        flag: Option<T>,
        name: &str,
        default: T,
    ) -> Result<T, SettingError> {
        match flag {
            Some(value) => Ok(value),
            None => Ok(self.parse(name)?.unwrap_or(default)),
        }
    }

    /// Returns the sorted names of all variables; values are not read.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.set {
            EnvSource::Fixed(pairs) => pairs.keys().cloned().collect(),
            EnvSource::Process => std::env::vars_os()
                .map(|(name, _)| name.to_string_lossy().into_owned())
                .collect(),
        };
        names.extend(self.defaults.keys().cloned());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Rejects variables whose name matches one of `patterns`. In a pattern, `*` matches any run of characters;
    /// matching ignores case.
    ///
    /// # Errors
    /// All names that match, never their values.
    pub fn forbid(&self, patterns: &[&str]) -> Result<(), SettingError> {
        let names: Vec<String> = self
            .names()
            .into_iter()
            .filter(|name| patterns.iter().any(|pattern| matches_pattern(pattern, name)))
            .collect();
        if names.is_empty() {
            Ok(())
        } else {
            Err(SettingError::Forbidden { names })
        }
    }
}

impl EnvSource {
    /// Whether the variable has a non-empty value of any kind.
    fn has(&self, name: &str) -> bool {
        match self {
            Self::Fixed(pairs) => pairs.get(name).is_some_and(|value| !value.is_empty()),
            Self::Process => std::env::var_os(name).is_some_and(|value| !value.is_empty()),
        }
    }
}

impl fmt::Debug for EnvVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Environment").field(&self.names()).finish()
    }
}

fn matches_pattern(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_uppercase(), name.to_ascii_uppercase());
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = tail.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_overrides_environment_overrides_default() {
        let env = EnvVars::fixed([("PORT", "7")]);
        assert_eq!(env.choose(Some(5), "PORT", 9), Ok(5));
        assert_eq!(env.choose(None, "PORT", 9), Ok(7));
        assert_eq!(env.choose(None, "OTHER", 9), Ok(9));
        assert_eq!(
            required(None::<u16>, "OTHER"),
            Err(SettingError::Missing { name: "OTHER".into() })
        );
    }

    #[test]
    fn unparsable_value_is_reported_by_name_only() {
        let env = EnvVars::fixed([("PORT", "hunter2")]);
        let error = env.parse::<u16>("PORT").unwrap_err();
        assert_eq!(error.code(), ErrorCode::SettingInvalid);
        assert!(error.to_string().contains("PORT") && !error.to_string().contains("hunter2"));
    }

    #[test]
    fn rejects_value_with_a_byte_order_mark() {
        let env = EnvVars::fixed([("TENANT", "\u{feff}acme"), ("OTHER", "ac\u{feff}me")]);
        let error = env.get("TENANT").unwrap_err();
        assert_eq!(error.code(), ErrorCode::SettingInvalid);
        let shown = ExitError::from(error).to_string();
        assert!(
            shown.contains("TENANT begins with a byte order mark") && !shown.contains("acme"),
            "{shown}"
        );
        assert!(env.parse::<String>("TENANT").is_err());
        assert!(env.get("OTHER").is_ok());
        let file = EnvVars::fixed::<&str, &str>([])
            .with_defaults([("TENANT".to_owned(), "\u{feff}acme".to_owned())].into());
        assert!(file.get("TENANT").is_err());
        assert_eq!(env.names_with(|value| value.contains("acme")), ["TENANT"]);
    }

    #[test]
    fn empty_variable_counts_as_absent() {
        assert_eq!(EnvVars::fixed([("A", "")]).get("A"), Ok(None));
    }

    #[test]
    fn default_applies_only_if_neither_spelling_is_set() {
        let defaults = [("A", "1"), ("B", "2"), ("C_FILE", "3"), ("D", "4"), ("E", "5")];
        let set = [("A", "a"), ("B_FILE", "b"), ("C", "c"), ("D", "")];
        let env =
            EnvVars::fixed(set).with_defaults(defaults.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let value = |name: &str| env.get(name).unwrap();
        assert_eq!(value("A").as_deref(), Some("a"));
        assert_eq!((value("B"), value("C_FILE")), (None, None));
        assert_eq!(
            value("D").as_deref(),
            Some("4"),
            "an empty value counts as absent"
        );
        assert_eq!(value("E").as_deref(), Some("5"));
        assert_eq!(env.names(), ["A", "B_FILE", "C", "D", "E"]);
        assert!(!format!("{env:?}").contains('5'));
    }

    #[test]
    fn rejects_forbidden_variables_by_name_and_pattern() {
        let env = EnvVars::fixed([
            ("APP_DATABASE_URL", "x"),
            ("PATH", "/bin"),
            ("SYNAPSOR_READER_KEY", "k"),
            ("pghost", "h"),
        ]);
        let error = env
            .forbid(&["*DATABASE_URL*", "SYNAPSOR_*_KEY", "PG*", "NOT_THERE"])
            .unwrap_err();
        assert_eq!(
            error,
            SettingError::Forbidden {
                names: vec![
                    "APP_DATABASE_URL".into(),
                    "SYNAPSOR_READER_KEY".into(),
                    "pghost".into()
                ]
            }
        );
        assert_eq!(env.forbid(&["PATH_*", "*_PATH", "ATH"]), Ok(()));
    }

    #[test]
    fn debug_shows_names_only() {
        let shown = format!("{:?}", EnvVars::fixed([("TOKEN", "hunter2")]));
        assert!(shown.contains("TOKEN") && !shown.contains("hunter2"));
    }
}
