//! Resolves choices and schema catalog into a complete plan. Every ambiguity is an error or a warning.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};
use synapsor_codes::ErrorCode;

use super::args;
use super::choices::InitOptions;
use super::flag_syntax::{Assigned, Bounds, States, is_number};
use super::key::{self, KeyPlan};
use super::names::{namespace_of, object_of};
use super::{DraftError, READ_URL_ENV, WRITE_URL_ENV};
use crate::context::{PRINCIPAL_ENV, TENANT_ENV};
use crate::contract::{EngineKind, Mode, SslMode, VersionAdvance, XMIN, is_identifier};
use crate::inspection::{ColumnInfo, ColumnKind, Inspection, TableInfo, TableKind};

/// Maximum number of tables named in an error.
const TABLES_NAMED: usize = 12;
const NOTHING_VISIBLE: &str = "no table that a contract can name is visible to this credential: use the URL of the \
     tables' owner for the draft, or grant the role its rights first";

/// All contents of the generated files.
pub(super) struct ContractPlan<'a> {
    pub(super) choices: &'a InitOptions,
    pub(super) engine: EngineKind,
    pub(super) mode: Mode,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) found: Option<&'a TableInfo>,
    /// How the certificate of the server is verified, where its authorities are named.
    pub(super) ssl_mode: SslMode,
    pub(super) key: KeyPlan,
    pub(super) tenant: Option<String>,
    pub(super) guard: Option<String>,
    pub(super) visible: Vec<String>,
    pub(super) object: String,
    pub(super) read_tool: String,
    pub(super) source: String,
    pub(super) read_url_env: String,
    pub(super) write_url_env: Option<String>,
    pub(super) tenant_env: String,
    pub(super) principal_env: String,
    /// Absent in mode `read_only`.
    pub(super) change: Option<ProposalPlan>,
    pub(super) warnings: Vec<String>,
}

/// Plan of the proposal.
pub(super) struct ProposalPlan {
    pub(super) tool: String,
    pub(super) patch: Vec<(String, Assigned)>,
    pub(super) allowed: Vec<String>,
    pub(super) bounds: Vec<(String, Bounds)>,
    pub(super) states: Vec<(String, States)>,
    pub(super) state_columns: Vec<(String, String)>,
    pub(super) patch_args: Vec<(String, Map<String, Json>)>,
    pub(super) advance: VersionAdvance,
}

pub(super) fn plan<'a>(
    choices: &'a InitOptions,
    inspection: Option<&'a Inspection>,
) -> Result<ContractPlan<'a>, DraftError> {
    let engine = engine(choices, inspection)?;
    let mode = choices.mode.unwrap_or(Mode::Shadow);
    if mode == Mode::Cloud {
        let text = "mode `cloud` is not available";
        return Err(DraftError::new(
            ErrorCode::NotAvailable,
            text,
            "choose read_only, shadow or review",
        ));
    }
    let (schema, table, found) = table(choices, inspection)?;
    nameable(&schema, &table)?;
    let object = choices.object_name.clone().unwrap_or_else(|| object_of(&table));
    let namespace = choices.namespace.clone().unwrap_or_else(|| namespace_of(&object));
    let mut warnings = Vec::new();
    let mut tenant_warnings = Vec::new();
    let tenant = tenant(choices, found, &mut tenant_warnings)?;
    let key = key::plan(choices, found, &object, tenant.as_deref(), &mut warnings)?;
    warnings.append(&mut tenant_warnings);
    let of_key = |(column, argument): &(String, String)| args::key_warning(found?.column(column)?, argument);
    warnings.extend(key.arguments.iter().filter_map(of_key));
    let guard = guard(choices, found, mode, &mut warnings);
    let change = match mode {
        Mode::ReadOnly => None,
        Mode::Shadow | Mode::Review | Mode::Cloud => Some(change(choices, found, &namespace, &object)?),
    };
    let first = key.columns.iter().chain(&tenant).chain(&guard);
    let visible = visible(choices, found, first)?;
    warnings.extend(always_visible(choices, &visible));
    warnings.extend(unreadable(choices, found, &visible));
    warnings.extend(writable_reader(choices, engine, found));
    let or = |chosen: &Option<String>, derived: String| chosen.clone().unwrap_or(derived);
    let write_url_env = or(&choices.write_url_env, WRITE_URL_ENV.to_owned());
    let plan = ContractPlan {
        choices,
        engine,
        mode,
        key,
        tenant,
        guard,
        visible,
        read_tool: or(&choices.read_tool, format!("{namespace}.inspect_{object}")),
        source: or(&choices.source_name, format!("local_{}", engine.as_str())),
        read_url_env: or(&choices.read_url_env, READ_URL_ENV.to_owned()),
        write_url_env: (mode == Mode::Review).then_some(write_url_env),
        tenant_env: or(&choices.tenant_env, TENANT_ENV.to_owned()),
        principal_env: or(&choices.principal_env, PRINCIPAL_ENV.to_owned()),
        schema,
        table,
        found,
        ssl_mode: inspection
            .and_then(|inspection| inspection.ssl_mode)
            .unwrap_or(SslMode::VerifyFull),
        object,
        change,
        warnings,
    };
    known_columns(&plan)?;
    Ok(plan)
}

