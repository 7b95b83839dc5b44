//! An attacker's ledger presents job inputs to a real writer. The writer refuses each invalid input with a
//! specific code and changes no byte of the source database; it applies the same inputs when they are valid.

use synapsor_domain::approval::DecisionKind;
use synapsor_domain::digest::Digest;
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
    let mut court = WriterHarness::open().await?;
    // Signed by the ledger's key under alice's name, and with alice's key id over another key's signature.
    let alice = court.person("alice").key.key_id();
    let body = decision(
        court.deployment(),
        court.person("alice"),
        &court.subject,
        DecisionKind::Approve,
    );
    let forged = DsseEnvelope::sign(ObjectKind::Decision, &body, &court.deployment().ledger_key)?;
    court.refuses(&court.papers(forged.clone()), "key").await?;
    let mut renamed = forged;
    renamed.signatures[0].keyid = alice;
    court.refuses(&court.papers(renamed), "signature").await?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unsigned_or_doubly_signed_approval() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let mut unsigned = court.honest();
    unsigned.decisions[0].signatures.clear();
    court.refuses(&unsigned, "key").await?;
    let mut doubled = court.honest();
    let again = doubled.decisions[0].signatures[0].clone();
    doubled.decisions[0].signatures.push(again);
    court.refuses(&doubled, "key").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_for_another_digest_or_contract() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let other = Digest::of(ObjectKind::Proposal, b"{}");
    court
        .refuses(
            &court.with_altered_decision(|d| d.proposal_digest = other),
            "digest",
        )
        .await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.contract_digest = other),
            "digest",
        )
        .await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.render.digest = other),
            "render",
        )
        .await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.render.renderer = "cli/0".to_owned()),
            "render",
        )
        .await?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_replayed_for_another_proposal() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let agent = Agent::over_stdio(&court.stack).await?;
    let other = agent.propose(INVOICE, "another reason").await?;
    let other = OperatorClient::open(&court.stack, "alice")?
        .subject(court.deployment(), &other)
        .await?;
    let mut papers = court.honest();
    papers.proposal = other.envelope;
    court.refuses(&papers, "digest").await
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_job_after_apply_changes_nothing() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let papers = court.honest();
    assert_eq!(court.judge(&papers).await?.result, AttemptResult::Applied);
    let after = court.deployment().dump()?;
    for _ in 0..3 {
        assert_eq!(court.judge(&papers).await?.result, AttemptResult::AlreadyApplied);
    }
    assert_eq!(court.deployment().dump()?, after);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_decision_with_duplicate_keys() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let alice = court.person("alice");
    let honest = court.honest().decisions.remove(0);
    let text = String::from_utf8(honest.payload)?;
    // The second `decision` wins in some parsers and the first in others.
    let doubled = text.replacen(
        "\"decision\":\"approve\"",
        "\"decision\":\"deny\",\"decision\":\"approve\"",
        1,
    );
    let forged = DsseEnvelope::seal_bytes(ObjectKind::Decision, doubled.into_bytes(), &alice.key);
    court.refuses(&court.papers(forged), "malformed").await?;
    let spaced = text.replacen("{", "{ ", 1);
    let forged = DsseEnvelope::seal_bytes(
        ObjectKind::Decision,
        spaced.into_bytes(),
        &court.person("alice").key,
    );
    court.refuses(&court.papers(forged), "malformed").await?;
    let unknown = text.replacen("{", "{\"also\":1,", 1);
    let forged = DsseEnvelope::seal_bytes(
        ObjectKind::Decision,
        unknown.into_bytes(),
        &court.person("alice").key,
    );
    court.refuses(&court.papers(forged), "malformed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_expired_postdated_or_overlong_approval() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let now = synapsor_e2e::now();
    let expired = court.with_altered_decision(|d| {
        d.issued_at = now + Span::minutes(-20);
        d.not_before = d.issued_at;
        d.expires_at = now + Span::seconds(-1);
    });
    court.refuses(&expired, "expired").await?;
    let postdated = court.with_altered_decision(|d| d.not_before = now + Span::minutes(5));
    court.refuses(&postdated, "future").await?;
    let overlong = court.with_altered_decision(|d| d.expires_at = now + Span::days(2));
    court.refuses(&overlong, "expired").await?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_for_another_audience() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.audience.environment = DeploymentEnvironment::Production),
            "audience",
        )
        .await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.audience.deployment_id = "other".to_owned()),
            "audience",
        )
        .await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.audience.source_id = "other".to_owned()),
            "audience",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_change_stays_after_operator_revocation() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let papers = court.honest();
    assert_eq!(court.judge(&papers).await?.result, AttemptResult::Applied);
    court.change_trust(|t| t.operators[0].revoked = true)?;
    assert_eq!(court.judge(&papers).await?.result, AttemptResult::AlreadyApplied);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_of_a_revoked_operator() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let papers = court.honest();
    court.change_trust(|t| t.operators[0].revoked = true)?;
    court.refuses(&papers, "key").await?;
    court.change_trust(|t| t.operators[0].not_after = synapsor_e2e::now())?;
    court.refuses(&papers, "key").await?;
    court.change_trust(|t| drop(t.operators.remove(0)))?;
    court.refuses(&papers, "key").await?;
    court.change_trust(|_| {})?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_approval_without_or_with_a_claimed_role() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let carol = court.person("carol");
    let claimed = decision(court.deployment(), carol, &court.subject, DecisionKind::Approve);
    let papers = court.papers(seal_decision(carol, &claimed));
    court.refuses(&papers, "role").await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.approver.role = "viewer".to_owned()),
            "role",
        )
        .await?;
    court
        .refuses(
            &court.with_altered_decision(|d| d.approver.person = "bob".to_owned()),
            "key",
        )
        .await?;
    court.change_trust(|t| t.operators[0].tenants = vec!["globex".to_owned()])?;
    court.refuses(&court.honest(), "role").await?;
    court.change_trust(|t| t.operators[0].capabilities = vec!["orders.*".to_owned()])?;
    court.refuses(&court.honest(), "role").await
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_without_apply_order_changes_nothing() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let mut papers = court.honest();
    papers.order = None;
    court.refuses(&papers, "expired").await?;
    // An approval in place of the order is refused.
    let mut papers = court.honest();
    papers.order = Some(papers.decisions[0].clone());
    court.refuses(&papers, "malformed").await?;
    // Bob may approve and not apply.
    let mut papers = court.honest();
    let bob = court.person("bob");
    let by_bob = order(court.deployment(), bob, &court.subject, &[&papers.decisions[0]]);
    papers.order = Some(seal_order(bob, &by_bob));
    court.refuses(&papers, "role").await
}

