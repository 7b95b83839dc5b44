//! Writer's signed findings from comparing receipts of the transparency log with those of a source.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use super::writer_signed::open_writer_signed;
use crate::digest::Digest;
use crate::error::PublicError;
use crate::ids::ProposalId;
use crate::limits::RECEIPT_REFS_MAX;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::{DeploymentEnvironment, TrustFile};

/// Reference to one receipt, without its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRef {
    pub proposal_id: ProposalId,
    /// Digest of the signed payload.
    pub receipt_digest: Digest,
}

/// Kind of disagreement between log and source about receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptDiscrepancy {
    /// The ledger holds the signed receipts, but the source does not: a restored backup, a deleted row, or
    /// another timeline.
    EffectLost,
    /// The source holds the receipts, but the ledger refused to settle with them.
    OrphanReceipt,
    /// The source holds the receipt as `applied`, but its COMMIT left another version of the row than the
    /// checked one.
    RowChangedInCommit,
}

impl ReceiptDiscrepancy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EffectLost => "effect_lost",
            Self::OrphanReceipt => "orphan_receipt",
            Self::RowChangedInCommit => "row_changed_in_commit",
        }
    }
}

/// Kind of an open incident about a receipt: a writer's finding, or a receipt that waits for an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptIncidentKind {
    EffectLost,
    OrphanReceipt,
    RowChangedInCommit,
    /// The source holds a receipt of a retired writer key that is not in the log.
    ReceiptUnproven,
}

impl ReceiptIncidentKind {
    pub const ALL: [Self; 4] = [
        Self::EffectLost,
        Self::OrphanReceipt,
        Self::RowChangedInCommit,
        Self::ReceiptUnproven,
    ];

    /// Returns the stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EffectLost => ReceiptDiscrepancy::EffectLost.as_str(),
            Self::OrphanReceipt => ReceiptDiscrepancy::OrphanReceipt.as_str(),
            Self::RowChangedInCommit => ReceiptDiscrepancy::RowChangedInCommit.as_str(),
            Self::ReceiptUnproven => "receipt_unproven",
        }
    }

    /// Returns the kind with this stored word.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Returns the kind of the incident that a finding opens.
    pub const fn of(discrepancy: ReceiptDiscrepancy) -> Self {
        match discrepancy {
            ReceiptDiscrepancy::EffectLost => Self::EffectLost,
            ReceiptDiscrepancy::OrphanReceipt => Self::OrphanReceipt,
            ReceiptDiscrepancy::RowChangedInCommit => Self::RowChangedInCommit,
        }
    }

    /// Returns the code of the finding that reports such incidents.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::EffectLost => ErrorCode::EffectLost,
            Self::OrphanReceipt => ErrorCode::OrphanReceipt,
            Self::RowChangedInCommit => ErrorCode::RowChangedInCommit,
            Self::ReceiptUnproven => ErrorCode::ReceiptUnproven,
        }
    }
}

/// One disagreement between the log and one source (`ObjectKind::ReceiptFinding`). It carries no values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFinding {
    pub v: u32,
    pub deployment_id: String,
    pub environment: DeploymentEnvironment,
    /// The name in the writer's certificate.
    pub writer: String,
    pub source: String,
    pub discrepancy: ReceiptDiscrepancy,
    /// 1 to [`RECEIPT_REFS_MAX`] receipts, sorted by proposal, without duplicates.
    pub receipts: Vec<ReceiptRef>,
    /// Identity that the database reported during the comparison.
    pub database_identity: String,
    pub at: Timestamp,
}

/// Verifies a finding under a writer key of the trust file.
///
/// # Errors
/// `refused:malformed`, `refused:key`, `refused:signature` or `refused:audience`.
pub fn verify_receipt_finding(
    envelope: &DsseEnvelope,
    trust: &TrustFile,
) -> Result<ReceiptFinding, PublicError> {
    let finding: ReceiptFinding = open_writer_signed(envelope, ObjectKind::ReceiptFinding, trust)?;
    let is_sorted = finding
        .receipts
        .is_sorted_by(|a, b| a.proposal_id < b.proposal_id);
    if finding.v != 1
        || !is_sorted
        || finding.receipts.is_empty()
        || finding.receipts.len() > RECEIPT_REFS_MAX
    {
        return Err(PublicError::new(
            ErrorCode::RefusedMalformed,
            "not a finding of version 1",
        ));
    }
    if finding.deployment_id != trust.deployment_id || finding.environment != trust.environment {
        return Err(PublicError::new(
            ErrorCode::RefusedAudience,
            "signed for another deployment or environment",
        ));
    }
    Ok(finding)
}
