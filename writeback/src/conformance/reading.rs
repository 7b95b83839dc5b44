//! Behaviors of reads, identity, catalog and fit.

use std::time::{Duration, Instant};

use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::{ColumnValue, Value};
use synapsor_source::RowPlan;
use synapsor_source::error::EngineErrorKind;
use synapsor_source::error_cause::ErrorCause;

use super::behaviors::{Db, Fixture, int, invoice, misfit_code, plan, text, unwritable_columns};

async fn one(db: &Db, plan: &RowPlan) -> Vec<ColumnValue> {
    let mut rows = db.reader().read(plan).await.unwrap().rows;
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

async fn count(db: &Db, plan: &RowPlan) -> usize {
    db.reader().read(plan).await.unwrap().rows.len()
}

pub(crate) async fn values_come_back_exactly(db: Db) {
    db.set_up(Fixture::Kinds);
    let expected: Vec<_> = db
        .kinds()
        .into_iter()
        .map(|(c, v)| ColumnValue::new(c, v))
        .collect();
    let columns: Vec<&str> = expected.iter().map(|c| c.column.as_str()).collect();
    assert_eq!(
        one(&db, &plan(&db, "kinds", "k", "acme", &columns)).await,
        expected
    );
}

pub(crate) async fn extreme_integers_come_back_exactly(db: Db) {
    db.set_up(Fixture::Kinds);
    assert_eq!(
        one(&db, &plan(&db, "kinds", "k", "acme", &["big"])).await,
        [int("big", i64::MAX.into())]
    );
    assert_eq!(
        one(&db, &plan(&db, "kinds", "low", "acme", &["big"])).await,
        [int("big", i64::MIN.into())]
    );
}

pub(crate) async fn inexact_values_are_unreadable(db: Db) {
    if !db.set_up(Fixture::Broken) {
        return;
    }
    let error = db
        .reader()
        .read(&plan(&db, "broken", "k", "acme", &["body"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Unreadable);
    let named = [
        ErrorCause::ValueUnreadable("body".to_owned()),
        ErrorCause::ColumnUnreadable("body".to_owned()),
    ];
    assert!(named.contains(&error.cause), "{error:?}");
}

pub(crate) async fn a_row_of_another_tenant_is_not_found(db: Db) {
    db.set_up(Fixture::Invoices);
    assert_eq!(
        count(&db, &plan(&db, "invoices", "INV-3", "globex", &["fee"])).await,
        1
    );
    assert_eq!(
        count(&db, &plan(&db, "invoices", "INV-3", "acme", &["fee"])).await,
        0
    );
}

pub(crate) async fn tenants_that_look_alike_are_others(db: Db) {
    db.set_up(Fixture::Invoices);
    for tenant in [
        "ACME",
        "Acme",
        "acme ",
        " acme",
        "acme\t",
        "acmé",
        "acm",
        "acme%",
        "",
        "а\u{441}me",
    ] {
        assert_eq!(
            count(&db, &plan(&db, "invoices", "INV-1", tenant, &["fee"])).await,
            0,
            "{tenant:?}"
        );
    }
}

pub(crate) async fn folded_columns_match_exactly(db: Db) {
    if !db.set_up(Fixture::FoldedKeys) {
        return;
    }
    assert_eq!(
        count(&db, &plan(&db, "folded", "Key", "Acme", &["body"])).await,
        1
    );
    for (id, tenant) in [
        ("key", "Acme"),
        ("Key", "acme"),
        ("KEY", "ACME"),
        ("trail", "Acme "),
        ("trail ", "Acme"),
    ] {
        assert_eq!(
            count(&db, &plan(&db, "folded", id, tenant, &["body"])).await,
            0,
            "{id:?} {tenant:?}"
        );
    }
    let shape = db.reader().table_schema(&db.schema(), "folded").await.unwrap();
    assert!(shape.column("tenant").unwrap().collation.is_some());
    assert!(shape.column("body").unwrap().collation.is_none());
}

pub(crate) async fn a_text_key_is_not_a_number(db: Db) {
    db.set_up(Fixture::TextKeys);
    let mut plan = plan(&db, "lettered", "1", "acme", &["body"]);
    assert_eq!(one(&db, &plan).await, [text("body", "one")]);
    plan.keys = vec![int("id", 1)];
    assert_eq!(count(&db, &plan).await, 0);
    plan.keys = vec![text("id", "01")];
    assert_eq!(one(&db, &plan).await, [text("body", "padded")]);
    plan.keys = vec![text("id", "1 ")];
    assert_eq!(one(&db, &plan).await, [text("body", "spaced")]);
}

pub(crate) async fn an_integer_key_is_found_by_its_digits(db: Db) {
    db.set_up(Fixture::IntegerKeys);
    let engine = db.reader();
    let shape = engine.table_schema(&db.schema(), "numbered").await.unwrap();
    let key = shape.column("id").unwrap();
    assert_eq!(engine.fit(key, &Value::text("12")).unwrap(), Value::int(12));
    for other in [
        "012",
        "+12",
        " 12",
        "12 ",
        "12.0",
        "1e1",
        "0x0c",
        "",
        "12;",
        "９",
        "9223372036854775808",
    ] {
        assert!(engine.fit(key, &Value::text(other)).is_err(), "{other:?}");
    }
    let mut plan = plan(&db, "numbered", "12", "acme", &["body"]);
    assert_eq!(
        count(&db, &plan).await,
        0,
        "a string is never compared with a number"
    );
    plan.keys = vec![int("id", 12)];
    assert_eq!(one(&db, &plan).await, [text("body", "twelve")]);
}

pub(crate) async fn at_most_two_rows_come_back(db: Db) {
    db.set_up(Fixture::Twins);
    assert_eq!(
        count(&db, &plan(&db, "twins", "same", "acme", &["body"])).await,
        2
    );
}

pub(crate) async fn a_missing_row_is_no_error(db: Db) {
    db.set_up(Fixture::Invoices);
    assert_eq!(
        count(&db, &plan(&db, "invoices", "INV-404", "acme", &["fee"])).await,
        0
    );
}

pub(crate) async fn null_matches_nothing(db: Db) {
    db.set_up(Fixture::TextKeys);
    db.execute("INSERT INTO lettered VALUES (NULL, NULL, 'no one')");
    let mut plan = plan(&db, "lettered", "1", "acme", &["body"]);
    plan.keys = vec![ColumnValue::new("id", Value::null())];
    plan.tenant = Some(ColumnValue::new("tenant", Value::null()));
    assert_eq!(count(&db, &plan).await, 0);
    plan.tenant = None;
    assert_eq!(count(&db, &plan).await, 0);
}

pub(crate) async fn a_value_at_the_limit_comes_back_whole(db: Db) {
    db.set_up(Fixture::Wide);
    let row = one(&db, &plan(&db, "wide", "limit", "acme", &["a"])).await;
    assert_eq!(row[0].value.len_bytes(), 64 * 1024);
}

pub(crate) async fn a_value_beyond_the_limit_is_refused(db: Db) {
    db.set_up(Fixture::Wide);
    let error = db
        .reader()
        .read(&plan(&db, "wide", "value", "acme", &["a"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::TooLarge);
    assert_eq!(
        count(&db, &plan(&db, "wide", "value", "acme", &["b"])).await,
        1,
        "only columns that are read count"
    );
}

pub(crate) async fn a_row_beyond_the_limit_is_refused(db: Db) {
    db.set_up(Fixture::Wide);
    assert_eq!(
        count(&db, &plan(&db, "wide", "row", "acme", &["a", "b", "c"])).await,
        1
    );
    let error = db
        .reader()
        .read(&plan(&db, "wide", "row", "acme", &["a", "b", "c", "d"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::TooLarge);
}

pub(crate) async fn unknown_names_are_not_found(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let kind = |plan: RowPlan| {
        let engine = engine.clone();
        async move { engine.read(&plan).await.unwrap_err().kind }
    };
    assert_eq!(
        kind(plan(&db, "nowhere", "k", "acme", &["fee"])).await,
        EngineErrorKind::NotFound
    );
    assert_eq!(
        kind(plan(&db, "invoices", "INV-1", "acme", &["nothing"])).await,
        EngineErrorKind::NotFound
    );
    let mut elsewhere = invoice(&db);
    elsewhere.schema = "elsewhere".to_owned();
    assert_eq!(kind(elsewhere).await, EngineErrorKind::NotFound);
    assert_eq!(
        engine
            .table_schema(&db.schema(), "nowhere")
            .await
            .unwrap_err()
            .kind,
        EngineErrorKind::NotFound
    );
    assert_eq!(
        engine
            .table_schema("elsewhere", "invoices")
            .await
            .unwrap_err()
            .kind,
        EngineErrorKind::NotFound
    );
}

pub(crate) async fn a_name_cannot_become_a_statement(db: Db) {
    db.set_up(Fixture::Invoices);
    for name in [
        "fee\" FROM invoices --",
        "fee\"; DROP TABLE invoices; --",
        "1",
        "fee, tenant",
        "`fee`",
        "'fee'",
    ] {
        assert!(
            db.reader()
                .read(&plan(&db, "invoices", "INV-1", "acme", &[name]))
                .await
                .is_err(),
            "{name}"
        );
        assert!(
            db.reader()
                .read(&plan(&db, name, "INV-1", "acme", &["fee"]))
                .await
                .is_err(),
            "{name}"
        );
    }
    assert_eq!(db.text("SELECT count(*) FROM invoices"), "3");
}

pub(crate) async fn a_value_cannot_become_a_statement(db: Db) {
    db.set_up(Fixture::Invoices);
    for value in [
        "' OR '1'='1",
        "INV-1' --",
        "INV-1\0",
        "?1",
        "%",
        "INV_1",
        "\\",
        "\"",
        "INV-1'; DROP TABLE invoices; --",
    ] {
        assert_eq!(
            count(&db, &plan(&db, "invoices", value, "acme", &["fee"])).await,
            0,
            "{value:?}"
        );
        assert_eq!(
            count(&db, &plan(&db, "invoices", "INV-1", value, &["fee"])).await,
            0,
            "{value:?}"
        );
    }
    assert_eq!(db.text("SELECT count(*) FROM invoices"), "3");
}

pub(crate) async fn a_slow_read_times_out(db: Db) {
    db.set_up(Fixture::Slow);
    let begun = Instant::now();
    let engine = db.hurried_reader(Duration::from_millis(200));
    let error = engine
        .read(&plan(&db, "slow", "k", "acme", &["body"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Timeout);
    assert!(error.is_retryable());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

pub(crate) async fn a_read_that_nobody_waits_for_stops(db: Db) {
    db.set_up(Fixture::Slow);
    db.set_up(Fixture::Invoices);
    let engine = db.hurried_reader(Duration::from_secs(30));
    let slow = plan(&db, "slow", "k", "acme", &["body"]);
    for _ in 0..16 {
        // Enough to occupy every connection for the whole time if they did not stop.
        let waited = tokio::time::timeout(Duration::from_millis(50), engine.read(&slow)).await;
        assert!(waited.is_err());
    }
    let begun = Instant::now();
    assert_eq!(engine.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    while db.running_reads().is_some_and(|running| running > 0) {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "abandoned statements still run on the server"
        );
        tokio::task::yield_now().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// Reads that the engine joins into one statement have the results of reads alone.
pub(crate) async fn parallel_reads_are_all_served(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let mut expected = Vec::new();
    for (id, tenant) in [
        ("INV-1", "acme"),
        ("INV-2", "acme"),
        ("INV-1", "other"),
        ("INV-3", "other"),
        ("NULL", "acme"),
        ("a\"b\\c,{}'", "acme"),
        ("", "acme"),
        ("INV-1\0", "acme"),
    ] {
        let plan = plan(&db, "invoices", id, tenant, &["id", "fee"]);
        let alone = engine.read(&plan).await.unwrap();
        expected.push((plan, alone.identity, alone.rows));
    }
    assert!(expected.iter().filter(|(_, _, rows)| rows.len() == 1).count() >= 2);
    let reads: Vec<_> = (0..128)
        .map(|n| {
            let (plan, identity, rows) = expected[n % expected.len()].clone();
            let engine = engine.clone();
            tokio::spawn(async move {
                let found = engine.read(&plan).await.unwrap();
                assert_eq!((found.identity, found.rows), (identity, rows), "{plan:?}");
            })
        })
        .collect();
    for read in reads {
        read.await.unwrap();
    }
}

pub(crate) async fn reads_go_on_while_the_lock_is_held(db: Db) {
    db.set_up(Fixture::Invoices);
    let held = db.hold_lock();
    assert_eq!(count(&db, &invoice(&db)).await, 1);
    drop(held);
}

pub(crate) async fn a_reader_begins_nothing(db: Db) {
    db.set_up(Fixture::Invoices);
    assert_eq!(
        db.reader().begin().await.unwrap_err().kind,
        EngineErrorKind::Denied
    );
}

pub(crate) async fn one_identity_for_both(db: Db) {
    db.set_up(Fixture::Invoices);
    let identity = db.reader().identity().await.unwrap();
    assert_eq!(db.writer().identity().await.unwrap(), identity);
    assert!(identity.starts_with(db.reader().kind().as_str()));
    assert!(identity.len() < 100);
}

pub(crate) async fn another_database_is_another(db: Db) {
    db.set_up(Fixture::Invoices);
    let other = db.another();
    other.set_up(Fixture::Invoices);
    assert_ne!(
        db.reader().identity().await.unwrap(),
        other.reader().identity().await.unwrap()
    );
    // Without an identity mark, a database is identified by its path.
    let (bare, another) = (db.another(), db.another());
    assert_ne!(
        bare.reader().identity().await.unwrap(),
        another.reader().identity().await.unwrap()
    );
}

pub(crate) async fn a_changed_identity_is_noticed(db: Db) {
    db.set_up(Fixture::Invoices);
    let (reader, writer) = (db.reader(), db.writer());
    let before = reader.identity().await.unwrap();
    db.change_identity();
    let after = reader.identity().await.unwrap();
    assert_ne!(before, after);
    let begun = writer.begin().await.unwrap();
    assert_eq!(begun.identity, after);
}

pub(crate) async fn the_shape_tells_columns_and_keys(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let shape = engine.table_schema(&db.schema(), "invoices").await.unwrap();
    // A row version that the engine maintains itself is not a column of the table.
    let names: Vec<_> = shape
        .columns
        .iter()
        .map(|c| c.name.as_str())
        .filter(|n| *n != "xmin")
        .collect();
    assert_eq!(names, ["id", "tenant", "status", "fee", "version"]);
    let column = |name: &str| shape.column(name).unwrap().clone();
    assert!(column("id").primary_key && column("id").unique && !column("id").nullable);
    assert!(column("status").nullable && !column("status").unique);
    assert!(!column("fee").nullable && !column("fee").generated && !column("fee").primary_key);
    assert_eq!(shape.engine, engine.kind());
    assert_eq!(
        shape.fingerprint(),
        engine
            .table_schema(&db.schema(), "invoices")
            .await
            .unwrap()
            .fingerprint()
    );
}

pub(crate) async fn a_new_trigger_changes_the_fingerprint(db: Db) {
    db.set_up(Fixture::RaisesVersion);
    let engine = db.reader();
    let shape = engine.table_schema(&db.schema(), "invoices").await.unwrap();
    assert_eq!(shape.triggers.len(), 1);
    assert_eq!(shape.side_effects().len(), 1);
    db.drop_trigger("raise");
    let without = engine.table_schema(&db.schema(), "invoices").await.unwrap();
    assert_ne!(shape.fingerprint(), without.fingerprint());
    db.execute("ALTER TABLE invoices ADD COLUMN later TEXT");
    assert_ne!(
        engine
            .table_schema(&db.schema(), "invoices")
            .await
            .unwrap()
            .fingerprint(),
        without.fingerprint()
    );
}

pub(crate) async fn the_shape_tells_references(db: Db) {
    db.set_up(Fixture::Cascades);
    let shape = db.reader().table_schema(&db.schema(), "invoices").await.unwrap();
    let reference = &shape.referenced_by[0];
    assert_eq!(
        (reference.table.as_str(), reference.on_update.as_str()),
        ("notes", "CASCADE")
    );
    assert_eq!(reference.referenced_columns, ["status"]);
    assert_eq!(shape.side_effects().len(), 1);
}

pub(crate) async fn values_that_would_change_do_not_fit(db: Db) {
    db.set_up(Fixture::Kinds);
    let engine = db.reader();
    let shape = engine.table_schema(&db.schema(), "kinds").await.unwrap();
    let fit = |column: &str, value: Value| {
        let column: &TableColumn = shape.column(column).unwrap();
        engine.fit(column, &value)
    };
    for (column, value, held) in db.fits() {
        assert_eq!(fit(column, value.clone()), Ok(held), "{column} {value:?}");
    }
    let unwritable = unwritable_columns(&engine, &db.schema(), "kinds").await;
    for (column, value) in db.misfits() {
        let refusal = fit(column, value.clone()).unwrap_err();
        let code = misfit_code(&unwritable, column);
        assert_eq!(refusal.code, code, "{column} {value:?}");
        assert!(
            refusal.public.contains(&format!("`{column}`")),
            "{}",
            refusal.public
        );
    }
}
