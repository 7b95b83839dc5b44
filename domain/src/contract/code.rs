//! Stable codes of all contract errors and warnings; the only list of them.
//! The checks that report them hold wording and fixes.

use std::fmt;

/// Error or warning of a contract. [`ContractErrorCode::as_str`] is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContractErrorCode {
    /// The file is not JSON, has a key twice in one object, or nests too deep.
    ConfigNotJson,
    /// The file has more than 1 MiB.
    ConfigTooLarge,
    /// The file's JSON is not an object.
    ConfigNotObject,
    /// `version` is not 1.
    UnsupportedConfigVersion,
    /// `$schema` is not a string.
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
    InvalidReceiptTable,
    /// `galera_single_writer_ack` is not a boolean, or the source is not MySQL.
    InvalidGaleraAck,
    /// A direct proposal on a source that is never written.
    ReadOnlySourceDirectWriteback,
    /// Warning: a direct proposal on a source without a write URL.
    WritebackDisabled,
    /// No trusted context is defined.
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
    /// Warning: `static_dev` binds all callers to the same tenant.
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
    /// `description` is empty or not a string.
    InvalidCapabilityDescription,
    /// `returns_hint` is empty or not a string.
    InvalidReturnsHint,
    /// A capability names a source that does not exist.
    UnknownSource,
    /// A capability names a context that does not exist.
    UnknownContext,
    /// `executor` of a capability is not a string.
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
    /// An argument would let the model set a value that only the owner may set.
    ModelControlledReservedArg,
    /// An argument whose name says that it carries a secret.
    SecretArgForbidden,
    /// An argument is not an object.
    ArgNotObject,
    /// `type` of an argument is not one that exists.
    InvalidArgType,
    /// `description` of an argument is empty or not a string.
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
    /// A member of `enum` that is invalid for the argument.
    ArgEnumTypeMismatch,
    /// A capability has no `lookup`.
    LookupRequired,
    /// `lookup.id_from_arg` is not a string.
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
    /// A binding has not exactly one of `fixed` and `from_arg`, or `fixed` is not a scalar.
    InvalidPatchBinding,
    /// `from_arg` is not a string.
    InvalidPatchArg,
    /// `from_arg` names no argument.
    UnknownPatchArg,
    /// A patched column is not in `allowed_columns`.
    PatchColumnNotAllowed,
    /// Warning: the old value of a patched column is not visible.
    PatchColumnNotVisible,
    /// A fixed value violates the column's bounds.
    FixedValueOutOfBounds,
    /// A fixed value that no transition reaches.
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
    /// Warning: by the contract alone a changed row can look unchanged.
    ConflictGuardWeak,
    /// `conflict_guard.advance` is not a known value.
    InvalidGuardAdvance,
    /// `advance` on a guard without a column.
    GuardAdvanceColumnRequired,
    /// `advance` on `xmin`, which only PostgreSQL can change.
    GuardAdvanceXmin,
    /// `advance` on a key.
    GuardAdvanceKey,
    /// The column that the writer advances is patched or allowed as well.
    GuardAdvanceColumnPatched,
    /// The column that the writer advances is managed by the database as well.
    GuardAdvanceDbManaged,
    /// `advance` on a row that a handler changes.
    GuardAdvanceHandler,
    /// `xmin` is the guard of a source that is not PostgreSQL.
    XminGuardEngine,
    /// `xmin` of a PostgreSQL table is used other than as a guard.
    XminNotGuard,
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
    /// `side_effects_ack` is not a list of 1 to 16 objects.
    InvalidSideEffectsAck,
    /// Code of the table is acknowledged for a row that a handler changes.
    SideEffectsAckHandler,
    /// `name` of an acknowledgement is not a printable name.
    InvalidSideEffectName,
    /// `digest` of an acknowledgement is not a digest.
    InvalidSideEffectDigest,
    /// `functions` of an acknowledgement is not a list of different names.
    InvalidSideEffectFunctions,
    /// `writes` of an acknowledgement is not a list of different tables with numbers of rows.
    InvalidSideEffectWrites,
    /// The same definition is acknowledged twice.
    DuplicateSideEffect,
    /// `cloud` outside mode `cloud`.
    CloudConfigOnlyForCloudMode,
    /// Mode `cloud` without the object `cloud`.
    CloudConfigRequired,
    /// `cloud.base_url_env` is not the name of a variable.
    CloudBaseUrlEnvRequired,
    /// `cloud.runner_token_env` is not the name of a variable.
    CloudRunnerTokenEnvRequired,
    /// `cloud.adapter_id` is not a string.
    CloudAdapterIdRequired,
    /// `cloud.source_id` is empty or not a string.
    InvalidCloudSourceId,
    /// `cloud.runner_id` is empty or not a string.
    InvalidCloudRunnerId,
    /// `cloud.runner_version` is empty or not a string.
    InvalidCloudRunnerVersion,
    /// `cloud.project_id` is empty or not a string.
    InvalidCloudProjectId,
    /// `cloud.engines` is not a non-empty list of engines.
    InvalidCloudEngines,
    /// `cloud.capabilities` is not a non-empty list of strings.
    InvalidCloudCapabilities,
    /// `cloud.session` is not an object.
    InvalidCloudSession,
    /// The file contains a connection URL, or a key meant for one.
    InlineDatabaseUrlForbidden,
    /// The file contains a token or a private key.
    InlineSecretForbidden,
    /// The file contains a key meant for SQL.
    ArbitrarySqlForbidden,
    /// Warning: `result_format` is absent, so results have format 1.
    ResultFormatDefault,
    /// Mode `cloud` is validated but no process runs it.
    CloudModeNotAvailable,
    /// A provider that is validated but not yet supported by any process.
    TrustedContextUnsupported,
    /// A context of provider `http_claims` has no token policy.
    HttpClaimsIncomplete,
    /// Some contexts come from access tokens and others do not, or from tokens of different issuers.
    ContextsMixed,
}

