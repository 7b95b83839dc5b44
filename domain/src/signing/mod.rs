//! Signing of objects: Ed25519 over a DSSE envelope, with strict verification.

mod batch;
mod envelope;
mod key;

pub use batch::{BATCH_OBJECTS_MAX, BatchPlace, BatchVerifier, sign_evidence};
pub use envelope::{DsseEnvelope, EnvelopeError, Signature};
pub use key::{KeyError, KeyId, PublicKey, SigningKey};

/// Kind of a signed or sealed object. The verifier chooses the kind and never takes it from the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    Proposal,
    Contract,
    Catalog,
    Schema,
    Evidence,
    Decision,
    ApplyOrder,
    ReviewDocument,
    Attempt,
    Receipt,
    Freeze,
    Unfreeze,
    ContextTicket,
    SwitchConfirmation,
    ReceiptOrder,
    ReceiptFinding,
    ErasureOrder,
    HumanAction,
    Discontinuity,
}

impl ObjectKind {
    /// Returns the payload type that the signature covers.
    pub const fn payload_type(self) -> &'static str {
        match self {
            Self::Proposal => "application/vnd.synapsor.proposal.v1+json",
            Self::Contract => "application/vnd.synapsor.contract.v1+json",
            Self::Catalog => "application/vnd.synapsor.catalog.v1+json",
            Self::Schema => "application/vnd.synapsor.schema.v1+json",
            Self::Evidence => "application/vnd.synapsor.evidence.v1+json",
            Self::Decision => "application/vnd.synapsor.decision.v1+json",
            Self::ApplyOrder => "application/vnd.synapsor.apply-order.v1+json",
            Self::ReviewDocument => "application/vnd.synapsor.review-document.v1+text",
            Self::Attempt => "application/vnd.synapsor.attempt.v1+json",
            Self::Receipt => "application/vnd.synapsor.receipt.v1+json",
            Self::Freeze => "application/vnd.synapsor.freeze.v1+json",
            Self::Unfreeze => "application/vnd.synapsor.unfreeze.v1+json",
            Self::ContextTicket => "application/vnd.synapsor.context-ticket.v1+json",
            Self::SwitchConfirmation => "application/vnd.synapsor.switch-confirmation.v1+json",
            Self::ReceiptOrder => "application/vnd.synapsor.receipt-order.v1+json",
            Self::ReceiptFinding => "application/vnd.synapsor.receipt-finding.v1+json",
            Self::ErasureOrder => "application/vnd.synapsor.erasure-order.v1+json",
            Self::HumanAction => "application/vnd.synapsor.human-action.v1+json",
            Self::Discontinuity => "application/vnd.synapsor.discontinuity.v1+json",
        }
    }
}
