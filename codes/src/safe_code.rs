//! The codes that agents see. Every other code maps to one of them.

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
    /// The row exceeds the size limit.
    RowTooLarge,
    /// A value of the row cannot be read exactly.
    ValueUnreadable,
    /// The tool changes a column that stores no value unchanged.
    ColumnNotWritable,
    /// Proposals are disabled in this mode.
    ApprovalRequired,
    /// Database or ledger is unreachable.
    TemporarilyUnavailable,
    /// Any other error; only the operator's records hold the details.
    Internal,
}

impl SafeCode {
    pub const ALL: [SafeCode; 12] = [
        SafeCode::NotFoundInTenant,
        SafeCode::InvalidArgument,
        SafeCode::PolicyViolation,
        SafeCode::CapabilityNotFound,
        SafeCode::VersionConflict,
        SafeCode::MultiRowBlocked,
        SafeCode::RowTooLarge,
        SafeCode::ValueUnreadable,
        SafeCode::ColumnNotWritable,
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
            SafeCode::RowTooLarge => "ROW_TOO_LARGE",
            SafeCode::ValueUnreadable => "VALUE_UNREADABLE",
            SafeCode::ColumnNotWritable => "COLUMN_NOT_WRITABLE",
            SafeCode::ApprovalRequired => "APPROVAL_REQUIRED",
            SafeCode::TemporarilyUnavailable => "TEMPORARILY_UNAVAILABLE",
            SafeCode::Internal => "INTERNAL",
        }
    }

    /// Returns true if the same call may succeed later with the same arguments.
    pub const fn retryable(self) -> bool {
        matches!(self, SafeCode::TemporarilyUnavailable)
    }

    /// Returns the fixed sentence for codes whose own message must stay inside.
    pub const fn sentence(self) -> &'static str {
        match self {
            SafeCode::NotFoundInTenant => {
                "No row with this key exists for the trusted tenant; pass the key exactly as the data has it, with its \
                 case, blanks, and leading and trailing zeros."
            }
            SafeCode::InvalidArgument => "An argument is invalid.",
            SafeCode::PolicyViolation => "The proposed change is outside what was reviewed.",
            SafeCode::CapabilityNotFound => "The tool does not exist; call one that tools/list names.",
            SafeCode::VersionConflict => "The row has changed; read it again.",
            SafeCode::MultiRowBlocked => {
                "The key identifies more than one row; the operator has to choose a unique key."
            }
            SafeCode::RowTooLarge => {
                "The row exceeds the size limit; the operator has to show fewer columns."
            }
            SafeCode::ValueUnreadable => {
                "A value of the row cannot be read exactly; the operator has to leave its column out of the tool."
            }
            SafeCode::ColumnNotWritable => {
                "The tool changes a column to which no value can be written; the operator has to leave it out of the tool."
            }
            SafeCode::ApprovalRequired => "Proposals are disabled here; only reads are available.",
            SafeCode::TemporarilyUnavailable => {
                "The database or the ledger cannot be reached now; try again later."
            }
            SafeCode::Internal => "The call failed; the operator finds the cause under the correlation id.",
        }
    }
}
