//! RoundRobinPosition a row that was read into a signed proposal: the domain plans it, this reader signs it.

use std::collections::BTreeMap;

use synapsor_codes::ErrorCode;
use synapsor_domain::change::{self, ChangePlan};
use synapsor_domain::context::TrustedContext;
use synapsor_domain::contract::{Capability, ExecutorRef, Mode, ProposalSpec};
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::PROPOSAL_LIFETIME_DAYS;
use synapsor_domain::proposal::{
    ApprovalTerms, EvidenceRef, Operation, PROPOSAL_VERSION, Proposal, ProposalMode, Requester,
    used_fingerprint,
};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::tool::CheckedArguments;
use synapsor_domain::trust::{APPROVER, TrustFile};
use synapsor_domain::value::Value;

use crate::callers::CallIdentity;
use crate::read::RowRead;
use crate::role::{CapabilityDigests, ReaderRole};
use synapsor_source::Engine;

/// Name of the writer's own guarded update.
const DIRECT: &str = "sql_update";

/// Input of one proposal.
pub(crate) struct ProposalInput<'a> {
    pub(crate) capability: &'a Capability,
    pub(crate) spec: &'a ProposalSpec,
    pub(crate) digests: &'a CapabilityDigests,
    pub(crate) arguments: &'a CheckedArguments,
    pub(crate) context: &'a TrustedContext,
    pub(crate) caller: &'a CallIdentity,
    pub(crate) requester: Requester,
    pub(crate) found: &'a RowRead,
    pub(crate) evidence: EvidenceRef,
    pub(crate) trust: &'a TrustFile,
}

/// Plans the change and signs the proposal.
pub(crate) fn create_proposal(
    reader: &ReaderRole,
    engine: &dyn Engine,
    material: ProposalInput<'_>,
) -> Result<(Proposal, DsseEnvelope), PublicError> {
    let ProposalInput {
        capability,
        spec,
        found,
        trust,
        ..
    } = material;
    let args: BTreeMap<String, Value> = material
        .arguments
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let plan = plan(engine, &material, &args)?;
    let schema_fingerprint = used_fingerprint(&found.shape, &plan.target, &found.row, &plan.set);
    let now = reader.now();
    let proposal = Proposal {
        v: PROPOSAL_VERSION,
        id: ProposalId::from_random(synapsor_chassis::random::bytes()),
        ledger_origin: trust.ledger_origin(),
        environment: trust.environment,
        source: found.source.clone(),
        capability: capability.name.clone(),
        contract_digest: material.digests.contract_digest,
        mode: match reader.contract.mode() {
            Mode::Shadow => ProposalMode::Shadow,
            Mode::Review | Mode::ReadOnly | Mode::Cloud => ProposalMode::Review,
        },
        executor: match &spec.executor {
            ExecutorRef::Direct => DIRECT.to_owned(),
            ExecutorRef::Handler(name) => name.clone(),
        },
        operation: Operation::Update,
        args,
        side_effects: plan.all_side_effects(),
        target: plan.target,
        set: plan.set,
        before: found.row.clone(),
        guard: plan.guard,
        schema_fingerprint,
        approval: ApprovalTerms {
            required_role: spec
                .approval
                .required_role
                .clone()
                .unwrap_or_else(|| APPROVER.to_owned()),
            quorum: u32::from(spec.approval.quorum),
        },
        context_binding: reader.contexts.binding(material.context, material.caller),
        requested_by: material.requester,
        on_behalf_of: None,
        evidence: vec![material.evidence],
        created_at: now,
        not_after: now + Span::days(PROPOSAL_LIFETIME_DAYS),
    };
    let envelope = DsseEnvelope::sign(ObjectKind::Proposal, &proposal, &reader.key).map_err(|e| {
        PublicError::new(
            ErrorCode::ProposalTooLarge,
            "The change exceeds the maximum size for review.",
        )
        .with_detail(e.to_string())
    })?;
    Ok((proposal, envelope))
}

/// Plans the change, unless the row has the proposed values already. That is checked here and not in the plan, which the
/// writer repeats for proposals of earlier versions too.
fn plan(
    engine: &dyn Engine,
    material: &ProposalInput<'_>,
    args: &BTreeMap<String, Value>,
) -> Result<ChangePlan, PublicError> {
    let (capability, found) = (material.capability, material.found);
    let fit = |column: &_, value: &_| engine.fit(column, value);
    if change::changes_nothing(capability, material.arguments, &found.row, &found.shape, &fit) {
        let message = "Nothing to change: the row has these values already.";
        return Err(PublicError::new(ErrorCode::NothingToChange, message));
    }
    change::plan(
        capability,
        args,
        &found.row,
        &found.shape,
        &fit,
        &material.context.tenant,
    )
}
