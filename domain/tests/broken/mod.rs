//! Edits of the library's file: one for each error code, and edits that must or must not change the contract
//! digest.

type Edits = &'static [(&'static str, &'static str)];

/// Codes that only warn.
pub(crate) const WARNINGS: &[&str] = &[
    "WRITEBACK_DISABLED",
    "UNKNOWN_CONTEXT_VALUE",
    "STATIC_DEV_CONTEXT",
    "HTTP_CLAIMS_INCOMPLETE",
    "AUDIENCE_SHARED",
    "SINGLE_TENANT_DEV_EXCEPTION",
    "PROPOSAL_FIELD_ON_READ",
    "PATCH_COLUMN_NOT_VISIBLE",
    "CONFLICT_GUARD_WEAK",
    "RESULT_FORMAT_DEFAULT",
    "WHEN_ABSENT_MISSING",
    "TOOL_NAME_LONG",
];

/// One object of each kind, by its pointer.
pub(crate) const PLACES_OF_KEYS: &[&str] = &[
    "",
    "/storage",
    "/sources/lending",
    "/trusted_context",
    "/contexts/desk.main",
    "/executors/loan-service",
    "/executors/loan-service/auth",
    "/capabilities/0",
    "/capabilities/0/target",
    "/capabilities/0/args/loan_no",
    "/capabilities/0/lookup",
    "/capabilities/1/patch/note",
    "/capabilities/1/numeric_bounds/fee_cents",
    "/capabilities/1/transition_guards/state",
    "/capabilities/1/conflict_guard",
    "/capabilities/1/approval",
];

/// Edits that keep the contract digest of `loans.propose_fee`.
pub(crate) const UNSEALED: &[(&str, &str)] = &[
    ("/capabilities/1/description", "\"Now with words.\""),
    ("/capabilities/1/args/note/description", "\"Why.\""),
    ("/capabilities/1/returns_hint", "\"Cents.\""),
    ("/capabilities/1/args/fee_cents/maximum", "50005e-1"),
    ("/capabilities/0/max_rows", "7"),
    ("/sources/lending/read_url_env", "\"OTHER\""),
    ("/sources/lending/write_url_env", "\"OTHER\""),
    ("/sources/lending/statement_timeout_ms", "9"),
    ("/sources/lending/max_connections", "9"),
    ("/storage/sqlite_path", "\"x.db\""),
    ("/result_format", "1"),
    ("/$schema", ""),
    ("/capabilities/1/conflict_guard/advance", "\"none\""),
    ("/capabilities/1/patch/note/when_absent", "\"null\""),
];

