//! What all statements of operators have in common: one key signed them, and they are submitted soon after.

use synapsor_codes::ErrorCode;

use super::{SIGNER_NOT_VALID, SignerInfo};
use crate::error::PublicError;
use crate::limits::CLOCK_SKEW_SECONDS;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::timestamp::{Span, Timestamp, issued_in_future};
use crate::trust::{OperatorKey, Position, TrustFile};

/// Period after its signature in which a statement can be submitted, in minutes.
const SUBMIT_WITHIN_MINUTES: i64 = 15;

/// Envelope of an operator, and what its content claims about the signer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatorStatement<'a> {
    pub(crate) envelope: &'a DsseEnvelope,
    pub(crate) kind: ObjectKind,
    pub(crate) signer: &'a SignerInfo,
    pub(crate) issued_at: Timestamp,
}

impl OperatorStatement<'_> {
    /// Verifies the signature; returns the operator of the key. The key belongs to the claimed person, was valid when it
    /// signed, is not revoked, and was not retired before `position`.
    ///
    /// # Errors
    /// `refused:key` or `refused:signature`.
    pub(crate) fn verify<'t>(
        &self,
        trust: &'t TrustFile,
        position: &Position<'_>,
    ) -> Result<&'t OperatorKey, PublicError> {
        let key = |text: String| PublicError::new(ErrorCode::RefusedKey, text);
        let signer = self.envelope.signer().map_err(|e| key(e.to_string()))?;
        let operator = trust
            .operator(signer)
            .filter(|operator| {
                operator.was_valid_at(self.issued_at)
                    && operator.person == self.signer.person
                    && *signer == self.signer.key_id
            })
            .ok_or_else(|| key(SIGNER_NOT_VALID.to_owned()))?;
        let counts = operator.standing().check(position);
        counts.map_err(|retired| key(format!("signed by {signer}: {retired}")))?;
        self.envelope
            .verify_and_decode::<serde::de::IgnoredAny>(self.kind, &operator.public_key)
            .map_err(|e| PublicError::new(ErrorCode::RefusedSignature, e.to_string()))?;
        Ok(operator)
    }

    /// Checks that the statement, named `what` in errors, was signed within the last 15 minutes.
    ///
    /// # Errors
    /// `refused:future` or `refused:expired`.
    pub(crate) fn check_recent(&self, what: &str, now: Timestamp) -> Result<(), PublicError> {
        if self.issued_at > now + Span::seconds(CLOCK_SKEW_SECONDS) {
            let text = issued_in_future(self.issued_at, now);
            return Err(PublicError::new(ErrorCode::RefusedFuture, text));
        }
        if now >= self.issued_at + Span::minutes(SUBMIT_WITHIN_MINUTES) {
            let text = format!("the {what} expired; sign it again");
            return Err(PublicError::new(ErrorCode::RefusedExpired, text));
        }
        Ok(())
    }
}
