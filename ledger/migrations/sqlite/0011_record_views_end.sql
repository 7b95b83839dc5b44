-- The views of evidence and audit records are written after the batch. Events before this position are in them.

CREATE TABLE record_views_end (
  id  INTEGER PRIMARY KEY CHECK (id = 1),
  seq INTEGER NOT NULL CHECK (seq >= 0)
) STRICT;
INSERT INTO record_views_end (id, seq)
SELECT 1, coalesce((SELECT first + count FROM blocks ORDER BY first DESC LIMIT 1), 0);
