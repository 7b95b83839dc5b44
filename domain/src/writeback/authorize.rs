//! Creates [`WriteAuthorization`]s: every check between an approved proposal and a write, in a fixed order. The
//! error names the first failed check; all inputs except the writer's own are untrusted.

use synapsor_codes::ErrorCode;

use super::ending::{EndedBy, NotAuthorized, Unauthorized};
use super::proof::{LedgerProof, refused as proof_refused};
use crate::approval::{self, ApprovalRefusal, VerificationContext, VerifiedDecision};
use crate::change;
use crate::contract::{Capability, Contract, ExecutorRef, Mode, OnFailover, ProposalSpec};
use crate::database_identity::{IdentityRelation, is_only_unreadable};
use crate::digest::Digest;
use crate::error::PublicError;
use crate::event::EventKind;
use crate::foreign_code::Acknowledged;
use crate::limits::DECISIONS_MAX;
use crate::log::{ProvenEntry, TreeHead};
use crate::proposal::{Proposal, ProposalMode, VerifiedProposal};
use crate::schema::{TableColumn, TableSchema};
use crate::signing::DsseEnvelope;
use crate::timestamp::Timestamp;
use crate::trust::{APPROVER, Position, TrustFile};
use crate::value::Value;

/// The writer's own facts: its files, its clock, its view of the database, its switches.
pub struct WriterFacts<'a> {
    pub trust: &'a TrustFile,
    pub trust_digest: Digest,
    pub contract: &'a Contract,
    pub now: Timestamp,
    /// Identity that the writer's database reports.
    pub database_identity: &'a str,
    /// Target table as the writer's own connection sees it.
    pub shape: &'a TableSchema,
    /// The engine's rule for the values that a column stores exactly.
    pub fit: &'a (dyn Fn(&TableColumn, &Value) -> Result<Value, PublicError> + Sync),
    /// Returns whether the log that this writer verifies provably continues a tree head at which a key was
    /// retired.
    pub continues: &'a (dyn Fn(&TreeHead) -> bool + Sync),
    /// All writeback of this writer is frozen.
    pub frozen: bool,
    /// This proposal was rejected directly at this writer.
    pub is_rejected_here: bool,
    /// Returns whether this writer knows the freeze or lift with this digest.
    pub knows_switch: &'a (dyn Fn(Digest) -> bool + Sync),
}

/// Proposal that matches the writer's own contract and database. It permits a dry run in a transaction that is
/// rolled back, but never a commit. Only [`validate_proposal`] creates one.
#[derive(Debug)]
pub struct ValidatedProposal {
    attested: VerifiedProposal,
    db_managed: Vec<String>,
    is_version_maintained: bool,
    acknowledged: Acknowledged,
    database_identity: String,
}

/// Right to make one exact change once. Only [`authorize`] creates one; it cannot be copied or decoded from
/// bytes, and applying consumes it.
#[derive(Debug)]
pub struct WriteAuthorization {
    validated: ValidatedProposal,
    order_digest: Digest,
    standing: AuthorizationBasis,
    ledger_size: u64,
    ledger_root: [u8; 32],
}

/// Conditions of an authorization that can change before the write; rechecked under the row lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationBasis {
    /// Earliest expiry of proposal, decisions and order.
    pub valid_until: Timestamp,
    /// Digest of the trust file used by all checks.
    pub trust_digest: Digest,
}

impl ValidatedProposal {
    pub const fn proposal(&self) -> &Proposal {
        self.attested.proposal()
    }
    pub const fn proposal_digest(&self) -> Digest {
        self.attested.digest()
    }
    /// Returns whether a column may change without being set: declared columns, the guard column, generated
    /// columns.
    pub fn is_db_managed(&self, column: &str) -> bool {
        self.db_managed.iter().any(|c| c == column)
    }
    /// Returns whether the database itself advances the version column on every change of the row.
    pub const fn is_version_maintained(&self) -> bool {
        self.is_version_maintained
    }
    /// Returns the identity of the database that was checked; no transaction on another one may write.
    pub fn database_identity(&self) -> &str {
        &self.database_identity
    }
    /// Returns the checked code of the table, with the rows that it may write besides the target row.
    pub const fn acknowledged(&self) -> &Acknowledged {
        &self.acknowledged
    }
}

