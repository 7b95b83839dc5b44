//! Approval rules of a proposal in the contract.

use super::fields;
use super::object::{ObjectReader, integer};
use super::report::ValidationReport;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Largest quorum that a contract may require.
pub const QUORUM_MAX: u8 = 5;
/// Maximum length of a role name, in characters.
pub(super) const ROLE_CHARS_MAX: usize = 128;

/// Required approvers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalSpec {
    /// Role of the approvers; `approver` if absent.
    pub required_role: Option<String>,
    /// Distinct operators, 1 to [`QUORUM_MAX`].
    pub quorum: u8,
}

pub(super) fn read(capability: &ObjectReader<'_>, report: &mut ValidationReport) -> ApprovalSpec {
    let mut spec = ApprovalSpec {
        required_role: None,
        quorum: 1,
    };
    let Some(approval) = capability.object("approval", ErrorCode::ApprovalNotObject, report) else {
        return spec;
    };
    approval.only(fields::APPROVAL, report);
    approval.choice("mode", &[("human", ())], ErrorCode::InvalidApprovalMode, report);
    spec.required_role = match approval.get("required_role") {
        None => None,
        Some(JsonNode::Text(role)) if is_role(role) => Some(role.clone()),
        Some(_) => {
            let message = format!(
                "Make `required_role` the name of one role: 1 to {ROLE_CHARS_MAX} characters, not `*`, \
                 no control characters, no spaces at its ends."
            );
            report.error(
                approval.at("required_role"),
                ErrorCode::InvalidRequiredRole,
                message,
            );
            None
        }
    };
    if let Some(node) = approval.get("quorum") {
        let quorum = integer(node).and_then(|number| u8::try_from(number).ok());
        match quorum.filter(|quorum| (1..=QUORUM_MAX).contains(quorum)) {
            Some(quorum) => spec.quorum = quorum,
            None => {
                let message = format!("Make `quorum` an integer from 1 to {QUORUM_MAX}.");
                report.error(approval.at("quorum"), ErrorCode::InvalidApprovalQuorum, message);
            }
        }
    }
    spec
}

fn is_role(role: &str) -> bool {
    let count = role.chars().count();
    (1..=ROLE_CHARS_MAX).contains(&count)
        && role != "*"
        && role.trim() == role
        && !role.chars().any(char::is_control)
}
