//! A small log made by hand: one proposal from its evidence to its receipt, and every way to bend it.

use serde_json::Value as Json;
use tlog_tiles::tlog;
use zeroize::Zeroizing;

use super::*;
use crate::approval::{ApplyOrder, Approver, Audience, Decision, RENDERER, Render, SeenCheckpoint, Verdict};
use crate::digest::Digest;
use crate::event::{EventKind, EventRecord, SettleBody, StartBody};
use crate::evidence::Evidence;
use crate::ids::{EvidenceId, ProposalId};
use crate::log::{InclusionProof, LoggedRecord, body_commitment, sign_checkpoint};
use crate::proposal::{
    ApprovalTerms, EvidenceRef, GuardKind, Operation, Proposal, ProposalMode, Requester, RowGuard, SourceRef,
    State, Target,
};
use crate::signing::{Envelope, Kind, SigningKey};
use crate::timestamp::{Span, Timestamp};
use crate::trust::{Environment, Operator, ServiceKey, TrustFile};
use crate::value::{ColumnValue, Value};
use crate::writeback::{AttemptReport, AttemptResult, Outcome, Receipt};
use crate::{canonical, review};

const READER: u8 = 1;
const WRITER: u8 = 2;
const LEDGER: u8 = 3;
const ANN: u8 = 4;
const STRANGER: u8 = 9;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn at(minute: i64) -> Timestamp {
    "2026-03-01T00:00:00.000Z".parse::<Timestamp>().unwrap() + Span::minutes(minute)
}

fn digest(text: &str) -> Digest {
    Digest::of_typed("text/plain", text.as_bytes())
}

fn trust() -> TrustFile {
    let service = |seed| {
        vec![ServiceKey {
            key_id: key(seed).key_id(),
            public_key: key(seed).public_key(),
            retired: false,
        }]
    };
    TrustFile {
        version: 1,
        deployment_id: "d1".to_owned(),
        environment: Environment::Dev,
        readers: service(READER),
        writers: service(WRITER),
        ledgers: service(LEDGER),
        operators: vec![Operator {
            person: "ann".to_owned(),
            key_id: key(ANN).key_id(),
            public_key: key(ANN).public_key(),
            roles: vec!["billing_lead".to_owned(), "applier".to_owned()],
            capabilities: Vec::new(),
            tenants: Vec::new(),
            not_before: at(-1000),
            not_after: at(100_000),
            revoked: false,
        }],
        aliases: std::collections::BTreeMap::new(),
        separation_of_duties: None,
        ceilings: crate::trust::Ceilings::default(),
    }
}

/// Every object of the story before it is signed, and who signs it.
#[derive(Clone)]
struct Tale {
    evidence: Evidence,
    proposal: Proposal,
    decision: Decision,
    order: ApplyOrder,
    start: StartBody,
    report: AttemptReport,
    receipt: Receipt,
    /// Set to keep a changed reference from being filled in.
    fixed: Fixed,
    signers: Signers,
    settled_as: EventKind,
    checkpoint_key: u8,
}

#[derive(Clone, Default)]
struct Fixed {
    evidence_ref: bool,
    decision: bool,
    order: bool,
    report: bool,
    receipt: bool,
}

#[derive(Clone)]
struct Signers {
    evidence: u8,
    proposal: u8,
    decision: u8,
    order: u8,
    report: u8,
    receipt: u8,
}

fn requester() -> Requester {
    Requester {
        tenant: "acme".to_owned(),
        principal: "agent".to_owned(),
        provenance: "environment".to_owned(),
        client: "spiffe://d1/gateway/g1".to_owned(),
    }
}

