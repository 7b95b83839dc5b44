//! Rights on the server's own functions and catalogs that every role has unless an administrator revoked them, and that
//! the statements of this program need. The server's error does not say which one is missing.

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::ErrorCause;

use super::connect::PgPooledConnection;
use super::dialect::quote;

/// Functions that opening a connection, describing a table, reading a row or writing it needs, in every supported version.
const FUNCTIONS: [&str; 33] = [
    "pg_backend_pid()",
    "pg_stat_get_activity(integer)",
    "current_database()",
    "pg_is_in_recovery()",
    "current_setting(text)",
    "to_char(timestamp without time zone, text)",
    "clock_timestamp()",
    "pg_prepared_statement()",
    "format_type(oid, integer)",
    "pg_get_expr(pg_node_tree, oid)",
    "pg_get_constraintdef(oid)",
    "pg_get_indexdef(oid)",
    "pg_get_triggerdef(oid)",
    "pg_get_functiondef(oid)",
    "pg_get_ruledef(oid)",
    "pg_get_userbyid(oid)",
    "pg_relation_is_updatable(regclass, boolean)",
    "has_table_privilege(oid, text)",
    "has_any_column_privilege(oid, text)",
    "has_column_privilege(oid, text, text)",
    "has_column_privilege(oid, smallint, text)",
    "pg_has_role(oid, text)",
    "set_config(text, text, boolean)",
    "pg_current_xact_id_if_assigned()",
    "pg_cursor()",
    "pg_lock_status()",
    "pg_stat_get_xact_tuples_inserted(oid)",
    "pg_stat_get_xact_tuples_updated(oid)",
    "pg_stat_get_xact_tuples_deleted(oid)",
    "json_build_object(\"any\")",
    "json_agg(anyelement)",
    "string_agg(text, text)",
    "quote_ident(text)",
];
/// Catalogs that the same needs.
const CATALOGS: [&str; 14] = [
    "pg_attrdef",
    "pg_attribute",
    "pg_cast",
    "pg_class",
    "pg_constraint",
    "pg_database",
    "pg_depend",
    "pg_index",
    "pg_inherits",
    "pg_namespace",
    "pg_policy",
    "pg_proc",
    "pg_trigger",
    "pg_type",
];

/// Returns the statement that reads the role, and the numbers of the rights that it lacks: functions first. Each name in it
/// is qualified and it has no operator, so that it runs no code of others under any search path.
pub(super) fn missing() -> String {
    let number = |at: usize, is_held: String| {
        format!("SELECT '{at}'::pg_catalog.text, current_user::pg_catalog.text WHERE NOT {is_held}")
    };
    let functions = FUNCTIONS
        .iter()
        .map(|name| format!("pg_catalog.has_function_privilege('pg_catalog.{name}'::pg_catalog.text, 'EXECUTE'::pg_catalog.text)"));
    let catalogs = CATALOGS.iter().map(|name| {
        format!(
            "pg_catalog.has_table_privilege('pg_catalog.{name}'::pg_catalog.text, 'SELECT'::pg_catalog.text)"
        )
    });
    let parts = functions.chain(catalogs).enumerate();
    parts
        .map(|(at, is_held)| number(at, is_held))
        .collect::<Vec<_>>()
        .join(" UNION ALL ")
}

/// Returns the statement that reads the numbers of those functions that the role may not call.
pub(super) fn denied(functions: &[&str]) -> String {
    let numbered = functions.iter().enumerate();
    let parts = numbered.map(|(at, name)| {
        format!(
            "SELECT '{at}'::pg_catalog.text WHERE NOT \
             pg_catalog.has_function_privilege('{name}'::pg_catalog.text, 'EXECUTE'::pg_catalog.text)"
        )
    });
    parts.collect::<Vec<_>>().join(" UNION ALL ")
}

/// Returns the functions whose numbers are in the rows of [`denied`].
pub(super) fn named(functions: &[&'static str], rows: &[Vec<Option<String>>]) -> Vec<&'static str> {
    let numbers = rows
        .iter()
        .filter_map(|row| row.first()?.as_deref()?.parse::<usize>().ok());
    numbers
        .filter_map(|number| functions.get(number).copied())
        .collect()
}

/// Whether missing rights of this kind could be the cause.
pub(super) fn may_cause(error: &EngineError) -> bool {
    error.kind == EngineErrorKind::Denied && error.cause == ErrorCause::Unspecified
}

/// Returns the GRANT statements for the rights of this kind that the role of a connection lacks.
pub async fn missing_grants(lease: &mut PgPooledConnection) -> Result<Vec<String>, EngineError> {
    let rows = lease.batch(missing()).await?;
    Ok(rows.iter().filter_map(|row| grant(row)).collect())
}

/// Adds the GRANT statements for the rows of [`missing`] to an error as its cause, if there are any.
pub(super) fn add_cause(error: EngineError, rows: &[Vec<Option<String>>]) -> EngineError {
    let grants: Vec<String> = rows.iter().filter_map(|row| grant(row)).collect();
    if grants.is_empty() {
        return error;
    }
    error.because(ErrorCause::SystemRightsMissing(grants))
}

fn grant(row: &[Option<String>]) -> Option<String> {
    let [Some(number), Some(role)] = row else {
        return None;
    };
    let number: usize = number.parse().ok()?;
    let right = match FUNCTIONS.get(number) {
        Some(name) => format!("EXECUTE ON FUNCTION pg_catalog.{name}"),
        None => format!("SELECT ON pg_catalog.{}", CATALOGS.get(number - FUNCTIONS.len())?),
    };
    Some(format!("GRANT {right} TO {};", quote(role)))
}
