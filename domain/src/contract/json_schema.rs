//! The published JSON Schema of the file, for editors. Validation does not use it, because validation also checks
//! references between parts.

use serde_json::{Map, Value as Json, json};

use super::approval::{QUORUM_MAX, ROLE_CHARS_MAX};
use super::binding::ContextProvider;
use super::executor::Method;
use super::key::KEY_COLUMNS_MAX;
use super::source::{EngineKind, OnFailover, SslMode};
use super::{
    HANDLER_TIMEOUT_MS, Mode, SIDE_EFFECT_ROWS_MAX, SIDE_EFFECT_TABLES_MAX, SIDE_EFFECTS_MAX, VersionAdvance,
};
use crate::access_token::{
    Algorithm, AudienceMode, HeaderMember, LIFETIME_SECONDS_DEFAULT, LIFETIME_SECONDS_MAX,
    LIFETIME_SECONDS_MIN, ScopeClaim, TokenType,
};
use crate::tool::SCHEMA_DIALECT;

const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
const SAFE_NAME: &str = "^[A-Za-z_][A-Za-z0-9_.-]*$";
const QUALIFIED_NAME: &str = "^[A-Za-z_][A-Za-z0-9_]*\\.[A-Za-z_][A-Za-z0-9_]*$";
const ENV_NAME: &str = "^[A-Z_][A-Z0-9_]*$";

/// The schema `urn:synapsor:schema:contract:v1`.
pub fn json_schema() -> Json {
    json!({
        "$schema": SCHEMA_DIALECT,
        "$id": "urn:synapsor:schema:contract:v1",
        "title": "Synapsor Runner contract, version 1",
        "description": "What agents may ask of a database. Names environment variables, never holds a secret.",
        "type": "object",
        "properties": {
            "$schema": text("For editors; not read."),
            "version": described(json!({"const": 1}), "The only version."),
            "mode": words(Mode::WORDS, "read_only: no proposals. shadow: proposals that are never applied. \
                review: people approve, the writer applies. cloud: not available."),
            "result_format": described(json!({"enum": [1, 2], "default": 1}), "Shape of results."),
            "strict": described(json!({"type": "boolean", "default": true}), "false lets unknown keys pass."),
            "storage": closed(json!({
                "sqlite_path": text("Path of the ledger store. Default ./.synapsor/local.db."),
            }), &[]),
            "sources": named(IDENTIFIER, "#/$defs/source", "Databases by name."),
            "trusted_context": reference("context"),
            "contexts": named(SAFE_NAME, "#/$defs/context", "Further contexts, which capabilities name."),
            "executors": named(SAFE_NAME, "#/$defs/executor", "Handlers of the application by name."),
            "capabilities": {"type": "array", "minItems": 1, "items": reference("capability")},
            "cloud": reference("cloud"),
        },
        "required": ["version", "mode"],
        "if": {"properties": {"mode": {"const": "cloud"}}},
        "then": {"required": ["cloud"]},
        "else": {"required": ["sources", "capabilities"], "properties": {"cloud": false}},
        "unevaluatedProperties": false,
        "$defs": {
            "source": source(),
            "context": context(),
            "executor": executor(),
            "capability": capability(),
            "target": target(),
            "arg": arg(),
            "key_argument": text("Name of an argument."),
            "binding": binding(),
            "bound": bound(),
            "transition": transition(),
            "cloud": cloud(),
        },
    })
}

fn source() -> Json {
    closed(
        json!({
            "engine": words(EngineKind::WORDS, "sqlite has only the schema `main`."),
            "read_url_env": env("Variable that holds the reader's URL."),
            "write_url_env": env("Variable that holds the writer's URL; needed for direct writeback."),
            "read_only": flag("This program itself never writes here."),
            "statement_timeout_ms": positive("Statement timeout, in milliseconds."),
            "max_connections": positive("Database connections that one process opens at most, up to 256. Default 16."),
            "ssl": ssl(),
            "receipt_schema": identifier("Schema of the receipt table. Default: postgres `public`, mysql the URL's database."),
            "receipt_table": identifier("Name of the receipt table. Default synapsor_writeback_receipts."),
            "galera_single_writer_ack": flag("mysql only: true if the server is a node of a Galera cluster all of whose writes go to this one node. Without it writebacks to a cluster are refused."),
            "on_failover": words(OnFailover::WORDS, "postgres only: proposals that were read before the server started another timeline are applied once the newest receipts are known to be there, or refused. Default `compare`."),
        }),
        &["engine", "read_url_env"],
    )
}

