//! An attacker's ledger presents job inputs to a real writer. The writer refuses each invalid input with a
//! specific code and changes no byte of the source database; it applies the same inputs when they are valid.

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::{DeploymentEnvironment, SeparationOfDuties};
use synapsor_domain::value::Value;
use synapsor_domain::writeback::{AttemptReport, AttemptResult};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::hostile_ledger::HostileLedger;
use synapsor_e2e::operator::{OperatorClient, decision, order, seal_decision, seal_order};
use synapsor_e2e::stack::{self, Stack, WRITER};
use synapsor_e2e::writer_harness::{INVOICE, WriterHarness};

#[tokio::test(flavor = "multi_thread")]
async fn rejects_forged_approval() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    // Signed by the ledger's key under alice's name, and with alice's key id over another key's signature.
    let alice = harness.person("alice").key.key_id();
    let body = decision(
        harness.deployment(),
        harness.person("alice"),
        &harness.subject,
        DecisionKind::Approve,
    );
    let forged = DsseEnvelope::sign(ObjectKind::Decision, &body, &harness.deployment().ledger_key)?;
    harness
        .refuses(&harness.job_inputs(forged.clone()), ErrorCode::RefusedKey)
        .await?;
    let mut renamed = forged;
    renamed.signatures[0].keyid = alice;
    harness
        .refuses(&harness.job_inputs(renamed), ErrorCode::RefusedSignature)
        .await?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unsigned_or_doubly_signed_approval() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let mut unsigned = harness.valid_inputs();
    unsigned.decisions[0].signatures.clear();
    harness.refuses(&unsigned, ErrorCode::RefusedKey).await?;
    let mut doubled = harness.valid_inputs();
    let again = doubled.decisions[0].signatures[0].clone();
    doubled.decisions[0].signatures.push(again);
    harness.refuses(&doubled, ErrorCode::RefusedKey).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_for_another_digest_or_contract() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let other = Digest::of(ObjectKind::Proposal, b"{}");
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.proposal_digest = other),
            ErrorCode::RefusedDigest,
        )
        .await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.contract_digest = other),
            ErrorCode::RefusedDigest,
        )
        .await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.render.digest = other),
            ErrorCode::RefusedRender,
        )
        .await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.render.renderer = "cli/0".to_owned()),
            ErrorCode::RefusedRender,
        )
        .await?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_replayed_for_another_proposal() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let agent = Agent::over_stdio(&harness.stack).await?;
    let other = agent.propose(INVOICE, "another reason").await?;
    let other = OperatorClient::open(&harness.stack, "alice")?
        .subject(harness.deployment(), &other)
        .await?;
    let mut inputs = harness.valid_inputs();
    inputs.proposal = other.envelope;
    harness.refuses(&inputs, ErrorCode::RefusedDigest).await
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_job_after_apply_changes_nothing() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let inputs = harness.valid_inputs();
    assert_eq!(harness.present(&inputs).await?.result, AttemptResult::Applied);
    let after = harness.deployment().dump()?;
    for _ in 0..3 {
        assert_eq!(
            harness.present(&inputs).await?.result,
            AttemptResult::AlreadyApplied
        );
    }
    assert_eq!(harness.deployment().dump()?, after);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_decision_with_duplicate_keys() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let alice = harness.person("alice");
    let valid = harness.valid_inputs().decisions.remove(0);
    let text = String::from_utf8(valid.payload)?;
    // The second `decision` wins in some parsers and the first in others.
    let doubled = text.replacen(
        "\"decision\":\"approve\"",
        "\"decision\":\"deny\",\"decision\":\"approve\"",
        1,
    );
    let forged = DsseEnvelope::seal_bytes(ObjectKind::Decision, doubled.into_bytes(), &alice.key);
    harness
        .refuses(&harness.job_inputs(forged), ErrorCode::RefusedMalformed)
        .await?;
    let spaced = text.replacen("{", "{ ", 1);
    let forged = DsseEnvelope::seal_bytes(
        ObjectKind::Decision,
        spaced.into_bytes(),
        &harness.person("alice").key,
    );
    harness
        .refuses(&harness.job_inputs(forged), ErrorCode::RefusedMalformed)
        .await?;
    let unknown = text.replacen("{", "{\"also\":1,", 1);
    let forged = DsseEnvelope::seal_bytes(
        ObjectKind::Decision,
        unknown.into_bytes(),
        &harness.person("alice").key,
    );
    harness
        .refuses(&harness.job_inputs(forged), ErrorCode::RefusedMalformed)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_expired_postdated_or_overlong_approval() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let now = synapsor_e2e::now();
    let expired = harness.with_altered_decision(|d| {
        d.issued_at = now + Span::minutes(-20);
        d.not_before = d.issued_at;
        d.expires_at = now + Span::seconds(-1);
    });
    harness.refuses(&expired, ErrorCode::RefusedExpired).await?;
    let postdated = harness.with_altered_decision(|d| d.not_before = now + Span::minutes(5));
    harness.refuses(&postdated, ErrorCode::RefusedFuture).await?;
    let overlong = harness.with_altered_decision(|d| d.expires_at = now + Span::days(2));
    harness.refuses(&overlong, ErrorCode::RefusedExpired).await?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_for_another_audience() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.audience.environment = DeploymentEnvironment::Production),
            ErrorCode::RefusedAudience,
        )
        .await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.audience.deployment_id = "other".to_owned()),
            ErrorCode::RefusedAudience,
        )
        .await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.audience.source_id = "other".to_owned()),
            ErrorCode::RefusedAudience,
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_change_stays_after_operator_revocation() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let inputs = harness.valid_inputs();
    assert_eq!(harness.present(&inputs).await?.result, AttemptResult::Applied);
    harness.change_trust(|t| t.operators[0].revoked = true)?;
    assert_eq!(
        harness.present(&inputs).await?.result,
        AttemptResult::AlreadyApplied
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_of_a_revoked_operator() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let inputs = harness.valid_inputs();
    harness.change_trust(|t| t.operators[0].revoked = true)?;
    harness.refuses(&inputs, ErrorCode::RefusedKey).await?;
    harness.change_trust(|t| t.operators[0].not_after = synapsor_e2e::now())?;
    harness.refuses(&inputs, ErrorCode::RefusedKey).await?;
    harness.change_trust(|t| drop(t.operators.remove(0)))?;
    harness.refuses(&inputs, ErrorCode::RefusedKey).await?;
    harness.change_trust(|_| {})?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_without_or_with_a_claimed_role() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let carol = harness.person("carol");
    let claimed = decision(
        harness.deployment(),
        carol,
        &harness.subject,
        DecisionKind::Approve,
    );
    let inputs = harness.job_inputs(seal_decision(carol, &claimed));
    harness.refuses(&inputs, ErrorCode::RefusedRole).await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.approver.role = "viewer".to_owned()),
            ErrorCode::RefusedRole,
        )
        .await?;
    harness
        .refuses(
            &harness.with_altered_decision(|d| d.approver.person = "bob".to_owned()),
            ErrorCode::RefusedKey,
        )
        .await?;
    harness.change_trust(|t| t.operators[0].tenants = vec!["globex".to_owned()])?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedRole)
        .await?;
    harness.change_trust(|t| t.operators[0].capabilities = vec!["orders.*".to_owned()])?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedRole)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_without_apply_order_changes_nothing() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let mut inputs = harness.valid_inputs();
    inputs.order = None;
    harness.refuses(&inputs, ErrorCode::RefusedExpired).await?;
    // An approval in place of the order is refused.
    let mut inputs = harness.valid_inputs();
    inputs.order = Some(inputs.decisions[0].clone());
    harness.refuses(&inputs, ErrorCode::RefusedMalformed).await?;
    // Bob may approve and not apply.
    let mut inputs = harness.valid_inputs();
    let bob = harness.person("bob");
    let by_bob = order(
        harness.deployment(),
        bob,
        &harness.subject,
        &[&inputs.decisions[0]],
    );
    inputs.order = Some(seal_order(bob, &by_bob));
    harness.refuses(&inputs, ErrorCode::RefusedRole).await
}