fn engine(choices: &InitOptions, inspection: Option<&Inspection>) -> Result<EngineKind, DraftError> {
    let chosen = choices.engine.as_deref().filter(|word| *word != "auto");
    let word = match (chosen, inspection) {
        (Some(chosen), Some(found)) if chosen != found.engine => {
            let text = format!("the inspection is for {}, not for {chosen}", found.engine);
            return Err(DraftError::new(
                ErrorCode::EngineMismatch,
                text,
                "omit --engine, or inspect the other database",
            ));
        }
        (_, Some(found)) => found.engine.as_str(),
        (Some(chosen), None) => chosen,
        (None, None) => "postgres",
    };
    EngineKind::of_name(word).ok_or_else(|| {
        DraftError::new(
            ErrorCode::EngineNotAvailable,
            "unknown engine",
            "choose postgres, mysql or sqlite",
        )
    })
}

type FoundTable<'a> = (String, String, Option<&'a TableInfo>);

fn table<'a>(
    choices: &InitOptions,
    inspection: Option<&'a Inspection>,
) -> Result<FoundTable<'a>, DraftError> {
    let text = choices.table.as_deref().unwrap_or_default();
    if text.is_empty() {
        return Err(no_table(inspection));
    }
    let (schema, table) = match text.split_once('.') {
        Some((schema, table)) => (Some(schema.to_owned()), table),
        None => (choices.schema.clone(), text),
    };
    let Some(inspection) = inspection else {
        let schema = schema.ok_or_else(|| {
            let text = "the schema is unknown without an inspection";
            DraftError::new(
                ErrorCode::SchemaRequired,
                text,
                "set `schema`, or write the table as SCHEMA.TABLE",
            )
        })?;
        return Ok((schema, table.to_owned(), None));
    };
    let found: Vec<&TableInfo> = inspection.tables_called(schema.as_deref(), table).collect();
    let is_current = |found: &&&TableInfo| inspection.current_schema.as_ref() == Some(&found.schema);
    // As the database itself reads a name without a schema.
    let current = found.iter().find(is_current).map(std::slice::from_ref);
    match current.unwrap_or(&found) {
        [only] => Ok((only.schema.clone(), only.name.clone(), Some(only))),
        [] => Err(DraftError::new(
            ErrorCode::TableNotFound,
            format!("table `{text}` is not visible to the read credential"),
            listed(inspection, text).map_or_else(
                || NOTHING_VISIBLE.to_owned(),
                |names| format!("choose one of: {names}"),
            ),
        )),
        several => {
            let schemas: Vec<&str> = several.iter().map(|table| table.schema.as_str()).collect();
            Err(DraftError::new(
                ErrorCode::TableAmbiguous,
                format!("table `{table}` exists in more than one schema"),
                format!("pass --schema with one of: {}", schemas.join(", ")),
            ))
        }
    }
}

/// Checks that a contract can name the table, before anything is drafted for it.
fn nameable(schema: &str, table: &str) -> Result<(), DraftError> {
    match [schema, table].into_iter().find(|name| !is_identifier(name)) {
        None => Ok(()),
        Some(name) => Err(DraftError::new(
            ErrorCode::DraftInvalid,
            format!(
                "no contract can name `{name}`: a name begins with an ASCII letter or `_` and has ASCII letters, digits \
                 and `_` only"
            ),
            "rename it, or create a view with such a name, which can be read but not written",
        )),
    }
}

fn no_table(inspection: Option<&Inspection>) -> DraftError {
    let fix = inspection.map_or_else(
        || "give --table SCHEMA.TABLE".to_owned(),
        |inspection| match listed(inspection, "") {
            Some(names) => format!("pass --table with one of: {names}"),
            None => NOTHING_VISIBLE.to_owned(),
        },
    );
    DraftError::new(ErrorCode::TableRequired, "no table selected", fix)
}