fn ssl() -> Json {
    closed(
        json!({
            "mode": words(SslMode::WORDS, "`disable` is accepted for loopback addresses only. The default for all others is `verify-full`."),
            "ca_env": env("Variable that holds CA certificates as PEM text, or `NAME_FILE` their path. They are trusted in addition to the system's."),
            "cert_env": env("Variable that holds the client certificate as PEM text, or `NAME_FILE` its path. Requires `key_env`."),
            "key_env": env("Variable that holds the client certificate's private key as PEM text, or `NAME_FILE` its path. Requires `cert_env`."),
        }),
        &["mode"],
    )
}

fn context() -> Json {
    let mut values = json!({
        "type": "object",
        "properties": {
            "tenant_id_env": env("Variable that holds the tenant. Default SYNAPSOR_TENANT_ID."),
            "principal_env": env("Variable that holds the principal. Default SYNAPSOR_PRINCIPAL."),
            "tenant_id": text("Literal tenant; only static_dev reads it."),
            "principal": text("Literal principal; only static_dev reads it."),
            "issuer": text("http_claims: the issuer of access tokens, an https URL."),
            "jwks_url": text("http_claims: where the issuer publishes its keys; without it the reader is given a file."),
            "algorithms": described(
                json!({"type": "array", "minItems": 1, "items": words(Algorithm::WORDS, "A signature algorithm.")}),
                "http_claims: signature algorithms that are accepted. Default all.",
            ),
            "tenant_claim": text("http_claims: the claim that holds the tenant. Default tenant_id."),
            "principal_claim": text("http_claims: the claim that holds the principal. Default sub."),
            "read_scope": text("http_claims: the scope that opens reads. Default synapsor:read."),
            "propose_scope": text("http_claims: the scope that opens proposals. Default synapsor:propose."),
            "token_lifetime_seconds": token_lifetime("Older name of `max_lifetime_seconds`."),
        },
    });
    if let (Some(Json::Object(members)), Json::Object(more)) = (values.get_mut("properties"), token_profile())
    {
        members.extend(more);
    }
    closed(
        json!({"provider": words(ContextProvider::WORDS, "Where tenant and principal come from."), "values": values}),
        &["provider"],
    )
}

/// How tokens may differ from RFC 9068.
fn token_profile() -> Json {
    let several = |items: Json| json!({"type": "array", "minItems": 1, "uniqueItems": true, "items": items});
    let one_or_several = |items: Json| json!({"anyOf": [items, several(items.clone())]});
    json!({
        "audience": described(
            one_or_several(json!({"type": "string", "pattern": "\\S"})),
            "http_claims: values of `aud` that are accepted: the https URL under which clients know this deployment, or exactly \
            the constant that the issuer puts there.",
        ),
        "resource": text("http_claims: the https URL under which clients know this deployment, if no audience is one."),
        "accept": closed(
            json!({
                "typ": described(
                    one_or_several(words(TokenType::WORDS, "A `typ`; absent means a header without it.")),
                    "Values of the header's `typ` that are accepted. Default at+jwt.",
                ),
                "header": described(
                    one_or_several(words(HeaderMember::WORDS, "A digest of the issuer's certificate.")),
                    "Header members that are ignored instead of rejected. Default none.",
                ),
            }),
            &[],
        ),
        "scope_claim": words(ScopeClaim::WORDS, "http_claims: the claim that holds the scopes; a token that also has `scope` is \
            judged by `scope`. Default scope."),
        "scope_when_absent": text("http_claims: scopes of a token without a scope claim, separated by spaces. Default none."),
        "client_id_claim": text("http_claims: the claim that holds the client. Default client_id."),
        "require_jti": described(
            json!({"type": "boolean", "default": true}),
            "http_claims: false accepts tokens without `jti`.",
        ),
        "audience_mode": words(AudienceMode::WORDS, "http_claims: exact accepts tokens for this deployment only; contains also accepts \
            tokens that name others besides it. Default exact."),
        "max_lifetime_seconds": token_lifetime("http_claims: seconds that a token may live from its issue to its end."),
    })
}

fn token_lifetime(description: &str) -> Json {
    let schema = json!({
        "type": "integer",
        "minimum": LIFETIME_SECONDS_MIN,
        "maximum": LIFETIME_SECONDS_MAX,
        "default": LIFETIME_SECONDS_DEFAULT,
    });
    described(schema, description)
}

