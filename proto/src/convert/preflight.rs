//! Converts preflight reports.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::writeback::{FindingSeverity, PreflightFinding, PreflightReport};

use super::malformed;
use crate::executor::v1;

impl From<PreflightReport> for v1::PreflightReport {
    fn from(report: PreflightReport) -> Self {
        Self {
            source_id: report.source_id,
            engine: report.engine,
            product: report.product,
            database_identity: report.database_identity,
            unavailable: report.unavailable,
            findings: report.findings.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::PreflightReport> for PreflightReport {
    type Error = PublicError;

    fn try_from(report: v1::PreflightReport) -> Result<Self, PublicError> {
        let findings: Result<_, PublicError> = report.findings.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            source_id: report.source_id,
            engine: report.engine,
            product: report.product,
            database_identity: report.database_identity,
            unavailable: report.unavailable,
            findings: findings?,
        })
    }
}

impl From<PreflightFinding> for v1::PreflightFinding {
    fn from(finding: PreflightFinding) -> Self {
        let severity = match finding.severity {
            FindingSeverity::Ok => v1::FindingSeverity::Ok,
            FindingSeverity::Warning => v1::FindingSeverity::Warning,
            FindingSeverity::Error => v1::FindingSeverity::Error,
        };
        Self {
            severity: severity.into(),
            code: finding.code.to_string(),
            text: finding.text,
            fix: finding.fix,
        }
    }
}

impl TryFrom<v1::PreflightFinding> for PreflightFinding {
    type Error = PublicError;

    fn try_from(finding: v1::PreflightFinding) -> Result<Self, PublicError> {
        let severity = match finding.severity() {
            v1::FindingSeverity::Ok => FindingSeverity::Ok,
            v1::FindingSeverity::Warning => FindingSeverity::Warning,
            v1::FindingSeverity::Error => FindingSeverity::Error,
            v1::FindingSeverity::Unspecified => return Err(malformed("severity", "is missing")),
        };
        let code = ErrorCode::from_text(&finding.code)
            .ok_or_else(|| malformed("code", "is not a code of this release"))?;
        Ok(Self {
            severity,
            code,
            text: finding.text,
            fix: finding.fix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_round_trips_and_missing_severity_is_rejected() {
        let finding = |severity| PreflightFinding {
            severity,
            code: ErrorCode::GrantMissing,
            text: "the role may not".to_owned(),
            fix: Some("GRANT".to_owned()),
        };
        let report = PreflightReport {
            findings: [
                FindingSeverity::Error,
                FindingSeverity::Warning,
                FindingSeverity::Ok,
            ]
            .map(finding)
            .to_vec(),
            ..PreflightReport::unavailable("app", "sqlite", "timeout")
        };
        let wire = v1::PreflightReport::from(report.clone());
        assert_eq!(PreflightReport::try_from(wire.clone()).unwrap(), report);
        let mut bad = wire;
        bad.findings[0].severity = 0;
        assert_eq!(
            PreflightReport::try_from(bad).unwrap_err().code,
            ErrorCode::Malformed
        );
    }
}
