//! Creates the database of the demonstration: two tenants, a few invoices, the tables that a writeback needs.

use std::path::Path;

use rusqlite::Connection;
use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::writeback::{RECEIPT_TABLE, receipt_table_ddl};

const TABLES: &str = "
CREATE TABLE invoices (
  id TEXT NOT NULL PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  customer_name TEXT,
  status TEXT,
  late_fee_cents INTEGER NOT NULL,
  waiver_reason TEXT,
  internal_note TEXT,
  version INTEGER NOT NULL
) STRICT;
CREATE INDEX invoices_by_tenant ON invoices (tenant_id, id);
CREATE TRIGGER invoices_version AFTER UPDATE ON invoices WHEN new.version = old.version
BEGIN
  UPDATE invoices SET version = old.version + 1 WHERE id = new.id;
END;
INSERT INTO invoices VALUES
  ('INV-3001', 'acme', 'Northwind Traders', 'overdue', 5500, NULL, 'called twice in March', 7),
  ('INV-3002', 'acme', 'Contoso Ltd', 'overdue', 2500, NULL, NULL, 3),
  ('INV-3003', 'acme', 'Fabrikam Inc', 'paid', 0, NULL, 'pays early', 12),
  ('INV-3004', 'acme', 'Litware', 'open', 0, NULL, NULL, 1),
  ('INV-9001', 'globex', 'Adventure Works', 'overdue', 7500, NULL, 'strategic account', 4),
  ('INV-9002', 'globex', 'Tailspin Toys', 'open', 0, NULL, NULL, 2);
";

/// Creates the database in a new file.
///
/// # Errors
/// `FILE_EXISTS` if the file exists; else the error of the file system.
pub fn create(path: &Path) -> Result<(), ExitError> {
    files::create_exclusive(path, b"")?;
    fill(path).inspect_err(|_| {
        // This call created the file; a later call would find half a database.
        let _ = std::fs::remove_file(path);
    })
}

fn fill(path: &Path) -> Result<(), ExitError> {
    let receipts = receipt_table_ddl(EngineKind::Sqlite, "main", RECEIPT_TABLE)
        .map_err(|r| ExitError::new(r.code, &r.public))?;
    let write = || -> rusqlite::Result<()> {
        let connection = Connection::open(path)?;
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
        connection.execute_batch(&format!("BEGIN; {TABLES} {receipts} COMMIT;"))?;
        connection.close().map_err(|(_, error)| error)
    };
    write().map_err(|_| {
        ExitError::new(
            ErrorCode::SampleNotMade,
            format!("the sample database {} cannot be written", path.display()),
        )
        .with_fix("check the directory's permissions and the free space")
    })
}
