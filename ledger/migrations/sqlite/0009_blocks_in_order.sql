-- The rows of single events are in blocks now.

DROP TABLE bodies;
DROP TABLE events;
DROP TABLE nodes;
DROP TABLE checkpoints;
ALTER TABLE signed_heads RENAME TO checkpoints;

CREATE TRIGGER blocks_in_order BEFORE INSERT ON blocks
WHEN NEW.first IS NOT coalesce((SELECT first + count FROM blocks ORDER BY first DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'events are appended in order'); END;
CREATE TRIGGER blocks_no_update BEFORE UPDATE ON blocks BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER blocks_no_delete BEFORE DELETE ON blocks BEGIN SELECT RAISE(ABORT, 'append only'); END;

CREATE TRIGGER block_bodies_in_order BEFORE INSERT ON block_bodies
WHEN NEW.first <= (SELECT coalesce(max(first), -1) FROM block_bodies)
BEGIN SELECT RAISE(ABORT, 'bodies are appended in order'); END;
CREATE TRIGGER block_bodies_no_update BEFORE UPDATE ON block_bodies BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER block_bodies_no_delete BEFORE DELETE ON block_bodies BEGIN SELECT RAISE(ABORT, 'append only'); END;

CREATE TRIGGER checkpoints_in_order BEFORE INSERT ON checkpoints
WHEN NEW.size <= (SELECT coalesce(max(size), -1) FROM checkpoints)
BEGIN SELECT RAISE(ABORT, 'checkpoints only grow'); END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints BEGIN SELECT RAISE(ABORT, 'append only'); END;
