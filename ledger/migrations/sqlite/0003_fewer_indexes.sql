-- Every event about a proposal carries its id, the audit records among them; nothing looks for those by other ways.
-- Random keys in an index make each read of an agent write a page of its own.

DROP INDEX audit_by_evidence;
DROP INDEX audit_by_proposal;
