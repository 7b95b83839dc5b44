//! Records that readers submit.

use synapsor_codes::ErrorCode;
use synapsor_domain::canonical;
use synapsor_domain::error::PublicError;
use synapsor_domain::event::EventKind;
use synapsor_domain::limits::OPEN_PROPOSALS_MAX;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::{ObjectKind, sign_evidence};
use synapsor_domain::timestamp::Span;
use synapsor_domain::value::{ColumnValue, Value};

use crate::intake::{CallRecord, CallRecordBody};
use crate::store::StoreTxError;
use crate::test_kit::{
    Draft, NOBODY_KEY, READER, READER_KEY, TestLedger, audit, caller, key, read_call, seal, with_evidence,
};

fn code(error: StoreTxError) -> ErrorCode {
    crate::refusal_of(error).code
}

async fn submit(world: &TestLedger, request: &str, draft: &Draft) -> Result<(String, bool), ErrorCode> {
    let submitted = world.submit(request, proposal(draft)).await;
    let submitted = submitted.map_err(code)?.value.unwrap();
    let id = submitted
        .envelope
        .decode_unverified::<synapsor_domain::proposal::Proposal>(ObjectKind::Proposal)
        .unwrap()
        .id;
    Ok((id.to_string(), submitted.already_open))
}

fn proposal(draft: &Draft) -> CallRecordBody {
    let (proposal, evidence, audit) = draft.signed();
    CallRecordBody::Proposal {
        proposal,
        evidence,
        audit,
    }
}

async fn kinds(world: &TestLedger) -> Vec<EventKind> {
    world
        .ledger
        .store
        .read(|reader| {
            let page =
                crate::store::events::tail(reader.conn(), (0, u64::from(u32::MAX)), &Default::default())?
                    .events;
            Ok(page
                .iter()
                .map(|e| {
                    let record: synapsor_domain::event::EventRecord =
                        synapsor_domain::canonical::decode(&e.bytes).unwrap();
                    record.kind
                })
                .collect())
        })
        .await
        .unwrap()
}

/// Objects declared in this order need no sorting during serialization.
#[test]
fn submitted_objects_declare_fields_in_canonical_order() {
    fn is_in_order(object: &impl serde::Serialize) -> bool {
        serde_json::to_vec(object).unwrap() == synapsor_domain::canonical::encode(object).unwrap()
    }
    let draft = TestLedger::new().draft("0");
    let (proposal, evidence, audit) = draft.signed();
    let audit: synapsor_domain::evidence::AuditRecord = synapsor_domain::canonical::decode(&audit).unwrap();
    assert!(is_in_order(&draft.proposal) && is_in_order(&draft.evidence) && is_in_order(&audit));
    assert!(is_in_order(&proposal) && is_in_order(&evidence));
}

