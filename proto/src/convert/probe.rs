//! Converts preflight reports.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::writeback::{FindingSeverity, PreflightReport, ProbeFinding};

use super::malformed;
use crate::executor::v1;

impl From<PreflightReport> for v1::PreflightReport {
    fn from(probe: PreflightReport) -> Self {
        Self {
            source_id: probe.source_id,
            engine: probe.engine,
            product: probe.product,
            database_identity: probe.database_identity,
            unavailable: probe.unavailable,
            findings: probe.findings.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::PreflightReport> for PreflightReport {
    type Error = PublicError;

    fn try_from(probe: v1::PreflightReport) -> Result<Self, PublicError> {
        let findings: Result<_, PublicError> = probe.findings.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            source_id: probe.source_id,
            engine: probe.engine,
            product: probe.product,
            database_identity: probe.database_identity,
            unavailable: probe.unavailable,
            findings: findings?,
        })
    }
}

impl From<ProbeFinding> for v1::PreflightFinding {
    fn from(finding: ProbeFinding) -> Self {
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

impl TryFrom<v1::PreflightFinding> for ProbeFinding {
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
        let finding = |severity| ProbeFinding {
            severity,
            code: ErrorCode::GrantMissing.to_owned(),
            text: "the role may not".to_owned(),
            fix: Some("GRANT".to_owned()),
        };
        let probe = PreflightReport {
            findings: [
                FindingSeverity::Error,
                FindingSeverity::Warning,
                FindingSeverity::Ok,
            ]
            .map(finding)
            .to_vec(),
            ..PreflightReport::unavailable("app", "sqlite", "timeout")
        };
        let wire = v1::PreflightReport::from(probe.clone());
        assert_eq!(PreflightReport::try_from(wire.clone()).unwrap(), probe);
        let mut bad = wire;
        bad.findings[0].severity = 0;
        assert_eq!(
            PreflightReport::try_from(bad).unwrap_err().code,
            ErrorCode::Malformed
        );
    }
}
