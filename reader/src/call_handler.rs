//! Runs one call from request to response: checks, reads, optionally proposes, and submits the records before it
//! answers. Rejected calls are recorded as well; a call that cannot be recorded is rejected.

use synapsor_chassis::refusal_cause::{self, RefusalCause};
use synapsor_chassis::secret::Secret;
use synapsor_chassis::trace_context::TraceParent;
use synapsor_codes::{ErrorCode, SafeCode};
use synapsor_domain::context::TrustedContext;
use synapsor_domain::contract::{Capability, CapabilityKind, ExecutorRef, ProposalSpec, ResultFormat};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::{EvidenceRef, Proposal, ProposalState, Requester, VerifiedProposal};
use synapsor_domain::result_envelope::{
    CallOutcome, ColumnDiff, EnvelopeState, FailureResult, ProposalResult, ReadResult, TruncatedColumn,
    cut_text, model_text,
};
use synapsor_domain::signing::ObjectKind;
use synapsor_domain::tool::{CheckedArguments, check_arguments};
use synapsor_domain::trust::TrustFile;
use synapsor_domain::value::{ColumnValue, Value, find};

use crate::audit_draft::AuditDraft;
use crate::callers::{CallIdentity, TokenScope};
use crate::clients::intake::{SubmissionContext, unavailable};
use crate::propose::{self, ProposalInput};
use crate::read::{self, RowRead};
use crate::role::{CapabilityDigests, ReaderRole};
use synapsor_source::Engine;

/// Replaces a name that looks like a secret in the audit record.
const NAME_WITHHELD: &str = "[withheld]";

/// Call as the gateway passed it on.
#[derive(Debug)]
pub(crate) struct CapabilityCall {
    pub(crate) capability: String,
    pub(crate) arguments_json: Vec<u8>,
    pub(crate) format: Option<ResultFormat>,
    /// Token as the caller presented it; empty if none.
    pub(crate) access_token: Secret,
    /// Identity in the gateway's certificate.
    pub(crate) client: String,
    pub(crate) trace: Option<TraceParent>,
}

/// Response to the gateway.
#[derive(Debug)]
pub(crate) struct CallResponse {
    pub(crate) envelope_json: Vec<u8>,
    /// Code of the failure; `None` on success.
    pub(crate) code: Option<ErrorCode>,
    /// The envelope as text for models.
    pub(crate) model_text: String,
}

impl CallResponse {
    fn new(envelope: &serde_json::Value, format: ResultFormat, code: Option<ErrorCode>) -> Self {
        Self {
            envelope_json: envelope.to_string().into_bytes(),
            code,
            model_text: model_text(envelope, format),
        }
    }
}

/// Result of a successful call.
enum CallSuccess {
    Read {
        row: Vec<ColumnValue>,
        key: String,
    },
    Proposed {
        proposal: Box<Proposal>,
        digest: Digest,
        state: ProposalState,
    },
}