#[tokio::test]
async fn proposal_is_recorded_with_its_evidence_and_audit() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    assert_eq!(
        submit(&world, "a", &draft).await,
        Ok((draft.proposal.id.to_string(), false))
    );
    assert_eq!(
        kinds(&world).await,
        [
            EventKind::EvidenceRecorded,
            EventKind::ProposalCreated,
            EventKind::QueryAudited
        ]
    );
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn identical_open_proposal_is_returned_with_new_evidence() {
    let world = TestLedger::new();
    let first = world.draft("0");
    let again = world.draft("0");
    let other = world.draft("5");
    submit(&world, "a", &first).await.unwrap();
    assert_eq!(
        submit(&world, "b", &again).await,
        Ok((first.proposal.id.to_string(), true))
    );
    assert_eq!(
        submit(&world, "c", &other).await,
        Ok((other.proposal.id.to_string(), false))
    );
    assert_eq!(
        kinds(&world).await[3..6],
        [
            EventKind::EvidenceRecorded,
            EventKind::QueryAudited,
            EventKind::ProposalRepeated
        ]
    );
    let linked = world
        .ledger
        .store
        .read_records(move |reader| {
            crate::store::records::resolve_evidence(reader.conn(), again.evidence.id.as_str())
        })
        .await
        .unwrap();
    assert_eq!(linked.1, [first.proposal.id.to_string()]);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn repeated_request_changes_nothing_and_rejects_other_content() {
    let world = TestLedger::new();
    let (draft, other) = (world.draft("0"), world.draft("5"));
    let record = proposal(&draft);
    for _ in 0..2 {
        let submitted = world.submit("same", record.clone()).await.unwrap();
        assert!(!submitted.value.unwrap().already_open);
        assert_eq!(submitted.head.size, 3);
    }
    assert_eq!(
        submit(&world, "same", &other).await,
        Err(ErrorCode::RequestIdReused)
    );
    assert_eq!(submit(&world, "", &other).await, Err(ErrorCode::Malformed));
}

#[tokio::test]
async fn rejects_object_without_a_trusted_reader_signature() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let (proposal, evidence, audit) = draft.signed();
    let forged_proposal = CallRecordBody::Proposal {
        proposal: seal(ObjectKind::Proposal, &draft.proposal, NOBODY_KEY),
        evidence,
        audit: audit.clone(),
    };
    let forged_evidence = CallRecordBody::Proposal {
        proposal,
        evidence: seal(ObjectKind::Evidence, &draft.evidence, NOBODY_KEY),
        audit,
    };
    for forged in [forged_proposal, forged_evidence] {
        let refused = world.submit("a", forged).await;
        assert_eq!(code(refused.unwrap_err()), ErrorCode::RefusedAttestation);
    }
    assert!(kinds(&world).await.is_empty());
}

#[tokio::test]
async fn forged_evidence_of_a_batch_is_refused_alone() {
    let world = TestLedger::new();
    let drafts: Vec<_> = (0..4).map(|n| world.draft(&n.to_string())).collect();
    let payloads = drafts
        .iter()
        .map(|draft| canonical::encode(&draft.evidence).unwrap());
    let mut signed = sign_evidence(payloads.collect(), &key(READER_KEY));
    // The second claims the place of the third, the last another signature.
    signed[1].signatures = signed[2].signatures.clone();
    signed[3].signatures[0].sig[9] ^= 1;
    let records = drafts
        .iter()
        .zip(&signed)
        .enumerate()
        .map(|(n, (draft, evidence))| {
            Ok(CallRecord {
                request_id: format!("r{n}"),
                trace_id: None,
                record: CallRecordBody::Read {
                    evidence: evidence.clone(),
                    audit: audit(&draft.evidence, None),
                },
            })
        });
    let outcomes = world.ledger.submit(&caller(READER), records.collect()).await;
    let codes: Vec<_> = outcomes.into_iter().map(|o| o.map(drop).map_err(code)).collect();
    let forged = Err(ErrorCode::RefusedAttestation);
    assert_eq!(codes, [Ok(()), forged, Ok(()), forged]);
    assert_eq!(kinds(&world).await.len(), 2);
}

#[tokio::test]
async fn rejects_proposal_with_altered_evidence() {
    let world = TestLedger::new();
    let mut draft = world.draft("0");
    draft.evidence.row[1] = ColumnValue::new("fee", Value::text("999"));
    assert_eq!(submit(&world, "a", &draft).await, Err(ErrorCode::Malformed));
}

#[tokio::test]
async fn rejects_secret_material_and_stores_nothing() {
    let world = TestLedger::new();
    let mut draft = world.draft("0");
    draft
        .evidence
        .row
        .push(ColumnValue::new("api_key", Value::text("x")));
    assert_eq!(
        submit(&world, "a", &with_evidence(draft)).await,
        Err(ErrorCode::SecretMaterialRejected)
    );
    let draft = world.draft("postgres://u:p@h/db");
    assert_eq!(
        submit(&world, "b", &draft).await,
        Err(ErrorCode::SecretMaterialRejected)
    );
    let mut plain = world.draft("1").evidence;
    plain.capability = "Bearer abcdefghijklmnop1234".into();
    let audit = audit(&plain, None);
    let refused = world.submit("c", CallRecordBody::Refusal { audit }).await;
    assert_eq!(code(refused.unwrap_err()), ErrorCode::SecretMaterialRejected);
    assert!(kinds(&world).await.is_empty());
}

