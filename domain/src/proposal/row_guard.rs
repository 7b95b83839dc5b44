//! The conflict guard of one proposal: what must still be true of the row, besides its before-image.

use serde::{Deserialize, Serialize};

use crate::contract::VersionAdvance;
use crate::value::ColumnValue;

/// What must still be true of the row, besides the before-image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowGuard {
    /// What the writer does to the version column in the same UPDATE.
    #[serde(default, skip_serializing_if = "VersionAdvance::is_none")]
    pub advance: VersionAdvance,
    /// The version column's type as the database declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_type: Option<String>,
    pub kind: GuardKind,
    /// How well the version column tells two states of the row apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<GuardStrength>,
    /// The version column with the value that was read; absent for a weak guard.
    pub version: Option<ColumnValue>,
}

impl RowGuard {
    /// A guard without a version column.
    pub const fn weak() -> Self {
        Self {
            kind: GuardKind::Weak,
            version: None,
            declared_type: None,
            strength: None,
            advance: VersionAdvance::None,
        }
    }

    /// Whether two changes of the row could look like none: there is no version column, or a coarse one.
    pub fn is_weak(&self) -> bool {
        self.version.is_none() || self.strength == Some(GuardStrength::Weak)
    }
}

/// How a concurrent change would be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    VersionColumn,
    /// Only the before-image of the columns that were read.
    Weak,
}

/// How well a version column tells two states of the row apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardStrength {
    /// A number that counts, or PostgreSQL's own row version.
    Strong,
    /// A time of at least microseconds, or a text: as good as whoever writes it.
    Medium,
    /// A coarser time: two changes within one tick leave the same version.
    Weak,
}

impl GuardStrength {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Medium => "medium",
            Self::Weak => "weak",
        }
    }
}
