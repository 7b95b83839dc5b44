-- Finds evidence and audit records by every filter of their lists, in segments of 4,096 events, without an index entry
-- for each record.

ALTER TABLE evidence_segments RENAME TO record_segments;
-- Only of records without evidence in the same event.
ALTER TABLE audit ADD COLUMN source_id TEXT;
ALTER TABLE audit ADD COLUMN table_name TEXT;

CREATE TABLE record_postings (
  -- principal, object_id or query_fingerprint.
  field   TEXT NOT NULL,
  segment INTEGER NOT NULL,
  -- For each record: 6 bytes of the digest of its value, 2 bytes of its position in the segment; in ascending order.
  entries BLOB NOT NULL CHECK (length(entries) % 8 = 0),
  PRIMARY KEY (field, segment)
) STRICT;

CREATE TABLE record_times (
  segment INTEGER PRIMARY KEY,
  -- The earliest and the latest time of a record in the segment, in milliseconds since 1970.
  at_min  INTEGER NOT NULL,
  at_max  INTEGER NOT NULL
) STRICT;

-- The views of earlier records are derived again at the next start.
DELETE FROM evidence;
DELETE FROM audit;
DELETE FROM record_segments;
DELETE FROM event_index WHERE kind IN ('evidence_recorded', 'query_audited', 'read_recorded', 'call_refused');
UPDATE record_views_end SET seq = 0;
