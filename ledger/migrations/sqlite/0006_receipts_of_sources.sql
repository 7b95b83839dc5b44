-- Receipts by source, so that the newest of a source is found at once; receipts on which a source and the log disagree;
-- and what operators ordered about receipts.

CREATE TABLE source_receipts (
  seq         INTEGER PRIMARY KEY,
  source_id   TEXT NOT NULL,
  proposal_id TEXT NOT NULL UNIQUE,
  created_at  INTEGER NOT NULL,
  -- An operator signed that it may be missing in its source.
  is_given_up INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX source_receipts_expected ON source_receipts (source_id, seq) WHERE is_given_up = 0;
CREATE INDEX source_receipts_by_time ON source_receipts (source_id, created_at) WHERE is_given_up = 0;
INSERT INTO source_receipts (seq, source_id, proposal_id, created_at)
SELECT r.seq, p.source_id, r.proposal_id, r.created_at FROM receipts r JOIN proposals p USING (proposal_id)
ORDER BY r.seq;

CREATE TABLE receipt_incidents (
  -- 1024 times the position of the event, plus that of the receipt in its finding.
  place          INTEGER PRIMARY KEY,
  kind           TEXT NOT NULL,
  source_id      TEXT NOT NULL,
  proposal_id    TEXT NOT NULL,
  receipt_digest TEXT NOT NULL,
  -- The event that settled the receipt; of a lost one only.
  receipt_seq    INTEGER,
  -- The order or settlement that ended the incident.
  ended_seq      INTEGER
) STRICT;
CREATE INDEX receipt_incidents_open ON receipt_incidents (place) WHERE ended_seq IS NULL;
CREATE UNIQUE INDEX receipt_incidents_open_once ON receipt_incidents (proposal_id, receipt_digest, kind, source_id)
  WHERE ended_seq IS NULL;
CREATE INDEX receipt_incidents_lost ON receipt_incidents (source_id, receipt_seq)
  WHERE ended_seq IS NULL AND kind = 'effect_lost';
-- Alarms of earlier builds about receipts of retired writer keys.
INSERT OR IGNORE INTO receipt_incidents (place, kind, source_id, proposal_id, receipt_digest)
SELECT i.seq * 1024, 'receipt_unproven', p.source_id, i.proposal_id,
  json_extract(CAST(b.bytes AS TEXT), '$.presented_digest')
FROM event_index i JOIN bodies b ON b.event_seq = i.seq JOIN proposals p USING (proposal_id)
WHERE i.kind = 'receipt_alarm'
  AND substr(json_extract(CAST(b.bytes AS TEXT), '$.reason'), 1, 25) = 'refused:receipt_unproven:'
ORDER BY i.seq;
UPDATE receipt_incidents SET ended_seq = (SELECT r.seq FROM receipts r
  WHERE r.proposal_id = receipt_incidents.proposal_id
    AND 'sha256:' || lower(hex(r.digest)) = receipt_incidents.receipt_digest);

CREATE TABLE receipt_orders (
  digest    BLOB PRIMARY KEY,
  seq       INTEGER NOT NULL UNIQUE,
  source_id TEXT NOT NULL,
  action    TEXT NOT NULL,
  -- The cut of an order to archive.
  before    INTEGER,
  person    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipt_orders_cut ON receipt_orders (source_id, before, seq) WHERE action = 'archive';

CREATE TABLE receipt_order_refs (
  source_id      TEXT NOT NULL,
  proposal_id    TEXT NOT NULL,
  receipt_digest TEXT NOT NULL,
  action         TEXT NOT NULL,
  seq            INTEGER NOT NULL,
  PRIMARY KEY (source_id, proposal_id, receipt_digest, action, seq)
) STRICT, WITHOUT ROWID;
