//! SQLite cases as data: damaged receipt tables, damaging triggers and harmless triggers. The proof runs the real
//! processes on them, and the conformance tests run the writeback code.
//!
//! Every case uses a table `invoices` with at least `id` (its key), `status` and `version`, and the receipt table
//! of the migration with its default name.

/// Definition by the owner of the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SqliteCase {
    pub(crate) name: &'static str,
    /// Kind of damage, for statistics.
    pub(crate) kind: &'static str,
    pub(crate) sql: &'static str,
}

const fn case(name: &'static str, kind: &'static str, sql: &'static str) -> SqliteCase {
    SqliteCase { name, kind, sql }
}

/// Receipt tables that differ from the migration.
pub(crate) const RECEIPT_TABLES: &[SqliteCase] = &[
    case(
        "no types",
        "type",
        "ALTER TABLE synapsor_writeback_receipts RENAME TO moved;
         CREATE TABLE synapsor_writeback_receipts AS SELECT * FROM moved;",
    ),
    case(
        "another type",
        "type",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY, proposal_digest ANY NOT NULL,
           outcome TEXT NOT NULL, reason TEXT NOT NULL, rows_affected INTEGER NOT NULL, previous_version TEXT,
           new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL, ledger_size INTEGER NOT NULL,
           ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL, receipt TEXT NOT NULL,
           executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "key that replaces",
        "key",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY ON CONFLICT REPLACE,
           proposal_digest TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, rows_affected INTEGER NOT NULL,
           previous_version TEXT, new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL,
           ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL,
           receipt TEXT NOT NULL, executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "key that ignores",
        "key",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY ON CONFLICT IGNORE,
           proposal_digest TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, rows_affected INTEGER NOT NULL,
           previous_version TEXT, new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL,
           ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL,
           receipt TEXT NOT NULL, executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "wider key",
        "key",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL, proposal_digest TEXT NOT NULL,
           outcome TEXT NOT NULL, reason TEXT NOT NULL, rows_affected INTEGER NOT NULL, previous_version TEXT,
           new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL, ledger_size INTEGER NOT NULL,
           ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL, receipt TEXT NOT NULL,
           executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL, PRIMARY KEY (proposal_id, outcome)) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "key that folds case",
        "collation",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
           proposal_digest TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, rows_affected INTEGER NOT NULL,
           previous_version TEXT, new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL,
           ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL,
           receipt TEXT NOT NULL, executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "no row numbers",
        "storage",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY, proposal_digest TEXT NOT NULL,
           outcome TEXT NOT NULL, reason TEXT NOT NULL, rows_affected INTEGER NOT NULL, previous_version TEXT,
           new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL, ledger_size INTEGER NOT NULL,
           ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL, receipt TEXT NOT NULL,
           executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT, WITHOUT ROWID;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "virtual table",
        "storage",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE VIRTUAL TABLE synapsor_writeback_receipts USING fts5 (proposal_id, proposal_digest, outcome, reason,
           rows_affected, previous_version, new_version, fence, executor_id, ledger_size, ledger_root, db_identity,
           created_at, receipt, executor_key, executor_sig);",
    ),
    case(
        "trigger before the insert",
        "trigger",
        "CREATE TRIGGER stop BEFORE INSERT ON synapsor_writeback_receipts BEGIN SELECT RAISE(IGNORE); END;",
    ),
    case(
        "trigger that alters the receipt",
        "trigger",
        "CREATE TRIGGER alter_it AFTER INSERT ON synapsor_writeback_receipts BEGIN
           UPDATE synapsor_writeback_receipts SET reason = 'altered' WHERE proposal_id = NEW.proposal_id; END;",
    ),
    case(
        "trigger that alters the row",
        "trigger",
        "CREATE TRIGGER alter_row AFTER INSERT ON synapsor_writeback_receipts BEGIN
           UPDATE invoices SET status = 'altered'; END;",
    ),
    case(
        "trigger that deletes the receipt",
        "trigger",
        "CREATE TRIGGER drop_it AFTER INSERT ON synapsor_writeback_receipts BEGIN
           DELETE FROM synapsor_writeback_receipts WHERE proposal_id = NEW.proposal_id; END;",
    ),
    case(
        "another column",
        "default",
        "ALTER TABLE synapsor_writeback_receipts ADD COLUMN extra TEXT DEFAULT 'x';",
    ),
    case(
        "default with an expression",
        "default",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY, proposal_digest TEXT NOT NULL,
           outcome TEXT NOT NULL, reason TEXT NOT NULL DEFAULT (hex(randomblob(4))), rows_affected INTEGER NOT NULL,
           previous_version TEXT, new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL,
           ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL,
           receipt TEXT NOT NULL, executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "computed column",
        "generated",
        "ALTER TABLE synapsor_writeback_receipts ADD COLUMN extra TEXT AS (lower(reason)) VIRTUAL;",
    ),
    case(
        "check",
        "check",
        "DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY, proposal_digest TEXT NOT NULL,
           outcome TEXT NOT NULL CHECK (outcome <> ''), reason TEXT NOT NULL, rows_affected INTEGER NOT NULL,
           previous_version TEXT, new_version TEXT, fence INTEGER NOT NULL, executor_id TEXT NOT NULL,
           ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL, created_at TEXT NOT NULL,
           receipt TEXT NOT NULL, executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "foreign key",
        "check",
        "CREATE TABLE outcomes (name TEXT PRIMARY KEY);
         DROP TABLE synapsor_writeback_receipts;
         CREATE TABLE synapsor_writeback_receipts (proposal_id TEXT NOT NULL PRIMARY KEY, proposal_digest TEXT NOT NULL,
           outcome TEXT NOT NULL REFERENCES outcomes (name) DEFERRABLE INITIALLY DEFERRED, reason TEXT NOT NULL,
           rows_affected INTEGER NOT NULL, previous_version TEXT, new_version TEXT, fence INTEGER NOT NULL,
           executor_id TEXT NOT NULL, ledger_size INTEGER NOT NULL, ledger_root TEXT NOT NULL, db_identity TEXT NOT NULL,
           created_at TEXT NOT NULL, receipt TEXT NOT NULL, executor_key TEXT NOT NULL, executor_sig TEXT NOT NULL) STRICT;
         CREATE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at, proposal_id);",
    ),
    case(
        "another unique key",
        "index",
        "CREATE UNIQUE INDEX one_each ON synapsor_writeback_receipts (executor_id);",
    ),
    case(
        "index with an expression",
        "index",
        "CREATE INDEX folded ON synapsor_writeback_receipts (lower(reason)) WHERE outcome <> 'applied';",
    ),
    case(
        "another time index",
        "index",
        "DROP INDEX synapsor_writeback_receipts_by_time;
         CREATE UNIQUE INDEX synapsor_writeback_receipts_by_time ON synapsor_writeback_receipts (created_at);",
    ),
    case(
        "view",
        "view",
        "ALTER TABLE synapsor_writeback_receipts RENAME TO moved;
         CREATE VIEW synapsor_writeback_receipts AS SELECT * FROM moved;",
    ),
    case(
        "view that takes the insert",
        "view",
        "ALTER TABLE synapsor_writeback_receipts RENAME TO moved;
         CREATE VIEW synapsor_writeback_receipts AS SELECT * FROM moved;
         CREATE TRIGGER take INSTEAD OF INSERT ON synapsor_writeback_receipts BEGIN SELECT 1; END;",
    ),
    case("no table", "missing", "DROP TABLE synapsor_writeback_receipts;"),
    case(
        "table of another spelling",
        "missing",
        "ALTER TABLE synapsor_writeback_receipts RENAME TO moved;
         ALTER TABLE moved RENAME TO SYNAPSOR_WRITEBACK_RECEIPTS;",
    ),
];

