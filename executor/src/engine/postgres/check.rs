//! Whether the account can do what a writeback does, and whether it can do more: the rights as the catalogue
//! tells them, and every statement once with a condition that no row meets, rolled back.

use synapsor_domain::schema::TableShape;

use super::connect::Lease;
use super::dialect::{Statement, qualified, quote};
use super::inspect::receipt_schema;
use super::write::local_settings;
use super::{PostgresEngine, inspect, read};
use crate::engine::catalogue::Severity;
use crate::engine::error::{EngineError, EngineErrorKind};
use crate::engine::{CheckTarget, Finding};

/// Every right of the account on one table, one line each: of the table (empty column) or of a column.
const RIGHTS: &str = "SELECT v.privilege, ''::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, \
      unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) v(privilege) \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND has_table_privilege(c.oid, v.privilege) \
    UNION ALL SELECT v.privilege, a.attname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
      JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped AND (a.attnum > 0 OR a.attname = 'xmin'), \
      unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) v(privilege) \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND has_column_privilege(c.oid, a.attnum, v.privilege) \
    UNION ALL SELECT 'OWNER', ''::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = $1::text AND c.relname = $2::text AND pg_has_role(c.relowner, 'USAGE')";

/// What the account is beyond its rights on tables.
const ACCOUNT: &str = "SELECT current_user::text, r.rolsuper::text, r.rolbypassrls::text, \
    has_schema_privilege($1::text, 'USAGE')::text, has_schema_privilege($1::text, 'CREATE')::text \
    FROM pg_roles r WHERE r.rolname = current_user AND EXISTS (SELECT 1 FROM pg_namespace n WHERE n.nspname = $1::text)";

/// Settings under which a COMMIT may not survive a crash of the server's machine.
const DURABILITY: [(&str, &str); 3] = [
    (
        "fsync",
        "a crash of the machine may lose or damage what was committed",
    ),
    (
        "full_page_writes",
        "a crash of the machine may damage what was committed",
    ),
    (
        "synchronous_commit",
        "other sessions' changes may be lost by a crash; writebacks set it on for themselves",
    ),
];

/// What the account may do with one table.
pub(super) struct Rights {
    table: Vec<String>,
    columns: Vec<(String, String)>,
}

impl Rights {
    fn has(&self, right: &str) -> bool {
        self.table.iter().any(|held| held == right)
    }

    fn has_on(&self, right: &str, column: &str) -> bool {
        self.columns
            .iter()
            .any(|(held, name)| held == right && name == column)
    }
}

/// Collects what was found.
pub(super) struct Report {
    role: String,
    pub(super) findings: Vec<Finding>,
}

impl Report {
    /// Nothing yet, about the account of this connection.
    pub(super) async fn of(lease: &mut Lease) -> Result<Self, EngineError> {
        Ok(Self {
            role: text(&one(lease, "SELECT current_user::text", &[]).await?, 0),
            findings: Vec::new(),
        })
    }

    fn add(&mut self, severity: Severity, code: &'static str, text: String, fix: Option<String>) {
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

    fn missing(&mut self, text: String, right: &str, on: &str) {
        let fix = format!("GRANT {right} ON {on} TO {};", quote(&self.role));
        self.add(Severity::Problem, "GRANT_MISSING", text, Some(fix));
    }

    fn excessive(&mut self, text: String, right: &str, on: &str) {
        let fix = format!("REVOKE {right} ON {on} FROM {};", quote(&self.role));
        self.add(Severity::Warning, "GRANT_EXCESSIVE", text, Some(fix));
    }
}

pub(super) async fn check(
    engine: &PostgresEngine,
    targets: &[CheckTarget],
) -> Result<Vec<Finding>, EngineError> {
    let Some(writers) = &engine.writers else {
        return Err(EngineError::new(
            EngineErrorKind::Denied,
            "this credential is for reading",
        ));
    };
    let (mut lease, _) = writers.lease().await?;
    let settings = super::connect::EXACT_SETTINGS;
    lease
        .batch(format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; {}",
            local_settings(&settings)
        ))
        .await?;
    let mut report = Report::of(&mut lease).await?;
    durability(&mut lease, &mut report).await?;
    receipts(engine, &mut lease, &mut report).await?;
    for target in targets {
        check_target(&mut lease, &mut report, target).await?;
    }
    lease.batch("ROLLBACK".to_owned()).await?;
    lease.give_back();
    report
        .findings
        .sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(report.findings)
}

async fn durability(lease: &mut Lease, report: &mut Report) -> Result<(), EngineError> {
    for (setting, consequence) in DURABILITY {
        let row = one(
            lease,
            "SELECT reset_val FROM pg_settings WHERE name = $1::text",
            &[setting],
        )
        .await?;
        if text(&row, 0) == "off" {
            report.add(
                Severity::Warning,
                "DURABILITY_WEAK",
                format!("the server runs with {setting} off: {consequence}"),
                Some(format!("ALTER SYSTEM SET {setting} = on;")),
            );
        }
    }
    Ok(())
}

