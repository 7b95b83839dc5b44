//! The statements that make a session what its use needs.

use std::time::Duration;

use super::connect::Flavor;
use crate::Access;

const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
    NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES";

/// The statements that make a session what its use needs; constants of this program, without values.
pub fn statements(flavor: Flavor, access: Access, timeout: Duration) -> Vec<String> {
    let of_server = match flavor {
        Flavor::Mysql => format!(
            "max_execution_time = {}, show_create_table_verbosity = 0",
            timeout.as_millis().max(1)
        ),
        Flavor::MariaDb => format!(
            "max_statement_time = {:.3}, check_constraint_checks = 1, system_versioning_asof = DEFAULT",
            timeout.as_secs_f64()
        ),
    };
    let mut statements = vec![
        format!(
            "SET SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', autocommit = 1, completion_type = 0, \
             lock_wait_timeout = 2, sql_safe_updates = 0, sql_select_limit = DEFAULT, sql_auto_is_null = 0, \
             sql_quote_show_create = 1, {of_server}"
        ),
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(),
    ];
    statements.push(match access {
        Access::Read => "SET SESSION TRANSACTION READ ONLY".to_owned(),
        // The server ends a transaction whose client is silent, stopped or gone.
        Access::Write => {
            "SET SESSION innodb_lock_wait_timeout = 2, wait_timeout = 10, foreign_key_checks = 1, \
                          unique_checks = 1"
                .to_owned()
        }
    });
    statements
}
