-- The truth: events, their bodies, the nodes of the Merkle tree over them, and one signed checkpoint per batch.

CREATE TABLE events (
  seq   INTEGER PRIMARY KEY CHECK (seq >= 0),
  bytes BLOB NOT NULL,
  leaf  BLOB NOT NULL CHECK (length(leaf) = 32)
) STRICT;

CREATE TABLE bodies (
  event_seq INTEGER PRIMARY KEY REFERENCES events (seq),
  salt      BLOB NOT NULL CHECK (length(salt) = 32),
  bytes     BLOB NOT NULL
) STRICT;

CREATE TABLE nodes (
  idx  INTEGER PRIMARY KEY CHECK (idx >= 0),
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;

CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY CHECK (size >= 0),
  root BLOB NOT NULL CHECK (length(root) = 32),
  note TEXT NOT NULL
) STRICT;

CREATE TRIGGER events_in_order BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq) + 1, 0) FROM events)
BEGIN SELECT RAISE(ABORT, 'events are appended in order'); END;
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END;

CREATE TRIGGER bodies_no_update BEFORE UPDATE ON bodies BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER bodies_no_delete BEFORE DELETE ON bodies BEGIN SELECT RAISE(ABORT, 'append only'); END;

CREATE TRIGGER nodes_in_order BEFORE INSERT ON nodes
WHEN NEW.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM nodes)
BEGIN SELECT RAISE(ABORT, 'nodes are appended in order'); END;
CREATE TRIGGER nodes_no_update BEFORE UPDATE ON nodes BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER nodes_no_delete BEFORE DELETE ON nodes BEGIN SELECT RAISE(ABORT, 'append only'); END;

CREATE TRIGGER checkpoints_in_order BEFORE INSERT ON checkpoints
WHEN NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints)
BEGIN SELECT RAISE(ABORT, 'checkpoints only grow'); END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'append only'); END;

-- Views of the events, for finding things. Each row follows from events and bodies alone. Times are milliseconds
-- since 1970.

CREATE TABLE event_index (
  seq         INTEGER PRIMARY KEY,
  kind        TEXT NOT NULL,
  at          INTEGER NOT NULL,
  proposal_id TEXT
) STRICT;
CREATE INDEX event_index_by_proposal ON event_index (proposal_id, seq) WHERE proposal_id IS NOT NULL;
CREATE INDEX event_index_by_kind ON event_index (kind, seq);

