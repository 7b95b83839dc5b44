//! Foreign code that the server runs when one row of a table changes, and the relations that such a change
//! locks.
//!
//! Code is not analyzed by what it calls: it has the one closed form, or it must be acknowledged. Expressions
//! that use only the server's own harmless functions are not listed, because they run no foreign code.

mod closed_form;

use std::collections::BTreeMap;

use serde::Deserialize;
use synapsor_domain::foreign_code::{CodeForm, ForeignCode, ForeignCodeKind};

use super::connect::PgPooledConnection;
use super::dialect::Statement;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// The OID of no table, for calls where only one of the two is needed. Zero would match every domain.
pub const NO_TABLE: u32 = u32::MAX;

/// One JSON text for the OIDs of target and receipt table.
const DESCRIPTION: &str = include_str!("description.sql");
/// Bits of a trigger's type.
const FOR_EACH_ROW: i32 = 1;
const BEFORE: i32 = 2;
const INSTEAD: i32 = 64;
/// Reason why a deferrable trigger, and an expression of a deferrable constraint, cannot be acknowledged.
const RUNS_AT_COMMIT: &str = "is deferrable: it could run inside COMMIT, after the last check";

/// Facts of the catalogs about the code on a table and everything that a stamp must cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCode {
    pub code: Vec<ForeignCode>,
    pub related: Related,
}

/// OIDs of catalog rows that affect the tables' meaning, besides those found by the tables' own OIDs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Related {
    pub namespaces: Vec<u32>,
    pub types: Vec<u32>,
    pub operators: Vec<u32>,
    pub functions: Vec<u32>,
    /// Both tables with their indexes and TOAST tables: the relations that a change of one row and a new
    /// receipt lock.
    pub lockable: Vec<u32>,
}

#[derive(Debug, Deserialize)]
struct Description {
    code: Vec<DescribedCode>,
    namespaces: Vec<u32>,
    types: Vec<u32>,
    operators: Vec<u32>,
    functions: Vec<u32>,
    lockable: Vec<u32>,
}

#[derive(Debug, Deserialize)]
struct DescribedCode {
    kind: Kind,
    name: String,
    definition: Option<String>,
    functions: Vec<DescribedFunction>,
    rests_on_others: bool,
    /// An index whose constraint can be checked at COMMIT, by its expressions.
    is_of_deferrable_constraint: bool,
    trigger: Option<DescribedTrigger>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Trigger,
    InternalTrigger,
    Rule,
    Policy,
    Check,
    DomainCheck,
    GeneratedColumn,
    IndexExpression,
    Statistics,
    DataType,
}

#[derive(Debug, Deserialize)]
struct DescribedFunction {
    name: String,
    /// With owner, rights and settings.
    definition: String,
    is_own: bool,
}

#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "flags of the server's catalog")]
struct DescribedTrigger {
    is_deferrable: bool,
    #[serde(rename = "type")]
    bits: i32,
    function: String,
    language: String,
    is_server_language: bool,
    is_definer: bool,
    has_settings: bool,
    source: String,
    has_condition: bool,
}

/// Reads the code on the table `target` and the facts that a stamp of it and of the table `receipts` covers.
pub async fn read(
    lease: &mut PgPooledConnection,
    target: u32,
    receipts: u32,
) -> Result<TableCode, EngineError> {
    let statement = Statement {
        sql: DESCRIPTION.to_owned(),
        parameters: vec![Some(target.to_string()), Some(receipts.to_string())],
    };
    let rows = lease.fetch(statement).await?;
    let text = rows
        .into_iter()
        .next()
        .and_then(|row| row.into_iter().next().flatten());
    let unreadable = || EngineError::new(EngineErrorKind::Unreadable, "code of the table not readable");
    let found: Description = serde_json::from_str(&text.ok_or_else(unreadable)?).map_err(|_| unreadable())?;
    Ok(TableCode {
        code: found.code.iter().filter_map(DescribedCode::foreign).collect(),
        related: Related {
            namespaces: found.namespaces,
            types: found.types,
            operators: found.operators,
            functions: found.functions,
            lockable: found.lockable,
        },
    })
}

impl DescribedCode {
    /// Returns the code, unless it is an expression that runs no foreign code.
    fn foreign(&self) -> Option<ForeignCode> {
        let is_attached = matches!(self.kind, Kind::Trigger | Kind::InternalTrigger | Kind::Rule);
        if !is_attached && !self.rests_on_others && self.functions.iter().all(|f| f.is_own) {
            return None;
        }
        let foreign = || self.functions.iter().filter(|f| !f.is_own);
        let functions: Vec<&str> = foreign().map(|f| f.definition.as_str()).collect();
        let definition = BTreeMap::from([
            ("definition", self.definition.clone().unwrap_or_default()),
            ("functions", functions.join("\n")),
        ]);
        let names = foreign().map(|f| f.name.clone()).collect();
        let code = ForeignCode::new(self.kind.shared(), &self.name, &definition, names, self.form());
        Some(code.with_error_context(self.has_error_context()))
    }

    /// The server evaluates conditions and expressions within the statement, and its own language alone adds a context to
    /// every error.
    fn has_error_context(&self) -> bool {
        let trigger = self.trigger.as_ref();
        self.kind == Kind::Trigger && trigger.is_some_and(|t| !t.has_condition && t.is_in_plpgsql())
    }

    fn form(&self) -> CodeForm {
        if self.is_of_deferrable_constraint {
            return CodeForm::Never(RUNS_AT_COMMIT);
        }
        let Some(trigger) = &self.trigger else {
            return CodeForm::Acknowledgeable;
        };
        if trigger.is_deferrable {
            return CodeForm::Never(RUNS_AT_COMMIT);
        }
        // Any other function that its condition calls could be user-defined.
        let is_alone = !self.rests_on_others
            && self
                .functions
                .iter()
                .all(|f| f.is_own || f.name == trigger.function);
        if is_alone && self.kind == Kind::Trigger && trigger.is_closed() {
            CodeForm::Closed
        } else {
            CodeForm::Acknowledgeable
        }
    }
}

impl DescribedTrigger {
    fn is_in_plpgsql(&self) -> bool {
        self.language == "plpgsql" && self.is_server_language
    }

    fn is_closed(&self) -> bool {
        let is_before_row = self.bits & (FOR_EACH_ROW | BEFORE | INSTEAD) == FOR_EACH_ROW | BEFORE;
        is_before_row
            && self.is_in_plpgsql()
            && !self.is_definer
            && !self.has_settings
            && closed_form::is_closed(&self.source)
    }
}

impl Kind {
    const fn shared(self) -> ForeignCodeKind {
        match self {
            Self::Trigger => ForeignCodeKind::Trigger,
            Self::InternalTrigger => ForeignCodeKind::InternalTrigger,
            Self::Rule => ForeignCodeKind::Rule,
            Self::Policy => ForeignCodeKind::Policy,
            Self::Check => ForeignCodeKind::Check,
            Self::DomainCheck => ForeignCodeKind::DomainCheck,
            Self::GeneratedColumn => ForeignCodeKind::GeneratedColumn,
            Self::IndexExpression => ForeignCodeKind::IndexExpression,
            Self::Statistics => ForeignCodeKind::Statistics,
            Self::DataType => ForeignCodeKind::DataType,
        }
    }
}
