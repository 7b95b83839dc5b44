-- Events in blocks: consecutive events in one row, their bodies in another, and the nodes of the tree with the checkpoint
-- of their batch. A row for each event, body and node cost more than everything else about a read.

CREATE TABLE blocks (
  first  INTEGER PRIMARY KEY CHECK (first >= 0),
  count  INTEGER NOT NULL CHECK (count > 0),
  -- Packed: the canonical form of each event.
  events BLOB NOT NULL
) STRICT;

CREATE TABLE block_bodies (
  first  INTEGER PRIMARY KEY CHECK (first >= 0),
  -- Packed: salt and body of each event.
  bodies BLOB NOT NULL
) STRICT;

CREATE TABLE signed_heads (
  size  INTEGER PRIMARY KEY CHECK (size >= 0),
  root  BLOB NOT NULL CHECK (length(root) = 32),
  note  TEXT NOT NULL,
  -- Nodes of complete subtrees that the batch created, 32 bytes each, in the order of their creation.
  nodes BLOB NOT NULL CHECK (length(nodes) % 32 = 0)
) STRICT;
