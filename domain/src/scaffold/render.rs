//! Renders the generated files.

use serde_json::{Map, Value as Json, json};
use synapsor_codes::ErrorCode;

use super::flag_syntax::{Assigned, is_number, number};
use super::names::spoken;
use super::resolve::{ContractPlan, ProposalPlan};
use super::{DraftError, args};
use crate::contract::{EngineKind, Mode};
use crate::inspection::{ColumnInfo, ColumnKind};

/// Identifier of the published schema, for editors.
const SCHEMA: &str = "urn:synapsor:schema:contract:v1";
const CONTEXT: &str = "local_operator";
const ROLE: &str = "local_reviewer";
const STORE: &str = "./.synapsor/local.db";
const STATEMENT_TIMEOUT_MS: u32 = 3000;

pub(super) fn contract(plan: &ContractPlan<'_>) -> Result<String, DraftError> {
    let context = json!({
        "provider": "environment",
        "values": { "tenant_id_env": plan.tenant_env, "principal_env": plan.principal_env },
    });
    let mut capabilities = vec![read(plan)];
    if let Some(change) = &plan.change {
        capabilities.push(proposal(plan, change)?);
    }
    let contract = json!({
        "$schema": SCHEMA,
        "version": 1,
        "mode": plan.mode.as_str(),
        "result_format": plan.choices.result_format.unwrap_or(2),
        "storage": { "sqlite_path": STORE },
        "sources": { plan.source.as_str(): source(plan) },
        "trusted_context": context,
        "contexts": { CONTEXT: context },
        "capabilities": capabilities,
    });
    let text = serde_json::to_string_pretty(&contract).expect("JSON of text and numbers has a text form");
    Ok(text + "\n")
}

fn source(plan: &ContractPlan<'_>) -> Json {
    let mut source = json!({ "engine": plan.engine.as_str(), "read_url_env": plan.read_url_env });
    if let Some(name) = &plan.write_url_env {
        source["write_url_env"] = json!(name);
    }
    let timeout = plan.choices.statement_timeout_ms;
    source["statement_timeout_ms"] = json!(timeout.unwrap_or(STATEMENT_TIMEOUT_MS));
    if let Some(name) = &plan.choices.ssl_ca_env {
        source["ssl"] = json!({ "mode": plan.ssl_mode.as_str(), "ca_env": name });
    }
    source
}

fn target(plan: &ContractPlan<'_>) -> Json {
    let mut target = json!({
        "schema": plan.schema, "table": plan.table,
        "primary_key": match plan.key.columns.as_slice() {
            [only] => json!(only),
            several => json!(several),
        },
    });
    match &plan.tenant {
        Some(tenant) => target["tenant_key"] = json!(tenant),
        None => target["single_tenant_dev"] = json!(true),
    }
    target
}

/// Arguments that identify the row, by name.
fn key_args(plan: &ContractPlan<'_>) -> Map<String, Json> {
    let args = plan.key.arguments.iter();
    args.map(|(column, argument)| (argument.clone(), key_arg(plan, column)))
        .collect()
}

fn key_arg(plan: &ContractPlan<'_>, column: &str) -> Json {
    let description = format!("The {} of the {}.", spoken(column), spoken(&plan.object));
    let key = plan.found.and_then(|table| table.column(column));
    if key.is_some_and(ColumnInfo::is_integer) {
        return json!({ "type": "number", "description": description, "required": true });
    }
    // PostgreSQL and MySQL return every declared decimal; SQLite stores numbers without a declared form.
    let decimals = key
        .and_then(ColumnInfo::decimals)
        .filter(|_| plan.engine != EngineKind::Sqlite);
    let description = match decimals {
        Some(count) => format!(
            "{description} Pass all decimals of the column ({count}), such as {:.count$}.",
            0.5
        ),
        None => description,
    };
    json!({
        "type": "string",
        "description": description,
        "required": true,
        "max_length": args::key_chars(key),
    })
}

fn lookup(plan: &ContractPlan<'_>) -> Json {
    match plan.key.arguments.as_slice() {
        [(_, argument)] => json!({ "id_from_arg": argument }),
        several => {
            let args = several
                .iter()
                .map(|(column, argument)| (column.clone(), json!(argument)));
            json!({ "key_from_args": args.collect::<Map<_, _>>() })
        }
    }
}