impl WriteAuthorization {
    pub const fn validated(&self) -> &ValidatedProposal {
        &self.validated
    }
    pub const fn proposal(&self) -> &Proposal {
        self.validated.proposal()
    }
    pub const fn proposal_digest(&self) -> Digest {
        self.validated.proposal_digest()
    }
    pub const fn order_digest(&self) -> Digest {
        self.order_digest
    }
    pub const fn standing(&self) -> &AuthorizationBasis {
        &self.standing
    }
    pub const fn ledger_size(&self) -> u64 {
        self.ledger_size
    }
    pub const fn ledger_root(&self) -> &[u8; 32] {
        &self.ledger_root
    }
}

/// Authorizes the write of an attested proposal, from its job records and proofs.
///
/// # Errors
/// [`Unauthorized`], with the first failed check.
pub fn authorize(
    attested: VerifiedProposal,
    ledger: &LedgerProof<'_>,
    facts: &WriterFacts<'_>,
) -> Result<WriteAuthorization, Box<Unauthorized>> {
    match check_all(&attested, ledger, facts) {
        Ok(checked) => Ok(WriteAuthorization {
            validated: checked.planned.of(attested),
            order_digest: checked.order_digest,
            standing: checked.standing,
            ledger_size: ledger.checkpoint.size,
            ledger_root: ledger.checkpoint.root,
        }),
        Err(reason) => Err(Box::new(Unauthorized::new(attested, reason, ledger.checkpoint))),
    }
}

/// Result of the signature checks.
struct CheckedApproval {
    planned: Planned,
    order_digest: Digest,
    standing: AuthorizationBasis,
}

fn check_all(
    attested: &VerifiedProposal,
    ledger: &LedgerProof<'_>,
    facts: &WriterFacts<'_>,
) -> Result<CheckedApproval, NotAuthorized> {
    let Some(order) = ledger.order else {
        let refusal = PublicError::new(ErrorCode::RefusedExpired, "no apply order is in force");
        return Err(NotAuthorized::ending(refusal, EndedBy::Expiry));
    };
    let envelopes = check_ledger(attested, ledger, order, facts)?;
    let planned = plan_again(attested, facts);
    if let Err(PlanRefusal::Other(refusal)) = planned {
        return Err(refusal.into());
    }
    let proposal = attested.proposal();

    let verification = VerificationContext {
        trust: facts.trust,
        now: facts.now,
        proposal,
        proposal_digest: attested.digest(),
    };
    let continues = |head: &TreeHead| ledger.continues_head(head) || (facts.continues)(head);
    let decisions = verify_decisions(&envelopes.decisions, &verification, &continues)?;
    let (index, envelope) = &envelopes.order;
    let position = Position::Logged {
        index: *index,
        continues: &continues,
    };
    let order = approval::verify_order_at(envelope, &verification, &position)?;
    let seen = decisions
        .iter()
        .map(|d| &d.decision().seen_checkpoint)
        .chain([&order.order().seen_checkpoint]);
    for seen in seen.flatten() {
        ledger.continues(seen)?;
    }
    check_known_switches(&decisions, &order, facts)?;
    let ends = decisions
        .iter()
        .map(|d| d.decision().expires_at)
        .chain([order.order().expires_at, proposal.not_after]);
    let valid_until = ends.min().unwrap_or(proposal.not_after);
    let approval = approval::verify_quorum(&verification, proposal.approval.quorum, &decisions, order)?;

    if facts.is_rejected_here {
        let refusal = PublicError::new(ErrorCode::RefusedDenied, "rejected directly at this writer");
        return Err(NotAuthorized::ending(refusal, EndedBy::Rejection));
    }
    if facts.frozen {
        return Err(PublicError::new(
            ErrorCode::RefusedFrozen,
            "writeback is frozen; resume it with `synapsor-runner writeback unfreeze`",
        )
        .into());
    }
    // An altered table ends the proposal only if nothing else stops the write.
    let planned = planned
        .map_err(|refusal| NotAuthorized::by_schema_drift(refusal.into(), approval.order().digest()))?;
    Ok(CheckedApproval {
        planned,
        order_digest: approval.order().digest(),
        standing: AuthorizationBasis {
            valid_until,
            trust_digest: facts.trust_digest,
        },
    })
}

