//! PostgreSQL: the receipt table, optionally in a separate schema, and column rights. The server identifies the
//! database itself, so there is no identity table.

use super::{GrantPlan, grant_columns, line, schemas, targets, unsafe_name};
use crate::error::PublicError;

/// Maximum size of a name, in bytes; the server truncates longer ones.
const NAME_BYTES_MAX: usize = 63;

pub(super) fn receipt_table_ddl(schema: &str, table: &str) -> String {
    let name = format!("{}.{}", quote(schema), quote(table));
    let mut text = String::new();
    if schema != "public" {
        text = format!("CREATE SCHEMA IF NOT EXISTS {};\n", quote(schema));
    }
    text + &format!(
        "CREATE TABLE IF NOT EXISTS {name} (
  proposal_id text COLLATE \"C\" NOT NULL PRIMARY KEY,
  proposal_digest text COLLATE \"C\" NOT NULL,
  outcome text COLLATE \"C\" NOT NULL,
  reason text COLLATE \"C\" NOT NULL,
  rows_affected bigint NOT NULL,
  previous_version text COLLATE \"C\",
  new_version text COLLATE \"C\",
  fence bigint NOT NULL,
  executor_id text COLLATE \"C\" NOT NULL,
  ledger_size bigint NOT NULL,
  ledger_root text COLLATE \"C\" NOT NULL,
  db_identity text COLLATE \"C\" NOT NULL,
  created_at text COLLATE \"C\" NOT NULL,
  receipt text COLLATE \"C\" NOT NULL,
  executor_key text COLLATE \"C\" NOT NULL,
  executor_sig text COLLATE \"C\" NOT NULL
);
CREATE INDEX IF NOT EXISTS {} ON {name} (created_at, proposal_id);
",
        quote(&time_index_name(table))
    )
}

/// Returns the name that the server itself gives to an index on these columns, so that a migration that is run again
/// finds the index of a release that did not name it.
fn time_index_name(table: &str) -> String {
    const COLUMNS: &str = "_created_at_proposal_id_idx";
    let room = NAME_BYTES_MAX - COLUMNS.len();
    format!("{}{COLUMNS}", &table[..table.floor_char_boundary(room)])
}

pub(super) fn grants(plan: &GrantPlan) -> Result<String, PublicError> {
    let mut text = String::new();
    if let Some(role) = &plan.read_role {
        text.push_str("-- The reader: the columns that capabilities read.\n");
        grant_targets(&mut text, plan, &role_name(role)?, false);
    }
    if let Some(role) = &plan.write_role {
        let role = role_name(role)?;
        text.push_str(
            "-- The writer: the columns that it compares, the columns that it sets, the version of a row, and new receipts.\n",
        );
        grant_targets(&mut text, plan, &role, true);
        for target in targets(plan, true) {
            let name = format!("{}.{}", quote(&target.schema), quote(&target.table));
            let statement = format!("GRANT SELECT (\"ctid\", \"xmin\") ON {name} TO {role};");
            line(&mut text, &statement);
        }
        let (schema, table) = (quote(&plan.receipt_schema), quote(&plan.receipt_table));
        if !schemas(plan, true).contains(&plan.receipt_schema.as_str()) {
            line(&mut text, &format!("GRANT USAGE ON SCHEMA {schema} TO {role};"));
        }
        line(
            &mut text,
            &format!("GRANT SELECT, INSERT ON {schema}.{table} TO {role};"),
        );
    }
    Ok(text)
}

fn grant_targets(text: &mut String, plan: &GrantPlan, role: &str, for_writing: bool) {
    for schema in schemas(plan, for_writing) {
        line(
            text,
            &format!("GRANT USAGE ON SCHEMA {} TO {role};", quote(schema)),
        );
    }
    grant_columns(text, plan, role, for_writing, quote);
}

fn role_name(role: &str) -> Result<String, PublicError> {
    if role.is_empty() || role.len() > NAME_BYTES_MAX || role.chars().any(char::is_control) {
        return Err(unsafe_name(
            "use a role name of 1 to 63 bytes without control characters",
        ));
    }
    Ok(quote(role))
}

/// Quotes a name as an identifier.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
