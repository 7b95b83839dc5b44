//! Receipts that a source holds or lacks, independent of the ledger's claims. A missing receipt stops the source,
//! and an invalid receipt does not count as an answer.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::ReceiptAction;
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::trust::ServiceKey;
use synapsor_domain::writeback::{
    AttemptReport, AttemptResult, Receipt, ReceiptDiscrepancy, ReceiptFinding, ReceiptOutcome, ReceiptRef,
    verify_receipt_finding,
};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::cli::until;
use synapsor_e2e::now;
use synapsor_e2e::operator::{OperatorClient, receipt_order};
use synapsor_e2e::writer_harness::{INVOICE, WriterHarness};
use synapsor_source::StoredReceipt;

const SOON: Duration = Duration::from_secs(10);
const OTHER_INVOICE: &str = "INV-3002";

async fn present_valid(harness: &mut WriterHarness) -> anyhow::Result<AttemptReport> {
    let inputs = harness.valid_inputs();
    let mut report = harness.present(&inputs).await?;
    // The reconciler reports receipts of other proposals meanwhile.
    while report.proposal_id != harness.subject.proposal.id {
        report = harness.ledger.next_report().await?;
    }
    Ok(report)
}

/// Applies the first proposal and creates a second one in the harness; returns the receipt of the first.
async fn applied(harness: &mut WriterHarness) -> anyhow::Result<DsseEnvelope> {
    let report = present_valid(harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    let settled = harness.ledger.receipts.settled.lock().expect("no panic").clone();
    let agent = Agent::over_stdio(&harness.stack).await?;
    let id = agent.propose(OTHER_INVOICE, "goodwill").await?;
    harness.subject = OperatorClient::open(&harness.stack, "alice")?
        .subject(&harness.stack.deployment, &id)
        .await?;
    harness.before = harness.deployment().dump()?;
    settled.into_iter().next_back().context("no receipt")
}

fn named(receipt: &DsseEnvelope) -> anyhow::Result<ReceiptRef> {
    let opened: Receipt = receipt.decode_unverified(ObjectKind::Receipt)?;
    Ok(ReceiptRef {
        proposal_id: opened.proposal_id,
        receipt_digest: Digest::of(ObjectKind::Receipt, &receipt.payload),
    })
}

fn lose(harness: &mut WriterHarness) -> anyhow::Result<()> {
    let delete = "DELETE FROM synapsor_writeback_receipts";
    harness.deployment().open_database()?.execute_batch(delete)?;
    harness.before = harness.deployment().dump()?;
    Ok(())
}

fn sign(harness: &WriterHarness, action: ReceiptAction, receipt: &DsseEnvelope) -> anyhow::Result<()> {
    let named = named(receipt)?;
    let source = harness.subject.proposal.source.id.as_str();
    let alice = harness.person("alice");
    let order = receipt_order(harness.deployment(), alice, (source, action), vec![named.clone()]);
    let mut orders = harness.ledger.receipts.orders.lock().expect("no panic");
    orders.push((named.proposal_id, order));
    Ok(())
}

fn findings(harness: &WriterHarness) -> anyhow::Result<Vec<ReceiptFinding>> {
    let trust = harness.deployment().trust()?;
    let findings = harness.ledger.receipts.findings.lock().expect("no panic");
    let verified = findings
        .iter()
        .map(|finding| verify_receipt_finding(finding, &trust));
    Ok(verified.collect::<Result<_, _>>()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn source_without_newest_receipt_is_not_written() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let receipt = applied(&mut harness).await?;
    lose(&mut harness)?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RefusedEffectLost),
        "{}",
        report.message
    );
    let source = harness.subject.proposal.source.id.clone();
    for part in [
        source.as_str(),
        named(&receipt)?.proposal_id.as_str(),
        "`synapsor-runner receipts audit`",
        "`synapsor-runner receipts give-up`",
    ] {
        assert!(report.message.contains(part), "{part}: {}", report.message);
    }
    assert_eq!(harness.deployment().dump()?, harness.before);

    // An order of the wrong kind changes nothing; the right one resolves the case.
    sign(&harness, ReceiptAction::Adopt, &receipt)?;
    assert_eq!(
        present_valid(&mut harness).await?.result,
        AttemptResult::of_code(ErrorCode::RefusedEffectLost)
    );
    sign(&harness, ReceiptAction::GiveUp, &receipt)?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_receipt_of_the_job_must_be_in_the_source() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let identity = harness.subject.proposal.source.fingerprint.clone();
    // A receipt of another writer, which this one does not know.
    let id = ProposalId::from_random(random::bytes());
    let newest = claimed(&harness, id, &harness.deployment().writer_key, &identity)?;
    harness.ledger.newest_receipt = Some(newest.clone());
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RefusedEffectLost),
        "{}",
        report.message
    );
    assert_eq!(harness.deployment().dump()?, harness.before);
    plant(&harness, &newest)?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unsigned_newest_receipt_is_ignored() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let mut receipt: Receipt = applied(&mut harness)
        .await?
        .decode_unverified(ObjectKind::Receipt)?;
    receipt.proposal_id = harness.subject.proposal.id.clone();
    let forged = DsseEnvelope::sign(ObjectKind::Receipt, &receipt, &harness.deployment().ledger_key)?;
    harness.ledger.newest_receipt = Some(forged);
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn comparison_reports_lost_signed_receipts() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let receipt = applied(&mut harness).await?;
    let mut other: Receipt = receipt.decode_unverified(ObjectKind::Receipt)?;
    other.proposal_id = harness.subject.proposal.id.clone();
    let forged = DsseEnvelope::sign(ObjectKind::Receipt, &other, &harness.deployment().ledger_key)?;
    // A dump restored into a new database lost this receipt too.
    other.database_identity = "sqlite:an-earlier-one".to_owned();
    let earlier = DsseEnvelope::sign(ObjectKind::Receipt, &other, &harness.deployment().writer_key)?;
    lose(&mut harness)?;
    let held = vec![receipt.clone(), forged, earlier.clone()];
    *harness.ledger.receipts.held.lock().expect("no panic") = held;
    // The refusal makes the writer compare at once.
    assert_eq!(
        present_valid(&mut harness).await?.result,
        AttemptResult::of_code(ErrorCode::RefusedEffectLost)
    );
    until(SOON, || Ok(!findings(&harness)?.is_empty()))?;
    let mut found = findings(&harness)?.remove(0);
    assert_eq!(found.discrepancy, ReceiptDiscrepancy::EffectLost);
    let mut lost = vec![named(&receipt)?, named(&earlier)?];
    for list in [&mut found.receipts, &mut lost] {
        list.sort_by(|one, other| one.proposal_id.as_str().cmp(other.proposal_id.as_str()));
    }
    assert_eq!(found.receipts, lost);
    assert_eq!(found.source, harness.subject.proposal.source.id);
    assert_eq!(
        found.database_identity,
        harness.subject.proposal.source.fingerprint
    );
    assert_eq!(
        harness.deployment().dump()?,
        harness.before,
        "the comparison wrote data"
    );
    Ok(())
}

