//! SQL that a database's owner runs once: the receipt table, the identity table where the server cannot identify
//! the database, and the rights of reader and writer. Printed on request; a reader or writer never executes it.
//! One file per engine.

mod mysql;
mod postgres;
mod sqlite;

pub use mysql::{
    ROUTINES as MYSQL_ROUTINES, ROWS_MODIFIED as MYSQL_ROWS_MODIFIED, TABLE_CATALOG as MYSQL_TABLE_CATALOG,
    procedure_grants as mysql_procedure_grants, procedures_ddl as mysql_procedures_ddl,
};

use std::fmt::Write as _;

use synapsor_codes::ErrorCode;

use crate::contract::{EngineKind, is_identifier};
use crate::error::PublicError;

/// Minimal rights that the roles of one database need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantPlan {
    pub engine: EngineKind,
    /// Account of the reader, as its engine spells accounts; no statements for it if absent.
    pub read_role: Option<String>,
    /// Account of the writer; no statements for it if absent.
    pub write_role: Option<String>,
    pub receipt_schema: String,
    pub receipt_table: String,
    pub targets: Vec<GrantTarget>,
}

/// Table that capabilities read and possibly write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantTarget {
    pub schema: String,
    pub table: String,
    /// Every column that is read, with key, tenant and guard. Order and duplicates do not matter.
    pub reads: Vec<String>,
    /// Every column that a direct writeback sets; if empty, the writer needs no rights on this table.
    pub writes: Vec<String>,
}

/// Returns the statements that create the receipt table, and the identity table where the engine needs one.
///
/// # Errors
/// `UNSAFE_IDENTIFIER` for invalid identifiers.
pub fn receipt_table_ddl(engine: EngineKind, schema: &str, table: &str) -> Result<String, PublicError> {
    require_names([schema, table])?;
    Ok(match engine {
        EngineKind::Postgres => postgres::receipt_table_ddl(schema, table),
        EngineKind::Mysql => mysql::receipt_table_ddl(schema, table),
        EngineKind::Sqlite => sqlite::receipt_table_ddl(schema, table),
    })
}

/// Returns the statements that grant the roles their minimal rights.
///
/// # Errors
/// As [`receipt_table_ddl`].
pub fn grants(plan: &GrantPlan) -> Result<String, PublicError> {
    require_names([plan.receipt_schema.as_str(), plan.receipt_table.as_str()])?;
    for target in &plan.targets {
        let columns = target.reads.iter().chain(&target.writes);
        require_names([&target.schema, &target.table].into_iter().chain(columns))?;
    }
    match plan.engine {
        EngineKind::Postgres => postgres::grants(plan),
        EngineKind::Mysql => mysql::grants(plan),
        EngineKind::Sqlite => Ok(sqlite::grants().to_owned()),
    }
}

/// Returns the tables that concern a role: all of them for reading, those with columns to set for writing.
fn targets(plan: &GrantPlan, for_writing: bool) -> impl Iterator<Item = &GrantTarget> {
    plan.targets
        .iter()
        .filter(move |target| !for_writing || !target.writes.is_empty())
}

/// Returns the schemas of those tables.
fn schemas(plan: &GrantPlan, for_writing: bool) -> Vec<&str> {
    once(targets(plan, for_writing).map(|target| &target.schema))
}

/// Grants a role rights on columns of each of its tables; `quote` quotes the names.
fn grant_columns(
    text: &mut String,
    plan: &GrantPlan,
    role: &str,
    for_writing: bool,
    quote: fn(&str) -> String,
) {
    for target in targets(plan, for_writing) {
        let qualified = format!("{}.{}", quote(&target.schema), quote(&target.table));
        let mut given = vec![("SELECT", &target.reads)];
        if for_writing {
            given.push(("UPDATE", &target.writes));
        }
        for (right, columns) in given {
            let columns: Vec<String> = once(columns).into_iter().map(quote).collect();
            line(
                text,
                &format!("GRANT {right} ({}) ON {qualified} TO {role};", columns.join(", ")),
            );
        }
    }
}

