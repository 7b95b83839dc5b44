//! Plans one exact change from a row and checked arguments. The reader plans, and the writer plans again
//! with its own contract; if the plans differ, nothing is written.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use synapsor_codes::{ErrorCode, SafeCode};

use crate::contract::{
    Capability, ConflictGuard, EngineKind, ExecutorRef, KeyColumn, ProposalSpec, VersionAdvance,
};
use crate::error::PublicError;
use crate::foreign_code::{Acknowledged, Unacknowledged};
use crate::guard;
use crate::proposal::{GuardKind, RowGuard, RowTarget};
use crate::schema::{TableColumn, TableSchema};
use crate::tool::{CheckedArguments, check_arguments};
use crate::value::{ColumnValue, Value, ValueKind, find};

/// Engine rule for exact column values; returns the value as the column would hold it.
pub type Fit<'a> = dyn Fn(&TableColumn, &Value) -> Result<Value, PublicError> + Sync + 'a;

/// An unsigned change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePlan {
    pub target: RowTarget,
    pub set: Vec<ColumnValue>,
    pub guard: RowGuard,
    pub side_effects: Vec<String>,
    /// One line for each read column that the database computes. Readers before it sign none of them.
    pub computed: Vec<String>,
}

impl ChangePlan {
    /// Returns the list of side effects that a proposal carries.
    pub fn all_side_effects(&self) -> Vec<String> {
        [self.side_effects.as_slice(), &self.computed].concat()
    }

    /// Whether a proposal lists the side effects of this plan, with or without the computed columns.
    pub fn is_listed_by(&self, side_effects: &[String]) -> bool {
        side_effects == self.side_effects || side_effects == self.all_side_effects()
    }
}

/// Plans the change of this row by a capability with these arguments.
///
/// `row` holds every read column of the capability, in its order. Fails with the codes of the argument check, the
/// guards and [`Unacknowledged`], and `PLAN_IMPOSSIBLE` for a table or a row that the protocol cannot write.
pub fn plan(
    capability: &Capability,
    args: &BTreeMap<String, Value>,
    row: &[ColumnValue],
    shape: &TableSchema,
    fit: &Fit<'_>,
    tenant: &str,
) -> Result<ChangePlan, PublicError> {
    let Some(spec) = capability.proposal() else {
        return Err(PublicError::new(
            ErrorCode::PatchRequired,
            "This capability only reads.",
        ));
    };
    check_table(capability, spec, shape)?;
    let acknowledged = acknowledged(spec, shape).map_err(PublicError::from)?;
    let arguments = revalidate_arguments(capability, args)?;
    let patch = guard::build_patch(spec, &arguments)?;
    guard::check_proposed(capability, &patch, row)?;
    let target = target(capability, &arguments, row, shape, fit, tenant)?;
    let mut set = fit_all(patch, shape, fit)?;
    let guard = row_guard(spec, row, shape)?;
    guard::check_exact_before(&guard, row)?;
    set.extend(advance(&guard, shape, fit)?);
    Ok(ChangePlan {
        target,
        set,
        guard,
        side_effects: shape
            .side_effects()
            .into_iter()
            .chain(acknowledged.side_effects())
            .collect(),
        computed: computed(capability, row, shape),
    })
}

/// Returns a line for each read column that the database computes from others. Key and tenant must stay the same,
/// and PostgreSQL's row version is shown as the guard.
fn computed(capability: &Capability, row: &[ColumnValue], shape: &TableSchema) -> Vec<String> {
    let tenant = capability.target.tenant_key.as_deref();
    let read = row.iter().filter_map(|read| shape.column(&read.column));
    read.filter(|column| column.generated && !column.primary_key && column.declared_type != "xid")
        .filter(|column| tenant != Some(column.name.as_str()))
        .map(|column| format!("column {} is computed by the database and follows", column.name))
        .collect()
}

/// Returns whether the row has every proposed value already, as far as the caller may see the row: about a hidden column
/// the answer would disclose its value.
pub fn changes_nothing(
    capability: &Capability,
    arguments: &CheckedArguments,
    row: &[ColumnValue],
    shape: &TableSchema,
    fit: &Fit<'_>,
) -> bool {
    let patch = capability
        .proposal()
        .and_then(|spec| guard::build_patch(spec, arguments).ok());
    let set = patch.and_then(|patch| fit_all(patch, shape, fit).ok());
    let is_same = |new: &ColumnValue| {
        capability.visible_columns.contains(&new.column) && find(row, &new.column) == Some(&new.value)
    };
    set.is_some_and(|set| set.iter().all(is_same))
}

