//! Writer's signed confirmation of a freeze or lift, so that the operator need not trust the ledger.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::writer_signed::open_writer_signed;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::ids::ProposalId;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{DeploymentEnvironment, TrustFile};

/// Maximum number of attempts in one confirmation; a writer runs fewer at once.
pub const COMMITTING_MAX: usize = 128;

/// Writer's confirmation of one switch (`ObjectKind::SwitchConfirmation`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchConfirmation {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    /// The confirmed freeze or lift.
    pub switch_digest: Digest,
    /// The name in the writer's certificate.
    pub writer: String,
    /// Whether the writer is now frozen, by this or by another freeze.
    pub frozen: bool,
    /// Attempts past the point of no return: their COMMIT may still succeed.
    pub committing: Vec<ProposalId>,
    /// Sources whose receipt table holds the switch as a row.
    pub recorded: Vec<String>,
    /// Sources whose receipt table does not hold it yet.
    pub unrecorded: Vec<String>,
    pub at: Timestamp,
}

/// Verifies a confirmation under a writer key of the trust file.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature` or `refused:audience`.
pub fn verify_confirmation(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
) -> Result<SwitchConfirmation, PublicError> {
    let confirmation: SwitchConfirmation =
        open_writer_signed(envelope, ObjectKind::SwitchConfirmation, trust)?;
    if confirmation.v != 1 || confirmation.committing.len() > COMMITTING_MAX {
        return Err(PublicError::new(
            ErrorCode::RefusedMalformed,
            "not a confirmation of version 1",
        ));
    }
    if confirmation.deployment_id != trust.deployment_id || confirmation.environment != trust.environment {
        return Err(PublicError::new(
            ErrorCode::RefusedAudience,
            "confirmed for another deployment or environment",
        ));
    }
    Ok(confirmation)
}
