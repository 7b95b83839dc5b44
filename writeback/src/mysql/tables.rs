//! Reads the session's state and the definition of every table that the writer names, in one statement. Code
//! that ran on this connection can change settings, and can hide a table behind a temporary table, which only
//! `SHOW CREATE TABLE` reveals. Once the transaction has read a table, its metadata lock fixes the object
//! under its name.

use synapsor_engine::mysql::connect::IDENTITY_TABLE;
use synapsor_engine::mysql::dialect::qualified;
use synapsor_engine::mysql::receipt_form;
use synapsor_engine::mysql::session::{LastError, MysqlConn, MysqlStatementError};
use synapsor_engine::mysql::settings::{SERVERS_CLOCK, Settings};
use synapsor_source::{EngineError, EngineErrorKind};

use super::checks::{Receipts, violation};
use crate::violation::{CheckError, ViolationKind};

const BEGIN: &str = "START TRANSACTION READ WRITE";
const TEMPORARY: &str = "CREATE TEMPORARY";

/// The state read at one time.
pub(super) struct Tables {
    ours: Settings,
    found: Settings,
    /// Absent if the database has no identity table.
    identity: Option<String>,
    receipts: Option<String>,
    target: Option<String>,
    last_error: Option<LastError>,
}

/// Begins a transaction with the server's own clock, and reads the definitions of the tables that it will
/// read.
pub(super) async fn begin(
    session: &mut MysqlConn,
    receipts: &Receipts,
) -> Result<Tables, MysqlStatementError> {
    show(session, Some(receipts), None, &[SERVERS_CLOCK, BEGIN]).await
}

/// Reads the definitions of the migration's tables, and of the target if the transaction read one.
pub(super) async fn again(
    session: &mut MysqlConn,
    receipts: &Receipts,
    target: Option<(&str, &str)>,
) -> Result<Tables, MysqlStatementError> {
    show(session, Some(receipts), target, &[]).await
}

/// Reads the definition of the target only.
pub(super) async fn target_alone(
    session: &mut MysqlConn,
    target: (&str, &str),
) -> Result<Tables, MysqlStatementError> {
    show(session, None, Some(target), &[]).await
}

async fn show(
    session: &mut MysqlConn,
    receipts: Option<&Receipts>,
    target: Option<(&str, &str)>,
    before: &[&str],
) -> Result<Tables, MysqlStatementError> {
    let unknown = "the settings of the connection are not known";
    let ours = session.settings.clone();
    let ours = ours.ok_or_else(|| EngineError::new(EngineErrorKind::Other, unknown))?;
    let has_identity = session.server()?.has_marker;
    let identity = receipts.filter(|_| has_identity);
    let identity = identity.map(|receipts| qualified(&receipts.schema, IDENTITY_TABLE));
    let placeholders = [
        identity,
        receipts.map(Receipts::qualified_name),
        target.map(|(schema, table)| qualified(schema, table)),
    ];
    let mut statements: Vec<String> = before.iter().map(|text| (*text).to_owned()).collect();
    statements.push(ours.statement());
    // An account with rights to some columns may be unable to see the target's definition, but it can see
    // that of every temporary table of its own connection.
    let asked = placeholders.iter().flatten();
    statements.extend(asked.map(|table| format!("SHOW CREATE TABLE {table}")));
    let answer = session.script(&statements).await?;
    let mut rows = answer.rows.into_iter().skip(before.len());
    let found = ours.read(rows.next().flatten().as_ref())?;
    let mut shown = |table: &Option<String>| match table {
        Some(_) => rows.next().flatten().map(|row| row.text(1)).transpose(),
        None => Ok(None),
    };
    let [identity, own, target] = &placeholders;
    Ok(Tables {
        ours,
        found,
        identity: shown(identity)?,
        receipts: shown(own)?,
        target: shown(target)?,
        last_error: answer.last_error,
    })
}

impl Tables {
    /// Whether no state of an earlier transaction is left on the connection.
    pub(super) fn is_untouched(&self) -> bool {
        let is_real =
            |shown: &Option<String>| !shown.as_ref().is_some_and(|text| text.starts_with(TEMPORARY));
        self.settings().is_ok() && is_real(&self.identity) && is_real(&self.receipts)
    }

    /// Checks that every setting of the session has its value from the opening of the connection.
    pub(super) fn settings(&self) -> Result<(), CheckError> {
        match self.ours.first_difference(&self.found) {
            Some(name) => Err(violation(
                ViolationKind::SettingChanged,
                format!("`{name}` of the session was changed by code that ran in the transaction"),
            )),
            None => Ok(()),
        }
    }

    /// Whether there is an identity table that does not have the migration's form.
    pub(super) fn is_identity_unfit(&self, receipts: &Receipts) -> bool {
        let differences = |shown| receipt_form::identity_differences(&receipts.schema, shown);
        self.identity
            .as_deref()
            .is_some_and(|shown| !differences(shown).is_empty())
    }

    /// Returns the reason why nothing may be read through the receipt table: it is not a table, or another
    /// one hides it. The later checks report other defects.
    pub(super) fn unreadable_receipts(&self, receipts: &Receipts) -> Option<EngineError> {
        let is_readable = match (&self.receipts, &self.last_error) {
            (Some(shown), _) => shown.starts_with("CREATE TABLE "),
            // The read itself fails, with the reason.
            (None, last) => last.as_ref().is_some_and(|last| !last.is_right_missing),
        };
        let unfit = self.own_tables(receipts).err();
        unfit.filter(|_| !is_readable).map(CheckError::into_engine)
    }

    /// Checks that identity table and receipt table have the migration's form and are not hidden.
    pub(super) fn own_tables(&self, receipts: &Receipts) -> Result<(), CheckError> {
        let unfit = |text: String| Err(violation(ViolationKind::ReceiptTable, text));
        let identity = self.identity.iter();
        let mut differences =
            identity.flat_map(|shown| receipt_form::identity_differences(&receipts.schema, shown));
        if let Some(difference) = differences.next() {
            return unfit(format!(
                "the identity table `{IDENTITY_TABLE}` {}",
                difference.what
            ));
        }
        let table = &receipts.table;
        let Some(shown) = &self.receipts else {
            return match &self.last_error {
                Some(last) if !last.is_right_missing => Err(last.error.clone().into()),
                _ => unfit(format!(
                    "the receipt table `{table}` is not visible to this account"
                )),
            };
        };
        let differences = receipt_form::differences(&receipts.schema, table, shown);
        match differences.first() {
            Some(difference) => unfit(format!("the receipt table `{table}` {}", difference.what)),
            None => Ok(()),
        }
    }

    /// Checks that no temporary table hides the target.
    pub(super) fn target(&self, table: &str) -> Result<(), CheckError> {
        match (&self.target, &self.last_error) {
            (Some(shown), _) if shown.starts_with(TEMPORARY) => Err(violation(
                ViolationKind::TargetChanged,
                format!("a temporary table hides `{table}`"),
            )),
            (Some(_), _) => Ok(()),
            (None, Some(last)) if last.is_right_missing => Ok(()),
            (None, Some(last)) => Err(last.error.clone().into()),
            (None, None) => {
                Err(EngineError::new(EngineErrorKind::Other, "the target's definition was not read").into())
            }
        }
    }
}
