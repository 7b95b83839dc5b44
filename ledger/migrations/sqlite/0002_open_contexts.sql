-- How many proposals each tenant and principal has open, so that asking does not mean counting them.

CREATE TABLE open_contexts (
  tenant    TEXT NOT NULL,
  principal TEXT NOT NULL,
  open      INTEGER NOT NULL CHECK (open > 0),
  PRIMARY KEY (tenant, principal)
) STRICT, WITHOUT ROWID;

INSERT INTO open_contexts (tenant, principal, open)
SELECT tenant, principal, count(*) FROM proposals
WHERE state IN ('pending_review', 'approved', 'pending_worker', 'in_doubt') GROUP BY tenant, principal;

DROP INDEX proposals_open_context;
