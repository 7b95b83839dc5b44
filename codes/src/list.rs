//! The list of all codes.

use crate::error_code::error_codes;
use crate::{Area, Exit, RpcStatus, SafeCode};

error_codes! {
    Contract {
        /// `allowed_columns` is not a non-empty list.
        AllowedColumnsRequired = "ALLOWED_COLUMNS_REQUIRED", exit Usage;
        /// `approval` is not an object.
        ApprovalNotObject = "APPROVAL_NOT_OBJECT", exit Usage;
        /// The file contains a key meant for SQL.
        ArbitrarySqlForbidden = "ARBITRARY_SQL_FORBIDDEN", exit Usage;
        /// A capability has no arguments.
        ArgsRequired = "ARGS_REQUIRED", exit Usage;
        /// A member of `enum` that is invalid for the argument.
        ArgEnumTypeMismatch = "ARG_ENUM_TYPE_MISMATCH", exit Usage;
        /// An argument is not an object.
        ArgNotObject = "ARG_NOT_OBJECT", exit Usage;
        /// An `audience` is not the URL of this deployment, so other services of the issuer may share it.
        AudienceShared = "AUDIENCE_SHARED", exit Usage;
        /// There are no capabilities.
        CapabilitiesRequired = "CAPABILITIES_REQUIRED", exit Usage;
        /// The name of a capability begins with `proposals.`, which is for built-in tools.
        CapabilityNameReserved = "CAPABILITY_NAME_RESERVED", exit Usage;
        /// A capability is not an object.
        CapabilityNotObject = "CAPABILITY_NOT_OBJECT", exit Usage;
        /// `cloud.adapter_id` is not a string.
        CloudAdapterIdRequired = "CLOUD_ADAPTER_ID_REQUIRED", exit Usage;
        /// `cloud.base_url_env` is not the name of a variable.
        CloudBaseUrlEnvRequired = "CLOUD_BASE_URL_ENV_REQUIRED", exit Usage;
        /// `cloud` outside mode `cloud`.
        CloudConfigOnlyForCloudMode = "CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE", exit Usage;
        /// Mode `cloud` without the object `cloud`.
        CloudConfigRequired = "CLOUD_CONFIG_REQUIRED", exit Usage;
        /// Mode `cloud` is validated but no process runs it.
        CloudModeNotAvailable = "CLOUD_MODE_NOT_AVAILABLE", exit Usage;
        /// `cloud.runner_token_env` is not the name of a variable.
        CloudRunnerTokenEnvRequired = "CLOUD_RUNNER_TOKEN_ENV_REQUIRED", exit Usage;
        /// A command handler does not name the variable that holds its command.
        CommandEnvRequired = "COMMAND_ENV_REQUIRED", exit Usage;
        /// The file is not JSON, has a key twice in one object, or nests too deep.
        ConfigNotJson = "CONFIG_NOT_JSON", exit Usage;
        /// The file's JSON is not an object.
        ConfigNotObject = "CONFIG_NOT_OBJECT", exit Usage;
        /// The file has more than 1 MiB.
        ConfigTooLarge = "CONFIG_TOO_LARGE", exit Usage;
        /// A conflict guard has neither a column nor the acknowledgement of a weak guard.
        ConflictGuardColumnRequired = "CONFLICT_GUARD_COLUMN_REQUIRED", exit Usage;
        /// A proposal has no conflict guard.
        ConflictGuardRequired = "CONFLICT_GUARD_REQUIRED", exit Usage;
        /// Warning: by the contract alone a changed row can look unchanged.
        ConflictGuardWeak = "CONFLICT_GUARD_WEAK", exit Usage;
        /// Some contexts come from access tokens and others do not, or from tokens of different issuers.
        ContextsMixed = "CONTEXTS_MIXED", exit Usage;
        /// `contexts` is not a non-empty object.
        ContextsNotObject = "CONTEXTS_NOT_OBJECT", exit Usage;
        /// `values` of a trusted context is not an object.
        ContextValuesNotObject = "CONTEXT_VALUES_NOT_OBJECT", exit Usage;
        /// A column that the database manages is patched or allowed.
        DbManagedColumnPatched = "DB_MANAGED_COLUMN_PATCHED", exit Usage;
        /// Two capabilities have the same name.
        DuplicateCapabilityName = "DUPLICATE_CAPABILITY_NAME", exit Usage;
        /// The same definition is acknowledged twice.
        DuplicateSideEffect = "DUPLICATE_SIDE_EFFECT", exit Usage;
        /// `executors` is not a non-empty object.
        ExecutorsNotObject = "EXECUTORS_NOT_OBJECT", exit Usage;
        /// `auth` is not an object.
        ExecutorAuthNotObject = "EXECUTOR_AUTH_NOT_OBJECT", exit Usage;
        /// A handler in mode `read_only`.
        ExecutorInvalidInReadOnly = "EXECUTOR_INVALID_IN_READ_ONLY", exit Usage;
        /// An executor is not an object.
        ExecutorNotObject = "EXECUTOR_NOT_OBJECT", exit Usage;
        /// `auth` does not name the variable that holds the token.
        ExecutorTokenEnvRequired = "EXECUTOR_TOKEN_ENV_REQUIRED", exit Usage;
        /// A fixed value that no transition reaches.
        FixedValueNotAllowed = "FIXED_VALUE_NOT_ALLOWED", exit Usage;
        /// A fixed value violates the column's bounds.
        FixedValueOutOfBounds = "FIXED_VALUE_OUT_OF_BOUNDS", exit Usage;
        /// The column that the writer advances is patched or allowed as well.
        GuardAdvanceColumnPatched = "GUARD_ADVANCE_COLUMN_PATCHED", exit Usage;
        /// `advance` on a guard without a column.
        GuardAdvanceColumnRequired = "GUARD_ADVANCE_COLUMN_REQUIRED", exit Usage;
        /// The column that the writer advances is managed by the database as well.
        GuardAdvanceDbManaged = "GUARD_ADVANCE_DB_MANAGED", exit Usage;
        /// `advance` on a row that a handler changes.
        GuardAdvanceHandler = "GUARD_ADVANCE_HANDLER", exit Usage;
        /// `advance` on a key.
        GuardAdvanceKey = "GUARD_ADVANCE_KEY", exit Usage;
        /// `advance` on `xmin`, which only PostgreSQL can change.
        GuardAdvanceXmin = "GUARD_ADVANCE_XMIN", exit Usage;
        /// `signing_secret_env` is not the name of a variable.
        HandlerSigningSecretEnvInvalid = "HANDLER_SIGNING_SECRET_ENV_INVALID", exit Usage;
        /// An HTTP handler does not name the variable that holds its URL.
        HandlerUrlEnvRequired = "HANDLER_URL_ENV_REQUIRED", exit Usage;
        /// A context of provider `http_claims` has no token policy.
        HttpClaimsIncomplete = "HTTP_CLAIMS_INCOMPLETE", exit Usage;
        /// The file contains a connection URL, or a key meant for one.
        InlineDatabaseUrlForbidden = "INLINE_DATABASE_URL_FORBIDDEN", exit Usage;
        /// The file contains a token or a private key.
        InlineSecretForbidden = "INLINE_SECRET_FORBIDDEN", exit Usage;
        /// An allowed column is not an identifier.
        InvalidAllowedColumn = "INVALID_ALLOWED_COLUMN", exit Usage;
        /// `approval.mode` is not `human`.
        InvalidApprovalMode = "INVALID_APPROVAL_MODE", exit Usage;
        /// `approval.quorum` is not an integer from 1 to 5.
        InvalidApprovalQuorum = "INVALID_APPROVAL_QUORUM", exit Usage;
        /// `description` of an argument is empty or not a string.
        InvalidArgDescription = "INVALID_ARG_DESCRIPTION", exit Usage;
        /// `enum` is not a non-empty list of different scalars.
        InvalidArgEnum = "INVALID_ARG_ENUM", exit Usage;
        /// An argument's name cannot be a property of a tool.
        InvalidArgName = "INVALID_ARG_NAME", exit Usage;
        /// `required` of an argument is not a boolean.
        InvalidArgRequired = "INVALID_ARG_REQUIRED", exit Usage;
        /// `type` of an argument is not one that exists.
        InvalidArgType = "INVALID_ARG_TYPE", exit Usage;
        /// `description` is empty or not a string.
        InvalidCapabilityDescription = "INVALID_CAPABILITY_DESCRIPTION", exit Usage;
        /// `kind` is neither `read` nor `proposal`.
        InvalidCapabilityKind = "INVALID_CAPABILITY_KIND", exit Usage;
        /// A capability's name is not two identifiers joined by a dot.
        InvalidCapabilityName = "INVALID_CAPABILITY_NAME", exit Usage;
        /// `cloud.capabilities` is not a non-empty list of strings.
        InvalidCloudCapabilities = "INVALID_CLOUD_CAPABILITIES", exit Usage;
        /// `cloud.engines` is not a non-empty list of engines.
        InvalidCloudEngines = "INVALID_CLOUD_ENGINES", exit Usage;
        /// `cloud.project_id` is empty or not a string.
        InvalidCloudProjectId = "INVALID_CLOUD_PROJECT_ID", exit Usage;
        /// `cloud.runner_id` is empty or not a string.
        InvalidCloudRunnerId = "INVALID_CLOUD_RUNNER_ID", exit Usage;
        /// `cloud.runner_version` is empty or not a string.
        InvalidCloudRunnerVersion = "INVALID_CLOUD_RUNNER_VERSION", exit Usage;
        /// `cloud.session` is not an object.
        InvalidCloudSession = "INVALID_CLOUD_SESSION", exit Usage;
        /// `cloud.source_id` is empty or not a string.
        InvalidCloudSourceId = "INVALID_CLOUD_SOURCE_ID", exit Usage;
        /// A context's name is not a safe name.
        InvalidContextName = "INVALID_CONTEXT_NAME", exit Usage;
        /// `provider` is not one that exists.
        InvalidContextProvider = "INVALID_CONTEXT_PROVIDER", exit Usage;
        /// A known member of `values` has the wrong form.
        InvalidContextValue = "INVALID_CONTEXT_VALUE", exit Usage;
        /// `db_managed` is not a list of identifiers.
        InvalidDbManaged = "INVALID_DB_MANAGED", exit Usage;
        /// `evidence` is neither `required` nor `optional`.
        InvalidEvidence = "INVALID_EVIDENCE", exit Usage;
        /// `auth.type` is not `bearer_env`.
        InvalidExecutorAuth = "INVALID_EXECUTOR_AUTH", exit Usage;
        /// An executor's name is not a safe name, or is `sql_update`.
        InvalidExecutorName = "INVALID_EXECUTOR_NAME", exit Usage;
        /// `executor` of a capability is not a string.
        InvalidExecutorReference = "INVALID_EXECUTOR_REFERENCE", exit Usage;
        /// `type` of an executor is not one that exists.
        InvalidExecutorType = "INVALID_EXECUTOR_TYPE", exit Usage;
        /// `galera_single_writer_ack` is not a boolean, or the source is not MySQL.
        InvalidGaleraSingleWriterAck = "INVALID_GALERA_SINGLE_WRITER_ACK", exit Usage;
        /// `conflict_guard.advance` is not a known value.
        InvalidGuardAdvance = "INVALID_GUARD_ADVANCE", exit Usage;
        /// `method` is not one that a handler may have.
        InvalidHandlerMethod = "INVALID_HANDLER_METHOD", exit Usage;
        /// `timeout_ms` is not a positive integer.
        InvalidHandlerTimeout = "INVALID_HANDLER_TIMEOUT", exit Usage;
        /// `max_chars` is not an object of visible columns with positive integers.
        InvalidMaxChars = "INVALID_MAX_CHARS", exit Usage;
        /// `max_connections` is not an integer from 1 to 256.
        InvalidMaxConnections = "INVALID_MAX_CONNECTIONS", exit Usage;
        /// `maximum` is not a number.
        InvalidMaximum = "INVALID_MAXIMUM", exit Usage;
        /// `max_length` is not a positive integer.
        InvalidMaxLength = "INVALID_MAX_LENGTH", exit Usage;
        /// `max_rows` is not a positive integer.
        InvalidMaxRows = "INVALID_MAX_ROWS", exit Usage;
        /// `minimum` is not a number.
        InvalidMinimum = "INVALID_MINIMUM", exit Usage;
        /// `mode` is not one of the four modes.
        InvalidMode = "INVALID_MODE", exit Usage;
        /// A bounded column is not an identifier.
        InvalidNumericBoundColumn = "INVALID_NUMERIC_BOUND_COLUMN", exit Usage;
        /// `minimum` is above `maximum`.
        InvalidNumericRange = "INVALID_NUMERIC_RANGE", exit Usage;
        /// `on_failover` is neither `compare` nor `refuse`, or the source is not PostgreSQL.
        InvalidOnFailover = "INVALID_ON_FAILOVER", exit Usage;
        /// `from_arg` is not a string.
        InvalidPatchArg = "INVALID_PATCH_ARG", exit Usage;
        /// A binding has not exactly one of `fixed` and `from_arg`, or `fixed` is not a scalar.
        InvalidPatchBinding = "INVALID_PATCH_BINDING", exit Usage;
        /// A patched column is not an identifier.
        InvalidPatchColumn = "INVALID_PATCH_COLUMN", exit Usage;
        /// `receipt_table` is not a valid table name.
        InvalidReceiptTable = "INVALID_RECEIPT_TABLE", exit Usage;
        /// `approval.required_role` is not the name of a role.
        InvalidRequiredRole = "INVALID_REQUIRED_ROLE", exit Usage;
        /// `result_format` is neither 1 nor 2.
        InvalidResultFormat = "INVALID_RESULT_FORMAT", exit Usage;
        /// `returns_hint` is empty or not a string.
        InvalidReturnsHint = "INVALID_RETURNS_HINT", exit Usage;
        /// `$schema` is not a string.
        InvalidSchemaReference = "INVALID_SCHEMA_REFERENCE", exit Usage;
        /// `side_effects_ack` is not a list of 1 to 16 objects.
        InvalidSideEffectsAck = "INVALID_SIDE_EFFECTS_ACK", exit Usage;
        /// `digest` of an acknowledgement is not a digest.
        InvalidSideEffectDigest = "INVALID_SIDE_EFFECT_DIGEST", exit Usage;
        /// `functions` of an acknowledgement is not a list of different names.
        InvalidSideEffectFunctions = "INVALID_SIDE_EFFECT_FUNCTIONS", exit Usage;
        /// `name` of an acknowledgement is not a printable name.
        InvalidSideEffectName = "INVALID_SIDE_EFFECT_NAME", exit Usage;
        /// `writes` of an acknowledgement is not a list of different tables with numbers of rows.
        InvalidSideEffectWrites = "INVALID_SIDE_EFFECT_WRITES", exit Usage;
        /// `single_tenant_dev` is not a boolean.
        InvalidSingleTenantDev = "INVALID_SINGLE_TENANT_DEV", exit Usage;
        /// `single_tenant_dev_ack` is not a boolean.
        InvalidSingleTenantDevAck = "INVALID_SINGLE_TENANT_DEV_ACK", exit Usage;
        /// `engine` is not one that exists.
        InvalidSourceEngine = "INVALID_SOURCE_ENGINE", exit Usage;
        /// A source's `read_only` is not a boolean.
        InvalidSourceReadOnly = "INVALID_SOURCE_READ_ONLY", exit Usage;
        /// `storage.sqlite_path` is not a path.
        InvalidSqlitePath = "INVALID_SQLITE_PATH", exit Usage;
        /// `ssl` is not an object.
        InvalidSsl = "INVALID_SSL", exit Usage;
        /// `strict` is not a boolean.
        InvalidStrict = "INVALID_STRICT", exit Usage;
        /// Schema, table or primary key is not an identifier.
        InvalidTargetIdentifier = "INVALID_TARGET_IDENTIFIER", exit Usage;
        /// A schema that the engine does not have.
        InvalidTargetSchema = "INVALID_TARGET_SCHEMA", exit Usage;
        /// `statement_timeout_ms` is not a positive integer.
        InvalidTimeout = "INVALID_TIMEOUT", exit Usage;
        /// `from_column` is not an identifier.
        InvalidTransitionFromColumn = "INVALID_TRANSITION_FROM_COLUMN", exit Usage;
        /// A guarded column is not an identifier.
        InvalidTransitionGuardColumn = "INVALID_TRANSITION_GUARD_COLUMN", exit Usage;
        /// A visible column is not an identifier.
        InvalidVisibleColumn = "INVALID_VISIBLE_COLUMN", exit Usage;
        /// `weak_guard_ack` is not a boolean.
        InvalidWeakGuardAck = "INVALID_WEAK_GUARD_ACK", exit Usage;
        /// `when_absent` is not `keep` or `null`, or the value of the column is fixed.
        InvalidWhenAbsent = "INVALID_WHEN_ABSENT", exit Usage;
        /// `write_url_env` is not the name of a variable.
        InvalidWriteUrlEnv = "INVALID_WRITE_URL_ENV", exit Usage;
        /// The primary key or the tenant key is in `allowed_columns`.
        KeyColumnAllowed = "KEY_COLUMN_ALLOWED", exit Usage;
        /// `lookup.id_from_arg` is not a string.
        LookupArgRequired = "LOOKUP_ARG_REQUIRED", exit Usage;
        /// `lookup.key_from_args` does not name one argument for each key column besides the tenant column.
        LookupKeysInvalid = "LOOKUP_KEYS_INVALID", exit Usage;
        /// A capability has no `lookup`.
        LookupRequired = "LOOKUP_REQUIRED", exit Usage;
        /// An argument would let the model set a value that only the owner may set.
        ModelControlledReservedArg = "MODEL_CONTROLLED_RESERVED_ARG", exit Usage;
        /// `numeric_bounds` is not an object.
        NumericBoundsNotObject = "NUMERIC_BOUNDS_NOT_OBJECT", exit Usage;
        /// `minimum` or `maximum` on an argument that is not a number.
        NumericBoundsRequireNumber = "NUMERIC_BOUNDS_REQUIRE_NUMBER", exit Usage;
        /// A bound has neither minimum nor maximum.
        NumericBoundEmpty = "NUMERIC_BOUND_EMPTY", exit Usage;
        /// A bound is not an object.
        NumericBoundNotObject = "NUMERIC_BOUND_NOT_OBJECT", exit Usage;
        /// A bounded column is not patched.
        NumericBoundPatchColumnRequired = "NUMERIC_BOUND_PATCH_COLUMN_REQUIRED", exit Usage;
        /// A member of `patch` is not an object.
        PatchBindingNotObject = "PATCH_BINDING_NOT_OBJECT", exit Usage, safe PolicyViolation;
        /// The patch changes a column that the contract does not allow, or omits a required column.
        PatchColumnNotAllowed = "PATCH_COLUMN_NOT_ALLOWED", safe PolicyViolation;
        /// Warning: the old value of a patched column is not visible.
        PatchColumnNotVisible = "PATCH_COLUMN_NOT_VISIBLE", exit Usage, safe PolicyViolation;
        /// A proposal capability patches nothing, or a proposal changes no column.
        PatchRequired = "PATCH_REQUIRED", exit Usage, safe PolicyViolation;
        /// Warning: a read capability has a member that only proposals use.
        ProposalFieldOnRead = "PROPOSAL_FIELD_ON_READ", exit Usage;
        /// A direct proposal on a source that is never written.
        ReadOnlySourceDirectWriteback = "READ_ONLY_SOURCE_DIRECT_WRITEBACK", exit Usage;
        /// A source does not name the variable that holds its read URL.
        ReadUrlEnvRequired = "READ_URL_ENV_REQUIRED", exit Usage;
        /// Warning: `result_format` is absent, so results have format 1.
        ResultFormatDefault = "RESULT_FORMAT_DEFAULT", exit Usage;
        /// An argument whose name says that it carries a secret.
        SecretArgForbidden = "SECRET_ARG_FORBIDDEN", exit Usage;
        /// A column whose name says that it holds a secret.
        SecretColumnForbidden = "SECRET_COLUMN_FORBIDDEN", exit Usage;
        /// Code of the table is acknowledged for a row that a handler changes.
        SideEffectsAckHandler = "SIDE_EFFECTS_ACK_HANDLER", exit Usage;
        /// A direct proposal on a target without tenant binding.
        SingleTenantDevDirectWriteback = "SINGLE_TENANT_DEV_DIRECT_WRITEBACK", exit Usage;
        /// Warning: rows of this target are not bound to a tenant.
        SingleTenantDevException = "SINGLE_TENANT_DEV_EXCEPTION", exit Usage;
        /// There are no sources.
        SourcesRequired = "SOURCES_REQUIRED", exit Usage;
        /// A source is not an object.
        SourceNotObject = "SOURCE_NOT_OBJECT", exit Usage;
        /// Warning: `static_dev` binds all callers to the same tenant.
        StaticDevContext = "STATIC_DEV_CONTEXT", exit Usage;
        /// `storage` is not an object.
        StorageNotObject = "STORAGE_NOT_OBJECT", exit Usage;
        /// A capability has no target.
        TargetRequired = "TARGET_REQUIRED", exit Usage;
        /// A target has no tenant key.
        TenantGuardRequired = "TENANT_GUARD_REQUIRED", exit Usage;
        /// Warning: a client cuts the tool's description.
        ToolDescriptionLong = "TOOL_DESCRIPTION_LONG", exit Usage;
        /// Warning: the tool list costs many tokens.
        ToolListLarge = "TOOL_LIST_LARGE", exit Usage;
        /// Warning: a client hides, refuses or cuts a tool with a name of this length.
        ToolNameLong = "TOOL_NAME_LONG", exit Usage;
        /// `allowed` is not a non-empty object.
        TransitionAllowedRequired = "TRANSITION_ALLOWED_REQUIRED", exit Usage;
        /// The column that holds the current state is not read.
        TransitionFromColumnNotVisible = "TRANSITION_FROM_COLUMN_NOT_VISIBLE", exit Usage;
        /// A current state is empty.
        TransitionFromRequired = "TRANSITION_FROM_REQUIRED", exit Usage;
        /// `transition_guards` is not an object.
        TransitionGuardsNotObject = "TRANSITION_GUARDS_NOT_OBJECT", exit Usage;
        /// A transition guard is not an object.
        TransitionGuardNotObject = "TRANSITION_GUARD_NOT_OBJECT", exit Usage;
        /// A guarded column is not patched.
        TransitionPatchColumnRequired = "TRANSITION_PATCH_COLUMN_REQUIRED", exit Usage;
        /// A list of target states is empty or has an empty member.
        TransitionToValuesRequired = "TRANSITION_TO_VALUES_REQUIRED", exit Usage;
        /// A trusted context is not an object.
        TrustedContextNotObject = "TRUSTED_CONTEXT_NOT_OBJECT", exit Usage;
        /// No trusted context is defined.
        TrustedContextRequired = "TRUSTED_CONTEXT_REQUIRED", exit Usage;
        /// The provider of the trusted context is not available in this process.
        TrustedContextUnsupported = "TRUSTED_CONTEXT_UNSUPPORTED", exit Usage;
        /// A capability names a context that does not exist.
        UnknownContext = "UNKNOWN_CONTEXT", exit Usage;
        /// A member of `values` that nothing reads: a warning, and an error at the start of a context of access tokens.
        UnknownContextValue = "UNKNOWN_CONTEXT_VALUE", exit Usage;
        /// A capability names an executor that does not exist.
        UnknownExecutor = "UNKNOWN_EXECUTOR", exit Usage;
        /// A key that version 1 does not have.
        UnknownField = "UNKNOWN_FIELD", exit Usage;
        /// `lookup.id_from_arg` names no argument.
        UnknownLookupArg = "UNKNOWN_LOOKUP_ARG", exit Usage;
        /// `from_arg` names no argument.
        UnknownPatchArg = "UNKNOWN_PATCH_ARG", exit Usage;
        /// No source of the contract has this name.
        UnknownSource = "UNKNOWN_SOURCE";
        /// A source's name is not an identifier.
        UnsafeSourceName = "UNSAFE_SOURCE_NAME", exit Usage;
        /// `version` is not 1.
        UnsupportedConfigVersion = "UNSUPPORTED_CONFIG_VERSION", exit Usage;
        /// The capability or the command selects no visible columns.
        VisibleColumnsRequired = "VISIBLE_COLUMNS_REQUIRED", exit Usage;
        /// Warning: an optional argument sets a column, and `when_absent` does not say what happens without it.
        WhenAbsentMissing = "WHEN_ABSENT_MISSING", exit Usage;
        /// A source with direct proposals has no `write_url_env`, so that the writer cannot apply its proposals.
        WritebackDisabled = "WRITEBACK_DISABLED", exit Usage;
        /// `xmin` is the guard of a source that is not PostgreSQL.
        XminGuardEngine = "XMIN_GUARD_ENGINE", exit Usage;
        /// `xmin` of a PostgreSQL table is used other than as a guard.
        XminNotGuard = "XMIN_NOT_GUARD", exit Usage;
    }
    CommandLine {
        /// The legacy HTTP bridge supports no tool name aliases.
        AliasModeUnsupported = "ALIAS_MODE_UNSUPPORTED", exit Usage;
        /// The target of an audit is not a file, URL or command with a list of tools.
        AuditTargetInvalid = "AUDIT_TARGET_INVALID", exit Usage;
        /// The MCP server of an audit cannot be started or reached, or it lists no tools.
        AuditTargetUnreachable = "AUDIT_TARGET_UNREACHABLE", exit Unreachable;
        /// The time of --before is in the future.
        BeforeInvalid = "BEFORE_INVALID", exit Usage;
        /// The command names no capability, and the contract does not define exactly one that fits.
        CapabilityRequired = "CAPABILITY_REQUIRED", exit Usage;
        /// The named capability is not a proposal capability.
        CapabilityWrongKind = "CAPABILITY_WRONG_KIND", exit Usage;
        /// The path of the MCP client's configuration file is unknown.
        ClientDestinationNeeded = "CLIENT_DESTINATION_NEEDED", exit Usage;
        /// The MCP client has no configuration file.
        ClientHasNoFile = "CLIENT_HAS_NO_FILE", exit Usage;
        /// The server name in --name is invalid.
        ClientNameInvalid = "CLIENT_NAME_INVALID", exit Usage;
        /// A path for the MCP client's configuration is not UTF-8 text, has control characters or is unresolvable.
        ClientPathInvalid = "CLIENT_PATH_INVALID", exit Usage;
        /// The MCP client does not support the requested transport.
        ClientTransportUnsupported = "CLIENT_TRANSPORT_UNSUPPORTED", exit Usage;
        /// The URL in --url is malformed, too long, unencrypted or contains a forbidden part.
        ClientUrlInvalid = "CLIENT_URL_INVALID", exit Usage;
        /// The MCP client's URL is unknown, because the host is not loopback or the port is 0.
        ClientUrlNeeded = "CLIENT_URL_NEEDED", exit Usage;
        /// The option --url is given for a transport other than HTTP.
        ClientUrlUnused = "CLIENT_URL_UNUSED", exit Usage;
        /// The command requires a confirmation: no terminal can be read, or --yes is missing.
        ConfirmationRequired = "CONFIRMATION_REQUIRED", exit Usage;
        /// A tool call of the demo was rejected or returned no proposal.
        DemoCallRefused = "DEMO_CALL_REFUSED";
        /// An argument is not a valid name of an environment variable.
        EnvNameInvalid = "ENV_NAME_INVALID", exit Usage;
        /// The value of --expires is less than one minute.
        ExpiresInvalid = "EXPIRES_INVALID", exit Usage;
        /// The value of --expires exceeds the maximum validity of the signature.
        ExpiresTooLong = "EXPIRES_TOO_LONG", exit Usage;
        /// A flag that requires HTTP was passed with the stdio transport.
        FlagNeedsHttp = "FLAG_NEEDS_HTTP", exit Usage;
        /// An option or argument of the command contains a URL that it does not accept.
        InlineUrlRefused = "INLINE_URL_REFUSED", exit Usage;
        /// The input cannot be read, is too large or is not a single JSON object.
        InputInvalid = "INPUT_INVALID", exit Usage;
        /// No argument can name one value of the key or tenant column exactly.
        KeyTypeUnfit = "KEY_TYPE_UNFIT", exit Usage;
        /// The command needs arguments for the tool, or --sample.
        InputRequired = "INPUT_REQUIRED", exit Usage;
        /// The init command names no table, file or recipe, and has no terminal for the wizard.
        InitInputRequired = "INIT_INPUT_REQUIRED", exit Usage;
        /// The file of --inspection-json is not a valid schema catalog.
        InspectionInvalid = "INSPECTION_INVALID", exit Usage;
        /// The command was interrupted before a response arrived.
        Interrupted = "INTERRUPTED";
        /// Outside the dev environment, --yes was passed with latest in place of a proposal id.
        LatestRefused = "LATEST_REFUSED", exit Usage;
        /// An option that is only for commands without prompts needs --non-interactive.
        NonInteractiveRequired = "NON_INTERACTIVE_REQUIRED", exit Usage;
        /// The init command does not support the mode, option or answer.
        NotAvailable = "NOT_AVAILABLE", exit Usage;
        /// The operator did not confirm the signature or the file change.
        NotConfirmed = "NOT_CONFIRMED";
        /// The value of --object does not have the form TYPE:ID.
        ObjectInvalid = "OBJECT_INVALID", exit Usage;
        /// An option got an empty value.
        OptionEmpty = "OPTION_EMPTY", exit Usage;
        /// The command does not use a service address or certificate option that was passed.
        OptionUnused = "OPTION_UNUSED", exit Usage;
        /// The result cannot be serialized as JSON or written to stdout.
        OutputFailed = "OUTPUT_FAILED";
        /// The value of --output is not a file path.
        OutputInvalid = "OUTPUT_INVALID", exit Usage;
        /// A --patch rule does not have the form COLUMN=fixed:VALUE or COLUMN=arg:NAME.
        PatchInvalid = "PATCH_INVALID", exit Usage, safe PolicyViolation;
        /// The command has the address of a remote ledger, but no address of a reader.
        ReaderRequired = "READER_REQUIRED", exit Usage;
        /// The table names another schema than the schema option or the file.
        SchemaMismatch = "SCHEMA_MISMATCH", exit Usage;
        /// The source of the proposal does not match the source in --source.
        SourceMismatch = "SOURCE_MISMATCH", exit Usage;
        /// The contract has no source, or no single source, that matches the options of the command.
        SourceRequired = "SOURCE_REQUIRED", exit Usage;
        /// The contract has no source with this name and with writeback.
        SourceUnknown = "SOURCE_UNKNOWN", exit Usage;
        /// The database to inspect is not that of the contract's source.
        SourceVariableMismatch = "SOURCE_VARIABLE_MISMATCH", exit Usage;
        /// A new source names a variable that another source of the contract uses.
        SourceVariableTaken = "SOURCE_VARIABLE_TAKEN", exit Usage;
        /// The command names no tenant column, and the inspected table suggests none.
        TenantRequired = "TENANT_REQUIRED", exit Usage;
        /// The command must ask on a terminal, but none is attached.
        TerminalRequired = "TERMINAL_REQUIRED", exit Usage;
        /// The value of --auth-token-env is not a valid environment variable name.
        TokenEnvInvalid = "TOKEN_ENV_INVALID", exit Usage;
        /// Warning: the client refuses tool names with dots, which the server lists.
        ToolNameDots = "TOOL_NAME_DOTS", exit Usage;
        /// The command has both --serve and --transport stdio, which exclude each other.
        UpServesHttp = "UP_SERVES_HTTP", exit Usage;
        /// An address of --writer does not have the form host:port.
        WriterAddressInvalid = "WRITER_ADDRESS_INVALID", exit Usage;
    }
    Configuration {
        /// The onboarding selection is not JSON, or has a missing, unknown or invalid key.
        SelectionInvalid = "SELECTION_INVALID", exit Usage;
        /// A column that the recipe needs has no counterpart in the table.
        RecipeColumnMissing = "RECIPE_COLUMN_MISSING", exit Usage;
        /// Two columns of the recipe, one of which a proposal sets, have the same counterpart in the table.
        RecipeColumnTwice = "RECIPE_COLUMN_TWICE", exit Usage;
        /// The recipe has no column with this name.
        RecipeColumnUnknown = "RECIPE_COLUMN_UNKNOWN", exit Usage;
        /// The recipe file is not JSON, or has a missing, unknown or invalid key.
        RecipeInvalid = "RECIPE_INVALID", exit Usage;
        /// There is no recipe with this name.
        RecipeUnknown = "RECIPE_UNKNOWN", exit Usage;
        /// The answers file is not a JSON object, or one of its values has an invalid type.
        AnswersInvalid = "ANSWERS_INVALID", exit Usage;
        /// The answers file has an unknown key.
        AnswersUnknownKey = "ANSWERS_UNKNOWN_KEY", exit Usage;
        /// The patch binds the lookup argument to a column, or one argument to columns that differ.
        ArgumentTwice = "ARGUMENT_TWICE", exit Usage, safe InvalidArgument;
        /// A numeric bound of a column is invalid.
        BoundsInvalid = "BOUNDS_INVALID", exit Usage;
        /// The MCP client's configuration file has a duplicate key.
        ClientFileAmbiguous = "CLIENT_FILE_AMBIGUOUS";
        /// Another process changed the MCP client's configuration file during the edit.
        ClientFileChanged = "CLIENT_FILE_CHANGED";
        /// The MCP client's configuration file is a symbolic link.
        ClientFileIsLink = "CLIENT_FILE_IS_LINK";
        /// The edit of the MCP client's configuration file would change other entries.
        ClientFileNotKept = "CLIENT_FILE_NOT_KEPT";
        /// A part of the MCP client's configuration file has an invalid type.
        ClientFileShape = "CLIENT_FILE_SHAPE";
        /// The MCP client's configuration file is not UTF-8 text or has invalid syntax.
        ClientFileUnparsable = "CLIENT_FILE_UNPARSABLE";
        /// The directory of the MCP client's configuration file cannot be created.
        ClientFolderMissing = "CLIENT_FOLDER_MISSING";
        /// The database computes the column, so the patch cannot set it.
        ColumnGenerated = "COLUMN_GENERATED", exit Usage;
        /// The inspected table has no column with this name.
        ColumnNotFound = "COLUMN_NOT_FOUND", exit Usage;
        /// The contract has validation errors.
        ConfigInvalid = "CONFIG_INVALID";
        /// The contract file does not exist at this path.
        ConfigNotFound = "CONFIG_NOT_FOUND";
        /// The contract of the process has validation errors.
        ContractInvalid = "CONTRACT_INVALID", exit Usage;
        /// Another command holds the lock for changes of the contract file.
        ContractBusy = "CONTRACT_BUSY";
        /// The generated contract has validation errors.
        DraftInvalid = "DRAFT_INVALID", exit Usage;
        /// The chosen engine does not match the engine of the inspection.
        EngineMismatch = "ENGINE_MISMATCH", exit Usage;
        /// The engine is not one that this build supports.
        EngineNotAvailable = "ENGINE_NOT_AVAILABLE", exit Usage;
        /// The environment contains variables that the process must not have.
        EnvironmentForbidden = "ENVIRONMENT_FORBIDDEN", exit Usage;
        /// The env file contains an invalid line, invalid UTF-8 or a variable without effect.
        EnvFileInvalid = "ENV_FILE_INVALID", exit Usage;
        /// The env file does not exist.
        EnvFileNotFound = "ENV_FILE_NOT_FOUND", exit Usage;
        /// The env file is accessible by other users or belongs to another user.
        EnvFileOpen = "ENV_FILE_OPEN", exit Usage;
        /// The env file exceeds the maximum size.
        EnvFileTooLarge = "ENV_FILE_TOO_LARGE", exit Usage;
        /// The env file is not a regular file, is writable by others or cannot be read.
        EnvFileUnreadable = "ENV_FILE_UNREADABLE", exit Usage;
        /// A required environment variable is not set.
        EnvMissing = "ENV_MISSING", exit Usage;
        /// The environment of the gateway contains a database URL.
        GatewayHoldsDatabaseUrl = "GATEWAY_HOLDS_DATABASE_URL", exit Usage;
        /// The listen address is a wildcard address, and no allowed host is set.
        HttpAllowedHostMissing = "HTTP_ALLOWED_HOST_MISSING", exit Usage;
        /// The listen address is not a loopback address, and authentication is disabled.
        HttpDevNoAuthUnsafeHost = "HTTP_DEV_NO_AUTH_UNSAFE_HOST", exit Usage;
        /// The listen address is not a loopback address, and --allow-remote is not set.
        HttpRemoteNotAllowed = "HTTP_REMOTE_NOT_ALLOWED", exit Usage;
        /// The writer changes only ordinary tables, and the table is partitioned, inherited, unlogged or the like.
        TableNotWritable = "TABLE_NOT_WRITABLE", exit Usage;
        /// The patch sets a column to which no value can be written unchanged.
        ColumnNotWritable = "COLUMN_NOT_WRITABLE", exit Usage, safe ColumnNotWritable;
        /// The command names no key column, and the inspection found no key.
        PrimaryKeyRequired = "PRIMARY_KEY_REQUIRED", exit Usage;
        /// The command names no schema, and neither an inspection nor a default provides one.
        SchemaRequired = "SCHEMA_REQUIRED", exit Usage;
        /// The value of a setting is invalid or is not UTF-8 text.
        SettingInvalid = "SETTING_INVALID", exit Usage, safe TemporarilyUnavailable;
        /// A required setting has no flag, environment variable or default.
        SettingMissing = "SETTING_MISSING", exit Usage;
        /// The list of allowed state transitions of a column is invalid.
        StatesInvalid = "STATES_INVALID", exit Usage;
        /// The store path is not UTF-8 text, is not a file path or cannot be made absolute.
        StorePathInvalid = "STORE_PATH_INVALID", exit Usage;
        /// More than one schema has a table with this name, and the command names no schema.
        TableAmbiguous = "TABLE_AMBIGUOUS", exit Usage;
        /// The chosen table is a view, which a proposal cannot change.
        TableIsView = "TABLE_IS_VIEW", exit Usage;
        /// The read credential has access to no table with this name.
        TableNotFound = "TABLE_NOT_FOUND", exit Usage;
        /// The command names no table.
        TableRequired = "TABLE_REQUIRED", exit Usage;
        /// The trusted tenant or principal is missing or invalid.
        TrustedBindingMissing = "TRUSTED_BINDING_MISSING", safe InvalidArgument;
        /// The contract does not define the trusted context of the capability.
        TrustedContextMissing = "TRUSTED_CONTEXT_MISSING", safe InvalidArgument;
        /// A schema, table, column or account name is invalid in generated SQL.
        UnsafeIdentifier = "UNSAFE_IDENTIFIER";
        /// No source of the contract has a write URL in the environment.
        WriteUrlMissing = "WRITE_URL_MISSING", exit Usage;
    }
    Files {
        /// A file already exists at this path.
        FileExists = "FILE_EXISTS";
        /// The file does not exist.
        FileNotFound = "FILE_NOT_FOUND";
        /// The file is accessible by other users.
        FileNotPrivate = "FILE_NOT_PRIVATE";
        /// The file is text in another encoding than UTF-8.
        FileNotUtf8 = "FILE_NOT_UTF8";
        /// The operating system denied access to the file.
        FilePermissionDenied = "FILE_PERMISSION_DENIED";
        /// The file exceeds the maximum size.
        FileTooLarge = "FILE_TOO_LARGE";
        /// Another user can modify or replace the file.
        FileUnguarded = "FILE_UNGUARDED";
        /// The operating system reported an error for the file that has no other code.
        FileUnusable = "FILE_UNUSABLE";
        /// The path is not of the expected kind, such as a regular file or a directory.
        FileWrongKind = "FILE_WRONG_KIND";
        /// The file belongs to another user.
        FileWrongOwner = "FILE_WRONG_OWNER";
        /// The sample database cannot be created.
        SampleNotMade = "SAMPLE_NOT_MADE";
        /// The file in which the writer records the paths of SQLite sources is malformed.
        SourceFilesUnreadable = "SOURCE_FILES_UNREADABLE", exit Usage;
        /// The state directory is locked by another process.
        StateLocked = "STATE_LOCKED";
        /// The state directory or a part of it cannot be created or replaced.
        StateNotCreated = "STATE_NOT_CREATED";
        /// No state directory with a trust file exists at this path.
        StateNotFound = "STATE_NOT_FOUND";
        /// The process cannot write a file in the state directory.
        StateNotWritable = "STATE_NOT_WRITABLE";
        /// The parent directory of the state directory does not exist.
        StateParentMissing = "STATE_PARENT_MISSING";
        /// A file of the writer about freezes or rejections is unreadable or malformed.
        SwitchesUnreadable = "SWITCHES_UNREADABLE";
    }
    Tls {
        /// The connection to running services has no complete client certificate.
        CertificateMissing = "CERTIFICATE_MISSING", exit Usage;
        /// The directory for a new certificate would be shared between a gateway and another process.
        CertificateDirectoryShared = "CERTIFICATE_DIRECTORY_SHARED", exit Usage;
        /// The name for the new certificate is invalid.
        CertificateNameInvalid = "CERTIFICATE_NAME_INVALID", exit Usage;
        /// Both --tls-server-cert and --tls-terminated are set.
        HttpTlsAmbiguous = "HTTP_TLS_AMBIGUOUS", exit Usage;
        /// The certificate or key of the HTTP server is invalid, or the two do not match.
        HttpTlsFilesInvalid = "HTTP_TLS_FILES_INVALID", exit Usage;
        /// Only one of --tls-server-cert and --tls-server-key is set.
        HttpTlsIncomplete = "HTTP_TLS_INCOMPLETE", exit Usage;
        /// The listen address is not a loopback address, and TLS is not configured.
        HttpTlsRequired = "HTTP_TLS_REQUIRED", exit Usage;
        /// The client certificate is missing or invalid.
        IdentityMissing = "IDENTITY_MISSING";
        /// The role of the client certificate does not permit this call.
        IdentityNotAllowed = "IDENTITY_NOT_ALLOWED", exit Refused, rpc PermissionDenied;
        /// The client certificate belongs to another deployment.
        PeerDeploymentRefused = "PEER_DEPLOYMENT_REFUSED";
        /// The certificate does not contain a valid identity of a process.
        PeerIdentityInvalid = "PEER_IDENTITY_INVALID", exit Usage;
        /// The server does not accept this client certificate.
        PeerNotListed = "PEER_NOT_LISTED";
        /// The caller is of another release than the server.
        PeerReleaseDiffers = "PEER_RELEASE_DIFFERS";
        /// The role of the client certificate may not call the service.
        PeerRoleRefused = "PEER_ROLE_REFUSED";
        /// The certificate has ended, by the clock of this machine.
        TlsCertificateExpired = "TLS_CERTIFICATE_EXPIRED";
        /// The configured CA did not issue the certificate, or not for this use.
        TlsCertificateForeign = "TLS_CERTIFICATE_FOREIGN";
        /// The certificate is not valid yet, by the clock of this machine.
        TlsCertificateNotYetValid = "TLS_CERTIFICATE_NOT_YET_VALID";
        /// The server rejected the certificate of the client in the TLS handshake.
        TlsCertificateRejected = "TLS_CERTIFICATE_REJECTED", exit Unreachable;
        /// The role or deployment in the certificate does not match the process that uses it.
        TlsCertificateWrongRole = "TLS_CERTIFICATE_WRONG_ROLE", exit Usage;
        /// A TLS file does not contain PEM of the expected kind.
        TlsFileInvalid = "TLS_FILE_INVALID";
        /// The process cannot read a CA, certificate or key file.
        TlsFileUnreadable = "TLS_FILE_UNREADABLE";
        /// The certificate has no valid deployment, role and name in its URI name.
        TlsIdentityInvalid = "TLS_IDENTITY_INVALID";
        /// The private key does not match the certificate.
        TlsKeyMismatch = "TLS_KEY_MISMATCH";
        /// Other users have access to the private key file.
        TlsKeyOpen = "TLS_KEY_OPEN";
        /// The TLS library rejects the certificates or settings.
        TlsUnusable = "TLS_UNUSABLE";
    }
    Tokens {
        /// The verification of the caller's access token failed.
        AccessTokenRefused = "ACCESS_TOKEN_REFUSED";
        /// The contract takes tenant and principal from an access token, and the call has none.
        AccessTokenRequired = "ACCESS_TOKEN_REQUIRED";
        /// The token claim for tenant or principal is not a string, empty, too long or has control characters.
        AccessTokenUnbound = "ACCESS_TOKEN_UNBOUND", safe InvalidArgument;
        /// The HTTP request has no bearer token, more than one, or one that is not a configured token.
        BearerTokenRefused = "BEARER_TOKEN_REFUSED";
        /// The contract requires access tokens, but another authentication method is set.
        HttpAccessTokensRequired = "HTTP_ACCESS_TOKENS_REQUIRED", exit Usage;
        /// The --access-tokens flag is set, but the reader's contract has no access-token policy.
        HttpAccessTokensUnused = "HTTP_ACCESS_TOKENS_UNUSED", exit Usage;
        /// The HTTP transport requires a bearer token, and no bearer token is set.
        HttpAuthTokenMissing = "HTTP_AUTH_TOKEN_MISSING", exit Usage;
        /// The bearer token is shorter than 16 characters, or contains other characters than visible ASCII.
        HttpAuthTokenInvalid = "HTTP_AUTH_TOKEN_INVALID", exit Usage;
        /// The tokens file contains an invalid line, name or token.
        HttpTokensFileInvalid = "HTTP_TOKENS_FILE_INVALID", exit Usage;
        /// The principal claim that the contract names is missing from the access token.
        PrincipalClaimMissing = "PRINCIPAL_CLAIM_MISSING", safe InvalidArgument;
        /// The access token lacks the scope that the tool call requires.
        ScopeInsufficient = "SCOPE_INSUFFICIENT";
        /// Both the environment variable of the secret and its _FILE variable are set.
        SecretAmbiguous = "SECRET_AMBIGUOUS", exit Usage, safe TemporarilyUnavailable;
        /// The file of the secret is accessible by other users.
        SecretFileOpen = "SECRET_FILE_OPEN", exit Usage, safe TemporarilyUnavailable;
        /// The file of the secret is missing, too large or unreadable.
        SecretFileUnreadable = "SECRET_FILE_UNREADABLE", exit Usage, safe TemporarilyUnavailable;
        /// The record or text contains or names a secret, such as a token or private key.
        SecretMaterialRejected = "SECRET_MATERIAL_REJECTED", exit Usage, rpc InvalidArgument, safe PolicyViolation;
        /// Neither the environment variable of the secret nor its _FILE variable is set.
        SecretMissing = "SECRET_MISSING", exit Usage, safe TemporarilyUnavailable;
        /// The secret is empty or is not UTF-8 text.
        SecretNotText = "SECRET_NOT_TEXT", exit Usage, safe TemporarilyUnavailable;
        /// The tenant claim that the contract names is missing from the access token.
        TenantClaimMissing = "TENANT_CLAIM_MISSING", safe InvalidArgument;
        /// The context ticket is invalid or expired, or does not cover the proposal's principal.
        TicketRefused = "TICKET_REFUSED";
        /// The contract has more contexts or columns than one context ticket can hold.
        TicketUnfit = "TICKET_UNFIT";
        /// The gateway requested token keys from a reader whose contract uses no access tokens.
        TokensNotUsed = "TOKENS_NOT_USED";
        /// The `jwks_url` is invalid, no key source is set, or the contract uses no access tokens.
        TokenKeysOrigin = "TOKEN_KEYS_ORIGIN", exit Usage;
        /// The reader has no current token keys, because it cannot fetch them from the issuer.
        TokenKeysUnavailable = "TOKEN_KEYS_UNAVAILABLE", safe TemporarilyUnavailable;
        /// The token key set is unreadable or invalid, or contains no usable key.
        TokenKeysUnreadable = "TOKEN_KEYS_UNREADABLE", exit Usage, safe TemporarilyUnavailable;
    }
    Service {
        /// The address of a process is not host:port, or its role serves no connections.
        AddressInvalid = "ADDRESS_INVALID", exit Usage;
        /// Another process already listens on the address.
        AddressInUse = "ADDRESS_IN_USE";
        /// A required background task of the process has ended.
        BackgroundTaskEnded = "BACKGROUND_TASK_ENDED";
        /// A binary of the product is missing from the directory of synapsor-runner, or that directory is unknown.
        BinaryMissing = "BINARY_MISSING";
        /// The process cannot listen on the address.
        CannotListen = "CANNOT_LISTEN";
        /// The transport rejected the settings of the connection.
        ChannelUnusable = "CHANNEL_UNUSABLE";
        /// A process that the command started has ended without a coded error.
        ChildEnded = "CHILD_ENDED";
        /// A signal ended a process that the command started.
        ChildKilled = "CHILD_KILLED";
        /// The command cannot read the exit status of a process that it started.
        ChildLost = "CHILD_LOST";
        /// A process that the command started has published no listen address.
        ChildNotListening = "CHILD_NOT_LISTENING";
        /// A process that the command started did not become ready in time.
        ChildNotReady = "CHILD_NOT_READY", exit Unreachable;
        /// The command cannot start or run another binary of the product.
        ChildNotStarted = "CHILD_NOT_STARTED";
        /// The kernel rejected the sandbox of the process.
        ConfinementFailed = "CONFINEMENT_FAILED";
        /// The server did not respond in time.
        DeadlineExceeded = "DEADLINE_EXCEEDED", exit Unreachable;
        /// The reader or the gateway has too many calls in progress.
        ExecutorBusy = "EXECUTOR_BUSY", safe TemporarilyUnavailable;
        /// The reader is unreachable or did not respond in time.
        ExecutorUnavailable = "EXECUTOR_UNAVAILABLE", safe TemporarilyUnavailable;
        /// The operating system rejected the hardening of the process.
        HardeningRefused = "HARDENING_REFUSED";
        /// The call failed with an internal error, and only the operator can read the reason.
        Internal = "INTERNAL", rpc Internal;
        /// The ledger sent a response with a missing or invalid field.
        LedgerAnswerMalformed = "LEDGER_ANSWER_MALFORMED", exit Tampered;
        /// The local ledger did not respond within the time limit for its start.
        LedgerNotReady = "LEDGER_NOT_READY", exit Unreachable;
        /// The ledger is unreachable, or its response failed verification.
        LedgerUnavailable = "LEDGER_UNAVAILABLE", safe TemporarilyUnavailable;
        /// The operating system rejected the request to end the process with its parent.
        LifelineRefused = "LIFELINE_REFUSED";
        /// The process started its logging twice.
        LoggingStartedTwice = "LOGGING_STARTED_TWICE";
        /// A field of a message between processes is missing or invalid.
        Malformed = "MALFORMED", rpc InvalidArgument;
        /// The server is reachable, but the call of its health service failed.
        NotServing = "NOT_SERVING", exit Unreachable;
        /// No writer is running and none can be started, or its address is not set.
        NoWriter = "NO_WRITER", exit Unreachable;
        /// The findings that the executor printed are missing or malformed.
        PreflightAnswerMalformed = "PROBE_ANSWER_MALFORMED", exit Tampered;
        /// The inspection or the findings in the response of the reader are missing or malformed.
        ReaderAnswerMalformed = "READER_ANSWER_MALFORMED", exit Tampered;
        /// The process cannot start its worker threads.
        RuntimeUnavailable = "RUNTIME_UNAVAILABLE";
        /// The transport of the gRPC server failed.
        ServerFailed = "SERVER_FAILED";
        /// The server at this address does not implement the called RPC.
        ServiceNotServed = "SERVICE_NOT_SERVED";
        /// The access table of the server does not contain the called service.
        ServiceUnknown = "SERVICE_UNKNOWN";
        /// The process cannot install its handlers of SIGTERM and SIGINT.
        SignalsUnavailable = "SIGNALS_UNAVAILABLE";
        /// Another writer uses the state directory.
        StateDirInUse = "STATE_DIR_IN_USE", exit Usage;
        /// The message exceeds the size limit, or the server has reached its request limit.
        TooLargeOrBusy = "TOO_LARGE_OR_BUSY";
        /// The called server is unreachable, or the connection broke.
        Unreachable = "UNREACHABLE", exit Unreachable;
        /// The writeback task of the writer ended unexpectedly.
        WorkerEnded = "WORKER_ENDED";
        /// The response of the writer is invalid or incomplete.
        WriterAnswerMalformed = "WRITER_ANSWER_MALFORMED", exit Tampered;
        /// The command found no freeze, and at least one writer is unreachable.
        WriterUnreachable = "WRITER_UNREACHABLE", exit Unreachable;
    }
    LedgerStore {
        /// The store already contains a record with this id.
        AlreadyRecorded = "ALREADY_RECORDED", rpc AlreadyExists;
        /// The wall clock of the ledger was set forward or back, so the ledger records no expiry.
        ClockStepped = "CLOCK_STEPPED";
        /// Another request already used this request id.
        RequestIdReused = "REQUEST_ID_REUSED";
        /// The request queue of the store is full.
        StoreBusy = "STORE_BUSY", rpc ResourceExhausted, safe TemporarilyUnavailable;
        /// The backup ends before its last item.
        BackupCut = "BACKUP_CUT";
        /// The backup is of another deployment.
        BackupOtherLog = "BACKUP_OTHER_LOG";
        /// Another backup of this ledger is running.
        BackupRunning = "BACKUP_RUNNING", rpc ResourceExhausted;
        /// The receiver of the backup took no data for too long.
        BackupStalled = "BACKUP_STALLED", rpc Unavailable;
        /// The backup was changed after the ledger sent it.
        BackupTampered = "BACKUP_TAMPERED", exit Tampered;
        /// The file is not a backup, or has a format of a newer version.
        BackupUnreadable = "BACKUP_UNREADABLE", exit Usage;
        /// A pinned checkpoint has seen events that the backup lacks.
        RestoreLosesEvents = "RESTORE_LOSES_EVENTS", exit RolledBack;
        /// The record was erased by order of an operator; its place in the log stays.
        RecordErased = "RECORD_ERASED";
        /// The store to restore exists already.
        StoreExists = "STORE_EXISTS";
        /// The store is closed, because its writing thread has ended.
        StoreClosed = "STORE_CLOSED", rpc Unavailable;
        /// The database driver of the store reported an error that has no other code.
        StoreFailed = "STORE_FAILED", rpc Unavailable;
        /// The store file is a database, but not a store of a ledger.
        StoreForeign = "STORE_FOREIGN";
        /// The disk of the store is full, or was full when the ledger started.
        StoreFull = "STORE_FULL", rpc Unavailable;
        /// The store is locked by another process.
        StoreLocked = "STORE_LOCKED", rpc Unavailable;
        /// The version of the store is newer than the newest version that this build supports.
        StoreNewer = "STORE_NEWER";
        /// The store file does not exist.
        StoreNotFound = "STORE_NOT_FOUND";
        /// The store belongs to the log of another deployment or ledger key.
        StoreOtherLog = "STORE_OTHER_LOG";
        /// The store file or its directory is not writable.
        StoreReadOnly = "STORE_READ_ONLY", rpc Unavailable;
        /// The command cannot remove a file of the store or of its pinned checkpoints.
        StoreResetIncomplete = "STORE_RESET_INCOMPLETE";
        /// The environment of the deployment is not dev, so that the command does not reset the store.
        StoreResetRefused = "STORE_RESET_REFUSED";
        /// The store is damaged, or a stored record does not match the record that was written.
        StoreTampered = "STORE_TAMPERED", exit Tampered, rpc DataLoss;
        /// The store file was removed or replaced while the ledger was running.
        StoreVanished = "STORE_VANISHED", exit Unreachable, rpc Unavailable;
        /// The gateway has reached its maximum number of open watches.
        WatchesExceeded = "WATCHES_EXCEEDED", rpc ResourceExhausted;
        /// The event from which the watch resumes is too old or does not exist.
        WatchOutOfRange = "WATCH_OUT_OF_RANGE", rpc OutOfRange;
    }
    Webhooks {
        /// The webhook did not answer an operator's command in time, because deliveries are slow.
        WebhookBusy = "WEBHOOK_BUSY", exit Unreachable, rpc Unavailable;
        /// The webhook has no dead letter of this event.
        WebhookDeadLetterNotFound = "WEBHOOK_DEAD_LETTER_NOT_FOUND", rpc NotFound;
        /// The receiver did not answer with a status from 200 to 299.
        WebhookDeliveryFailed = "WEBHOOK_DELIVERY_FAILED", exit Unreachable;
        /// An event of the log is not readable, so that the webhook cannot continue.
        WebhookEventUnreadable = "WEBHOOK_EVENT_UNREADABLE", exit Tampered;
        /// The file with the webhooks, or a file that it names, is invalid.
        WebhookFileInvalid = "WEBHOOK_FILE_INVALID", exit Usage;
        /// The ledger has no webhook of this name.
        WebhookNotFound = "WEBHOOK_NOT_FOUND", rpc NotFound;
        /// The webhook has not reached this position, so that delivery from there would skip events.
        WebhookPositionInvalid = "WEBHOOK_POSITION_INVALID", rpc OutOfRange;
        /// A secret of a webhook does not have the form `whsec_...`.
        WebhookSecretInvalid = "WEBHOOK_SECRET_INVALID", exit Usage;
        /// The URL of a receiver is one that must not be contacted.
        WebhookUrlForbidden = "WEBHOOK_URL_FORBIDDEN", exit Usage;
    }
    Proposals {
        /// More than one proposal id starts with this prefix.
        AmbiguousProposal = "AMBIGUOUS_PROPOSAL", rpc InvalidArgument;
        /// The reader did not read the version column of the row.
        ConflictGuardMissing = "CONFLICT_GUARD_MISSING", safe PolicyViolation;
        /// The version column of the row is null.
        ConflictGuardNull = "CONFLICT_GUARD_NULL", safe PolicyViolation;
        /// The version column cannot store the next number.
        ConflictGuardOverflow = "CONFLICT_GUARD_OVERFLOW", safe PolicyViolation;
        /// The column cannot be a version column, or the writer cannot advance it.
        ConflictGuardUnfit = "CONFLICT_GUARD_UNFIT", safe PolicyViolation;
        /// The lease is expired, superseded or held by another writer.
        LeaseNotHeld = "LEASE_NOT_HELD", rpc PermissionDenied;
        /// A newer lease stream of the same certificate replaced this lease stream.
        LeaseSuperseded = "LEASE_SUPERSEDED";
        /// The number of open proposals of the tenant and principal is at the maximum.
        OpenProposalsExceeded = "OPEN_PROPOSALS_EXCEEDED", rpc ResourceExhausted, safe PolicyViolation;
        /// The writer cannot change this table or column, or the key is not unique.
        PlanImpossible = "PLAN_IMPOSSIBLE", safe PolicyViolation;
        /// The reader or the contract is read-only, so that the reader accepts no proposal.
        ProposalsDisabled = "PROPOSALS_DISABLED", safe ApprovalRequired;
        /// The proposal has ended, so that the requested step is not possible.
        ProposalEnded = "PROPOSAL_ENDED", exit Refused;
        /// A field of the job file differs from the signed proposal.
        JobDiffers = "JOB_DIFFERS", exit Refused;
        /// A human action that the ledger returned is not in the log or fails verification.
        HumanActionNotGenuine = "HUMAN_ACTION_NOT_GENUINE", exit Tampered;
        /// The human action cannot be signed.
        HumanActionUnsignable = "HUMAN_ACTION_UNSIGNABLE";
        /// The job file has a missing, unknown or invalid field.
        JobInvalid = "JOB_INVALID";
        /// The proposal is not a shadow proposal, so that no human action can be recorded with it.
        NotShadowProposal = "NOT_SHADOW_PROPOSAL", exit Refused;
        /// The proposal that the ledger returned does not match the requested reference.
        ProposalForeign = "PROPOSAL_FOREIGN", exit Tampered;
        /// A proposal with this id already exists, and the ledger does not replace it.
        ProposalImmutabilityViolation = "PROPOSAL_IMMUTABILITY_VIOLATION";
        /// The given proposal reference has an invalid length or an invalid character.
        ProposalNameInvalid = "PROPOSAL_NAME_INVALID", exit Usage;
        /// The proposal has too few valid approvals, or has ended without being applied.
        ProposalNotApproved = "PROPOSAL_NOT_APPROVED", exit Refused;
        /// No proposal has this id.
        ProposalNotFound = "PROPOSAL_NOT_FOUND", rpc NotFound;
        /// No writer holds a lease of the proposal.
        ProposalNotLeased = "PROPOSAL_NOT_LEASED";
        /// The proposal has ended, so that an operator cannot approve it.
        ProposalNotPendingReview = "PROPOSAL_NOT_PENDING_REVIEW", exit Refused;
        /// The proposal has ended, so that an operator cannot reject it.
        ProposalNotRejectable = "PROPOSAL_NOT_REJECTABLE", exit Refused;
        /// The proposal exceeds the maximum size.
        ProposalTooLarge = "PROPOSAL_TOO_LARGE", safe PolicyViolation;
        /// The proposal is a shadow proposal, which operators cannot approve, reject or apply.
        ShadowWritebackDisabled = "SHADOW_WRITEBACK_DISABLED";
        /// A side-effect acknowledgement in the contract matches no code of the table.
        SideEffectAckStale = "SIDE_EFFECT_ACK_STALE", safe PolicyViolation;
        /// The table has code that no contract can acknowledge.
        SideEffectNotAcknowledgeable = "SIDE_EFFECT_NOT_ACKNOWLEDGEABLE", safe PolicyViolation;
        /// The contract has no acknowledgement that matches the code of the table.
        SideEffectNotAcknowledged = "SIDE_EFFECT_NOT_ACKNOWLEDGED", safe PolicyViolation;
        /// The ledger reports an open state for a proposal that has a receipt.
        StateNotBelieved = "STATE_NOT_BELIEVED", exit Tampered;
        /// Without a version column, the guard includes a column that cannot be compared exactly.
        WeakGuardInexactColumn = "WEAK_GUARD_INEXACT_COLUMN", safe PolicyViolation;
        /// The context ticket does not permit the withdrawal of proposals.
        WithdrawalNotAllowed = "WITHDRAWAL_NOT_ALLOWED";
        /// The job file has expired.
        WritebackLeaseExpired = "WRITEBACK_LEASE_EXPIRED", exit Refused;
        /// The writer has started an attempt, so that the ledger cannot end the proposal.
        WritebackStarted = "WRITEBACK_STARTED", exit Refused;
    }
    Evidence {
        /// More than one audit record id starts with this prefix.
        AmbiguousAuditRecord = "AMBIGUOUS_AUDIT_RECORD";
        /// The audit record that the ledger returned is not the requested one.
        AuditRecordForeign = "AUDIT_RECORD_FOREIGN", exit Tampered;
        /// No audit record has this id or position.
        AuditRecordNotFound = "AUDIT_RECORD_NOT_FOUND", rpc NotFound;
        /// The audit record is not in the signed log, or is malformed.
        AuditRecordNotGenuine = "AUDIT_RECORD_NOT_GENUINE", exit Tampered;
        /// More than one evidence id starts with this prefix.
        AmbiguousEvidence = "AMBIGUOUS_EVIDENCE";
        /// The id of the evidence that the ledger returned does not match the requested id.
        EvidenceForeign = "EVIDENCE_FOREIGN", exit Tampered;
        /// No evidence has this id.
        EvidenceNotFound = "EVIDENCE_NOT_FOUND", rpc NotFound;
        /// The evidence has no valid signature by a reader key of the trust file.
        EvidenceNotGenuine = "EVIDENCE_NOT_GENUINE", exit Tampered;
    }
    Receipts {
        /// More than one reported receipt matches this proposal id prefix.
        AmbiguousReceipt = "AMBIGUOUS_RECEIPT", exit Usage;
        /// The attempt report of the writer belongs to another proposal.
        AttemptForeign = "ATTEMPT_FOREIGN", exit Tampered;
        /// The writer's file of receipts with changed rows is malformed.
        ChangedRowsUnreadable = "CHANGED_ROWS_UNREADABLE", exit Usage;
        /// No receipt is missing in the source.
        NothingLost = "NOTHING_LOST";
        /// The orders about the requested receipts exceed the maximum size of one response.
        OrdersTooLarge = "ORDERS_TOO_LARGE";
        /// The writer cannot read the receipts in the source database.
        ReceiptsUnchecked = "RECEIPTS_UNCHECKED", exit Unreachable;
        /// The source database has receipts of the writer key that are missing from the log.
        ReceiptsUnreported = "RECEIPTS_UNREPORTED", exit Refused;
        /// The ledger already has a different receipt of this proposal.
        ReceiptDiffers = "RECEIPT_DIFFERS", rpc AlreadyExists;
        /// The receipt belongs to another proposal, or does not match the report of the writer.
        ReceiptForeign = "RECEIPT_FOREIGN", exit Tampered;
        /// The state of the proposal requires a receipt, and the ledger returned none.
        ReceiptMissing = "RECEIPT_MISSING", exit ReceiptMissing;
        /// The ledger has no receipt of this proposal.
        ReceiptNotFound = "RECEIPT_NOT_FOUND", rpc NotFound;
        /// The receipt has no valid signature of a writer key that the trust file accepts.
        ReceiptNotGenuine = "RECEIPT_NOT_GENUINE", exit Tampered;
        /// The receipt is present in the source database, or an operator already gave it up.
        ReceiptNotLost = "RECEIPT_NOT_LOST", exit Refused;
        /// The ledger has no reported receipt of this proposal that an operator can adopt.
        ReceiptNotReported = "RECEIPT_NOT_REPORTED";
        /// An earlier archive order has a later cut than this archive order.
        RefusedArchiveCut = "refused:archive_cut", exit Refused;
        /// The source database lacks a receipt that the writer committed there.
        RefusedEffectLost = "refused:effect_lost", exit Refused;
        /// A writer signed the receipt in the source database for another database.
        RefusedReceiptIdentity = "refused:receipt_identity", exit Refused;
        /// The receipt or finding is not genuine, or does not match the proposal.
        RefusedReceiptIntegrity = "refused:receipt_integrity", exit Refused;
        /// The ledger has no receipt or report that matches a receipt in the order.
        RefusedReceiptUnknown = "refused:receipt_unknown", exit Refused;
        /// A retired writer key signed the receipt, and the log does not prove when.
        RefusedReceiptUnproven = "refused:receipt_unproven", exit Refused;
    }
    Signatures {
        /// The value of --actor does not match the owner of the signing key in the trust file.
        ActorMismatch = "ACTOR_MISMATCH", exit Usage;
        /// Attempts of the writer are still open, so the writer key cannot be retired.
        AttemptsOpen = "ATTEMPTS_OPEN", exit Refused;
        /// The attempt report has no valid signature of a writer key that the trust file accepts.
        AttemptNotGenuine = "ATTEMPT_NOT_GENUINE", exit Tampered;
        /// The short code does not match the proposal.
        CodeMismatch = "CODE_MISMATCH", exit Refused;
        /// The option --yes is given without the required short code of the proposal.
        CodeRequired = "CODE_REQUIRED", exit Usage;
        /// The writer's confirmation belongs to another freeze or unfreeze.
        ConfirmationForeign = "CONFIRMATION_FOREIGN";
        /// The response of the writer has no signed confirmation.
        ConfirmationMissing = "CONFIRMATION_MISSING";
        /// A decision in the log cannot be decoded.
        DecisionMalformed = "DECISION_MALFORMED", exit Tampered;
        /// The operator's decision cannot be signed.
        DecisionUnsignable = "DECISION_UNSIGNABLE", exit Refused;
        /// The operator entry for the trust file is not JSON.
        EntryInvalid = "ENTRY_INVALID";
        /// The operator entry cannot be read from standard input.
        EntryUnreadable = "ENTRY_UNREADABLE";
        /// The directory of the operator keys cannot be listed.
        KeysUnreadable = "KEYS_UNREADABLE";
        /// The running ledger or writer still signs with the key that the operator retires.
        KeyInUse = "KEY_IN_USE", exit Refused;
        /// The key is already retired.
        KeyRetired = "KEY_RETIRED";
        /// The trust file contains no key with this id and role.
        KeyUnknown = "KEY_UNKNOWN", exit Refused;
        /// The operator key has no passphrase, and the environment is not dev.
        KeyUnprotected = "KEY_UNPROTECTED", exit Refused;
        /// The key file contains no valid key, or a passphrase protects the ledger's key.
        KeyUnusable = "KEY_UNUSABLE";
        /// No freeze of writeback is in force.
        NotFrozen = "NOT_FROZEN", exit Refused;
        /// The order cannot be encoded in canonical form for its signature.
        OrderUnsignable = "ORDER_UNSIGNABLE", exit Refused;
        /// The new passphrase is too short, or its repetition does not match.
        PassphraseRefused = "PASSPHRASE_REFUSED", exit Usage;
        /// The passphrase does not match the key file.
        PassphraseWrong = "PASSPHRASE_WRONG", exit Refused;
        /// The proposal has no valid signature by a reader key, or its deployment or environment does not match.
        ProposalNotAttested = "PROPOSAL_NOT_ATTESTED", exit Tampered;
        /// The state directory contains more than one operator key, and the command names none.
        SigningKeyAmbiguous = "SIGNING_KEY_AMBIGUOUS", exit Usage;
        /// The state directory contains no operator key that the command can use.
        SigningKeyMissing = "SIGNING_KEY_MISSING";
        /// The signing key of the reader or writer is missing or retired in the trust file.
        SigningKeyNotTrusted = "SIGNING_KEY_NOT_TRUSTED", exit Usage;
        /// The key file of the process does not contain an Ed25519 private key without passphrase.
        SigningKeyUnusable = "SIGNING_KEY_UNUSABLE", exit Usage;
        /// The freeze or unfreeze cannot be encoded in canonical form for its signature.
        SwitchUnsignable = "SWITCH_UNSIGNABLE", exit Refused;
        /// The trust file is locked by another command.
        TrustFileBusy = "TRUST_FILE_BUSY";
        /// The content of the trust file is invalid.
        TrustFileInvalid = "TRUST_FILE_INVALID";
        /// The trust file does not exist at the given path.
        TrustFileMissing = "TRUST_FILE_MISSING";
        /// Other users can write to the trust file.
        TrustFileOpen = "TRUST_FILE_OPEN";
        /// The trust file exceeds the size limit.
        TrustFileTooLarge = "TRUST_FILE_TOO_LARGE";
        /// The process cannot read the trust file.
        TrustFileUnreadable = "TRUST_FILE_UNREADABLE";
        /// The context ticket of a recorded withdrawal is invalid or does not match the proposal.
        WithdrawalNotGenuine = "WITHDRAWAL_NOT_GENUINE", exit Tampered;
        /// The signing key of the ledger is not in the trust file.
        WrongKey = "WRONG_KEY";
        /// No valid reader key signed the proposal, or its deployment or environment does not match.
        RefusedAttestation = "refused:attestation", exit Refused;
        /// The signed object names another deployment, environment, source or writer.
        RefusedAudience = "refused:audience", exit Refused;
        /// An operator has rejected the proposal.
        RefusedDenied = "refused:denied", exit Refused;
        /// The signed object names another proposal or contract digest.
        RefusedDigest = "refused:digest", exit Refused;
        /// The signed object or the proposal expired, its validity is too long, or no order is in force.
        RefusedExpired = "refused:expired", exit Refused;
        /// The issue time or start time of the signed object is in the future.
        RefusedFuture = "refused:future", exit Refused;
        /// The signing key is unknown, revoked, retired, not yet valid, expired or of another person.
        RefusedKey = "refused:key", exit Refused;
        /// The signed object has an invalid form, version, size or kind.
        RefusedMalformed = "refused:malformed", exit Refused;
        /// The nonce of the signed object is invalid or was used before.
        RefusedNonce = "refused:nonce", exit Refused;
        /// A decision of the apply order is missing or does not match, or the order is missing.
        RefusedOrder = "refused:order", exit Refused;
        /// Fewer distinct persons approved the proposal than the quorum requires.
        RefusedQuorum = "refused:quorum", exit Refused;
        /// The signed document does not match the document that the proposal renders to.
        RefusedRender = "refused:render", exit Refused;
        /// The operator lacks the required role, or the key does not cover the capability and tenant.
        RefusedRole = "refused:role", exit Refused;
        /// The signature of the signed object is invalid, or its content cannot be decoded.
        RefusedSignature = "refused:signature", exit Refused;
        /// The person who requested the change approved it, or the trust file maps the principal to no operator.
        RefusedSod = "refused:sod", exit Refused;
        /// The signed objects name a freeze or lift that this writer has not received.
        RefusedSwitchesBehind = "refused:switches_behind", exit Refused;
    }
    SignedLog {
        /// An attempt report or attempt start in the bundle is invalid.
        BundleAttempt = "BUNDLE_ATTEMPT", exit Tampered;
        /// The body of an event in the bundle is invalid for its kind.
        BundleBody = "BUNDLE_BODY", exit Tampered;
        /// The verification of the bundle's checkpoint failed.
        BundleCheckpoint = "BUNDLE_CHECKPOINT", exit Tampered;
        /// The verification of a decision in the bundle failed.
        BundleDecision = "BUNDLE_DECISION", exit Tampered;
        /// Evidence in the bundle is invalid, is missing or does not match the proposal.
        BundleEvidence = "BUNDLE_EVIDENCE", exit Tampered;
        /// The verification of a human action in the bundle failed.
        BundleHumanAction = "BUNDLE_HUMAN_ACTION", exit Tampered;
        /// The file is not a bundle in canonical form.
        BundleMalformed = "BUNDLE_MALFORMED", exit Tampered;
        /// The verification of an apply order or receipt order in the bundle failed.
        BundleOrder = "BUNDLE_ORDER", exit Tampered;
        /// The bundle is from another log than the one in the trust file.
        BundleOtherLog = "BUNDLE_OTHER_LOG", exit Tampered;
        /// The bundle does not contain exactly one proposal, or the verification of its proposal failed.
        BundleProposal = "BUNDLE_PROPOSAL", exit Tampered;
        /// A receipt in the bundle is invalid or does not match the other records.
        BundleReceipt = "BUNDLE_RECEIPT", exit Tampered;
        /// A record of the bundle is invalid or does not match the checkpoint.
        BundleRecord = "BUNDLE_RECORD", exit Tampered;
        /// An event in the bundle belongs to another proposal.
        BundleRecordForeign = "BUNDLE_RECORD_FOREIGN", exit Tampered;
        /// The records of the bundle are duplicated or not in log order.
        BundleRecordOrder = "BUNDLE_RECORD_ORDER", exit Tampered;
        /// The verification of a withdrawal in the bundle failed.
        BundleWithdrawal = "BUNDLE_WITHDRAWAL", exit Tampered;
        /// The checkpoint is signed by a retired ledger key.
        CheckpointKeyRetired = "CHECKPOINT_KEY_RETIRED", exit Tampered;
        /// The checkpoint is not a signed note in canonical form.
        CheckpointMalformed = "CHECKPOINT_MALFORMED", exit Tampered;
        /// The checkpoint names another log.
        CheckpointOtherOrigin = "CHECKPOINT_OTHER_ORIGIN", exit Tampered;
        /// The checkpoint has no valid signature of a ledger key in the trust file.
        CheckpointSignature = "CHECKPOINT_SIGNATURE", exit Tampered;
        /// A decision that the ledger returned is not in the log.
        DecisionNotInLog = "DECISION_NOT_IN_LOG", exit Tampered;
        /// The body does not match the commitment in the event.
        EventBodyMismatch = "EVENT_BODY_MISMATCH", exit Tampered;
        /// The body of an event is missing, and no order of an operator erased it.
        EventBodyMissing = "EVENT_BODY_MISSING", exit Tampered;
        /// The event is not an event envelope in canonical form.
        EventMalformed = "EVENT_MALFORMED", exit Tampered;
        /// The sequence number of the event does not match the index of its leaf.
        EventSeqMismatch = "EVENT_SEQ_MISMATCH", exit Tampered;
        /// The ledger's log does not continue the log of the pinned checkpoint.
        LedgerForked = "LEDGER_FORKED", exit Forked;
        /// The ledger's log is shorter than the log of the pinned checkpoint.
        LedgerRolledBack = "LEDGER_ROLLED_BACK", exit RolledBack;
        /// The ledger's log is empty, and no key can be retired.
        LogEmpty = "LOG_EMPTY", exit Refused;
        /// A hash in the log proof is not 32 bytes long.
        LogHashLength = "LOG_HASH_LENGTH", exit Tampered;
        /// The name of the log is empty or contains an invalid character.
        LogOriginMalformed = "LOG_ORIGIN_MALFORMED", exit Tampered;
        /// The tree size of the proof does not match the tree size of the checkpoint.
        LogOtherTree = "LOG_OTHER_TREE", exit Tampered;
        /// The log proof does not match the root of the checkpoint.
        LogProofRefused = "LOG_PROOF_REFUSED", exit Tampered;
        /// The log proof contains more hashes than the maximum.
        LogProofTooLong = "LOG_PROOF_TOO_LONG", exit Tampered;
        /// An index or a tree size is outside the permitted range.
        LogSizeOutOfRange = "LOG_SIZE_OUT_OF_RANGE", exit Tampered;
        /// The log does not contain the proposal that the ledger returned.
        ProposalNotInLog = "PROPOSAL_NOT_IN_LOG", exit Tampered;
        /// A log entry that the ledger returned for the proposal belongs to another proposal.
        RecordForeign = "RECORD_FOREIGN", exit Tampered;
        /// The requested log records exceed the maximum size of one response.
        ReplayTooLarge = "REPLAY_TOO_LARGE";
        /// The pinned checkpoint file is locked by another command.
        WitnessBusy = "WITNESS_BUSY";
        /// The content of the pinned checkpoint file is invalid.
        WitnessDamaged = "WITNESS_DAMAGED", exit Tampered;
        /// The log of the pinned checkpoint does not match the log of this ledger.
        WitnessOtherLog = "WITNESS_OTHER_LOG", exit Tampered;
        /// The ledger gave no matching consistency proof from the pinned checkpoint to its current checkpoint.
        WitnessProofMissing = "WITNESS_PROOF_MISSING", exit Tampered;
        /// The process cannot read the pinned checkpoint file.
        WitnessUnreadable = "WITNESS_UNREADABLE";
        /// The signed log does not prove a record, or does not continue a pinned checkpoint.
        RefusedLedgerProof = "refused:ledger_proof", exit Refused;
    }
    Arguments {
        /// The arguments are not a JSON object, or the object has duplicate names.
        ArgumentsNotJson = "ARGUMENTS_NOT_JSON", safe InvalidArgument;
        /// The arguments of the tool call exceed the maximum size.
        ArgumentsTooLarge = "ARGUMENTS_TOO_LARGE", safe InvalidArgument;
        /// The value of the argument is above the maximum in the contract.
        ArgumentAboveMaximum = "ARGUMENT_ABOVE_MAXIMUM", safe InvalidArgument;
        /// The value of the argument is below the minimum in the contract.
        ArgumentBelowMinimum = "ARGUMENT_BELOW_MINIMUM", safe InvalidArgument;
        /// The value of the argument is not one of the values that the contract allows.
        ArgumentNotAllowed = "ARGUMENT_NOT_ALLOWED", safe InvalidArgument;
        /// A required argument is missing.
        ArgumentRequired = "ARGUMENT_REQUIRED", safe InvalidArgument;
        /// The text of the argument exceeds its `max_length` in the contract.
        ArgumentTooLong = "ARGUMENT_TOO_LONG", safe InvalidArgument;
        /// The argument has an invalid type, number or character, or is not in canonical form.
        ArgumentTypeInvalid = "ARGUMENT_TYPE_INVALID", safe InvalidArgument;
        /// The capability has no argument with this name.
        ArgumentUnknown = "ARGUMENT_UNKNOWN", safe InvalidArgument;
        /// An argument of the tool call is invalid, or a trusted binding is missing.
        InvalidArgument = "INVALID_ARGUMENT", safe InvalidArgument;
        /// The argument for the lookup key is missing.
        LookupArgMissing = "LOOKUP_ARG_MISSING", safe InvalidArgument;
        /// The tool call contains an argument that only the trusted context binds.
        ModelCannotOverrideBinding = "MODEL_CANNOT_OVERRIDE_BINDING", safe InvalidArgument;
        /// The lookup key identifies more than one row.
        MultiRowBlocked = "MULTI_ROW_BLOCKED", safe MultiRowBlocked;
        /// No row with this key exists for the trusted tenant.
        NotFoundInTenant = "NOT_FOUND_IN_TENANT", safe NotFoundInTenant;
        /// The proposal would change nothing: the row has the values already, or no value is given.
        NothingToChange = "NOTHING_TO_CHANGE", safe PolicyViolation;
        /// The new value of the column exceeds the maximum in the contract.
        PatchAboveMaximum = "PATCH_ABOVE_MAXIMUM", safe PolicyViolation;
        /// The new value of the column is below the minimum in the contract.
        PatchBelowMinimum = "PATCH_BELOW_MINIMUM", safe PolicyViolation;
        /// The new value of a column with numeric bounds is not an exact number.
        PatchNumericBoundTypeInvalid = "PATCH_NUMERIC_BOUND_TYPE_INVALID", safe PolicyViolation;
        /// The contract does not allow the change from the current state to the proposed state.
        PatchTransitionNotAllowed = "PATCH_TRANSITION_NOT_ALLOWED", safe PolicyViolation;
        /// The current state or the proposed state of the row is not a text.
        PatchTransitionTypeInvalid = "PATCH_TRANSITION_TYPE_INVALID", safe PolicyViolation;
        /// No row with this key exists for the tenant.
        RowNotFound = "ROW_NOT_FOUND", safe NotFoundInTenant;
        /// The given proposal state does not exist.
        UnknownState = "UNKNOWN_STATE", rpc InvalidArgument;
        /// The type or limits of the column do not accept the value.
        ValueDoesNotFit = "VALUE_DOES_NOT_FIT", safe InvalidArgument;
    }
    Source {
        /// The database did not respond to the command of the executor in time.
        AnswerTimeout = "ANSWER_TIMEOUT", exit Unreachable;
        /// The writer's database is not usable, or earlier dry runs of the source are still running.
        DatabaseUnavailable = "DATABASE_UNAVAILABLE", exit Unreachable, rpc Unavailable, safe TemporarilyUnavailable;
        /// The schema catalog exceeds the maximum message size.
        InspectionTooLarge = "INSPECTION_TOO_LARGE";
        /// A row or one of its values exceeds the size limit.
        RowTooLarge = "ROW_TOO_LARGE", safe RowTooLarge;
        /// The source database has no free connection or is locked.
        SourceBusy = "SOURCE_BUSY", exit Unreachable, safe TemporarilyUnavailable;
        /// The reader has no credential for the source of the capability.
        SourceCredentialMissing = "SOURCE_CREDENTIAL_MISSING", safe TemporarilyUnavailable;
        /// The source database is damaged, or its file is not a database.
        SourceDamaged = "SOURCE_DAMAGED";
        /// The source database denies access to the credential, or its file cannot be written safely.
        SourceDenied = "SOURCE_DENIED", safe TemporarilyUnavailable;
        /// The source database reported an error that has no other code.
        SourceFailed = "SOURCE_FAILED";
        /// The URL of the SQLite source does not name a regular file.
        SourceFileMissing = "SOURCE_FILE_MISSING", exit Usage, safe TemporarilyUnavailable;
        /// The source lacks a database, schema, table or column that the contract or URL names.
        SourceObjectNotFound = "SOURCE_OBJECT_NOT_FOUND", safe TemporarilyUnavailable;
        /// The source is behind a connection pooler that its URL does not declare, or that allows no transaction.
        SourcePooler = "SOURCE_POOLER", exit Unreachable, safe TemporarilyUnavailable;
        /// The server of the source speaks another protocol, or is a product that is not supported.
        SourceProtocol = "SOURCE_PROTOCOL", exit Unreachable, safe TemporarilyUnavailable;
        /// The source database takes no writes: it is a standby, or transactions of the account are read-only.
        SourceReadOnly = "SOURCE_READ_ONLY", exit Unreachable, safe TemporarilyUnavailable;
        /// The source database did not respond in time.
        SourceTimeout = "SOURCE_TIMEOUT", exit Unreachable, safe TemporarilyUnavailable;
        /// The connection to the source cannot be encrypted, or the server's certificate is not trusted.
        SourceTlsFailed = "SOURCE_TLS_FAILED", exit Unreachable, safe TemporarilyUnavailable;
        /// The settings of the source do not require an encrypted connection with a verified server certificate.
        SourceTlsRequired = "SOURCE_TLS_REQUIRED", exit Usage, safe TemporarilyUnavailable;
        /// The server of the source is older than the oldest supported version.
        SourceTooOld = "SOURCE_TOO_OLD", safe TemporarilyUnavailable;
        /// The source database is unreachable, or requires recovery after a crash.
        SourceUnavailable = "SOURCE_UNAVAILABLE", exit Unreachable, safe TemporarilyUnavailable;
        /// The URL of the source is invalid or unreadable, or does not match the chosen engine.
        SourceUrlInvalid = "SOURCE_URL_INVALID", exit Usage, safe TemporarilyUnavailable;
        /// The reader cannot read a value of the row exactly.
        ValueUnreadable = "VALUE_UNREADABLE", safe ValueUnreadable;
    }
    Doctor {
        /// The writer cannot see the triggers and foreign keys of the table.
        CatalogIncomplete = "CATALOGUE_INCOMPLETE";
        /// A certificate has ended or ends within three hours.
        CertificateEnds = "CERTIFICATE_ENDS";
        /// The clocks of the processes, databases or this command differ by more than the allowed time.
        ClocksDiffer = "CLOCKS_DIFFER";
        /// The table has no column with a name that the contract uses.
        ColumnMissing = "COLUMN_MISSING";
        /// Reader and writer of the source use the same database credential.
        CredentialShared = "CREDENTIAL_SHARED";
        /// The database changes a column with every update, and the capability does not list it in `db_managed`.
        DbManagedMissing = "DB_MANAGED_MISSING";
        /// A setting of the database server allows the loss of committed changes after a crash.
        DurabilityWeak = "DURABILITY_WEAK";
        /// A source lacks receipts that the ledger holds, together with their effects.
        EffectLost = "EFFECT_LOST";
        /// The ledger's clock jumped, and no proposal expires until a writer confirms the time.
        ExpiryPaused = "EXPIRY_PAUSED";
        /// The database account has a right that the contract does not need.
        GrantExcessive = "GRANT_EXCESSIVE";
        /// The database account lacks a right that the contract needs.
        GrantMissing = "GRANT_MISSING";
        /// The role may not read a part of the database's identity.
        IdentityWeak = "IDENTITY_WEAK";
        /// The key column of the table has no unique index.
        IndexMissing = "INDEX_MISSING";
        /// The doctor did not open the databases.
        NotProbed = "NOT_PROBED";
        /// A source holds receipts that the ledger rejected.
        OrphanReceipt = "ORPHAN_RECEIPT";
        /// A test statement that changes no row failed under the database account of the writer.
        PreflightFailed = "PROBE_FAILED";
        /// The read credential of the source can change rows of a table in the contract.
        ReadRoleCanWrite = "READ_ROLE_CAN_WRITE";
        /// The receipt table does not exist in the source database.
        ReceiptTableMissing = "RECEIPT_TABLE_MISSING";
        /// The receipt table or the identity table does not have the form that the migration creates.
        ReceiptTableUnfit = "RECEIPT_TABLE_UNFIT", safe TemporarilyUnavailable;
        /// A source holds receipts of a retired writer key that are not in the log.
        ReceiptUnproven = "RECEIPT_UNPROVEN";
        /// After the COMMIT the row differs from the checked version.
        RowChangedInCommit = "ROW_CHANGED_IN_COMMIT";
        /// Row security filters a table for the account.
        RowSecurity = "ROW_SECURITY";
        /// The database account of the writer cannot read the row version columns of the table.
        RowVersionUnreadable = "ROW_VERSION_UNREADABLE";
        /// The source database has no schema with the name in the contract.
        SchemaMissing = "SCHEMA_MISSING";
        /// The configuration file of an MCP client holds a database URL or a token.
        SecretInClientFile = "SECRET_IN_CLIENT_FILE";
        /// The reader, writer or ledger is reachable.
        ServiceAnswers = "SERVICE_ANSWERS";
        /// Reader and writer of the source open databases that differ, so that no proposal is ever applied.
        SourceDiffers = "SOURCE_DIFFERS";
        /// A change of the table runs a trigger or an action of a foreign key.
        SideEffect = "SIDE_EFFECT";
        /// The SQL mode of the database server is not strict.
        StrictModeMissing = "STRICT_MODE_MISSING";
        /// The source database has no table with the name in the contract.
        TableMissing = "TABLE_MISSING";
        /// The writer cannot change the table or a column that the contract patches.
        TableUnfit = "TABLE_UNFIT";
        /// A tool of the contract runs SQL, approves or commits by its name.
        ToolBoundaryCrossed = "TOOL_BOUNDARY_CROSSED";
        /// A required environment variable is not set.
        VariableMissing = "VARIABLE_MISSING";
        /// A required environment variable is set.
        VariableSet = "VARIABLE_SET";
        /// A freeze is in force, so that the writer applies no proposals.
        WritebackFrozen = "WRITEBACK_FROZEN";
        /// The writer's database account can bypass the checks of its own transaction.
        WriterAccountTooPowerful = "WRITER_ACCOUNT_TOO_POWERFUL";
    }
    Writeback {
        /// The key of the locked row does not equal the key of the proposal.
        ConflictKeyChanged = "conflict:key_changed", exit Conflict;
        /// A column that the proposal covers has changed since the proposal was made.
        ConflictRowChanged = "conflict:row_changed", exit Conflict;
        /// The row exists, and the writer's account cannot lock it.
        ConflictTargetInvisible = "conflict:target_invisible", exit Conflict;
        /// The row no longer exists.
        ConflictTargetMissing = "conflict:target_missing", exit Conflict;
        /// The row belongs to another tenant now.
        ConflictTenantChanged = "conflict:tenant_changed", exit Conflict;
        /// The version of the row has changed since the proposal was made.
        ConflictVersionChanged = "conflict:version_changed", exit Conflict;
        /// The UPDATE changed more than its row; it was rolled back.
        FailedCollateral = "failed:collateral";
        /// A constraint of the table rejected the UPDATE; it was rolled back.
        FailedConstraint = "failed:constraint";
        /// The UPDATE did not match exactly one row; it was rolled back.
        FailedMatchedRows = "failed:matched_rows";
        /// The key of the proposal matches more than one row.
        FailedNotUnique = "failed:not_unique";
        /// The row after the UPDATE was not the reviewed one; the UPDATE was rolled back.
        FailedPostImage = "failed:post_image";
        /// The table was altered after the proposal was made, so that the proposal can never be applied.
        FailedSchemaDrift = "failed:schema_drift";
        /// The type or character set of a column does not hold the new value; the UPDATE was rolled back.
        FailedType = "failed:type";
        /// The UPDATE did not advance the version column of the contract; it was rolled back.
        FailedVersionNotAdvanced = "failed:version_not_advanced";
        /// The clocks of writer and database differ too much, or are behind the last COMMIT.
        RefusedClock = "refused:clock", exit Refused;
        /// A constraint of the table rejects the new values.
        RefusedConstraint = "refused:constraint", exit Refused;
        /// The proposal does not match the writer's contract, or its mode does not permit writeback.
        RefusedContract = "refused:contract", exit Refused;
        /// The database rejected the statement of the writer.
        RefusedDatabase = "refused:database", exit Refused;
        /// A deferrable trigger could run inside COMMIT.
        RefusedDeferrableTrigger = "refused:deferrable_trigger", exit Refused;
        /// A dry run would run acknowledged code of the table without an approval.
        RefusedDryRunSideEffects = "refused:dry_run_side_effects", exit Refused;
        /// The contract names a handler that this writer cannot run.
        RefusedExecutorUnavailable = "refused:executor_unavailable", exit Refused;
        /// The table has code that the contract does not acknowledge, or that the writer cannot check.
        RefusedForeignCode = "refused:foreign_code", exit Refused;
        /// The writer has no unsigned freeze that this unfreeze could end.
        RefusedFreeze = "refused:freeze", exit Refused;
        /// A freeze is in force, so that the writer sends no UPDATE.
        RefusedFrozen = "refused:frozen", exit Refused;
        /// The transaction holds a write lock on a table that is not part of the change.
        RefusedLockElsewhere = "refused:lock_elsewhere", exit Refused;
        /// A cursor is open whose query would run inside COMMIT.
        RefusedOpenCursor = "refused:open_cursor", exit Refused;
        /// The change in the proposal does not match the change that the writer computes from the contract.
        RefusedPlanMismatch = "refused:plan_mismatch", exit Refused;
        /// The row or receipt that the writer read back does not match the written one.
        RefusedReadBack = "refused:read_back", exit Refused;
        /// The receipt table or the identity table does not have the form that the migration creates.
        RefusedReceiptTable = "refused:receipt_table", exit Refused;
        /// COMMIT created another version of the row than the version that the writer checked.
        RefusedRowChangedInCommit = "refused:row_changed_in_commit", exit Refused;
        /// The transaction changed more rows than the proposal and the acknowledged code permit.
        RefusedRowsElsewhere = "refused:rows_elsewhere", exit Refused;
        /// The table definition does not match the proposal, or changed during the transaction.
        RefusedSchemaDrift = "refused:schema_drift", exit Refused;
        /// A setting or prepared statement of the database session does not have the required value.
        RefusedSettingChanged = "refused:setting_changed", exit Refused;
        /// A side-effect acknowledgement in the contract matches no code of the table.
        RefusedSideEffectAckStale = "refused:side_effect_ack_stale", exit Refused;
        /// The table has code that no contract can acknowledge.
        RefusedSideEffectNotAcknowledgeable = "refused:side_effect_not_acknowledgeable", exit Refused;
        /// The contract has no acknowledgement that matches the code of the table.
        RefusedSideEffectNotAcknowledged = "refused:side_effect_not_acknowledged", exit Refused;
        /// The writer's database has no readable identity, or does not match the source of the proposal.
        RefusedSource = "refused:source", exit Refused;
        /// The database file is a copy of a database whose original file still exists.
        RefusedSourceCopied = "refused:source_copied", exit Refused;
        /// The writer cannot save its state in the state directory.
        RefusedStateNotWritable = "refused:state_not_writable", exit Refused;
        /// The writer's database account lacks rights on the table.
        RefusedTableNotWritable = "refused:table_not_writable", exit Refused;
        /// The writer's database account can bypass the writer's checks, and the environment is not dev.
        RefusedWriterAccount = "refused:writer_account", exit Refused;
        /// The database reported a lock, a deadlock or a serialization failure; nothing was written.
        RetryableDatabaseBusy = "retryable:database_busy";
        /// The database is missing, unreachable, full or read-only; nothing was written.
        RetryableDatabaseUnavailable = "retryable:database_unavailable";
        /// The outcome of a COMMIT is unknown, and the attempt continues to look for its receipt.
        RetryableInDoubt = "retryable:in_doubt";
        /// The ledger did not answer; nothing was written.
        RetryableLedgerUnavailable = "retryable:ledger_unavailable";
        /// The facts that the authorization relies on kept changing; nothing was written.
        RetryableOutdated = "retryable:outdated";
        /// An operator gave up missing receipts while the attempt ran; the next attempt continues.
        RetryableReceiptsGivenUp = "retryable:receipts_given_up";
        /// A statement exceeded its time limit; nothing was written.
        RetryableTimeout = "retryable:timeout";
        /// The trust file of the writer cannot be read; the job goes back.
        RetryableTrustFile = "retryable:trust_file";
        /// The version of the row can advance only at the next tick of the database's clock; nothing was written.
        RetryableVersionNotAdvanced = "retryable:version_not_advanced";
    }
    Mcp {
        /// Proposals are disabled in this deployment.
        ApprovalRequired = "APPROVAL_REQUIRED", safe ApprovalRequired;
        /// No tool with this name exists.
        CapabilityNotFound = "CAPABILITY_NOT_FOUND", safe CapabilityNotFound;
        /// The gateway cannot read the tool catalog or token policy that the reader sent.
        CatalogUnreadable = "CATALOG_UNREADABLE";
        /// The contract uses access tokens, but the transport is not HTTP.
        ContractNeedsHttp = "CONTRACT_NEEDS_HTTP", exit Usage;
        /// The `Host` header of the HTTP request is not on the list of allowed hosts.
        HostNotAllowed = "HOST_NOT_ALLOWED";
        /// The MCP request to the gateway failed with a protocol error.
        McpCallFailed = "MCP_CALL_FAILED";
        /// The gateway did not respond to the MCP request within the time limit.
        McpCallTimeout = "MCP_CALL_TIMEOUT", exit Unreachable;
        /// The gateway process has no pipes for the MCP client.
        McpClientFailed = "MCP_CLIENT_FAILED";
        /// The client did not send a valid MCP handshake.
        McpHandshakeFailed = "MCP_HANDSHAKE_FAILED";
        /// The MCP server of the gateway ended unexpectedly.
        McpServerFailed = "MCP_SERVER_FAILED";
        /// The tool call failed with an error that the agent must not see.
        McpToolFailed = "MCP_TOOL_FAILED";
        /// No tool of the contract has this name.
        McpToolNotFound = "MCP_TOOL_NOT_FOUND", safe CapabilityNotFound;
        /// The `Origin` header of the HTTP request is not on the list of allowed origins.
        OriginNotAllowed = "ORIGIN_NOT_ALLOWED";
        /// The change in the proposal violates a bound, transition, guard or other rule of the contract.
        PolicyViolation = "POLICY_VIOLATION", safe PolicyViolation;
        /// No record that the context ticket covers has this id.
        RecordNotFound = "RECORD_NOT_FOUND", rpc NotFound, safe NotFoundInTenant;
        /// The source database, the ledger or another required service is unreachable or busy.
        TemporarilyUnavailable = "TEMPORARILY_UNAVAILABLE", safe TemporarilyUnavailable;
        /// The row has changed since the agent read it.
        VersionConflict = "VERSION_CONFLICT", safe VersionConflict;
    }
}
