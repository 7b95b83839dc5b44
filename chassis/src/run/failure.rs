//! Error that ends a process: stable code, message, fix and exit code. It redacts secrets from every text it
//! stores.

use std::borrow::Cow;
use std::fmt;

use crate::telemetry::redact;

/// Success.
pub const EXIT_OK: u8 = 0;
/// Failure.
pub const EXIT_FAILURE: u8 = 1;
/// Invalid command line or setting.
pub const EXIT_USAGE: u8 = 2;
/// A required service is unreachable.
pub const EXIT_UNREACHABLE: u8 = 6;

/// User-facing error of a process or a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitError {
    code: Cow<'static, str>,
    message: String,
    fix: Option<String>,
    exit: u8,
}

impl ExitError {
    /// Creates an error with exit code 1. `code` is a stable UPPER_SNAKE word; `message` states the object and its
    /// state.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        Self {
            code: code.into(),
            message: redact::redact(message.as_ref()),
            fix: None,
            exit: EXIT_FAILURE,
        }
    }

    /// Creates an error with exit code 2: invalid command line or setting.
    pub fn usage(code: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        Self::new(code, message).with_exit(EXIT_USAGE)
    }

    /// Creates an error with exit code 6: a required service is unreachable.
    pub fn unreachable(code: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        Self::new(code, message).with_exit(EXIT_UNREACHABLE)
    }

    /// Adds the fix: one instruction for the user.
    #[must_use]
    pub fn with_fix(mut self, fix: impl AsRef<str>) -> Self {
        self.fix = Some(redact::redact(fix.as_ref()));
        self
    }

    /// Sets the exit code.
    #[must_use]
    pub fn with_exit(mut self, exit: u8) -> Self {
        self.exit = exit;
        self
    }

    /// Returns the stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the message, without secrets.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the fix, if there is one.
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    /// Returns the exit code of the process.
    pub fn exit(&self) -> u8 {
        self.exit
    }
}

/// Formats `error[CODE]: message`, and `fix: …` on a second line if there is one.
impl fmt::Display for ExitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        match &self.fix {
            Some(fix) => write!(f, "\nfix: {fix}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ExitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_prints_code_message_and_fix_on_two_lines() {
        let failure = ExitError::unreachable("UNREACHABLE", "nothing listens").with_fix("start it");
        assert_eq!(
            failure.to_string(),
            "error[UNREACHABLE]: nothing listens\nfix: start it"
        );
        assert_eq!(failure.exit(), EXIT_UNREACHABLE);
    }

    #[test]
    fn error_keeps_no_secret_and_no_control_characters() {
        let failure = ExitError::new("X", "cannot use postgres://app:hunter2@db/x\u{1b}[31m\nnext");
        assert!(!format!("{failure:?}").contains("hunter2"));
        assert!(!failure.message().contains(['\u{1b}', '\n']));
    }
}
