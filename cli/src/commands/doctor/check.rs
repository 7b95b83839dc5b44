//! One check of the doctor with its result.

use serde::Serialize;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::{FindingSeverity, PreflightFinding};

/// Result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckLevel {
    Pass,
    Warn,
    Fail,
}

impl CheckLevel {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct DoctorCheck {
    /// Name with the object, such as `env:BILLING_READ_URL`.
    pub(super) name: String,
    pub(super) ok: bool,
    pub(super) level: CheckLevel,
    /// Stable code of a finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<ErrorCode>,
    pub(super) message: String,
    /// Consequence of the finding; empty if the message names it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) why: &'static str,
    /// A command or statements that can be pasted, or an instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl DoctorCheck {
    pub(super) fn pass(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: true,
            level: CheckLevel::Pass,
            code: None,
            message: message.into(),
            why: "",
            fix: None,
        }
    }

    pub(super) fn finding(
        name: impl Into<String>,
        (level, code): (CheckLevel, ErrorCode),
        message: impl Into<String>,
        why: &'static str,
        fix: Option<String>,
    ) -> Self {
        Self {
            name: name.into(),
            ok: level != CheckLevel::Fail,
            level,
            code: Some(code),
            message: message.into(),
            why,
            fix,
        }
    }

    /// Converts a finding of a preflight.
    pub(super) fn of_preflight(name: impl Into<String>, finding: &PreflightFinding) -> Self {
        let level = match finding.severity {
            FindingSeverity::Ok => return Self::pass(name, finding.text.clone()),
            FindingSeverity::Warning => CheckLevel::Warn,
            FindingSeverity::Error => CheckLevel::Fail,
        };
        Self::finding(
            name,
            (level, finding.code),
            finding.text.clone(),
            "",
            finding.fix.clone(),
        )
    }

    /// Converts the error of something that a check needs.
    pub(super) fn of_error(name: impl Into<String>, error: &ExitError) -> Self {
        let fix = error.fix().map(str::to_owned);
        Self::finding(name, (CheckLevel::Fail, error.code()), error.message(), "", fix)
    }
}
