//! Test fixture: a real store in a temporary directory, real keys, a trust file, and the objects that readers,
//! operators and writers would sign.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use synapsor_anchors::trust::TrustFileCache;
use synapsor_chassis::clock::ManualClock;
use synapsor_chassis::random;
use synapsor_domain::approval::{
    ApplyOrder, Decision, DecisionKind, ReviewedDocument, SignatureAudience, SignerInfo,
};
use synapsor_domain::canonical;
use synapsor_domain::digest::Digest;
use synapsor_domain::evidence::{AuditRecord, Evidence};
use synapsor_domain::ids::{AuditId, EvidenceId, ProposalId};
use synapsor_domain::proposal::{
    ApprovalTerms, EvidenceRef, Operation, Proposal, ProposalMode, Requester, RowGuard, RowTarget, SourceRef,
};
use synapsor_domain::review;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_domain::writeback::{AttemptReport, AttemptResult, Receipt, ReceiptOutcome};
use zeroize::Zeroizing;

use crate::intake::{CallRecord, CallRecordBody, SubmittedProposal};
use crate::store::{Committed, Store, StoreTxError};
use crate::{Ledger, RequestContext};

pub(crate) const ORIGIN: &str = "synapsor/dep-test";
pub(crate) const NOW_MS: i64 = 1_800_000_000_000;

pub(crate) const READER: &str = "spiffe://dep-test/reader/r1";
pub(crate) const WRITER: &str = "spiffe://dep-test/writer/w1";
pub(crate) const OPERATOR: &str = "spiffe://dep-test/operator/ann";

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

/// Seeds of the keys that the trust file names.
pub(crate) const LEDGER_KEY: u8 = 1;
pub(crate) const READER_KEY: u8 = 2;
pub(crate) const WRITER_KEY: u8 = 3;
pub(crate) const ANN_KEY: u8 = 4;
pub(crate) const BOB_KEY: u8 = 5;
pub(crate) const NOBODY_KEY: u8 = 9;

pub(crate) struct TestLedger {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ledger: Ledger,
}

/// A submitted read of one row, and the change proposed on it.
pub(crate) struct Draft {
    pub(crate) proposal: Proposal,
    pub(crate) evidence: Evidence,
}

