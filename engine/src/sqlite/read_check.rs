//! Checks whether the table and columns of a target exist. A process that can open the file can read all of
//! it.

use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::{Engine, Finding, PreflightTarget};

pub async fn check(engine: &dyn Engine, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError> {
    let problem = |code, text| Finding {
        severity: FindingSeverity::Error,
        code,
        text,
        fix: None,
    };
    let shape = match engine.table_schema(&target.schema, &target.table).await {
        Ok(shape) => shape,
        Err(error) if error.kind == EngineErrorKind::NotFound => {
            let text = format!("there is no table `{}`", target.table);
            return Ok(vec![problem(ErrorCode::TableMissing, text)]);
        }
        Err(error) => return Err(error),
    };
    let absent = target.reads.iter().filter(|name| shape.column(name).is_none());
    let missing = |name| format!("the table `{}` has no column `{name}`", target.table);
    Ok(absent
        .map(|name| problem(ErrorCode::ColumnMissing, missing(name)))
        .collect())
}