fn executor() -> Json {
    let auth = closed(
        json!({
            "type": {"const": "bearer_env"},
            "token_env": env("Variable that holds the bearer token."),
        }),
        &["type", "token_env"],
    );
    let mut schema = closed(
        json!({
            "type": {"enum": ["sql_update", "http_handler", "command_handler"]},
            "url_env": env("http_handler: variable that holds the URL."),
            "method": words(Method::WORDS, "http_handler. Default POST."),
            "auth": auth,
            "signing_secret_env": env("http_handler: variable that holds the secret that signs requests."),
            "timeout_ms": described(
                json!({"type": "integer", "minimum": 1, "default": HANDLER_TIMEOUT_MS}),
                "Milliseconds that one call may take.",
            ),
            "command_env": env("command_handler: variable that holds the command."),
        }),
        &["type"],
    );
    schema["allOf"] = json!([
        when("type", "http_handler", &["url_env"]),
        when("type", "command_handler", &["command_env"]),
    ]);
    schema
}

fn capability() -> Json {
    let mut lookup = closed(
        json!({
            "id_from_arg": text("Argument compared with the key column."),
            "key_from_args": named(IDENTIFIER, "#/$defs/key_argument", "Argument of each key column besides the tenant \
                column, if there are several."),
        }),
        &[],
    );
    lookup["oneOf"] = json!([{"required": ["id_from_arg"]}, {"required": ["key_from_args"]}]);
    let mut conflict_guard = closed(
        json!({
            "column": identifier("Column that changes with every change of the row."),
            "weak_guard_ack": flag("true if no such column exists; every visible column is compared instead."),
            "advance": words(VersionAdvance::WORDS, "What the writer does to the column in the same update. \
                Default none: the application or the database moves it. increment adds one; now sets it to the \
                database's time."),
        }),
        &[],
    );
    conflict_guard["anyOf"] = json!([{"required": ["column"]}, {"required": ["weak_guard_ack"], "properties": {"weak_guard_ack": {"const": true}}}]);
    let approval = closed(
        json!({
            "mode": {"const": "human"},
            "required_role": {"type": "string", "minLength": 1, "maxLength": ROLE_CHARS_MAX, "not": {"const": "*"}},
            "quorum": {"type": "integer", "minimum": 1, "maximum": QUORUM_MAX, "default": 1},
        }),
        &[],
    );
    let properties = json!({
        "name": described(json!({"type": "string", "pattern": QUALIFIED_NAME}), "Name of the tool: namespace.name."),
        "kind": {"enum": ["read", "proposal"]},
        "description": text("Description of the capability for models."),
        "returns_hint": text("Description of the result for models."),
        "source": identifier("A member of sources."),
        "context": described(json!({"type": "string", "pattern": SAFE_NAME}), "A member of contexts."),
        "executor": described(json!({"type": "string", "pattern": SAFE_NAME}), "sql_update or a member of executors."),
        "target": reference("target"),
        "args": named(SAFE_NAME, "#/$defs/arg", "What a model may choose."),
        "lookup": lookup,
        "visible_columns": columns("What a model and approvers see."),
        "max_chars": max_chars(),
        "evidence": described(json!({"enum": ["required", "optional"]}), "Evidence is always kept."),
        "max_rows": positive("Default 1. A call is about exactly one row either way."),
        "patch": named(IDENTIFIER, "#/$defs/binding", "New values by column."),
        "allowed_columns": columns("Columns that may be changed at all."),
        "numeric_bounds": map(IDENTIFIER, "#/$defs/bound", "Bounds of new values by column."),
        "transition_guards": map(IDENTIFIER, "#/$defs/transition", "Allowed changes of state by column."),
        "conflict_guard": conflict_guard,
        "approval": approval,
        "db_managed": columns("Columns that the database itself changes."),
        "side_effects_ack": side_effects_ack(),
        "single_tenant_dev_ack": flag("Accepted; not read."),
    });
    let required = [
        "name",
        "kind",
        "source",
        "target",
        "args",
        "lookup",
        "visible_columns",
    ];
    let mut schema = closed(properties, &required);
    schema["allOf"] = json!([when(
        "kind",
        "proposal",
        &["patch", "allowed_columns", "conflict_guard"]
    )]);
    schema
}