impl TestLedger {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW_MS));
        std::fs::write(dir.path().join("trust.json"), trust_file(false)).unwrap();
        let ledger = open(&dir, clock.clone());
        Self { dir, clock, ledger }
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.dir.path().join("local.db")
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ledger.now()
    }

    /// Rewrites the trust file, with or without ann's key revoked.
    pub(crate) fn revoke_ann(&self) {
        std::fs::write(self.dir.path().join("trust.json"), trust_file(true)).unwrap();
    }

    /// Drops the ledger and opens its file again.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, clock, ledger } = self;
        drop(ledger);
        // The writing thread ends when the last handle is dropped; its file is free when a write lock is
        // available.
        let ledger = open(&dir, clock.clone());
        Self { dir, clock, ledger }
    }

    pub(crate) fn draft(&self, new_value: &str) -> Draft {
        draft(self.now(), new_value)
    }

    /// Writes the views of all records.
    pub(crate) async fn write_views(&self) {
        self.ledger.store.read_records(|_| Ok(())).await.unwrap();
    }

    pub(crate) async fn read(&self, draft: &Draft) {
        self.submit(&random::hex_id(16), read_call(draft)).await.unwrap();
    }

    pub(crate) async fn propose(&self, draft: &Draft) -> ProposalId {
        let (proposal, evidence, audit) = draft.signed();
        let id = random::hex_id(16);
        let record = CallRecordBody::Proposal {
            proposal,
            evidence,
            audit,
        };
        let submitted = self.submit(&id, record).await.unwrap().value.unwrap();
        submitted
            .envelope
            .decode_unverified::<Proposal>(ObjectKind::Proposal)
            .unwrap()
            .id
    }

    /// Submits one record as the reader.
    pub(crate) async fn submit(
        &self,
        request_id: &str,
        record: CallRecordBody,
    ) -> Result<Committed<Option<SubmittedProposal>>, StoreTxError> {
        let submission = CallRecord {
            request_id: request_id.to_owned(),
            trace_id: None,
            record,
        };
        let mut outcomes = self.ledger.submit(&caller(READER), vec![Ok(submission)]).await;
        outcomes.pop().unwrap()
    }

    pub(crate) fn decision(&self, draft: &Draft, verdict: DecisionKind) -> Decision {
        let (proposal, _, _) = draft.signed();
        let digest = proposal.digest(ObjectKind::Proposal).unwrap();
        let now = self.now();
        Decision {
            v: 1,
            decision: verdict,
            proposal_id: draft.proposal.id.clone(),
            proposal_digest: digest,
            contract_digest: draft.proposal.contract_digest,
            audience: audience(),
            approver: SignerInfo {
                key_id: key(ANN_KEY).key_id(),
                person: "ann".into(),
                role: "approver".into(),
            },
            render: ReviewedDocument {
                renderer: review::Renderer::CURRENT.as_str().into(),
                digest: review::ReviewDocument::of(&draft.proposal, digest).digest(),
            },
            seen_checkpoint: None,
            issued_at: now,
            not_before: now,
            expires_at: now + Span::minutes(60),
            nonce: random::hex_id(32),
            known_switch: None,
            reason: None,
        }
    }

    pub(crate) fn order(&self, draft: &Draft, decisions: &[Digest]) -> ApplyOrder {
        let (proposal, _, _) = draft.signed();
        let now = self.now();
        let mut decision_digests = decisions.to_vec();
        decision_digests.sort();
        ApplyOrder {
            v: 1,
            proposal_id: draft.proposal.id.clone(),
            proposal_digest: proposal.digest(ObjectKind::Proposal).unwrap(),
            contract_digest: draft.proposal.contract_digest,
            decision_digests,
            audience: audience(),
            approver: SignerInfo {
                key_id: key(ANN_KEY).key_id(),
                person: "ann".into(),
                role: "applier".into(),
            },
            seen_checkpoint: None,
            issued_at: now,
            not_before: now,
            expires_at: now + Span::minutes(15),
            nonce: random::hex_id(32),
            known_switch: None,
        }
    }

    /// Submits, approves and orders a change; the proposal then waits for a writer.
    pub(crate) async fn ordered(&self, draft: &Draft) -> ProposalId {
        self.ordered_at(draft, "main").await
    }

    /// Orders a change like [`Self::ordered`], for another source.
    pub(crate) async fn ordered_at(&self, draft: &Draft, source: &str) -> ProposalId {
        let id = self.propose(draft).await;
        let mut decision = self.decision(draft, DecisionKind::Approve);
        source.clone_into(&mut decision.audience.source_id);
        let decision = seal(ObjectKind::Decision, &decision, ANN_KEY);
        let digest = decision.digest(ObjectKind::Decision).unwrap();
        self.ledger
            .decide(caller(OPERATOR), &random::hex_id(16), decision)
            .await
            .unwrap()
            .value
            .unwrap();
        let mut order = self.order(draft, &[digest]);
        source.clone_into(&mut order.audience.source_id);
        let order = seal(ObjectKind::ApplyOrder, &order, ANN_KEY);
        self.ledger
            .request_apply(caller(OPERATOR), &random::hex_id(16), order)
            .await
            .unwrap()
            .value
            .unwrap();
        id
    }

    pub(crate) fn receipt(&self, draft: &Draft, outcome: ReceiptOutcome) -> Receipt {
        let (proposal, _, _) = draft.signed();
        Receipt {
            v: 1,
            proposal_id: draft.proposal.id.clone(),
            proposal_digest: proposal.digest(ObjectKind::Proposal).unwrap(),
            outcome,
            reason: if outcome == ReceiptOutcome::Applied {
                String::new()
            } else {
                "guard".into()
            },
            constraint: None,
            rows_affected: u32::from(outcome == ReceiptOutcome::Applied),
            previous_version: None,
            new_version: None,
            order_digest: None,
            fence: 1,
            attempt: 1,
            writer: WRITER.into(),
            ledger_size: 1,
            ledger_root: "00".repeat(32),
            database_identity: "sqlite:test".into(),
            created_at: self.now(),
        }
    }

    pub(crate) fn report(
        &self,
        draft: &Draft,
        result: AttemptResult,
        receipt: Option<&DsseEnvelope>,
    ) -> DsseEnvelope {
        let (proposal, _, _) = draft.signed();
        let report = AttemptReport {
            v: 1,
            proposal_id: draft.proposal.id.clone(),
            proposal_digest: proposal.digest(ObjectKind::Proposal).unwrap(),
            order_digest: None,
            writer: WRITER.into(),
            fence: 1,
            attempt: 1,
            result,
            message: "done".into(),
            receipt_digest: receipt.map(|r| r.digest(ObjectKind::Receipt).unwrap()),
            at: self.now(),
        };
        seal(ObjectKind::Attempt, &report, WRITER_KEY)
    }
}

