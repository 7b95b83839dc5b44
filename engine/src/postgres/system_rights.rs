//! Rights on the server's own functions and views that every role has unless an administrator revoked them. Statements
//! of this crate need some of them, and the server's error does not say which.

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::ErrorCause;

/// Maximum number of missing rights that an error lists.
const LISTED_MAX: usize = 8;

/// Reads the rights that PUBLIC had when the server was installed and that the role lacks now, as GRANT statements.
pub(super) const MISSING: &str = "SELECT 'GRANT EXECUTE ON FUNCTION pg_catalog.' || p.proname || '(' \
      || pg_catalog.pg_get_function_identity_arguments(p.oid) || ') TO ' || pg_catalog.quote_ident(current_user) || ';' \
      AS missing FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.proacl IS NOT NULL \
      AND NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') \
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_init_privs i \
        WHERE i.objoid = p.oid AND i.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass) \
    UNION ALL SELECT 'GRANT SELECT ON pg_catalog.' || c.relname || ' TO ' || pg_catalog.quote_ident(current_user) || ';' \
    FROM pg_catalog.pg_class c \
    WHERE c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND c.relkind IN ('r', 'v') \
      AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') \
      AND EXISTS (SELECT FROM pg_catalog.pg_init_privs i, pg_catalog.aclexplode(i.initprivs) x \
        WHERE i.objoid = c.oid AND i.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass \
          AND x.grantee = 0 AND x.privilege_type = 'SELECT') \
    ORDER BY missing";

/// Whether missing rights of this kind could be the cause.
pub(super) fn may_cause(error: &EngineError) -> bool {
    error.kind == EngineErrorKind::Denied && error.cause == ErrorCause::Unspecified
}

/// Adds the rights of [`MISSING`] to an error as its cause, if there are any.
pub(super) fn add_cause(error: EngineError, rows: Vec<Vec<Option<String>>>) -> EngineError {
    let mut grants: Vec<String> = rows.into_iter().flatten().flatten().collect();
    if grants.is_empty() {
        return error;
    }
    grants.truncate(LISTED_MAX);
    error.because(ErrorCause::SystemRightsMissing(grants))
}