fn side_effects_ack() -> Json {
    let write = closed(
        json!({
            "table": described(json!({"type": "string", "pattern": QUALIFIED_NAME}), "schema.table."),
            "rows": described(
                json!({"type": "integer", "minimum": 1, "maximum": SIDE_EFFECT_ROWS_MAX}),
                "Rows that may be written there.",
            ),
        }),
        &["table", "rows"],
    );
    let entry = closed(
        json!({
            "name": text("Trigger, rule, policy, constraint, column or index."),
            "digest": described(
                json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}),
                "Digest of the whole definition.",
            ),
            "functions": {"description": "Functions that it calls.", "type": "array", "uniqueItems": true,
                "items": {"type": "string", "pattern": "\\S"}},
            "writes": {"description": "Tables that it may write besides the row.", "type": "array",
                "maxItems": SIDE_EFFECT_TABLES_MAX, "items": write},
        }),
        &["name", "digest", "functions", "writes"],
    );
    json!({
        "description": "Code of the database that runs with the update and was reviewed, as writeback doctor \
            --check-db prints it.",
        "type": "array", "minItems": 1, "maxItems": SIDE_EFFECTS_MAX, "items": entry,
    })
}

fn primary_key() -> Json {
    json!({
        "description": "The key column, or several that identify a row together.",
        "anyOf": [
            identifier("The one key column."),
            {
                "type": "array", "minItems": 1, "maxItems": KEY_COLUMNS_MAX, "uniqueItems": true,
                "items": identifier("A key column."),
            },
        ],
    })
}

fn target() -> Json {
    let mut schema = closed(
        json!({
            "schema": identifier("Schema of the table; main in SQLite."),
            "table": identifier("The table."),
            "primary_key": primary_key(),
            "tenant_key": identifier("Column that holds the tenant."),
            "single_tenant_dev": flag("Waives the tenant key in development; never with direct writeback."),
        }),
        &["schema", "table", "primary_key"],
    );
    schema["anyOf"] = json!([
        {"required": ["tenant_key"]},
        {"required": ["single_tenant_dev"], "properties": {"single_tenant_dev": {"const": true}}},
    ]);
    schema
}

fn arg() -> Json {
    closed(
        json!({
            "type": {"enum": ["string", "number", "boolean"]},
            "description": text("Description of the argument for models."),
            "required": described(json!({"type": "boolean", "default": true}), "false makes it optional."),
            "max_length": positive("Characters of a string."),
            "minimum": described(json!({"type": "number"}), "Least number, inclusive."),
            "maximum": described(json!({"type": "number"}), "Largest number, inclusive."),
            "enum": {"type": "array", "minItems": 1, "uniqueItems": true,
                "items": {"type": ["string", "number", "boolean"]}},
        }),
        &["type"],
    )
}

fn max_chars() -> Json {
    described(
        json!({
            "type": "object",
            "propertyNames": {"pattern": IDENTIFIER},
            "additionalProperties": {"type": "integer", "minimum": 1, "maximum": i32::MAX},
        }),
        "Maximum number of characters that a result shows of these visible columns.",
    )
}

fn binding() -> Json {
    let mut schema = closed(
        json!({
            "fixed": described(json!({"type": ["string", "number", "boolean", "null"]}), "Always this value."),
            "from_arg": text("The value of this argument."),
            "when_absent": described(
                json!({"enum": ["keep", "null"]}),
                "Meaning of an optional argument that is left out: the column keeps its value, or becomes null. \
                 Without this member it becomes null."
            ),
        }),
        &[],
    );
    schema["oneOf"] = json!([
        {"required": ["fixed"], "not": {"required": ["when_absent"]}},
        {"required": ["from_arg"]},
    ]);
    schema
}

fn bound() -> Json {
    let mut schema = closed(
        json!({"minimum": {"type": "number"}, "maximum": {"type": "number"}}),
        &[],
    );
    schema["minProperties"] = 1.into();
    schema
}

fn transition() -> Json {
    let targets = json!({"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "\\S"}});
    closed(
        json!({
            "from_column": identifier("Column that holds the current state; the guarded column if absent."),
            "allowed": {"type": "object", "minProperties": 1, "propertyNames": {"pattern": "\\S"},
                "additionalProperties": targets},
        }),
        &["allowed"],
    )
}

fn cloud() -> Json {
    closed(
        json!({
            "base_url_env": env("Variable that holds the control plane's URL."),
            "runner_token_env": env("Variable that holds the runner's token."),
            "adapter_id": text("Adapter of the control plane."),
            "source_id": text("Source of the control plane."),
            "runner_id": text("Name of this runner."),
            "runner_version": text("Version of this runner."),
            "project_id": text("Project; token_scope means as the token says."),
            "engines": {"type": "array", "minItems": 1, "items": words(EngineKind::WORDS, "An engine.")},
            "capabilities": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "\\S"}},
            "session": {"type": "object"},
        }),
        &["base_url_env", "runner_token_env", "adapter_id"],
    )
}