/// Requires that this writer knows the newest freeze or lift named by the signed objects. A writer that did not
/// receive it knows less than the signers, and must not write.
fn check_known_switches(
    decisions: &[VerifiedDecision],
    order: &approval::VerifiedOrder,
    facts: &WriterFacts<'_>,
) -> Result<(), PublicError> {
    let named = decisions
        .iter()
        .map(|d| d.decision().known_switch)
        .chain([order.order().known_switch]);
    if named.flatten().all(|digest| (facts.knows_switch)(digest)) {
        return Ok(());
    }
    Err(PublicError::new(
        ErrorCode::RefusedSwitchesBehind,
        "signed with knowledge of a freeze or lift that this writer did not receive; check its connection to the ledger",
    ))
}

/// Checks an attested proposal against the writer's own contract and database alone: its effect, not whether an
/// operator ordered it.
///
/// Refuses tables with acknowledged code: a rollback cannot undo effects of such code outside the transaction.
pub fn validate_proposal(
    attested: VerifiedProposal,
    facts: &WriterFacts<'_>,
) -> Result<ValidatedProposal, PublicError> {
    let planned = plan_again(&attested, facts)?;
    if !planned.acknowledged.is_empty() {
        return Err(PublicError::new(
            ErrorCode::RefusedDryRunSideEffects,
            "acknowledged code of the table would run without an approval; only an approved proposal may run it",
        ));
    }
    Ok(planned.of(attested))
}

/// Additions of the writer's own contract and table to a proposal.
struct Planned {
    db_managed: Vec<String>,
    is_version_maintained: bool,
    acknowledged: Acknowledged,
    database_identity: String,
}

impl Planned {
    fn of(self, attested: VerifiedProposal) -> ValidatedProposal {
        ValidatedProposal {
            attested,
            db_managed: self.db_managed,
            is_version_maintained: self.is_version_maintained,
            acknowledged: self.acknowledged,
            database_identity: self.database_identity,
        }
    }
}

/// Reasons why a proposal does not match the writer's own contract and database.
#[derive(Debug)]
enum PlanRefusal {
    /// The table was altered after the proposal was made; contract and database are the proposal's.
    SchemaDrift(PublicError),
    Other(PublicError),
}

impl From<PublicError> for PlanRefusal {
    fn from(refusal: PublicError) -> Self {
        Self::Other(refusal)
    }
}

impl From<PlanRefusal> for PublicError {
    fn from(refusal: PlanRefusal) -> Self {
        match refusal {
            PlanRefusal::SchemaDrift(refusal) | PlanRefusal::Other(refusal) => refusal,
        }
    }
}

fn plan_again(attested: &VerifiedProposal, facts: &WriterFacts<'_>) -> Result<Planned, PlanRefusal> {
    let proposal = attested.proposal();
    let (capability, spec) = check_contract(proposal, facts)?;
    if proposal.schema_fingerprint != proposal.fingerprint_of(facts.shape) {
        check_source(proposal, facts)?;
        return Err(PlanRefusal::SchemaDrift(PublicError::new(
            ErrorCode::RefusedSchemaDrift,
            "the table was altered after the proposal was made; submit a new proposal",
        )));
    }
    let acknowledged = check_plan(proposal, capability, spec, facts)?;
    check_source(proposal, facts)?;
    Ok(Planned {
        db_managed: db_managed(spec, proposal, facts.shape),
        is_version_maintained: is_version_maintained(spec, proposal, facts.shape),
        acknowledged,
        database_identity: facts.database_identity.to_owned(),
    })
}

