//! Why a signed decision or apply order does not count, as a type: what a writer does next depends on it.

use crate::error::PublicError;

/// Which rule a decision, an apply order or an approval breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalRule {
    /// It cannot be read as what it claims to be.
    Malformed,
    /// It is about another proposal or contract.
    Digest,
    /// The key is unknown, revoked, retired, outside its validity or of another operator.
    Key,
    Signature,
    /// It is for another deployment, environment or source.
    Audience,
    Role,
    /// It was signed for a later time.
    Future,
    /// Its time, or the time of the proposal, is over.
    Expired,
    Nonce,
    /// Another document was signed than the one that the proposal renders to.
    Render,
    /// An operator rejected the proposal.
    Rejected,
    /// Too few distinct operators approved.
    Quorum,
    /// The apply order counts on other decisions.
    Order,
    SeparationOfDuties,
}

impl ApprovalRule {
    /// The stable code of a refusal by this rule.
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

/// A decision, an apply order or an approval that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {public}", rule.code())]
pub struct ApprovalRefusal {
    pub rule: ApprovalRule,
    /// What is wrong and the fix; no secret.
    pub public: String,
}

impl From<ApprovalRefusal> for PublicError {
    fn from(refusal: ApprovalRefusal) -> Self {
        Self::new(refusal.rule.code(), refusal.public)
    }
}