/// Answers one call.
pub(crate) async fn answer(reader: &ReaderRole, call: &CapabilityCall) -> CallResponse {
    let mut draft = AuditDraft::begin(&call.capability, &call.client, &call.arguments_json, reader.now());
    let format = call.format.unwrap_or_else(|| reader.contract.result_format());
    let capability = reader.contract.capability(&call.capability);
    let caller = reader.callers.identify(call.access_token.expose()).await;
    let context = match (&caller, capability) {
        (Ok(caller), Some(capability)) => reader.contexts.get(&capability.context, caller).ok(),
        _ => None,
    };
    let result = match &caller {
        Ok(caller) => attempt(reader, call, caller, capability, &mut draft).await,
        Err(refusal) => Err(refusal.clone()),
    };
    let refusal = match (&result, capability, &context) {
        (Ok(done), Some(capability), Some(context)) => {
            let json = success(reader, capability, context, done, &draft, format);
            return CallResponse::new(&json, format, None);
        }
        (Ok(_), _, _) => PublicError::new(ErrorCode::Internal, "The call failed."),
        (Err(refusal), _, _) => refusal.clone(),
    };
    let refusal = record_refusal(reader, call, &mut draft, refusal).await;
    tracing::info!(
        code = %refusal.code,
        correlation_id = %draft.record.id,
        detail = refusal.detail.as_deref().unwrap_or(&refusal.public),
        fix = refusal.operator_fix,
        "call rejected"
    );
    refusal_cause::record(RefusalCause {
        code: refusal.code,
        correlation_id: Some(draft.record.id.to_string()),
        text: refusal.detail.clone(),
        fix: refusal.operator_fix.clone(),
    });
    let failure = FailureResult {
        capability: &draft.record.capability,
        kind: capability.map(|found| found.kind.tool()),
        context: context.as_ref(),
        refusal: &refusal,
        correlation_id: draft.record.id.as_str(),
    };
    let json = CallOutcome::Failure(failure).to_json(format);
    CallResponse::new(&json, format, Some(refusal.code))
}

async fn attempt(
    reader: &ReaderRole,
    call: &CapabilityCall,
    caller: &CallIdentity,
    capability: Option<&Capability>,
    draft: &mut AuditDraft,
) -> Result<CallSuccess, PublicError> {
    let (trust, _) = reader.trust.read()?;
    draft.ledger_origin = trust.ledger_origin();
    let (Some(capability), Some(digests)) = (capability, reader.digests.get(&call.capability)) else {
        return Err(PublicError::new(
            ErrorCode::McpToolNotFound,
            SafeCode::CapabilityNotFound.sentence(),
        ));
    };
    draft.of_capability(capability, digests);
    let context = reader.contexts.get(&capability.context, caller);
    if let Ok(context) = &context {
        draft.of_context(context);
    }
    let scope = match capability.kind {
        CapabilityKind::Read => TokenScope::Read,
        CapabilityKind::Proposal(_) => TokenScope::Propose,
    };
    reader.callers.require_scope(caller, scope)?;
    let arguments = check_arguments(capability, &call.arguments_json)?;
    if capability.proposal().is_some() && reader.refuses_proposals() {
        return Err(PublicError::new(
            ErrorCode::ProposalsDisabled,
            SafeCode::ApprovalRequired.sentence(),
        ));
    }
    let engine = reader.engines.get(&capability.source).ok_or_else(|| {
        PublicError::new(
            ErrorCode::SourceCredentialMissing,
            "This reader has no credential for the source.",
        )
    })?;
    let context = &context?;
    let work = CallState {
        reader,
        call,
        caller,
        trust: &trust,
        capability,
        digests,
        arguments: &arguments,
        engine: engine.as_ref(),
        context,
        requester: Requester {
            tenant: context.tenant.clone(),
            principal: context.principal.clone(),
            provenance: context.provenance.as_str().to_owned(),
            client: call.client.clone(),
        },
    };
    work.run(draft).await
}

/// Call whose preconditions are all checked.
struct CallState<'a> {
    reader: &'a ReaderRole,
    call: &'a CapabilityCall,
    caller: &'a CallIdentity,
    trust: &'a TrustFile,
    capability: &'a Capability,
    digests: &'a CapabilityDigests,
    arguments: &'a CheckedArguments,
    engine: &'a dyn Engine,
    context: &'a TrustedContext,
    requester: Requester,
}