/// An object with these members and no others.
fn closed(properties: Json, required: &[&str]) -> Json {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// A map with user-defined keys; may be empty.
fn map(pattern: &str, values: &str, description: &str) -> Json {
    json!({
        "description": description,
        "type": "object",
        "propertyNames": {"pattern": pattern},
        "additionalProperties": {"$ref": values},
    })
}

/// As [`map`], with at least one member.
fn named(pattern: &str, values: &str, description: &str) -> Json {
    let mut schema = map(pattern, values, description);
    schema["minProperties"] = 1.into();
    schema
}

fn when(key: &str, word: &str, required: &[&str]) -> Json {
    json!({"if": {"required": [key], "properties": {key: {"const": word}}}, "then": {"required": required}})
}

fn reference(definition: &str) -> Json {
    json!({"$ref": format!("#/$defs/{definition}")})
}

fn described(schema: Json, description: &str) -> Json {
    let mut described = Map::new();
    described.insert("description".to_owned(), description.into());
    if let Json::Object(members) = schema {
        described.extend(members);
    }
    Json::Object(described)
}

fn words<T>(words: &[(&str, T)], description: &str) -> Json {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    described(json!({"enum": words}), description)
}

fn text(description: &str) -> Json {
    described(json!({"type": "string", "pattern": "\\S"}), description)
}

fn identifier(description: &str) -> Json {
    described(json!({"type": "string", "pattern": IDENTIFIER}), description)
}

fn env(description: &str) -> Json {
    described(json!({"type": "string", "pattern": ENV_NAME}), description)
}

fn flag(description: &str) -> Json {
    described(json!({"type": "boolean"}), description)
}

fn positive(description: &str) -> Json {
    described(
        json!({"type": "integer", "minimum": 1, "maximum": i32::MAX}),
        description,
    )
}

fn columns(description: &str) -> Json {
    let items = json!({"type": "string", "pattern": IDENTIFIER});
    described(
        json!({"type": "array", "minItems": 1, "items": items}),
        description,
    )
}

#[cfg(test)]
mod tests {
    use super::super::fields;
    use super::*;

    #[test]
    fn validator_and_schema_know_the_same_fields() {
        let schema = json_schema();
        let capability = "/$defs/capability/properties";
        for (pointer, known) in [
            (String::new(), fields::TOP_LEVEL),
            ("/properties/storage".to_owned(), fields::STORAGE),
            ("/$defs/source".to_owned(), fields::SOURCE),
            ("/$defs/context".to_owned(), fields::CONTEXT),
            (
                "/$defs/context/properties/values".to_owned(),
                fields::CONTEXT_VALUES,
            ),
            (
                "/$defs/context/properties/values/properties/accept".to_owned(),
                fields::TOKEN_ACCEPT,
            ),
            ("/$defs/executor".to_owned(), fields::EXECUTOR),
            (
                "/$defs/executor/properties/auth".to_owned(),
                fields::EXECUTOR_AUTH,
            ),
            ("/$defs/capability".to_owned(), fields::CAPABILITY),
            ("/$defs/target".to_owned(), fields::TARGET),
            ("/$defs/arg".to_owned(), fields::ARG),
            ("/$defs/binding".to_owned(), fields::BINDING),
            ("/$defs/bound".to_owned(), fields::BOUND),
            ("/$defs/transition".to_owned(), fields::TRANSITION),
            ("/$defs/cloud".to_owned(), fields::CLOUD),
            (format!("{capability}/lookup"), fields::LOOKUP),
            (format!("{capability}/conflict_guard"), fields::CONFLICT_GUARD),
            (format!("{capability}/approval"), fields::APPROVAL),
            (
                format!("{capability}/side_effects_ack/items"),
                fields::SIDE_EFFECT_ACK,
            ),
            (
                format!("{capability}/side_effects_ack/items/properties/writes/items"),
                fields::SIDE_EFFECT_WRITE,
            ),
        ] {
            let properties = schema
                .pointer(&format!("{pointer}/properties"))
                .and_then(Json::as_object);
            let names: Vec<&str> = properties.unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, known, "{pointer}");
        }
    }
}