/// Triggers that do more than set columns of the row, or set a value other than the approved one.
pub(crate) const DAMAGING_TRIGGERS: &[SqliteCase] = &[
    case(
        "writes a journal",
        "other table",
        "CREATE TABLE journal (line TEXT);
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN INSERT INTO journal VALUES (NEW.id); END;",
    ),
    case(
        "replaces rows elsewhere",
        "other table",
        "CREATE TABLE latest (id TEXT PRIMARY KEY, status TEXT UNIQUE); INSERT INTO latest VALUES ('x', 'open');
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN
           INSERT OR REPLACE INTO latest VALUES (NEW.id, 'open'); END;",
    ),
    case(
        "counts elsewhere",
        "other table",
        "CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO counts VALUES (1, 0);
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN
           INSERT INTO counts VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1; END;",
    ),
    case(
        "writes where nothing is reported",
        "other table",
        "CREATE TABLE hidden (id TEXT PRIMARY KEY) WITHOUT ROWID;
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN INSERT INTO hidden VALUES (NEW.id); END;",
    ),
    case(
        "empties another table",
        "other table",
        "CREATE TABLE stock (line TEXT); INSERT INTO stock VALUES ('a'), ('b');
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN DELETE FROM stock; END;",
    ),
    case(
        "writes a search index",
        "other table",
        "CREATE VIRTUAL TABLE search USING fts5 (line);
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN INSERT INTO search VALUES (NEW.status); END;",
    ),
    case(
        "moves a sequence",
        "other table",
        "CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, line TEXT); INSERT INTO numbered (line) VALUES ('a');
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN UPDATE sqlite_sequence SET seq = 900; END;",
    ),
    case(
        "changes other rows",
        "other rows",
        "CREATE TRIGGER damage AFTER UPDATE OF version ON invoices BEGIN
           UPDATE invoices SET status = 'touched' WHERE id <> NEW.id; END;",
    ),
    case(
        "changes every row",
        "other rows",
        "CREATE TRIGGER damage AFTER UPDATE OF version ON invoices BEGIN UPDATE invoices SET status = 'touched'; END;",
    ),
    case(
        "changes every row behind an OR",
        "other rows",
        "CREATE TRIGGER damage AFTER UPDATE OF version ON invoices BEGIN
           UPDATE invoices SET status = 'touched' WHERE id = NEW.id OR 1; END;",
    ),
    case(
        "deletes other rows",
        "other rows",
        "CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN DELETE FROM invoices WHERE id <> NEW.id; END;",
    ),
    case(
        "deletes the row",
        "own row",
        "CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN DELETE FROM invoices WHERE id = NEW.id; END;",
    ),
    case(
        "rewrites a column that was shown",
        "own row",
        "CREATE TRIGGER damage AFTER UPDATE ON invoices WHEN NEW.status <> 'rewritten' BEGIN
           UPDATE invoices SET status = 'rewritten' WHERE id = NEW.id; END;",
    ),
    case(
        "rewrites before the update",
        "own row",
        "CREATE TRIGGER damage BEFORE UPDATE ON invoices BEGIN
           UPDATE invoices SET status = 'rewritten' WHERE id = NEW.id; END;",
    ),
    case(
        "takes a value from elsewhere",
        "own row",
        "CREATE TABLE prices (price INTEGER); INSERT INTO prices VALUES (7);
         CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET status = (SELECT 'p' || price FROM prices) WHERE id = NEW.id; END;",
    ),
    case(
        "suppresses the update",
        "own row",
        "CREATE TRIGGER damage BEFORE UPDATE ON invoices BEGIN SELECT RAISE(IGNORE); END;",
    ),
    case(
        "writes a receipt",
        "receipts",
        "CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN
           INSERT INTO synapsor_writeback_receipts VALUES (NEW.id, 'd', 'applied', '', 1, NULL, NULL, 1, 'w', 1, 'r', 'i',
             '2026-01-01T00:00:00.000Z', '{}', 'k', 's'); END;",
    ),
    case(
        "deletes receipts",
        "receipts",
        "CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN DELETE FROM synapsor_writeback_receipts; END;",
    ),
    case(
        "changes the identity",
        "receipts",
        "CREATE TRIGGER damage AFTER UPDATE ON invoices BEGIN
           UPDATE synapsor_database_identity SET instance = 'another-one'; END;",
    ),
    case(
        "reaches the row through another table",
        "chain",
        "CREATE TABLE relay (id TEXT);
         CREATE TRIGGER relayed AFTER INSERT ON relay BEGIN UPDATE invoices SET status = 'relayed'; END;
         CREATE TRIGGER damage AFTER UPDATE OF version ON invoices BEGIN INSERT INTO relay VALUES (NEW.id); END;",
    ),
];

