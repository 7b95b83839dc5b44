//! Settings of a session: the statements that configure it for its purpose, and the variables that are
//! compared before a COMMIT. A trigger can change almost every variable of its session.

use std::time::Duration;

use super::connect::Flavor;
use super::session::{Cells, MysqlConn, MysqlStatementError};
use crate::Access;
use synapsor_source::error::EngineError;

const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,\
    NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES";

/// Variables of either server that affect our statements, our reads, or the meaning of a COMMIT.
const WATCHED: [&str; 55] = [
    "autocommit",
    "big_tables",
    "binlog_format",
    "binlog_row_image",
    "character_set_client",
    "character_set_connection",
    "character_set_database",
    "character_set_results",
    "collation_connection",
    "collation_database",
    "completion_type",
    "default_week_format",
    "div_precision_increment",
    "foreign_key_checks",
    "group_concat_max_len",
    "innodb_lock_wait_timeout",
    "lc_time_names",
    "lock_wait_timeout",
    "low_priority_updates",
    "net_read_timeout",
    "net_write_timeout",
    "max_join_size",
    "max_sort_length",
    "optimizer_switch",
    "sql_auto_is_null",
    "sql_big_selects",
    "sql_log_bin",
    "sql_mode",
    "sql_quote_show_create",
    "sql_safe_updates",
    "sql_select_limit",
    "time_zone",
    "unique_checks",
    "updatable_views_with_limit",
    "wait_timeout",
    // Variables of one server or of some versions.
    "character_set_collations",
    "check_constraint_checks",
    "default_collation_for_utf8mb4",
    "idle_readonly_transaction_timeout",
    "idle_transaction_timeout",
    "idle_write_transaction_timeout",
    "max_execution_time",
    "max_statement_time",
    "old_mode",
    "pseudo_thread_id",
    "query_cache_type",
    "resultset_metadata",
    "show_create_table_verbosity",
    "skip_replication",
    "sql_path",
    "system_versioning_asof",
    "transaction_isolation",
    "transaction_read_only",
    "tx_isolation",
    "tx_read_only",
];
/// Compared besides variables: the role of the account, and whether the session has a fixed clock, which
/// statements use as the current time. A statement ends long before ten seconds.
const OTHERS: [(&str, &str); 2] = [
    ("role", "CURRENT_ROLE()"),
    ("timestamp", "ABS(TIMESTAMPDIFF(SECOND, SYSDATE(), NOW())) < 10"),
];
/// Resets the session to the server's clock.
pub const SERVERS_CLOCK: &str = "SET SESSION timestamp = DEFAULT";

/// Statements that configure a session for its purpose; constants of this program, without values.
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
             sql_quote_show_create = 1, timestamp = DEFAULT, {of_server}"
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

/// The watched variables of a server with their values in this session, and the role of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    names: Vec<String>,
    values: Vec<Option<String>>,
}

impl Settings {
    /// Reads the settings right after the session's own statements have set them.
    pub async fn of_new(session: &mut MysqlConn) -> Result<Self, MysqlStatementError> {
        let sql = format!(
            "SHOW SESSION VARIABLES WHERE Variable_name IN ('{}')",
            WATCHED.join("', '")
        );
        let rows = session.rows(&sql, Vec::new()).await?;
        let names = rows
            .iter()
            .map(|row| row.text(0))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            // A name from the server becomes part of a statement only if it is in our list.
            .filter(|name| WATCHED.contains(&name.as_str()))
            .collect();
        let values = Vec::new();
        Self { names, values }.again(session).await
    }

    /// Reads the current values of the same variables.
    pub async fn again(&self, session: &mut MysqlConn) -> Result<Self, MysqlStatementError> {
        let answer = session.rows(&self.statement(), Vec::new()).await?;
        Ok(self.read(answer.first())?)
    }

    /// Returns the statement that reads these variables in one row.
    pub fn statement(&self) -> String {
        let variables = self.names.iter().map(|name| format!("@@session.{name}"));
        let cells = variables.chain(OTHERS.map(|(_, expression)| expression.to_owned()));
        let cells: Vec<String> = cells.map(|cell| format!("CAST({cell} AS CHAR)")).collect();
        format!("SELECT {}", cells.join(", "))
    }

    /// Reads the values from the row of [`Self::statement`]. A session that suppresses rows returns none.
    pub fn read(&self, row: Option<&Cells>) -> Result<Self, EngineError> {
        let value = |at| row.map_or(Ok(None), |row| row.optional(at));
        let cells = self.names.len() + OTHERS.len();
        Ok(Self {
            names: self.names.clone(),
            values: (0..cells).map(value).collect::<Result<_, _>>()?,
        })
    }

    /// Returns the first variable whose value differs; `role` for the role of the account, `timestamp` for a
    /// clock that was set.
    pub fn first_difference<'a>(&'a self, other: &Self) -> Option<&'a str> {
        let names = self
            .names
            .iter()
            .map(String::as_str)
            .chain(OTHERS.map(|(name, _)| name));
        names
            .zip(self.values.iter().zip(&other.values))
            .find(|(_, (ours, theirs))| ours != theirs)
            .map(|(name, _)| name)
    }
}
