-- An orders shop on PostgreSQL: the table, some rows, the receipt table, and two roles of few rights.
-- Run it as the owner of an empty database: psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f postgres.sql

CREATE SCHEMA shop;
CREATE TABLE shop.orders (
  order_number text PRIMARY KEY,
  shop_id text NOT NULL,
  customer_name text NOT NULL,
  status text NOT NULL CHECK (status IN ('placed', 'packed', 'shipped', 'canceled')),
  ship_street text NOT NULL,
  ship_city text NOT NULL,
  ship_postcode text NOT NULL,
  total_amount numeric(12,2) NOT NULL CHECK (total_amount >= 0),
  internal_note text,
  placed_at timestamptz NOT NULL,
  version integer NOT NULL
);
CREATE INDEX orders_by_shop ON shop.orders (shop_id, placed_at);
INSERT INTO shop.orders VALUES
  ('SO-1001', 'nord', 'Ines Falk', 'placed', 'Hafenweg 4', 'Kiel', '24103', 149.90, 'asked twice about gift wrap', '2026-03-02 09:15:00+00', 1),
  ('SO-1002', 'nord', 'Jonas Brandt', 'packed', 'Lange Reihe 17', 'Hamburg', '20099', 18.00, NULL, '2026-03-01 17:40:12.250001+00', 3),
  ('SO-1003', 'nord', 'Mira Sol', 'shipped', 'Am Markt 1', 'Bremen', '28195', 1204.55, NULL, '2026-02-25 08:00:00+00', 5),
  ('SO-2001', 'sued', 'Toni Huber', 'placed', 'Ringstrasse 30', 'Ulm', '89073', 62.10, 'pays on account', '2026-03-02 11:05:30+00', 1);

-- What `synapsor-runner writeback migration --config postgres.runner.json` prints.
CREATE SCHEMA IF NOT EXISTS "synapsor";
CREATE TABLE IF NOT EXISTS "synapsor"."synapsor_writeback_receipts" (
  proposal_id text COLLATE "C" NOT NULL PRIMARY KEY,
  proposal_digest text COLLATE "C" NOT NULL,
  outcome text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  rows_affected bigint NOT NULL,
  previous_version text COLLATE "C",
  new_version text COLLATE "C",
  fence bigint NOT NULL,
  executor_id text COLLATE "C" NOT NULL,
  ledger_size bigint NOT NULL,
  ledger_root text COLLATE "C" NOT NULL,
  db_identity text COLLATE "C" NOT NULL,
  created_at text COLLATE "C" NOT NULL,
  receipt text COLLATE "C" NOT NULL,
  executor_key text COLLATE "C" NOT NULL,
  executor_sig text COLLATE "C" NOT NULL
);
CREATE INDEX IF NOT EXISTS "synapsor_writeback_receipts_created_at_proposal_id_idx" ON "synapsor"."synapsor_writeback_receipts" (created_at, proposal_id);

-- Two roles without passwords: give each its own with \password, or let it come in as your site does it.
CREATE ROLE orders_reader LOGIN;
CREATE ROLE orders_writer LOGIN;

-- What `synapsor-runner writeback grants --config postgres.runner.json --read-role orders_reader --writer-role orders_writer`
-- prints.
-- The reader: the columns that capabilities read.
GRANT USAGE ON SCHEMA "shop" TO "orders_reader";
GRANT SELECT ("order_number", "customer_name", "status", "ship_street", "ship_city", "ship_postcode", "total_amount", "placed_at", "version", "shop_id") ON "shop"."orders" TO "orders_reader";
-- The writer: the columns that it compares, the columns that it sets, the version of a row, and new receipts.
GRANT USAGE ON SCHEMA "shop" TO "orders_writer";
GRANT SELECT ("order_number", "customer_name", "status", "ship_street", "ship_city", "ship_postcode", "total_amount", "placed_at", "version", "shop_id") ON "shop"."orders" TO "orders_writer";
GRANT UPDATE ("ship_street", "ship_city", "ship_postcode", "version", "status") ON "shop"."orders" TO "orders_writer";
GRANT SELECT ("ctid", "xmin") ON "shop"."orders" TO "orders_writer";
GRANT USAGE ON SCHEMA "synapsor" TO "orders_writer";
GRANT SELECT, INSERT ON "synapsor"."synapsor_writeback_receipts" TO "orders_writer";
