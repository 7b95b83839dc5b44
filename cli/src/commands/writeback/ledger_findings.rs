//! Ledger findings of `writeback doctor`: open incidents about receipts, freezes in force, and clock
//! difference. Needs no running writer.

use std::collections::BTreeSet;

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::{FindingSeverity, PreflightFinding, ReceiptIncidentKind};

use crate::connection::LedgerConnection;
use crate::output::safe;
use crate::workflows::{self, LedgerState};
use crate::{Context, state};

/// Clock difference that is tolerated, in milliseconds.
const SAME_MS: i64 = 2_000;
/// Maximum number of proposals named in a finding.
const NAMED_MAX: usize = 5;

/// Returns the findings, or `None` if this command line has no ledger.
pub(in crate::commands) async fn findings(
    context: &Context,
) -> Result<Option<Vec<PreflightFinding>>, ExitError> {
    if context.global.remote.ledger.is_none()
        && state::find(context).is_err_and(|error| error.code() == ErrorCode::StateNotFound)
    {
        return Ok(None);
    }
    let asked = Box::pin(async {
        let session = LedgerConnection::open(context).await?;
        let found = workflows::ledger_state(&session).await;
        session.close().await;
        found
    });
    Ok(Some(match context.unless_stopped(asked).await {
        Ok(found) => of(&found),
        Err(failure) if failure.code() == ErrorCode::Interrupted => return Err(failure),
        Err(failure) => vec![PreflightFinding {
            severity: FindingSeverity::Error,
            code: failure.code(),
            text: format!("cannot query the ledger: {}", failure.message()),
            fix: failure.fix().map(str::to_owned),
        }],
    }))
}

fn of(found: &LedgerState) -> Vec<PreflightFinding> {
    let mut findings: Vec<PreflightFinding> = found
        .incidents
        .iter()
        .map(|((source, kind), proposals)| incident(source, *kind, proposals))
        .collect();
    for freeze in &found.freezes {
        findings.push(PreflightFinding {
            severity: FindingSeverity::Warning,
            code: ErrorCode::WritebackFrozen,
            text: format!(
                "writeback is frozen by {} since {}: {}",
                safe(freeze.person()),
                freeze.freeze().issued_at,
                freeze.digest()
            ),
            fix: Some(format!("synapsor-runner writeback unfreeze {}", freeze.digest())),
        });
    }
    if (found.ledger_now - found.own_now).as_millis().abs() > SAME_MS {
        findings.push(PreflightFinding {
            severity: FindingSeverity::Warning,
            code: ErrorCode::ClocksDiffer,
            text: format!(
                "the clocks differ: ledger {}, this command {}; correct the wrong one",
                found.ledger_now, found.own_now
            ),
            fix: None,
        });
    }
    if found.is_expiry_paused {
        findings.push(PreflightFinding {
            severity: FindingSeverity::Warning,
            code: ErrorCode::ExpiryPaused,
            text: "the ledger's clock jumped; no proposal expires until a writer confirms it".to_owned(),
            fix: None,
        });
    }
    findings
}

fn incident(source: &str, kind: ReceiptIncidentKind, proposals: &BTreeSet<String>) -> PreflightFinding {
    let (what, fix) = match kind {
        ReceiptIncidentKind::EffectLost => (
            "the source lost receipts that the ledger holds, together with their effects",
            format!(
                "synapsor-runner receipts audit --source {source} --all, then restore the database or: \
                 synapsor-runner receipts give-up --source {source} --all-lost"
            ),
        ),
        ReceiptIncidentKind::OrphanReceipt => (
            "the source holds receipts that the ledger rejected",
            adopt(proposals),
        ),
        ReceiptIncidentKind::RowChangedInCommit => (
            "a COMMIT left another version of the row than the one checked",
            adopt(proposals),
        ),
        ReceiptIncidentKind::ReceiptUnproven => (
            "the source holds receipts of a retired writer key that are not in the log",
            adopt(proposals),
        ),
    };
    let named: Vec<_> = proposals.iter().take(NAMED_MAX).map(|id| safe(id)).collect();
    let more = if proposals.len() > NAMED_MAX { ", ..." } else { "" };
    PreflightFinding {
        severity: FindingSeverity::Error,
        code: kind.code(),
        text: format!(
            "source `{}`: {what}: {} ({}{more})",
            safe(source),
            proposals.len(),
            named.join(", ")
        ),
        fix: Some(fix),
    }
}

fn adopt(proposals: &BTreeSet<String>) -> String {
    let first = proposals.first().map(String::as_str).unwrap_or_default();
    format!("check the row, then: synapsor-runner receipts adopt {first}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incident_fix_names_its_receipt_command() {
        let proposals = BTreeSet::from(["wrp_a".to_owned(), "wrp_b".to_owned()]);
        for (kind, command) in [
            (ReceiptIncidentKind::EffectLost, "receipts give-up --source app"),
            (ReceiptIncidentKind::OrphanReceipt, "receipts adopt wrp_a"),
            (ReceiptIncidentKind::RowChangedInCommit, "receipts adopt wrp_a"),
            (ReceiptIncidentKind::ReceiptUnproven, "receipts adopt wrp_a"),
        ] {
            let found = incident("app", kind, &proposals);
            assert_eq!(
                (found.severity, found.code),
                (FindingSeverity::Error, kind.code())
            );
            assert!(found.fix.is_some_and(|fix| fix.contains(command)), "{kind:?}");
            assert!(found.text.contains("2 (wrp_a, wrp_b)"), "{}", found.text);
        }
    }
}