#[tokio::test(flavor = "multi_thread")]
async fn order_uses_exactly_its_listed_decisions() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let bob = court.person("bob");
    let more = seal_decision(
        bob,
        &decision(court.deployment(), bob, &court.subject, DecisionKind::Approve),
    );
    let mut papers = court.honest();
    papers.decisions.push(more);
    court.refuses(&papers, "order").await?;
    let mut papers = court.honest();
    papers.decisions.clear();
    court.refuses(&papers, "quorum").await?;
    let mut papers = court.honest();
    let twice = papers.decisions[0].clone();
    papers.decisions.push(twice);
    court.refuses(&papers, "nonce").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_overrides_every_approval() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let bob = court.person("bob");
    let mut deny = decision(court.deployment(), bob, &court.subject, DecisionKind::Reject);
    deny.issued_at = synapsor_e2e::now() + Span::days(-3);
    deny.not_before = deny.issued_at;
    deny.expires_at = synapsor_e2e::now() + Span::days(-2);
    let mut papers = court.honest();
    papers.decisions.push(seal_decision(bob, &deny));
    court.refuses(&papers, "denied").await
}

#[tokio::test(flavor = "multi_thread")]
async fn separation_of_duties_rejects_self_approval() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    court.change_trust(|t| {
        t.separation_of_duties = Some(SeparationOfDuties::Required);
        t.aliases.insert("support-agent".to_owned(), "alice".to_owned());
    })?;
    court.refuses(&court.honest(), "sod").await?;
    court.change_trust(|t| {
        t.separation_of_duties = Some(SeparationOfDuties::Required);
        t.aliases.clear();
    })?;
    court.refuses(&court.honest(), "sod").await?;
    court.change_trust(|t| t.separation_of_duties = Some(SeparationOfDuties::Required))?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unattested_or_altered_proposal() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let mut unattested = court.honest();
    unattested.proposal = DsseEnvelope::sign(
        ObjectKind::Proposal,
        &court.subject.proposal,
        &court.deployment().ledger_key,
    )?;
    court.refuses(&unattested, "attestation").await?;
    let mut altered = court.honest();
    let text = String::from_utf8(altered.proposal.payload.clone())?;
    altered.proposal.payload = text.replacen("\"5500\"", "\"9900\"", 1).into_bytes();
    court.refuses(&altered, "attestation").await?;
    let mut retired = court.deployment().default_trust();
    retired.readers[0].retired = true;
    court.deployment().write_trust(&retired)?;
    court.refuses(&court.honest(), "attestation").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_proposal_that_differs_from_its_arguments() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let other_amount = court.rewritten(|p| p.set[0].value = Value::int(-100));
    court.refuses(&other_amount, "plan_mismatch").await?;
    let other_column = court.rewritten(|p| p.set[0].column = "status".to_owned());
    court.refuses(&other_column, "plan_mismatch").await?;
    let other_row = court.rewritten(|p| p.target.primary_key.value = Value::text("INV-3002"));
    court.refuses(&other_row, "plan_mismatch").await?;
    let other_tenant = court.rewritten(|p| p.requested_by.tenant = "globex".to_owned());
    court.refuses(&other_tenant, "plan_mismatch").await?;
    let less_approval = court.rewritten(|p| p.approval.required_role = "viewer".to_owned());
    court.refuses(&less_approval, "plan_mismatch").await?;
    let other_shape = court.rewritten(|p| p.schema_fingerprint = Digest::of(ObjectKind::Schema, b"{}"));
    court.refuses(&other_shape, "schema_drift").await?;
    let other_effects = court.rewritten(|p| p.side_effects.clear());
    court.refuses(&other_effects, "plan_mismatch").await?;
    let other_database = court.rewritten(|p| p.source.fingerprint = "sqlite:elsewhere".to_owned());
    court.refuses(&other_database, "source").await?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn false_before_image_is_a_conflict() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let papers = court.rewritten(|p| {
        let name = p
            .before
            .iter_mut()
            .find(|c| c.column == "customer_name")
            .expect("a visible column");
        name.value = Value::text("Another Customer");
    });
    let report = court.judge(&papers).await?;
    assert_eq!(report.result, AttemptResult::Conflict("row_changed".to_owned()));
    assert_ne!(court.deployment().invoice(INVOICE)?.0, 0);
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
    let mut court = WriterHarness {
        stack,
        ledger,
        subject,
        before,
        writer,
    };
    court.refuses(&court.honest(), "contract").await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_log_with_another_history() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let papers = court.honest();
    assert_eq!(court.judge(&papers).await?.result, AttemptResult::Applied);
    // The attacker begins a new log: every proof in it is valid, and it does not extend the pinned checkpoint.
    *court.ledger.forge.lock().expect("no panic") = synapsor_e2e::hostile_ledger::FakeLog::default();
    let agent = Agent::over_stdio(&court.stack).await?;
    let id = agent.propose("INV-3002", "goodwill").await?;
    court.subject = OperatorClient::open(&court.stack, "alice")?
        .subject(court.deployment(), &id)
        .await?;
    court.before = court.deployment().dump()?;
    let papers = court.honest();
    court.refuses(&papers, "ledger_proof").await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_writer_keeps_its_pinned_checkpoint() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let bent = court.with_altered_decision(|d| d.proposal_digest = Digest::of(ObjectKind::Proposal, b"{}"));
    court.refuses(&bent, "digest").await?;
    court.writer.kill();
    // A new log again, for a new process with the pinned checkpoint of the old one.
    court.ledger = HostileLedger::start(court.deployment()).await?;
    court.writer = stack::writer(court.deployment(), &court.ledger.address, WRITER, &[])?;
    let papers = court.honest();
    court.refuses(&papers, "ledger_proof").await
}

