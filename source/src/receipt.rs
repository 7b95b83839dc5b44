//! A receipt as stored in the source database: the exact signed bytes, and columns that copy fields of them.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, Signature};
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_domain::writeback::Receipt;

/// One row of the receipt table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReceipt {
    pub proposal_id: String,
    pub proposal_digest: String,
    pub outcome: String,
    pub reason: String,
    pub rows_affected: u32,
    pub previous_version: Option<String>,
    pub new_version: Option<String>,
    pub fence: u64,
    pub executor_id: String,
    pub ledger_size: u64,
    pub ledger_root: String,
    pub db_identity: String,
    pub created_at: String,
    /// The signed payload, which is canonical JSON.
    pub receipt: String,
    pub executor_key: String,
    /// Hex.
    pub executor_sig: String,
}

/// Maximum number of receipts of other proposals that one lookup requests besides the proposal's own.
pub const KNOWN_RECEIPTS_MAX: usize = 2;

/// Result of the lookup of one receipt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundReceipts {
    /// The receipt of the proposal.
    pub receipt: Option<StoredReceipt>,
    /// Receipts of other proposals that were requested too.
    pub known: Vec<StoredReceipt>,
    /// Every freeze and lift of the table.
    pub switches: Vec<StoredReceipt>,
}

/// Maximum number of receipts in one statement of a comparison.
pub const RECEIPTS_PER_STATEMENT_MAX: usize = 500;

/// Receipts that a source holds, and the identity that it reported in the same statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceReceipts {
    pub identity: String,
    pub receipts: Vec<StoredReceipt>,
}

/// Position of a row when ordered by time and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMark {
    pub created_at: String,
    pub proposal_id: String,
}

impl RowMark {
    /// Returns the position of a row.
    pub fn of(row: &StoredReceipt) -> Self {
        Self {
            created_at: row.created_at.clone(),
            proposal_id: row.proposal_id.clone(),
        }
    }
}

impl FoundReceipts {
    /// Separates the proposal's receipt from the others, and receipts from freezes and lifts.
    pub fn of(rows: Vec<StoredReceipt>, proposal_id: &str) -> Self {
        let mut found = Self::default();
        for row in rows {
            if row.is_switch() {
                found.switches.push(row);
            } else if row.proposal_id == proposal_id {
                found.receipt = Some(row);
            } else {
                found.known.push(row);
            }
        }
        found
    }

    /// Returns the row with this key, of any kind.
    pub fn of_key(self, key: &str) -> Option<StoredReceipt> {
        self.receipt
            .into_iter()
            .chain(self.known)
            .chain(self.switches)
            .find(|row| row.proposal_id == key)
    }
}

impl StoredReceipt {
    /// Builds the row of a sealed receipt.
    pub fn from_envelope(envelope: &DsseEnvelope) -> Result<Self, PublicError> {
        let receipt: Receipt = envelope
            .decode_unverified(ObjectKind::Receipt)
            .map_err(|e| integrity(&e.to_string()))?;
        let signature = envelope.signatures.first().ok_or_else(|| integrity("unsigned"))?;
        let text = String::from_utf8(envelope.payload.clone()).map_err(|_| integrity("not UTF-8"))?;
        Ok(Self::view(&receipt, text, signature))
    }

    /// Returns the receipt if the row is genuine: signed by a writer of the trust file, and every column
    /// equal to the signed bytes. The database does not prove the time of signing, so a retired key is not
    /// accepted.
    ///
    /// # Errors
    /// `refused:receipt_integrity`; `refused:receipt_unproven` if the row is genuine but its key is retired.
    pub fn verify(&self, trust: &TrustFile) -> Result<(Receipt, DsseEnvelope), PublicError> {
        let (receipt, envelope) = self.verify_past(trust)?;
        check_key_in_use(&envelope, trust)?;
        Ok((receipt, envelope))
    }

    /// Does the same for history: a retired key still verifies.
    ///
    /// # Errors
    /// `refused:receipt_integrity`.
    pub fn verify_past(&self, trust: &TrustFile) -> Result<(Receipt, DsseEnvelope), PublicError> {
        let envelope = self.envelope()?;
        let signer = envelope.signer().map_err(|e| integrity(&e.to_string()))?;
        let key = trust
            .writer(signer)
            .ok_or_else(|| integrity("not signed by a writer of the trust file"))?;
        let receipt: Receipt = envelope
            .verify_and_decode(ObjectKind::Receipt, &key.public_key)
            .map_err(|e| integrity(&e.to_string()))?;
        if Self::view(&receipt, self.receipt.clone(), &envelope.signatures[0]) != *self {
            return Err(integrity("a column differs from the signed bytes"));
        }
        Ok((receipt, envelope))
    }

    fn envelope(&self) -> Result<DsseEnvelope, PublicError> {
        let keyid = self
            .executor_key
            .parse()
            .map_err(|_| integrity("malformed key id"))?;
        let sig = hex::decode(&self.executor_sig).map_err(|_| integrity("malformed signature"))?;
        let envelope = DsseEnvelope {
            payload: self.receipt.clone().into_bytes(),
            payload_type: ObjectKind::Receipt.payload_type().to_owned(),
            signatures: vec![Signature {
                keyid,
                sig,
                batch: None,
            }],
        };
        envelope.check_sizes().map_err(|e| integrity(&e.to_string()))?;
        Ok(envelope)
    }

    fn view(receipt: &Receipt, text: String, signature: &Signature) -> Self {
        let version = |v: &Option<synapsor_domain::value::Value>| {
            v.as_ref().and_then(|v| v.as_text()).map(ToOwned::to_owned)
        };
        Self {
            proposal_id: receipt.proposal_id.to_string(),
            proposal_digest: receipt.proposal_digest.to_string(),
            outcome: receipt.outcome.as_str().to_owned(),
            reason: receipt.reason.clone(),
            rows_affected: receipt.rows_affected,
            previous_version: version(&receipt.previous_version),
            new_version: version(&receipt.new_version),
            fence: receipt.fence,
            executor_id: receipt.writer.clone(),
            ledger_size: receipt.ledger_size,
            ledger_root: receipt.ledger_root.clone(),
            db_identity: receipt.database_identity.clone(),
            created_at: receipt.created_at.to_string(),
            receipt: text,
            executor_key: signature.keyid.to_string(),
            executor_sig: hex::encode(&signature.sig),
        }
    }
}

/// Checks whether the key of a genuine receipt is in use: the database does not prove the time of signing.
///
/// # Errors
/// `refused:receipt_unproven` for a retired key.
pub fn check_key_in_use(envelope: &DsseEnvelope, trust: &TrustFile) -> Result<(), PublicError> {
    let key = envelope.signer().ok().and_then(|signer| trust.writer(signer));
    match key.map(|key| key.standing().check(&Position::Unproven)) {
        Some(Err(retired)) => Err(PublicError::new(
            ErrorCode::RefusedReceiptUnproven,
            format!("the receipt in the source database is signed with a retired writer key: {retired}"),
        )),
        Some(Ok(())) | None => Ok(()),
    }
}

fn integrity(problem: &str) -> PublicError {
    PublicError::new(
        ErrorCode::RefusedReceiptIntegrity,
        format!(
            "the receipt in the source database is not genuine: {problem}; find out who wrote it, then the owner of the \
             receipt table deletes that row"
        ),
    )
}