CREATE TABLE proposals (
  proposal_id     TEXT PRIMARY KEY,
  created_seq     INTEGER NOT NULL UNIQUE,
  changed_seq     INTEGER NOT NULL,
  digest          BLOB NOT NULL,
  content_digest  BLOB NOT NULL,
  state           TEXT NOT NULL,
  started         INTEGER NOT NULL DEFAULT 0,
  attempts        INTEGER NOT NULL DEFAULT 0,
  tenant          TEXT NOT NULL,
  principal       TEXT NOT NULL,
  capability      TEXT NOT NULL,
  source_id       TEXT NOT NULL,
  table_name      TEXT NOT NULL,
  object_id       TEXT NOT NULL,
  short_code      TEXT NOT NULL,
  mode            TEXT NOT NULL,
  quorum          INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  not_after       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX proposals_open_content ON proposals (content_digest)
  WHERE state IN ('pending_review', 'approved', 'pending_worker', 'in_doubt');
CREATE INDEX proposals_open_context ON proposals (tenant, principal)
  WHERE state IN ('pending_review', 'approved', 'pending_worker', 'in_doubt');
CREATE INDEX proposals_by_state ON proposals (state, created_seq);
CREATE INDEX proposals_by_tenant ON proposals (tenant, created_seq);
CREATE INDEX proposals_by_capability ON proposals (capability, created_seq);
CREATE INDEX proposals_by_source ON proposals (source_id, created_seq);
CREATE INDEX proposals_by_code ON proposals (short_code);
CREATE INDEX proposals_unfinished ON proposals (source_id, changed_seq)
  WHERE started = 1 AND state IN ('approved', 'pending_worker', 'in_doubt');
CREATE INDEX proposals_waiting ON proposals (source_id, changed_seq) WHERE state IN ('pending_worker', 'in_doubt');
CREATE INDEX proposals_deadline ON proposals (not_after)
  WHERE state IN ('pending_review', 'approved', 'pending_worker') AND started = 0;

CREATE TABLE decisions (
  digest      BLOB PRIMARY KEY,
  proposal_id TEXT NOT NULL REFERENCES proposals (proposal_id),
  seq         INTEGER NOT NULL UNIQUE,
  verdict     TEXT NOT NULL,
  person      TEXT NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX decisions_by_proposal ON decisions (proposal_id, seq);

CREATE TABLE apply_orders (
  digest      BLOB PRIMARY KEY,
  proposal_id TEXT NOT NULL REFERENCES proposals (proposal_id),
  seq         INTEGER NOT NULL UNIQUE,
  person      TEXT NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX apply_orders_by_proposal ON apply_orders (proposal_id, seq);

CREATE TABLE attempts (
  proposal_id TEXT NOT NULL REFERENCES proposals (proposal_id),
  attempt     INTEGER NOT NULL,
  fence       INTEGER NOT NULL,
  seq         INTEGER NOT NULL UNIQUE,
  writer      TEXT NOT NULL,
  result_seq  INTEGER,
  result      TEXT,
  PRIMARY KEY (proposal_id, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE receipts (
  proposal_id TEXT PRIMARY KEY REFERENCES proposals (proposal_id),
  seq         INTEGER NOT NULL UNIQUE,
  digest      BLOB NOT NULL,
  outcome     TEXT NOT NULL,
  reason      TEXT NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX receipts_by_outcome ON receipts (outcome, seq);

CREATE TABLE evidence (
  evidence_id TEXT PRIMARY KEY,
  seq         INTEGER NOT NULL UNIQUE,
  digest      BLOB NOT NULL,
  tenant      TEXT NOT NULL,
  principal   TEXT NOT NULL,
  capability  TEXT NOT NULL,
  source_id   TEXT NOT NULL,
  table_name  TEXT NOT NULL,
  read_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_by_tenant ON evidence (tenant, seq);
CREATE INDEX evidence_by_capability ON evidence (capability, seq);
CREATE INDEX evidence_by_source ON evidence (source_id, seq);

CREATE TABLE evidence_links (
  proposal_id TEXT NOT NULL,
  evidence_id TEXT NOT NULL,
  PRIMARY KEY (proposal_id, evidence_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX evidence_links_by_evidence ON evidence_links (evidence_id, proposal_id);

CREATE TABLE audit (
  audit_id    TEXT PRIMARY KEY,
  seq         INTEGER NOT NULL UNIQUE,
  capability  TEXT NOT NULL,
  tenant      TEXT,
  principal   TEXT,
  result      TEXT NOT NULL,
  evidence_id TEXT,
  proposal_id TEXT,
  at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_tenant ON audit (tenant, seq);
CREATE INDEX audit_by_proposal ON audit (proposal_id, seq) WHERE proposal_id IS NOT NULL;
CREATE INDEX audit_by_evidence ON audit (evidence_id, seq) WHERE evidence_id IS NOT NULL;

-- Working state. Nothing rests on it: a lease only says who may try now, a request only what was answered.

CREATE TABLE leases (
  proposal_id TEXT PRIMARY KEY,
  writer      TEXT NOT NULL,
  token_hash  BLOB NOT NULL,
  fence       INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_writer ON leases (writer) WHERE writer <> '';

CREATE TABLE requests (
  caller      TEXT NOT NULL,
  request_id  TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  answer      TEXT NOT NULL,
  at          INTEGER NOT NULL,
  PRIMARY KEY (caller, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_age ON requests (at);
