//! Freezes and lifts as rows of the receipt table: rows of a kind of their own, with a key that no proposal has.
//!
//! The statement that looks for a receipt reads them too, so that every writer of a source finds a freeze that one of
//! them has taken, whatever a ledger withholds. Nothing but inserting and selecting is needed.

use synapsor_domain::approval::{LiftClock, VerifiedFreeze, VerifiedLift, verify_freeze, verify_lift};
use synapsor_domain::digest::Digest;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, Signature};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::TrustFile;

use crate::StoredReceipt;

/// The key of every such row is at or after this.
pub const FIRST_KEY: &str = "freeze_";
/// The key of every such row is before this: the next character after `_`.
pub const END_KEY: &str = "freeze`";

/// Hex digits of the digest in a key.
const DIGITS: usize = 40;
const LIFT_ENDING: &str = "_lift";
const FREEZE: &str = "freeze";
const LIFT: &str = "lift";

/// What a row of the receipt table is about when it is not a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchRow {
    Freeze(Box<VerifiedFreeze>),
    Lift(Box<VerifiedLift>),
    /// Of another deployment or environment, or signed by a key that was revoked: it stops nothing here.
    Void,
    /// It cannot be verified, as after its signer left the trust file. A stop that is not understood is a stop; it ends
    /// by a lift that names the digest of what the row holds, where the row is the freeze of that digest.
    Unverified(Option<Digest>),
}

impl StoredReceipt {
    /// Whether the row is a freeze or a lift and not a receipt.
    pub fn is_switch(&self) -> bool {
        (FIRST_KEY..END_KEY).contains(&self.proposal_id.as_str())
    }

    /// The row of a freeze, as this writer inserts it.
    pub fn of_freeze(freeze: &VerifiedFreeze, written: &Written<'_>) -> Option<Self> {
        let key = key_of(freeze.digest());
        Self::of_switch(freeze.envelope(), (key, FREEZE), freeze.digest(), written)
    }

    /// The row of a lift, beside the row of the freeze that it ends.
    pub fn of_lift(lift: &VerifiedLift, written: &Written<'_>) -> Option<Self> {
        let key = format!("{}{LIFT_ENDING}", key_of(lift.freeze_digest()));
        Self::of_switch(lift.envelope(), (key, LIFT), lift.digest(), written)
    }

    fn of_switch(
        envelope: &DsseEnvelope,
        (key, outcome): (String, &str),
        digest: Digest,
        written: &Written<'_>,
    ) -> Option<Self> {
        let signature = envelope.signatures.first()?;
        Some(Self {
            proposal_id: key,
            proposal_digest: digest.to_string(),
            outcome: outcome.to_owned(),
            reason: String::new(),
            rows_affected: 0,
            previous_version: None,
            new_version: None,
            fence: 0,
            executor_id: written.writer.to_owned(),
            ledger_size: 0,
            ledger_root: String::new(),
            db_identity: written.identity.to_owned(),
            created_at: written.at.to_string(),
            receipt: String::from_utf8(envelope.payload.clone()).ok()?,
            executor_key: signature.keyid.to_string(),
            executor_sig: hex::encode(&signature.sig),
        })
    }

    /// Verifies a row that [is a switch](Self::is_switch). The times of a lift were held against the clock by the
    /// writer that inserted it. A lift that cannot be verified ends nothing, and stops nothing by itself.
    pub fn verify_switch(&self, trust: &TrustFile) -> SwitchRow {
        let is_lift = self.proposal_id.ends_with(LIFT_ENDING);
        let kind = if is_lift {
            ObjectKind::Unfreeze
        } else {
            ObjectKind::Freeze
        };
        let Some(envelope) = self.switch_envelope(kind) else {
            return if is_lift {
                SwitchRow::Void
            } else {
                SwitchRow::Unverified(None)
            };
        };
        let is_revoked = envelope
            .signer()
            .ok()
            .and_then(|key| trust.operator(key))
            .is_some_and(|operator| operator.revoked);
        if is_revoked {
            return SwitchRow::Void;
        }
        let verified = if is_lift {
            verify_lift(&envelope, trust, LiftClock::Recorded).map(|lift| {
                let is_own = self.proposal_id == format!("{}{LIFT_ENDING}", key_of(lift.freeze_digest()));
                is_own.then(|| SwitchRow::Lift(Box::new(lift)))
            })
        } else {
            verify_freeze(&envelope, trust).map(|freeze| {
                let is_own = self.proposal_id == key_of(freeze.digest());
                is_own.then(|| SwitchRow::Freeze(Box::new(freeze)))
            })
        };
        match verified {
            Ok(Some(row)) => row,
            Err(refusal) if refusal.code == "refused:audience" => SwitchRow::Void,
            Ok(None) | Err(_) if is_lift => SwitchRow::Void,
            Ok(None) | Err(_) => {
                let digest = Digest::of(ObjectKind::Freeze, &envelope.payload);
                SwitchRow::Unverified((self.proposal_id == key_of(digest)).then_some(digest))
            }
        }
    }

    fn switch_envelope(&self, kind: ObjectKind) -> Option<DsseEnvelope> {
        let signature = Signature {
            keyid: self.executor_key.parse().ok()?,
            sig: hex::decode(&self.executor_sig).ok()?,
        };
        let envelope = DsseEnvelope {
            payload: self.receipt.clone().into_bytes(),
            payload_type: kind.payload_type().to_owned(),
            signatures: vec![signature],
        };
        envelope.check_sizes().ok()?;
        Some(envelope)
    }
}

/// Who inserts a row, where and when.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The writer's name in its certificate.
    pub writer: &'a str,
    /// What the database reports of itself.
    pub identity: &'a str,
    pub at: Timestamp,
}

fn key_of(freeze: Digest) -> String {
    format!("{FIRST_KEY}{}", &hex::encode(freeze.as_bytes())[..DIGITS])
}
