-- Freezes of the deployment and what ended them, so that what is in force is found without reading the log, and what
-- writers confirmed of them.

CREATE TABLE switches (
  digest     BLOB PRIMARY KEY,
  seq        INTEGER NOT NULL UNIQUE,
  is_lift    INTEGER NOT NULL,
  -- The freeze that a lift ends; of a freeze its own digest.
  freeze     BLOB NOT NULL,
  person     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX switches_by_freeze ON switches (freeze, is_lift);

CREATE TABLE switch_confirmations (
  switch_digest BLOB NOT NULL,
  writer        TEXT NOT NULL,
  seq           INTEGER NOT NULL UNIQUE,
  PRIMARY KEY (switch_digest, writer)
) STRICT, WITHOUT ROWID;