#[tokio::test(flavor = "multi_thread")]
async fn order_uses_exactly_its_listed_decisions() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let bob = harness.person("bob");
    let more = seal_decision(
        bob,
        &decision(harness.deployment(), bob, &harness.subject, DecisionKind::Approve),
    );
    let mut inputs = harness.valid_inputs();
    inputs.decisions.push(more);
    harness.refuses(&inputs, ErrorCode::RefusedOrder).await?;
    let mut inputs = harness.valid_inputs();
    inputs.decisions.clear();
    harness.refuses(&inputs, ErrorCode::RefusedQuorum).await?;
    let mut inputs = harness.valid_inputs();
    let twice = inputs.decisions[0].clone();
    inputs.decisions.push(twice);
    harness.refuses(&inputs, ErrorCode::RefusedNonce).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_overrides_every_approval() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let bob = harness.person("bob");
    let mut deny = decision(harness.deployment(), bob, &harness.subject, DecisionKind::Reject);
    deny.issued_at = synapsor_e2e::now() + Span::days(-3);
    deny.not_before = deny.issued_at;
    deny.expires_at = synapsor_e2e::now() + Span::days(-2);
    let mut inputs = harness.valid_inputs();
    inputs.decisions.push(seal_decision(bob, &deny));
    harness.refuses(&inputs, ErrorCode::RefusedDenied).await
}

