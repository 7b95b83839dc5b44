//! Discontinuities: an operator states that events after an earlier head of the log were lost.

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{check_reason, verify_discontinuity};
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::signing::DsseEnvelope;

use crate::store::{NewEvent, ParsedBody, StoreTxError, log};
use crate::trust::Trust;
use crate::{Ledger, RequestContext};

impl Ledger {
    /// Records a discontinuity, and returns the position of its event.
    ///
    /// # Errors
    /// Any verification error; `refused:malformed` when this log does not continue the head that it names.
    pub(crate) async fn record_discontinuity(
        &self,
        caller: RequestContext,
        signed: DsseEnvelope,
    ) -> Result<u64, StoreTxError> {
        let trust = Trust::current(&self.trust)?;
        let (now, verified) = (self.now(), verify_discontinuity(&signed, &trust.file)?);
        check_reason(verified.reason())?;
        let body = signed
            .to_bytes()
            .map_err(|e| PublicError::new(ErrorCode::Malformed, format!("signed: {e}")))?;
        let recorded = self.write(move |step| {
            let kept = verified.kept();
            if !log::continued(step.conn(), [kept].into())?.contains(&kept) {
                let text = "this log does not continue the head that the discontinuity keeps";
                return Err(PublicError::new(ErrorCode::RefusedMalformed, text).into());
            }
            Ok(step.append(&NewEvent {
                kind: EventKind::DiscontinuityRecorded,
                at: now,
                actor: verified.person(),
                proposal_id: None,
                body: &body,
                read: ParsedBody::No,
                trace_id: caller.trace_id.as_deref(),
            })?)
        });
        Ok(recorded.await?.value)
    }
}
