//! Preflight of the writer's account: whether it has the rights that a writeback needs, and no broader ones.
//! Reads the rights from the catalog and runs every statement once, with a condition that no row meets,
//! rolled back.

use synapsor_codes::ErrorCode;
use synapsor_domain::schema::TableSchema;

use super::connect::PgPooledConnection;
use super::dialect::{Statement, qualified, quote};
use super::inspect;
use synapsor_domain::writeback::FindingSeverity;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::{Finding, PreflightTarget};

/// Every right of the account on one table, one line each: of the table (empty column) or of a column.
const RIGHTS: &str = "SELECT v.privilege, ''::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, \
      unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) v(privilege) \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND has_table_privilege(c.oid, v.privilege) \
    UNION ALL SELECT v.privilege, a.attname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
      JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND (a.attnum > 0 OR a.attname IN ('ctid', 'xmin')), \
      unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) v(privilege) \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND has_column_privilege(c.oid, a.attnum, v.privilege) \
    UNION ALL SELECT 'OWNER', ''::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND pg_has_role(c.relowner, 'USAGE') \
    UNION ALL SELECT 'PUBLIC ' || x.privilege_type, ''::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, \
      aclexplode(c.relacl) x WHERE n.nspname = $1::text AND c.relname = $2::text AND x.grantee = 0";

/// Attributes of the account besides its rights on tables.
const ACCOUNT: &str = "SELECT current_user::text, r.rolsuper::text, r.rolbypassrls::text, \
    has_schema_privilege($1::text, 'USAGE')::text, has_schema_privilege($1::text, 'CREATE')::text, \
    EXISTS (SELECT 1 FROM pg_namespace n, aclexplode(n.nspacl) x WHERE n.nspname = $1::text AND x.grantee = 0 \
      AND x.privilege_type = 'CREATE')::text \
    FROM pg_roles r WHERE r.rolname = current_user AND EXISTS (SELECT 1 FROM pg_namespace n WHERE n.nspname = $1::text)";

/// Rights of the account on one table.
pub struct Rights {
    pub table: Vec<String>,
    pub columns: Vec<(String, String)>,
}

impl Rights {
    pub fn has(&self, right: &str) -> bool {
        self.table.iter().any(|held| held == right)
    }

    /// Whether every account has the right.
    pub fn is_public(&self, right: &str) -> bool {
        self.table
            .iter()
            .any(|held| held.strip_prefix("PUBLIC ") == Some(right))
    }

    pub fn has_on(&self, right: &str, column: &str) -> bool {
        self.columns
            .iter()
            .any(|(held, name)| held == right && name == column)
    }
}

/// Collects findings.
pub struct PgPreflight {
    pub role: String,
    /// Code for attributes that bypass the rights of the database.
    pub power_code: ErrorCode,
    pub findings: Vec<Finding>,
}

impl PgPreflight {
    /// Starts empty, about the account of this connection.
    pub async fn of(lease: &mut PgPooledConnection) -> Result<Self, EngineError> {
        Ok(Self {
            role: text(&one(lease, "SELECT current_user::text", &[]).await?, 0),
            power_code: ErrorCode::GrantExcessive,
            findings: Vec::new(),
        })
    }