/// Envelopes with their positions in the log.
struct Envelopes {
    decisions: Vec<(u64, DsseEnvelope)>,
    order: (u64, DsseEnvelope),
}

fn check_ledger(
    attested: &VerifiedProposal,
    ledger: &LedgerProof<'_>,
    order: &ProvenEntry,
    facts: &WriterFacts<'_>,
) -> Result<Envelopes, PublicError> {
    if ledger.checkpoint.origin != facts.trust.ledger_origin() {
        return Err(proof_refused("checkpoint is from another log"));
    }
    if ledger.decisions.len() > DECISIONS_MAX {
        return Err(PublicError::new(
            ErrorCode::RefusedMalformed,
            format!("more than {DECISIONS_MAX} decisions"),
        ));
    }
    let logged = ledger.envelope(ledger.proposal, &[EventKind::ProposalCreated])?;
    if logged != *attested.envelope() {
        return Err(proof_refused(
            "the logged proposal differs from the presented one",
        ));
    }
    let kinds = [EventKind::ProposalApproved, EventKind::ProposalRejected];
    let decisions = ledger
        .decisions
        .iter()
        .map(|r| Ok((r.proof.index(), ledger.envelope(r, &kinds)?)))
        .collect::<Result<_, PublicError>>()?;
    let order = (
        order.proof.index(),
        ledger.envelope(order, &[EventKind::ApplyRequested])?,
    );
    Ok(Envelopes { decisions, order })
}

fn check_contract<'a>(
    proposal: &Proposal,
    facts: &WriterFacts<'a>,
) -> Result<(&'a Capability, &'a ProposalSpec), PublicError> {
    let refused = |public: String| PublicError::new(ErrorCode::RefusedContract, public);
    if facts.contract.mode() != Mode::Review || proposal.mode != ProposalMode::Review {
        return Err(refused(
            "only proposals in review mode can be applied, and only by a writer in review mode".to_owned(),
        ));
    }
    let capability = facts
        .contract
        .capabilities()
        .iter()
        .find(|c| c.name == proposal.capability)
        .ok_or_else(|| {
            refused(format!(
                "the writer's contract has no capability `{}`",
                proposal.capability
            ))
        })?;
    if capability.contract_digest(facts.contract) != proposal.contract_digest {
        return Err(refused(format!(
            "contract digest mismatch for `{}`; submit a new proposal",
            proposal.capability
        )));
    }
    let spec = capability
        .proposal()
        .ok_or_else(|| refused("not a proposal capability".to_owned()))?;
    match &spec.executor {
        ExecutorRef::Direct => Ok((capability, spec)),
        ExecutorRef::Handler(name) => Err(PublicError::new(
            ErrorCode::RefusedExecutorUnavailable,
            format!("this writer cannot run the handler `{name}`"),
        )),
    }
}

fn check_plan(
    proposal: &Proposal,
    capability: &Capability,
    spec: &ProposalSpec,
    facts: &WriterFacts<'_>,
) -> Result<Acknowledged, PublicError> {
    let refused = |what: &str| {
        PublicError::new(
            ErrorCode::RefusedPlanMismatch,
            format!("the proposal's {what} does not match the value computed from the contract"),
        )
    };
    // Checked first, so that the refusal has its own code and not the plan mismatch.
    let acknowledged = change::acknowledged(spec, facts.shape)
        .map_err(|problem| PublicError::new(problem.attempt_code(), problem.text()))?;
    let columns: Vec<&str> = proposal.before.iter().map(|c| c.column.as_str()).collect();
    if columns != capability.read_columns() {
        return Err(refused("before-image"));
    }
    let tenant = &proposal.requested_by.tenant;
    let plan = change::plan(
        capability,
        &proposal.args,
        &proposal.before,
        facts.shape,
        facts.fit,
        tenant,
    )
    .map_err(|e| refused("change").with_detail(e.to_string()))?;
    if plan.target != proposal.target {
        return Err(refused("target"));
    }
    if plan.set != proposal.set {
        return Err(refused("change"));
    }
    if plan.guard != proposal.guard {
        return Err(refused("guard"));
    }
    if !plan.is_listed_by(&proposal.side_effects) {
        return Err(refused("list of side effects"));
    }
    let role = spec.approval.required_role.as_deref().unwrap_or(APPROVER);
    let terms = &proposal.approval;
    if terms.required_role != role || terms.quorum != u32::from(spec.approval.quorum) {
        return Err(refused("approval"));
    }
    Ok(acknowledged)
}

