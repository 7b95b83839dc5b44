//! Freezes and lifts as rows of the receipt table: a row kind of their own, with keys that no proposal has.
//!
//! The statement that reads a receipt reads them too. So every writer of a source finds a freeze that another
//! writer took, even if a ledger withholds it. Only the rights to insert and select are needed.

use synapsor_codes::ErrorCode;
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

/// Meaning of a row of the receipt table that is not a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwitchRow {
    Freeze(Box<VerifiedFreeze>),
    Lift(Box<VerifiedLift>),
    /// Belongs to another deployment or environment, or its signer's key was revoked: it stops nothing here.
    Void,
    /// Cannot be verified, for example after its signer left the trust file. Such a row stops the writer. It
    /// ends by a lift that names the digest of the row's content, if the row is the freeze of that digest.
    Unverified(Option<Digest>),
}

impl StoredReceipt {
    /// Whether the row is a freeze or a lift and not a receipt.
    pub fn is_switch(&self) -> bool {
        (FIRST_KEY..END_KEY).contains(&self.proposal_id.as_str())
    }

    /// Builds the row of a freeze, as this writer inserts it.
    pub fn of_freeze(freeze: &VerifiedFreeze, written: &Written<'_>) -> Option<Self> {
        let key = key_of(freeze.digest());
        Self::of_switch(freeze.envelope(), (key, FREEZE), freeze.digest(), written)
    }

    /// Builds the row of a lift, which is inserted beside the row of its freeze.
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

    /// Verifies a row that [is a switch](Self::is_switch). The writer that inserted a lift checked its times
    /// against the clock. A lift that cannot be verified ends no freeze, and stops nothing by itself.
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
            Err(refusal) if refusal.code == ErrorCode::RefusedAudience => SwitchRow::Void,
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
            batch: None,
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

/// Writer, time and database of an inserted row.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The writer's name in its certificate.
    pub writer: &'a str,
    /// The identity that the database reports.
    pub identity: &'a str,
    pub at: Timestamp,
}

fn key_of(freeze: Digest) -> String {
    format!("{FIRST_KEY}{}", &hex::encode(freeze.as_bytes())[..DIGITS])
}
