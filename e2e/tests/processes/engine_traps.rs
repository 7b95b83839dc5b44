//! Traps of database servers through the real processes: a real proposal, a real writer, and a database that acts
//! on its own between the lock and the COMMIT. The other traps are in the conformance tests of the executor;
//! `docs/engine-traps.md` lists all of them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::AttemptResult;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, Server, Session};
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;
use synapsor_e2e::writer_harness::{INVOICE, WriterHarness};

const LIMIT: Duration = Duration::from_secs(20);
/// MySQL does not refresh its list of transactions for queries more often than ten times a second.
const LOOK: Duration = Duration::from_millis(150);
const SERVERS: [Engine; 3] = [Engine::Postgres, Engine::Mysql, Engine::Mariadb];

/// Harness over a database that its owner changed first; `None` if there is no such server.
async fn harness_on(engine: Engine, change: &str) -> anyhow::Result<Option<WriterHarness>> {
    let Some(server) = Server::of(engine)? else {
        return Ok(None);
    };
    let deployment = Deployment::on(Build::Plain, &server)?;
    if !change.is_empty() {
        deployment.target.execute(change)?;
    }
    Ok(Some(WriterHarness::with(deployment, &[]).await?))
}

/// Runs valid job inputs on PostgreSQL after a change by the owner. Only receipts may differ unless the row was
/// written.
async fn on_postgres(change: &str, expected: AttemptResult) -> anyhow::Result<()> {
    let Some(mut harness) = harness_on(Engine::Postgres, change).await? else {
        return Ok(());
    };
    let inputs = harness.valid_inputs();
    let before = harness.deployment().invoice(INVOICE)?;
    let report = harness.present(&inputs).await?;
    assert_eq!(report.result, expected, "{}", report.message);
    if expected != AttemptResult::Applied {
        assert_eq!(
            harness.deployment().invoice(INVOICE)?,
            before,
            "the row was written"
        );
    }
    let journal = "SELECT count(*) FROM pg_tables WHERE tablename = 'journal'";
    if harness.deployment().target.query_text(journal)?[0][0].as_deref() == Some("1") {
        let lines = harness
            .deployment()
            .target
            .query_text("SELECT count(*) FROM journal")?;
        assert_eq!(lines[0][0].as_deref(), Some("0"), "other data was written");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_hiding_the_row_from_updates_is_a_conflict() -> anyhow::Result<()> {
    on_postgres(
        "ALTER TABLE invoices ENABLE ROW LEVEL SECURITY;
         CREATE POLICY look ON invoices FOR SELECT USING (true);
         CREATE POLICY touch ON invoices FOR UPDATE USING (status <> 'overdue');",
        AttemptResult::of_code(ErrorCode::ConflictTargetInvisible),
    )
    .await
}

/// The owner adds code to the table after the review: the proposal ends, and the code never runs.
async fn ended_after_the_review(change: &str) -> anyhow::Result<()> {
    let Some(mut harness) = harness_on(Engine::Postgres, "CREATE TABLE journal (line text);").await? else {
        return Ok(());
    };
    harness.deployment().target.execute(change)?;
    let inputs = harness.valid_inputs();
    let before = harness.deployment().invoice(INVOICE)?;
    let report = harness.present(&inputs).await?;
    assert_eq!(
        report.result,
        AttemptResult::of_code(ErrorCode::FailedSchemaDrift),
        "{}",
        report.message
    );
    assert_eq!(
        harness.deployment().invoice(INVOICE)?,
        before,
        "the row was written"
    );
    let journal = "SELECT count(*) FROM journal";
    let lines = harness.deployment().target.query_text(journal)?;
    assert_eq!(lines[0][0].as_deref(), Some("0"), "other data was written");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_trigger_that_may_run_inside_commit() -> anyhow::Result<()> {
    ended_after_the_review(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
           $$ BEGIN INSERT INTO public.journal VALUES (new.id); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON invoices DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION note();
         CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN new; END $$;
         CREATE TRIGGER a_first BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION put_off();",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn trigger_calling_unacknowledged_code_writes_nothing() -> anyhow::Result<()> {
    ended_after_the_review(
        "CREATE FUNCTION rewrite() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN new.waiver_reason := lower('Something Else'); RETURN new; END $$;
         CREATE TRIGGER rewrite BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION rewrite();",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn trigger_rewriting_reviewed_values_writes_nothing() -> anyhow::Result<()> {
    // In the closed form, so that the code is permitted: the writer compares the row after the UPDATE.
    on_postgres(
        "CREATE FUNCTION rewrite() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN new.waiver_reason := 'something else'; RETURN new; END $$;
         CREATE TRIGGER rewrite BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION rewrite();",
        AttemptResult::of_code(ErrorCode::FailedPostImage),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn trigger_suppressing_the_update_is_never_applied() -> anyhow::Result<()> {
    ended_after_the_review(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER nothing BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION nothing();",
    )
    .await
}

/// Connections of the writer that wait for a lock.
fn waiting(engine: Engine, owner: &Session, role: &str) -> anyhow::Result<Vec<String>> {
    let sql = match engine {
        Engine::Mysql | Engine::Mariadb => format!(
            "SELECT CAST(p.id AS CHAR) FROM information_schema.processlist p \
             JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id \
             WHERE p.user = '{role}' AND t.trx_state = 'LOCK WAIT'"
        ),
        Engine::Postgres | Engine::Sqlite => format!(
            "SELECT pid::text FROM pg_stat_activity WHERE usename = '{role}' AND wait_event_type = 'Lock'"
        ),
    };
    Ok(owner.query_text(&sql)?.into_iter().flatten().flatten().collect())
}

/// Runs valid job inputs while the owner holds the row. `meanwhile` runs as soon as the writer waits for the row,
/// in the transaction that holds it, and with another connection.
async fn while_the_row_is_held(
    engine: Engine,
    meanwhile: impl Fn(&Session, &Session, &[String]) -> anyhow::Result<()>,
) -> anyhow::Result<Option<(WriterHarness, AttemptResult)>> {
    let Some(mut harness) = harness_on(engine, "").await? else {
        return Ok(None);
    };
    let Target::Server { database, roles } = &harness.deployment().target else {
        anyhow::bail!("a server has the target");
    };
    let (holder, owner, role) = (database.session(), database.session(), roles.writer.clone());
    holder.execute("BEGIN")?;
    holder.execute(&format!(
        "UPDATE invoices SET status = status WHERE id = '{INVOICE}'"
    ))?;
    holder.execute(&format!(
        "SELECT id FROM invoices WHERE id = '{INVOICE}' FOR UPDATE"
    ))?;
    let inputs = harness.valid_inputs();
    let (report, done) = tokio::join!(harness.present(&inputs), async {
        let mut found = Vec::new();
        let until = tokio::time::Instant::now() + LIMIT;
        while found.is_empty() && tokio::time::Instant::now() < until {
            tokio::time::sleep(LOOK).await;
            found = waiting(engine, &owner, &role)?;
        }
        ensure!(!found.is_empty(), "the writer never waited");
        meanwhile(&holder, &owner, &found)?;
        holder.execute("COMMIT")
    });
    done?;
    let result = report?.result;
    Ok(Some((harness, result)))
}

fn deleted_and_inserted_again(holder: &Session, version: i64) -> anyhow::Result<()> {
    holder.execute(&format!("DELETE FROM invoices WHERE id = '{INVOICE}'"))?;
    holder.execute(&format!(
        "INSERT INTO invoices VALUES ('{INVOICE}', 'acme', 'Northwind Traders', 'overdue', 5500, NULL, \
         'called twice in March', {version})"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_reinserted_during_lock_wait_is_compared() -> anyhow::Result<()> {
    for engine in SERVERS {
        let same = while_the_row_is_held(engine, |holder, _, _| deleted_and_inserted_again(holder, 7));
        if let Some((harness, result)) = same.await? {
            assert_eq!(result, AttemptResult::Applied, "{engine}");
            assert_eq!(
                harness.deployment().invoice(INVOICE)?,
                (0, Some("goodwill".to_owned()), 8)
            );
        }
        let other = while_the_row_is_held(engine, |holder, _, _| deleted_and_inserted_again(holder, 9));
        if let Some((harness, result)) = other.await? {
            assert!(
                matches!(&result, AttemptResult::Conflict(_))
                    && result.code() != Some(ErrorCode::ConflictTargetMissing),
                "{engine}: {result:?}"
            );
            assert_eq!(harness.deployment().invoice(INVOICE)?, (5500, None, 9));
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connection_leaves_exactly_one_effect() -> anyhow::Result<()> {
    for engine in SERVERS {
        let ended = while_the_row_is_held(engine, |_, owner, sessions| {
            for session in sessions {
                owner.execute(&match engine {
                    Engine::Mysql | Engine::Mariadb => format!("KILL CONNECTION {session}"),
                    Engine::Postgres | Engine::Sqlite => {
                        format!("SELECT pg_terminate_backend({session})")
                    }
                })?;
            }
            Ok(())
        });
        let Some((mut harness, result)) = ended.await? else {
            continue;
        };
        if matches!(result, AttemptResult::Retryable(_)) {
            assert_eq!(
                harness.deployment().receipts()?,
                [],
                "{engine}: no effect, no receipt"
            );
            harness.expect_valid_job_applied().await?;
        } else {
            assert_eq!(result, AttemptResult::Applied, "{engine}");
        }
        assert_eq!(
            harness.deployment().invoice(INVOICE)?,
            (0, Some("goodwill".to_owned()), 8)
        );
        assert_eq!(harness.deployment().receipts()?.len(), 1, "{engine}");
    }
    Ok(())
}

/// A table from another copy of the database is not the reviewed one.
#[tokio::test(flavor = "multi_thread")]
async fn writer_on_another_database_writes_nothing() -> anyhow::Result<()> {
    for engine in SERVERS {
        let Some(server) = Server::of(engine)? else {
            continue;
        };
        let other = Deployment::on(Build::Plain, &server)?;
        let url = other.target.write_url();
        let deployment = Deployment::on(Build::Plain, &server)?;
        if engine != Engine::Postgres {
            // There the name of the database is in the contract, and accounts belong to all databases.
            let (Target::Server { database, .. }, Target::Server { roles, .. }) =
                (&deployment.target, &other.target)
            else {
                anyhow::bail!("a server has the target");
            };
            let (name, role) = (database.name(), &roles.writer);
            database.execute(&format!("GRANT ALL ON {name}.* TO '{role}'@'%'"))?;
        }
        let before = other.dump()?;
        let mut harness = WriterHarness::with(deployment, &[("BILLING_WRITE_URL", &url)]).await?;
        let inputs = harness.valid_inputs();
        harness
            .refuses(&inputs, ErrorCode::RefusedSource)
            .await
            .with_context(|| engine.to_string())?;
        assert_eq!(other.dump()?, before, "{engine}");
    }
    Ok(())
}

/// Every `fn` and every quoted behavior in the tests of this repository.
fn tests() -> anyhow::Result<String> {
    let mut all = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> = [
        "executor/tests",
        "engine/src",
        "writeback/src",
        "executor/src",
        "engine/src",
        "reader/src",
        "source/src",
        "e2e/tests",
        "domain/tests",
        "domain/src",
    ]
    .map(|folder| root.join(folder))
    .into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                all.push_str(&std::fs::read_to_string(&path)?);
            }
        }
    }
    Ok(all)
}

#[test]
fn every_documented_trap_has_its_test() -> anyhow::Result<()> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/engine-traps.md");
    let (list, tests) = (std::fs::read_to_string(list)?, tests()?);
    let mut traps = 0;
    let rows = |line: &&str| line.starts_with("| ") && !line.starts_with("| Trap ");
    for line in list.lines().filter(rows) {
        let named: Vec<&str> = line
            .rsplit('|')
            .nth(1)
            .unwrap_or_default()
            .split('`')
            .skip(1)
            .step_by(2)
            .collect();
        ensure!(!named.is_empty(), "no test: {line}");
        for name in named {
            let is_there = tests.contains(&format!("fn {name}(")) || tests.contains(&format!("(\"{name}\","));
            ensure!(is_there, "there is no test `{name}`: {line}");
        }
        traps += 1;
    }
    ensure!(traps >= 30, "{traps} traps");
    Ok(())
}

/// The receipt of a conflict is committed, and database code that ran at the row lock must not be committed with
/// it.
#[test]
fn code_run_at_the_lock_is_not_committed_by_a_conflict() -> anyhow::Result<()> {
    let Some(server) = Server::of(Engine::Postgres)? else {
        return Ok(());
    };
    let place = CliFixture::over(server.database()?, &Fixture::billing())?;
    // A running writer has cached the earlier table.
    let mut up = place.start(&["up"])?;
    up.until_printed(LIMIT, |printed| printed.contains("Press Ctrl-C to stop"))?;
    let first = place.approved("INV-3001", "goodwill")?;
    place.ok(&["apply", &first])?;
    let second = place.approved("INV-3002", "goodwill")?;
    place.target.execute(
        "CREATE FUNCTION seen() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN
           CREATE OR REPLACE FUNCTION public.made() RETURNS integer LANGUAGE sql AS 'SELECT 1'; RETURN true; END $f$;
         UPDATE invoices SET version = version + 1 WHERE id = 'INV-3002';
         CREATE POLICY seen ON invoices USING (seen()); ALTER TABLE invoices ENABLE ROW LEVEL SECURITY",
    )?;
    let ran = place.run(&["apply", &second, "--json"])?;
    // A writer whose cache has ended meanwhile finds the altered table before it locks the row.
    let result = ran.object()?["result"].clone();
    ensure!(
        result == "refused:foreign_code" || result == "failed:schema_drift",
        "{ran}"
    );
    let made = "SELECT count(*) FROM pg_catalog.pg_proc WHERE proname = 'made'";
    let found = place.target.query_text(made)?;
    assert_eq!(found[0][0].as_deref(), Some("0"), "the function was committed");
    up.signal(Signal::INT)?;
    up.end(LIMIT)?.expect(0)
}

/// A rejection and a freeze are rows of the receipt table as well: its code does not run for them either.
#[test]
fn damaged_receipt_table_runs_no_code_for_rejection_and_freeze() -> anyhow::Result<()> {
    let Some(server) = Server::of(Engine::Postgres)? else {
        return Ok(());
    };
    let place = CliFixture::over(server.database()?, &Fixture::billing())?;
    let mut up = place.start(&["up"])?;
    up.until_printed(LIMIT, |printed| printed.contains("Press Ctrl-C to stop"))?;
    let first = place.approved("INV-3001", "goodwill")?;
    // A sequence keeps its value after a rollback, so it shows that the trigger ran.
    place.target.execute(
        "CREATE SEQUENCE ran; ALTER SEQUENCE ran OWNER TO CURRENT_USER;
         CREATE FUNCTION count_it() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
           $f$ BEGIN PERFORM nextval('public.ran'); RETURN NEW; END $f$;
         CREATE TRIGGER counted BEFORE INSERT ON synapsor_writeback_receipts
           FOR EACH ROW EXECUTE FUNCTION count_it()",
    )?;
    let rejected = place.run(&["proposals", "reject", &first, "--reason", "no", "--yes", "--json"])?;
    ensure!(rejected.object()?["effect"] != "tombstoned", "{rejected}");
    let frozen = place.run(&["writeback", "freeze", "--json"])?;
    ensure!(frozen.stdout.contains("frozen"), "{frozen}");
    let ran = place.target.query_text("SELECT is_called::text FROM ran")?;
    assert_eq!(ran[0][0].as_deref(), Some("false"), "the trigger ran");
    let rows = place
        .target
        .query_text("SELECT count(*) FROM synapsor_writeback_receipts")?;
    assert_eq!(rows[0][0].as_deref(), Some("0"), "a row was recorded");
    up.signal(Signal::INT)?;
    up.end(LIMIT)?.expect(0)
}