#[tokio::test(flavor = "multi_thread")]
async fn separation_of_duties_rejects_self_approval() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    harness.change_trust(|t| {
        t.separation_of_duties = Some(SeparationOfDuties::Required);
        t.aliases.insert("support-agent".to_owned(), "alice".to_owned());
    })?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedSod)
        .await?;
    harness.change_trust(|t| {
        t.separation_of_duties = Some(SeparationOfDuties::Required);
        t.aliases.clear();
    })?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedSod)
        .await?;
    harness.change_trust(|t| t.separation_of_duties = Some(SeparationOfDuties::Required))?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unattested_or_altered_proposal() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let mut unattested = harness.valid_inputs();
    unattested.proposal = DsseEnvelope::sign(
        ObjectKind::Proposal,
        &harness.subject.proposal,
        &harness.deployment().ledger_key,
    )?;
    harness
        .refuses(&unattested, ErrorCode::RefusedAttestation)
        .await?;
    let mut altered = harness.valid_inputs();
    let text = String::from_utf8(altered.proposal.payload.clone())?;
    altered.proposal.payload = text.replacen("\"5500\"", "\"9900\"", 1).into_bytes();
    harness.refuses(&altered, ErrorCode::RefusedAttestation).await?;
    let mut retired = harness.deployment().default_trust();
    retired.readers[0].retired = true;
    harness.deployment().write_trust(&retired)?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedAttestation)
        .await
}