/// Lists tables that are offered, those like the wanted name first; `None` if there is none.
fn listed(inspection: &Inspection, wanted: &str) -> Option<String> {
    let mut tables = inspection.offered();
    let wanted = wanted.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_like = |table: &&TableInfo| {
        let name = table.name.to_ascii_lowercase();
        !wanted.is_empty() && (name.contains(&wanted) || wanted.contains(&name))
    };
    tables.sort_by_key(|table| !is_like(table));
    let mut names: Vec<String> = tables
        .iter()
        .take(TABLES_NAMED)
        .map(|table| format!("{}.{}", table.schema, table.name))
        .collect();
    if tables.len() > TABLES_NAMED {
        names.push("...".to_owned());
    }
    (!names.is_empty()).then(|| names.join(", "))
}

fn tenant(
    choices: &InitOptions,
    found: Option<&TableInfo>,
    warnings: &mut Vec<String>,
) -> Result<Option<String>, DraftError> {
    if let Some(chosen) = &choices.tenant_column {
        return Ok(Some(chosen.clone()));
    }
    if choices.single_tenant_dev {
        return Ok(None);
    }
    let suggested = found.map_or(&[][..], |table| &table.suggestions.tenant_columns);
    let [taken, others @ ..] = suggested else {
        return Err(DraftError::new(
            ErrorCode::TenantRequired,
            "no tenant column found",
            "pass --tenant-column; a table without such a column can have a computed one with a constant value (docs: A \
             table without a tenant column); --single-tenant-dev with --mode read_only or shadow is for development, \
             without writeback",
        ));
    };
    let or = if others.is_empty() {
        String::new()
    } else {
        format!(" (or {})", others.join(", "))
    };
    let env = choices.tenant_env.as_deref().unwrap_or(TENANT_ENV);
    warnings.push(format!(
        "`{taken}` is the tenant column by its name alone: calls reach only rows where it equals {env}, and find no \
         other. Pass --tenant-column {taken}{or} to confirm it, or the column that holds the tenant."
    ));
    Ok(Some(taken.clone()))
}

/// Warns if the contract names the variable of the inspection for the reader, and its credential can change the table.
/// SQLite has no roles: the reader opens the file read-only.
fn writable_reader(choices: &InitOptions, engine: EngineKind, found: Option<&TableInfo>) -> Option<String> {
    let read = choices.read_url_env.as_deref().unwrap_or(READ_URL_ENV);
    let is_same = choices.inspected_env.as_deref() == Some(read) && engine != EngineKind::Sqlite;
    (is_same && found?.writable).then(|| {
        format!(
            "The credential of {read} can change rows of this table, and the contract names this variable for the reader. \
             Pass --read-url-env with another variable, and give it the URL of a role that only reads."
        )
    })
}

/// Names the columns of key, tenant and version that calls return although the choice leaves them out.
fn always_visible(choices: &InitOptions, visible: &[String]) -> Option<String> {
    let chosen = &choices.visible_columns;
    let added = visible.iter().filter(|column| !chosen.contains(column));
    let added: Vec<String> = added.map(|column| format!("`{column}`")).collect();
    (!chosen.is_empty() && !added.is_empty()).then(|| {
        format!(
            "Visible besides the chosen columns: {}. Columns of key, tenant and version are always visible.",
            added.join(", ")
        )
    })
}

/// Names the columns that are left out, or chosen, although no call can read their type.
fn unreadable(choices: &InitOptions, found: Option<&TableInfo>, visible: &[String]) -> Option<String> {
    let columns: Vec<String> = found?
        .columns
        .iter()
        .filter(|column| column.unreadable)
        .filter(|column| choices.visible_columns.is_empty() || visible.contains(&column.name))
        .map(|column| format!("`{}` ({})", column.name, column.data_type))
        .collect();
    let what = if choices.visible_columns.is_empty() {
        "Left out"
    } else {
        "Calls will fail on"
    };
    let why = "values of these types cannot be read exactly";
    (!columns.is_empty()).then(|| format!("{what}: {}; {why}.", columns.join(", ")))
}

fn guard(
    choices: &InitOptions,
    found: Option<&TableInfo>,
    mode: Mode,
    warnings: &mut Vec<String>,
) -> Option<String> {
    if choices.weak_guard {
        return None;
    }
    let suggested = found.and_then(|table| table.suggestions.conflict_columns.first());
    let guard = choices.conflict_column.as_ref().or(suggested).cloned();
    match (&guard, mode) {
        (_, Mode::ReadOnly) => {}
        (None, _) => warnings.push(
            "The table has no known version column: the contract compares every visible column instead \
             (`weak_guard_ack`). A version column with --conflict-column is better."
                .to_owned(),
        ),
        (Some(column), _) if choices.conflict_advance.is_none() && column != XMIN => warnings.push(format!(
            "`{column}` must change with every change of the row. If neither the application nor the database ensures \
             that, pass --conflict-advance increment (a number) or now (a time)."
        )),
        (Some(_), _) => {}
    }
    guard
}

