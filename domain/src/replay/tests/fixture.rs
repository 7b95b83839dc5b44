//! Test fixture: one proposal from its evidence to its receipt, signed and put into a small log.

use tlog_tiles::tlog;
use zeroize::Zeroizing;

use super::super::ProofBundle;
use crate::approval::{
    ApplyOrder, Decision, DecisionKind, ReviewedDocument, SignatureAudience, SignerInfo, SignerTreeHead,
};
use crate::context_ticket::{self, ContextTicket, RecordKind, TicketContext};
use crate::digest::Digest;
use crate::event::{AttemptFinishedBody, AttemptStartedBody, EventKind, EventRecord};
use crate::evidence::Evidence;
use crate::ids::{EvidenceId, ProposalId};
use crate::log::{ConsistencyProof, InclusionProof, ProvenEntry, TreeHead, body_commitment, sign_checkpoint};
use crate::proposal::{
    ApprovalTerms, EvidenceRef, GuardKind, Operation, Proposal, ProposalMode, Requester, RowGuard, RowTarget,
    SourceRef,
};
use crate::signing::{DsseEnvelope, ObjectKind, SigningKey, sign_evidence};
use crate::timestamp::{Span, Timestamp};
use crate::trust::{DeploymentEnvironment, OperatorKey, ServiceKey, TrustFile};
use crate::value::{ColumnValue, Value};
use crate::writeback::{AttemptReport, AttemptResult, Receipt, ReceiptOutcome};
use crate::{canonical, review};

pub(super) const READER: u8 = 1;
pub(super) const WRITER: u8 = 2;
const LEDGER: u8 = 3;
const ANN: u8 = 4;
pub(super) const STRANGER: u8 = 9;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

pub(super) fn at(minute: i64) -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse::<Timestamp>().unwrap() + Span::minutes(minute)
}

pub(super) fn digest(text: &str) -> Digest {
    Digest::of_typed("text/plain", text.as_bytes())
}

pub(super) fn trust() -> TrustFile {
    let service = |seed| {
        vec![ServiceKey {
            key_id: key(seed).key_id(),
            public_key: key(seed).public_key(),
            retired: false,
            retired_at_size: None,
            retired_at_root: None,
            pinned_at: None,
        }]
    };
    TrustFile {
        version: 1,
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        readers: service(READER),
        writers: service(WRITER),
        ledgers: service(LEDGER),
        operators: vec![OperatorKey {
            person: "ann".to_owned(),
            key_id: key(ANN).key_id(),
            public_key: key(ANN).public_key(),
            roles: vec!["billing_lead".to_owned(), "applier".to_owned()],
            capabilities: Vec::new(),
            tenants: Vec::new(),
            not_before: at(-1000),
            not_after: at(100_000),
            revoked: false,
            retired: false,
            retired_at_size: None,
            retired_at_root: None,
            pinned_at: None,
        }],
        aliases: std::collections::BTreeMap::new(),
        separation_of_duties: None,
        ceilings: crate::trust::TrustLimits::default(),
        recoveries: Vec::new(),
    }
}

/// Unsigned objects of the fixture, with their signers.
#[derive(Clone)]
pub(super) struct ReplayFixture {
    pub(super) evidence: Evidence,
    pub(super) proposal: Proposal,
    pub(super) decision: Decision,
    pub(super) order: ApplyOrder,
    pub(super) start: AttemptStartedBody,
    pub(super) report: AttemptReport,
    pub(super) receipt: Receipt,
    /// References that are fixed and not filled in.
    pub(super) fixed: Fixed,
    pub(super) signers: Signers,
    pub(super) settled_as: EventKind,
    pub(super) checkpoint_key: u8,
    /// Other evidence that the reader signed together with this one.
    pub(super) others_in_batch: u8,
}

#[derive(Clone, Default)]
pub(super) struct Fixed {
    pub(super) evidence_ref: bool,
    pub(super) decision: bool,
    pub(super) order: bool,
    pub(super) report: bool,
    pub(super) receipt: bool,
}

#[derive(Clone)]
pub(super) struct Signers {
    pub(super) evidence: u8,
    pub(super) proposal: u8,
    pub(super) decision: u8,
    pub(super) order: u8,
    pub(super) report: u8,
    pub(super) receipt: u8,
}

fn requester() -> Requester {
    Requester {
        tenant: "acme".to_owned(),
        principal: "agent".to_owned(),
        provenance: "environment".to_owned(),
        client: "spiffe://d1/gateway/g1".to_owned(),
    }
}

fn target() -> RowTarget {
    RowTarget {
        schema: "main".to_owned(),
        table: "invoices".to_owned(),
        keys: vec![ColumnValue::new("id", Value::text("INV-1"))],
        tenant: Some(ColumnValue::new("tenant_id", Value::text("acme"))),
    }
}

