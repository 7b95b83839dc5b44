//! Definitions that an owner creates on the tables; the tests of the writeback code read the same data.

use super::sqlite_cases::{self, SqliteCase};
use crate::databases::Engine;

const POSTGRES: &str = include_str!("../../../fixtures/preconditions/postgres.sql");
const MYSQL: &str = include_str!("../../../fixtures/preconditions/mysql.sql");
const MYSQL_ONLY: &str = include_str!("../../../fixtures/preconditions/mysql-only.sql");
const MARIADB_ONLY: &str = include_str!("../../../fixtures/preconditions/mariadb-only.sql");
/// Integer column that a change sets.
const FEE: &str = "late_fee_cents";

/// Kind of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseKind {
    /// The receipt table does not match the migration.
    Receipts,
    /// Code on the target that the contract does not acknowledge.
    Code,
    /// Remains permitted.
    Harmless,
}

impl CaseKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Receipts => "damaged receipt tables",
            Self::Code => "damaging code on the target",
            Self::Harmless => "harmless definitions",
        }
    }
}

/// Statements of the owner.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) kind: CaseKind,
    pub(super) name: String,
    pub(super) sql: String,
    /// Whether the last check before COMMIT must reject the same code when the contract acknowledges it.
    pub(super) is_stopped_last: bool,
}

impl Case {
    /// Statements with the names of one database.
    pub(super) fn on(&self, writer: &str, database: &str) -> Self {
        let sql = self.sql.replace("{writer}", writer).replace("{db}", database);
        Self { sql, ..self.clone() }
    }
}

/// Every case of an engine, with `{writer}` for the writer's account and `{db}` for the database.
pub(super) fn all(engine: Engine) -> Vec<Case> {
    let texts: &[&str] = match engine {
        Engine::Sqlite => return sqlite(),
        Engine::Postgres => &[POSTGRES],
        Engine::Mysql => &[MYSQL, MYSQL_ONLY],
        Engine::Mariadb => &[MYSQL, MARIADB_ONLY],
    };
    let mut found: Vec<Case> = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        if let Some(head) = line.strip_prefix("-- case ") {
            found.extend(headed(head));
        } else if let Some(case) = found.last_mut()
            && !line.starts_with("-- ")
        {
            case.sql += &line.replace("{fee}", FEE);
            case.sql.push('\n');
        }
    }
    found
}

/// Parses `KIND: NAME` or `KIND: NAME => FINDING`.
fn headed(head: &str) -> Option<Case> {
    let (kind, name) = head.split_once(": ")?;
    let kind = match kind {
        "receipts" => CaseKind::Receipts,
        "code" => CaseKind::Code,
        "harmless" => CaseKind::Harmless,
        _ => return None,
    };
    let (name, is_stopped_last) = match name.split_once(" => ") {
        Some((name, _)) => (name, true),
        None => (name, false),
    };
    Some(Case {
        kind,
        name: name.to_owned(),
        sql: String::new(),
        is_stopped_last,
    })
}

fn sqlite() -> Vec<Case> {
    let kinds = [
        (CaseKind::Receipts, sqlite_cases::RECEIPT_TABLES),
        (CaseKind::Code, sqlite_cases::DAMAGING_TRIGGERS),
        (CaseKind::Harmless, sqlite_cases::HARMLESS_TRIGGERS),
    ];
    let of = |kind, case: &SqliteCase| Case {
        kind,
        name: format!("{}: {}", case.kind, case.name),
        sql: case.sql.to_owned(),
        // The check counts rows that these write to other tables.
        is_stopped_last: kind == CaseKind::Code && case.kind == "other table",
    };
    kinds
        .into_iter()
        .flat_map(|(kind, cases)| cases.iter().map(move |case| of(kind, case)))
        .collect()
}

/// Sample of each kind, evenly distributed; the same in every run.
pub(super) fn sample(cases: &[Case], each: usize) -> Vec<Case> {
    [CaseKind::Receipts, CaseKind::Code, CaseKind::Harmless]
        .into_iter()
        .flat_map(|kind| {
            let own: Vec<&Case> = cases.iter().filter(|case| case.kind == kind).collect();
            let step = own.len().div_ceil(each).max(1);
            own.into_iter().step_by(step).cloned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_has_the_documented_cases() {
        for engine in [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb] {
            let cases = all(engine);
            let count = |kind| cases.iter().filter(|case| case.kind == kind).count();
            let (receipts, code) = if engine == Engine::Sqlite {
                (12, 12)
            } else {
                (24, 20)
            };
            assert!(count(CaseKind::Receipts) >= receipts, "{engine}");
            assert!(count(CaseKind::Code) >= code, "{engine}");
            assert!(count(CaseKind::Harmless) >= 10, "{engine}");
            assert!(cases.iter().all(|case| !case.sql.trim().is_empty()), "{engine}");
            assert!(cases.iter().all(|case| !case.sql.contains("{fee}")), "{engine}");
        }
    }
}
