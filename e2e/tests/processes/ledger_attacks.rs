//! Attacks on the ledger that it refuses or reveals: guessed leases, forged submissions, edited rows, an older
//! restored file.

use synapsor_chassis::identity::Role;
use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{AttemptReport, AttemptResult};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::operator::{OperatorClient, Subject, decision, order, seal_decision, seal_order};
use synapsor_e2e::stack::{self, Stack, WRITER};
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::ledger::v1::writeback_service_client::WritebackServiceClient;
use synapsor_proto::status::from_status;

const INVOICE: &str = "INV-3001";

async fn proposed(stack: &Stack) -> anyhow::Result<(OperatorClient, Subject)> {
    let id = Agent::over_stdio(stack)
        .await?
        .propose(INVOICE, "goodwill")
        .await?;
    let mut desk = OperatorClient::open(stack, "alice")?;
    let subject = desk.subject(&stack.deployment, &id).await?;
    Ok((desk, subject))
}

fn lease_request() -> wire::LeaseJobsRequest {
    wire::LeaseJobsRequest {
        source_ids: vec!["billing_db".to_owned()],
        capacity: 1,
        capacity_per_source: 1,
        known: None,
        trust_digest: String::new(),
        contract_digests: Vec::new(),
        writer_now_ms: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_guessed_lease_token() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let (mut desk, subject) = proposed(&stack).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    let mut holder = WritebackServiceClient::new(stack.ledger_as(Role::Writer, Some(WRITER))?);
    let mut jobs = holder.lease_jobs(lease_request()).await?.into_inner();
    let job = jobs.message().await?.and_then(|m| m.job).expect("a job");
    let start = |token: Vec<u8>| wire::StartAttemptRequest {
        proposal_id: subject.proposal.id.to_string(),
        lease_token: token,
        writer_now_ms: 0,
    };
    for guess in [
        Vec::new(),
        vec![0; 32],
        random::bytes::<32>().to_vec(),
        job.lease_token[..31].to_vec(),
    ] {
        let refused = holder.start_attempt(start(guess)).await.unwrap_err();
        assert_eq!(from_status(&refused).code, ErrorCode::LeaseNotHeld);
    }
    // The right token with another client's certificate is refused as well.
    let mut other_writer = WritebackServiceClient::new(stack.ledger_as(Role::Writer, Some("writer-9"))?);
    let refused = other_writer
        .start_attempt(start(job.lease_token.clone()))
        .await
        .unwrap_err();
    assert_eq!(from_status(&refused).code, ErrorCode::LeaseNotHeld);
    assert_eq!(
        holder
            .start_attempt(start(job.lease_token))
            .await?
            .into_inner()
            .attempt,
        1
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unattested_proposal_and_altered_evidence() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let (_, subject) = proposed(&stack).await?;
    let mut intake = IntakeServiceClient::new(stack.ledger_as(Role::Reader, Some("client-1"))?);
    let mut forged = subject.proposal.clone();
    forged.id = synapsor_domain::ids::ProposalId::from_random(random::bytes());
    let unattested = DsseEnvelope::sign(ObjectKind::Proposal, &forged, &stack.deployment.writer_key)?;
    let evidence = DsseEnvelope::sign(
        ObjectKind::Evidence,
        &serde_json::json!({ "v": 1 }),
        &stack.deployment.writer_key,
    )?;
    let record = |proposal: &DsseEnvelope| wire::ProposalCall {
        proposal: Some(proposal.into()),
        evidence: Some((&evidence).into()),
        audit: b"{}".to_vec(),
    };
    // A genuine proposal cannot refer to evidence that its reader did not sign.
    let genuine = DsseEnvelope::sign(ObjectKind::Proposal, &forged, &stack.deployment.reader_key)?;
    let submission = |proposal: &DsseEnvelope| wire::CallRecord {
        request_id: random::hex_id(32),
        traceparent: String::new(),
        record: Some(wire::call_record::Record::Proposal(record(proposal))),
    };
    let request = wire::SubmitRequest {
        records: vec![submission(&unattested), submission(&genuine)],
        known: None,
    };
    let answer = intake.submit(request).await?.into_inner();
    assert_eq!((answer.outcomes.len(), answer.checkpoint.as_str()), (2, ""));
    for outcome in answer.outcomes {
        let Some(wire::submit_outcome::Outcome::Error(refused)) = outcome.outcome else {
            anyhow::bail!("it was accepted");
        };
        assert_eq!(refused.code, "refused:attestation", "{}", refused.message);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unverifiable_decisions_and_orders() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let (mut desk, subject) = proposed(&stack).await?;
    let deployment = &stack.deployment;
    let (alice, carol) = (deployment.person("alice"), deployment.person("carol"));
    let valid_decision = decision(deployment, alice, &subject, DecisionKind::Approve);
    let forged = DsseEnvelope::sign(ObjectKind::Decision, &valid_decision, &deployment.ledger_key)?;
    assert_eq!(
        desk.decide(&forged).await.unwrap_err().code,
        ErrorCode::RefusedKey
    );
    let by_carol = decision(deployment, carol, &subject, DecisionKind::Approve);
    assert_eq!(
        desk.decide(&seal_decision(carol, &by_carol))
            .await
            .unwrap_err()
            .code,
        ErrorCode::RefusedRole
    );
    assert_eq!(desk.state(subject.proposal.id.as_str()).await?, "pending_review");
    let approval = seal_decision(alice, &valid_decision);
    let early = seal_order(alice, &order(deployment, alice, &subject, &[&approval]));
    assert!(
        desk.request_apply(&early).await.is_err(),
        "an order before its approval was accepted"
    );
    desk.decide(&approval).await?;
    let by_carol = seal_order(carol, &order(deployment, carol, &subject, &[&approval]));
    assert_eq!(
        desk.request_apply(&by_carol).await.unwrap_err().code,
        ErrorCode::RefusedRole
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_report_without_the_writers_signature() -> anyhow::Result<()> {
    let stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let (mut desk, subject) = proposed(&stack).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    let mut holder = WritebackServiceClient::new(stack.ledger_as(Role::Writer, Some(WRITER))?);
    let mut jobs = holder.lease_jobs(lease_request()).await?.into_inner();
    let job = jobs.message().await?.and_then(|m| m.job).expect("a job");
    let report = AttemptReport {
        v: 1,
        proposal_id: subject.proposal.id.clone(),
        proposal_digest: subject.digest,
        order_digest: None,
        writer: WRITER.to_owned(),
        fence: job.fence,
        attempt: 1,
        result: AttemptResult::Applied,
        message: "forged".to_owned(),
        receipt_digest: None,
        at: synapsor_e2e::now(),
    };
    let forged = DsseEnvelope::sign(ObjectKind::Attempt, &report, &stack.deployment.reader_key)?;
    let request = wire::FinishAttemptRequest {
        proposal_id: subject.proposal.id.to_string(),
        lease_token: job.lease_token,
        attempt: Some((&forged).into()),
        receipt: None,
        writer_now_ms: 0,
    };
    assert!(
        holder.finish_attempt(request).await.is_err(),
        "report under another key was accepted"
    );
    assert_eq!(desk.state(subject.proposal.id.as_str()).await?, "pending_worker");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn edited_ledger_row_is_reported_at_next_start() -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    proposed(&stack).await?;
    stack.ledger.kill();
    let store = rusqlite::Connection::open(stack.deployment.store())?;
    store.execute_batch(
        "PRAGMA writable_schema = ON;
         DELETE FROM sqlite_schema WHERE type = 'trigger'; PRAGMA writable_schema = RESET;",
    )?;
    let changed = store.execute(
        "UPDATE blocks SET events = unhex(replace(hex(events), hex('\"at\":\"20'), hex('\"at\":\"19')))
         WHERE first = (SELECT max(first) FROM blocks)",
        [],
    )?;
    assert_eq!(changed, 1);
    drop(store);
    let refused = stack::ledger(&stack.deployment, &[])
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("STORE_TAMPERED"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_rejects_rolled_back_ledger() -> anyhow::Result<()> {
    let mut stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let copy = stack.deployment.path("older.db");
    stack.restart_ledger(&[])?;
    stack.start_writer(&[])?;
    // An older file, complete and valid in itself.
    stack.ledger.kill();
    checkpointed_copy(&stack.deployment.store(), &copy)?;
    stack.restart_ledger(&[])?;
    stack.reader = stack::reader(&stack.deployment, &stack.ledger.address, "acme")?;
    stack.start_writer(&[])?;
    let (mut desk, subject) = proposed(&stack).await?;
    desk.approve_and_order(&stack.deployment, &subject).await?;
    assert_eq!(
        desk.outcome(&stack, subject.proposal.id.as_str()).await?,
        "applied"
    );
    stack.ledger.kill();
    let store = stack.deployment.store();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", store.display()));
    }
    std::fs::copy(&copy, &store)?;
    stack.restart_ledger(&[])?;
    // The reader has a pinned checkpoint as well, so it does not even submit a proposal to this ledger.
    stack.reader = match stack::reader(&stack.deployment, &stack.ledger.address, "acme") {
        Ok(reader) => reader,
        Err(refused) => {
            assert!(
                format!("{refused:#}").contains("LEDGER_ROLLED_BACK"),
                "{refused:#}"
            );
            return Ok(());
        }
    };
    let answer = Agent::over_stdio(&stack).await?.inspect(INVOICE).await?;
    assert_eq!(answer["ok"], serde_json::json!(false), "{answer}");
    Ok(())
}

/// A running reader refuses the older store, and nothing of its call is recorded there.
#[tokio::test(flavor = "multi_thread")]
async fn older_store_records_nothing_of_a_reader() -> anyhow::Result<()> {
    let mut stack = Stack::without_writer(Deployment::new(Build::Plain)?)?;
    let agent = Agent::over_stdio(&stack).await?;
    assert_eq!(agent.inspect(INVOICE).await?["ok"], true);
    let (store, copy) = (stack.deployment.store(), stack.deployment.path("older.db"));
    stack.ledger.kill();
    checkpointed_copy(&store, &copy)?;
    stack.restart_ledger_in_place(&[])?;
    agent.propose(INVOICE, "goodwill").await?;
    stack.ledger.kill();
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", store.display()));
    }
    std::fs::copy(&copy, &store)?;
    stack.restart_ledger_in_place(&[])?;

    let before = checkpoint(&stack).await?;
    let arguments = serde_json::json!({ "invoice_id": "INV-3002", "reason": "goodwill" });
    let refused = agent.call("billing.propose_late_fee_waiver", arguments).await?;
    assert_eq!(refused["error"]["code"], "TEMPORARILY_UNAVAILABLE", "{refused}");
    assert_eq!(checkpoint(&stack).await?, before);
    let log = stack.reader.log_text();
    assert!(log.contains("ledger rollback: tree size"), "{log}");
    Ok(())
}

async fn checkpoint(stack: &Stack) -> anyhow::Result<String> {
    let mut ledger = TransparencyServiceClient::new(stack.ledger_as(Role::Reader, Some("client-1"))?);
    let request = wire::GetCheckpointRequest {
        known: None,
        retired_at: Vec::new(),
    };
    Ok(ledger.get_checkpoint(request).await?.into_inner().checkpoint)
}

fn checkpointed_copy(store: &std::path::Path, copy: &std::path::Path) -> anyhow::Result<()> {
    let connection = rusqlite::Connection::open(store)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    drop(connection);
    std::fs::copy(store, copy)?;
    Ok(())
}
