//! The statements that a database's owner runs once: the receipt table, the table that says which database it
//! is, and the rights of the writer. Printed on request and never executed by a writer.

use crate::contract::is_identifier;
use crate::refusal::Refusal;

/// The statements that create the receipt table and the identity table.
///
/// # Errors
/// For engines that this build cannot write to, and for names that are no identifiers.
pub fn receipt_table_ddl(engine: &str, schema: &str, table: &str) -> Result<String, Refusal> {
    require_sqlite(engine)?;
    require_names(&[schema, table])?;
    Ok(format!(
        "CREATE TABLE \"{schema}\".\"{table}\" (
  proposal_id TEXT NOT NULL PRIMARY KEY,
  proposal_digest TEXT NOT NULL,
  outcome TEXT NOT NULL,
  reason TEXT NOT NULL,
  rows_affected INTEGER NOT NULL,
  previous_version TEXT,
  new_version TEXT,
  fence INTEGER NOT NULL,
  executor_id TEXT NOT NULL,
  ledger_size INTEGER NOT NULL,
  ledger_root TEXT NOT NULL,
  db_identity TEXT NOT NULL,
  created_at TEXT NOT NULL,
  receipt TEXT NOT NULL,
  executor_key TEXT NOT NULL,
  executor_sig TEXT NOT NULL
) STRICT;
CREATE INDEX \"{schema}\".\"{table}_by_time\" ON \"{table}\" (created_at, proposal_id);
CREATE TABLE IF NOT EXISTS \"{schema}\".\"synapsor_database_identity\" (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  instance TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO \"{schema}\".\"synapsor_database_identity\" (id, instance)
  VALUES (1, lower(hex(randomblob(16))));
"
    ))
}

/// The statements that give a writer's role exactly what it needs.
///
/// # Errors
/// For engines that this build cannot write to, and for names that are no identifiers.
pub fn grants(engine: &str, role: &str, schema: &str, table: &str) -> Result<String, Refusal> {
    require_sqlite(engine)?;
    require_names(&[role, schema, table])?;
    Ok("-- SQLite has no roles: who may write is decided by the permissions of the database file and its folder.\n"
        .to_owned())
}

fn require_sqlite(engine: &str) -> Result<(), Refusal> {
    if engine == "sqlite" {
        return Ok(());
    }
    Err(Refusal::new(
        "ENGINE_NOT_AVAILABLE",
        format!("this build writes to sqlite only; it has no statements for `{engine}`"),
    ))
}

fn require_names(names: &[&str]) -> Result<(), Refusal> {
    match names.iter().find(|name| !is_identifier(name)) {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            "UNSAFE_IDENTIFIER",
            "name schema, table and role with letters, digits and `_`, not beginning with a digit",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_no_identifiers_and_other_engines_get_no_statements() {
        assert!(receipt_table_ddl("sqlite", "main", "receipts").is_ok());
        let refused = receipt_table_ddl("sqlite", "main", "x\"; DROP TABLE y; --").unwrap_err();
        assert_eq!(refused.code, "UNSAFE_IDENTIFIER");
        assert_eq!(
            grants("postgres", "writer", "main", "t").unwrap_err().code,
            "ENGINE_NOT_AVAILABLE"
        );
    }
}
