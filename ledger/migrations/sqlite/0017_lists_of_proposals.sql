-- A list of proposals reads two indexes only, however many proposals were created or erased.

DROP INDEX proposals_by_state;
DROP INDEX proposals_by_tenant;
DROP INDEX proposals_by_capability;
DROP INDEX proposals_by_source;
DROP INDEX proposals_of_shadow;
-- Every filter with few values. A search for what no proposal has reads this index to its end, and no row.
CREATE INDEX proposals_listed ON proposals
  (created_seq, tenant, principal, capability, source_id, table_name, state, mode, created_at, erased_seq)
  WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_object ON proposals (object_id, created_seq) WHERE erased_seq IS NULL;
CREATE INDEX apply_orders_by_end ON apply_orders (expires_at);
