//! What ends a process badly: a stable code, a sentence, a way out and an exit code. Holds no secrets: whatever
//! it is given is scrubbed before it is kept.

use std::borrow::Cow;
use std::fmt;

use crate::telemetry::redact;

/// Everything went well.
pub const EXIT_OK: u8 = 0;
/// Something failed.
pub const EXIT_FAILURE: u8 = 1;
/// The command line or a setting is wrong.
pub const EXIT_USAGE: u8 = 2;
/// A service that was needed does not answer.
pub const EXIT_UNREACHABLE: u8 = 6;

/// Why a process or a command ends badly, in the form in which a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitError {
    code: Cow<'static, str>,
    message: String,
    fix: Option<String>,
    exit: u8,
}

impl ExitError {
    /// A failure with exit code 1. `code` is a stable UPPER_SNAKE word; `message` says what happened and where.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        Self {
            code: code.into(),
            message: redact::redact(message.as_ref()),
            fix: None,
            exit: EXIT_FAILURE,
        }
    }

    /// A failure with exit code 2: the command line or a setting is wrong.
    pub fn usage(code: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        Self::new(code, message).with_exit(EXIT_USAGE)
    }

    /// A failure with exit code 6: a service that was needed does not answer.
    pub fn unreachable(code: impl Into<Cow<'static, str>>, message: impl AsRef<str>) -> Self {
        Self::new(code, message).with_exit(EXIT_UNREACHABLE)
    }

    /// Adds what the reader can do about it.
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

    /// The stable code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What happened, without secrets.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, when there is something to do.
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    /// The exit code of the process.
    pub fn exit(&self) -> u8 {
        self.exit
    }
}

/// `error[CODE]: message`, and `fix: …` on a second line when there is one.
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
    fn a_failure_prints_code_message_and_fix_on_two_lines() {
        let failure = ExitError::unreachable("UNREACHABLE", "nothing listens").with_fix("start it");
        assert_eq!(
            failure.to_string(),
            "error[UNREACHABLE]: nothing listens\nfix: start it"
        );
        assert_eq!(failure.exit(), EXIT_UNREACHABLE);
    }

    #[test]
    fn a_failure_keeps_no_secret_and_no_control_characters() {
        let failure = ExitError::new("X", "cannot use postgres://app:hunter2@db/x\u{1b}[31m\nnext");
        assert!(!format!("{failure:?}").contains("hunter2"));
        assert!(!failure.message().contains(['\u{1b}', '\n']));
    }
}
