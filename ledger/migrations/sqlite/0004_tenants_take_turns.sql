-- What waits for a writer, tenant by tenant: the next tenant and its longest waiting proposal are found without
-- looking at what else waits.

CREATE INDEX proposals_queue ON proposals (source_id, tenant, changed_seq) WHERE state = 'pending_worker';
CREATE INDEX proposals_in_doubt ON proposals (source_id, changed_seq) WHERE state = 'in_doubt';
DROP INDEX proposals_waiting;
