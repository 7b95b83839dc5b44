-- Fewer entries for each read. What was found by an index over every record is found by the segments of the log that
-- contain such records, and reads are no longer in the index of events: evidence and audit records have tables.

DROP INDEX evidence_by_tenant;
DROP INDEX evidence_by_capability;
DROP INDEX evidence_by_source;
DROP INDEX audit_by_tenant;

CREATE TABLE evidence_segments (
  -- tenant, capability, source_id or table_name.
  field   TEXT NOT NULL,
  value   TEXT NOT NULL,
  -- Position of the event, divided by 4,096.
  segment INTEGER NOT NULL,
  PRIMARY KEY (field, value, segment)
) STRICT, WITHOUT ROWID;
INSERT INTO evidence_segments (field, value, segment)
SELECT DISTINCT 'tenant', tenant, seq / 4096 FROM evidence
UNION ALL SELECT DISTINCT 'capability', capability, seq / 4096 FROM evidence
UNION ALL SELECT DISTINCT 'source_id', source_id, seq / 4096 FROM evidence
UNION ALL SELECT DISTINCT 'table_name', table_name, seq / 4096 FROM evidence;

DELETE FROM event_index WHERE proposal_id IS NULL AND kind IN ('evidence_recorded', 'query_audited');
