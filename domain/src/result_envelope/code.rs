//! Nine error codes for agents, and the only mapping from all other codes to them.

/// Error code that is safe to show to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SafeCode {
    /// No such row for this tenant; reveals nothing about rows of other tenants.
    NotFoundInTenant,
    /// Invalid input, or a trusted binding that the operator has not set.
    InvalidArgument,
    /// Outside bounds, transitions or guards.
    PolicyViolation,
    /// No such tool.
    CapabilityNotFound,
    /// The row changed; read it again.
    VersionConflict,
    /// Something other than exactly one row was found.
    MultiRowBlocked,
    /// Proposals are disabled in this mode.
    ApprovalRequired,
    /// Database or ledger is unreachable.
    TemporarilyUnavailable,
    /// Any other error; only the operator's records hold the details.
    Internal,
}

impl SafeCode {
    pub const ALL: [SafeCode; 9] = [
        SafeCode::NotFoundInTenant,
        SafeCode::InvalidArgument,
        SafeCode::PolicyViolation,
        SafeCode::CapabilityNotFound,
        SafeCode::VersionConflict,
        SafeCode::MultiRowBlocked,
        SafeCode::ApprovalRequired,
        SafeCode::TemporarilyUnavailable,
        SafeCode::Internal,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            SafeCode::NotFoundInTenant => "NOT_FOUND_IN_TENANT",
            SafeCode::InvalidArgument => "INVALID_ARGUMENT",
            SafeCode::PolicyViolation => "POLICY_VIOLATION",
            SafeCode::CapabilityNotFound => "CAPABILITY_NOT_FOUND",
            SafeCode::VersionConflict => "VERSION_CONFLICT",
            SafeCode::MultiRowBlocked => "MULTI_ROW_BLOCKED",
            SafeCode::ApprovalRequired => "APPROVAL_REQUIRED",
            SafeCode::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            SafeCode::Internal => "INTERNAL",
        }
    }

    /// Returns true if the same call may succeed later with the same arguments.
    pub const fn retryable(self) -> bool {
        matches!(self, SafeCode::TemporarilyUnavailable)
    }

    /// Returns the safe code for any code of this program; unlisted codes map to `INTERNAL`.
    pub fn of(code: &str) -> Self {
        if let Some(safe) = Self::ALL.into_iter().find(|safe| safe.as_str() == code) {
            return safe;
        }
        if code.starts_with("ARGUMENT") {
            return SafeCode::InvalidArgument;
        }
        if code.starts_with("PATCH_") {
            return SafeCode::PolicyViolation;
        }
        match code {
            "ROW_NOT_FOUND" => SafeCode::NotFoundInTenant,
            "LOOKUP_ARG_MISSING"
            | "MODEL_CANNOT_OVERRIDE_BINDING"
            | "TENANT_CLAIM_MISSING"
            | "PRINCIPAL_CLAIM_MISSING"
            | "TRUSTED_BINDING_MISSING"
            | "TRUSTED_CONTEXT_MISSING" => SafeCode::InvalidArgument,
            "VALUE_DOES_NOT_FIT" => SafeCode::InvalidArgument,
            "CONFLICT_GUARD_MISSING"
            | "CONFLICT_GUARD_NULL"
            | "CONFLICT_GUARD_OVERFLOW"
            | "CONFLICT_GUARD_UNFIT"
            | "WEAK_GUARD_INEXACT_COLUMN"
            | "OPEN_PROPOSALS_EXCEEDED"
            | "PLAN_IMPOSSIBLE"
            | "PROPOSAL_TOO_LARGE"
            | "SIDE_EFFECT_ACK_STALE"
            | "SIDE_EFFECT_NOT_ACKNOWLEDGEABLE"
            | "SIDE_EFFECT_NOT_ACKNOWLEDGED"
            | "SECRET_MATERIAL_REJECTED" => SafeCode::PolicyViolation,
            "MCP_TOOL_NOT_FOUND" => SafeCode::CapabilityNotFound,
            "PROPOSALS_DISABLED" => SafeCode::ApprovalRequired,
            "LOCAL_STORE_UNAVAILABLE"
            | "SOURCE_CREDENTIAL_MISSING"
            | "SOURCE_UNAVAILABLE"
            | "SOURCE_TIMEOUT"
            | "DATABASE_UNAVAILABLE"
            | "LEDGER_UNAVAILABLE"
            | "STORE_UNAVAILABLE"
            | "STORE_BUSY"
            | "TOKEN_KEYS_UNAVAILABLE"
            | "EXECUTOR_UNAVAILABLE" => SafeCode::TemporarilyUnavailable,
            _ => SafeCode::Internal,
        }
    }

    /// Returns the fixed sentence for codes whose own message must stay inside.
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            SafeCode::NotFoundInTenant => "No row with this key exists for the trusted tenant.",
            SafeCode::InvalidArgument => "An argument is invalid.",
            SafeCode::PolicyViolation => "The proposed change is outside what was reviewed.",
            SafeCode::CapabilityNotFound => "The tool does not exist.",
            SafeCode::VersionConflict => "The row has changed; read it again.",
            SafeCode::MultiRowBlocked => "The key does not identify exactly one row.",
            SafeCode::ApprovalRequired => "Proposals are disabled here.",
            SafeCode::TemporarilyUnavailable => {
                "The database or the ledger cannot be reached now; try again later."
            }
            SafeCode::Internal => "The call failed; the operator finds details under the correlation id.",
        }
    }
}
