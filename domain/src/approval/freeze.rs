//! The signed resumption of a writer that was frozen. Freezing needs no signature; resuming does.

use serde::{Deserialize, Serialize};

use super::Approver;
use crate::limits::CLOCK_SKEW_SECONDS;
use crate::refusal::Refusal;
use crate::signing::{Envelope, Kind};
use crate::timestamp::{Span, Timestamp};
use crate::trust::{APPLIER, Environment, TrustFile};

/// A person's word that a writer may work again (`Kind::Unfreeze`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfreeze {
    pub v: u32,
    pub deployment_id: String,
    pub environment: Environment,
    /// The writer's name; an unfreeze for one writer resumes no other.
    pub writer: String,
    pub approver: Approver,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// 32 hex digits.
    pub nonce: String,
}

/// Verifies an unfreeze for this writer; role `applier`. Gives the person.
pub fn verify_unfreeze(
    envelope: &Envelope,
    trust: &TrustFile,
    writer: &str,
    now: Timestamp,
) -> Result<String, Refusal> {
    let refused = |code, text: &str| Refusal::new(code, text);
    let unfreeze: Unfreeze = envelope
        .peek(Kind::Unfreeze)
        .map_err(|e| Refusal::new("refused:malformed", e.to_string()))?;
    let signer = envelope
        .signer()
        .map_err(|e| Refusal::new("refused:key", e.to_string()))?;
    let operator = trust
        .operator(signer)
        .filter(|o| o.is_valid_at(now) && o.person == unfreeze.approver.person)
        .ok_or_else(|| {
            refused(
                "refused:key",
                "not signed by a valid operator key of the trust file",
            )
        })?;
    envelope
        .open::<Unfreeze>(Kind::Unfreeze, &operator.public_key)
        .map_err(|e| Refusal::new("refused:signature", e.to_string()))?;
    if unfreeze.deployment_id != trust.deployment_id
        || unfreeze.environment != trust.environment
        || unfreeze.writer != writer
    {
        return Err(refused(
            "refused:audience",
            "signed for another deployment, environment or writer",
        ));
    }
    if unfreeze.approver.role != APPLIER || !operator.has_role(APPLIER) {
        return Err(refused(
            "refused:role",
            "resuming a writer needs the role `applier`",
        ));
    }
    if unfreeze.issued_at > now + Span::seconds(CLOCK_SKEW_SECONDS) {
        return Err(refused(
            "refused:future",
            "signed for a later time than now; check the clocks",
        ));
    }
    if now >= unfreeze.expires_at || unfreeze.expires_at - unfreeze.issued_at > trust.order_ceiling() {
        return Err(refused(
            "refused:expired",
            "expired, or claims a longer life than an apply order may have",
        ));
    }
    Ok(operator.person.clone())
}