/// Edits that each change the contract digest of `loans.propose_fee`.
pub(crate) const SEALED: &[Edits] = &[
    &[("/capabilities/1/max_chars", r#"{"state": 9}"#)],
    &[("/capabilities/1/patch/note/when_absent", "\"keep\"")],
    &[("/mode", "\"shadow\"")],
    &[("/sources/lending/engine", "\"mysql\"")],
    &[("/contexts/desk.main/provider", "\"static_dev\"")],
    &[("/capabilities/1/name", "\"loans.propose_fees\"")],
    &[("/capabilities/1/target/table", "\"loan\"")],
    &[("/capabilities/1/target/primary_key", "\"id\"")],
    &[("/capabilities/1/target/tenant_key", "\"org\"")],
    &[("/capabilities/1/args/note/max_length", "201")],
    &[("/capabilities/1/args/note/required", "true")],
    &[("/capabilities/1/args/fee_cents/minimum", "0.01")],
    &[("/capabilities/1/args/fee_cents/maximum", "5001")],
    &[("/capabilities/1/args/state/enum", "[\"returned\"]")],
    &[("/capabilities/1/args/extra", "{\"type\": \"boolean\"}")],
    &[("/capabilities/1/lookup/id_from_arg", "\"note\"")],
    &[("/capabilities/1/visible_columns/-", "\"title\"")],
    &[("/capabilities/1/max_rows", "2")],
    &[("/capabilities/1/patch/is_settled/fixed", "true")],
    &[("/capabilities/1/patch/is_settled/fixed", "\"false\"")],
    &[("/capabilities/1/patch/note/from_arg", "\"url\"")],
    &[("/capabilities/1/allowed_columns/-", "\"title\"")],
    &[("/capabilities/1/numeric_bounds/fee_cents/maximum", "5000.5")],
    &[("/capabilities/1/numeric_bounds/fee_cents/minimum", "")],
    &[("/capabilities/1/transition_guards/state/allowed/lost", "")],
    &[("/capabilities/1/transition_guards/state/from_column", "\"note\"")],
    &[("/capabilities/1/conflict_guard/column", "\"version\"")],
    &[("/capabilities/1/conflict_guard", "{\"weak_guard_ack\": true}")],
    &[("/capabilities/1/conflict_guard/advance", "\"increment\"")],
    &[("/capabilities/1/conflict_guard/advance", "\"now\"")],
    &[("/capabilities/1/approval/required_role", "\"other\"")],
    &[("/capabilities/1/approval/quorum", "3")],
    &[("/capabilities/1/db_managed", "")],
    &[("/capabilities/1/executor", "\"letter\"")],
    &[("/capabilities/1/side_effects_ack", SIDE_EFFECTS)],
    &[
        ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
        ("/capabilities/1/side_effects_ack/0/writes/0/rows", "2"),
    ],
    &[
        ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
        ("/capabilities/1/side_effects_ack/0/functions", "[]"),
    ],
];

/// Code, path, and the edits that provoke it.
pub(crate) const FILES: &[(&str, &str, Edits)] = &[
    ("CONFIG_NOT_OBJECT", "$", &[("", "[]")]),
    ("UNSUPPORTED_CONFIG_VERSION", "$.version", &[("/version", "2")]),
    ("INVALID_SCHEMA_REFERENCE", "$.$schema", &[("/$schema", "1")]),
    ("INVALID_MODE", "$.mode", &[("/mode", "\"write\"")]),
    (
        "INVALID_RESULT_FORMAT",
        "$.result_format",
        &[("/result_format", "3")],
    ),
    ("INVALID_STRICT", "$.strict", &[("/strict", "\"no\"")]),
    (
        "UNKNOWN_FIELD",
        "$.capabilities[0].colour",
        &[("/capabilities/0/colour", "1")],
    ),
    ("STORAGE_NOT_OBJECT", "$.storage", &[("/storage", "\"x.db\"")]),
    (
        "INVALID_SQLITE_PATH",
        "$.storage.sqlite_path",
        &[("/storage/sqlite_path", "\"\"")],
    ),
    (
        "SOURCES_REQUIRED",
        "$.sources",
        &[(
            "",
            r#"{"version": 1, "mode": "review", "trusted_context": {"provider": "environment"}}"#,
        )],
    ),
    (
        "UNSAFE_SOURCE_NAME",
        "$.sources.a-b",
        &[("/sources/a-b", r#"{"engine": "mysql", "read_url_env": "R"}"#)],
    ),
    (
        "SOURCE_NOT_OBJECT",
        "$.sources.lending",
        &[("/sources/lending", "\"x\"")],
    ),
    (
        "INVALID_SOURCE_ENGINE",
        "$.sources.lending.engine",
        &[("/sources/lending/engine", "\"oracle\"")],
    ),
    (
        "READ_URL_ENV_REQUIRED",
        "$.sources.lending.read_url_env",
        &[("/sources/lending/read_url_env", "")],
    ),
    (
        "INVALID_WRITE_URL_ENV",
        "$.sources.lending.write_url_env",
        &[("/sources/lending/write_url_env", "\"w\"")],
    ),
    (
        "INVALID_SOURCE_READ_ONLY",
        "$.sources.members.read_only",
        &[("/sources/members/read_only", "1")],
    ),
    (
        "INVALID_TIMEOUT",
        "$.sources.lending.statement_timeout_ms",
        &[("/sources/lending/statement_timeout_ms", "-5")],
    ),
    (
        "INVALID_MAX_CONNECTIONS",
        "$.sources.lending.max_connections",
        &[("/sources/lending/max_connections", "257")],
    ),
    (
        "INVALID_SSL",
        "$.sources.members.ssl",
        &[("/sources/members/ssl", "true")],
    ),
    (
        "INVALID_RECEIPT_TABLE",
        "$.sources.members.receipt_table",
        &[("/sources/members/receipt_table", "\"a b\"")],
    ),
    (
        "INVALID_GALERA_SINGLE_WRITER_ACK",
        "$.sources.members.galera_single_writer_ack",
        &[("/sources/members/galera_single_writer_ack", "true")],
    ),
    (
        "INVALID_ON_FAILOVER",
        "$.sources.members.on_failover",
        &[("/sources/members/on_failover", "\"ignore\"")],
    ),
    (
        "READ_ONLY_SOURCE_DIRECT_WRITEBACK",
        "$.capabilities[1].executor",
        &[("/sources/lending/read_only", "true")],
    ),
    (
        "WRITEBACK_DISABLED",
        "$.sources.lending.write_url_env",
        &[("/sources/lending/write_url_env", "")],
    ),
    (
        "TRUSTED_CONTEXT_REQUIRED",
        "$.trusted_context",
        &[("/trusted_context", "")],
    ),
    (
        "TRUSTED_CONTEXT_NOT_OBJECT",
        "$.trusted_context",
        &[("/trusted_context", "[]")],
    ),
    (
        "CONTEXTS_NOT_OBJECT",
        "$.contexts",
        &[("/contexts", "{}"), ("/capabilities/1/context", "")],
    ),
    (
        "INVALID_CONTEXT_NAME",
        "$.contexts.-x",
        &[("/contexts/-x", r#"{"provider": "environment"}"#)],
    ),
    (
        "INVALID_CONTEXT_PROVIDER",
        "$.trusted_context.provider",
        &[("/trusted_context/provider", "\"model\"")],
    ),
    (
        "CONTEXT_VALUES_NOT_OBJECT",
        "$.trusted_context.values",
        &[("/trusted_context/values", "[]")],
    ),
    (
        "INVALID_CONTEXT_VALUE",
        "$.trusted_context.values.tenant_id_env",
        &[("/trusted_context/values/tenant_id_env", "\"acme corp\"")],
    ),
    (
        "UNKNOWN_CONTEXT_VALUE",
        "$.trusted_context.values.role",
        &[("/trusted_context/values/role", "\"x\"")],
    ),
    (
        "AUDIENCE_SHARED",
        "$.trusted_context.values.audience",
        &[("/trusted_context/values/audience", "\"authenticated\"")],
    ),
    (
        "HTTP_CLAIMS_INCOMPLETE",
        "$.trusted_context.values",
        &[("/trusted_context/provider", "\"http_claims\"")],
    ),
    (
        "STATIC_DEV_CONTEXT",
        "$.trusted_context.provider",
        &[("/trusted_context/provider", "\"static_dev\"")],
    ),
    ("EXECUTORS_NOT_OBJECT", "$.executors", &[("/executors", "[]")]),
    (
        "INVALID_EXECUTOR_NAME",
        "$.executors.sql_update",
        &[(
            "/executors/sql_update",
            r#"{"type": "command_handler", "command_env": "C"}"#,
        )],
    ),
    (
        "EXECUTOR_NOT_OBJECT",
        "$.executors.letter",
        &[("/executors/letter", "1")],
    ),
    (
        "INVALID_EXECUTOR_TYPE",
        "$.executors.letter.type",
        &[("/executors/letter/type", "\"shell\"")],
    ),
    (
        "HANDLER_URL_ENV_REQUIRED",
        "$.executors.loan-service.url_env",
        &[("/executors/loan-service/url_env", "")],
    ),
    (
        "INVALID_HANDLER_METHOD",
        "$.executors.loan-service.method",
        &[("/executors/loan-service/method", "\"DELETE\"")],
    ),
    (
        "EXECUTOR_AUTH_NOT_OBJECT",
        "$.executors.loan-service.auth",
        &[("/executors/loan-service/auth", "\"x\"")],
    ),
    (
        "INVALID_EXECUTOR_AUTH",
        "$.executors.loan-service.auth.type",
        &[("/executors/loan-service/auth/type", "\"basic\"")],
    ),
    (
        "EXECUTOR_TOKEN_ENV_REQUIRED",
        "$.executors.loan-service.auth.token_env",
        &[("/executors/loan-service/auth/token_env", "")],
    ),
    (
        "HANDLER_SIGNING_SECRET_ENV_INVALID",
        "$.executors.loan-service.signing_secret_env",
        &[("/executors/loan-service/signing_secret_env", "\"s3cret!\"")],
    ),
    (
        "INVALID_HANDLER_TIMEOUT",
        "$.executors.loan-service.timeout_ms",
        &[("/executors/loan-service/timeout_ms", "1.5")],
    ),
    (
        "COMMAND_ENV_REQUIRED",
        "$.executors.letter.command_env",
        &[("/executors/letter/command_env", "")],
    ),
    (
        "EXECUTOR_INVALID_IN_READ_ONLY",
        "$.executors.letter",
        &[("/mode", "\"read_only\"")],
    ),
    (
        "CAPABILITIES_REQUIRED",
        "$.capabilities",
        &[("/capabilities", "[]")],
    ),
    (
        "CAPABILITY_NOT_OBJECT",
        "$.capabilities[3]",
        &[("/capabilities/-", "1")],
    ),
    (
        "INVALID_CAPABILITY_NAME",
        "$.capabilities[0].name",
        &[("/capabilities/0/name", "\"a.b.c\"")],
    ),
    (
        "CAPABILITY_NAME_RESERVED",
        "$.capabilities[0].name",
        &[("/capabilities/0/name", "\"proposals.inspect\"")],
    ),
    (
        "DUPLICATE_CAPABILITY_NAME",
        "$.capabilities[1].name",
        &[("/capabilities/1/name", "\"loans.inspect_loan\"")],
    ),
    (
        "INVALID_CAPABILITY_KIND",
        "$.capabilities[0].kind",
        &[("/capabilities/0/kind", "\"write\"")],
    ),
    (
        "INVALID_CAPABILITY_DESCRIPTION",
        "$.capabilities[0].description",
        &[("/capabilities/0/description", "\" \"")],
    ),
    (
        "INVALID_RETURNS_HINT",
        "$.capabilities[0].returns_hint",
        &[("/capabilities/0/returns_hint", "3")],
    ),
    (
        "UNKNOWN_SOURCE",
        "$.capabilities[0].source",
        &[("/capabilities/0/source", "\"other\"")],
    ),
    (
        "UNKNOWN_CONTEXT",
        "$.capabilities[1].context",
        &[("/capabilities/1/context", "\"other\"")],
    ),
    (
        "INVALID_EXECUTOR_REFERENCE",
        "$.capabilities[1].executor",
        &[("/capabilities/1/executor", "1")],
    ),
    (
        "UNKNOWN_EXECUTOR",
        "$.capabilities[1].executor",
        &[("/capabilities/1/executor", "\"other\"")],
    ),
    (
        "TARGET_REQUIRED",
        "$.capabilities[0].target",
        &[("/capabilities/0/target", "")],
    ),
    (
        "INVALID_TARGET_IDENTIFIER",
        "$.capabilities[0].target.table",
        &[("/capabilities/0/target/table", "\"loans; --\"")],
    ),
    (
        "INVALID_TARGET_SCHEMA",
        "$.capabilities[0].target.schema",
        &[("/capabilities/0/target/schema", "\"temp\"")],
    ),
    (
        "TENANT_GUARD_REQUIRED",
        "$.capabilities[0].target.tenant_key",
        &[("/capabilities/0/target/tenant_key", "")],
    ),
    (
        "INVALID_SINGLE_TENANT_DEV",
        "$.capabilities[0].target.single_tenant_dev",
        &[("/capabilities/0/target/single_tenant_dev", "\"yes\"")],
    ),
    (
        "SINGLE_TENANT_DEV_EXCEPTION",
        "$.capabilities[0].target.single_tenant_dev",
        &[
            ("/capabilities/0/target/single_tenant_dev", "true"),
            ("/capabilities/0/target/tenant_key", ""),
        ],
    ),
    (
        "SINGLE_TENANT_DEV_DIRECT_WRITEBACK",
        "$.capabilities[1].target.single_tenant_dev",
        &[("/capabilities/1/target/single_tenant_dev", "true")],
    ),
    (
        "INVALID_SINGLE_TENANT_DEV_ACK",
        "$.capabilities[0].single_tenant_dev_ack",
        &[("/capabilities/0/single_tenant_dev_ack", "1")],
    ),
    (
        "ARGS_REQUIRED",
        "$.capabilities[0].args",
        &[("/capabilities/0/args", "{}")],
    ),
    (
        "INVALID_ARG_NAME",
        "$.capabilities[1].args[\"a b\"]",
        &[("/capabilities/1/args/a b", r#"{"type": "string"}"#)],
    ),
    (
        "MODEL_CONTROLLED_RESERVED_ARG",
        "$.capabilities[1].args.tenantId",
        &[("/capabilities/1/args/tenantId", r#"{"type": "string"}"#)],
    ),
    (
        "SECRET_ARG_FORBIDDEN",
        "$.capabilities[1].args.access_token",
        &[("/capabilities/1/args/access_token", r#"{"type": "string"}"#)],
    ),
    (
        "ARG_NOT_OBJECT",
        "$.capabilities[1].args.note",
        &[("/capabilities/1/args/note", "\"string\"")],
    ),
    (
        "INVALID_ARG_TYPE",
        "$.capabilities[1].args.note.type",
        &[("/capabilities/1/args/note/type", "\"integer\"")],
    ),
    (
        "INVALID_ARG_DESCRIPTION",
        "$.capabilities[1].args.note.description",
        &[("/capabilities/1/args/note/description", "\"\"")],
    ),
    (
        "INVALID_ARG_REQUIRED",
        "$.capabilities[1].args.note.required",
        &[("/capabilities/1/args/note/required", "\"true\"")],
    ),
    (
        "INVALID_MAX_LENGTH",
        "$.capabilities[1].args.note.max_length",
        &[("/capabilities/1/args/note/max_length", "0")],
    ),
    (
        "NUMERIC_BOUNDS_REQUIRE_NUMBER",
        "$.capabilities[1].args.note.minimum",
        &[("/capabilities/1/args/note/minimum", "1")],
    ),
    (
        "INVALID_MINIMUM",
        "$.capabilities[1].args.fee_cents.minimum",
        &[("/capabilities/1/args/fee_cents/minimum", "\"0\"")],
    ),
    (
        "INVALID_MAXIMUM",
        "$.capabilities[1].numeric_bounds.fee_cents.maximum",
        &[("/capabilities/1/numeric_bounds/fee_cents/maximum", "1e999")],
    ),
    (
        "INVALID_NUMERIC_RANGE",
        "$.capabilities[1].args.fee_cents",
        &[("/capabilities/1/args/fee_cents/minimum", "5000.51")],
    ),
    (
        "INVALID_ARG_ENUM",
        "$.capabilities[1].args.state.enum",
        &[("/capabilities/1/args/state/enum", "[]")],
    ),
    (
        "ARG_ENUM_TYPE_MISMATCH",
        "$.capabilities[1].args.state.enum[1]",
        &[("/capabilities/1/args/state/enum/1", "7")],
    ),
    (
        "LOOKUP_REQUIRED",
        "$.capabilities[0].lookup",
        &[("/capabilities/0/lookup", "\"loan_no\"")],
    ),
    (
        "LOOKUP_ARG_REQUIRED",
        "$.capabilities[0].lookup.id_from_arg",
        &[("/capabilities/0/lookup/id_from_arg", "\"\"")],
    ),
    (
        "LOOKUP_KEYS_INVALID",
        "$.capabilities[0].lookup.key_from_args",
        &[("/capabilities/0/target/primary_key", "[\"loan_no\", \"copy_no\"]")],
    ),
    (
        "UNKNOWN_LOOKUP_ARG",
        "$.capabilities[0].lookup.id_from_arg",
        &[("/capabilities/0/lookup/id_from_arg", "\"id\"")],
    ),
    (
        "VISIBLE_COLUMNS_REQUIRED",
        "$.capabilities[0].visible_columns",
        &[("/capabilities/0/visible_columns", "[]")],
    ),
    (
        "INVALID_VISIBLE_COLUMN",
        "$.capabilities[0].visible_columns[3]",
        &[("/capabilities/0/visible_columns/-", "\"*\"")],
    ),
    (
        "SECRET_COLUMN_FORBIDDEN",
        "$.capabilities[0].visible_columns[3]",
        &[("/capabilities/0/visible_columns/-", "\"reset_token\"")],
    ),
    (
        "INVALID_EVIDENCE",
        "$.capabilities[0].evidence",
        &[("/capabilities/0/evidence", "\"none\"")],
    ),
    (
        "INVALID_MAX_ROWS",
        "$.capabilities[0].max_rows",
        &[("/capabilities/0/max_rows", "\"1\"")],
    ),
    (
        "PROPOSAL_FIELD_ON_READ",
        "$.capabilities[0].patch",
        &[("/capabilities/0/patch", "{}")],
    ),
    (
        "PATCH_REQUIRED",
        "$.capabilities[2].patch",
        &[("/capabilities/2/patch", "{}")],
    ),
    (
        "INVALID_PATCH_COLUMN",
        "$.capabilities[2].patch[\"a b\"]",
        &[("/capabilities/2/patch/a b", r#"{"fixed": 1}"#)],
    ),
    (
        "PATCH_BINDING_NOT_OBJECT",
        "$.capabilities[2].patch.letter",
        &[("/capabilities/2/patch/letter", "1")],
    ),
    (
        "INVALID_PATCH_BINDING",
        "$.capabilities[2].patch.letter",
        &[(
            "/capabilities/2/patch/letter",
            r#"{"fixed": 1, "from_arg": "member_id"}"#,
        )],
    ),
    (
        "INVALID_PATCH_ARG",
        "$.capabilities[2].patch.letter.from_arg",
        &[("/capabilities/2/patch/letter", r#"{"from_arg": ""}"#)],
    ),
    (
        "UNKNOWN_PATCH_ARG",
        "$.capabilities[2].patch.letter.from_arg",
        &[("/capabilities/2/patch/letter", r#"{"from_arg": "reason"}"#)],
    ),
    (
        "PATCH_COLUMN_NOT_ALLOWED",
        "$.capabilities[2].patch.letter",
        &[("/capabilities/2/allowed_columns", "[\"other\"]")],
    ),
    (
        "INVALID_MAX_CHARS",
        "$.capabilities[0].max_chars.note",
        &[("/capabilities/0/max_chars", r#"{"note": 5}"#)],
    ),
    (
        "INVALID_MAX_CHARS",
        "$.capabilities[0].max_chars.state",
        &[("/capabilities/0/max_chars", r#"{"state": 0}"#)],
    ),
    (
        "INVALID_MAX_CHARS",
        "$.capabilities[0].max_chars",
        &[("/capabilities/0/max_chars", "7")],
    ),
    (
        "WHEN_ABSENT_MISSING",
        "$.capabilities[1].patch.note",
        &[("/capabilities/1/patch/note", r#"{"from_arg": "note"}"#)],
    ),
    (
        "INVALID_WHEN_ABSENT",
        "$.capabilities[1].patch.note.when_absent",
        &[(
            "/capabilities/1/patch/note",
            r#"{"from_arg": "note", "when_absent": "skip"}"#,
        )],
    ),
    (
        "INVALID_WHEN_ABSENT",
        "$.capabilities[1].patch.is_settled.when_absent",
        &[(
            "/capabilities/1/patch/is_settled",
            r#"{"fixed": false, "when_absent": "keep"}"#,
        )],
    ),
    (
        "TOOL_NAME_LONG",
        "$.capabilities[0].name",
        &[(
            "/capabilities/0/name",
            "\"loans.inspect_one_single_loan_of_the_central_public_library\"",
        )],
    ),
    (
        "PATCH_COLUMN_NOT_VISIBLE",
        "$.capabilities[2].patch.letter",
        &[("/capabilities/2/visible_columns", "[\"id\"]")],
    ),
    (
        "FIXED_VALUE_OUT_OF_BOUNDS",
        "$.capabilities[1].patch.fee_cents.fixed",
        &[("/capabilities/1/patch/fee_cents", r#"{"fixed": 5000.01}"#)],
    ),
    (
        "FIXED_VALUE_NOT_ALLOWED",
        "$.capabilities[1].patch.state.fixed",
        &[("/capabilities/1/patch/state", r#"{"fixed": "burnt"}"#)],
    ),
    (
        "ALLOWED_COLUMNS_REQUIRED",
        "$.capabilities[2].allowed_columns",
        &[("/capabilities/2/allowed_columns", "")],
    ),
    (
        "INVALID_ALLOWED_COLUMN",
        "$.capabilities[2].allowed_columns[1]",
        &[("/capabilities/2/allowed_columns/-", "\"\"")],
    ),
    (
        "KEY_COLUMN_ALLOWED",
        "$.capabilities[2].allowed_columns[1]",
        &[("/capabilities/2/allowed_columns/-", "\"library_id\"")],
    ),
    (
        "NUMERIC_BOUNDS_NOT_OBJECT",
        "$.capabilities[1].numeric_bounds",
        &[("/capabilities/1/numeric_bounds", "[]")],
    ),
    (
        "INVALID_NUMERIC_BOUND_COLUMN",
        "$.capabilities[1].numeric_bounds[\"a b\"]",
        &[("/capabilities/1/numeric_bounds/a b", r#"{"minimum": 1}"#)],
    ),
    (
        "NUMERIC_BOUND_PATCH_COLUMN_REQUIRED",
        "$.capabilities[1].numeric_bounds.price",
        &[("/capabilities/1/numeric_bounds/price", r#"{"minimum": 1}"#)],
    ),
    (
        "NUMERIC_BOUND_NOT_OBJECT",
        "$.capabilities[1].numeric_bounds.fee_cents",
        &[("/capabilities/1/numeric_bounds/fee_cents", "5")],
    ),
    (
        "NUMERIC_BOUND_EMPTY",
        "$.capabilities[1].numeric_bounds.fee_cents",
        &[("/capabilities/1/numeric_bounds/fee_cents", "{}")],
    ),
    (
        "TRANSITION_GUARDS_NOT_OBJECT",
        "$.capabilities[1].transition_guards",
        &[("/capabilities/1/transition_guards", "1")],
    ),
    (
        "INVALID_TRANSITION_GUARD_COLUMN",
        "$.capabilities[1].transition_guards[\"a b\"]",
        &[(
            "/capabilities/1/transition_guards/a b",
            r#"{"allowed": {"a": ["b"]}}"#,
        )],
    ),
    (
        "TRANSITION_PATCH_COLUMN_REQUIRED",
        "$.capabilities[1].transition_guards.loan_no",
        &[(
            "/capabilities/1/transition_guards/loan_no",
            r#"{"allowed": {"a": ["b"]}}"#,
        )],
    ),
    (
        "TRANSITION_GUARD_NOT_OBJECT",
        "$.capabilities[1].transition_guards.state",
        &[("/capabilities/1/transition_guards/state", "[]")],
    ),
    (
        "INVALID_TRANSITION_FROM_COLUMN",
        "$.capabilities[1].transition_guards.state.from_column",
        &[("/capabilities/1/transition_guards/state/from_column", "\"a b\"")],
    ),
    (
        "TRANSITION_FROM_COLUMN_NOT_VISIBLE",
        "$.capabilities[1].transition_guards.state",
        &[(
            "/capabilities/1/visible_columns",
            r#"["loan_no", "fee_cents", "note", "is_settled"]"#,
        )],
    ),
    (
        "TRANSITION_ALLOWED_REQUIRED",
        "$.capabilities[1].transition_guards.state.allowed",
        &[("/capabilities/1/transition_guards/state/allowed", "{}")],
    ),
    (
        "TRANSITION_FROM_REQUIRED",
        "$.capabilities[1].transition_guards.state.allowed[\"\"]",
        &[("/capabilities/1/transition_guards/state/allowed/", "[\"lost\"]")],
    ),
    (
        "TRANSITION_TO_VALUES_REQUIRED",
        "$.capabilities[1].transition_guards.state.allowed.out",
        &[(
            "/capabilities/1/transition_guards/state/allowed/out",
            "[\"lost\", \"\"]",
        )],
    ),
    (
        "CONFLICT_GUARD_REQUIRED",
        "$.capabilities[2].conflict_guard",
        &[("/capabilities/2/conflict_guard", "")],
    ),
    (
        "CONFLICT_GUARD_COLUMN_REQUIRED",
        "$.capabilities[2].conflict_guard.column",
        &[("/capabilities/2/conflict_guard", r#"{"weak_guard_ack": false}"#)],
    ),
    (
        "INVALID_WEAK_GUARD_ACK",
        "$.capabilities[2].conflict_guard.weak_guard_ack",
        &[("/capabilities/2/conflict_guard/weak_guard_ack", "\"yes\"")],
    ),
    (
        "CONFLICT_GUARD_WEAK",
        "$.capabilities[1].conflict_guard",
        &[("/capabilities/1/conflict_guard", r#"{"weak_guard_ack": true}"#)],
    ),
    (
        "INVALID_GUARD_ADVANCE",
        "$.capabilities[1].conflict_guard.advance",
        &[("/capabilities/1/conflict_guard/advance", "\"bump\"")],
    ),
    (
        "GUARD_ADVANCE_COLUMN_REQUIRED",
        "$.capabilities[1].conflict_guard.advance",
        &[(
            "/capabilities/1/conflict_guard",
            r#"{"weak_guard_ack": true, "advance": "now"}"#,
        )],
    ),
    (
        "GUARD_ADVANCE_XMIN",
        "$.capabilities[1].conflict_guard.advance",
        &[
            ("/sources/lending/engine", "\"postgres\""),
            (
                "/capabilities/1/conflict_guard",
                r#"{"column": "xmin", "advance": "increment"}"#,
            ),
        ],
    ),
    (
        "GUARD_ADVANCE_KEY",
        "$.capabilities[1].conflict_guard.advance",
        &[(
            "/capabilities/1/conflict_guard",
            r#"{"column": "loan_no", "advance": "increment"}"#,
        )],
    ),
    (
        "GUARD_ADVANCE_COLUMN_PATCHED",
        "$.capabilities[1].conflict_guard.advance",
        &[
            ("/capabilities/1/conflict_guard/advance", "\"increment\""),
            ("/capabilities/1/allowed_columns/-", "\"revision\""),
        ],
    ),
    (
        "GUARD_ADVANCE_DB_MANAGED",
        "$.capabilities[1].conflict_guard.advance",
        &[
            ("/capabilities/1/conflict_guard/advance", "\"now\""),
            ("/capabilities/1/db_managed/-", "\"revision\""),
        ],
    ),
    (
        "GUARD_ADVANCE_HANDLER",
        "$.capabilities[2].conflict_guard.advance",
        &[(
            "/capabilities/2/conflict_guard",
            r#"{"column": "revision", "advance": "increment"}"#,
        )],
    ),
    (
        "XMIN_GUARD_ENGINE",
        "$.capabilities[1].conflict_guard.column",
        &[("/capabilities/1/conflict_guard/column", "\"xmin\"")],
    ),
    (
        "XMIN_NOT_GUARD",
        "$.capabilities[2].visible_columns",
        &[("/capabilities/2/visible_columns/-", "\"xmin\"")],
    ),
    (
        "APPROVAL_NOT_OBJECT",
        "$.capabilities[1].approval",
        &[("/capabilities/1/approval", "\"human\"")],
    ),
    (
        "INVALID_APPROVAL_MODE",
        "$.capabilities[1].approval.mode",
        &[("/capabilities/1/approval/mode", "\"policy\"")],
    ),
    (
        "INVALID_REQUIRED_ROLE",
        "$.capabilities[1].approval.required_role",
        &[("/capabilities/1/approval/required_role", "\"*\"")],
    ),
    (
        "INVALID_APPROVAL_QUORUM",
        "$.capabilities[1].approval.quorum",
        &[("/capabilities/1/approval/quorum", "6")],
    ),
    (
        "INVALID_DB_MANAGED",
        "$.capabilities[1].db_managed",
        &[("/capabilities/1/db_managed", "\"updated_at\"")],
    ),
    (
        "DB_MANAGED_COLUMN_PATCHED",
        "$.capabilities[1].db_managed[1]",
        &[("/capabilities/1/db_managed/-", "\"note\"")],
    ),
    (
        "INVALID_SIDE_EFFECTS_ACK",
        "$.capabilities[1].side_effects_ack",
        &[("/capabilities/1/side_effects_ack", "[]")],
    ),
    (
        "INVALID_SIDE_EFFECTS_ACK",
        "$.capabilities[1].side_effects_ack[0]",
        &[("/capabilities/1/side_effects_ack", "[\"audit\"]")],
    ),
    (
        "SIDE_EFFECTS_ACK_HANDLER",
        "$.capabilities[2].side_effects_ack",
        &[("/capabilities/2/side_effects_ack", SIDE_EFFECTS)],
    ),
    (
        "INVALID_SIDE_EFFECT_NAME",
        "$.capabilities[1].side_effects_ack[0].name",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/name", "\" \""),
        ],
    ),
    (
        "INVALID_SIDE_EFFECT_DIGEST",
        "$.capabilities[1].side_effects_ack[0].digest",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/digest", "\"sha256:AB\""),
        ],
    ),
    (
        "INVALID_SIDE_EFFECT_FUNCTIONS",
        "$.capabilities[1].side_effects_ack[0].functions",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            (
                "/capabilities/1/side_effects_ack/0/functions",
                "[\"a.f\", \"a.f\"]",
            ),
        ],
    ),
    (
        "INVALID_SIDE_EFFECT_WRITES",
        "$.capabilities[1].side_effects_ack[0].writes",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/writes", ""),
        ],
    ),
    (
        "INVALID_SIDE_EFFECT_WRITES",
        "$.capabilities[1].side_effects_ack[0].writes[0].table",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/writes/0/table", "\"audit\""),
        ],
    ),
    (
        "INVALID_SIDE_EFFECT_WRITES",
        "$.capabilities[1].side_effects_ack[0].writes[0].rows",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/writes/0/rows", "1001"),
        ],
    ),
    (
        "INVALID_SIDE_EFFECT_WRITES",
        "$.capabilities[1].side_effects_ack[0].writes[1].table",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            (
                "/capabilities/1/side_effects_ack/0/writes/-",
                r#"{"table": "main.audit", "rows": 2}"#,
            ),
        ],
    ),
    (
        "DUPLICATE_SIDE_EFFECT",
        "$.capabilities[1].side_effects_ack[1]",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/-", SIDE_EFFECT),
        ],
    ),
    (
        "UNKNOWN_FIELD",
        "$.capabilities[1].side_effects_ack[0].writes[0].columns",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/writes/0/columns", "1"),
        ],
    ),
    (
        "UNKNOWN_FIELD",
        "$.capabilities[1].side_effects_ack[0].rows",
        &[
            ("/capabilities/1/side_effects_ack", SIDE_EFFECTS),
            ("/capabilities/1/side_effects_ack/0/rows", "1"),
        ],
    ),
    ("CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE", "$.cloud", &[("/cloud", "{}")]),
    ("CLOUD_CONFIG_REQUIRED", "$.cloud", &[("/mode", "\"cloud\"")]),
    (
        "CLOUD_BASE_URL_ENV_REQUIRED",
        "$.cloud.base_url_env",
        &[("/mode", "\"cloud\""), ("/cloud", NO_BASE_URL)],
    ),
    (
        "CLOUD_RUNNER_TOKEN_ENV_REQUIRED",
        "$.cloud.runner_token_env",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", r#"{"base_url_env": "B", "adapter_id": "a"}"#),
        ],
    ),
    (
        "CLOUD_ADAPTER_ID_REQUIRED",
        "$.cloud.adapter_id",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", r#"{"base_url_env": "B", "runner_token_env": "T"}"#),
        ],
    ),
    (
        "INVALID_CLOUD_SOURCE_ID",
        "$.cloud.source_id",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", CLOUD),
            ("/cloud/source_id", "\"\""),
        ],
    ),
    (
        "INVALID_CLOUD_RUNNER_ID",
        "$.cloud.runner_id",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", CLOUD),
            ("/cloud/runner_id", "1"),
        ],
    ),
    (
        "INVALID_CLOUD_RUNNER_VERSION",
        "$.cloud.runner_version",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", CLOUD),
            ("/cloud/runner_version", "1"),
        ],
    ),
    (
        "INVALID_CLOUD_PROJECT_ID",
        "$.cloud.project_id",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", CLOUD),
            ("/cloud/project_id", "\"\""),
        ],
    ),
    (
        "INVALID_CLOUD_ENGINES",
        "$.cloud.engines",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", CLOUD),
            ("/cloud/engines", "[\"oracle\"]"),
        ],
    ),
    (
        "INVALID_CLOUD_CAPABILITIES",
        "$.cloud.capabilities",
        &[
            ("/mode", "\"cloud\""),
            ("/cloud", CLOUD),
            ("/cloud/capabilities", "[]"),
        ],
    ),
    (
        "INVALID_CLOUD_SESSION",
        "$.cloud.session",
        &[("/mode", "\"cloud\""), ("/cloud", CLOUD), ("/cloud/session", "1")],
    ),
    (
        "INLINE_DATABASE_URL_FORBIDDEN",
        "$.capabilities[0].description",
        &[("/capabilities/0/description", "\"reads mysql://root:pw@db/x\"")],
    ),
    (
        "INLINE_SECRET_FORBIDDEN",
        "$.sources.members.ssl.key",
        &[("/sources/members/ssl/key", "\"-----BEGIN PRIVATE KEY-----\"")],
    ),
    (
        "ARBITRARY_SQL_FORBIDDEN",
        "$.capabilities[0].sql",
        &[("/capabilities/0/sql", "\"select 1\"")],
    ),
    (
        "RESULT_FORMAT_DEFAULT",
        "$.result_format",
        &[("/result_format", "")],
    ),
];

const SIDE_EFFECTS: &str = r#"[{"name": "audit_loan",
    "digest": "sha256:abababababababababababababababababababababababababababababababab",
    "functions": ["main.f"], "writes": [{"table": "main.audit", "rows": 1}]}]"#;
const SIDE_EFFECT: &str = r#"{"name": "audit_loan",
    "digest": "sha256:abababababababababababababababababababababababababababababababab",
    "functions": [], "writes": []}"#;
const CLOUD: &str = r#"{"base_url_env": "B", "runner_token_env": "T", "adapter_id": "a"}"#;
const NO_BASE_URL: &str = r#"{"runner_token_env": "T", "adapter_id": "a"}"#;