impl Draft {
    /// Returns proposal and evidence as the reader signs them, and the audit record.
    pub(crate) fn signed(&self) -> (DsseEnvelope, DsseEnvelope, Vec<u8>) {
        let proposal = seal(ObjectKind::Proposal, &self.proposal, READER_KEY);
        let evidence = seal(ObjectKind::Evidence, &self.evidence, READER_KEY);
        let audit = audit(&self.evidence, Some(&self.proposal));
        (proposal, evidence, audit)
    }
}

pub(crate) fn seal<T: serde::Serialize>(kind: ObjectKind, object: &T, seed: u8) -> DsseEnvelope {
    DsseEnvelope::sign(kind, object, &key(seed)).unwrap()
}

pub(crate) fn caller(identity: &str) -> RequestContext {
    RequestContext {
        identity: identity.to_owned(),
        trace_id: None,
        known: 0,
    }
}

pub(crate) fn audience() -> SignatureAudience {
    SignatureAudience {
        deployment_id: "dep-test".into(),
        environment: DeploymentEnvironment::Dev,
        source_id: "main".into(),
    }
}

pub(crate) fn draft(now: Timestamp, new_value: &str) -> Draft {
    let source = SourceRef {
        id: "main".into(),
        engine: "sqlite".into(),
        fingerprint: "sqlite:test".into(),
    };
    let requested_by = Requester {
        tenant: "acme".into(),
        principal: "agent-1".into(),
        provenance: "environment".into(),
        client: "spiffe://dep-test/gateway/g1".into(),
    };
    let target = RowTarget {
        schema: "main".into(),
        table: "invoices".into(),
        keys: vec![ColumnValue::new("id", Value::int(1))],
        tenant: Some(ColumnValue::new("tenant_id", Value::text("acme"))),
    };
    let row = vec![
        ColumnValue::new("id", Value::int(1)),
        ColumnValue::new("fee", Value::text("10")),
    ];
    let contract_digest = Digest::of(ObjectKind::Contract, b"{}");
    let evidence = Evidence {
        v: 1,
        id: EvidenceId::from_random(random::bytes()),
        ledger_origin: ORIGIN.into(),
        source: source.clone(),
        capability: "billing.waive_fee".into(),
        contract_digest,
        requested_by: requested_by.clone(),
        target: target.clone(),
        row: row.clone(),
        query_fingerprint: Digest::of(ObjectKind::Schema, b"q"),
        read_at: now,
    };
    let proposal = Proposal {
        v: 1,
        id: ProposalId::from_random(random::bytes()),
        ledger_origin: ORIGIN.into(),
        environment: DeploymentEnvironment::Dev,
        source,
        capability: "billing.waive_fee".into(),
        contract_digest,
        mode: ProposalMode::Review,
        executor: "sql_update".into(),
        operation: Operation::Update,
        args: BTreeMap::new(),
        target,
        set: vec![ColumnValue::new("fee", Value::text(new_value))],
        before: row,
        guard: RowGuard::weak(),
        schema_fingerprint: Digest::of(ObjectKind::Schema, b"s"),
        side_effects: Vec::new(),
        approval: ApprovalTerms {
            required_role: "approver".into(),
            quorum: 1,
        },
        requested_by,
        on_behalf_of: None,
        context_binding: Digest::of(ObjectKind::Schema, b"c"),
        evidence: Vec::new(),
        created_at: now,
        not_after: now + Span::days(7),
    };
    with_evidence(Draft { proposal, evidence })
}