fn check_source(proposal: &Proposal, facts: &WriterFacts<'_>) -> Result<(), PublicError> {
    let refused = |public: &str| Err(PublicError::new(ErrorCode::RefusedSource, public));
    let source = facts.contract.source(&proposal.source.id);
    let on_failover = source.map(|source| source.on_failover).unwrap_or_default();
    match IdentityRelation::of(&proposal.source.fingerprint, facts.database_identity) {
        IdentityRelation::Same => {}
        IdentityRelation::Weaker | IdentityRelation::LaterTimeline if on_failover == OnFailover::Compare => {}
        IdentityRelation::LaterTimeline => {
            return refused(
                "the database server started another timeline after the proposal was read, and `on_failover` is \
                 `refuse`; submit a new proposal",
            );
        }
        IdentityRelation::Weaker => {
            return refused(
                "the proposal or the writer's database names no timeline, and `on_failover` is `refuse`: read from \
                 the primary, with roles that may call what `synapsor-runner writeback grants` prints",
            );
        }
        IdentityRelation::EarlierTimeline => {
            return refused(
                "the writer's database is on an earlier timeline than the one that the proposal was read from: an old \
                 primary or an old backup serves it",
            );
        }
        IdentityRelation::Different
            if is_only_unreadable(&proposal.source.fingerprint, facts.database_identity) =>
        {
            return refused(
                "the writer's role may not read the database's system identifier, which the proposal names: GRANT \
                 EXECUTE ON FUNCTION pg_catalog.pg_control_system() to the writer's role",
            );
        }
        IdentityRelation::Different => {
            return refused(
                "the writer's database differs from the database that the proposal was read from: give the read URL and \
                 the write URL the same server and database; `synapsor-runner writeback doctor --check-db` compares them",
            );
        }
    }
    if proposal.source.engine != facts.shape.engine.as_str() {
        return Err(PublicError::new(
            ErrorCode::RefusedSource,
            "the writer's source has a different engine",
        ));
    }
    Ok(())
}

fn verify_decisions(
    envelopes: &[(u64, DsseEnvelope)],
    verification: &VerificationContext<'_>,
    continues: &(dyn Fn(&TreeHead) -> bool + Sync),
) -> Result<Vec<VerifiedDecision>, ApprovalRefusal> {
    envelopes
        .iter()
        .map(|(index, envelope)| {
            let position = Position::Logged {
                index: *index,
                continues,
            };
            approval::verify_decision_at(envelope, verification, &position)
        })
        .collect()
}

fn db_managed(spec: &ProposalSpec, proposal: &Proposal, shape: &TableSchema) -> Vec<String> {
    let guard = proposal.guard.version.iter().map(|v| v.column.clone());
    let generated = shape
        .columns
        .iter()
        .filter(|c| c.generated)
        .map(|c| c.name.clone());
    spec.db_managed
        .iter()
        .cloned()
        .chain(guard)
        .chain(generated)
        .collect()
}

fn is_version_maintained(spec: &ProposalSpec, proposal: &Proposal, shape: &TableSchema) -> bool {
    proposal.guard.version.as_ref().is_some_and(|version| {
        spec.db_managed.contains(&version.column)
            || shape.column(&version.column).is_some_and(|c| c.generated)
    })
}

impl std::fmt::Debug for WriterFacts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterFacts")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
