//! Checks by the rights in the catalog whether a reader's account can read the columns of a target.

use super::check::{PgPreflight, check_account, check_columns, missing_rights, rights};
use super::connect::PgPooledConnection;
use synapsor_source::error::EngineError;
use synapsor_source::{Finding, PreflightTarget};

pub async fn check(
    lease: &mut PgPooledConnection,
    target: &PreflightTarget,
) -> Result<Vec<Finding>, EngineError> {
    let mut report = PgPreflight::of(lease).await?;
    check_account(lease, &mut report, &target.schema).await?;
    if let Some(shape) = check_columns(lease, &mut report, target).await? {
        let rights = rights(lease, &target.schema, &target.table).await?;
        missing_rights(&mut report, target, &shape, &rights);
    }
    Ok(report.findings)
}
