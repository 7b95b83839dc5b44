-- An orders shop on SQLite: the table, some rows, and the receipt table.
-- Run it into a new file: sqlite3 orders.db < sqlite.sql

PRAGMA journal_mode = WAL;
CREATE TABLE orders (
  order_number TEXT NOT NULL PRIMARY KEY,
  shop_id TEXT NOT NULL,
  customer_name TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('placed', 'packed', 'shipped', 'canceled')),
  ship_street TEXT NOT NULL,
  ship_city TEXT NOT NULL,
  ship_postcode TEXT NOT NULL,
  total_amount TEXT NOT NULL,
  internal_note TEXT,
  placed_at TEXT NOT NULL,
  version INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_by_shop ON orders (shop_id, placed_at);
INSERT INTO orders VALUES
  ('SO-1001', 'nord', 'Ines Falk', 'placed', 'Hafenweg 4', 'Kiel', '24103', '149.90', 'asked twice about gift wrap', '2026-03-02T09:15:00Z', 1),
  ('SO-1002', 'nord', 'Jonas Brandt', 'packed', 'Lange Reihe 17', 'Hamburg', '20099', '18.00', NULL, '2026-03-01T17:40:12.250001Z', 3),
  ('SO-1003', 'nord', 'Mira Sol', 'shipped', 'Am Markt 1', 'Bremen', '28195', '1204.55', NULL, '2026-02-25T08:00:00Z', 5),
  ('SO-2001', 'sued', 'Toni Huber', 'placed', 'Ringstrasse 30', 'Ulm', '89073', '62.10', 'pays on account', '2026-03-02T11:05:30Z', 1);

-- What `synapsor-runner writeback migration --config sqlite.runner.json` prints.
CREATE TABLE IF NOT EXISTS "main"."synapsor_writeback_receipts" (
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
CREATE INDEX IF NOT EXISTS "main"."synapsor_writeback_receipts_by_time" ON "synapsor_writeback_receipts" (created_at, proposal_id);
CREATE TABLE IF NOT EXISTS "main"."synapsor_database_identity" (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  instance TEXT NOT NULL
) STRICT;
INSERT OR IGNORE INTO "main"."synapsor_database_identity" (id, instance)
  VALUES (1, lower(hex(randomblob(16))));
