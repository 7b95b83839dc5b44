//! Preflight of the write path of a file.

use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_engine::sqlite::read::PATH_IDENTITY;
use synapsor_source::{Engine as _, EngineError, Finding, PreflightTarget};

use super::Writing;
use crate::fitness::misfit;
use crate::transaction::Begin as _;

/// Checks the write path of a file: it has no rights, so only the receipt table and the targets are checked.
pub(super) async fn check(
    writing: &Writing,
    targets: &[PreflightTarget],
) -> Result<Vec<Finding>, EngineError> {
    let mut findings = writing.engine.receipt_problems().await?;
    if writing.engine.identity().await?.starts_with(PATH_IDENTITY) {
        findings.push(Finding::missing_identity());
    }
    for target in targets {
        let shape = writing.engine.table_schema(&target.schema, &target.table).await?;
        findings.extend(misfit(target, &shape, |_| true));
        let effects = shape.effects_of_update();
        findings.extend(
            effects
                .iter()
                .map(|effect| Finding::side_effect(&target.table, effect)),
        );
        let missing = target.reads.iter().chain(&target.writes);
        findings.extend(
            missing
                .filter(|name| shape.column(name).is_none())
                .map(|name| Finding {
                    severity: FindingSeverity::Error,
                    code: ErrorCode::ColumnMissing,
                    text: format!("the table `{}` has no column `{name}`", target.table),
                    fix: None,
                }),
        );
    }
    writing.begin().await?.transaction.roll_back().await;
    writing.engine.file.check_directory_writable()?;
    Ok(findings)
}
