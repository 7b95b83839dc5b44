//! Chooses the key columns of the drafted capabilities, and the argument of each.

use synapsor_codes::ErrorCode;

use super::DraftError;
use super::choices::InitOptions;
use crate::contract::{Mode, is_trust_scope_name};
use crate::inspection::{TableInfo, TableKind};

/// Key columns of the row.
pub(super) struct KeyPlan {
    /// In the order of the key.
    pub(super) columns: Vec<String>,
    /// Columns with the argument of each. The tenant column of a key of several columns has none.
    pub(super) arguments: Vec<(String, String)>,
}

/// Chooses the columns of `--primary-key`, or those of the table's primary key. The tenant column is added if the row is
/// unique only with it.
pub(super) fn plan(
    choices: &InitOptions,
    found: Option<&TableInfo>,
    object: &str,
    tenant: Option<&str>,
    warnings: &mut Vec<String>,
) -> Result<KeyPlan, DraftError> {
    let columns = columns(choices, found, object, tenant)?;
    let is_ambiguous = found.is_some_and(|table| !is_unique(table, &columns));
    // What is never written has an error of its own: views, materialized views, foreign tables.
    let is_table = found.is_some_and(|table| table.kind == TableKind::Table && table.never_written.is_none());
    if is_ambiguous && is_table && choices.mode != Some(Mode::ReadOnly) {
        return Err(DraftError::new(
            ErrorCode::IndexMissing,
            format!(
                "no unique index covers exactly `{}`, so that every proposal is refused; an index with a condition, over \
                 an expression, or over the start of a column does not count",
                columns.join("`, `")
            ),
            "create a unique index over these columns alone, choose others with --primary-key, or draft a contract that \
             only reads with --mode read_only",
        ));
    }
    if is_ambiguous {
        let names: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
        let have = if columns.len() == 1 { "has" } else { "have" };
        warnings.push(format!(
            "{} {have} no unique constraint without other columns: a call that matches two rows is refused. Add a unique \
             constraint.",
            names.join(", ")
        ));
    }
    Ok(KeyPlan {
        arguments: arguments(choices, &columns, object, tenant)?,
        columns,
    })
}

fn columns(
    choices: &InitOptions,
    found: Option<&TableInfo>,
    object: &str,
    tenant: Option<&str>,
) -> Result<Vec<String>, DraftError> {
    let columns = match choices.primary_key.as_slice() {
        [] => found.map_or_else(Vec::new, |table| match table.key_candidate(object) {
            Some(only) => vec![only.to_owned()],
            None => table.primary_key.clone(),
        }),
        chosen => chosen.to_vec(),
    };
    if columns.is_empty() {
        return Err(DraftError::new(
            ErrorCode::PrimaryKeyRequired,
            "no key found",
            "pass --primary-key with a column that is unique on its own, or with several that are unique together",
        ));
    }
    let (Some(table), Some(tenant)) = (
        found,
        tenant.filter(|tenant| !columns.iter().any(|c| c == tenant)),
    ) else {
        return Ok(columns);
    };
    let with_tenant = [&[tenant.to_owned()], columns.as_slice()].concat();
    let needs_tenant = !is_unique(table, &columns) && is_unique(table, &with_tenant);
    Ok(if needs_tenant { with_tenant } else { columns })
}

/// Whether no two rows agree in these columns.
fn is_unique(table: &TableInfo, columns: &[String]) -> bool {
    let is_part = |key: &[String]| !key.is_empty() && key.iter().all(|column| columns.contains(column));
    is_part(&table.primary_key)
        || table
            .unique_constraints
            .iter()
            .any(|unique| is_part(&unique.columns))
}

/// One column gets the argument `--id-arg`; of several, each gets an argument of its own name.
fn arguments(
    choices: &InitOptions,
    columns: &[String],
    object: &str,
    tenant: Option<&str>,
) -> Result<Vec<(String, String)>, DraftError> {
    let is_named = |column: &&String| columns.len() == 1 || tenant != Some(column.as_str());
    let named: Vec<&String> = columns.iter().filter(is_named).collect();
    if let [only] = named[..] {
        let argument = choices
            .lookup_arg
            .clone()
            .unwrap_or_else(|| format!("{object}_id"));
        return Ok(vec![(only.clone(), argument)]);
    }
    if choices.lookup_arg.is_some() {
        return Err(DraftError::new(
            ErrorCode::LookupKeysInvalid,
            "--id-arg names one argument, and several columns identify the row",
            "leave it out: each column gets an argument of its own name",
        ));
    }
    let argument = |column: &String| {
        // Such names are reserved for what the trusted context binds.
        if is_trust_scope_name(column) {
            format!("{object}_{column}")
        } else {
            column.clone()
        }
    };
    Ok(named
        .into_iter()
        .map(|column| (column.clone(), argument(column)))
        .collect())
}