fn row() -> Vec<ColumnValue> {
    vec![
        ColumnValue::new("id", Value::text("INV-1")),
        ColumnValue::new("tenant_id", Value::text("acme")),
        ColumnValue::new("fee", Value::int(5500)),
        ColumnValue::new("version", Value::int(7)),
    ]
}

fn source() -> SourceRef {
    SourceRef {
        id: "db".to_owned(),
        engine: "sqlite".to_owned(),
        fingerprint: "f".to_owned(),
    }
}

fn evidence() -> Evidence {
    Evidence {
        v: 1,
        id: EvidenceId::from_random([1; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        source: source(),
        capability: "billing.waive".to_owned(),
        contract_digest: digest("contract"),
        requested_by: requester(),
        target: target(),
        row: row(),
        query_fingerprint: digest("query"),
        read_at: at(0),
    }
}

fn proposal() -> Proposal {
    Proposal {
        v: 1,
        id: ProposalId::from_random([2; 10]),
        ledger_origin: "synapsor/d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        source: source(),
        capability: "billing.waive".to_owned(),
        contract_digest: digest("contract"),
        mode: ProposalMode::Review,
        executor: "sql_update".to_owned(),
        operation: Operation::Update,
        args: [("reason".to_owned(), Value::text("late `courier`\u{1b}[31m"))].into(),
        target: target(),
        set: vec![ColumnValue::new("fee", Value::int(0))],
        before: row(),
        guard: RowGuard {
            kind: GuardKind::VersionColumn,
            version: Some(ColumnValue::new("version", Value::int(7))),
            ..RowGuard::weak()
        },
        schema_fingerprint: digest("schema"),
        side_effects: Vec::new(),
        approval: ApprovalTerms {
            required_role: "billing_lead".to_owned(),
            quorum: 1,
        },
        requested_by: requester(),
        on_behalf_of: None,
        context_binding: digest("context"),
        evidence: vec![EvidenceRef {
            id: EvidenceId::from_random([1; 10]),
            digest: digest("filled in"),
        }],
        created_at: at(0),
        not_after: at(10_000),
    }
}

fn approver(role: &str) -> SignerInfo {
    SignerInfo {
        key_id: key(ANN).key_id(),
        person: "ann".to_owned(),
        role: role.to_owned(),
    }
}

fn audience() -> SignatureAudience {
    SignatureAudience {
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        source_id: "db".to_owned(),
    }
}

fn seen() -> SignerTreeHead {
    SignerTreeHead {
        origin: "synapsor/d1".to_owned(),
        size: 2,
        root: "0".repeat(64),
    }
}

fn proposal_id() -> ProposalId {
    ProposalId::from_random([2; 10])
}

fn decision() -> Decision {
    Decision {
        v: 1,
        decision: DecisionKind::Approve,
        proposal_id: proposal_id(),
        proposal_digest: digest("filled in"),
        contract_digest: digest("contract"),
        audience: audience(),
        approver: approver("billing_lead"),
        render: ReviewedDocument {
            renderer: review::Renderer::CURRENT.as_str().to_owned(),
            digest: digest("filled in"),
        },
        seen_checkpoint: Some(seen()),
        issued_at: at(1),
        not_before: at(1),
        expires_at: at(61),
        nonce: "a".repeat(32),
        known_switch: None,
        reason: Some("customer is right".to_owned()),
    }
}

fn order() -> ApplyOrder {
    ApplyOrder {
        v: 1,
        proposal_id: proposal_id(),
        proposal_digest: digest("filled in"),
        contract_digest: digest("contract"),
        decision_digests: Vec::new(),
        audience: audience(),
        approver: approver("applier"),
        seen_checkpoint: Some(seen()),
        issued_at: at(2),
        not_before: at(2),
        expires_at: at(17),
        nonce: "b".repeat(32),
        known_switch: None,
    }
}

fn start() -> AttemptStartedBody {
    AttemptStartedBody {
        proposal_id: proposal_id(),
        proposal_digest: digest("filled in"),
        order_digest: None,
        writer: "w1".to_owned(),
        fence: 1,
        attempt: 1,
    }
}

fn report() -> AttemptReport {
    AttemptReport {
        v: 1,
        proposal_id: proposal_id(),
        proposal_digest: digest("filled in"),
        order_digest: None,
        writer: "w1".to_owned(),
        fence: 1,
        attempt: 1,
        result: AttemptResult::Applied,
        message: "one row changed".to_owned(),
        receipt_digest: None,
        at: at(3),
    }
}

fn receipt() -> Receipt {
    Receipt {
        v: 1,
        proposal_id: proposal_id(),
        proposal_digest: digest("filled in"),
        outcome: ReceiptOutcome::Applied,
        reason: String::new(),
        constraint: None,
        rows_affected: 1,
        previous_version: Some(Value::int(7)),
        new_version: Some(Value::int(8)),
        order_digest: None,
        fence: 1,
        attempt: 1,
        writer: "w1".to_owned(),
        ledger_size: 4,
        ledger_root: "0".repeat(64),
        database_identity: "f".to_owned(),
        created_at: at(3),
    }
}

fn signers() -> Signers {
    Signers {
        evidence: READER,
        proposal: READER,
        decision: ANN,
        order: ANN,
        report: WRITER,
        receipt: WRITER,
    }
}

impl ReplayFixture {
    pub(super) fn new() -> Self {
        Self {
            evidence: evidence(),
            proposal: proposal(),
            decision: decision(),
            order: order(),
            start: start(),
            report: report(),
            receipt: receipt(),
            fixed: Fixed::default(),
            signers: signers(),
            settled_as: EventKind::WritebackApplied,
            checkpoint_key: LEDGER,
            others_in_batch: 0,
        }
    }

    /// Signs all objects in order; each object references the earlier ones unless its reference is fixed.
    pub(super) fn bundle(mut self) -> ProofBundle {
        let payload = canonical::encode(&self.evidence).unwrap();
        let others = (0..self.others_in_batch).map(|n| vec![n]);
        let payloads = std::iter::once(payload).chain(others).collect();
        let evidence = sign_evidence(payloads, &key(self.signers.evidence)).remove(0);
        if !self.fixed.evidence_ref {
            self.proposal.evidence[0].digest = evidence.digest(ObjectKind::Evidence).unwrap();
        }
        let proposal =
            DsseEnvelope::sign(ObjectKind::Proposal, &self.proposal, &key(self.signers.proposal)).unwrap();
        let subject = proposal.digest(ObjectKind::Proposal).unwrap();
        if !self.fixed.decision {
            self.decision.proposal_digest = subject;
            self.decision.render.digest = review::ReviewDocument::of(&self.proposal, subject).digest();
        }
        let decision =
            DsseEnvelope::sign(ObjectKind::Decision, &self.decision, &key(self.signers.decision)).unwrap();
        if !self.fixed.order {
            self.order.proposal_digest = subject;
            self.order.decision_digests = vec![decision.digest(ObjectKind::Decision).unwrap()];
        }
        let order =
            DsseEnvelope::sign(ObjectKind::ApplyOrder, &self.order, &key(self.signers.order)).unwrap();
        let ordered = Some(order.digest(ObjectKind::ApplyOrder).unwrap());
        (self.start.proposal_digest, self.start.order_digest) = (subject, ordered);
        if !self.fixed.receipt {
            (self.receipt.proposal_digest, self.receipt.order_digest) = (subject, ordered);
        }
        let receipt =
            DsseEnvelope::sign(ObjectKind::Receipt, &self.receipt, &key(self.signers.receipt)).unwrap();
        if !self.fixed.report {
            (self.report.proposal_digest, self.report.order_digest) = (subject, ordered);
            self.report.receipt_digest = Some(receipt.digest(ObjectKind::Receipt).unwrap());
        }
        let attempt =
            DsseEnvelope::sign(ObjectKind::Attempt, &self.report, &key(self.signers.report)).unwrap();
        let settled = AttemptFinishedBody { attempt, receipt };
        let decided = match self.decision.decision {
            DecisionKind::Approve => EventKind::ProposalApproved,
            DecisionKind::Reject => EventKind::ProposalRejected,
        };
        let bodies = [
            (EventKind::EvidenceRecorded, evidence.to_bytes().unwrap()),
            (EventKind::ProposalCreated, proposal.to_bytes().unwrap()),
            (decided, decision.to_bytes().unwrap()),
            (EventKind::ApplyRequested, order.to_bytes().unwrap()),
            (
                EventKind::WritebackStarted,
                canonical::encode(&self.start).unwrap(),
            ),
            (
                self.settled_as,
                canonical::encode_within(&settled, 1 << 20).unwrap(),
            ),
        ];
        logged(&bodies, &self.proposal.id, self.checkpoint_key)
    }

    /// Replaces the apply with a withdrawal after the approval.
    pub(super) fn withdrawn(mut self, ticket: &ContextTicket, signer: u8) -> ProofBundle {
        let evidence = DsseEnvelope::sign(ObjectKind::Evidence, &self.evidence, &key(READER)).unwrap();
        self.proposal.evidence[0].digest = evidence.digest(ObjectKind::Evidence).unwrap();
        let proposal = DsseEnvelope::sign(ObjectKind::Proposal, &self.proposal, &key(READER)).unwrap();
        let subject = proposal.digest(ObjectKind::Proposal).unwrap();
        self.decision.proposal_digest = subject;
        self.decision.render.digest = review::ReviewDocument::of(&self.proposal, subject).digest();
        let decision = DsseEnvelope::sign(ObjectKind::Decision, &self.decision, &key(ANN)).unwrap();
        let ticket = DsseEnvelope::sign(ObjectKind::ContextTicket, ticket, &key(signer)).unwrap();
        let bodies = [
            (EventKind::EvidenceRecorded, evidence),
            (EventKind::ProposalCreated, proposal),
            (EventKind::ProposalApproved, decision),
            (EventKind::ProposalWithdrawn, ticket),
        ];
        let bodies = bodies.map(|(kind, envelope)| (kind, envelope.to_bytes().unwrap()));
        logged(&bodies, &self.proposal.id, LEDGER)
    }
}

/// Ticket with which the gateway withdraws the proposal in minute 3.
pub(super) fn ticket() -> ContextTicket {
    ContextTicket {
        audience: context_ticket::TicketAudience::Ledger,
        contexts: vec![TicketContext {
            principal: "agent".to_owned(),
            tenant: "acme".to_owned(),
        }],
        deployment_id: "d1".to_owned(),
        environment: DeploymentEnvironment::Dev,
        expires_at: at(4),
        gateway: "spiffe://d1/x".to_owned(),
        issued_at: at(2),
        kinds: vec![RecordKind::Proposal],
        ledger_origin: "synapsor/d1".to_owned(),
        may_withdraw: true,
        v: 1,
        visible: std::collections::BTreeMap::new(),
    }
}

/// Returns the head of the bundle's log at every size from 1, with the proof from there to the checkpoint.
pub(super) fn heads(bundle: &ProofBundle) -> Vec<(TreeHead, ConsistencyProof)> {
    let records = bundle.records().unwrap();
    let events = records.iter().map(|r| r.event_bytes.as_slice());
    let mut nodes = Nodes(Vec::new());
    for (n, event) in std::iter::once(b"another's".as_slice()).chain(events).enumerate() {
        let new = tlog::stored_hashes(n as u64, event, &nodes).unwrap();
        nodes.0.extend(new);
    }
    let newest = records.len() as u64 + 1;
    (1..=newest)
        .map(|size| {
            let root = tlog::tree_hash(size, &nodes).unwrap().0;
            let hashes = tlog::prove_tree(newest, size, &nodes).unwrap();
            let hashes = hashes.into_iter().map(|h| h.0).collect();
            let proof = ConsistencyProof::new(size, newest, hashes).unwrap();
            (TreeHead { size, root }, proof)
        })
        .collect()
}

struct Nodes(Vec<tlog::Hash>);

impl tlog::HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes
            .iter()
            .map(|i| self.0[usize::try_from(*i).unwrap()])
            .collect())
    }
}