/// Returns the effects that code on the table may have under this contract. A handler's statements run such code
/// on behalf of the application, which is responsible for it.
///
/// Fails as [`Acknowledged::acknowledge`] does.
pub fn acknowledged(spec: &ProposalSpec, shape: &TableSchema) -> Result<Acknowledged, Unacknowledged> {
    match spec.executor {
        ExecutorRef::Direct => Acknowledged::acknowledge(&shape.foreign_code, &spec.side_effects_ack),
        ExecutorRef::Handler(_) => Ok(Acknowledged::default()),
    }
}

/// Validates typed arguments like those of a model: they must equal the output of that check.
fn revalidate_arguments(
    capability: &Capability,
    args: &BTreeMap<String, Value>,
) -> Result<CheckedArguments, PublicError> {
    let object: serde_json::Map<String, Json> = args
        .iter()
        .map(|(name, value)| Ok((name.clone(), to_json(value)?)))
        .collect::<Result<_, PublicError>>()?;
    let checked = check_arguments(capability, Json::Object(object).to_string().as_bytes())?;
    let same = checked.iter().all(|(name, value)| args.get(name) == Some(value));
    if same && checked.iter().count() == args.len() {
        Ok(checked)
    } else {
        Err(PublicError::new(
            ErrorCode::ArgumentTypeInvalid,
            "An argument is not in canonical form.",
        ))
    }
}

