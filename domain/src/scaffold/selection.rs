//! Reads an onboarding selection, version 1: the choices of one table as a strict JSON object, for generating a
//! contract without prompts. Patches, bounds and transitions have the form that they have in the contract.

use serde::Deserialize;
use serde_json::{Map, Value as Json};
use synapsor_codes::ErrorCode;

use super::DraftError;
use super::choices::InitOptions;
use super::flag_syntax::{Assigned, Bounds, States};
use crate::contract::{self, EngineKind, Mode, VersionAdvance};
use crate::json;

/// Maximum nesting of a selection.
const DEPTH_MAX: usize = 16;
/// The only version.
const VERSION: u32 = 1;

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    version: Option<u32>,
    engine: String,
    mode: Option<String>,
    schema: String,
    table: String,
    primary_key: Json,
    tenant_key: Option<String>,
    single_tenant_dev: Option<bool>,
    conflict_column: Option<String>,
    conflict_advance: Option<String>,
    namespace: String,
    object_name: Option<String>,
    visible_columns: Vec<String>,
    allowed_columns: Option<Vec<String>>,
    patch: Option<Map<String, Json>>,
    patch_args: Option<Map<String, Json>>,
    numeric_bounds: Option<Map<String, Json>>,
    transition_guards: Option<Map<String, Json>>,
    lookup_arg: Option<String>,
    read_tool: Option<String>,
    inspect_tool_name: Option<String>,
    proposal_tool: Option<String>,
    proposal_tool_name: Option<String>,
    inspect_description: Option<String>,
    inspect_returns_hint: Option<String>,
    proposal_description: Option<String>,
    proposal_returns_hint: Option<String>,
    result_format: Option<u8>,
    source_name: Option<String>,
    read_url_env: Option<String>,
    database_url_env: Option<String>,
    write_url_env: Option<String>,
    statement_timeout_ms: Option<u32>,
    trusted_context: Option<TrustedContext>,
    approval: Option<Approval>,
    writeback: Option<Map<String, Json>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustedContext {
    tenant_id_env: Option<String>,
    principal_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approval {
    required_role: Option<String>,
}

/// Reads an onboarding selection. Without a mode, the contract has mode `review`.
///
/// # Errors
/// `SELECTION_INVALID` with the place of the error; `SCHEMA_MISMATCH`; `NOT_AVAILABLE` for handlers and mode `cloud`.
pub fn read_selection(bytes: &[u8]) -> Result<InitOptions, DraftError> {
    // Duplicate keys are errors; the parser below keeps the last of them.
    json::read(bytes, DEPTH_MAX).map_err(|error| invalid(&error.to_string()))?;
    let selection: Selection = serde_json::from_slice(bytes).map_err(|error| invalid(&placed(&error)))?;
    let choices = selection.options()?;
    choices.check_schema(choices.schema.as_deref())?;
    Ok(choices)
}

/// Returns the parser's reason and place. Values of the file are left out: one may be a secret.
pub(super) fn placed(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let reason = match text.split_once(": ") {
        Some((kind @ ("invalid type" | "invalid value"), rest)) => {
            let wanted = rest.rsplit(", expected ").next().unwrap_or_default();
            format!("{kind}: expected {wanted}")
        }
        _ => text.split(", expected").next().unwrap_or_default().to_owned(),
    };
    format!("{reason} at line {} column {}", error.line(), error.column())
}

fn invalid(reason: &str) -> DraftError {
    DraftError::new(
        ErrorCode::SelectionInvalid,
        format!("onboarding selection: {reason}"),
        "correct the file; its form is in schemas/onboarding-selection.v1.json",
    )
}

impl Selection {
    fn options(self) -> Result<InitOptions, DraftError> {
        if self.version.is_some_and(|version| version != VERSION) {
            return Err(invalid("`version` must be 1"));
        }
        if EngineKind::of_name(&self.engine).is_none() {
            return Err(invalid("`engine` must be postgres, mysql or sqlite"));
        }
        if self.tenant_key.is_none() && self.single_tenant_dev != Some(true) {
            return Err(invalid("`tenant_key` or `single_tenant_dev` is required"));
        }
        if self.statement_timeout_ms == Some(0) {
            return Err(invalid("`statement_timeout_ms` must be positive"));
        }
        if self.visible_columns.is_empty() {
            return Err(invalid("`visible_columns` is empty"));
        }
        refuse_handler(self.writeback.unwrap_or_default())?;
        let (context, approval) = (self.trusted_context, self.approval);
        let (tenant_env, principal_env) = context
            .map(|context| (context.tenant_id_env, context.principal_env))
            .unwrap_or_default();
        let (states, state_columns) = transitions(self.transition_guards.unwrap_or_default())?;
        Ok(InitOptions {
            engine: Some(self.engine),
            mode: Some(mode(self.mode.as_deref())?),
            schema: Some(self.schema),
            table: Some(self.table),
            primary_key: key(self.primary_key)?,
            single_tenant_dev: self.tenant_key.is_none(),
            tenant_column: self.tenant_key,
            conflict_column: self.conflict_column,
            conflict_advance: advance(self.conflict_advance.as_deref())?,
            visible_columns: self.visible_columns,
            allowed_columns: self.allowed_columns.unwrap_or_default(),
            patch: patch(self.patch.unwrap_or_default())?,
            patch_args: patch_args(self.patch_args.unwrap_or_default())?,
            bounds: bounds(self.numeric_bounds.unwrap_or_default())?,
            states,
            state_columns,
            namespace: Some(self.namespace),
            object_name: self.object_name,
            lookup_arg: self.lookup_arg,
            read_tool: same("read_tool", self.inspect_tool_name, self.read_tool)?,
            proposal_tool: same("proposal_tool", self.proposal_tool_name, self.proposal_tool)?,
            read_description: self.inspect_description,
            read_returns_hint: self.inspect_returns_hint,
            proposal_description: self.proposal_description,
            proposal_returns_hint: self.proposal_returns_hint,
            result_format: result_format(self.result_format)?,
            source_name: self.source_name,
            read_url_env: same("read_url_env", self.read_url_env, self.database_url_env)?,
            write_url_env: self.write_url_env,
            statement_timeout_ms: self.statement_timeout_ms,
            tenant_env,
            principal_env,
            approval_role: approval.and_then(|approval| approval.required_role),
            ..InitOptions::default()
        })
    }
}

/// Returns the value of two spellings of one key.
fn same(key: &str, one: Option<String>, other: Option<String>) -> Result<Option<String>, DraftError> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(invalid(&format!(
            "two spellings of `{key}` have different values"
        ))),
        (one, other) => Ok(one.or(other)),
    }
}

