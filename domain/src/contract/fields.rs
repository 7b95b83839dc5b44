//! Keys of every object of the file. Validator and published schema are both checked against these lists.

pub(super) const TOP_LEVEL: &[&str] = &[
    "$schema",
    "version",
    "mode",
    "result_format",
    "strict",
    "storage",
    "sources",
    "trusted_context",
    "contexts",
    "executors",
    "capabilities",
    "cloud",
];
pub(super) const STORAGE: &[&str] = &["sqlite_path"];
pub(super) const SOURCE: &[&str] = &[
    "engine",
    "read_url_env",
    "write_url_env",
    "read_only",
    "statement_timeout_ms",
    "max_connections",
    "ssl",
    "receipt_schema",
    "receipt_table",
    "galera_single_writer_ack",
    "on_failover",
];
pub(super) const SSL: &[&str] = &["mode", "ca_env", "cert_env", "key_env"];
pub(super) const CONTEXT: &[&str] = &["provider", "values"];
pub(super) const CONTEXT_VALUES: &[&str] = &[
    "tenant_id_env",
    "principal_env",
    "tenant_id",
    "principal",
    "issuer",
    "jwks_url",
    "algorithms",
    "tenant_claim",
    "principal_claim",
    "read_scope",
    "propose_scope",
    "token_lifetime_seconds",
    "audience",
    "resource",
    "accept",
    "scope_claim",
    "scope_when_absent",
    "client_id_claim",
    "require_jti",
    "audience_mode",
    "max_lifetime_seconds",
];
/// Members of `values` that contexts of access tokens do not read: claims give their tenant and principal.
pub(super) const CONTEXT_VALUES_WITHOUT_TOKEN: &[&str] =
    &["tenant_id_env", "principal_env", "tenant_id", "principal"];
pub(super) const TOKEN_ACCEPT: &[&str] = &["typ", "header"];
pub(super) const EXECUTOR: &[&str] = &[
    "type",
    "url_env",
    "method",
    "auth",
    "signing_secret_env",
    "timeout_ms",
    "command_env",
];
pub(super) const EXECUTOR_AUTH: &[&str] = &["type", "token_env"];
pub(super) const MAX_CHARS: &str = "max_chars";
pub(super) const CAPABILITY: &[&str] = &[
    "name",
    "kind",
    "description",
    "returns_hint",
    "source",
    "context",
    "executor",
    "target",
    "args",
    "lookup",
    "visible_columns",
    MAX_CHARS,
    "evidence",
    "max_rows",
    "patch",
    "allowed_columns",
    "numeric_bounds",
    "transition_guards",
    "conflict_guard",
    "approval",
    "db_managed",
    "side_effects_ack",
    "single_tenant_dev_ack",
];
/// Members of a capability that mean something only on a proposal.
pub(super) const PROPOSAL_ONLY: &[&str] = &[
    "executor",
    "patch",
    "allowed_columns",
    "numeric_bounds",
    "transition_guards",
    "conflict_guard",
    "approval",
    "db_managed",
    "side_effects_ack",
];
pub(super) const TARGET: &[&str] = &[
    "schema",
    "table",
    "primary_key",
    "tenant_key",
    "single_tenant_dev",
];
pub(super) const ARG: &[&str] = &[
    "type",
    "description",
    "required",
    "max_length",
    "minimum",
    "maximum",
    "enum",
];
pub(super) const LOOKUP: &[&str] = &["id_from_arg", "key_from_args"];
pub(super) const BINDING: &[&str] = &["fixed", "from_arg", "when_absent"];
pub(super) const BOUND: &[&str] = &["minimum", "maximum"];
pub(super) const TRANSITION: &[&str] = &["from_column", "allowed"];
pub(super) const CONFLICT_GUARD: &[&str] = &["column", "weak_guard_ack", "advance"];
pub(super) const APPROVAL: &[&str] = &["mode", "required_role", "quorum"];
pub(super) const SIDE_EFFECT_ACK: &[&str] = &["name", "digest", "functions", "writes"];
pub(super) const SIDE_EFFECT_WRITE: &[&str] = &["table", "rows"];
pub(super) const CLOUD: &[&str] = &[
    "base_url_env",
    "runner_token_env",
    "adapter_id",
    "source_id",
    "runner_id",
    "runner_version",
    "project_id",
    "engines",
    "capabilities",
    "session",
];