impl CallState<'_> {
    async fn run(&self, draft: &mut AuditDraft) -> Result<CallSuccess, PublicError> {
        let found = read::find(self.engine, self.capability, self.arguments, self.context, draft).await?;
        let (evidence_id, evidence) = read::encode_evidence(
            self.reader,
            &found,
            self.capability,
            self.digests,
            draft,
            &self.requester,
        )?;
        match self.capability.proposal() {
            None => {
                draft.record.evidence_id = Some(evidence_id);
                draft.record.result = "row".to_owned();
                self.reader
                    .intake
                    .record_read(evidence, draft.encode()?, self.submission())
                    .await?;
                let key = found.target.object_id().unwrap_or_default();
                Ok(CallSuccess::Read {
                    row: visible(self.capability, &found.row),
                    key,
                })
            }
            Some(spec) => {
                let digest = Digest::of(ObjectKind::Evidence, &evidence);
                let reference = EvidenceRef {
                    id: evidence_id,
                    digest,
                };
                self.propose(spec, &found, reference, evidence, draft).await
            }
        }
    }

    async fn propose(
        &self,
        spec: &ProposalSpec,
        found: &RowRead,
        reference: EvidenceRef,
        evidence: Vec<u8>,
        draft: &mut AuditDraft,
    ) -> Result<CallSuccess, PublicError> {
        let material = ProposalInput {
            capability: self.capability,
            spec,
            digests: self.digests,
            arguments: self.arguments,
            context: self.context,
            caller: self.caller,
            requester: self.requester.clone(),
            found,
            evidence: reference.clone(),
            trust: self.trust,
        };
        let (created, envelope) = propose::create_proposal(self.reader, self.engine, material)?;
        draft.record.evidence_id = Some(reference.id);
        draft.record.proposal_id = Some(created.id.clone());
        draft.record.result = "row".to_owned();
        let audit = draft.encode()?;
        let submitted = self
            .reader
            .intake
            .submit_proposal(&envelope, evidence, audit, self.submission())
            .await?;
        let state = submitted.state;
        if !submitted.repeated {
            if submitted.proposal != envelope {
                return Err(unfit(
                    "the ledger returned a different proposal than the one submitted",
                ));
            }
            return Ok(CallSuccess::Proposed {
                digest: Digest::of(ObjectKind::Proposal, &envelope.payload),
                proposal: Box::new(created),
                state,
            });
        }
        let attested = VerifiedProposal::verify_historical(submitted.proposal, self.trust).map_err(|e| {
            unfit("signature of the open proposal failed verification").with_detail(e.to_string())
        })?;
        let proposal = attested.proposal().clone();
        if proposal.content_digest() != created.content_digest() {
            return Err(unfit("the open proposal is for another change"));
        }
        Ok(CallSuccess::Proposed {
            digest: attested.digest(),
            proposal: Box::new(proposal),
            state,
        })
    }

    const fn submission(&self) -> SubmissionContext<'_> {
        SubmissionContext {
            trust: self.trust,
            trace: self.call.trace.as_ref(),
        }
    }
}

/// Records the rejection. If that fails, the call is rejected because it cannot be recorded.
async fn record_refusal(
    reader: &ReaderRole,
    call: &CapabilityCall,
    draft: &mut AuditDraft,
    refusal: PublicError,
) -> PublicError {
    let Ok((trust, _)) = reader.trust.read() else {
        return refusal;
    };
    let submission = SubmissionContext {
        trust: &trust,
        trace: call.trace.as_ref(),
    };
    draft.record.result = refusal.code.to_string();
    draft.record.evidence_id = None;
    draft.record.proposal_id = None;
    let mut submitted = submit_once(reader, draft, submission).await;
    if submitted
        .as_ref()
        .is_err_and(|e| e.code == ErrorCode::SecretMaterialRejected)
    {
        draft.withhold_key();
        if reader.contract.capability(&call.capability).is_none() {
            draft.record.capability = NAME_WITHHELD.to_owned();
        }
        submitted = submit_once(reader, draft, submission).await;
    }
    match submitted {
        Ok(()) => refusal,
        // The ledger may have recorded the call before its response failed verification: the first error is the cause.
        Err(_) if refusal.code == ErrorCode::LedgerUnavailable => refusal,
        Err(error) => error,
    }
}