async fn receipts(
    engine: &PostgresEngine,
    lease: &mut Lease,
    report: &mut Report,
) -> Result<(), EngineError> {
    let (schema, table) = (receipt_schema(&engine.receipts), engine.receipts.table.clone());
    let problems = inspect::receipt_problems(lease, &engine.receipts).await?;
    let code = if problems.iter().any(|p| p.contains("does not exist")) {
        "RECEIPT_TABLE_MISSING"
    } else {
        "RECEIPT_TABLE_UNFIT"
    };
    let is_missing = code == "RECEIPT_TABLE_MISSING";
    for problem in problems {
        let (text, fix) = match problem.split_once(":\n") {
            Some((text, fix)) => (text.to_owned(), Some(fix.to_owned())),
            None => (problem, None),
        };
        report.add(Severity::Problem, code, text, fix);
    }
    check_account(lease, report, schema).await?;
    if is_missing {
        return Ok(());
    }
    let name = read::receipt_table(&engine.receipts);
    let rights = rights(lease, schema, &table).await?;
    for right in ["SELECT", "INSERT"] {
        if !rights.has(right) {
            report.missing(format!("the account may not {right} receipts"), right, &name);
        }
    }
    for right in ["UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] {
        if rights.has(right) {
            report.excessive(
                format!("the account may {right} receipts, which are only ever added"),
                right,
                &name,
            );
        }
    }
    owner(report, &rights, &name);
    probe(
        lease,
        report,
        &format!("SELECT proposal_id FROM {name} WHERE false"),
        "read a receipt",
    )
    .await?;
    let insert = format!("INSERT INTO {name} SELECT * FROM {name} WHERE false");
    probe(lease, report, &insert, "add a receipt").await
}

pub(super) async fn check_account(
    lease: &mut Lease,
    report: &mut Report,
    schema: &str,
) -> Result<(), EngineError> {
    let row = one(lease, ACCOUNT, &[schema]).await?;
    if row.is_empty() {
        let what = format!("there is no schema `{schema}`");
        report.add(Severity::Problem, "SCHEMA_MISSING", what, None);
        return Ok(());
    }
    let role = quote(&report.role);
    let is = |at| text(&row, at) == "true";
    for (holds, attribute) in [(is(1), "SUPERUSER"), (is(2), "BYPASSRLS")] {
        if holds {
            report.add(
                Severity::Warning,
                "GRANT_EXCESSIVE",
                format!("the account has {attribute}: no right of the database limits it"),
                Some(format!("ALTER ROLE {role} NO{attribute};")),
            );
        }
    }
    if !is(3) {
        let what = format!("the account may not use the schema `{schema}`");
        report.missing(what, "USAGE", &format!("SCHEMA {}", quote(schema)));
    }
    if is(4) {
        let what = format!("the account may create objects in the schema `{schema}`");
        report.excessive(what, "CREATE", &format!("SCHEMA {}", quote(schema)));
    }
    Ok(())
}

async fn check_target(
    lease: &mut Lease,
    report: &mut Report,
    target: &CheckTarget,
) -> Result<(), EngineError> {
    check_account(lease, report, &target.schema).await?;
    let Some(shape) = check_columns(lease, report, target).await? else {
        return Ok(());
    };
    table_notes(report, target, &shape);
    let rights = rights(lease, &target.schema, &target.table).await?;
    missing_rights(report, target, &shape, &rights);
    excessive_rights(report, target, &rights);
    let mut wanted = target.reads.iter().chain(&target.writes);
    if wanted.all(|name| shape.column(name).is_some()) {
        probe_target(lease, report, target).await?;
    }
    Ok(())
}

/// The shape of the table, if there is one; reports what of the target is not there.
pub(super) async fn check_columns(
    lease: &mut Lease,
    report: &mut Report,
    target: &CheckTarget,
) -> Result<Option<TableShape>, EngineError> {
    let shape = match inspect::describe(lease, &target.schema, &target.table).await {
        Ok(described) => described.shape(),
        Err(error) if error.kind == EngineErrorKind::NotFound => {
            let what = format!("there is no table `{}.{}`", target.schema, target.table);
            report.add(Severity::Problem, "TABLE_MISSING", what, None);
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let wanted = target.reads.iter().chain(&target.writes);
    for name in wanted.filter(|name| shape.column(name).is_none()) {
        let what = format!("the table `{}` has no column `{name}`", target.table);
        report.add(Severity::Problem, "COLUMN_MISSING", what, None);
    }
    Ok(Some(shape))
}

/// Rights that the target needs on columns that are there.
pub(super) fn missing_rights(report: &mut Report, target: &CheckTarget, shape: &TableShape, rights: &Rights) {
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
                format!("the account may not {right} {shown} of `{}`", target.table),
                &format!("{right} ({})", listed(quote)),
                &name,
            );
        }
    }
}