fn line(text: &mut String, statement: &str) {
    writeln!(text, "{statement}").expect("writing to a string cannot fail");
}

/// Returns distinct names in the order of their first occurrence.
fn once<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for name in names {
        if !found.contains(&name.as_str()) {
            found.push(name);
        }
    }
    found
}

fn require_names<'a, N: AsRef<str> + 'a>(names: impl IntoIterator<Item = N>) -> Result<(), PublicError> {
    if names.into_iter().all(|name| is_identifier(name.as_ref())) {
        return Ok(());
    }
    Err(unsafe_name(
        "use only letters, digits and `_` in schema, table and column names, not starting with a digit",
    ))
}

fn unsafe_name(how: &str) -> PublicError {
    PublicError::new(ErrorCode::UnsafeIdentifier, how)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(engine: EngineKind) -> GrantPlan {
        GrantPlan {
            engine,
            read_role: Some("reader".to_owned()),
            write_role: Some("wri\"ter".to_owned()),
            receipt_schema: "synapsor".to_owned(),
            receipt_table: "receipts".to_owned(),
            targets: vec![GrantTarget {
                schema: "public".to_owned(),
                table: "invoices".to_owned(),
                reads: ["id", "tenant", "fee", "version", "id"]
                    .map(str::to_owned)
                    .to_vec(),
                writes: vec!["fee".to_owned()],
            }],
        }
    }

    #[test]
    fn rejects_invalid_identifiers() {
        for engine in [EngineKind::Sqlite, EngineKind::Postgres, EngineKind::Mysql] {
            assert!(receipt_table_ddl(engine, "main", "receipts").is_ok());
            let refused = receipt_table_ddl(engine, "main", "x\"; DROP TABLE y; --").unwrap_err();
            assert_eq!(refused.code, ErrorCode::UnsafeIdentifier);
        }
        let mut bad = plan(EngineKind::Postgres);
        bad.targets[0].writes.push("fee\") ON x".to_owned());
        assert_eq!(grants(&bad).unwrap_err().code, ErrorCode::UnsafeIdentifier);
    }

    #[test]
    fn postgres_roles_get_column_rights_only() {
        let text = grants(&plan(EngineKind::Postgres)).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
        assert_eq!(
            lines,
            [
                "GRANT USAGE ON SCHEMA \"public\" TO \"reader\";",
                "GRANT SELECT (\"id\", \"tenant\", \"fee\", \"version\") ON \"public\".\"invoices\" TO \"reader\";",
                "GRANT USAGE ON SCHEMA \"public\" TO \"wri\"\"ter\";",
                "GRANT SELECT (\"id\", \"tenant\", \"fee\", \"version\") ON \"public\".\"invoices\" TO \"wri\"\"ter\";",
                "GRANT UPDATE (\"fee\") ON \"public\".\"invoices\" TO \"wri\"\"ter\";",
                "GRANT SELECT (\"ctid\", \"xmin\") ON \"public\".\"invoices\" TO \"wri\"\"ter\";",
                "GRANT USAGE ON SCHEMA \"synapsor\" TO \"wri\"\"ter\";",
                "GRANT SELECT, INSERT ON \"synapsor\".\"receipts\" TO \"wri\"\"ter\";",
            ]
        );
    }

    #[test]
    fn read_only_table_grants_writer_nothing() {
        let mut reading = plan(EngineKind::Postgres);
        reading.targets[0].writes.clear();
        reading.read_role = None;
        let text = grants(&reading).unwrap();
        assert!(!text.contains("invoices"), "{text}");
    }

    #[test]
    fn rejects_invalid_postgres_role_names() {
        for role in ["", "line\nbreak", "nul\0", &"x".repeat(64)] {
            let mut bad = plan(EngineKind::Postgres);
            bad.write_role = Some(role.to_owned());
            assert_eq!(
                grants(&bad).unwrap_err().code,
                ErrorCode::UnsafeIdentifier,
                "{role:?}"
            );
        }
    }
}
