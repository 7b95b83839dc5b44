//! The two checks of a writing transaction: before its first write, and as its last statement before COMMIT.
//!
//! The first check compares both tables with their required form and the code on the target with the
//! acknowledged code. A row lock alone prevents neither CREATE TRIGGER nor a renamed schema. So the last
//! check compares the same catalog rows again when the transaction holds locks that fix them until COMMIT. It
//! also proves that nothing is queued to run inside COMMIT: queued work needs a write lock on a table with a
//! deferrable trigger, or an open cursor.

mod last;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use synapsor_domain::foreign_code::{Acknowledged, CodeForm, ForeignCode};
use synapsor_domain::schema::TableSchema;

use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::Statement;
use synapsor_engine::postgres::foreign_code::{self, NO_TABLE};
use synapsor_engine::postgres::inspect;
use synapsor_engine::postgres::receipt_form::{Difference, receipt_form};
use synapsor_engine::postgres::session::ServerFacts;
use synapsor_source::{EngineError, EngineErrorKind, ReceiptTable, RowPlan};

use super::check_facts::{self, CheckFacts, HeldLock, REPLICATION_ROLE, Settings};
use super::declared::{self, Declared};
use super::stamp::{Covered, VerifiedStamps, VerifiedTables};
use crate::violation::{CheckError, ViolationKind};

pub(super) use last::{Checked, LastCheck, is_within};

/// Number of rows by the OID of their table.
pub(super) type RowsAllowed = BTreeMap<u32, u32>;

/// Maximum number of repeated checks when tables changed meanwhile.
const JUDGE_TRIES: u32 = 3;

/// Findings of the first check, for comparison by the last one.
#[derive(Debug)]
pub(super) struct FirstCheck {
    verified: Arc<VerifiedTables>,
    facts: CheckFacts,
    declared: Vec<Declared>,
    /// Rows of the target that acknowledged code may change besides the proposal's row.
    target_rows_max: u32,
}

impl FirstCheck {
    /// Whether the target was checked, and not only the receipt table.
    pub(super) fn has_target(&self) -> bool {
        self.verified.covered.target != NO_TABLE
    }

    /// Returns the target as it was checked.
    pub(super) fn shape(&self) -> Option<&Arc<TableSchema>> {
        self.verified.shape.as_ref()
    }

    /// Returns [`Self::shape`], if the target has this name.
    pub(super) fn shape_of(&self, schema: &str, table: &str) -> Option<&Arc<TableSchema>> {
        self.shape()
            .filter(|shape| shape.schema == schema && shape.table == table)
    }

    /// Returns the declared tables, whose rows are counted besides those of both tables.
    fn watched(&self) -> Vec<u32> {
        self.declared.iter().map(|table| table.oid).collect()
    }

    /// Returns the rows that acknowledged code may change, besides the row of the proposal.
    pub(super) fn rows_allowed(&self) -> RowsAllowed {
        let declared = self.declared.iter().map(|table| (table.oid, table.rows_max));
        let target = (self.verified.covered.target, self.target_rows_max);
        declared.chain([target]).collect()
    }

    /// Whether the target runs only code of the closed form.
    pub(super) fn is_without_foreign_code(&self) -> bool {
        self.verified
            .code
            .iter()
            .all(|code| code.form == CodeForm::Closed)
    }

    /// Whether the target has code of any form.
    pub(super) fn has_code(&self) -> bool {
        !self.verified.code.is_empty()
    }

    /// Returns the reasons why the account is above every check.
    pub(super) fn powers(&self) -> &[String] {
        &self.facts.powers
    }

    pub(super) const fn may_read_version(&self) -> bool {
        self.facts.may_read_version
    }
}

/// Facts of the first check that were read together with the receipts.
#[derive(Debug)]
pub(super) struct FactsAhead {
    /// The tables that they are about, which are known to run no code.
    pub(super) of: Arc<VerifiedTables>,
    pub(super) facts: CheckFacts,
}

/// Data of the connection and its tables for both checks.
pub(super) struct TransactionChecks<'a> {
    pub(super) receipts: &'a ReceiptTable,
    pub(super) stamps: &'a VerifiedStamps,
    /// The settings right after the transaction began.
    pub(super) settings: &'a Settings,
    /// The statement that sets them again.
    pub(super) set_again: &'a str,
}