impl ContractErrorCode {
    /// Every code with its stable name, in the order of the file's parts.
    pub const ALL: &[(ContractErrorCode, &str)] = &[
        (ContractErrorCode::ConfigNotJson, "CONFIG_NOT_JSON"),
        (ContractErrorCode::ConfigTooLarge, "CONFIG_TOO_LARGE"),
        (ContractErrorCode::ConfigNotObject, "CONFIG_NOT_OBJECT"),
        (
            ContractErrorCode::UnsupportedConfigVersion,
            "UNSUPPORTED_CONFIG_VERSION",
        ),
        (
            ContractErrorCode::InvalidSchemaReference,
            "INVALID_SCHEMA_REFERENCE",
        ),
        (ContractErrorCode::InvalidMode, "INVALID_MODE"),
        (ContractErrorCode::InvalidResultFormat, "INVALID_RESULT_FORMAT"),
        (ContractErrorCode::InvalidStrict, "INVALID_STRICT"),
        (ContractErrorCode::UnknownField, "UNKNOWN_FIELD"),
        (ContractErrorCode::StorageNotObject, "STORAGE_NOT_OBJECT"),
        (ContractErrorCode::InvalidSqlitePath, "INVALID_SQLITE_PATH"),
        (ContractErrorCode::SourcesRequired, "SOURCES_REQUIRED"),
        (ContractErrorCode::UnsafeSourceName, "UNSAFE_SOURCE_NAME"),
        (ContractErrorCode::SourceNotObject, "SOURCE_NOT_OBJECT"),
        (ContractErrorCode::InvalidSourceEngine, "INVALID_SOURCE_ENGINE"),
        (ContractErrorCode::ReadUrlEnvRequired, "READ_URL_ENV_REQUIRED"),
        (ContractErrorCode::InvalidWriteUrlEnv, "INVALID_WRITE_URL_ENV"),
        (
            ContractErrorCode::InvalidSourceReadOnly,
            "INVALID_SOURCE_READ_ONLY",
        ),
        (ContractErrorCode::InvalidTimeout, "INVALID_TIMEOUT"),
        (ContractErrorCode::InvalidSsl, "INVALID_SSL"),
        (ContractErrorCode::InvalidReceiptTable, "INVALID_RECEIPT_TABLE"),
        (
            ContractErrorCode::InvalidGaleraAck,
            "INVALID_GALERA_SINGLE_WRITER_ACK",
        ),
        (
            ContractErrorCode::ReadOnlySourceDirectWriteback,
            "READ_ONLY_SOURCE_DIRECT_WRITEBACK",
        ),
        (ContractErrorCode::WritebackDisabled, "WRITEBACK_DISABLED"),
        (
            ContractErrorCode::TrustedContextRequired,
            "TRUSTED_CONTEXT_REQUIRED",
        ),
        (
            ContractErrorCode::TrustedContextNotObject,
            "TRUSTED_CONTEXT_NOT_OBJECT",
        ),
        (ContractErrorCode::ContextsNotObject, "CONTEXTS_NOT_OBJECT"),
        (ContractErrorCode::InvalidContextName, "INVALID_CONTEXT_NAME"),
        (
            ContractErrorCode::InvalidContextProvider,
            "INVALID_CONTEXT_PROVIDER",
        ),
        (
            ContractErrorCode::ContextValuesNotObject,
            "CONTEXT_VALUES_NOT_OBJECT",
        ),
        (ContractErrorCode::InvalidContextValue, "INVALID_CONTEXT_VALUE"),
        (ContractErrorCode::UnknownContextValue, "UNKNOWN_CONTEXT_VALUE"),
        (ContractErrorCode::StaticDevContext, "STATIC_DEV_CONTEXT"),
        (ContractErrorCode::ExecutorsNotObject, "EXECUTORS_NOT_OBJECT"),
        (ContractErrorCode::InvalidExecutorName, "INVALID_EXECUTOR_NAME"),
        (ContractErrorCode::ExecutorNotObject, "EXECUTOR_NOT_OBJECT"),
        (ContractErrorCode::InvalidExecutorType, "INVALID_EXECUTOR_TYPE"),
        (
            ContractErrorCode::HandlerUrlEnvRequired,
            "HANDLER_URL_ENV_REQUIRED",
        ),
        (ContractErrorCode::InvalidHandlerMethod, "INVALID_HANDLER_METHOD"),
        (
            ContractErrorCode::ExecutorAuthNotObject,
            "EXECUTOR_AUTH_NOT_OBJECT",
        ),
        (ContractErrorCode::InvalidExecutorAuth, "INVALID_EXECUTOR_AUTH"),
        (
            ContractErrorCode::ExecutorTokenEnvRequired,
            "EXECUTOR_TOKEN_ENV_REQUIRED",
        ),
        (
            ContractErrorCode::HandlerSigningSecretEnvInvalid,
            "HANDLER_SIGNING_SECRET_ENV_INVALID",
        ),
        (
            ContractErrorCode::InvalidHandlerTimeout,
            "INVALID_HANDLER_TIMEOUT",
        ),
        (ContractErrorCode::CommandEnvRequired, "COMMAND_ENV_REQUIRED"),
        (
            ContractErrorCode::ExecutorInvalidInReadOnly,
            "EXECUTOR_INVALID_IN_READ_ONLY",
        ),
        (ContractErrorCode::CapabilitiesRequired, "CAPABILITIES_REQUIRED"),
        (ContractErrorCode::CapabilityNotObject, "CAPABILITY_NOT_OBJECT"),
        (
            ContractErrorCode::InvalidCapabilityName,
            "INVALID_CAPABILITY_NAME",
        ),
        (
            ContractErrorCode::DuplicateCapabilityName,
            "DUPLICATE_CAPABILITY_NAME",
        ),
        (
            ContractErrorCode::InvalidCapabilityKind,
            "INVALID_CAPABILITY_KIND",
        ),
        (
            ContractErrorCode::InvalidCapabilityDescription,
            "INVALID_CAPABILITY_DESCRIPTION",
        ),
        (ContractErrorCode::InvalidReturnsHint, "INVALID_RETURNS_HINT"),
        (ContractErrorCode::UnknownSource, "UNKNOWN_SOURCE"),
        (ContractErrorCode::UnknownContext, "UNKNOWN_CONTEXT"),
        (
            ContractErrorCode::InvalidExecutorReference,
            "INVALID_EXECUTOR_REFERENCE",
        ),
        (ContractErrorCode::UnknownExecutor, "UNKNOWN_EXECUTOR"),
        (ContractErrorCode::TargetRequired, "TARGET_REQUIRED"),
        (
            ContractErrorCode::InvalidTargetIdentifier,
            "INVALID_TARGET_IDENTIFIER",
        ),
        (ContractErrorCode::InvalidTargetSchema, "INVALID_TARGET_SCHEMA"),
        (ContractErrorCode::TenantGuardRequired, "TENANT_GUARD_REQUIRED"),
        (
            ContractErrorCode::InvalidSingleTenantDev,
            "INVALID_SINGLE_TENANT_DEV",
        ),
        (
            ContractErrorCode::SingleTenantDevException,
            "SINGLE_TENANT_DEV_EXCEPTION",
        ),
        (
            ContractErrorCode::SingleTenantDevDirectWriteback,
            "SINGLE_TENANT_DEV_DIRECT_WRITEBACK",
        ),
        (
            ContractErrorCode::InvalidSingleTenantDevAck,
            "INVALID_SINGLE_TENANT_DEV_ACK",
        ),
        (ContractErrorCode::ArgsRequired, "ARGS_REQUIRED"),
        (ContractErrorCode::InvalidArgName, "INVALID_ARG_NAME"),
        (
            ContractErrorCode::ModelControlledReservedArg,
            "MODEL_CONTROLLED_RESERVED_ARG",
        ),
        (ContractErrorCode::SecretArgForbidden, "SECRET_ARG_FORBIDDEN"),
        (ContractErrorCode::ArgNotObject, "ARG_NOT_OBJECT"),
        (ContractErrorCode::InvalidArgType, "INVALID_ARG_TYPE"),
        (
            ContractErrorCode::InvalidArgDescription,
            "INVALID_ARG_DESCRIPTION",
        ),
        (ContractErrorCode::InvalidArgRequired, "INVALID_ARG_REQUIRED"),
        (ContractErrorCode::InvalidMaxLength, "INVALID_MAX_LENGTH"),
        (
            ContractErrorCode::NumericBoundsRequireNumber,
            "NUMERIC_BOUNDS_REQUIRE_NUMBER",
        ),
        (ContractErrorCode::InvalidMinimum, "INVALID_MINIMUM"),
        (ContractErrorCode::InvalidMaximum, "INVALID_MAXIMUM"),
        (ContractErrorCode::InvalidNumericRange, "INVALID_NUMERIC_RANGE"),
        (ContractErrorCode::InvalidArgEnum, "INVALID_ARG_ENUM"),
        (ContractErrorCode::ArgEnumTypeMismatch, "ARG_ENUM_TYPE_MISMATCH"),
        (ContractErrorCode::LookupRequired, "LOOKUP_REQUIRED"),
        (ContractErrorCode::LookupArgRequired, "LOOKUP_ARG_REQUIRED"),
        (ContractErrorCode::UnknownLookupArg, "UNKNOWN_LOOKUP_ARG"),
        (
            ContractErrorCode::VisibleColumnsRequired,
            "VISIBLE_COLUMNS_REQUIRED",
        ),
        (ContractErrorCode::InvalidVisibleColumn, "INVALID_VISIBLE_COLUMN"),
        (
            ContractErrorCode::SecretColumnForbidden,
            "SECRET_COLUMN_FORBIDDEN",
        ),
        (ContractErrorCode::InvalidEvidence, "INVALID_EVIDENCE"),
        (ContractErrorCode::InvalidMaxRows, "INVALID_MAX_ROWS"),
        (ContractErrorCode::ProposalFieldOnRead, "PROPOSAL_FIELD_ON_READ"),
        (ContractErrorCode::PatchRequired, "PATCH_REQUIRED"),
        (ContractErrorCode::InvalidPatchColumn, "INVALID_PATCH_COLUMN"),
        (
            ContractErrorCode::PatchBindingNotObject,
            "PATCH_BINDING_NOT_OBJECT",
        ),
        (ContractErrorCode::InvalidPatchBinding, "INVALID_PATCH_BINDING"),
        (ContractErrorCode::InvalidPatchArg, "INVALID_PATCH_ARG"),
        (ContractErrorCode::UnknownPatchArg, "UNKNOWN_PATCH_ARG"),
        (
            ContractErrorCode::PatchColumnNotAllowed,
            "PATCH_COLUMN_NOT_ALLOWED",
        ),
        (
            ContractErrorCode::PatchColumnNotVisible,
            "PATCH_COLUMN_NOT_VISIBLE",
        ),
        (
            ContractErrorCode::FixedValueOutOfBounds,
            "FIXED_VALUE_OUT_OF_BOUNDS",
        ),
        (ContractErrorCode::FixedValueNotAllowed, "FIXED_VALUE_NOT_ALLOWED"),
        (
            ContractErrorCode::AllowedColumnsRequired,
            "ALLOWED_COLUMNS_REQUIRED",
        ),
        (ContractErrorCode::InvalidAllowedColumn, "INVALID_ALLOWED_COLUMN"),
        (ContractErrorCode::KeyColumnAllowed, "KEY_COLUMN_ALLOWED"),
        (
            ContractErrorCode::NumericBoundsNotObject,
            "NUMERIC_BOUNDS_NOT_OBJECT",
        ),
        (
            ContractErrorCode::InvalidNumericBoundColumn,
            "INVALID_NUMERIC_BOUND_COLUMN",
        ),
        (
            ContractErrorCode::NumericBoundPatchColumnRequired,
            "NUMERIC_BOUND_PATCH_COLUMN_REQUIRED",
        ),
        (
            ContractErrorCode::NumericBoundNotObject,
            "NUMERIC_BOUND_NOT_OBJECT",
        ),
        (ContractErrorCode::NumericBoundEmpty, "NUMERIC_BOUND_EMPTY"),
        (
            ContractErrorCode::TransitionGuardsNotObject,
            "TRANSITION_GUARDS_NOT_OBJECT",
        ),
        (
            ContractErrorCode::InvalidTransitionGuardColumn,
            "INVALID_TRANSITION_GUARD_COLUMN",
        ),
        (
            ContractErrorCode::TransitionPatchColumnRequired,
            "TRANSITION_PATCH_COLUMN_REQUIRED",
        ),
        (
            ContractErrorCode::TransitionGuardNotObject,
            "TRANSITION_GUARD_NOT_OBJECT",
        ),
        (
            ContractErrorCode::InvalidTransitionFromColumn,
            "INVALID_TRANSITION_FROM_COLUMN",
        ),
        (
            ContractErrorCode::TransitionFromColumnNotVisible,
            "TRANSITION_FROM_COLUMN_NOT_VISIBLE",
        ),
        (
            ContractErrorCode::TransitionAllowedRequired,
            "TRANSITION_ALLOWED_REQUIRED",
        ),
        (
            ContractErrorCode::TransitionFromRequired,
            "TRANSITION_FROM_REQUIRED",
        ),
        (
            ContractErrorCode::TransitionToValuesRequired,
            "TRANSITION_TO_VALUES_REQUIRED",
        ),
        (
            ContractErrorCode::ConflictGuardRequired,
            "CONFLICT_GUARD_REQUIRED",
        ),
        (
            ContractErrorCode::ConflictGuardColumnRequired,
            "CONFLICT_GUARD_COLUMN_REQUIRED",
        ),
        (ContractErrorCode::InvalidWeakGuardAck, "INVALID_WEAK_GUARD_ACK"),
        (ContractErrorCode::ConflictGuardWeak, "CONFLICT_GUARD_WEAK"),
        (ContractErrorCode::InvalidGuardAdvance, "INVALID_GUARD_ADVANCE"),
        (
            ContractErrorCode::GuardAdvanceColumnRequired,
            "GUARD_ADVANCE_COLUMN_REQUIRED",
        ),
        (ContractErrorCode::GuardAdvanceXmin, "GUARD_ADVANCE_XMIN"),
        (ContractErrorCode::GuardAdvanceKey, "GUARD_ADVANCE_KEY"),
        (
            ContractErrorCode::GuardAdvanceColumnPatched,
            "GUARD_ADVANCE_COLUMN_PATCHED",
        ),
        (
            ContractErrorCode::GuardAdvanceDbManaged,
            "GUARD_ADVANCE_DB_MANAGED",
        ),
        (ContractErrorCode::GuardAdvanceHandler, "GUARD_ADVANCE_HANDLER"),
        (ContractErrorCode::XminGuardEngine, "XMIN_GUARD_ENGINE"),
        (ContractErrorCode::XminNotGuard, "XMIN_NOT_GUARD"),
        (ContractErrorCode::ApprovalNotObject, "APPROVAL_NOT_OBJECT"),
        (ContractErrorCode::InvalidApprovalMode, "INVALID_APPROVAL_MODE"),
        (ContractErrorCode::InvalidRequiredRole, "INVALID_REQUIRED_ROLE"),
        (
            ContractErrorCode::InvalidApprovalQuorum,
            "INVALID_APPROVAL_QUORUM",
        ),
        (ContractErrorCode::InvalidDbManaged, "INVALID_DB_MANAGED"),
        (
            ContractErrorCode::DbManagedColumnPatched,
            "DB_MANAGED_COLUMN_PATCHED",
        ),
        (
            ContractErrorCode::InvalidSideEffectsAck,
            "INVALID_SIDE_EFFECTS_ACK",
        ),
        (
            ContractErrorCode::SideEffectsAckHandler,
            "SIDE_EFFECTS_ACK_HANDLER",
        ),
        (
            ContractErrorCode::InvalidSideEffectName,
            "INVALID_SIDE_EFFECT_NAME",
        ),
        (
            ContractErrorCode::InvalidSideEffectDigest,
            "INVALID_SIDE_EFFECT_DIGEST",
        ),
        (
            ContractErrorCode::InvalidSideEffectFunctions,
            "INVALID_SIDE_EFFECT_FUNCTIONS",
        ),
        (
            ContractErrorCode::InvalidSideEffectWrites,
            "INVALID_SIDE_EFFECT_WRITES",
        ),
        (ContractErrorCode::DuplicateSideEffect, "DUPLICATE_SIDE_EFFECT"),
        (
            ContractErrorCode::CloudConfigOnlyForCloudMode,
            "CLOUD_CONFIG_ONLY_FOR_CLOUD_MODE",
        ),
        (ContractErrorCode::CloudConfigRequired, "CLOUD_CONFIG_REQUIRED"),
        (
            ContractErrorCode::CloudBaseUrlEnvRequired,
            "CLOUD_BASE_URL_ENV_REQUIRED",
        ),
        (
            ContractErrorCode::CloudRunnerTokenEnvRequired,
            "CLOUD_RUNNER_TOKEN_ENV_REQUIRED",
        ),
        (
            ContractErrorCode::CloudAdapterIdRequired,
            "CLOUD_ADAPTER_ID_REQUIRED",
        ),
        (ContractErrorCode::InvalidCloudSourceId, "INVALID_CLOUD_SOURCE_ID"),
        (ContractErrorCode::InvalidCloudRunnerId, "INVALID_CLOUD_RUNNER_ID"),
        (
            ContractErrorCode::InvalidCloudRunnerVersion,
            "INVALID_CLOUD_RUNNER_VERSION",
        ),
        (
            ContractErrorCode::InvalidCloudProjectId,
            "INVALID_CLOUD_PROJECT_ID",
        ),
        (ContractErrorCode::InvalidCloudEngines, "INVALID_CLOUD_ENGINES"),
        (
            ContractErrorCode::InvalidCloudCapabilities,
            "INVALID_CLOUD_CAPABILITIES",
        ),
        (ContractErrorCode::InvalidCloudSession, "INVALID_CLOUD_SESSION"),
        (
            ContractErrorCode::InlineDatabaseUrlForbidden,
            "INLINE_DATABASE_URL_FORBIDDEN",
        ),
        (
            ContractErrorCode::InlineSecretForbidden,
            "INLINE_SECRET_FORBIDDEN",
        ),
        (
            ContractErrorCode::ArbitrarySqlForbidden,
            "ARBITRARY_SQL_FORBIDDEN",
        ),
        (ContractErrorCode::ResultFormatDefault, "RESULT_FORMAT_DEFAULT"),
        (
            ContractErrorCode::CloudModeNotAvailable,
            "CLOUD_MODE_NOT_AVAILABLE",
        ),
        (
            ContractErrorCode::TrustedContextUnsupported,
            "TRUSTED_CONTEXT_UNSUPPORTED",
        ),
        (ContractErrorCode::HttpClaimsIncomplete, "HTTP_CLAIMS_INCOMPLETE"),
        (ContractErrorCode::ContextsMixed, "CONTEXTS_MIXED"),
    ];

    /// The stable name, for example `UNKNOWN_FIELD`.
    pub fn as_str(self) -> &'static str {
        // The list is in the order of the variants; a test checks this.
        Self::ALL[self as usize].1
    }
}

impl fmt::Display for ContractErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_every_code_at_its_own_place() {
        for (index, (code, name)) in ContractErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index, "{name}");
        }
    }
}
