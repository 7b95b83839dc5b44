//! State of a connection that must be the same on every one: its settings, and the facts and prepared statements that
//! the server reports.

use std::time::Duration;

use synapsor_domain::database_identity::UNKNOWN;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Makes the text form of every value the same on every connection; names resolve to `pg_catalog` only.
pub const EXACT_SETTINGS: [(&str, &str); 11] = [
    ("search_path", "pg_catalog, pg_temp"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("row_security", "on"),
    ("plan_cache_mode", "force_generic_plan"),
    // Planning a read would evaluate the constant parts of the table's checks.
    ("constraint_exclusion", "off"),
    // Object descriptions quote names by this setting, and a role can override it.
    ("quote_all_identifiers", "off"),
    // The server warns if a COMMIT did not reach its standby, and that warning has to arrive.
    ("client_min_messages", "warning"),
];

/// Settings that decide how statements are parsed, under which role they run and what they can do. A write transaction
/// must keep them.
pub const STATEMENT_SETTINGS: [&str; 22] = [
    "search_path",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "extra_float_digits",
    "bytea_output",
    "row_security",
    "plan_cache_mode",
    "client_min_messages",
    "client_encoding",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "transaction_read_only",
    "session_replication_role",
    "role",
    "standard_conforming_strings",
    "quote_all_identifiers",
    "transform_null_equals",
    "xmlbinary",
    "lc_monetary",
    "array_nulls",
];

/// The system identifier, and the timeline unless the server is a standby.
pub(super) const SYSTEM_IDENTIFIER: &str =
    "(SELECT c.system_identifier FROM pg_catalog.pg_control_system() c)::text";
pub(super) const TIMELINE: &str = "CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby' \
    ELSE pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) END";

/// Parts of the identity that the role of a connection may read. Some managed servers refuse the functions to every
/// role, and the server checks them even in a branch that is not taken, so that the statement itself must lack them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadableIdentity {
    pub system: bool,
    pub timeline: bool,
}

impl ReadableIdentity {
    /// What every role may read unless an administrator revoked it.
    pub const WHOLE: Self = Self {
        system: true,
        timeline: true,
    };

    /// Returns the expressions of the server's facts: process, its start, the identity, and more.
    pub(super) fn facts(self) -> String {
        let part = |is_readable, expression: &str| {
            if is_readable {
                expression.to_owned()
            } else {
                format!("'{UNKNOWN}'")
            }
        };
        let (system, timeline) = (
            part(self.system, SYSTEM_IDENTIFIER),
            part(self.timeline, TIMELINE),
        );
        format!(
            "'fact', pg_catalog.pg_backend_pid()::text, \
             (SELECT (EXTRACT(epoch FROM a.backend_start) * 1000000)::bigint::text \
              FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a), \
             'postgres:' || {system} || ':' || {timeline} || ':' \
               || (SELECT d.oid::text || ':' || pg_catalog.left(d.datname::text, 20) FROM pg_catalog.pg_database d \
                   WHERE d.datname = pg_catalog.current_database()), \
             pg_catalog.pg_is_in_recovery()::text, pg_catalog.current_setting('transaction_read_only'), \
             pg_catalog.current_setting('track_counts'), pg_catalog.current_setting('server_version'), \
             pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), \
             pg_catalog.current_setting('transaction_isolation')"
        )
    }

    /// Returns the statement that reads the facts.
    pub fn statement(self) -> String {
        format!("SELECT {}", self.facts())
    }
}

/// Facts about the server and the connection.
#[derive(Debug, Clone)]
pub struct ServerFacts {
    pub process_id: i32,
    /// Microseconds since the epoch: another process may have reused the process number.
    process_started: i64,
    pub identity: String,
    pub is_standby: bool,
    pub is_read_only: bool,
    pub counts_changes: bool,
    pub version: String,
    pub now: String,
    pub isolation: String,
}

impl ServerFacts {
    /// Returns the server process that serves the connection, with its start.
    pub const fn process(&self) -> (i32, i64) {
        (self.process_id, self.process_started)
    }