/// Arguments of the read tool; without a row, the operator puts a key in place of the sample.
pub(super) fn read_input(plan: &ContractPlan<'_>) -> Result<String, DraftError> {
    let args = key_args(plan);
    let given = plan.choices.object_id.as_deref();
    let ids: Vec<&str> = match given {
        Some(id) if args.len() == 1 => vec![id],
        Some(ids) => ids.split(',').map(str::trim).collect(),
        None => Vec::new(),
    };
    if given.is_some() && ids.len() != args.len() {
        let names: Vec<&str> = args.keys().map(String::as_str).collect();
        return Err(DraftError::new(
            ErrorCode::ObjectInvalid,
            "--object-id does not have one value for each key argument",
            format!("pass the values of {}, comma-separated", names.join(", ")),
        ));
    }
    if let Some((name, _)) = args
        .iter()
        .zip(&ids)
        .find(|((_, arg), id)| arg["type"] == "number" && id.parse::<i128>().is_err())
        .map(|(arg, _)| arg)
    {
        return Err(DraftError::new(
            ErrorCode::ObjectInvalid,
            format!("--object-id has no whole number for the argument `{name}`"),
            "pass the key of a real row",
        ));
    }
    let mut ids = ids.into_iter();
    let values = args.into_iter().map(|(name, arg)| {
        let value = match (arg["type"].as_str(), ids.next()) {
            (Some("number"), Some(id)) if is_number(id) => number(id),
            (_, Some(id)) => json!(id),
            (Some("number"), None) => json!(1),
            (_, None) => json!("KEY"),
        };
        (name, value)
    });
    Ok(Json::Object(values.collect()).to_string())
}

fn read(plan: &ContractPlan<'_>) -> Json {
    let (choices, object) = (plan.choices, spoken(&plan.object));
    let description = choices
        .read_description
        .clone()
        .unwrap_or_else(|| format!("Reads one {object} of the current tenant."));
    let hint = choices
        .read_returns_hint
        .clone()
        .unwrap_or_else(|| format!("One {object} with the columns {}.", plan.visible.join(", ")));
    json!({
        "name": plan.read_tool,
        "kind": "read",
        "description": description,
        "returns_hint": hint,
        "source": plan.source,
        "context": CONTEXT,
        "target": target(plan),
        "args": key_args(plan),
        "lookup": lookup(plan),
        "visible_columns": plan.visible,
        "evidence": "required",
        "max_rows": 1,
    })
}

fn proposal(plan: &ContractPlan<'_>, change: &ProposalPlan) -> Result<Json, DraftError> {
    let (choices, object) = (plan.choices, spoken(&plan.object));
    let columns: Vec<String> = change.patch.iter().map(|(column, _)| spoken(column)).collect();
    let description = choices.proposal_description.clone().unwrap_or_else(|| {
        format!(
            "Proposes to change {} of one {object}. Nothing is written before a person has approved it.",
            columns.join(", ")
        )
    });
    let hint = choices
        .proposal_returns_hint
        .clone()
        .unwrap_or_else(|| "The proposal with the values before and after.".to_owned());
    let mut arguments = key_args(plan);
    arguments.extend(args::of_change(change, &plan.key.arguments, plan.found)?);
    let mut proposal = json!({
        "name": change.tool,
        "kind": "proposal",
        "description": description,
        "returns_hint": hint,
        "source": plan.source,
        "context": CONTEXT,
        "target": target(plan),
        "args": arguments,
        "lookup": lookup(plan),
        "visible_columns": plan.visible,
        "evidence": "required",
        "max_rows": 1,
        "patch": patch(plan, change),
        "allowed_columns": change.allowed,
    });
    if !change.bounds.is_empty() {
        proposal["numeric_bounds"] = bounds(change);
    }
    if !change.states.is_empty() {
        proposal["transition_guards"] = states(change);
    }
    let managed = moving_columns(plan, change);
    if !managed.is_empty() {
        proposal["db_managed"] = json!(managed);
    }
    proposal["conflict_guard"] = match &plan.guard {
        None => json!({ "weak_guard_ack": true }),
        Some(column) if change.advance.is_none() => json!({ "column": column }),
        Some(column) => json!({ "column": column, "advance": change.advance }),
    };
    let role = choices.approval_role.as_deref().unwrap_or(ROLE);
    proposal["approval"] = json!({ "mode": "human", "required_role": role });
    Ok(proposal)
}