fn mode(word: Option<&str>) -> Result<Mode, DraftError> {
    match word {
        None | Some("review") => Ok(Mode::Review),
        Some("shadow") => Ok(Mode::Shadow),
        Some("read_only") => Ok(Mode::ReadOnly),
        Some("cloud") => Ok(Mode::Cloud),
        Some(_) => Err(invalid("`mode` must be read_only, shadow or review")),
    }
}

fn advance(word: Option<&str>) -> Result<Option<VersionAdvance>, DraftError> {
    match word {
        None => Ok(None),
        Some("none") => Ok(Some(VersionAdvance::None)),
        Some("increment") => Ok(Some(VersionAdvance::Increment)),
        Some("now") => Ok(Some(VersionAdvance::Now)),
        Some(_) => Err(invalid("`conflict_advance` must be none, increment or now")),
    }
}

fn result_format(format: Option<u8>) -> Result<Option<u8>, DraftError> {
    match format {
        None | Some(1 | 2) => Ok(format),
        Some(_) => Err(invalid("`result_format` must be 1 or 2")),
    }
}

fn key(value: Json) -> Result<Vec<String>, DraftError> {
    let columns = match value {
        Json::String(column) => vec![column],
        Json::Array(columns) => columns
            .into_iter()
            .filter_map(|column| column.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    if columns.is_empty() {
        return Err(invalid("`primary_key` must be a column, or a list of columns"));
    }
    Ok(columns)
}

fn patch(entries: Map<String, Json>) -> Result<Vec<(String, Assigned)>, DraftError> {
    let entry = |(column, binding): (String, Json)| {
        let wrong = || {
            invalid(&format!(
                "`patch.{column}` must have either `fixed` or `from_arg`"
            ))
        };
        let Json::Object(members) = binding else {
            return Err(wrong());
        };
        let mut members = members.into_iter();
        let assigned = match (members.next(), members.next()) {
            (Some((key, value)), None) if key == "fixed" && !value.is_object() && !value.is_array() => {
                Assigned::Literal(value)
            }
            (Some((key, Json::String(name))), None) if key == "from_arg" => Assigned::Arg(name),
            _ => return Err(wrong()),
        };
        Ok((column, assigned))
    };
    entries.into_iter().map(entry).collect()
}

/// Attributes of arguments, by name.
type Attributes = Vec<(String, Map<String, Json>)>;

fn patch_args(entries: Map<String, Json>) -> Result<Attributes, DraftError> {
    let entry = |(name, attributes): (String, Json)| match attributes {
        Json::Object(attributes) => Ok((name, attributes)),
        _ => Err(invalid(&format!("`patch_args.{name}` must be an object"))),
    };
    entries.into_iter().map(entry).collect()
}

fn bounds(entries: Map<String, Json>) -> Result<Vec<(String, Bounds)>, DraftError> {
    let entry = |(column, bound): (String, Json)| {
        let wrong = || {
            invalid(&format!(
                "`numeric_bounds.{column}` must have the number `minimum`, `maximum`, or both"
            ))
        };
        let members = bound.as_object().filter(|members| !members.is_empty());
        let members = members.ok_or_else(wrong)?;
        let is_known = |(key, value): (&String, &Json)| {
            matches!(key.as_str(), "minimum" | "maximum") && value.is_number()
        };
        if !members.iter().all(is_known) {
            return Err(wrong());
        }
        let side = |key: &str| members.get(key).map(Json::to_string);
        let bounds = Bounds {
            minimum: side("minimum"),
            maximum: side("maximum"),
        };
        Ok((column, bounds))
    };
    entries.into_iter().map(entry).collect()
}

/// Transitions by column, and the column that holds the state where it is another one.
type Transitions = (Vec<(String, States)>, Vec<(String, String)>);

fn transitions(entries: Map<String, Json>) -> Result<Transitions, DraftError> {
    let mut all = Transitions::default();
    for (column, guard) in entries {
        let wrong = |what: &str| invalid(&format!("`transition_guards.{column}` {what}"));
        let mut guard = match guard {
            Json::Object(guard) => guard,
            _ => return Err(wrong("must be an object")),
        };
        match guard.shift_remove("from_column") {
            None => {}
            Some(Json::String(from)) => all.1.push((column.clone(), from)),
            Some(_) => return Err(wrong("has a `from_column` that is not a string")),
        }
        let Some(Json::Object(allowed)) = guard.shift_remove("allowed") else {
            return Err(wrong("needs the object `allowed`"));
        };
        if !guard.is_empty() || allowed.is_empty() {
            return Err(wrong(
                "must have non-empty `allowed` and no keys but `from_column`",
            ));
        }
        let state = |(from, to): (String, Json)| {
            let to: Option<Vec<String>> = to
                .as_array()
                .into_iter()
                .flatten()
                .map(|state| state.as_str().map(str::to_owned))
                .collect();
            let to = to.filter(|to| !to.is_empty());
            to.map(|to| (from, to))
                .ok_or_else(|| wrong("must map each state to a list of states"))
        };
        let states = allowed.into_iter().map(state).collect::<Result<States, _>>()?;
        all.0.push((column, states));
    }
    Ok(all)
}

/// Only the writer's own update is generated here.
fn refuse_handler(writeback: Map<String, Json>) -> Result<(), DraftError> {
    for (key, value) in writeback {
        let is_direct = key == "executor" && value.as_str() == Some(contract::DIRECT);
        if !is_direct {
            return Err(DraftError::new(
                ErrorCode::NotAvailable,
                format!("`writeback.{key}` configures handlers, which this version does not generate"),
                "omit it: the writer changes the row itself (`sql_update`)",
            ));
        }
    }
    Ok(())
}