    pub fn add(&mut self, severity: FindingSeverity, code: ErrorCode, text: String, fix: Option<String>) {
        let finding = Finding {
            severity,
            code,
            text,
            fix,
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    pub fn missing(&mut self, text: String, right: &str, on: &str) {
        let fix = format!("GRANT {right} ON {on} TO {};", quote(&self.role));
        self.add(FindingSeverity::Error, ErrorCode::GrantMissing, text, Some(fix));
    }

    /// Reports a right that no writeback needs. A right that everyone has cannot be revoked from one account.
    pub fn excessive(&mut self, text: String, right: &str, on: &str, is_public: bool) {
        let mut fix = format!("REVOKE {right} ON {on} FROM {};", quote(&self.role));
        if is_public {
            fix.push_str(&format!("\nREVOKE {right} ON {on} FROM PUBLIC;"));
        }
        self.add(
            FindingSeverity::Warning,
            ErrorCode::GrantExcessive,
            text,
            Some(fix),
        );
    }
}

pub async fn check_account(
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
    schema: &str,
) -> Result<(), EngineError> {
    let row = one(lease, ACCOUNT, &[schema]).await?;
    if row.is_empty() {
        let what = format!("there is no schema `{schema}`");
        report.add(FindingSeverity::Error, ErrorCode::SchemaMissing, what, None);
        return Ok(());
    }
    let role = quote(&report.role);
    let is = |at| text(&row, at) == "true";
    for (holds, attribute) in [(is(1), "SUPERUSER"), (is(2), "BYPASSRLS")] {
        if holds {
            report.add(
                FindingSeverity::Warning,
                report.power_code,
                format!("role has {attribute}, which bypasses database privileges"),
                Some(format!("ALTER ROLE {role} NO{attribute};")),
            );
        }
    }
    if !is(3) {
        let what = format!("the account lacks USAGE on the schema `{schema}`");
        report.missing(what, "USAGE", &format!("SCHEMA {}", quote(schema)));
    }
    if is(4) {
        let what = format!("the account has CREATE on the schema `{schema}`");
        report.excessive(what, "CREATE", &format!("SCHEMA {}", quote(schema)), is(5));
    }
    Ok(())
}

/// Returns the shape of the table, if it exists; reports missing parts of the target.
pub async fn check_columns(
    lease: &mut PgPooledConnection,
    report: &mut PgPreflight,
    target: &PreflightTarget,
) -> Result<Option<TableSchema>, EngineError> {
    let shape = match inspect::shape(lease, &target.schema, &target.table).await {
        Ok((shape, _)) => shape,
        Err(error) if error.kind == EngineErrorKind::NotFound => {
            let what = format!("there is no table `{}.{}`", target.schema, target.table);
            report.add(FindingSeverity::Error, ErrorCode::TableMissing, what, None);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let wanted = target.reads.iter().chain(&target.writes);
    for name in wanted.filter(|name| shape.column(name).is_none()) {
        let what = format!("the table `{}` has no column `{name}`", target.table);
        report.add(FindingSeverity::Error, ErrorCode::ColumnMissing, what, None);
    }
    Ok(Some(shape))
}

/// Checks the rights that the target needs on existing columns.
pub fn missing_rights(
    report: &mut PgPreflight,
    target: &PreflightTarget,
    shape: &TableSchema,
    rights: &Rights,
) {
    let name = qualified(&target.schema, &target.table);
    for (right, columns) in [("SELECT", &target.reads), ("UPDATE", &target.writes)] {
        let missing: Vec<&String> = columns
            .iter()
            .filter(|column| shape.column(column).is_some() && !rights.has_on(right, column))
            .collect();
        if !missing.is_empty() {
            let listed = |named: fn(&str) -> String| {
                let names: Vec<String> = missing.iter().map(|column| named(column)).collect();
                names.join(", ")
            };
            let shown = listed(|column| format!("`{column}`"));
            report.missing(
                format!("the account lacks {right} on {shown} of `{}`", target.table),
                &format!("{right} ({})", listed(quote)),
                &name,
            );
        }
    }
}

pub async fn rights(
    lease: &mut PgPooledConnection,
    schema: &str,
    table: &str,
) -> Result<Rights, EngineError> {
    let rows = lease.fetch(statement(RIGHTS, &[schema, table])).await?;
    let pairs = rows.iter().map(|row| (text(row, 0), text(row, 1)));
    let (table, columns): (Vec<_>, Vec<_>) = pairs.partition(|(_, column)| column.is_empty());
    Ok(Rights {
        table: table.into_iter().map(|(right, _)| right).collect(),
        columns,
    })
}

pub async fn one(
    lease: &mut PgPooledConnection,
    sql: &str,
    parameters: &[&str],
) -> Result<Vec<Option<String>>, EngineError> {
    let mut rows = lease.fetch(statement(sql, parameters)).await?;
    Ok(if rows.is_empty() {
        Vec::new()
    } else {
        rows.remove(0)
    })
}

pub fn statement(sql: &str, parameters: &[&str]) -> Statement {
    Statement {
        sql: sql.to_owned(),
        parameters: parameters.iter().map(|p| Some((*p).to_owned())).collect(),
    }
}

pub fn text(row: &[Option<String>], at: usize) -> String {
    row.get(at).cloned().flatten().unwrap_or_default()
}
