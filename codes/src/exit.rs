//! Exit codes of all programs.

/// How a program ends. The number is the exit code of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// The command succeeded.
    Ok = 0,
    /// The command failed.
    Failure = 1,
    /// The command line, a setting or a file that it names is invalid.
    Usage = 2,
    /// The row is no longer the one that was reviewed; nothing was written.
    Conflict = 3,
    /// A check rejected the request, or the proposal is not approved.
    Refused = 4,
    /// An attempt started and its outcome is not known yet.
    InDoubt = 5,
    /// A required service or database is unreachable, or no writer took the job.
    Unreachable = 6,
    /// A signature, a digest or the signed log does not verify.
    Tampered = 10,
    /// The ledger presented a log that ends before the pinned checkpoint.
    RolledBack = 11,
    /// The ledger presented a log that does not extend the pinned checkpoint.
    Forked = 12,
    /// A source lacks the receipt of an applied change.
    ReceiptMissing = 13,
    /// A source has a receipt that the ledger does not have.
    ReceiptOrphaned = 14,
}

impl Exit {
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Conflict,
        Self::Refused,
        Self::InDoubt,
        Self::Unreachable,
        Self::Tampered,
        Self::RolledBack,
        Self::Forked,
        Self::ReceiptMissing,
        Self::ReceiptOrphaned,
    ];

    /// Returns the number that the process exits with.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the exit code with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|exit| i32::from(exit.number()) == number)
    }

    /// Returns what the exit code means, as one sentence.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "The command succeeded.",
            Self::Failure => "The command failed.",
            Self::Usage => "The command line, a setting or a file that it names is invalid.",
            Self::Conflict => "The row is no longer the one that was reviewed; nothing was written.",
            Self::Refused => "A check rejected the request, or the proposal is not approved.",
            Self::InDoubt => "An attempt started and its outcome is not known yet.",
            Self::Unreachable => "A required service or database is unreachable, or no writer took the job.",
            Self::Tampered => "A signature, a digest or the signed log does not verify.",
            Self::RolledBack => "The ledger presented a log that ends before the pinned checkpoint.",
            Self::Forked => "The ledger presented a log that does not extend the pinned checkpoint.",
            Self::ReceiptMissing => "A source lacks the receipt of an applied change.",
            Self::ReceiptOrphaned => "A source has a receipt that the ledger does not have.",
        }
    }
}

impl From<()> for Exit {
    fn from((): ()) -> Self {
        Self::Ok
    }
}