fn change(
    choices: &InitOptions,
    found: Option<&TableInfo>,
    namespace: &str,
    object: &str,
) -> Result<ProposalPlan, DraftError> {
    if found.is_some_and(|table| table.kind == TableKind::View) {
        return Err(DraftError::new(
            ErrorCode::TableIsView,
            "a proposal cannot change a view",
            "choose its table, or --mode read_only",
        ));
    }
    if let Some(word) = found.and_then(|table| table.never_written.as_deref()) {
        return Err(DraftError::new(
            ErrorCode::TableNotWritable,
            format!("a proposal cannot change this table, because it is not an ordinary table ({word})"),
            "choose an ordinary table, or --mode read_only",
        ));
    }
    if choices.patch.is_empty() {
        return Err(DraftError::new(
            ErrorCode::PatchRequired,
            "no patch selected for the proposal",
            "pass --patch COLUMN=arg:NAME or COLUMN=fixed:VALUE, or --mode read_only",
        ));
    }
    one_rule_each(choices)?;
    let patched: Vec<String> = choices.patch.iter().map(|(column, _)| column.clone()).collect();
    Ok(ProposalPlan {
        tool: choices
            .proposal_tool
            .clone()
            .unwrap_or_else(|| format!("{namespace}.propose_{object}_update")),
        allowed: match choices.allowed_columns.as_slice() {
            [] => patched,
            chosen => chosen.to_vec(),
        },
        patch: choices.patch.clone(),
        bounds: choices.bounds.clone(),
        states: choices.states.clone(),
        state_columns: choices.state_columns.clone(),
        patch_args: choices.patch_args.clone(),
        advance: choices.conflict_advance.unwrap_or_default(),
    })
}

/// Rejects two rules about one column: one of them would be lost without notice.
fn one_rule_each(choices: &InitOptions) -> Result<(), DraftError> {
    fn twice<'a>(names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
        let mut seen = BTreeSet::new();
        names.into_iter().find(|name| !seen.insert(*name))
    }
    let patch = choices.patch.iter().map(|(column, _)| column);
    let bounds = choices.bounds.iter().map(|(column, _)| column);
    let states = choices.states.iter().map(|(column, _)| column);
    for (code, what, found) in [
        (ErrorCode::PatchInvalid, "new values", twice(patch)),
        (ErrorCode::BoundsInvalid, "bounds", twice(bounds)),
        (ErrorCode::StatesInvalid, "lists of transitions", twice(states)),
    ] {
        if let Some(column) = found {
            let text = format!("`{column}` has two {what}");
            return Err(DraftError::new(code, text, "write one rule for each column"));
        }
    }
    for (column, states) in &choices.states {
        if let Some(from) = twice(states.iter().map(|(from, _)| from)) {
            return Err(DraftError::new(
                ErrorCode::StatesInvalid,
                format!("the transitions of `{column}` name the state `{from}` twice"),
                format!("join its successors: {column}={from}:TO|TO"),
            ));
        }
    }
    Ok(())
}

fn visible<'a>(
    choices: &'a InitOptions,
    found: Option<&'a TableInfo>,
    first: impl Iterator<Item = &'a String>,
) -> Result<Vec<String>, DraftError> {
    let suggested = found.map(|table| table.suggestions.default_visible_columns.as_slice());
    let chosen = match choices.visible_columns.as_slice() {
        [] => suggested.unwrap_or_default(),
        chosen => chosen,
    };
    if chosen.is_empty() {
        let text = "no visible columns selected";
        return Err(DraftError::new(
            ErrorCode::VisibleColumnsRequired,
            text,
            "give --visible-columns A,B",
        ));
    }
    let mut columns: Vec<String> = Vec::new();
    for column in first.chain(chosen) {
        if !columns.contains(column) && column != XMIN {
            columns.push(column.clone());
        }
    }
    Ok(columns)
}