/// Triggers that only set columns of their own row, or only raise errors that do not occur.
pub(crate) const HARMLESS_TRIGGERS: &[SqliteCase] = &[
    case(
        "time of the change",
        "time",
        "ALTER TABLE invoices ADD COLUMN touched_at TEXT;
         CREATE TRIGGER touch AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET touched_at = CURRENT_TIMESTAMP WHERE id = NEW.id; END;",
    ),
    case(
        "time of the change by a function",
        "time",
        "ALTER TABLE invoices ADD COLUMN touched_at TEXT;
         CREATE TRIGGER touch AFTER UPDATE ON invoices FOR EACH ROW BEGIN
           UPDATE invoices SET touched_at = datetime('now') WHERE id = OLD.id; END;",
    ),
    case(
        "time with a guard against recursion",
        "time",
        "ALTER TABLE invoices ADD COLUMN touched_at TEXT;
         CREATE TRIGGER touch AFTER UPDATE ON invoices WHEN NEW.touched_at IS OLD.touched_at BEGIN
           UPDATE invoices SET touched_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = NEW.id; END;",
    ),
    case(
        "time of one column's change",
        "time",
        "ALTER TABLE invoices ADD COLUMN touched_at TEXT;
         CREATE TRIGGER touch AFTER UPDATE OF version, status ON invoices BEGIN
           UPDATE invoices SET touched_at = CURRENT_TIMESTAMP WHERE id = NEW.id AND touched_at IS NULL; END;",
    ),
    case(
        "counter",
        "counter",
        "ALTER TABLE invoices ADD COLUMN touches INTEGER;
         CREATE TRIGGER touch AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET touches = coalesce(OLD.touches, 0) + 1 WHERE id = NEW.id; END;",
    ),
    case(
        "row number as the key",
        "counter",
        "ALTER TABLE invoices ADD COLUMN touches INTEGER;
         CREATE TRIGGER touch AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET touches = 1 WHERE rowid = NEW.rowid; END;",
    ),
    case(
        "old value",
        "column",
        "ALTER TABLE invoices ADD COLUMN last_status TEXT;
         CREATE TRIGGER touch AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET last_status = OLD.status WHERE NEW.id = id; END;",
    ),
    case(
        "quoted names and comments",
        "column",
        "ALTER TABLE invoices ADD COLUMN last_status TEXT;
         CREATE TRIGGER [touch it] AFTER UPDATE ON \"invoices\" BEGIN
           -- the status as it was
           UPDATE `invoices` SET \"last_status\" = OLD.\"status\" /* before */ WHERE \"id\" = NEW.[id]; END;",
    ),
    case(
        "two statements",
        "column",
        "ALTER TABLE invoices ADD COLUMN touches INTEGER; ALTER TABLE invoices ADD COLUMN touched_at TEXT;
         CREATE TRIGGER touch AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET touches = 1 WHERE id = NEW.id;
           UPDATE invoices SET touched_at = date('now'), touches = touches + 1 WHERE id = NEW.id; END;",
    ),
    case(
        "case of the values",
        "column",
        "ALTER TABLE invoices ADD COLUMN moved TEXT;
         CREATE TRIGGER touch AFTER UPDATE ON invoices BEGIN
           UPDATE invoices SET moved = CASE WHEN NEW.version > OLD.version THEN 'up' ELSE 'no' END WHERE id = NEW.id; END;",
    ),
    case(
        "refusal before the update",
        "check",
        "CREATE TRIGGER verify BEFORE UPDATE ON invoices BEGIN
           SELECT RAISE(ABORT, 'no status') WHERE NEW.status = ''; END;",
    ),
    case(
        "refusal after the update",
        "check",
        "CREATE TRIGGER verify AFTER UPDATE ON invoices BEGIN
           SELECT CASE WHEN NEW.version < OLD.version THEN RAISE(ROLLBACK, 'backwards') END; END;",
    ),
    case(
        "trigger of another event",
        "event",
        "CREATE TABLE journal (line TEXT);
         CREATE TRIGGER created AFTER INSERT ON invoices BEGIN INSERT INTO journal VALUES (NEW.id); END;
         CREATE TRIGGER deleted AFTER DELETE ON invoices BEGIN INSERT INTO journal VALUES (OLD.id); END;",
    ),
];
