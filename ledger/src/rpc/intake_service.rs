//! `IntakeService`: records that readers submit.

use std::sync::Arc;

use synapsor_chassis::trace_context::TraceParent;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::ConsistencyProof;
use synapsor_domain::signing::BATCH_OBJECTS_MAX;
use synapsor_proto::common::v1 as common;
use synapsor_proto::common::v1::ProposalState as WireState;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::intake_service_server::IntakeService;
use synapsor_proto::ledger::v1::{SubmitOutcome, SubmitRequest, SubmitResponse};
use tonic::{Request, Response, Status};

use super::{LedgerServices, caller, refuse};
use crate::error::log_and_convert;
use crate::intake::{CallRecord, CallRecordBody, SubmittedProposal};
use crate::store::{Committed, StoreTxError};

/// Maximum number of call records in one request.
const SUBMISSIONS_MAX: usize = BATCH_OBJECTS_MAX;

#[tonic::async_trait]
impl IntakeService for LedgerServices {
    async fn submit(&self, request: Request<SubmitRequest>) -> Result<Response<SubmitResponse>, Status> {
        let mut caller = caller(&request)?;
        let message = request.into_inner();
        if !(1..=SUBMISSIONS_MAX).contains(&message.records.len()) {
            let text = format!("records: must be 1 to {SUBMISSIONS_MAX}");
            return Err(refuse(PublicError::new(ErrorCode::Malformed, text)));
        }
        caller.known = message.known.map_or(0, |known| known.size);
        let refused = self.ledger.refuse_if_rolled_back(caller.known).await;
        refused.map_err(|error| refuse(log_and_convert(error)))?;
        let submissions = message.records.into_iter().map(submission).collect();
        Ok(Response::new(response(
            self.ledger.submit(&caller, submissions).await,
        )))
    }
}

fn submission(message: wire::CallRecord) -> Result<CallRecord, PublicError> {
    use wire::call_record::Record as Sent;
    let record = match message.record {
        Some(Sent::Read(read)) => CallRecordBody::Read {
            evidence: required("evidence", read.evidence)?.try_into()?,
            audit: read.audit,
        },
        Some(Sent::Failed(refusal)) => CallRecordBody::Refusal { audit: refusal.audit },
        Some(Sent::Proposal(submitted)) => CallRecordBody::Proposal {
            proposal: required("proposal", submitted.proposal)?.try_into()?,
            evidence: required("evidence", submitted.evidence)?.try_into()?,
            audit: submitted.audit,
        },
        None => {
            return Err(PublicError::new(
                ErrorCode::Malformed,
                "records.record: is missing",
            ));
        }
    };
    let trace: Option<TraceParent> = message.traceparent.parse().ok();
    Ok(CallRecord {
        request_id: message.request_id,
        trace_id: trace.map(|trace| trace.trace_id().to_owned()),
        record,
    })
}

/// Returns the newest head of all batches that took part, with its proofs.
fn response(outcomes: Vec<Result<Committed<Option<SubmittedProposal>>, StoreTxError>>) -> SubmitResponse {
    let committed = outcomes.iter().flatten();
    let newest = committed.max_by_key(|committed| committed.head.size);
    let (checkpoint, consistency) = newest.map_or_else(Default::default, |newest| {
        (newest.head.note.clone(), proofs(&newest.growth))
    });
    SubmitResponse {
        outcomes: outcomes.into_iter().map(outcome).collect(),
        checkpoint,
        consistency,
    }
}

fn outcome(outcome: Result<Committed<Option<SubmittedProposal>>, StoreTxError>) -> SubmitOutcome {
    use wire::submit_outcome::Outcome;
    let outcome = match outcome {
        Ok(committed) => Outcome::Accepted(committed.value.map_or_else(
            wire::SubmitAccepted::default,
            |submitted| wire::SubmitAccepted {
                proposal: Some(submitted.envelope.into()),
                already_open: submitted.already_open,
                state: WireState::from(submitted.state).into(),
            },
        )),
        Err(error) => {
            let refusal = log_and_convert(error);
            Outcome::Error(wire::SubmitError {
                code: refusal.code.to_string(),
                message: refusal.public,
            })
        }
    };
    SubmitOutcome {
        outcome: Some(outcome),
    }
}

fn proofs(growth: &[Arc<ConsistencyProof>]) -> Vec<common::ConsistencyProof> {
    growth.iter().map(|proof| proof.as_ref().into()).collect()
}