async fn submit_once(
    reader: &ReaderRole,
    draft: &AuditDraft,
    submission: SubmissionContext<'_>,
) -> Result<(), PublicError> {
    reader.intake.record_refusal(draft.encode()?, submission).await
}

fn success(
    reader: &ReaderRole,
    capability: &Capability,
    context: &TrustedContext,
    done: &CallSuccess,
    draft: &AuditDraft,
    format: ResultFormat,
) -> serde_json::Value {
    let table = capability.target.table.as_str();
    let evidence_id = draft.record.evidence_id.as_ref().map_or("", |id| id.as_str());
    match done {
        CallSuccess::Read { row, key } => {
            let mut truncated = Vec::new();
            let row: Vec<ColumnValue> = row
                .iter()
                .map(|read| ColumnValue::new(read.column.clone(), shown(capability, read, &mut truncated)))
                .collect();
            CallOutcome::Read(ReadResult {
                capability: &capability.name,
                mode: reader.contract.mode(),
                object: (table, key),
                context,
                row: &row,
                truncated: &truncated,
                evidence_id,
            })
            .to_json(format)
        }
        CallSuccess::Proposed {
            proposal,
            digest,
            state,
        } => {
            // The value of a hidden column is for the approver and the writer.
            let is_visible = |column: &String| capability.visible_columns.contains(column);
            let change = |new: &ColumnValue| ColumnDiff {
                column: new.column.clone(),
                before: find(&proposal.before, &new.column)
                    .filter(|_| is_visible(&new.column))
                    .cloned(),
                proposed: new.value.clone(),
            };
            let spec = capability.proposal();
            // A version that the writer advances was not requested, and may not be visible to the agent.
            let asked = |new: &&ColumnValue| {
                spec.is_some_and(|spec| spec.patch.iter().any(|(column, _)| *column == new.column))
            };
            let mut diff: Vec<ColumnDiff> = proposal.set.iter().filter(asked).map(change).collect();
            let mut truncated = Vec::new();
            for change in &mut diff {
                for value in change.before.iter_mut().chain([&mut change.proposed]) {
                    let read = ColumnValue::new(change.column.clone(), value.clone());
                    *value = shown(capability, &read, &mut truncated);
                }
            }
            let is_direct = spec.is_some_and(|spec| spec.executor == ExecutorRef::Direct);
            CallOutcome::Proposal(ProposalResult {
                capability: &capability.name,
                object: (table, &proposal.target.object_id().unwrap_or_default()),
                context,
                proposal_id: proposal.id.as_str(),
                proposal_digest: &digest.to_string(),
                state: EnvelopeState::of(*state, proposal.mode),
                diff: &diff,
                truncated: &truncated,
                evidence_id,
                executor: &proposal.executor,
                is_direct,
            })
            .to_json(format)
        }
    }
}

/// Cuts a value as the contract says, and names what was cut; a column that is cut twice has the longer length.
fn shown(capability: &Capability, read: &ColumnValue, truncated: &mut Vec<TruncatedColumn>) -> Value {
    let cut = capability
        .max_chars(&read.column)
        .and_then(|max_chars| cut_text(&read.value, max_chars));
    let Some((value, chars)) = cut else {
        return read.value.clone();
    };
    match truncated.iter_mut().find(|cut| cut.column == read.column) {
        Some(known) => known.chars = known.chars.max(chars),
        None => truncated.push(TruncatedColumn {
            column: read.column.clone(),
            chars,
        }),
    }
    value
}

/// Keeps only the columns that the contract shows; keys and guards were read for other reasons.
fn visible(capability: &Capability, row: &[ColumnValue]) -> Vec<ColumnValue> {
    row.iter()
        .filter(|c| capability.visible_columns.contains(&c.column))
        .cloned()
        .collect()
}

fn unfit(why: &str) -> PublicError {
    tracing::error!(why, "ledger response failed verification");
    unavailable(why.to_owned())
}