#[tokio::test]
async fn context_has_at_most_fifty_open_proposals_until_expiry() {
    let world = TestLedger::new();
    for n in 0..OPEN_PROPOSALS_MAX {
        submit(&world, &format!("r{n}"), &world.draft(&n.to_string()))
            .await
            .unwrap();
    }
    assert_eq!(
        submit(&world, "more", &world.draft("x")).await,
        Err(ErrorCode::OpenProposalsExceeded)
    );
    let mut other = world.draft("x");
    other.proposal.requested_by.principal = "agent-2".into();
    other.evidence.requested_by.principal = "agent-2".into();
    submit(&world, "other", &with_evidence(other)).await.unwrap();
    world.clock.advance_ms(Span::days(8).as_millis());
    submit(&world, "later", &world.draft("x")).await.unwrap();
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn expired_proposal_may_be_proposed_again() {
    let world = TestLedger::new();
    let first = world.draft("0");
    submit(&world, "a", &first).await.unwrap();
    world.clock.advance_ms(Span::days(7).as_millis());
    let again = world.draft("0");
    assert_eq!(
        submit(&world, "b", &again).await,
        Ok((again.proposal.id.to_string(), false))
    );
    let state = world
        .ledger
        .store
        .read(move |r| Ok(crate::store::proposals::get(r.conn(), &first.proposal.id)?.state))
        .await
        .unwrap();
    assert_eq!(state, ProposalState::Expired);
}

#[tokio::test]
async fn reads_and_refused_calls_are_recorded() {
    let world = TestLedger::new();
    let evidence = world.draft("0").evidence;
    let signed = seal(ObjectKind::Evidence, &evidence, crate::test_kit::READER_KEY);
    let read = |audit| CallRecordBody::Read {
        evidence: signed.clone(),
        audit,
    };
    let refusal = CallRecordBody::Refusal {
        audit: audit(&evidence, None),
    };
    world.submit("a", read(audit(&evidence, None))).await.unwrap();
    world.submit("b", refusal).await.unwrap();
    assert_eq!(
        kinds(&world).await,
        [EventKind::ReadRecorded, EventKind::CallRefused]
    );
    let other = world.draft("0").evidence;
    let refused = world.submit("c", read(audit(&other, None))).await;
    assert_eq!(code(refused.unwrap_err()), ErrorCode::Malformed);
}

fn records(calls: Vec<CallRecordBody>) -> Vec<Result<CallRecord, PublicError>> {
    let record = |(n, record)| {
        Ok(CallRecord {
            request_id: format!("r{n}"),
            trace_id: None,
            record,
        })
    };
    calls.into_iter().enumerate().map(record).collect()
}

#[tokio::test]
async fn repeated_read_changes_nothing_and_rejects_other_content() {
    let world = TestLedger::new();
    let draft = world.draft("0");
    let record = read_call(&draft);
    let CallRecordBody::Read { audit: audited, .. } = record.clone() else {
        unreachable!("it is a read")
    };
    world.submit("a", record.clone()).await.unwrap();
    // The reader may choose another request id and another signature when it repeats; the records are the same.
    let again = world.submit("b", record.clone()).await.unwrap();
    assert_eq!(again.head.size, 1);
    // In one batch as well.
    let other = read_call(&world.draft("1"));
    let outcomes = world
        .ledger
        .submit(&caller(READER), records(vec![other.clone(), other, record]))
        .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(kinds(&world).await.len(), 2);

    let mut changed = world.draft("2");
    changed.evidence.id = draft.evidence.id.clone();
    changed.evidence.row[1] = ColumnValue::new("fee", Value::text("8"));
    let refused = |record| async { code(world.submit("c", record).await.unwrap_err()) };
    let same_evidence_id = read_call(&changed);
    assert_eq!(refused(same_evidence_id).await, ErrorCode::AlreadyRecorded);
    let same_ids = CallRecordBody::Read {
        evidence: seal(ObjectKind::Evidence, &changed.evidence, READER_KEY),
        audit: audited.clone(),
    };
    assert_eq!(refused(same_ids).await, ErrorCode::AlreadyRecorded);
    let text = String::from_utf8(audited.clone()).unwrap();
    let other_audit = CallRecordBody::Refusal {
        audit: text
            .replace(r#""result":"row""#, r#""result":"raw""#)
            .into_bytes(),
    };
    assert_eq!(refused(other_audit).await, ErrorCode::AlreadyRecorded);
    assert_eq!(
        refused(CallRecordBody::Refusal { audit: audited }).await,
        ErrorCode::AlreadyRecorded
    );
    assert_eq!(kinds(&world).await.len(), 2);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn reads_of_one_batch_share_a_block_up_to_its_size() {
    let world = TestLedger::new();
    let blocks = || async {
        let sizes = "SELECT count FROM blocks ORDER BY first";
        let read = world.ledger.store.read(move |reader| {
            let mut query = reader.conn().prepare(sizes)?;
            let counts = query.query_map([], |row| row.get::<_, i64>(0))?;
            Ok(counts.collect::<Result<Vec<_>, _>>()?)
        });
        read.await.unwrap()
    };
    let calls = (0..5).map(|n| read_call(&world.draft(&n.to_string())));
    let outcomes = world
        .ledger
        .submit(&caller(READER), records(calls.collect()))
        .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(blocks().await, [5]);
    // A body of 40 KiB: two reads fill a block.
    let calls = (0..5).map(|n| {
        let mut draft = world.draft(&n.to_string());
        draft.evidence.row[1] = ColumnValue::new("fee", Value::text("9".repeat(40 * 1024)));
        read_call(&draft)
    });
    let outcomes = world
        .ledger
        .submit(&caller(READER), records(calls.collect()))
        .await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(blocks().await, [5, 2, 2, 1]);
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn reads_are_found_by_kind_and_by_value() {
    use crate::store::events::{TailFilter, tail};
    use crate::store::records::{RecordFilter, list_evidence};

    let world = TestLedger::new();
    let (draft, mut other) = (world.draft("0"), world.draft("1"));
    other.evidence.requested_by.tenant = "other".into();
    for (n, draft) in [&draft, &other].into_iter().enumerate() {
        world.submit(&format!("r{n}"), read_call(draft)).await.unwrap();
    }
    let refusal = CallRecordBody::Refusal {
        audit: audit(&draft.evidence, None),
    };
    world.submit("refused", refusal).await.unwrap();
    submit(&world, "proposal", &world.draft("7")).await.unwrap();
    // read | read | refused | evidence, proposal, audit
    let found = |kind| {
        let filter = TailFilter {
            kind,
            ..TailFilter::default()
        };
        let read = world.ledger.store.read_records(move |reader| {
            let page = tail(reader.conn(), (1, u64::from(u32::MAX)), &filter)?;
            Ok(page.events.iter().map(|event| event.seq).collect::<Vec<_>>())
        });
        async { read.await.unwrap() }
    };
    assert_eq!(found(Some(EventKind::ReadRecorded)).await, [1]);
    assert_eq!(found(Some(EventKind::EvidenceRecorded)).await, [1, 3]);
    assert_eq!(found(Some(EventKind::QueryAudited)).await, [1, 5]);
    assert_eq!(found(Some(EventKind::CallRefused)).await, [2]);
    assert_eq!(found(Some(EventKind::ProposalCreated)).await, [4]);
    assert_eq!(found(None).await, (1..6).collect::<Vec<_>>());
    let listed = |filter: RecordFilter, before| {
        let read = world
            .ledger
            .store
            .read_records(move |reader| Ok(list_evidence(reader.conn(), &filter, before, 10)?));
        async { read.await.unwrap() }
    };
    let of_tenant = |tenant: &str| RecordFilter {
        tenant: Some(tenant.to_owned()),
        capability: Some(draft.evidence.capability.clone()),
        ..RecordFilter::default()
    };
    let own = draft.evidence.requested_by.tenant.as_str();
    assert_eq!(listed(of_tenant(own), None).await, [3, 0]);
    assert_eq!(listed(of_tenant(own), Some(3)).await, [0]);
    assert_eq!(listed(of_tenant("other"), None).await, [1]);
    assert!(listed(of_tenant("absent"), None).await.is_empty());
    assert_eq!(listed(RecordFilter::default(), None).await, [3, 1, 0]);
}

#[tokio::test]
async fn ids_of_records_without_views_are_taken() {
    let world = TestLedger::new();
    let read = world.draft("0");
    let record = read_call(&read);
    let CallRecordBody::Read { audit: audited, .. } = record.clone() else {
        unreachable!("it is a read")
    };
    world.submit("read", record).await.unwrap();
    let mut same_evidence = world.draft("1");
    same_evidence.evidence.id = read.evidence.id.clone();
    let same_evidence = with_evidence(same_evidence);
    assert_eq!(
        submit(&world, "a", &same_evidence).await,
        Err(ErrorCode::AlreadyRecorded)
    );
    // An audit record is the last event of a proposal: nothing is left of those before it.
    let draft = world.draft("1");
    let (signed, evidence, audit) = draft.signed();
    let id_of = |audit: &[u8]| {
        let record: synapsor_domain::evidence::AuditRecord = canonical::decode(audit).unwrap();
        record.id.to_string()
    };
    let text = String::from_utf8(audit.clone()).unwrap();
    let same_audit = CallRecordBody::Proposal {
        proposal: signed,
        evidence,
        audit: text.replace(&id_of(&audit), &id_of(&audited)).into_bytes(),
    };
    let refused = world.submit("b", same_audit).await.unwrap_err();
    assert_eq!(code(refused), ErrorCode::AlreadyRecorded);
    let id = draft.proposal.id.to_string();
    assert_eq!(submit(&world, "b", &draft).await, Ok((id, false)));
    // The same once the views are written.
    world.write_views().await;
    let again = submit(&world, "c", &same_evidence).await;
    assert_eq!(again, Err(ErrorCode::AlreadyRecorded));
    world.ledger.store.verify_full().await.unwrap();
}

#[tokio::test]
async fn submissions_of_one_request_succeed_or_fail_separately() {
    let world = TestLedger::new();
    let submission = |request_id: &str, record| CallRecord {
        request_id: request_id.to_owned(),
        trace_id: Some(request_id.repeat(32)),
        record,
    };
    let other = world.draft("1");
    let (_, signed, record) = other.signed();
    let forged = CallRecordBody::Proposal {
        proposal: seal(ObjectKind::Proposal, &other.proposal, NOBODY_KEY),
        evidence: signed,
        audit: record,
    };
    let evidence = world.draft("0").evidence;
    let (first, same) = (world.draft("0"), world.draft("0"));
    let submissions = vec![
        Ok(submission("a", proposal(&first))),
        Ok(submission("b", forged)),
        Err(PublicError::new(ErrorCode::Malformed, "unreadable")),
        Ok(submission("c", proposal(&same))),
        Ok(submission(
            "d",
            CallRecordBody::Refusal {
                audit: audit(&evidence, None),
            },
        )),
    ];
    let outcomes = world.ledger.submit(&caller(READER), submissions).await;
    let results: Vec<_> = outcomes
        .into_iter()
        .map(|outcome| {
            outcome
                .map(|c| c.value.map(|submitted| submitted.already_open))
                .map_err(code)
        })
        .collect();
    let refused = |code: ErrorCode| Err(code);
    assert_eq!(
        results,
        [
            Ok(Some(false)),
            refused(ErrorCode::RefusedAttestation),
            refused(ErrorCode::Malformed),
            Ok(Some(true)),
            Ok(None)
        ]
    );
    assert_eq!(kinds(&world).await.len(), 3 + 3 + 1);
    world.ledger.store.verify_full().await.unwrap();
}