impl TransactionChecks<'_> {
    /// Returns the tables of a plan, if they are known and run no code.
    pub(super) fn known_without_code(
        &self,
        lease: &PgPooledConnection,
        (schema, table): (&str, &str),
    ) -> Option<Arc<VerifiedTables>> {
        let verified = self.stamps.get(lease.facts(), Some((schema, table)));
        verified.filter(|verified| verified.code.is_empty())
    }

    /// Runs the check before the first write. Without a plan it covers only the receipt table. `ahead` are facts that
    /// the statement before read under the lock.
    pub(super) async fn first(
        &self,
        lease: &mut PgPooledConnection,
        (plan, allowed): (Option<&RowPlan>, &Acknowledged),
        mut ahead: Option<FactsAhead>,
    ) -> Result<FirstCheck, CheckError> {
        let target = plan.map(|plan| (plan.schema.as_str(), plan.table.as_str()));
        let declared = declared::read(lease, allowed).await?;
        let watched: Vec<u32> = declared.iter().map(|table| table.oid).collect();
        let facts = lease.facts().clone();
        for _ in 0..JUDGE_TRIES {
            let verified = match self.stamps.get(&facts, target) {
                Some(verified) => verified,
                None => self.verify(lease, &facts, target).await?,
            };
            let is_of_both = |ahead: &FactsAhead| Arc::ptr_eq(&ahead.of, &verified) && watched.is_empty();
            let found = match ahead.take().filter(is_of_both) {
                Some(ahead) => ahead.facts,
                None => {
                    // Code may have run while the row was locked.
                    let has_locks = !verified.code.is_empty();
                    check_facts::read(lease, &verified.covered, &watched, has_locks).await?
                }
            };
            if found.stamp != verified.stamp {
                self.stamps.forget(&facts, target);
                continue;
            }
            self.check_settings(&found.settings)?;
            check_written_nothing(&found.locks)?;
            check_receipt_table(&verified.receipt_differences)?;
            check_code(&verified.code, allowed)?;
            check_declared(&declared)?;
            let target_rows_max = plan.map_or(0, |plan| allowed.rows(&plan.schema, &plan.table));
            return Ok(FirstCheck {
                verified,
                facts: found,
                declared,
                target_rows_max,
            });
        }
        Err(busy())
    }

    fn check_settings(&self, found: &Settings) -> Result<(), CheckError> {
        let changed = check_facts::changed(self.settings, found);
        if !changed.is_empty() {
            return Err(CheckError::violation(
                ViolationKind::SettingChanged,
                format!("changed inside the transaction: {}", changed.join(", ")),
            ));
        }
        let (name, value) = REPLICATION_ROLE;
        if found.get(name).map(String::as_str) != Some(value) {
            let detail = format!("{name} is not {value}");
            return Err(CheckError::violation(ViolationKind::SettingChanged, detail));
        }
        Ok(())
    }

    /// Describes both tables completely. The stamp is read first, so a later change results in another stamp.
    async fn verify(
        &self,
        lease: &mut PgPooledConnection,
        facts: &ServerFacts,
        target: Option<(&str, &str)>,
    ) -> Result<Arc<VerifiedTables>, CheckError> {
        // Reading a row can run code of a policy, and descriptions depend on the search path.
        let rows = lease
            .batch(format!(
                "{}; {}",
                check_facts::settings_statement(),
                self.set_again
            ))
            .await?;
        self.check_settings(&check_facts::settings_of(&rows))?;
        for _ in 0..JUDGE_TRIES {
            let begun_at = Instant::now();
            if let Some(verified) = self.verify_once(lease, target).await? {
                let verified = Arc::new(verified);
                self.stamps.keep(facts, target, begun_at, verified.clone());
                return Ok(verified);
            }
        }
        Err(busy())
    }

    async fn verify_once(
        &self,
        lease: &mut PgPooledConnection,
        target: Option<(&str, &str)>,
    ) -> Result<Option<VerifiedTables>, CheckError> {
        let found = receipt_form(lease, self.receipts).await?;
        let Some(receipts) = found.oid else {
            return Err(receipt_table(&found.differences));
        };
        let oid = match target {
            Some((schema, table)) => table_number(lease, schema, table).await?,
            None => NO_TABLE,
        };
        let related = foreign_code::read(lease, oid, receipts).await?.related;
        let covered = Covered {
            target: oid,
            receipts,
            related,
        };
        let stamp = covered.read(lease).await?;
        let form = receipt_form(lease, self.receipts).await?;
        let described = match target {
            Some((schema, table)) => Some(inspect::describe(lease, schema, table).await?),
            None => None,
        };
        let code = foreign_code::read(lease, oid, receipts).await?;
        let is_same = form.oid == Some(receipts)
            && described.as_ref().is_none_or(|table| table.oid() == oid)
            && code.related == covered.related;
        if !is_same {
            return Ok(None);
        }
        let shape = described.map(|table| {
            let mut shape = table.shape();
            shape.foreign_code.clone_from(&code.code);
            Arc::new(shape)
        });
        Ok(Some(VerifiedTables {
            covered,
            stamp,
            receipt_differences: form.differences,
            shape,
            code: code.code,
        }))
    }
}

