-- Evidence and audit records in the order of the log. Their ids are random: as the key of the rows each new record
-- changed a page in the middle of its table, and split one every few records.

DROP INDEX audit_by_evidence;
-- Every event about a proposal carries its id, the audit records among them; nothing looks for those by other ways.
DROP INDEX audit_by_proposal;

CREATE TABLE evidence_in_order (
  seq         INTEGER PRIMARY KEY,
  evidence_id TEXT NOT NULL UNIQUE,
  digest      BLOB NOT NULL,
  tenant      TEXT NOT NULL,
  principal   TEXT NOT NULL,
  capability  TEXT NOT NULL,
  source_id   TEXT NOT NULL,
  table_name  TEXT NOT NULL,
  read_at     INTEGER NOT NULL
) STRICT;
INSERT INTO evidence_in_order (seq, evidence_id, digest, tenant, principal, capability, source_id, table_name, read_at)
SELECT seq, evidence_id, digest, tenant, principal, capability, source_id, table_name, read_at
FROM evidence ORDER BY seq;
DROP TABLE evidence;
ALTER TABLE evidence_in_order RENAME TO evidence;
CREATE INDEX evidence_by_tenant ON evidence (tenant, seq);
CREATE INDEX evidence_by_capability ON evidence (capability, seq);
CREATE INDEX evidence_by_source ON evidence (source_id, seq);

CREATE TABLE audit_in_order (
  seq         INTEGER PRIMARY KEY,
  audit_id    TEXT NOT NULL UNIQUE,
  capability  TEXT NOT NULL,
  tenant      TEXT,
  principal   TEXT,
  result      TEXT NOT NULL,
  evidence_id TEXT,
  proposal_id TEXT,
  at          INTEGER NOT NULL
) STRICT;
INSERT INTO audit_in_order (seq, audit_id, capability, tenant, principal, result, evidence_id, proposal_id, at)
SELECT seq, audit_id, capability, tenant, principal, result, evidence_id, proposal_id, at FROM audit ORDER BY seq;
DROP TABLE audit;
ALTER TABLE audit_in_order RENAME TO audit;
CREATE INDEX audit_by_tenant ON audit (tenant, seq);
