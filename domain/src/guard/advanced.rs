//! Guard: after the update the version column has changed, if the contract or the schema catalog promises it.
//! With an unchanged version the next stale change would pass.

use crate::contract::VersionAdvance;
use crate::proposal::{GuardStrength, Proposal};
use crate::value::{ColumnValue, Value, ValueKind, find};

/// A version column that should have changed and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdvanced {
    /// The next clock tick makes the two versions differ: roll back and retry.
    ClockNotTicked,
    /// The promised change of the version does not happen.
    NotMaintained,
}

/// `is_maintained`: the database itself changes the version column; it is declared so, or generated.
///
/// # Errors
/// [`NotAdvanced`]; nothing may be committed then.
pub fn check_advanced(
    proposal: &Proposal,
    is_maintained: bool,
    row: &[ColumnValue],
) -> Result<(), NotAdvanced> {
    let Some(version) = &proposal.guard.version else {
        return Ok(());
    };
    let (before, after) = (&version.value, find(row, &version.column));
    let has_moved = after.is_some_and(|after| !after.is_null() && after != before);
    let is_coarse = proposal.guard.strength == Some(GuardStrength::Weak);
    match proposal.guard.advance {
        VersionAdvance::Increment if after.is_some() && after == incremented(before).as_ref() => Ok(()),
        VersionAdvance::Increment => Err(NotAdvanced::NotMaintained),
        VersionAdvance::Now if has_moved => Ok(()),
        VersionAdvance::Now => Err(NotAdvanced::ClockNotTicked),
        VersionAdvance::None if !is_maintained || has_moved || changes_nothing(proposal) => Ok(()),
        VersionAdvance::None if is_coarse => Err(NotAdvanced::ClockNotTicked),
        VersionAdvance::None => Err(NotAdvanced::NotMaintained),
    }
}

/// Many databases do not touch a row that is set to its current values; its version may then stay the same.
fn changes_nothing(proposal: &Proposal) -> bool {
    let same = |new: &ColumnValue| find(&proposal.before, &new.column) == Some(&new.value);
    proposal.set.iter().all(same)
}

/// Returns the next integer of the same kind; `None` if it is not an integer or has no successor.
pub(crate) fn incremented(value: &Value) -> Option<Value> {
    match value.kind() {
        ValueKind::Int | ValueKind::Dec => {
            let next = value.as_text()?.parse::<i128>().ok()?.checked_add(1)?;
            Some(Value::exact(value.kind(), next.to_string()))
        }
        ValueKind::Null
        | ValueKind::Bool
        | ValueKind::Float
        | ValueKind::Text
        | ValueKind::Bytes
        | ValueKind::Ts
        | ValueKind::Tstz
        | ValueKind::Date
        | ValueKind::Time
        | ValueKind::Uuid
        | ValueKind::Json => None,
    }
}