/// Checks that reading and locking the row wrote to no table.
fn check_written_nothing(locks: &[HeldLock]) -> Result<(), CheckError> {
    match locks.iter().find(|lock| lock.is_writing_elsewhere(|_| false)) {
        None => Ok(()),
        Some(lock) => Err(lock_elsewhere(lock)),
    }
}

fn lock_elsewhere(lock: &HeldLock) -> CheckError {
    let what = if lock.name.is_empty() {
        &lock.kind
    } else {
        &lock.name
    };
    CheckError::violation(
        ViolationKind::LockElsewhere,
        format!("`{what}` is locked with {}", lock.mode),
    )
}

fn check_receipt_table(differences: &[Difference]) -> Result<(), CheckError> {
    if differences.is_empty() {
        Ok(())
    } else {
        Err(receipt_table(differences))
    }
}

fn receipt_table(differences: &[Difference]) -> CheckError {
    let texts: Vec<&str> = differences.iter().map(|d| d.text.as_str()).collect();
    CheckError::violation(ViolationKind::ReceiptTable, texts.join("; "))
}

/// Checks that every piece of code has the closed form or is exactly the acknowledged code.
fn check_code(found: &[ForeignCode], allowed: &Acknowledged) -> Result<(), CheckError> {
    let is_allowed = |code: &&ForeignCode| match code.form {
        CodeForm::Closed => true,
        CodeForm::Never(_) => false,
        CodeForm::Acknowledgeable => allowed.code().contains(code),
    };
    match found.iter().find(|code| !is_allowed(code)) {
        None => Ok(()),
        Some(code) => Err(CheckError::violation(
            ViolationKind::ForeignCode,
            format!(
                "{} `{}` is not acknowledged ({})",
                code.kind, code.name, code.digest
            ),
        )),
    }
}

fn check_declared(declared: &[Declared]) -> Result<(), CheckError> {
    match declared.iter().find(|table| table.kind != "r") {
        None => Ok(()),
        Some(table) => Err(CheckError::violation(
            ViolationKind::LockElsewhere,
            format!("`{}` is not an ordinary table and cannot be declared", table.name),
        )),
    }
}

/// Returns the OID of the table of this name.
async fn table_number(lease: &mut PgPooledConnection, schema: &str, table: &str) -> Result<u32, EngineError> {
    let statement = Statement {
        sql: "SELECT c.oid::pg_catalog.text FROM pg_catalog.pg_class c \
              JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
              WHERE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.text \
                AND c.relname OPERATOR(pg_catalog.=) $2::pg_catalog.text"
            .to_owned(),
        parameters: vec![Some(schema.to_owned()), Some(table.to_owned())],
    };
    let rows = lease.fetch(statement).await?;
    let oid = rows
        .first()
        .and_then(|row| row.first().and_then(Option::as_deref)?.parse().ok());
    oid.ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "no such table"))
}

fn busy() -> CheckError {
    EngineError::new(EngineErrorKind::Busy, "the tables are being altered").into()
}