fn excessive_rights(report: &mut Report, target: &CheckTarget, rights: &Rights) {
    let name = qualified(&target.schema, &target.table);
    for right in ["INSERT", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] {
        if rights.has(right) {
            report.excessive(
                format!(
                    "the account may {right} on `{}`, and writebacks never do",
                    target.table
                ),
                right,
                &name,
            );
        }
    }
    let more: Vec<String> = rights
        .columns
        .iter()
        .filter(|(right, column)| right == "UPDATE" && !target.writes.contains(column))
        .map(|(_, column)| quote(column))
        .collect();
    if rights.has("UPDATE") {
        let fix = format!(
            "REVOKE UPDATE ON {name} FROM {role}; GRANT UPDATE ({}) ON {name} TO {role};",
            target
                .writes
                .iter()
                .map(|c| quote(c))
                .collect::<Vec<_>>()
                .join(", "),
            role = quote(&report.role)
        );
        let what = format!("the account may UPDATE every column of `{}`", target.table);
        report.add(Severity::Warning, "GRANT_EXCESSIVE", what, Some(fix));
    } else if !more.is_empty() {
        let list = more.join(", ");
        report.excessive(
            format!(
                "the account may UPDATE {list} of `{}`, and the contract does not",
                target.table
            ),
            &format!("UPDATE ({list})"),
            &name,
        );
    }
    owner(report, rights, &name);
}

fn owner(report: &mut Report, rights: &Rights, name: &str) {
    if rights.has("OWNER") {
        report.add(
            Severity::Warning,
            "GRANT_EXCESSIVE",
            format!("the account owns {name}, so it can alter it and grant itself every right"),
            Some(format!("ALTER TABLE {name} OWNER TO another_role;")),
        );
    }
}

fn table_notes(report: &mut Report, target: &CheckTarget, shape: &TableShape) {
    let mut note = |code, text: String| report.add(Severity::Warning, code, text, None);
    let table = &target.table;
    if shape.traits.iter().any(|t| t == "row_security") {
        note(
            "ROW_SECURITY",
            format!("`{table}` has row security: rows that it hides are not written"),
        );
    }
    for effect in shape.side_effects() {
        note("SIDE_EFFECT", format!("a change of `{table}` sets off {effect}"));
    }
    let is_found_fast = shape.column(&target.primary_key).is_none_or(|key| key.unique);
    if !is_found_fast {
        note(
            "INDEX_MISSING",
            format!(
                "no unique index of `{table}` serves `{}` alone",
                target.primary_key
            ),
        );
    }
}

async fn probe_target(
    lease: &mut Lease,
    report: &mut Report,
    target: &CheckTarget,
) -> Result<(), EngineError> {
    let name = qualified(&target.schema, &target.table);
    let quoted = |columns: &[String]| columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
    let select = format!("SELECT {} FROM {name} WHERE false", quoted(&target.reads));
    probe(lease, report, &select, &format!("read `{}`", target.table)).await?;
    if target.writes.is_empty() {
        return Ok(());
    }
    let lock = format!("{select} FOR UPDATE");
    probe(lease, report, &lock, &format!("lock a row of `{}`", target.table)).await?;
    let same: Vec<String> = target
        .writes
        .iter()
        .map(|c| format!("{0} = {0}", quote(c)))
        .collect();
    let is_readable = target.writes.iter().all(|column| target.reads.contains(column));
    if is_readable {
        let update = format!("UPDATE {name} SET {} WHERE false", same.join(", "));
        probe(lease, report, &update, &format!("change `{}`", target.table)).await?;
    }
    Ok(())
}

/// Runs a statement that touches no row; what fails is found and undone.
async fn probe(lease: &mut Lease, report: &mut Report, sql: &str, what: &str) -> Result<(), EngineError> {
    lease.batch("SAVEPOINT probe".to_owned()).await?;
    if let Err(error) = lease.batch(sql.to_owned()).await {
        report.add(
            Severity::Problem,
            "PROBE_FAILED",
            format!("the account cannot {what}: {} ({})", error.reason(), error.detail),
            None,
        );
    }
    lease
        .batch("ROLLBACK TO SAVEPOINT probe; RELEASE SAVEPOINT probe".to_owned())
        .await
        .map(|_| ())
}

pub(super) async fn rights(lease: &mut Lease, schema: &str, table: &str) -> Result<Rights, EngineError> {
    let rows = lease.fetch(statement(RIGHTS, &[schema, table])).await?;
    let pairs = rows.iter().map(|row| (text(row, 0), text(row, 1)));
    let (table, columns): (Vec<_>, Vec<_>) = pairs.partition(|(_, column)| column.is_empty());
    Ok(Rights {
        table: table.into_iter().map(|(right, _)| right).collect(),
        columns,
    })
}

async fn one(lease: &mut Lease, sql: &str, parameters: &[&str]) -> Result<Vec<Option<String>>, EngineError> {
    let mut rows = lease.fetch(statement(sql, parameters)).await?;
    Ok(if rows.is_empty() {
        Vec::new()
    } else {
        rows.remove(0)
    })
}

fn statement(sql: &str, parameters: &[&str]) -> Statement {
    Statement {
        sql: sql.to_owned(),
        parameters: parameters.iter().map(|p| Some((*p).to_owned())).collect(),
    }
}

fn text(row: &[Option<String>], at: usize) -> String {
    row.get(at).cloned().flatten().unwrap_or_default()
}