/// Builds a log whose first event belongs to another proposal, so that sequence numbers and positions differ.
fn logged(bodies: &[(EventKind, Vec<u8>)], id: &ProposalId, checkpoint_key: u8) -> ProofBundle {
    let mut events = vec![b"another's".to_vec()];
    for (n, (kind, body)) in bodies.iter().enumerate() {
        let seq = n as u64 + 1;
        let event = EventRecord {
            seq,
            kind: *kind,
            at: at(n as i64),
            actor: "spiffe://d1/x".to_owned(),
            proposal_id: Some(id.clone()),
            body_digest: body_commitment(&[5; 32], body),
            trace_id: None,
        };
        events.push(canonical::encode(&event).unwrap());
    }
    let mut nodes = Nodes(Vec::new());
    for (n, event) in events.iter().enumerate() {
        let new = tlog::stored_hashes(n as u64, event, &nodes).unwrap();
        nodes.0.extend(new);
    }
    let size = events.len() as u64;
    let root = tlog::tree_hash(size, &nodes).unwrap().0;
    let note = sign_checkpoint("synapsor/d1", size, &root, &key(checkpoint_key)).unwrap();
    let record = |n: usize| {
        let index = n as u64 + 1;
        let hashes = tlog::prove_record(size, index, &nodes)
            .unwrap()
            .into_iter()
            .map(|h| h.0)
            .collect();
        ProvenEntry {
            event_bytes: events[n + 1].clone(),
            body_salt: [5; 32],
            body: bodies[n].1.clone(),
            proof: InclusionProof::new(index, size, hashes).unwrap(),
        }
    };
    let records: Vec<_> = (0..bodies.len()).map(record).collect();
    ProofBundle::new("synapsor/d1", &note, &records)
}
