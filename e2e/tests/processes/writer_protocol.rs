//! Writer behavior while tables, versions, the database or the ledger change: one effect or none, and a result
//! within seconds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use synapsor_codes::ErrorCode;
use synapsor_domain::foreign_code::{CodeForm, ForeignCode, ForeignCodeKind};
use synapsor_domain::review::ReviewDocument;
use synapsor_domain::value::{Value, find};
use synapsor_domain::writeback::{AttemptReport, AttemptResult};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::until;
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::stack::Stack;
use synapsor_e2e::writer_harness::{INVOICE, WriterHarness};

/// Doubt and lost reports must be resolved well before this.
const SOON: Duration = Duration::from_secs(10);

/// Harness whose invoices have the guard `guard`, in a database that was changed first.
async fn harness_with(guard: &str, change: &str) -> anyhow::Result<WriterHarness> {
    let deployment = Deployment::new(Build::Plain)?;
    let contract = std::fs::read_to_string(deployment.contract())?;
    let contract = contract.replace(r#"{ "column": "version" }"#, guard);
    std::fs::write(deployment.contract(), contract)?;
    deployment.open_database()?.execute_batch(change)?;
    WriterHarness::with(deployment, &[]).await
}

async fn present_valid(harness: &mut WriterHarness) -> anyhow::Result<AttemptReport> {
    let inputs = harness.valid_inputs();
    harness.present(&inputs).await
}

/// One column of one receipt.
fn receipt(harness: &WriterHarness, column: &str) -> anyhow::Result<Option<String>> {
    let sql = format!("SELECT {column} FROM synapsor_writeback_receipts");
    let found = harness
        .deployment()
        .open_database()?
        .query_row(&sql, [], |row| row.get(0));
    Ok(found?)
}

const WITHOUT_TRIGGER: &str = "DROP TRIGGER invoices_version;";
const COUNTED: &str = r#"{ "column": "version", "advance": "increment" }"#;
const TIMED: &str = r#"{ "column": "changed_at", "advance": "now" }"#;
const WITH_TIME: &str = "DROP TRIGGER invoices_version;
    ALTER TABLE invoices ADD COLUMN changed_at TEXT NOT NULL DEFAULT '2026-01-02 03:04:05.678';";

#[tokio::test(flavor = "multi_thread")]
async fn writer_increments_version_without_a_trigger() -> anyhow::Result<()> {
    let mut harness = harness_with(COUNTED, WITHOUT_TRIGGER).await?;
    assert_eq!(
        find(&harness.subject.proposal.set, "version"),
        Some(&Value::int(8))
    );
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    assert_eq!(
        harness.deployment().invoice(INVOICE)?,
        (0, Some("goodwill".to_owned()), 8)
    );
    assert_eq!(receipt(&harness, "previous_version")?.as_deref(), Some("7"));
    assert_eq!(receipt(&harness, "new_version")?.as_deref(), Some("8"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_model_value_for_writer_managed_version() -> anyhow::Result<()> {
    let harness = harness_with(COUNTED, WITHOUT_TRIGGER).await?;
    let agent = Agent::over_stdio(&harness.stack).await?;
    let arguments = serde_json::json!({"invoice_id": INVOICE, "reason": "goodwill"});
    let envelope = agent.call("billing.propose_late_fee_waiver", arguments).await?;
    let text = envelope.to_string();
    assert!(
        text.contains("waiver_reason") && text.contains("\"ok\":true"),
        "{text}"
    );
    assert!(
        !text.contains("version\":") && !text.contains("\"version\""),
        "{text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn writer_sets_the_timestamp_version() -> anyhow::Result<()> {
    let mut harness = harness_with(TIMED, WITH_TIME).await?;
    let (subject, digest) = (&harness.subject.proposal, harness.subject.digest);
    let document = ReviewDocument::of(subject, digest).text;
    assert!(document.contains("WEAK: version column changed_at"), "{document}");
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    let moved: String = harness.deployment().open_database()?.query_row(
        "SELECT changed_at FROM invoices WHERE id = ?1",
        [INVOICE],
        |row| row.get(0),
    )?;
    assert_ne!(moved, "2026-01-02 03:04:05.678");
    assert_eq!(receipt(&harness, "new_version")?, Some(moved));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn version_set_back_fails_without_a_write() -> anyhow::Result<()> {
    let back = "DROP TRIGGER invoices_version;
        CREATE TRIGGER back AFTER UPDATE OF version ON invoices WHEN new.version > old.version
        BEGIN UPDATE invoices SET version = old.version WHERE id = new.id; END;";
    let mut harness = harness_with(COUNTED, back).await?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::FailedVersionNotAdvanced),
        "{}",
        report.message
    );
    assert_eq!(harness.deployment().invoice(INVOICE)?, (5500, None, 7));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unmoved_db_managed_version_fails() -> anyhow::Result<()> {
    let guard = r#"{ "column": "version" }, "db_managed": ["version"]"#;
    let mut unmoved = harness_with(guard, WITHOUT_TRIGGER).await?;
    let report = present_valid(&mut unmoved).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::FailedVersionNotAdvanced),
        "{}",
        report.message
    );
    assert_eq!(unmoved.deployment().invoice(INVOICE)?, (5500, None, 7));
    // Both are applied: one table has the required trigger, the other contract requires none.
    let mut with_trigger = harness_with(guard, "").await?;
    assert_eq!(
        present_valid(&mut with_trigger).await?.result,
        AttemptResult::Applied
    );
    let mut unmanaged = harness_with(r#"{ "column": "version" }"#, WITHOUT_TRIGGER).await?;
    assert_eq!(
        present_valid(&mut unmanaged).await?.result,
        AttemptResult::Applied
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unmoved_timestamp_is_retried_then_returned() -> anyhow::Result<()> {
    let stopped = format!(
        "{WITH_TIME} CREATE TRIGGER stopped AFTER UPDATE OF changed_at ON invoices
         WHEN new.changed_at > old.changed_at
         BEGIN UPDATE invoices SET changed_at = old.changed_at WHERE id = new.id; END;"
    );
    let mut harness = harness_with(TIMED, &stopped).await?;
    let report = present_valid(&mut harness).await?;
    let given_back = AttemptResult::of_code(ErrorCode::RetryableVersionNotAdvanced);
    assert_eq!(report.result, given_back, "{}", report.message);
    assert_eq!(harness.deployment().dump()?, harness.before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn conflict_receipt_names_the_found_version() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let sql = "UPDATE invoices SET version = 41 WHERE id = ?1";
    harness.deployment().open_database()?.execute(sql, [INVOICE])?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::ConflictVersionChanged)
    );
    assert_eq!(receipt(&harness, "previous_version")?.as_deref(), Some("7"));
    assert_eq!(receipt(&harness, "new_version")?.as_deref(), Some("41"));
    Ok(())
}

/// Table of notes, a trigger that writes to it, and a table whose key follows the invoice's.
const NOTES: &str = "CREATE TABLE notes (text TEXT) STRICT;
    CREATE TABLE lines (invoice_id TEXT REFERENCES invoices (id) ON UPDATE CASCADE) STRICT;";
const NOTED: &str =
    "CREATE TRIGGER noted AFTER UPDATE ON invoices BEGIN INSERT INTO notes VALUES (new.id); END";

/// The trigger as a contract acknowledges it, with the tables that it may write.
fn acknowledged(writes: &str) -> String {
    let definition = BTreeMap::from([("sql", NOTED.to_owned())]);
    let form = CodeForm::Acknowledgeable;
    let code = ForeignCode::new(ForeignCodeKind::Trigger, "noted", &definition, Vec::new(), form);
    let entry = code
        .ack_entry()
        .replace(r#""writes": []"#, &format!(r#""writes": {writes}"#));
    format!(r#"{{ "column": "version" }}, "side_effects_ack": [{entry}]"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_code_writes_only_reviewed_rows() -> anyhow::Result<()> {
    let elsewhere = format!("{NOTES} {NOTED};");
    // One row for the update, one for the update of the trigger that increments the version.
    let two_rows = acknowledged(r#"[{ "table": "main.notes", "rows": 2 }]"#);
    let mut admitted = harness_with(&two_rows, &elsewhere).await?;
    let document = ReviewDocument::of(&admitted.subject.proposal, admitted.subject.digest).text;
    // Long lines are wrapped.
    let document = document.replace("\n    ", "");
    for effect in [
        "trigger invoices_version",
        "trigger noted",
        "foreign key of lines on update CASCADE",
        "acknowledged trigger noted (sha256:",
    ] {
        assert!(
            document.contains(&format!("side effects    {effect}")),
            "{document}"
        );
    }
    assert!(
        document.contains("): may write 2 rows of main.notes\n"),
        "{document}"
    );
    let report = present_valid(&mut admitted).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    let noted = |harness: &WriterHarness| -> anyhow::Result<i64> {
        let sql = "SELECT count(*) FROM notes";
        Ok(harness
            .deployment()
            .open_database()?
            .query_row(sql, [], |row| row.get(0))?)
    };
    assert_eq!(noted(&admitted)?, 2);

    let mut harness = harness_with(&acknowledged("[]"), &elsewhere).await?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::FailedCollateral),
        "{}",
        report.message
    );
    assert_eq!(harness.deployment().invoice(INVOICE)?, (5500, None, 7));
    assert_eq!(noted(&harness)?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_unacknowledged_code_at_proposal_time() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Plain)?;
    deployment
        .open_database()?
        .execute_batch(&format!("{NOTES} {NOTED};"))?;
    let stack = Stack::without_writer(deployment)?;
    let agent = Agent::over_stdio(&stack).await?;
    let arguments = serde_json::json!({ "invoice_id": INVOICE, "reason": "goodwill" });
    let envelope = agent.call("billing.propose_late_fee_waiver", arguments).await?;
    let text = envelope.to_string();
    assert!(
        text.contains("trigger `noted` of the table is not acknowledged"),
        "{text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_proposal_for_schema_drift_before_the_transaction() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let change = "ALTER TABLE invoices DROP COLUMN waiver_reason;
                  ALTER TABLE invoices ADD COLUMN waiver_reason ANY;";
    harness.deployment().open_database()?.execute_batch(change)?;
    harness.before = harness.deployment().dump()?;
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::FailedSchemaDrift),
        "{}",
        report.message
    );
    assert_eq!(harness.deployment().invoice(INVOICE)?, (5500, None, 7));
    assert_eq!(*harness.ledger.starts.borrow(), 1, "its attempt is announced");
    let again = present_valid(&mut harness).await?;
    assert_eq!(
        again.result,
        AttemptResult::of_code(ErrorCode::FailedSchemaDrift),
        "{}",
        again.message
    );
    assert_eq!(*harness.ledger.starts.borrow(), 1, "the receipt is found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_schema_drift_during_the_lock_wait() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let lock = harness.deployment().open_database()?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    let mut starts = harness.ledger.starts.clone();
    let inputs = harness.valid_inputs();
    let alter = async {
        // Announced: the checks are done, and the writer waits for the lock or is about to.
        starts.wait_for(|count| *count >= 1).await?;
        lock.execute_batch("CREATE TRIGGER late AFTER UPDATE ON invoices BEGIN SELECT 1; END; COMMIT;")?;
        anyhow::Ok(())
    };
    let (report, altered) = tokio::join!(harness.present(&inputs), alter);
    altered?;
    let report = report?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RefusedForeignCode),
        "{}",
        report.message
    );
    assert_eq!(harness.deployment().dump()?, harness.before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_file_change_during_lock_wait_applies() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let lock = harness.deployment().open_database()?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    let mut starts = harness.ledger.starts.clone();
    let inputs = harness.valid_inputs();
    let mut trust = harness.deployment().default_trust();
    trust.operators[0].revoked = true;
    let path = harness.deployment().trust_path();
    let revoke = async {
        starts.wait_for(|count| *count >= 1).await?;
        let bytes = serde_json::to_vec_pretty(&trust)?;
        synapsor_chassis::files::write_atomic(&path, &bytes, synapsor_chassis::files::MODE_PUBLIC)?;
        anyhow::Ok(lock.execute_batch("ROLLBACK")?)
    };
    let (report, revoked) = tokio::join!(harness.present(&inputs), revoke);
    revoked?;
    let report = report?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RefusedKey),
        "{}",
        report.message
    );
    assert_eq!(harness.deployment().dump()?, harness.before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_trust_file_during_lock_wait_is_named() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let lock = harness.deployment().open_database()?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    let mut starts = harness.ledger.starts.clone();
    let inputs = harness.valid_inputs();
    let path = harness.deployment().trust_path();
    let damage = async {
        starts.wait_for(|count| *count >= 1).await?;
        synapsor_chassis::files::write_atomic(&path, b"{", synapsor_chassis::files::MODE_PUBLIC)?;
        anyhow::Ok(lock.execute_batch("ROLLBACK")?)
    };
    let (report, damaged) = tokio::join!(harness.present(&inputs), damage);
    damaged?;
    let report = report?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RetryableTrustFile),
        "{}",
        report.message
    );
    assert!(report.message.contains("trust file"), "{}", report.message);
    assert_eq!(harness.deployment().dump()?, harness.before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_report_is_resent_at_once() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    harness.ledger.dropped_calls.settles.store(5, Ordering::SeqCst);
    let began = Instant::now();
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_announcement_is_resent() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    harness.ledger.dropped_calls.starts.store(2, Ordering::SeqCst);
    let report = present_valid(&mut harness).await?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn short_database_outage_is_retried() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let (there, away) = (
        harness.deployment().database(),
        harness.deployment().path("away.db"),
    );
    std::fs::rename(&there, &away)?;
    let log = harness.writer.log.clone();
    let inputs = harness.valid_inputs();
    let back = async {
        // Two attempts found no database.
        let failures = || {
            std::fs::read_to_string(&log)
                .unwrap_or_default()
                .matches("not usable")
                .count()
        };
        while failures() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(std::fs::rename(&away, &there)?)
    };
    let (report, returned) = tokio::join!(harness.present(&inputs), back);
    returned?;
    let report = report?;
    assert_eq!(report.result, AttemptResult::Applied, "{}", report.message);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_lease_allows_no_retry() -> anyhow::Result<()> {
    let mut harness = WriterHarness::open().await?;
    let lock = harness.deployment().open_database()?;
    lock.execute_batch("BEGIN IMMEDIATE")?;
    harness.ledger.lease_ms = 300;
    harness
        .ledger
        .dropped_calls
        .renewals
        .store(u32::MAX, Ordering::SeqCst);
    let report = present_valid(&mut harness).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::RetryableDatabaseBusy)
    );
    let attempts = harness
        .writer
        .log_text()
        .matches("database error during a writeback")
        .count();
    assert_eq!(attempts, 1, "number of attempts under the expired lease");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_commit_response_is_resolved_within_seconds() -> anyhow::Result<()> {
    for (point, result) in [
        // Committed; the response did not arrive.
        ("after-commit:error", AttemptResult::AlreadyApplied),
        // Rolled back; the writer tries again.
        ("before-commit:error", AttemptResult::Applied),
        ("after-update:error", AttemptResult::Applied),
    ] {
        let deployment = Deployment::new(Build::Failpoints)?;
        let mut harness = WriterHarness::with(deployment, &[("SYNAPSOR_FAILPOINT", point)]).await?;
        let began = Instant::now();
        let report = present_valid(&mut harness).await?;
        assert_eq!(report.result, result, "{point}: {}", report.message);
        assert!(began.elapsed() < SOON, "{point}: {:?}", began.elapsed());
        assert_eq!(
            harness.deployment().invoice(INVOICE)?,
            (0, Some("goodwill".to_owned()), 8),
            "{point}"
        );
    }
    Ok(())
}

/// The writer cannot read receipts for a while: this does not show whether its COMMIT took place.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_receipt_resolves_doubt() -> anyhow::Result<()> {
    let deployment = Deployment::new(Build::Failpoints)?;
    let mut harness =
        WriterHarness::with(deployment, &[("SYNAPSOR_FAILPOINT", "after-commit:error")]).await?;
    let database = harness.deployment().open_database()?;
    let log = harness.writer.log.clone();
    let (doubt, mut doubts) = (Arc::clone(&harness.ledger.doubt), harness.ledger.doubts.clone());
    let inputs = harness.valid_inputs();
    let unseen = async {
        let unanswered = doubt.lock().await;
        doubts.wait_for(|count| *count > 0).await?;
        database.execute_batch("ALTER TABLE synapsor_writeback_receipts RENAME TO aside")?;
        drop(unanswered);
        until(SOON, || {
            Ok(std::fs::read_to_string(&log)?.contains("database not usable"))
        })?;
        anyhow::Ok(database.execute_batch("ALTER TABLE aside RENAME TO synapsor_writeback_receipts")?)
    };
    let (report, seen) = tokio::join!(harness.present(&inputs), unseen);
    seen?;
    let report = report?;
    assert_eq!(report.result, AttemptResult::AlreadyApplied, "{}", report.message);
    Ok(())
}
