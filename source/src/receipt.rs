//! A receipt as the target database holds it: the exact signed bytes, and columns that are views of them.

use synapsor_domain::refusal::Refusal;
use synapsor_domain::signing::{Envelope, Kind, Signature};
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

/// What the look for one receipt finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundReceipts {
    /// The receipt of the proposal.
    pub receipt: Option<StoredReceipt>,
    /// Every freeze and lift of the table.
    pub switches: Vec<StoredReceipt>,
}

impl FoundReceipts {
    /// Tells the receipt from the freezes and lifts.
    pub fn of(rows: Vec<StoredReceipt>) -> Self {
        let (switches, receipts): (Vec<_>, Vec<_>) = rows.into_iter().partition(StoredReceipt::is_switch);
        Self {
            receipt: receipts.into_iter().next(),
            switches,
        }
    }

    /// The row with this key, whatever its kind.
    pub fn of_key(self, key: &str) -> Option<StoredReceipt> {
        self.receipt
            .into_iter()
            .chain(self.switches)
            .find(|row| row.proposal_id == key)
    }
}

impl StoredReceipt {
    /// The row for a sealed receipt.
    pub fn from_envelope(envelope: &Envelope) -> Result<Self, Refusal> {
        let receipt: Receipt = envelope
            .peek(Kind::Receipt)
            .map_err(|e| integrity(&e.to_string()))?;
        let signature = envelope.signatures.first().ok_or_else(|| integrity("unsigned"))?;
        let text = String::from_utf8(envelope.payload.clone()).map_err(|_| integrity("not UTF-8"))?;
        Ok(Self::view(&receipt, text, signature))
    }

    /// The receipt, if the row is genuine: signed by a writer of the trust file, and every column equal to
    /// what the signed bytes say. The database proves nothing about when it was signed, so a retired key does not
    /// count.
    ///
    /// # Errors
    /// `refused:receipt_integrity`; `refused:receipt_unproven` when only the standing of the key is missing.
    pub fn verify(&self, trust: &TrustFile) -> Result<(Receipt, Envelope), Refusal> {
        let (receipt, envelope) = self.verify_past(trust)?;
        let key = envelope.signer().ok().and_then(|signer| trust.writer(signer));
        if let Some(Err(retired)) = key.map(|key| key.standing().check(&Position::Unproven)) {
            return Err(Refusal::new(
                "refused:receipt_unproven",
                format!("the receipt in the target database is of a retired writer key: {retired}"),
            ));
        }
        Ok((receipt, envelope))
    }

    /// The same for history: a retired key still verifies.
    ///
    /// # Errors
    /// `refused:receipt_integrity`.
    pub fn verify_past(&self, trust: &TrustFile) -> Result<(Receipt, Envelope), Refusal> {
        let envelope = self.envelope()?;
        let signer = envelope.signer().map_err(|e| integrity(&e.to_string()))?;
        let key = trust
            .writer(signer)
            .ok_or_else(|| integrity("signed by no writer of the trust file"))?;
        let receipt: Receipt = envelope
            .open(Kind::Receipt, &key.public_key)
            .map_err(|e| integrity(&e.to_string()))?;
        if Self::view(&receipt, self.receipt.clone(), &envelope.signatures[0]) != *self {
            return Err(integrity("a column differs from the signed bytes"));
        }
        Ok((receipt, envelope))
    }

    fn envelope(&self) -> Result<Envelope, Refusal> {
        let keyid = self
            .executor_key
            .parse()
            .map_err(|_| integrity("malformed key id"))?;
        let sig = hex::decode(&self.executor_sig).map_err(|_| integrity("malformed signature"))?;
        let envelope = Envelope {
            payload: self.receipt.clone().into_bytes(),
            payload_type: Kind::Receipt.payload_type().to_owned(),
            signatures: vec![Signature { keyid, sig }],
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

fn integrity(problem: &str) -> Refusal {
    Refusal::new(
        "refused:receipt_integrity",
        format!("the receipt in the target database is not genuine: {problem}"),
    )
}
