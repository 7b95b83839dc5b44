//! Shadow mode: what an operator did in place of a shadow proposal, signed, and its comparison with what the agent
//! proposed. Nothing here permits a write.

mod comparison;
mod human_action;
mod typed_patch;

pub use comparison::{ComparisonStatus, ShadowComparison};
pub use human_action::{
    HumanAction, VerifiedHumanAction, check_human_patch, verify_human_action, verify_human_action_at,
};
pub use typed_patch::typed_patch;