/// Presents valid inputs while the database is locked, delivers a rejection by heartbeat, and unlocks.
async fn denied_under_way(court: &mut WriterHarness, deny: DsseEnvelope) -> anyhow::Result<AttemptReport> {
    let lock = court.deployment().open_database()?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    court.ledger.lease_ms = 300;
    *court.ledger.deny.lock().expect("no panic") = Some(deny);
    let mut heartbeats = court.ledger.heartbeats.clone();
    let papers = court.honest();
    let unlock = async {
        // The writer sends the second heartbeat only after it has processed the first response.
        heartbeats.wait_for(|count| *count >= 2).await?;
        anyhow::Ok(lock.execute_batch("ROLLBACK")?)
    };
    let (report, unlocked) = tokio::join!(court.judge(&papers), unlock);
    unlocked?;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_rejection_stops_a_running_attempt() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let bob = court.person("bob");
    let deny = seal_decision(
        bob,
        &decision(court.deployment(), bob, &court.subject, DecisionKind::Reject),
    );
    let report = denied_under_way(&mut court, deny).await?;
    // The attempt meets the rejection, or the tombstone that the writer commits for it once the lock is free.
    let stopped = ["refused:denied", "tombstoned:denied"];
    assert!(
        stopped.contains(&report.result.to_string().as_str()),
        "{report:?}"
    );
    let changed: Vec<_> = court
        .deployment()
        .dump()?
        .lines()
        .map(ToOwned::to_owned)
        .collect();
    let is_known =
        |line: &String| line.starts_with("synapsor_writeback_receipts|") || court.before.contains(line);
    assert!(changed.iter().all(is_known), "{changed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_rejection_does_not_stop_an_attempt() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let bob = court.person("bob");
    let body = decision(court.deployment(), bob, &court.subject, DecisionKind::Reject);
    let forged = DsseEnvelope::sign(ObjectKind::Decision, &body, &court.deployment().ledger_key)?;
    let report = denied_under_way(&mut court, forged).await?;
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
    let mut court = WriterHarness::with(deployment, &[]).await?;
    court.refuses(&court.honest(), "clock").await
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_proposal_is_never_written() -> anyhow::Result<()> {
    let mut court = WriterHarness::open().await?;
    let shadow = court.rewritten(|p| p.mode = synapsor_domain::proposal::ProposalMode::Shadow);
    court.refuses(&shadow, "contract").await?;
    court.expect_valid_job_applied().await
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_handler_causes_no_direct_write() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Plain)?;
    let handler = "\"executors\": { \"billing_app\": { \"type\": \"http_handler\", \"url_env\": \"BILLING_APP_URL\" } },\n  \"capabilities\"";
    let contract = std::fs::read_to_string(deployment.contract())?
        .replacen("\"capabilities\"", handler, 1)
        .replace("\"patch\":", "\"executor\": \"billing_app\", \"patch\":");
    std::fs::write(deployment.contract(), contract)?;
    let mut court = WriterHarness::with(deployment, &[]).await?;
    court.refuses(&court.honest(), "executor_unavailable").await
}
