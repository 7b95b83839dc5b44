//! Typed reasons why a signed decision or apply order is rejected; the writer's next step depends on the reason.

use synapsor_codes::ErrorCode;

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
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Malformed => ErrorCode::RefusedMalformed,
            Self::Digest => ErrorCode::RefusedDigest,
            Self::Key => ErrorCode::RefusedKey,
            Self::Signature => ErrorCode::RefusedSignature,
            Self::Audience => ErrorCode::RefusedAudience,
            Self::Role => ErrorCode::RefusedRole,
            Self::Future => ErrorCode::RefusedFuture,
            Self::Expired => ErrorCode::RefusedExpired,
            Self::Nonce => ErrorCode::RefusedNonce,
            Self::Render => ErrorCode::RefusedRender,
            Self::Rejected => ErrorCode::RefusedDenied,
            Self::Quorum => ErrorCode::RefusedQuorum,
            Self::Order => ErrorCode::RefusedOrder,
            Self::SeparationOfDuties => ErrorCode::RefusedSod,
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