/// Makes the proposal name its evidence again after either was changed.
pub(crate) fn with_evidence(mut draft: Draft) -> Draft {
    let digest = seal(ObjectKind::Evidence, &draft.evidence, READER_KEY)
        .digest(ObjectKind::Evidence)
        .unwrap();
    draft.proposal.evidence = vec![EvidenceRef {
        id: draft.evidence.id.clone(),
        digest,
    }];
    draft
}

pub(crate) fn audit(evidence: &Evidence, proposal: Option<&Proposal>) -> Vec<u8> {
    let record = AuditRecord {
        v: 1,
        id: AuditId::from_random(random::bytes()),
        capability: evidence.capability.clone(),
        tenant: Some(evidence.requested_by.tenant.clone()),
        principal: Some(evidence.requested_by.principal.clone()),
        client: evidence.requested_by.client.clone(),
        source_id: Some(evidence.source.id.clone()),
        table: Some("main.invoices".into()),
        columns: vec!["id".into(), "fee".into()],
        tenant_bound: true,
        row_count: 1,
        result: "row".into(),
        query_fingerprint: Some(evidence.query_fingerprint),
        primary_key: None,
        primary_keys: Vec::new(),
        arguments_digest: Digest::of(ObjectKind::Schema, b"a"),
        evidence_id: Some(evidence.id.clone()),
        proposal_id: proposal.map(|p| p.id.clone()),
        at: evidence.read_at,
    };
    canonical::encode(&record).unwrap()
}

/// A read as its reader submits it.
pub(crate) fn read_call(draft: &Draft) -> CallRecordBody {
    CallRecordBody::Read {
        evidence: seal(ObjectKind::Evidence, &draft.evidence, READER_KEY),
        audit: audit(&draft.evidence, None),
    }
}

pub(crate) fn trust_file(ann_revoked: bool) -> String {
    let service = |seed: u8| {
        let key = key(seed);
        serde_json::json!([{ "key_id": key.key_id(), "public_key": key.public_key() }])
    };
    let operator = |person: &str, seed: u8, roles: &[&str], revoked: bool| {
        let key = key(seed);
        serde_json::json!({
            "person": person, "key_id": key.key_id(), "public_key": key.public_key(), "roles": roles,
            "not_before": "2020-01-01T00:00:00.000Z", "not_after": "2099-01-01T00:00:00.000Z", "revoked": revoked,
        })
    };
    serde_json::json!({
        "version": 1,
        "deployment_id": "dep-test",
        "environment": "dev",
        "readers": service(READER_KEY),
        "writers": service(WRITER_KEY),
        "ledgers": service(LEDGER_KEY),
        "operators": [
            operator("ann", ANN_KEY, &["*"], ann_revoked),
            operator("bob", BOB_KEY, &["viewer"], false),
        ],
    })
    .to_string()
}

pub(crate) fn open(dir: &tempfile::TempDir, clock: Arc<ManualClock>) -> Ledger {
    let store = Store::open(&dir.path().join("local.db"), ORIGIN, key(LEDGER_KEY)).unwrap();
    let trust = TrustFileCache::new(dir.path().join("trust.json"));
    Ledger::new(store, trust, clock)
}
