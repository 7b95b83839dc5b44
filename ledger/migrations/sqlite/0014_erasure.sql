-- Bodies can be erased by order of an operator. Events and leaves stay.

-- The event that erased the proposal; its tenant, principal and object are empty then.
ALTER TABLE proposals ADD COLUMN erased_seq INTEGER;

CREATE TABLE erased_ranges (
  -- Positions of events without a body, both included.
  first INTEGER PRIMARY KEY,
  last  INTEGER NOT NULL CHECK (last >= first),
  -- The event that erased them.
  seq   INTEGER NOT NULL
) STRICT;

DROP TRIGGER block_bodies_no_update;
CREATE TRIGGER block_bodies_only_erased BEFORE UPDATE ON block_bodies
WHEN NEW.first IS NOT OLD.first OR length(NEW.bodies) >= length(OLD.bodies)
BEGIN SELECT RAISE(ABORT, 'bodies are only erased'); END;