    /// Reads them from a row of [`ReadableIdentity::statement`].
    pub fn of_row(row: &[Option<String>]) -> Result<Self, EngineError> {
        let unexpected = || EngineError::new(EngineErrorKind::Unreadable, "the server facts");
        let text = |at: usize| row.get(at).and_then(Option::as_deref).ok_or_else(unexpected);
        Ok(Self {
            process_id: text(1)?.parse().map_err(|_| unexpected())?,
            process_started: text(2)?.parse().map_err(|_| unexpected())?,
            identity: text(3)?.to_owned(),
            is_standby: text(4)? == "true",
            is_read_only: text(5)? == "on",
            counts_changes: text(6)? == "on",
            version: text(7)?.to_owned(),
            now: text(8)?.to_owned(),
            isolation: text(9)?.to_owned(),
        })
    }
}

/// Timeouts of a connection or of a transaction.
pub fn timeouts(statement: Duration) -> Vec<(&'static str, String)> {
    let statement = statement.as_millis().max(1).to_string();
    vec![
        ("statement_timeout", statement),
        ("lock_timeout", "2000".to_owned()),
        ("idle_in_transaction_session_timeout", "5000".to_owned()),
    ]
}

/// Returns the statement that reads whether the settings of a connection are exact. A pooler can apply some options of
/// a connection and drop the others.
pub(super) fn exact_settings_statement() -> String {
    format!("SELECT ({})::pg_catalog.text", exact_settings())
}

fn exact_settings() -> String {
    // The server adds the order of day and month to the style of dates.
    let are_exact = EXACT_SETTINGS.map(|(name, value)| {
        format!("pg_catalog.starts_with(pg_catalog.current_setting('{name}'), '{value}')")
    });
    are_exact.join(" AND ")
}

/// Returns the statements that restore settings and roles of a connection for reading, and read its prepared statements.
/// Unless it `is_restorable`, a last one reads whether every option of its opening is still there: an option that one
/// reset leaves in place is left in place by all. To read them each time takes the server as long as the read itself.
pub(super) fn restore_statements(timeout: Duration, is_restorable: bool) -> String {
    let restore = format!(
        "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; {}",
        StatementCounts::SQL
    );
    if is_restorable {
        return restore;
    }
    let mut options = timeouts(timeout);
    options.push(("default_transaction_read_only", "on".to_owned()));
    let are_there = options.iter().map(|(name, value)| {
        format!(
            "EXISTS (SELECT FROM pg_catalog.pg_settings s WHERE s.name OPERATOR(pg_catalog.=) '{name}' \
             AND s.setting OPERATOR(pg_catalog.=) '{value}')"
        )
    });
    let are_there: Vec<String> = are_there.collect();
    format!(
        "{restore}; SELECT ({} AND {})::pg_catalog.text",
        exact_settings(),
        are_there.join(" AND ")
    )
}

/// Prepared statements of a connection. Foreign code can drop one and prepare another under its name, which
/// the server then reports as made by SQL, or leave none. SQL cannot create a statement that the server
/// reports as made by the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementCounts {
    of_sql: usize,
    of_protocol: usize,
}

impl StatementCounts {
    /// Returns the statement that reads them; part of a message of its own only, because a prepared statement could
    /// have been replaced.
    pub const SQL: &str = "SELECT 'statements', \
        pg_catalog.count(*) FILTER (WHERE s.from_sql)::pg_catalog.text, \
        pg_catalog.count(*) FILTER (WHERE NOT s.from_sql)::pg_catalog.text FROM pg_catalog.pg_prepared_statement() s";

    /// Reads the counts from a row of [`Self::SQL`].
    pub fn of(row: &[Option<String>]) -> Option<Self> {
        let number = |at: usize| row.get(at)?.as_deref()?.parse().ok();
        Some(Self {
            of_sql: number(1)?,
            of_protocol: number(2)?,
        })
    }

    /// Whether these are exactly the statements that this program prepared.
    pub const fn are_ours(self, prepared: usize) -> bool {
        self.of_sql == 0 && self.of_protocol == prepared
    }
}

/// Settings that end with the transaction.
pub fn local_settings<V: AsRef<str>>(settings: &[(&str, V)]) -> String {
    let set: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("pg_catalog.set_config('{name}', '{}', true)", value.as_ref()))
        .collect();
    format!("SELECT 'set', {}", set.join(", "))
}