/// Schema drift ends a proposal only when every other check permits the write.
#[tokio::test(flavor = "multi_thread")]
async fn other_defects_outrank_schema_drift() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let drifted = |p: &mut Proposal| p.schema_fingerprint = Digest::of(ObjectKind::Schema, b"{}");
    let elsewhere = harness.rewritten(|p| {
        drifted(p);
        p.source.fingerprint = "sqlite:elsewhere".to_owned();
    });
    harness.refuses(&elsewhere, ErrorCode::RefusedSource).await?;
    let mut unsigned = harness.rewritten(drifted);
    unsigned.decisions.clear();
    harness.refuses(&unsigned, ErrorCode::RefusedQuorum).await?;
    let drifted = harness.rewritten(drifted);
    let report = harness.present(&drifted).await?;
    let expected = AttemptResult::of_code(ErrorCode::FailedSchemaDrift);
    assert_eq!(report.result, expected, "{}", report.message);
    assert_eq!(harness.deployment().invoice(INVOICE)?, (5500, None, 7));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_proposal_that_differs_from_its_arguments() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let other_amount = harness.rewritten(|p| p.set[0].value = Value::int(-100));
    harness
        .refuses(&other_amount, ErrorCode::RefusedPlanMismatch)
        .await?;
    let other_column = harness.rewritten(|p| p.set[0].column = "status".to_owned());
    harness
        .refuses(&other_column, ErrorCode::RefusedPlanMismatch)
        .await?;
    let other_row = harness.rewritten(|p| p.target.keys[0].value = Value::text("INV-3002"));
    harness
        .refuses(&other_row, ErrorCode::RefusedPlanMismatch)
        .await?;
    let other_tenant = harness.rewritten(|p| p.requested_by.tenant = "globex".to_owned());
    harness
        .refuses(&other_tenant, ErrorCode::RefusedPlanMismatch)
        .await?;
    let less_approval = harness.rewritten(|p| p.approval.required_role = "viewer".to_owned());
    harness
        .refuses(&less_approval, ErrorCode::RefusedPlanMismatch)
        .await?;
    let other_effects = harness.rewritten(|p| p.side_effects.clear());
    harness
        .refuses(&other_effects, ErrorCode::RefusedPlanMismatch)
        .await?;
    let other_database = harness.rewritten(|p| p.source.fingerprint = "sqlite:elsewhere".to_owned());
    harness.refuses(&other_database, ErrorCode::RefusedSource).await?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn false_before_image_is_a_conflict() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let inputs = harness.rewritten(|p| {
        let name = p
            .before
            .iter_mut()
            .find(|c| c.column == "customer_name")
            .expect("a visible column");
        name.value = Value::text("Another Customer");
    });
    let report = harness.present(&inputs).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::ConflictRowChanged)
    );
    assert_ne!(harness.deployment().invoice(INVOICE)?.0, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_proposal_of_a_swapped_contract() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Plain)?;
    let contract = deployment.contract();
    let stack = Stack::without_writer(deployment)?;
    let id = Agent::over_stdio(&stack)
        .await?
        .propose(INVOICE, "goodwill")
        .await?;
    // The approver saw one contract; the writer's own contract differs.
    let stricter = std::fs::read_to_string(&contract)?.replace("\"billing_lead\"", "\"chief_of_billing\"");
    std::fs::write(&contract, stricter)?;
    let subject = OperatorClient::open(&stack, "alice")?
        .subject(&stack.deployment, &id)
        .await?;
    let ledger = HostileLedger::start(&stack.deployment).await?;
    let writer = stack::writer(&stack.deployment, &ledger.address, WRITER, &[])?;
    let before = stack.deployment.dump()?;
    let mut harness = WriterHarness {
        stack,
        ledger,
        subject,
        before,
        writer,
    };
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedContract)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_log_with_another_history() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let inputs = harness.valid_inputs();
    assert_eq!(harness.present(&inputs).await?.result, AttemptResult::Applied);
    // The attacker begins a new log: every proof in it is valid, and it does not extend the pinned checkpoint.
    *harness.ledger.forge.lock().expect("no panic") = synapsor_e2e::hostile_ledger::FakeLog::default();
    let agent = Agent::over_stdio(&harness.stack).await?;
    let id = agent.propose("INV-3002", "goodwill").await?;
    harness.subject = OperatorClient::open(&harness.stack, "alice")?
        .subject(harness.deployment(), &id)
        .await?;
    harness.before = harness.deployment().dump()?;
    let inputs = harness.valid_inputs();
    harness.refuses(&inputs, ErrorCode::RefusedLedgerProof).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_writer_keeps_its_pinned_checkpoint() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let altered =
        harness.with_altered_decision(|d| d.proposal_digest = Digest::of(ObjectKind::Proposal, b"{}"));
    harness.refuses(&altered, ErrorCode::RefusedDigest).await?;
    harness.writer.kill();
    // A new log again, for a new process with the pinned checkpoint of the old one.
    harness.ledger = HostileLedger::start(harness.deployment()).await?;
    harness.writer = stack::writer(harness.deployment(), &harness.ledger.address, WRITER, &[])?;
    let inputs = harness.valid_inputs();
    harness.refuses(&inputs, ErrorCode::RefusedLedgerProof).await
}

