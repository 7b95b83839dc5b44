-- A list of proposals walks an index of what its filter selects, however many others were created or erased.

DROP INDEX proposals_by_state;
DROP INDEX proposals_by_tenant;
DROP INDEX proposals_by_capability;
DROP INDEX proposals_by_source;
CREATE INDEX proposals_by_creation ON proposals (created_seq) WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_state ON proposals (state, created_seq) WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_tenant ON proposals (tenant, created_seq) WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_principal ON proposals (principal, created_seq) WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_capability ON proposals (capability, created_seq) WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_source ON proposals (source_id, created_seq) WHERE erased_seq IS NULL;
CREATE INDEX proposals_by_object ON proposals (object_id, created_seq) WHERE erased_seq IS NULL;