/// Visible columns that the database sets with every update.
fn moving_columns<'a>(plan: &'a ContractPlan<'_>, change: &ProposalPlan) -> Vec<&'a str> {
    let is_own = |name: &str| change.patch.iter().any(|(column, _)| column == name);
    let moves = |name: &str| {
        let found = plan.found.and_then(|table| table.column(name));
        found.is_some_and(ColumnInfo::moves_by_itself)
    };
    let visible = plan.visible.iter().map(String::as_str);
    visible
        .filter(|name| moves(name) && !is_own(name) && plan.guard.as_deref() != Some(name))
        .collect()
}

fn patch(plan: &ContractPlan<'_>, change: &ProposalPlan) -> Json {
    let mut patch = Map::new();
    for (column, assigned) in &change.patch {
        let binding = match assigned {
            Assigned::Arg(name) => json!({ "from_arg": name, "when_absent": "keep" }),
            Assigned::Literal(value) => json!({ "fixed": value }),
            Assigned::Fixed(text) => {
                let found = plan.found.and_then(|table| table.column(column));
                let is_text = found.and_then(|column| column.kind()) == Some(ColumnKind::Text);
                json!({ "fixed": fixed(text, is_text) })
            }
        };
        patch.insert(column.clone(), binding);
    }
    Json::Object(patch)
}

/// `null`, `true`, `false` and numbers become JSON literals, unless the column is known to hold text.
fn fixed(text: &str, is_text: bool) -> Json {
    match text {
        "null" => Json::Null,
        _ if is_text => json!(text),
        "true" => json!(true),
        "false" => json!(false),
        _ if is_number(text) => number(text),
        _ => json!(text),
    }
}

fn bounds(change: &ProposalPlan) -> Json {
    let mut all = Map::new();
    for (column, bounds) in &change.bounds {
        let mut bound = Map::new();
        for (key, side) in [("minimum", &bounds.minimum), ("maximum", &bounds.maximum)] {
            if let Some(side) = side {
                bound.insert(key.to_owned(), number(side));
            }
        }
        all.insert(column.clone(), Json::Object(bound));
    }
    Json::Object(all)
}

fn states(change: &ProposalPlan) -> Json {
    let mut all = Map::new();
    for (column, states) in &change.states {
        let allowed: Map<String, Json> = states
            .iter()
            .map(|(from, to)| (from.clone(), json!(to)))
            .collect();
        let from = change.state_columns.iter().find(|(guarded, _)| guarded == column);
        let guard = match from {
            Some((_, from)) => json!({ "from_column": from, "allowed": allowed }),
            None => json!({ "allowed": allowed }),
        };
        all.insert(column.clone(), guard);
    }
    Json::Object(all)
}

pub(super) fn env_example(plan: &ContractPlan<'_>) -> String {
    let url = |role: &str| match plan.engine {
        EngineKind::Postgres => format!("postgres://{role}:PASSWORD@127.0.0.1:5432/DATABASE"),
        EngineKind::Mysql => format!("mysql://{role}:PASSWORD@127.0.0.1:3306/{}", plan.schema),
        EngineKind::Sqlite => "sqlite:///ABSOLUTE/PATH/app.db".to_owned(),
    };
    let (reader, writer) = match plan.engine {
        EngineKind::Postgres | EngineKind::Mysql => (
            "A role that can only read.",
            "The writer's own role; see `synapsor-runner writeback grants`.",
        ),
        EngineKind::Sqlite => (
            "The reader opens the file read-only.",
            "The writer's file: the same.",
        ),
    };
    let mut text = format!(
        "# Variables of the contract, with placeholders. Fill in a copy that only you can read; a URL may also come\n\
         # from a file: NAME_FILE holds its path.\n\n\
         # {reader}\n{}={}\n",
        plan.read_url_env,
        url("READ_ROLE")
    );
    if let Some(name) = &plan.write_url_env {
        text.push_str(&format!("# {writer}\n{name}={}\n", url("WRITE_ROLE")));
    }
    if let Some(name) = &plan.choices.ssl_ca_env {
        text.push_str(&format!(
            "# The authorities of the server's certificate, a file in PEM form; {name} itself may hold the text.\n\
             {name}_FILE=/ABSOLUTE/PATH/ca.pem\n"
        ));
    }
    if plan.mode != Mode::Cloud {
        text.push_str(&format!(
            "\n# For whom the tools work: the tenant, and who acts.\n{}=acme\n{}=local_operator\n",
            plan.tenant_env, plan.principal_env
        ));
    }
    text
}
