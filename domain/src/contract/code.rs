//! The stable code of every problem that a contract can have; the only list of them.
//! Wording and fixes stand where the problem is found.

use std::fmt;

/// What is wrong with a contract. [`Code::as_str`] is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The file is not JSON, has a key twice in one object, or nests too deep.
    ConfigNotJson,
    /// The file has more than 1 MiB.
    ConfigTooLarge,
    /// The file's JSON is not an object.
    ConfigNotObject,
    /// `version` is not 1.
    UnsupportedConfigVersion,
    /// `$schema` is not a text.
    InvalidSchemaReference,
    /// `mode` is not one of the four modes.
    InvalidMode,
    /// `result_format` is neither 1 nor 2.
    InvalidResultFormat,
    /// `strict` is not a boolean.
    InvalidStrict,
    /// A key that version 1 does not have.
    UnknownField,
    /// `storage` is not an object.
    StorageNotObject,
    /// `storage.sqlite_path` is not a path.
    InvalidSqlitePath,
    /// There are no sources.
    SourcesRequired,
    /// A source's name is not an identifier.
    UnsafeSourceName,
    /// A source is not an object.
    SourceNotObject,
    /// `engine` is not one that exists.
    InvalidSourceEngine,
    /// A source does not name the variable that holds its read URL.
    ReadUrlEnvRequired,
    /// `write_url_env` is not the name of a variable.
    InvalidWriteUrlEnv,
    /// A source's `read_only` is not a boolean.
    InvalidSourceReadOnly,
    /// `statement_timeout_ms` is not a positive integer.
    InvalidTimeout,
    /// `ssl` is not an object.
    InvalidSsl,
    /// A direct proposal on a source that is never written.
    ReadOnlySourceDirectWriteback,
    /// Warning: a direct proposal on a source without a write URL.
    WritebackDisabled,
    /// Nothing says for whom calls are made.
    TrustedContextRequired,
    /// A trusted context is not an object.
    TrustedContextNotObject,
    /// `contexts` is not a non-empty object.
    ContextsNotObject,
    /// A context's name is not a safe name.
    InvalidContextName,
    /// `provider` is not one that exists.
    InvalidContextProvider,
    /// `values` of a trusted context is not an object.
    ContextValuesNotObject,
    /// A known member of `values` has the wrong form.
    InvalidContextValue,
    /// Warning: a member of `values` that nothing reads.
    UnknownContextValue,
    /// Warning: `static_dev` binds everybody to the same tenant.
    StaticDevContext,
    /// `executors` is not a non-empty object.
    ExecutorsNotObject,
    /// An executor's name is not a safe name, or is `sql_update`.
    InvalidExecutorName,
    /// An executor is not an object.
    ExecutorNotObject,
    /// `type` of an executor is not one that exists.
    InvalidExecutorType,
    /// An HTTP handler does not name the variable that holds its URL.
    HandlerUrlEnvRequired,
    /// `method` is not one that a handler may have.
    InvalidHandlerMethod,
    /// `auth` is not an object.
    ExecutorAuthNotObject,
    /// `auth.type` is not `bearer_env`.
    InvalidExecutorAuth,
    /// `auth` does not name the variable that holds the token.
    ExecutorTokenEnvRequired,
    /// `signing_secret_env` is not the name of a variable.
    HandlerSigningSecretEnvInvalid,
    /// `timeout_ms` is not a positive integer.
    InvalidHandlerTimeout,
    /// A command handler does not name the variable that holds its command.
    CommandEnvRequired,
    /// A handler in mode `read_only`.
    ExecutorInvalidInReadOnly,
    /// There are no capabilities.
    CapabilitiesRequired,
    /// A capability is not an object.
    CapabilityNotObject,
    /// A capability's name is not two identifiers joined by a dot.
    InvalidCapabilityName,
    /// Two capabilities have the same name.
    DuplicateCapabilityName,
    /// `kind` is neither `read` nor `proposal`.
    InvalidCapabilityKind,
    /// `description` is empty or not a text.
    InvalidCapabilityDescription,
    /// `returns_hint` is empty or not a text.
    InvalidReturnsHint,
    /// A capability names a source that does not exist.
    UnknownSource,
    /// A capability names a context that does not exist.
    UnknownContext,
    /// `executor` of a capability is not a text.
    InvalidExecutorReference,
    /// A capability names an executor that does not exist.
    UnknownExecutor,
    /// A capability has no target.
    TargetRequired,
    /// Schema, table or primary key is not an identifier.
    InvalidTargetIdentifier,
    /// A schema that the engine does not have.
    InvalidTargetSchema,
    /// A target has no tenant key.
    TenantGuardRequired,
    /// `single_tenant_dev` is not a boolean.
    InvalidSingleTenantDev,
    /// Warning: rows of this target are not bound to a tenant.
    SingleTenantDevException,
    /// A direct proposal on a target without tenant binding.
    SingleTenantDevDirectWriteback,
    /// `single_tenant_dev_ack` is not a boolean.
    InvalidSingleTenantDevAck,
    /// A capability has no arguments.
    ArgsRequired,
    /// An argument's name cannot be a property of a tool.
    InvalidArgName,
    /// An argument would let the model choose what only the owner may choose.
    ModelControlledReservedArg,
    /// An argument is not an object.
    ArgNotObject,
    /// `type` of an argument is not one that exists.
    InvalidArgType,
    /// `description` of an argument is empty or not a text.
    InvalidArgDescription,
    /// `required` of an argument is not a boolean.
    InvalidArgRequired,
    /// `max_length` is not a positive integer.
    InvalidMaxLength,
    /// `minimum` or `maximum` on an argument that is not a number.
    NumericBoundsRequireNumber,
    /// `minimum` is not a number.
    InvalidMinimum,
    /// `maximum` is not a number.
    InvalidMaximum,
    /// `minimum` is above `maximum`.
    InvalidNumericRange,
    /// `enum` is not a non-empty list of different scalars.
    InvalidArgEnum,
    /// A member of `enum` that the argument itself refuses.
    ArgEnumTypeMismatch,
    /// A capability does not say how its row is found.
    LookupRequired,
    /// `lookup.id_from_arg` is not a text.
    LookupArgRequired,
    /// `lookup.id_from_arg` names no argument.
    UnknownLookupArg,
    /// `visible_columns` is not a non-empty list.
    VisibleColumnsRequired,
    /// A visible column is not an identifier.
    InvalidVisibleColumn,
    /// A column whose name says that it holds a secret.
    SecretColumnForbidden,
    /// `evidence` is neither `required` nor `optional`.
    InvalidEvidence,
    /// `max_rows` is not a positive integer.
    InvalidMaxRows,
    /// Warning: a read capability has a member that only proposals use.
    ProposalFieldOnRead,
    /// A proposal changes nothing.
    PatchRequired,
    /// A patched column is not an identifier.
    InvalidPatchColumn,
    /// A member of `patch` is not an object.
    PatchBindingNotObject,
    /// A binding has not exactly one of `fixed` and `from_arg`, or `fixed` is no scalar.
    InvalidPatchBinding,
    /// `from_arg` is not a text.
    InvalidPatchArg,
    /// `from_arg` names no argument.
    UnknownPatchArg,
    /// A patched column is not in `allowed_columns`.
    PatchColumnNotAllowed,
    /// Warning: nobody sees the old value of a patched column.
    PatchColumnNotVisible,
    /// A fixed value violates the column's bounds.
    FixedValueOutOfBounds,
    /// A fixed value that no transition leads to.
    FixedValueNotAllowed,
    /// `allowed_columns` is not a non-empty list.
    AllowedColumnsRequired,
    /// An allowed column is not an identifier.
    InvalidAllowedColumn,
    /// The primary key or the tenant key is in `allowed_columns`.
    KeyColumnAllowed,
    /// `numeric_bounds` is not an object.
    NumericBoundsNotObject,
    /// A bounded column is not an identifier.
    InvalidNumericBoundColumn,
    /// A bounded column is not patched.
    NumericBoundPatchColumnRequired,
    /// A bound is not an object.
    NumericBoundNotObject,
    /// A bound has neither minimum nor maximum.
    NumericBoundEmpty,
    /// `transition_guards` is not an object.
    TransitionGuardsNotObject,
    /// A guarded column is not an identifier.
    InvalidTransitionGuardColumn,
    /// A guarded column is not patched.
    TransitionPatchColumnRequired,
    /// A transition guard is not an object.
    TransitionGuardNotObject,
    /// `from_column` is not an identifier.
    InvalidTransitionFromColumn,
    /// The column that holds the current state is not read.
    TransitionFromColumnNotVisible,
    /// `allowed` is not a non-empty object.
    TransitionAllowedRequired,
    /// A current state is empty.
    TransitionFromRequired,
    /// A list of target states is empty or has an empty member.
    TransitionToValuesRequired,
    /// A proposal has no conflict guard.
    ConflictGuardRequired,
    /// A conflict guard has neither a column nor the acknowledgement of a weak guard.
    ConflictGuardColumnRequired,
    /// `weak_guard_ack` is not a boolean.
    InvalidWeakGuardAck,
    /// `approval` is not an object.
    ApprovalNotObject,
    /// `approval.mode` is not `human`.
    InvalidApprovalMode,
    /// `approval.required_role` is not the name of a role.
    InvalidRequiredRole,
    /// `approval.quorum` is not an integer from 1 to 5.
    InvalidApprovalQuorum,
    /// `db_managed` is not a list of identifiers.
    InvalidDbManaged,
    /// A column that the database manages is patched or allowed.
    DbManagedColumnPatched,
    /// `cloud` outside mode `cloud`.
    CloudConfigOnlyForCloudMode,
    /// Mode `cloud` without the object `cloud`.
    CloudConfigRequired,
    /// `cloud.base_url_env` is not the name of a variable.
    CloudBaseUrlEnvRequired,
    /// `cloud.runner_token_env` is not the name of a variable.
    CloudRunnerTokenEnvRequired,
    /// `cloud.adapter_id` is not a text.
    CloudAdapterIdRequired,
    /// `cloud.source_id` is empty or not a text.
    InvalidCloudSourceId,
    /// `cloud.runner_id` is empty or not a text.
    InvalidCloudRunnerId,
    /// `cloud.runner_version` is empty or not a text.
    InvalidCloudRunnerVersion,
    /// `cloud.project_id` is empty or not a text.
    InvalidCloudProjectId,
    /// `cloud.engines` is not a non-empty list of engines.
    InvalidCloudEngines,
    /// `cloud.capabilities` is not a non-empty list of texts.
    InvalidCloudCapabilities,
    /// `cloud.session` is not an object.
    InvalidCloudSession,
    /// A connection URL, or a key that invites one, stands in the file.
    InlineDatabaseUrlForbidden,
    /// A token or a private key stands in the file.
    InlineSecretForbidden,
    /// A key that invites SQL stands in the file.
    ArbitrarySqlForbidden,
    /// Warning: `result_format` is absent, so results have format 1.
    ResultFormatDefault,
    /// Mode `cloud` is validated but no process runs it.
    CloudModeNotAvailable,
    /// A provider that is validated but that no process resolves yet.
    TrustedContextUnsupported,
}