fn target() -> Target {
    Target {
        schema: "main".to_owned(),
        table: "invoices".to_owned(),
        primary_key: ColumnValue::new("id", Value::text("INV-1")),
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
        environment: Environment::Dev,
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

fn approver(role: &str) -> Approver {
    Approver {
        key_id: key(ANN).key_id(),
        person: "ann".to_owned(),
        role: role.to_owned(),
    }
}

fn audience() -> Audience {
    Audience {
        deployment_id: "d1".to_owned(),
        environment: Environment::Dev,
        source_id: "db".to_owned(),
    }
}

fn seen() -> SeenCheckpoint {
    SeenCheckpoint {
        origin: "synapsor/d1".to_owned(),
        size: 2,
        root: "0".repeat(64),
    }
}

impl Tale {
    fn new() -> Self {
        let id = ProposalId::from_random([2; 10]);
        let none = digest("filled in");
        Self {
            evidence: evidence(),
            proposal: proposal(),
            decision: Decision {
                v: 1,
                decision: Verdict::Approve,
                proposal_id: id.clone(),
                proposal_digest: none,
                contract_digest: digest("contract"),
                audience: audience(),
                approver: approver("billing_lead"),
                render: Render {
                    renderer: RENDERER.to_owned(),
                    digest: none,
                },
                seen_checkpoint: Some(seen()),
                issued_at: at(1),
                not_before: at(1),
                expires_at: at(61),
                nonce: "a".repeat(32),
                reason: Some("customer is right".to_owned()),
            },
            order: ApplyOrder {
                v: 1,
                proposal_id: id.clone(),
                proposal_digest: none,
                contract_digest: digest("contract"),
                decision_digests: Vec::new(),
                audience: audience(),
                approver: approver("applier"),
                seen_checkpoint: Some(seen()),
                issued_at: at(2),
                not_before: at(2),
                expires_at: at(17),
                nonce: "b".repeat(32),
            },
            start: StartBody {
                proposal_id: id.clone(),
                proposal_digest: none,
                order_digest: None,
                writer: "w1".to_owned(),
                fence: 1,
                attempt: 1,
            },
            report: AttemptReport {
                v: 1,
                proposal_id: id.clone(),
                proposal_digest: none,
                order_digest: None,
                writer: "w1".to_owned(),
                fence: 1,
                attempt: 1,
                result: AttemptResult::Applied,
                message: "one row changed".to_owned(),
                receipt_digest: None,
                at: at(3),
            },
            receipt: Receipt {
                v: 1,
                proposal_id: id,
                proposal_digest: none,
                outcome: Outcome::Applied,
                reason: String::new(),
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
            },
            fixed: Fixed::default(),
            signers: Signers {
                evidence: READER,
                proposal: READER,
                decision: ANN,
                order: ANN,
                report: WRITER,
                receipt: WRITER,
            },
            settled_as: EventKind::WritebackApplied,
            checkpoint_key: LEDGER,
        }
    }

    /// Signs everything in turn, each object naming the ones before it unless its reference is fixed.
    fn bundle(mut self) -> Bundle {
        let evidence = Envelope::seal(Kind::Evidence, &self.evidence, &key(self.signers.evidence)).unwrap();
        if !self.fixed.evidence_ref {
            self.proposal.evidence[0].digest = evidence.digest(Kind::Evidence).unwrap();
        }
        let proposal = Envelope::seal(Kind::Proposal, &self.proposal, &key(self.signers.proposal)).unwrap();
        let subject = proposal.digest(Kind::Proposal).unwrap();
        if !self.fixed.decision {
            self.decision.proposal_digest = subject;
            self.decision.render.digest = review::digest(&self.proposal, subject);
        }
        let decision = Envelope::seal(Kind::Decision, &self.decision, &key(self.signers.decision)).unwrap();
        if !self.fixed.order {
            self.order.proposal_digest = subject;
            self.order.decision_digests = vec![decision.digest(Kind::Decision).unwrap()];
        }
        let order = Envelope::seal(Kind::ApplyOrder, &self.order, &key(self.signers.order)).unwrap();
        let ordered = Some(order.digest(Kind::ApplyOrder).unwrap());
        (self.start.proposal_digest, self.start.order_digest) = (subject, ordered);
        if !self.fixed.receipt {
            (self.receipt.proposal_digest, self.receipt.order_digest) = (subject, ordered);
        }
        let receipt = Envelope::seal(Kind::Receipt, &self.receipt, &key(self.signers.receipt)).unwrap();
        if !self.fixed.report {
            (self.report.proposal_digest, self.report.order_digest) = (subject, ordered);
            self.report.receipt_digest = Some(receipt.digest(Kind::Receipt).unwrap());
        }
        let attempt = Envelope::seal(Kind::Attempt, &self.report, &key(self.signers.report)).unwrap();
        let settled = SettleBody { attempt, receipt };
        let decided = match self.decision.decision {
            Verdict::Approve => EventKind::ProposalApproved,
            Verdict::Deny => EventKind::ProposalRejected,
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

/// A log whose first event is another's, so that sequence numbers and positions differ.
fn logged(bodies: &[(EventKind, Vec<u8>)], id: &ProposalId, checkpoint_key: u8) -> Bundle {
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
        LoggedRecord {
            event_bytes: events[n + 1].clone(),
            body_salt: [5; 32],
            body: bodies[n].1.clone(),
            proof: InclusionProof::new(index, size, hashes).unwrap(),
        }
    };
    let records: Vec<_> = (0..bodies.len()).map(record).collect();
    Bundle::new("synapsor/d1", &note, &records)
}

fn code(tale: Tale) -> &'static str {
    verify_bundle(&tale.bundle(), &trust()).map_or_else(|e| e.code(), |_| "genuine")
}

#[test]
fn a_clean_bundle_verifies_and_tells_the_whole_story() {
    let bytes = Tale::new().bundle().to_bytes().unwrap();
    let verified = verify(&bytes, &trust()).unwrap();
    assert_eq!(verified.findings, Vec::<String>::new());
    let story = &verified.story;
    assert_eq!(story.state, State::Applied);
    assert!(story.evidence[0].cited);
    assert_eq!(story.diff[0].before, Some(Value::int(5500)));
    assert_eq!(story.decisions[0].approver.person, "ann");
    assert_eq!(story.orders[0].decision_digests, [story.decisions[0].digest]);
    assert_eq!(story.receipt.as_ref().unwrap().receipt.outcome, Outcome::Applied);
    assert_eq!(story.events.len(), 6);
    let page = markdown(story);
    for part in [
        "## Request",
        "## Trusted context",
        "## Evidence",
        "## Diff",
        "`fee`: `5500` to `0`",
        "ann",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    assert!(
        page.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
        "{page}"
    );
    assert!(page.contains("late \\u{60}courier\\u{60}\\u{1B}[31m"), "{page}");
}

#[test]
fn an_expired_decision_and_a_retired_key_do_not_spoil_what_was_done_in_time() {
    let mut trust = trust();
    trust.readers[0].retired = true;
    trust.writers[0].retired = true;
    // The decision ended an hour after it was made; verification has no clock at all.
    assert!(
        verify_bundle(&Tale::new().bundle(), &trust)
            .unwrap()
            .findings
            .is_empty()
    );
}

#[test]
fn a_key_revoked_since_is_a_finding() {
    let mut trust = trust();
    trust.operators[0].revoked = true;
    let findings = verify_bundle(&Tale::new().bundle(), &trust).unwrap().findings;
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|f| f.contains("revoked")), "{findings:?}");
}

#[test]
fn every_object_must_be_signed_by_whom_the_trust_file_knows() {
    let with = |change: fn(&mut Tale)| {
        let mut tale = Tale::new();
        change(&mut tale);
        code(tale)
    };
    assert_eq!(with(|t| t.signers.evidence = STRANGER), "BUNDLE_EVIDENCE");
    assert_eq!(with(|t| t.signers.proposal = STRANGER), "BUNDLE_PROPOSAL");
    assert_eq!(with(|t| t.signers.decision = STRANGER), "BUNDLE_DECISION");
    assert_eq!(with(|t| t.signers.order = STRANGER), "BUNDLE_ORDER");
    assert_eq!(with(|t| t.signers.report = STRANGER), "BUNDLE_ATTEMPT");
    assert_eq!(with(|t| t.signers.receipt = STRANGER), "BUNDLE_RECEIPT");
    assert_eq!(with(|t| t.checkpoint_key = STRANGER), "BUNDLE_CHECKPOINT");
    // A key of ours is not good for another's work.
    assert_eq!(with(|t| t.signers.receipt = READER), "BUNDLE_RECEIPT");
    assert_eq!(with(|t| t.signers.evidence = WRITER), "BUNDLE_EVIDENCE");
}

#[test]
fn every_object_must_name_the_ones_before_it() {
    let with = |change: fn(&mut Tale)| {
        let mut tale = Tale::new();
        change(&mut tale);
        code(tale)
    };
    assert_eq!(with(|t| t.fixed.evidence_ref = true), "BUNDLE_EVIDENCE");
    assert_eq!(
        with(|t| t.evidence.row[2].value = Value::int(1)),
        "BUNDLE_EVIDENCE"
    );
    assert_eq!(with(|t| t.fixed.decision = true), "BUNDLE_DECISION");
    assert_eq!(
        with(|t| t.decision.proposal_id = ProposalId::from_random([3; 10])),
        "BUNDLE_DECISION"
    );
    assert_eq!(
        with(|t| {
            t.fixed.order = true;
            t.order.decision_digests = vec![digest("another")];
        }),
        "BUNDLE_ORDER"
    );
    assert_eq!(with(|t| t.fixed.report = true), "BUNDLE_ATTEMPT");
    assert_eq!(with(|t| t.fixed.receipt = true), "BUNDLE_RECEIPT");
    assert_eq!(with(|t| t.receipt.outcome = Outcome::Conflict), "BUNDLE_RECEIPT");
    assert_eq!(
        with(|t| t.report.result = AttemptResult::InDoubt),
        "BUNDLE_RECEIPT"
    );
    assert_eq!(with(|t| t.receipt.ledger_size = 7), "BUNDLE_RECEIPT");
}

#[test]
fn authority_is_judged_at_the_time_of_the_order() {
    let with = |change: fn(&mut Tale)| {
        let mut tale = Tale::new();
        change(&mut tale);
        code(tale)
    };
    // Good when it was filed, over when the order came.
    assert_eq!(
        with(|t| t.decision.expires_at = at(2) + Span::seconds(30)),
        "BUNDLE_ORDER"
    );
    assert_eq!(with(|t| t.decision.expires_at = at(1)), "BUNDLE_DECISION");
    assert_eq!(with(|t| t.proposal.approval.quorum = 2), "BUNDLE_ORDER");
    assert_eq!(
        with(|t| t.decision.approver.role = "applier".to_owned()),
        "BUNDLE_DECISION"
    );
    assert_eq!(with(|t| t.order.nonce = "a".repeat(32)), "BUNDLE_ORDER");
    assert_eq!(with(|t| t.decision.decision = Verdict::Deny), "BUNDLE_ORDER");
    assert_eq!(
        with(|t| t.decision.seen_checkpoint.as_mut().unwrap().size = 6),
        "BUNDLE_DECISION"
    );
    let mut tale = Tale::new();
    tale.order.approver.person = "bob".to_owned();
    assert_eq!(code(tale), "BUNDLE_ORDER");
}

#[test]
fn a_bundle_of_another_deployment_or_environment_is_refused() {
    let mut other = trust();
    other.deployment_id = "d2".to_owned();
    let bundle = Tale::new().bundle();
    assert_eq!(
        verify_bundle(&bundle, &other).unwrap_err().code(),
        "BUNDLE_OTHER_LOG"
    );
    let mut staging = trust();
    staging.environment = Environment::Staging;
    assert_eq!(
        verify_bundle(&bundle, &staging).unwrap_err().code(),
        "BUNDLE_PROPOSAL"
    );
}

#[test]
fn a_changed_leaf_of_the_file_is_reported_wherever_it_is() {
    let clean: Json = serde_json::from_slice(&Tale::new().bundle().to_bytes().unwrap()).unwrap();
    let trust = trust();
    let mut changed = 0;
    for place in leaves(&clean, String::new()) {
        for edit in edits(clean.pointer(&place).unwrap()) {
            let mut json = clean.clone();
            *json.pointer_mut(&place).unwrap() = edit;
            let bytes = canonical::encode_within(&json, BUNDLE_BYTES_MAX).unwrap();
            assert!(verify(&bytes, &trust).is_err(), "{place}");
            changed += 1;
        }
    }
    assert!(changed > 60, "{changed}");
}

#[test]
fn records_left_out_doubled_or_swapped_are_reported() {
    let bundle = Tale::new().bundle();
    let records = bundle.records().unwrap();
    let trust = trust();
    let verdict = |records: &[LoggedRecord]| {
        verify_bundle(&Bundle::new(&bundle.origin, &bundle.checkpoint, records), &trust)
    };
    for left_out in 0..4 {
        let mut fewer = records.clone();
        fewer.remove(left_out);
        assert!(verdict(&fewer).is_err(), "{left_out}");
    }
    let mut doubled = records.clone();
    doubled.push(records[5].clone());
    assert_eq!(verdict(&doubled).unwrap_err(), BundleError::RecordOrder);
    let mut swapped = records;
    swapped.swap(2, 3);
    assert_eq!(verdict(&swapped).unwrap_err(), BundleError::RecordOrder);
}

#[test]
fn any_changed_byte_of_the_file_is_reported() {
    let clean = Tale::new().bundle().to_bytes().unwrap();
    let trust = trust();
    for position in (0..clean.len()).step_by(101) {
        let mut bytes = clean.clone();
        bytes[position] ^= 1;
        assert!(verify(&bytes, &trust).is_err(), "{position}");
    }
}

fn leaves(json: &Json, place: String) -> Vec<String> {
    match json {
        Json::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(n, item)| leaves(item, format!("{place}/{n}")))
            .collect(),
        Json::Object(map) => map
            .iter()
            .flat_map(|(name, item)| leaves(item, format!("{place}/{name}")))
            .collect(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => vec![place],
    }
}

/// Other values of the same kind: a number beside it, a text with one character changed at start, middle and end.
fn edits(leaf: &Json) -> Vec<Json> {
    match leaf {
        Json::Number(number) => vec![Json::from(number.as_u64().unwrap() + 1)],
        Json::String(text) => [0, text.len() / 2, text.len().saturating_sub(3)]
            .into_iter()
            .filter(|n| *n < text.len())
            .map(|n| {
                let mut bytes = text.clone().into_bytes();
                bytes[n] = if bytes[n] == b'A' { b'B' } else { b'A' };
                Json::from(String::from_utf8(bytes).unwrap())
            })
            .collect(),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Vec::new(),
    }
}
