//! SQLite: the receipt table and the identity table; SQLite has no roles.

pub(super) fn receipt_table_ddl(schema: &str, table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS \"{schema}\".\"{table}\" (
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
CREATE INDEX IF NOT EXISTS \"{schema}\".\"{table}_by_time\" ON \"{table}\" (created_at, proposal_id);
CREATE TABLE IF NOT EXISTS \"{schema}\".\"synapsor_database_identity\" (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  instance TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO \"{schema}\".\"synapsor_database_identity\" (id, instance)
  VALUES (1, lower(hex(randomblob(16))));
"
    )
}

pub(super) fn grants() -> &'static str {
    "-- SQLite has no roles: the permissions of the database file and its directory decide who may write.\n"
}