/// Inserts a receipt of the harness's proposal as another database user.
fn planted(harness: &WriterHarness, key: &SigningKey, identity: &str) -> anyhow::Result<DsseEnvelope> {
    let envelope = claimed(harness, harness.subject.proposal.id.clone(), key, identity)?;
    plant(harness, &envelope)?;
    Ok(envelope)
}

fn claimed(
    harness: &WriterHarness,
    id: ProposalId,
    key: &SigningKey,
    identity: &str,
) -> anyhow::Result<DsseEnvelope> {
    let receipt = Receipt {
        v: 1,
        proposal_id: id,
        proposal_digest: harness.subject.digest,
        outcome: ReceiptOutcome::Applied,
        reason: String::new(),
        constraint: None,
        rows_affected: 1,
        previous_version: None,
        new_version: None,
        order_digest: None,
        fence: 1,
        attempt: 1,
        writer: "w".to_owned(),
        ledger_size: 1,
        ledger_root: "00".repeat(32),
        database_identity: identity.to_owned(),
        created_at: now(),
    };
    Ok(DsseEnvelope::sign(ObjectKind::Receipt, &receipt, key)?)
}

fn plant(harness: &WriterHarness, envelope: &DsseEnvelope) -> anyhow::Result<()> {
    let row = StoredReceipt::from_envelope(envelope)?;
    harness.deployment().open_database()?.execute(
        "INSERT INTO synapsor_writeback_receipts (proposal_id, proposal_digest, outcome, reason, rows_affected, fence, \
         executor_id, ledger_size, ledger_root, db_identity, created_at, receipt, executor_key, executor_sig) \
         VALUES (?1, ?2, ?3, ?4, 1, 1, ?5, 1, ?6, ?7, ?8, ?9, ?10, ?11)",
        [
            row.proposal_id,
            row.proposal_digest,
            row.outcome,
            row.reason,
            row.executor_id,
            row.ledger_root,
            row.db_identity,
            row.created_at,
            row.receipt,
            row.executor_key,
            row.executor_sig,
        ],
    )?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_of_another_database_is_ignored() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    planted(&harness, &harness.deployment().writer_key, "sqlite:another-one")?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RefusedReceiptIdentity),
        "{}",
        report.message
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_of_a_retired_key_needs_an_adopt_order() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let old = SigningKey::from_seed(&[9; 32].into());
    harness.change_trust(|trust| {
        trust.writers.push(ServiceKey {
            key_id: old.key_id(),
            public_key: old.public_key(),
            retired: true,
            retired_at_size: None,
            retired_at_root: None,
            pinned_at: None,
        });
    })?;
    let identity = harness.subject.proposal.source.fingerprint.clone();
    let receipt = planted(&harness, &old, &identity)?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RefusedReceiptUnproven),
        "{}",
        report.message
    );
    let presented = harness.ledger.receipts.settled.lock().expect("no panic").clone();
    assert!(
        presented.contains(&receipt),
        "the ledger was not shown the receipt"
    );
    // The end of the attempt itself comes without the receipt. The reconciler presents it too.
    let mut ended = report;
    while ended.receipt_digest.is_some() {
        ended = harness.ledger.next_report().await?;
    }
    assert_eq!(
        ended.result,
        AttemptResult::of_code(ErrorCode::RefusedReceiptUnproven)
    );

    sign(&harness, ReceiptAction::Adopt, &receipt)?;
    let mut report = present_valid(&mut harness).await?;
    while report.result == AttemptResult::of_code(ErrorCode::RefusedReceiptUnproven)
        && report.receipt_digest.is_some()
    {
        report = harness.ledger.next_report().await?;
    }
    assert_eq!(report.result, AttemptResult::AlreadyApplied, "{}", report.message);
    assert_ne!(
        harness.deployment().invoice(INVOICE)?.0,
        0,
        "it was applied again"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_shutdown_does_not_wait_for_an_absent_source() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let database = harness.deployment().database();
    std::fs::rename(&database, database.with_extension("away"))?;
    let inputs = harness.valid_inputs();
    let log = harness.writer.log.clone();
    let pid = harness.writer.pid();
    let end = async {
        until(SOON, || {
            Ok(std::fs::read_to_string(&log)?.contains("source not reachable"))
        })?;
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("a pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        anyhow::Ok(Instant::now())
    };
    let (report, ended) = tokio::join!(harness.present(&inputs), end);
    let (report, ended) = (report?, ended?);
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RetryableDatabaseUnavailable),
        "{}",
        report.message
    );
    harness.writer.wait(SOON)?;
    assert!(ended.elapsed() < Duration::from_secs(5), "{:?}", ended.elapsed());
    assert_eq!(*harness.ledger.starts.borrow(), 0, "an attempt was announced");
    Ok(())
}
