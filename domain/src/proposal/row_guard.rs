//! Conflict guard of a proposal: conditions on the row besides its before-image.

use serde::{Deserialize, Serialize};

use crate::contract::VersionAdvance;
use crate::value::ColumnValue;

/// Condition on the row at apply time, besides the before-image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowGuard {
    /// Writer's change of the version column in the same UPDATE.
    #[serde(default, skip_serializing_if = "VersionAdvance::is_none")]
    pub advance: VersionAdvance,
    /// Declared database type of the version column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_type: Option<String>,
    pub kind: GuardKind,
    /// How reliably the version column distinguishes two states of the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength: Option<GuardStrength>,
    /// Version column with the value that was read; absent for a weak guard.
    pub version: Option<ColumnValue>,
}

impl RowGuard {
    /// Creates a guard without a version column.
    pub const fn weak() -> Self {
        Self {
            kind: GuardKind::Weak,
            version: None,
            declared_type: None,
            strength: None,
            advance: VersionAdvance::None,
        }
    }

    /// Returns whether the writer itself changes this column, besides the requested ones.
    pub fn advances(&self, column: &str) -> bool {
        !self.advance.is_none()
            && self
                .version
                .as_ref()
                .is_some_and(|version| version.column == column)
    }

    /// Returns whether a change of the row can go undetected: no version column, or a coarse one.
    pub fn is_weak(&self) -> bool {
        self.version.is_none() || self.strength == Some(GuardStrength::Weak)
    }
}

/// How a concurrent change is detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardKind {
    VersionColumn,
    /// By the before-image of the read columns only.
    Weak,
}

/// How reliably a version column distinguishes two states of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuardStrength {
    /// A counter, or PostgreSQL's own row version.
    Strong,
    /// A time with at least microsecond precision, or a string: as reliable as the application that writes it.
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
