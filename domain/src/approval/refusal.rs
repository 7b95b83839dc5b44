//! Typed reasons why a signed decision or apply order is rejected; the writer's next step depends on the reason.

use crate::error::PublicError;

/// Rule that a decision, an apply order or an approval violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalRule {
    /// It is malformed.
    Malformed,
    /// It names another proposal or contract.
    Digest,
    /// The key is unknown, revoked, retired, outside its validity or of another operator.
    Key,
    Signature,
    /// It is for another deployment, environment or source.
    Audience,
    Role,
    /// Its issue time is in the future.
    Future,
    /// It, or the proposal, has expired.
    Expired,
    Nonce,
    /// The signed document differs from the one that the proposal renders to.
    Render,
    /// An operator rejected the proposal.
    Rejected,
    /// Too few distinct operators approved.
    Quorum,
    /// The apply order is based on other decisions.
    Order,
    SeparationOfDuties,
}

impl ApprovalRule {
    /// Stable error code of this rule.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "refused:malformed",
            Self::Digest => "refused:digest",
            Self::Key => "refused:key",
            Self::Signature => "refused:signature",
            Self::Audience => "refused:audience",
            Self::Role => "refused:role",
            Self::Future => "refused:future",
            Self::Expired => "refused:expired",
            Self::Nonce => "refused:nonce",
            Self::Render => "refused:render",
            Self::Rejected => "refused:denied",
            Self::Quorum => "refused:quorum",
            Self::Order => "refused:order",
            Self::SeparationOfDuties => "refused:sod",
        }
    }
}

/// A rejected decision, apply order or approval.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {public}", rule.code())]
pub struct ApprovalRefusal {
    pub rule: ApprovalRule,
    /// The error and its fix, without secrets.
    pub public: String,
}

impl From<ApprovalRefusal> for PublicError {
    fn from(refusal: ApprovalRefusal) -> Self {
        Self::new(refusal.rule.code(), refusal.public)
    }
}
