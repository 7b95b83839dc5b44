//! Validation report: every issue with its path, code and fix.

use serde::Serialize;

use super::forbidden::connection_url_at;
use synapsor_codes::ErrorCode;

/// One thing to fix. `path` is rooted at `$`, as in `$.capabilities[0].args.order_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationIssue {
    pub path: String,
    pub code: ErrorCode,
    pub message: String,
}

/// All problems of one file, in the order of the file's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValidationReport {
    pub errors: Vec<ValidationIssue>,
    pub warnings: Vec<ValidationIssue>,
}

impl ValidationIssue {
    /// Does not repeat a URL in the position of a name: it may contain a password.
    fn new(path: String, code: ErrorCode, message: String) -> Self {
        Self {
            path: without_url(path, "[URL]"),
            code,
            message: without_url(message, "[URL]"),
        }
    }
}

/// The text up to its first connection URL, which may end anywhere.
fn without_url(text: String, instead: &str) -> String {
    match connection_url_at(&text) {
        Some(at) => format!("{}{instead}", &text[..at]),
        None => text,
    }
}

impl ValidationReport {
    /// True if there is no error; warnings do not count.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn error(&mut self, path: impl Into<String>, code: ErrorCode, message: impl Into<String>) {
        self.errors
            .push(ValidationIssue::new(path.into(), code, message.into()));
    }

    pub(super) fn warn(&mut self, path: impl Into<String>, code: ErrorCode, message: impl Into<String>) {
        self.warnings
            .push(ValidationIssue::new(path.into(), code, message.into()));
    }
}

impl Serialize for ValidationIssue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut problem = serializer.serialize_struct("Problem", 3)?;
        problem.serialize_field("path", &self.path)?;
        problem.serialize_field("code", self.code.as_str())?;
        problem.serialize_field("message", &self.message)?;
        problem.end()
    }
}

/// The public form `{ok, errors, warnings}`.
impl Serialize for ValidationReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut report = serializer.serialize_struct("Report", 3)?;
        report.serialize_field("ok", &self.is_ok())?;
        report.serialize_field("errors", &self.errors)?;
        report.serialize_field("warnings", &self.warnings)?;
        report.end()
    }
}
