-- What was delivered to each webhook. This is working state, not a view of the events: the log is the outbox, and a
-- webhook needs only its position in it and the events that failed.

CREATE TABLE webhooks (
  name             TEXT PRIMARY KEY,
  -- Every earlier event was delivered, is not for this webhook, or is in one of the two other tables.
  position         INTEGER NOT NULL,
  delivered        INTEGER NOT NULL DEFAULT 0,
  last_delivery_at INTEGER,
  last_failure_at  INTEGER,
  last_failure     TEXT
) STRICT, WITHOUT ROWID;

-- Subjects whose next event failed or waits. Their later events below the position wait with it.
CREATE TABLE webhook_waiting (
  name     TEXT NOT NULL REFERENCES webhooks (name),
  -- A proposal id, or `#` and the position of an event without a proposal.
  subject  TEXT NOT NULL,
  next     INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  retry_at INTEGER NOT NULL,
  failure  TEXT NOT NULL,
  PRIMARY KEY (name, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_dead_letters (
  name     TEXT NOT NULL REFERENCES webhooks (name),
  seq      INTEGER NOT NULL,
  subject  TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  died_at  INTEGER NOT NULL,
  failure  TEXT NOT NULL,
  -- Time of the next attempt that an operator requested; NULL for none.
  retry_at INTEGER,
  PRIMARY KEY (name, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_dead_letters_again ON webhook_dead_letters (name, retry_at) WHERE retry_at IS NOT NULL;
