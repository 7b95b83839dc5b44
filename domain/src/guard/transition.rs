//! Guard: a guarded column changes only from its current state to a state that the contract lists for it.

use synapsor_codes::ErrorCode;

use crate::contract::{ProposalSpec, Transition};
use crate::error::PublicError;
use crate::value::{ColumnValue, Value, ValueKind, find};

/// `before` is the row as it was read.
///
/// # Errors
/// `PATCH_TRANSITION_TYPE_INVALID` if current or new state is not a string, `PATCH_TRANSITION_NOT_ALLOWED`
/// otherwise.
pub fn check_transitions(
    spec: &ProposalSpec,
    set: &[ColumnValue],
    before: &[ColumnValue],
) -> Result<(), PublicError> {
    spec.transitions
        .iter()
        .try_for_each(|transition| match find(set, &transition.column) {
            Some(proposed) => check(transition, find(before, transition.state_column()), proposed),
            None => Ok(()),
        })
}

fn check(transition: &Transition, current: Option<&Value>, proposed: &Value) -> Result<(), PublicError> {
    let column = &transition.column;
    let (Some(current), Some(proposed)) = (current.and_then(state), state(proposed)) else {
        let state_column = transition.state_column();
        let message = format!("`{state_column}` as it is and `{column}` as proposed must both be texts.");
        return Err(PublicError::new(ErrorCode::PatchTransitionTypeInvalid, message));
    };
    let targets = transition
        .allowed
        .iter()
        .find(|(from, _)| from == current)
        .map(|(_, targets)| targets);
    match targets {
        Some(targets) if targets.iter().any(|target| target == proposed) => Ok(()),
        Some(targets) => {
            let list = targets.join("`, `");
            let message = format!("From its current state `{column}` may only become `{list}`.");
            Err(PublicError::new(ErrorCode::PatchTransitionNotAllowed, message))
        }
        None => {
            let message =
                format!("In the row's current state `{column}` may not be changed by this capability.");
            Err(PublicError::new(ErrorCode::PatchTransitionNotAllowed, message))
        }
    }
}

fn state(value: &Value) -> Option<&str> {
    value.as_text().filter(|_| value.kind() == ValueKind::Text)
}
