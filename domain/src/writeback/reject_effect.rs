//! Effect of a rejection on a writer.

/// What a writer did with a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectEffect {
    /// A tombstone is committed.
    Tombstoned,
    /// The proposal had ended before.
    AlreadyFinal,
    /// An attempt is past the point of no return.
    CommitInProgress,
    /// The database does not take the tombstone now; this writer does not apply the proposal, and retries.
    BlockedLocally,
}

impl RejectEffect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tombstoned => "tombstoned",
            Self::AlreadyFinal => "already_final",
            Self::CommitInProgress => "commit_in_progress",
            Self::BlockedLocally => "blocked_locally",
        }
    }
}
