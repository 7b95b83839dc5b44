-- What people did instead of applying shadow proposals, and the times of events.

CREATE TABLE human_actions (
  digest      BLOB PRIMARY KEY,
  proposal_id TEXT NOT NULL REFERENCES proposals (proposal_id),
  seq         INTEGER NOT NULL UNIQUE,
  person      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX human_actions_by_proposal ON human_actions (proposal_id, seq);

CREATE INDEX proposals_of_shadow ON proposals (created_seq) WHERE mode = 'shadow';

-- Of each complete segment of 4,096 events: the earliest and the latest time of an event, in milliseconds since 1970.
CREATE TABLE event_times (
  segment INTEGER PRIMARY KEY,
  at_min  INTEGER NOT NULL,
  at_max  INTEGER NOT NULL
) STRICT;
