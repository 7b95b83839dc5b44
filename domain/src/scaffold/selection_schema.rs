//! The published JSON Schemas of onboarding selections and recipes, for editors. The readers check more: references
//! between columns, and names of variables.

use serde_json::{Value as Json, json};

use crate::tool::SCHEMA_DIALECT;

/// The schema `urn:synapsor:schema:onboarding-selection:v1`.
pub fn selection_schema() -> Json {
    let mut schema = selection();
    schema["$schema"] = json!(SCHEMA_DIALECT);
    schema["$id"] = json!("urn:synapsor:schema:onboarding-selection:v1");
    schema["title"] = json!("Synapsor Runner onboarding selection, version 1");
    schema["description"] =
        json!("Choices for `init --spec FILE --non-interactive`: one table, one read and one proposal.");
    schema
}

/// The schema `urn:synapsor:schema:recipe:v1`.
pub fn recipe_schema() -> Json {
    json!({
        "$schema": SCHEMA_DIALECT,
        "$id": "urn:synapsor:schema:recipe:v1",
        "title": "Synapsor Runner recipe, version 1",
        "description": "A contract pattern for `recipes init` and `init --recipe`.",
        "type": "object",
        "properties": {
            "$schema": text("For editors; not read."),
            "id": described(json!({"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}), "Name on the command line."),
            "title": text("One line."),
            "summary": text("What a model may propose with it."),
            "expected_table_type": text("What one row of the table is."),
            "required_columns": columns("Columns without which the pattern makes no sense."),
            "recommended_primary_key": text("Column that identifies the row."),
            "recommended_tenant_key": text("Column with the tenant."),
            "recommended_conflict_column": text("Column that changes with every change of the row."),
            "visible_columns": columns("Columns that the model sees."),
            "allowed_write_columns": columns("Columns that a proposal may set."),
            "semantic_tools": columns("Names of the tools."),
            "notes": columns("What to check before use."),
            "spec": described(selection(), "An onboarding selection."),
        },
        "required": [
            "id", "title", "summary", "expected_table_type", "required_columns", "recommended_primary_key",
            "recommended_tenant_key", "recommended_conflict_column", "visible_columns", "allowed_write_columns",
            "semantic_tools", "notes", "spec",
        ],
        "additionalProperties": false,
    })
}

fn selection() -> Json {
    json!({
        "type": "object",
        "properties": properties(),
        "required": ["engine", "schema", "table", "primary_key", "namespace", "visible_columns"],
        "anyOf": [
            {"required": ["tenant_key"]},
            {"required": ["single_tenant_dev"], "properties": {"single_tenant_dev": {"const": true}}},
        ],
        "additionalProperties": false,
    })
}

fn properties() -> Json {
    json!({
        "$schema": text("For editors; not read."),
        "version": described(json!({"const": 1}), "The only version."),
        "engine": {"enum": ["postgres", "mysql", "sqlite"]},
        "mode": described(json!({"enum": ["read_only", "shadow", "review"]}), "Default review."),
        "schema": text("Schema of the table; `main` in sqlite."),
        "table": text("Table."),
        "primary_key": described(
            json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
            "Column that identifies the row, or several that do so together.",
        ),
        "tenant_key": text("Column with the tenant."),
        "single_tenant_dev": described(json!({"type": "boolean"}), "Table without tenants; without writeback."),
        "conflict_column": text("Column that changes with every change of the row."),
        "conflict_advance": described(json!({"enum": ["none", "increment", "now"]}), "How the writer advances it."),
        "namespace": text("Namespace of the tool names."),
        "object_name": text("Name of one row."),
        "visible_columns": columns("Columns that the model sees."),
        "allowed_columns": columns("Columns that a proposal may set. Default: those of `patch`."),
        "patch": map(binding(), "What a proposal sets, by column."),
        "patch_args": map(json!({"type": "object"}), "Attributes of arguments, by argument."),
        "numeric_bounds": map(bound(), "Limits of new values, by column."),
        "transition_guards": map(transition(), "Allowed changes of states, by column."),
        "lookup_arg": text("Argument that identifies the row."),
        "inspect_tool_name": text("Name of the read tool, as namespace.name."),
        "read_tool": text("Same as `inspect_tool_name`."),
        "proposal_tool_name": text("Name of the proposal tool, as namespace.name."),
        "proposal_tool": text("Same as `proposal_tool_name`."),
        "inspect_description": text("Description of the read tool."),
        "inspect_returns_hint": text("Description of its result."),
        "proposal_description": text("Description of the proposal tool."),
        "proposal_returns_hint": text("Description of its result."),
        "result_format": described(json!({"enum": [1, 2]}), "Default 2."),
        "source_name": text("Name of the source."),
        "read_url_env": env("Variable with the reader's URL. Default SYNAPSOR_DATABASE_READ_URL."),
        "database_url_env": env("Same as `read_url_env`."),
        "write_url_env": env("Variable with the writer's URL. Default SYNAPSOR_DATABASE_WRITE_URL."),
        "statement_timeout_ms": described(json!({"type": "integer", "minimum": 1}), "Default 3000."),
        "trusted_context": closed(json!({
            "tenant_id_env": env("Variable with the tenant. Default SYNAPSOR_TENANT_ID."),
            "principal_env": env("Variable with the principal. Default SYNAPSOR_PRINCIPAL."),
        })),
        "approval": closed(json!({"required_role": text("Role that may approve. Default local_reviewer.")})),
        "writeback": closed(json!({
            "executor": described(json!({"const": "sql_update"}), "Handlers are added to the contract by hand."),
        })),
    })
}

fn binding() -> Json {
    json!({"oneOf": [
        {"type": "object", "properties": {"from_arg": {"type": "string"}}, "required": ["from_arg"],
         "additionalProperties": false},
        {"type": "object", "properties": {"fixed": {"type": ["string", "number", "boolean", "null"]}},
         "required": ["fixed"], "additionalProperties": false},
    ]})
}

fn bound() -> Json {
    let mut bound = closed(json!({"minimum": {"type": "number"}, "maximum": {"type": "number"}}));
    bound["minProperties"] = json!(1);
    bound
}

fn transition() -> Json {
    let states = json!({"type": "array", "items": {"type": "string", "pattern": "\\S"}, "minItems": 1});
    let mut transition = closed(json!({
        "from_column": text("Column with the current state, if it is another one."),
        "allowed": {"type": "object", "minProperties": 1, "additionalProperties": states},
    }));
    transition["required"] = json!(["allowed"]);
    transition
}

fn closed(properties: Json) -> Json {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn map(values: Json, description: &str) -> Json {
    described(
        json!({"type": "object", "additionalProperties": values}),
        description,
    )
}

fn columns(description: &str) -> Json {
    described(
        json!({"type": "array", "items": {"type": "string", "pattern": "\\S"}, "minItems": 1}),
        description,
    )
}

fn text(description: &str) -> Json {
    described(json!({"type": "string", "pattern": "\\S"}), description)
}

fn env(description: &str) -> Json {
    described(
        json!({"type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$"}),
        description,
    )
}

fn described(mut schema: Json, description: &str) -> Json {
    schema["description"] = json!(description);
    schema
}
