//! Error that ends a process: stable code, message and fix. It redacts secrets from every text it stores.

use std::fmt;

use serde::{Deserialize, Serialize};
use synapsor_codes::{ErrorCode, Exit};

use crate::telemetry::redact;

/// User-facing error of a process or a command. As JSON it has the members `code`, `message` and `fix`; it is read
/// back like that from a child process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitError {
    code: ErrorCode,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl ExitError {
    /// Creates an error. `message` states the object and its state.
    pub fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        Self {
            code,
            message: redact::redact(message.as_ref()),
            fix: None,
        }
    }

    /// Adds the process that failed to the message.
    #[must_use]
    pub fn of_process(mut self, name: &str) -> Self {
        self.message = format!("the {name} ended: {}", self.message);
        self
    }

    /// Adds the fix: one instruction for the user.
    #[must_use]
    pub fn with_fix(mut self, fix: impl AsRef<str>) -> Self {
        self.fix = Some(redact::redact(fix.as_ref()));
        self
    }

    /// Returns the stable code.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// Returns the message, without secrets.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the fix, if there is one.
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    /// Returns how the process ends, which follows from the code.
    pub const fn exit(&self) -> Exit {
        self.code.exit()
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
        let failure = ExitError::new(ErrorCode::Unreachable, "nothing listens").with_fix("start it");
        assert_eq!(
            failure.to_string(),
            "error[UNREACHABLE]: nothing listens\nfix: start it"
        );
        assert_eq!(failure.exit(), Exit::Unreachable);
    }

    #[test]
    fn error_keeps_no_secret_and_no_control_characters() {
        let failure = ExitError::new(
            ErrorCode::Internal,
            "cannot use postgres://app:hunter2@db/x\u{1b}[31m\nnext",
        );
        assert!(!format!("{failure:?}").contains("hunter2"));
        assert!(!failure.message().contains(['\u{1b}', '\n']));
    }
}