/// Checks that fixed values are of their columns' kinds. A database may store truth values as 0 and 1.
fn fixed_values_fit(table: &TableInfo, change: &ProposalPlan) -> Result<(), DraftError> {
    for (name, assigned) in &change.patch {
        let text = match assigned {
            Assigned::Fixed(text) => text.clone(),
            Assigned::Literal(Json::String(text)) => text.clone(),
            Assigned::Literal(value) => value.to_string(),
            Assigned::Arg(_) => continue,
        };
        let (text, Some(column)) = (text.as_str(), table.column(name)) else {
            continue;
        };
        let is_of_kind = match column.kind() {
            Some(ColumnKind::Number) => is_number(text) || matches!(text, "true" | "false"),
            Some(ColumnKind::Boolean) => matches!(text, "true" | "false" | "0" | "1"),
            Some(ColumnKind::Text) | None => true,
        };
        if text != "null" && !is_of_kind {
            return Err(DraftError::new(
                ErrorCode::PatchInvalid,
                format!("`{text}` is no value of `{name}` ({})", column.data_type),
                format!("pass another: --patch {name}=fixed:VALUE, or {name}=arg:NAME"),
            ));
        }
    }
    Ok(())
}

/// Checks that bounds are about numbers.
fn bounds_fit(table: &TableInfo, change: &ProposalPlan) -> Result<(), DraftError> {
    let columns = change.bounds.iter().filter_map(|(name, _)| table.column(name));
    let is_other = |column: &ColumnInfo| column.kind().is_some_and(|kind| kind != ColumnKind::Number);
    let Some(column) = columns.into_iter().find(|column| is_other(column)) else {
        return Ok(());
    };
    Err(DraftError::new(
        ErrorCode::BoundsInvalid,
        format!(
            "`{}` ({}) holds no numbers, so it has no bounds",
            column.name, column.data_type
        ),
        format!("remove the bounds of `{}`", column.name),
    ))
}

/// Whether an argument of the draft can name one value of the column exactly.
fn is_addressable(column: &ColumnInfo) -> bool {
    let declared = column.data_type.to_ascii_lowercase();
    let is_inexact = ["bool", "float", "double", "real"]
        .iter()
        .any(|name| declared.starts_with(name));
    !column.unwritable && !is_inexact
}

/// Checks that every named column exists and that every patched column can be set.
fn known_columns(plan: &ContractPlan<'_>) -> Result<(), DraftError> {
    let Some(table) = plan.found else { return Ok(()) };
    let change = plan.change.iter();
    let patched: Vec<&String> = change
        .flat_map(|change| change.patch.iter().map(|(column, _)| column))
        .collect();
    let allowed = plan.change.iter().flat_map(|change| &change.allowed);
    let named = plan.key.columns.iter().chain(&plan.tenant).chain(&plan.guard);
    let mut all = named
        .chain(&plan.visible)
        .chain(patched.iter().copied())
        .chain(allowed);
    let is_missing = |column: &&String| {
        table.column(column).is_none() && !(plan.engine == EngineKind::Postgres && *column == XMIN)
    };
    if let Some(column) = all.find(is_missing) {
        let names: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        return Err(DraftError::new(
            ErrorCode::ColumnNotFound,
            format!("`{}.{}` has no column `{column}`", table.schema, table.name),
            format!("choose among: {}", names.join(", ")),
        ));
    }
    if let Some(column) = plan
        .key
        .columns
        .iter()
        .chain(&plan.tenant)
        .filter_map(|name| table.column(name))
        .find(|column| !is_addressable(column))
    {
        return Err(DraftError::new(
            ErrorCode::KeyTypeUnfit,
            format!(
                "no row can be found by `{}`: values of `{}` are not compared exactly with an argument",
                column.name, column.data_type
            ),
            "choose a column of text, whole or decimal numbers, UUIDs, bytes, dates or times with --primary-key or \
             --tenant-column",
        ));
    }
    let unwritable = |name: &&&String| table.column(name).filter(|column| column.unwritable);
    if let Some(column) = patched.iter().find_map(|name| unwritable(&name)) {
        return Err(DraftError::new(
            ErrorCode::ColumnNotWritable,
            format!(
                "no value can be written unchanged to `{}` ({})",
                column.name, column.data_type
            ),
            "patch columns of other types",
        ));
    }
    plan.change
        .iter()
        .try_for_each(|change| fixed_values_fit(table, change).and_then(|()| bounds_fit(table, change)))?;
    let generated = patched
        .iter()
        .find(|column| table.column(column).is_some_and(|c| c.generated));
    match generated {
        None => Ok(()),
        Some(column) => Err(DraftError::new(
            ErrorCode::ColumnGenerated,
            format!("`{column}` is computed by the database and cannot be set"),
            "patch the columns that it is computed from",
        )),
    }
}
