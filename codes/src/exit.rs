//! Exit codes of all programs.

macro_rules! exits {
    ($($(#[doc = $meaning:literal])+ $name:ident = $number:literal;)+) => {
        /// How a program ends. The number is the exit code of its process.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Exit {
            $($(#[doc = $meaning])+ $name = $number,)+
        }

        impl Exit {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns what the exit code means, as one sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($meaning),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

exits! {
    /// The command succeeded.
    Ok = 0;
    /// The command failed.
    Failure = 1;
    /// The command line, a setting or a file that it names is invalid.
    Usage = 2;
    /// The row is no longer the one that was reviewed; nothing was written.
    Conflict = 3;
    /// A check rejected the request, or the proposal is not approved.
    Refused = 4;
    /// An attempt started and its outcome is not known yet.
    InDoubt = 5;
    /// A required service or database is unreachable, or no writer took the job.
    Unreachable = 6;
    /// A signature, a digest or the signed log does not verify.
    Tampered = 10;
    /// The ledger presented a log that ends before the pinned checkpoint.
    RolledBack = 11;
    /// The ledger presented a log that does not extend the pinned checkpoint.
    Forked = 12;
    /// A source lacks the receipt of an applied change.
    ReceiptMissing = 13;
    /// A source has a receipt that the ledger does not have.
    ReceiptOrphaned = 14;
}

impl Exit {
    /// Returns the number that the process exits with.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the exit code with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|exit| i32::from(exit.number()) == number)
    }
}

impl From<()> for Exit {
    fn from((): ()) -> Self {
        Self::Ok
    }
}
