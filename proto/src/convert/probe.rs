//! What a probe of a source found.

use synapsor_domain::refusal::Refusal;
use synapsor_domain::writeback::{ProbeFinding, Severity, SourceProbe};

use super::malformed;
use crate::executor::v1;

impl From<SourceProbe> for v1::PreflightReport {
    fn from(probe: SourceProbe) -> Self {
        Self {
            source_id: probe.source_id,
            engine: probe.engine,
            product: probe.product,
            unavailable: probe.unavailable,
            findings: probe.findings.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::PreflightReport> for SourceProbe {
    type Error = Refusal;

    fn try_from(probe: v1::PreflightReport) -> Result<Self, Refusal> {
        let findings: Result<_, Refusal> = probe.findings.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            source_id: probe.source_id,
            engine: probe.engine,
            product: probe.product,
            unavailable: probe.unavailable,
            findings: findings?,
        })
    }
}

impl From<ProbeFinding> for v1::PreflightFinding {
    fn from(finding: ProbeFinding) -> Self {
        let severity = match finding.severity {
            Severity::Fine => v1::FindingSeverity::Ok,
            Severity::Warning => v1::FindingSeverity::Warning,
            Severity::Problem => v1::FindingSeverity::Error,
        };
        Self {
            severity: severity.into(),
            code: finding.code,
            text: finding.text,
            fix: finding.fix,
        }
    }
}

impl TryFrom<v1::PreflightFinding> for ProbeFinding {
    type Error = Refusal;

    fn try_from(finding: v1::PreflightFinding) -> Result<Self, Refusal> {
        let severity = match finding.severity() {
            v1::FindingSeverity::Ok => Severity::Fine,
            v1::FindingSeverity::Warning => Severity::Warning,
            v1::FindingSeverity::Error => Severity::Problem,
            v1::FindingSeverity::Unspecified => return Err(malformed("severity", "is missing")),
        };
        if finding.code.is_empty() {
            return Err(malformed("code", "is missing"));
        }
        Ok(Self {
            severity,
            code: finding.code,
            text: finding.text,
            fix: finding.fix,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_crosses_the_wire_unchanged_and_a_finding_without_severity_does_not() {
        let finding = |severity| ProbeFinding {
            severity,
            code: "GRANT_MISSING".to_owned(),
            text: "the role may not".to_owned(),
            fix: Some("GRANT".to_owned()),
        };
        let probe = SourceProbe {
            findings: [Severity::Problem, Severity::Warning, Severity::Fine]
                .map(finding)
                .to_vec(),
            ..SourceProbe::unavailable("app", "sqlite", "timeout")
        };
        let wire = v1::PreflightReport::from(probe.clone());
        assert_eq!(SourceProbe::try_from(wire.clone()).unwrap(), probe);
        let mut bad = wire;
        bad.findings[0].severity = 0;
        assert_eq!(SourceProbe::try_from(bad).unwrap_err().code, "MALFORMED");
    }
}