fn to_json(value: &Value) -> Result<Json, PublicError> {
    let wrong = || {
        PublicError::new(
            ErrorCode::ArgumentTypeInvalid,
            "Arguments are strings, numbers and booleans.",
        )
    };
    match (value.kind(), value.as_text()) {
        (ValueKind::Text, Some(text)) => Ok(Json::String(text.to_owned())),
        (ValueKind::Bool, Some(text)) => Ok(Json::Bool(text == "true")),
        (ValueKind::Int | ValueKind::Dec, Some(text)) => serde_json::from_str::<serde_json::Number>(text)
            .map(Json::Number)
            .map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Traits of tables whose rows are stored elsewhere, stored differently, or not counted where they are changed.
/// A storage engine is listed only if it has no transactions.
const UNWRITABLE: [&str; 11] = [
    "view",
    "materialized_view",
    "virtual",
    "foreign",
    "partitioned",
    "partition",
    "inherits",
    "inherited",
    "unlogged",
    "temporary",
    "storage",
];

fn check_table(capability: &Capability, spec: &ProposalSpec, shape: &TableSchema) -> Result<(), PublicError> {
    let patched = spec.patch.iter().map(|(column, _)| column.as_str());
    let keys: Vec<&str> = capability.target.key_columns().collect();
    match unplannable(shape, &keys, patched) {
        Some(text) => Err(PublicError::new(ErrorCode::PlanImpossible, text)),
        None => Ok(()),
    }
}

/// Returns the trait that prevents writes, if the table is not an ordinary table.
pub fn unwritable_trait(shape: &TableSchema) -> Option<&str> {
    let is_unwritable = |word: &&str| UNWRITABLE.contains(word) || word.starts_with("engine:");
    shape.traits.iter().map(String::as_str).find(is_unwritable)
}

/// Returns a sentence why no change of the table can be planned: its kind, its key, or a changed column.
pub fn unplannable<'a>(
    shape: &TableSchema,
    keys: &[&str],
    patched: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    if let Some(word) = unwritable_trait(shape) {
        let text = format!(
            "`{}` is not an ordinary table ({word}); the writer changes only ordinary tables.",
            shape.table
        );
        return Some(text);
    }
    if let Some(absent) = keys.iter().find(|key| shape.column(key).is_none()) {
        return Some(format!("the table has no column `{absent}`."));
    }
    if !shape.are_unique_together(keys) {
        let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let verb = if keys.len() == 1 {
            "is not unique"
        } else {
            "are not unique together"
        };
        return Some(format!("{} {verb} in the table.", names.join(", ")));
    }
    patched.into_iter().find_map(|column| match shape.column(column) {
        None => Some(format!("the table has no column `{column}`.")),
        Some(c) if c.generated => Some(format!("`{column}` is generated by the database.")),
        Some(c) if c.primary_key => Some(format!("`{column}` is part of the primary key.")),
        Some(_) => None,
    })
}

fn target(
    capability: &Capability,
    arguments: &CheckedArguments,
    row: &[ColumnValue],
    shape: &TableSchema,
    fit: &Fit<'_>,
    tenant: &str,
) -> Result<RowTarget, PublicError> {
    let from = &capability.target;
    let exact = |column: &str, value: &Value| -> Result<ColumnValue, PublicError> {
        let shape = shape.column(column).ok_or_else(|| missing(column))?;
        let value = fit(shape, value)?;
        if find(row, column) != Some(&value) {
            return Err(no_such_row());
        }
        Ok(ColumnValue::new(column, value))
    };
    let key = |key: &KeyColumn| exact(&key.column, &arguments.key_value(key, tenant));
    Ok(RowTarget {
        schema: from.schema.clone(),
        table: from.table.clone(),
        keys: from.keys.iter().map(key).collect::<Result<_, _>>()?,
        tenant: from
            .tenant_key
            .as_ref()
            .map(|c| exact(c, &Value::text(tenant)))
            .transpose()?,
    })
}

fn fit_all(
    patch: Vec<ColumnValue>,
    shape: &TableSchema,
    fit: &Fit<'_>,
) -> Result<Vec<ColumnValue>, PublicError> {
    let fitted = |new: ColumnValue| {
        let column = shape.column(&new.column).ok_or_else(|| missing(&new.column))?;
        let value = fit(column, &new.value)?;
        // A key lookup accepts the digits of a number; a written value has the declared type.
        let is_number = matches!(
            value.kind(),
            ValueKind::Int | ValueKind::Dec | ValueKind::Float | ValueKind::Bool
        );
        if new.value.kind() == ValueKind::Text && is_number {
            let text = format!(
                "column `{}` is numeric, but the argument is a string.",
                new.column
            );
            return Err(PublicError::new(ErrorCode::ValueDoesNotFit, text));
        }
        if value.kind() == ValueKind::Json && !guard::is_readable_json(&value) {
            let text = format!(
                "column `{}` takes JSON without duplicate keys, nested at most {} levels deep.",
                new.column,
                guard::JSON_DEPTH_MAX
            );
            return Err(PublicError::new(ErrorCode::ValueDoesNotFit, text));
        }
        Ok(ColumnValue::new(new.column, value))
    };
    patch.into_iter().map(fitted).collect()
}

fn row_guard(spec: &ProposalSpec, row: &[ColumnValue], shape: &TableSchema) -> Result<RowGuard, PublicError> {
    let ConflictGuard::Column { column, advance } = &spec.conflict_guard else {
        return Ok(RowGuard::weak());
    };
    let value = match find(row, column) {
        Some(value) if !value.is_null() => value,
        // A guard without a value to compare would not detect a concurrent change.
        Some(_) => {
            return Err(PublicError::new(
                ErrorCode::ConflictGuardNull,
                format!("The row's version column `{column}` is null."),
            ));
        }
        None => {
            return Err(PublicError::new(
                ErrorCode::ConflictGuardMissing,
                format!("The version column `{column}` was not read."),
            ));
        }
    };
    let declared = shape.column(column).ok_or_else(|| missing(column))?;
    Ok(RowGuard {
        kind: GuardKind::VersionColumn,
        version: Some(ColumnValue::new(column, value.clone())),
        declared_type: Some(declared.declared_type.clone()),
        strength: Some(guard::guard_strength(shape.engine, declared, value)?),
        advance: *advance,
    })
}

/// Returns the new version if the writer increments it; for the clock, only checks that the writer can advance it.
fn advance(guard: &RowGuard, shape: &TableSchema, fit: &Fit<'_>) -> Result<Option<ColumnValue>, PublicError> {
    let Some(version) = guard.version.as_ref().filter(|_| !guard.advance.is_none()) else {
        return Ok(None);
    };
    let name = &version.column;
    let column = shape.column(name).ok_or_else(|| missing(name))?;
    let unfit = |why: &str| {
        let text = format!(
            "`{name}` ({}) cannot be advanced by the writer: {why}.",
            column.declared_type
        );
        PublicError::new(ErrorCode::ConflictGuardUnfit, text)
    };
    if column.generated {
        return Err(unfit("it is generated by the database"));
    }
    if column.primary_key {
        return Err(unfit("it is part of the primary key"));
    }
    if guard.advance == VersionAdvance::Now {
        let is_time = match version.value.kind() {
            ValueKind::Ts | ValueKind::Tstz => true,
            // SQLite has no time type and stores times as text.
            ValueKind::Text => {
                shape.engine == EngineKind::Sqlite && guard::text_fraction(&version.value).is_some()
            }
            _ => false,
        };
        return if is_time {
            Ok(None)
        } else {
            Err(unfit("it holds no date with a time"))
        };
    }
    let next = guard::incremented(&version.value).ok_or_else(|| unfit("it holds no whole number"))?;
    match fit(column, &next) {
        Ok(fitted) if fitted == next => Ok(Some(ColumnValue::new(name, next))),
        Ok(_) => Err(unfit("the database would alter the next number")),
        Err(refusal) => Err(PublicError::new(
            ErrorCode::ConflictGuardOverflow,
            format!("The version column `{name}` has no room for the next number."),
        )
        .with_detail(refusal.to_string())),
    }
}

/// Same error for a missing row and a row of another tenant.
pub fn no_such_row() -> PublicError {
    PublicError::new(ErrorCode::RowNotFound, SafeCode::NotFoundInTenant.sentence())
}

fn missing(column: &str) -> PublicError {
    PublicError::new(
        ErrorCode::PlanImpossible,
        format!("the table has no column `{column}`."),
    )
}