impl Code {
    /// Every code with its stable name and its meaning, in the order of the file's parts.
    pub const ALL: &[(Code, &str, &str)] = &[
        (
            Code::ConfigNotJson,
            "CONFIG_NOT_JSON",
            "The file is not JSON, has a key twice in one object, or nests too deep.",
        ),
        (
            Code::ConfigTooLarge,
            "CONFIG_TOO_LARGE",
            "The file has more than 1 MiB.",
        ),
        (
            Code::ConfigNotObject,
            "CONFIG_NOT_OBJECT",
            "The file's JSON is not an object.",
        ),
        (
            Code::UnsupportedConfigVersion,
            "UNSUPPORTED_CONFIG_VERSION",
            "`version` is not 1.",
        ),
        (
            Code::InvalidSchemaReference,
            "INVALID_SCHEMA_REFERENCE",
            "`$schema` is not a text.",
        ),
        (
            Code::InvalidMode,
            "INVALID_MODE",
            "`mode` is not one of the four modes.",
        ),
        (
            Code::InvalidResultFormat,
            "INVALID_RESULT_FORMAT",
            "`result_format` is neither 1 nor 2.",
        ),
        (
            Code::InvalidStrict,
            "INVALID_STRICT",
            "`strict` is not a boolean.",
        ),
        (
            Code::UnknownField,
            "UNKNOWN_FIELD",
            "A key that version 1 does not have.",
        ),
        (
            Code::StorageNotObject,
            "STORAGE_NOT_OBJECT",
            "`storage` is not an object.",
        ),
        (
            Code::InvalidSqlitePath,
            "INVALID_SQLITE_PATH",
            "`storage.sqlite_path` is not a path.",
        ),
        (Code::SourcesRequired, "SOURCES_REQUIRED", "There are no sources."),
        (
            Code::UnsafeSourceName,
            "UNSAFE_SOURCE_NAME",
            "A source's name is not an identifier.",
        ),
        (
            Code::SourceNotObject,
            "SOURCE_NOT_OBJECT",
            "A source is not an object.",
        ),
        (
            Code::InvalidSourceEngine,
            "INVALID_SOURCE_ENGINE",
            "`engine` is not one that exists.",
        ),
        (
            Code::ReadUrlEnvRequired,
            "READ_URL_ENV_REQUIRED",
            "A source does not name the variable that holds its read URL.",
        ),
        (
            Code::InvalidWriteUrlEnv,
            "INVALID_WRITE_URL_ENV",
            "`write_url_env` is not the name of a variable.",
        ),
        (
            Code::InvalidSourceReadOnly,
            "INVALID_SOURCE_READ_ONLY",
            "A source's `read_only` is not a boolean.",
        ),
        (
            Code::InvalidTimeout,
            "INVALID_TIMEOUT",
            "`statement_timeout_ms` is not a positive integer.",
        ),
        (Code::InvalidSsl, "INVALID_SSL", "`ssl` is not an object."),
        (
            Code::ReadOnlySourceDirectWriteback,
            "READ_ONLY_SOURCE_DIRECT_WRITEBACK",
            "A direct proposal on a source that is never written.",
        ),
        (
            Code::WritebackDisabled,
            "WRITEBACK_DISABLED",
            "Warning: a direct proposal on a source without a write URL.",
        ),
        (
            Code::TrustedContextRequired,
            "TRUSTED_CONTEXT_REQUIRED",
            "Nothing says for whom calls are made.",
        ),
        (
            Code::TrustedContextNotObject,
            "TRUSTED_CONTEXT_NOT_OBJECT",
            "A trusted context is not an object.",
        ),
        (
            Code::ContextsNotObject,
            "CONTEXTS_NOT_OBJECT",
            "`contexts` is not a non-empty object.",
        ),
        (
            Code::InvalidContextName,
            "INVALID_CONTEXT_NAME",
            "A context's name is not a safe name.",
        ),
        (
            Code::InvalidContextProvider,
            "INVALID_CONTEXT_PROVIDER",
            "`provider` is not one that exists.",
        ),
        (
            Code::ContextValuesNotObject,
            "CONTEXT_VALUES_NOT_OBJECT",
            "`values` of a trusted context is not an object.",
        ),
        (
            Code::InvalidContextValue,
            "INVALID_CONTEXT_VALUE",
            "A known member of `values` has the wrong form.",
        ),
        (
            Code::UnknownContextValue,
            "UNKNOWN_CONTEXT_VALUE",
            "Warning: a member of `values` that nothing reads.",
        ),
        (
            Code::StaticDevContext,
            "STATIC_DEV_CONTEXT",
            "Warning: `static_dev` binds everybody to the same tenant.",
        ),
        (
            Code::ExecutorsNotObject,
            "EXECUTORS_NOT_OBJECT",
            "`executors` is not a non-empty object.",
        ),
        (
            Code::InvalidExecutorName,
            "INVALID_EXECUTOR_NAME",
            "An executor's name is not a safe name, or is `sql_update`.",
        ),
        (
            Code::ExecutorNotObject,
            "EXECUTOR_NOT_OBJECT",
            "An executor is not an object.",
        ),
        (
            Code::InvalidExecutorType,
            "INVALID_EXECUTOR_TYPE",
            "`type` of an executor is not one that exists.",
        ),
        (
            Code::HandlerUrlEnvRequired,
            "HANDLER_URL_ENV_REQUIRED",
            "An HTTP handler does not name the variable that holds its URL.",
        ),
        (
            Code::InvalidHandlerMethod,
            "INVALID_HANDLER_METHOD",
            "`method` is not one that a handler may have.",
        ),
        (
            Code::ExecutorAuthNotObject,
            "EXECUTOR_AUTH_NOT_OBJECT",
            "`auth` is not an object.",
        ),
        (
            Code::InvalidExecutorAuth,
            "INVALID_EXECUTOR_AUTH",
            "`auth.type` is not `bearer_env`.",
        ),
        (
            Code::ExecutorTokenEnvRequired,
            "EXECUTOR_TOKEN_ENV_REQUIRED",
            "`auth` does not name the variable that holds the token.",
        ),
        (
            Code::HandlerSigningSecretEnvInvalid,
            "HANDLER_SIGNING_SECRET_ENV_INVALID",
            "`signing_secret_env` is not the name of a variable.",
        ),
        (
            Code::InvalidHandlerTimeout,
            "INVALID_HANDLER_TIMEOUT",
            "`timeout_ms` is not a positive integer.",
        ),
        (
            Code::CommandEnvRequired,
            "COMMAND_ENV_REQUIRED",
            "A command handler does not name the variable that holds its command.",
        ),
        (
            Code::ExecutorInvalidInReadOnly,
            "EXECUTOR_INVALID_IN_READ_ONLY",
            "A handler in mode `read_only`.",
        ),
        (
            Code::CapabilitiesRequired,
            "CAPABILITIES_REQUIRED",
            "There are no capabilities.",
        ),
        (
            Code::CapabilityNotObject,
            "CAPABILITY_NOT_OBJECT",
            "A capability is not an object.",
        ),
        (
            Code::InvalidCapabilityName,
            "INVALID_CAPABILITY_NAME",
            "A capability's name is not two identifiers joined by a dot.",
        ),
        (
            Code::DuplicateCapabilityName,
            "DUPLICATE_CAPABILITY_NAME",
            "Two capabilities have the same name.",
        ),
        (
            Code::InvalidCapabilityKind,
            "INVALID_CAPABILITY_KIND",
            "`kind` is neither `read` nor `proposal`.",
        ),
        (
            Code::InvalidCapabilityDescription,
            "INVALID_CAPABILITY_DESCRIPTION",
            "`description` is empty or not a text.",
        ),
        (
            Code::InvalidReturnsHint,
            "INVALID_RETURNS_HINT",
            "`returns_hint` is empty or not a text.",
        ),
        (
            Code::UnknownSource,
            "UNKNOWN_SOURCE",
            "A capability names a source that does not exist.",
        ),
        (
            Code::UnknownContext,
            "UNKNOWN_CONTEXT",
            "A capability names a context that does not exist.",
        ),
        (
            Code::InvalidExecutorReference,
            "INVALID_EXECUTOR_REFERENCE",
            "`executor` of a capability is not a text.",
        ),
        (
            Code::UnknownExecutor,
            "UNKNOWN_EXECUTOR",
            "A capability names an executor that does not exist.",
        ),
        (
            Code::TargetRequired,
            "TARGET_REQUIRED",
            "A capability has no target.",
        ),
        (
            Code::InvalidTargetIdentifier,
            "INVALID_TARGET_IDENTIFIER",
            "Schema, table or primary key is not an identifier.",
        ),
        (
            Code::InvalidTargetSchema,
            "INVALID_TARGET_SCHEMA",
            "A schema that the engine does not have.",
        ),
        (
            Code::TenantGuardRequired,
            "TENANT_GUARD_REQUIRED",
            "A target has no tenant key.",
        ),
        (
            Code::InvalidSingleTenantDev,
            "INVALID_SINGLE_TENANT_DEV",
            "`single_tenant_dev` is not a boolean.",
        ),
        (
            Code::SingleTenantDevException,
            "SINGLE_TENANT_DEV_EXCEPTION",
            "Warning: rows of this target are not bound to a tenant.",
        ),
        (
            Code::SingleTenantDevDirectWriteback,
            "SINGLE_TENANT_DEV_DIRECT_WRITEBACK",
            "A direct proposal on a target without tenant binding.",
        ),
        (
            Code::InvalidSingleTenantDevAck,
            "INVALID_SINGLE_TENANT_DEV_ACK",
            "`single_tenant_dev_ack` is not a boolean.",
        ),
        (
            Code::ArgsRequired,
            "ARGS_REQUIRED",
            "A capability has no arguments.",
        ),
        (
            Code::InvalidArgName,
            "INVALID_ARG_NAME",
            "An argument's name cannot be a property of a tool.",
        ),
        (
            Code::ModelControlledReservedArg,
            "MODEL_CONTROLLED_RESERVED_ARG",
            "An argument would let the model choose what only the owner may choose.",
        ),
        (
            Code::ArgNotObject,
            "ARG_NOT_OBJECT",
            "An argument is not an object.",
        ),
        (
            Code::InvalidArgType,
            "INVALID_ARG_TYPE",
            "`type` of an argument is not one that exists.",
        ),
        (
            Code::InvalidArgDescription,
            "INVALID_ARG_DESCRIPTION",
            "`description` of an argument is empty or not a text.",
        ),
        (
            Code::InvalidArgRequired,
            "INVALID_ARG_REQUIRED",
            "`required` of an argument is not a boolean.",
        ),
        (
            Code::InvalidMaxLength,
            "INVALID_MAX_LENGTH",
            "`max_length` is not a positive integer.",
        ),
        (
            Code::NumericBoundsRequireNumber,
            "NUMERIC_BOUNDS_REQUIRE_NUMBER",
            "`minimum` or `maximum` on an argument that is not a number.",
        ),
        (
            Code::InvalidMinimum,
            "INVALID_MINIMUM",
            "`minimum` is not a number.",
        ),
        (
            Code::InvalidMaximum,
            "INVALID_MAXIMUM",
            "`maximum` is not a number.",
        ),
        (
            Code::InvalidNumericRange,
            "INVALID_NUMERIC_RANGE",
            "`minimum` is above `maximum`.",
        ),
        (
            Code::InvalidArgEnum,
            "INVALID_ARG_ENUM",
            "`enum` is not a non-empty list of different scalars.",
        ),
        (
            Code::ArgEnumTypeMismatch,
            "ARG_ENUM_TYPE_MISMATCH",
            "A member of `enum` that the argument itself refuses.",
        ),
        (
            Code::LookupRequired,
            "LOOKUP_REQUIRED",
            "A capability does not say how its row is found.",
        ),
        (
            Code::LookupArgRequired,
            "LOOKUP_ARG_REQUIRED",
            "`lookup.id_from_arg` is not a text.",
        ),
        (
            Code::UnknownLookupArg,
            "UNKNOWN_LOOKUP_ARG",
            "`lookup.id_from_arg` names no argument.",
        ),
        (
            Code::VisibleColumnsRequired,
            "VISIBLE_COLUMNS_REQUIRED",
            "`visible_columns` is not a non-empty list.",
        ),
        (
            Code::InvalidVisibleColumn,
            "INVALID_VISIBLE_COLUMN",
            "A visible column is not an identifier.",
        ),
        (
            Code::SecretColumnForbidden,
            "SECRET_COLUMN_FORBIDDEN",
            "A column whose name says that it holds a secret.",
        ),
        (
            Code::InvalidEvidence,
            "INVALID_EVIDENCE",
            "`evidence` is neither `required` nor `optional`.",
        ),
        (
            Code::InvalidMaxRows,
            "INVALID_MAX_ROWS",
            "`max_rows` is not a positive integer.",
        ),
        (
            Code::ProposalFieldOnRead,
            "PROPOSAL_FIELD_ON_READ",
            "Warning: a read capability has a member that only proposals use.",
        ),
        (
            Code::PatchRequired,
            "PATCH_REQUIRED",
            "A proposal changes nothing.",
        ),
        (
            Code::InvalidPatchColumn,
            "INVALID_PATCH_COLUMN",
            "A patched column is not an identifier.",
        ),
        (
            Code::PatchBindingNotObject,
            "PATCH_BINDING_NOT_OBJECT",
            "A member of `patch` is not an object.",
        ),
        (
            Code::InvalidPatchBinding,
            "INVALID_PATCH_BINDING",
            "A binding has not exactly one of `fixed` and `from_arg`, or `fixed` is no scalar.",
        ),
        (
            Code::InvalidPatchArg,
            "INVALID_PATCH_ARG",
            "`from_arg` is not a text.",
        ),
        (
            Code::UnknownPatchArg,
            "UNKNOWN_PATCH_ARG",
            "`from_arg` names no argument.",
        ),
        (
            Code::PatchColumnNotAllowed,
            "PATCH_COLUMN_NOT_ALLOWED",
            "A patched column is not in `allowed_columns`.",
        ),
        (
            Code::PatchColumnNotVisible,
            "PATCH_COLUMN_NOT_VISIBLE",
            "Warning: nobody sees the old value of a patched column.",
        ),
        (
            Code::FixedValueOutOfBounds,
            "FIXED_VALUE_OUT_OF_BOUNDS",
            "A fixed value violates the column's bounds.",
        ),
        (
            Code::FixedValueNotAllowed,
            "FIXED_VALUE_NOT_ALLOWED",
            "A fixed value that no transition leads to.",
        ),
        (
            Code::AllowedColumnsRequired,
            "ALLOWED_COLUMNS_REQUIRED",
            "`allowed_columns` is not a non-empty list.",
        ),
        (
            Code::InvalidAllowedColumn,
            "INVALID_ALLOWED_COLUMN",
            "An allowed column is not an identifier.",
        ),
        (
            Code::KeyColumnAllowed,
            "KEY_COLUMN_ALLOWED",
            "The primary key or the tenant key is in `allowed_columns`.",
        ),
        (
            Code::NumericBoundsNotObject,
            "NUMERIC_BOUNDS_NOT_OBJECT",
            "`numeric_bounds` is not an object.",
        ),
        (
            Code::InvalidNumericBoundColumn,
            "INVALID_NUMERIC_BOUND_COLUMN",
            "A bounded column is not an identifier.",
        ),
        (
            Code::NumericBoundPatchColumnRequired,
            "NUMERIC_BOUND_PATCH_COLUMN_REQUIRED",
            "A bounded column is not patched.",
        ),
        (
            Code::NumericBoundNotObject,
            "NUMERIC_BOUND_NOT_OBJECT",
            "A bound is not an object.",
        ),
        (
            Code::NumericBoundEmpty,
            "NUMERIC_BOUND_EMPTY",
            "A bound has neither minimum nor maximum.",
        ),
        (
            Code::TransitionGuardsNotObject,
            "TRANSITION_GUARDS_NOT_OBJECT",
            "`transition_guards` is not an object.",
        ),
        (
            Code::InvalidTransitionGuardColumn,
            "INVALID_TRANSITION_GUARD_COLUMN",
            "A guarded column is not an identifier.",
        ),
        (
            Code::TransitionPatchColumnRequired,
            "TRANSITION_PATCH_COLUMN_REQUIRED",
            "A guarded column is not patched.",
        ),
        (
            Code::TransitionGuardNotObject,
            "TRANSITION_GUARD_NOT_OBJECT",
            "A transition guard is not an object.",
        ),
        (
            Code::InvalidTransitionFromColumn,
            "INVALID_TRANSITION_FROM_COLUMN",
            "`from_column` is not an identifier.",
        ),
        (
            Code::TransitionFromColumnNotVisible,
            "TRANSITION_FROM_COLUMN_NOT_VISIBLE",
            "The column that holds the current state is not read.",
        ),
        (
            Code::TransitionAllowedRequired,
            "TRANSITION_ALLOWED_REQUIRED",
            "`allowed` is not a non-empty object.",
        ),
        (
            Code::TransitionFromRequired,
            "TRANSITION_FROM_REQUIRED",
            "A current state is empty.",
        ),
        (
            Code::TransitionToValuesRequired,
            "TRANSITION_TO_VALUES_REQUIRED",
            "A list of target states is empty or has an empty member.",
        ),
        (
            Code::ConflictGuardRequired,
            "CONFLICT_GUARD_REQUIRED",
            "A proposal has no conflict guard.",
        ),
        (
            Code::ConflictGuardColumnRequired,
            "CONFLICT_GUARD_COLUMN_REQUIRED",
            "A conflict guard has neither a column nor the acknowledgement of a weak guard.",
        ),
        (
            Code::InvalidWeakGuardAck,
            "INVALID_WEAK_GUARD_ACK",
            "`weak_guard_ack` is not a boolean.",
        ),
        (
            Code::ApprovalNotObject,
            "APPROVAL_NOT_OBJECT",
            "`approval` is not an object.",
        ),
        (
            Code::InvalidApprovalMode,
            "INVALID_APPROVAL_MODE",
            "`approval.mode` is not `human`.",
        ),
        (
            Code::InvalidRequiredRole,
            "INVALID_REQUIRED_ROLE",
            "`approval.required_role` is not the name of a role.",
        ),
        (
            Code::InvalidApprovalQuorum,
            "INVALID_APPROVAL_QUORUM",
            "`approval.quorum` is not an integer from 1 to 5.",
        ),
        (
            Code::InvalidDbManaged,
            "INVALID_DB_MANAGED",
            "`db_managed` is not a list of identifiers.",
        ),
        (
            Code::DbManagedColumnPatched,
            "DB_MANAGED_COLUMN_PATCHED",
            "A column that the database manages is patched or allowed.",
        ),
        (
            Code::CloudConfigOnlyForCloudMode,
            "CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE",
            "`cloud` outside mode `cloud`.",
        ),
        (
            Code::CloudConfigRequired,
            "CLOUD_CONFIG_REQUIRED",
            "Mode `cloud` without the object `cloud`.",
        ),
        (
            Code::CloudBaseUrlEnvRequired,
            "CLOUD_BASE_URL_ENV_REQUIRED",
            "`cloud.base_url_env` is not the name of a variable.",
        ),
        (
            Code::CloudRunnerTokenEnvRequired,
            "CLOUD_RUNNER_TOKEN_ENV_REQUIRED",
            "`cloud.runner_token_env` is not the name of a variable.",
        ),
        (
            Code::CloudAdapterIdRequired,
            "CLOUD_ADAPTER_ID_REQUIRED",
            "`cloud.adapter_id` is not a text.",
        ),
        (
            Code::InvalidCloudSourceId,
            "INVALID_CLOUD_SOURCE_ID",
            "`cloud.source_id` is empty or not a text.",
        ),
        (
            Code::InvalidCloudRunnerId,
            "INVALID_CLOUD_RUNNER_ID",
            "`cloud.runner_id` is empty or not a text.",
        ),
        (
            Code::InvalidCloudRunnerVersion,
            "INVALID_CLOUD_RUNNER_VERSION",
            "`cloud.runner_version` is empty or not a text.",
        ),
        (
            Code::InvalidCloudProjectId,
            "INVALID_CLOUD_PROJECT_ID",
            "`cloud.project_id` is empty or not a text.",
        ),
        (
            Code::InvalidCloudEngines,
            "INVALID_CLOUD_ENGINES",
            "`cloud.engines` is not a non-empty list of engines.",
        ),
        (
            Code::InvalidCloudCapabilities,
            "INVALID_CLOUD_CAPABILITIES",
            "`cloud.capabilities` is not a non-empty list of texts.",
        ),
        (
            Code::InvalidCloudSession,
            "INVALID_CLOUD_SESSION",
            "`cloud.session` is not an object.",
        ),
        (
            Code::InlineDatabaseUrlForbidden,
            "INLINE_DATABASE_URL_FORBIDDEN",
            "A connection URL, or a key that invites one, stands in the file.",
        ),
        (
            Code::InlineSecretForbidden,
            "INLINE_SECRET_FORBIDDEN",
            "A token or a private key stands in the file.",
        ),
        (
            Code::ArbitrarySqlForbidden,
            "ARBITRARY_SQL_FORBIDDEN",
            "A key that invites SQL stands in the file.",
        ),
        (
            Code::ResultFormatDefault,
            "RESULT_FORMAT_DEFAULT",
            "Warning: `result_format` is absent, so results have format 1.",
        ),
        (
            Code::CloudModeNotAvailable,
            "CLOUD_MODE_NOT_AVAILABLE",
            "Mode `cloud` is validated but no process runs it.",
        ),
        (
            Code::TrustedContextUnsupported,
            "TRUSTED_CONTEXT_UNSUPPORTED",
            "A provider that is validated but that no process resolves yet.",
        ),
    ];

    /// The stable name, for example `UNKNOWN_FIELD`.
    pub fn as_str(self) -> &'static str {
        // The list stands in the order of the variants, which a test holds.
        Self::ALL[self as usize].1
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_every_code_at_its_own_place() {
        for (index, (code, name, _)) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index, "{name}");
        }
    }
}
