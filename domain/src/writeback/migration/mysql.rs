//! MySQL and MariaDB: nothing yet that could be run.

use super::{GrantPlan, unavailable};
use crate::refusal::Refusal;

pub(super) fn receipt_table_ddl(_schema: &str, _table: &str) -> Result<String, Refusal> {
    Err(unavailable("mysql"))
}

pub(super) fn grants(_plan: &GrantPlan) -> Result<String, Refusal> {
    Err(unavailable("mysql"))
}