/// Presents valid inputs while the database is locked, delivers a rejection by renewal, and unlocks.
async fn denied_under_way(harness: &mut WriterHarness, deny: DsseEnvelope) -> anyhow::Result<AttemptReport> {
    let lock = harness.deployment().open_database()?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    harness.ledger.lease_ms = 300;
    *harness.ledger.deny.lock().expect("no panic") = Some(deny);
    let mut renewals = harness.ledger.renewals.clone();
    let inputs = harness.valid_inputs();
    let unlock = async {
        // The writer sends the second renewal only after it has processed the first response.
        renewals.wait_for(|count| *count >= 2).await?;
        anyhow::Ok(lock.execute_batch("ROLLBACK")?)
    };
    let (report, unlocked) = tokio::join!(harness.present(&inputs), unlock);
    unlocked?;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_rejection_stops_a_running_attempt() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let bob = harness.person("bob");
    let deny = seal_decision(
        bob,
        &decision(harness.deployment(), bob, &harness.subject, DecisionKind::Reject),
    );
    let report = denied_under_way(&mut harness, deny).await?;
    // The attempt ends by the rejection, or by the tombstone that the writer commits once the lock is free.
    let stopped = ["refused:denied", "tombstoned:denied"];
    assert!(
        stopped.contains(&report.result.to_string().as_str()),
        "{report:?}"
    );
    let changed: Vec<_> = harness
        .deployment()
        .dump()?
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    let is_known =
        |line: &String| line.starts_with("synapsor_writeback_receipts|") || harness.before.contains(line);
    assert!(changed.iter().all(is_known), "{changed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_rejection_does_not_stop_an_attempt() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let bob = harness.person("bob");
    let body = decision(harness.deployment(), bob, &harness.subject, DecisionKind::Reject);
    let forged = DsseEnvelope::sign(ObjectKind::Decision, &body, &harness.deployment().ledger_key)?;
    let report = denied_under_way(&mut harness, forged).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_with_clock_set_back_writes_nothing() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Plain)?;
    // Time that an earlier run of this writer had recorded.
    let later = synapsor_e2e::now() + Span::days(1);
    std::fs::write(
        deployment.path("writer-state/clock-high-water"),
        later.to_string(),
    )?;
    let mut harness = WriterHarness::with(deployment, &[]).await?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedClock)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_proposal_is_never_written() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let shadow = harness.rewritten(|p| p.mode = synapsor_domain::proposal::ProposalMode::Shadow);
    harness.refuses(&shadow, ErrorCode::RefusedContract).await?;
    harness.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_handler_causes_no_direct_write() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Plain)?;
    let handler = "\"executors\": { \"billing_app\": { \"type\": \"http_handler\", \"url_env\": \"BILLING_APP_URL\" } },\n  \"capabilities\"";
    let contract = std::fs::read_to_string(deployment.contract())?
        .replacen("\"capabilities\"", handler, 1)
        .replace("\"patch\":", "\"executor\": \"billing_app\", \"patch\":");
    std::fs::write(deployment.contract(), contract)?;
    let mut harness = WriterHarness::with(deployment, &[]).await?;
    harness
        .refuses(&harness.valid_inputs(), ErrorCode::RefusedExecutorUnavailable)
        .await
}
