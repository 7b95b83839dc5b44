//! Behaviors of plans, shapes, catalog and preflight.

use std::time::{Duration, Instant};

use synapsor_domain::writeback::FindingSeverity;
use synapsor_source::PreflightTarget;
use synapsor_source::error::EngineErrorKind;

use super::behaviors::{Db, Fixture, begin, change, int, invoice, plan, text};

pub(crate) async fn a_plan_without_tenant_finds_by_key(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut plan = plan(&db, "invoices", "INV-3", "globex", &["fee"]);
    plan.tenant = None;
    assert_eq!(
        db.reader().read(&plan).await.unwrap().rows,
        [vec![int("fee", 100)]]
    );
}

pub(crate) async fn columns_come_as_they_are_asked(db: Db) {
    db.set_up(Fixture::Invoices);
    let row = plan(
        &db,
        "invoices",
        "INV-1",
        "acme",
        &["fee", "id", "status", "tenant", "fee"],
    );
    let expected = vec![
        int("fee", 5500),
        text("id", "INV-1"),
        text("status", "open"),
        text("tenant", "acme"),
        int("fee", 5500),
    ];
    assert_eq!(db.reader().read(&row).await.unwrap().rows, [expected]);
}

pub(crate) async fn a_row_without_columns_is_a_row(db: Db) {
    db.set_up(Fixture::Invoices);
    let rows = db
        .reader()
        .read(&plan(&db, "invoices", "INV-1", "acme", &[]))
        .await
        .unwrap()
        .rows;
    assert_eq!(rows, [vec![]]);
}

pub(crate) async fn an_error_leaves_the_engine_usable(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    for _ in 0..20 {
        let wrong = plan(&db, "invoices", "INV-1", "acme", &["nothing"]);
        assert_eq!(
            engine.read(&wrong).await.unwrap_err().kind,
            EngineErrorKind::NotFound
        );
        assert_eq!(engine.read(&invoice(&db)).await.unwrap().rows.len(), 1);
    }
}

pub(crate) async fn reads_survive_a_new_column(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let before = engine.read(&invoice(&db)).await.unwrap().rows;
    db.execute("ALTER TABLE invoices ADD COLUMN later TEXT");
    assert_eq!(engine.read(&invoice(&db)).await.unwrap().rows, before);
}

pub(crate) async fn a_dropped_table_is_not_found(db: Db) {
    db.set_up(Fixture::TextKeys);
    let engine = db.reader();
    let row = plan(&db, "lettered", "1", "acme", &["body"]);
    assert_eq!(engine.read(&row).await.unwrap().rows.len(), 1);
    db.execute("DROP TABLE lettered");
    assert_eq!(
        engine.read(&row).await.unwrap_err().kind,
        EngineErrorKind::NotFound
    );
}

pub(crate) async fn the_product_is_named_with_its_version(db: Db) {
    db.set_up(Fixture::Invoices);
    let product = db.reader().product().await.unwrap();
    let (name, version) = product.split_once(' ').unwrap();
    assert!(
        name.len() > 4 && version.starts_with(|c: char| c.is_ascii_digit()),
        "{product}"
    );
}

pub(crate) async fn a_generated_column_is_reported(db: Db) {
    db.execute(
        "CREATE TABLE made (id VARCHAR(20) NOT NULL PRIMARY KEY, tenant VARCHAR(20), a INTEGER, \
         b INTEGER GENERATED ALWAYS AS (a + 1) STORED);",
    );
    db.execute("INSERT INTO made (id, tenant, a) VALUES ('k', 'acme', 1);");
    let shape = db.reader().table_schema(&db.schema(), "made").await.unwrap();
    assert!(shape.column("b").unwrap().generated && !shape.column("a").unwrap().generated);
    let row = plan(&db, "made", "k", "acme", &["a", "b"]);
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(
        transaction
            .update(&row, change(&[int("a", 4)], None))
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        transaction.reread(&row).await.unwrap(),
        [vec![int("a", 4), int("b", 5)]]
    );
    transaction.roll_back().await;
}

pub(crate) async fn parts_of_a_key_are_not_unique_alone(db: Db) {
    db.execute("CREATE TABLE pairs (a VARCHAR(20) NOT NULL, b VARCHAR(20) NOT NULL, PRIMARY KEY (a, b));");
    let shape = db.reader().table_schema(&db.schema(), "pairs").await.unwrap();
    for name in ["a", "b"] {
        let column = shape.column(name).unwrap();
        assert!(column.primary_key && !column.unique, "{name}");
    }
    db.execute("CREATE UNIQUE INDEX one_b ON pairs (b);");
    let shape = db.reader().table_schema(&db.schema(), "pairs").await.unwrap();
    assert!(shape.column("b").unwrap().unique && !shape.column("a").unwrap().unique);
}

pub(crate) async fn a_view_is_reported(db: Db) {
    db.set_up(Fixture::Invoices);
    db.execute("CREATE VIEW seen AS SELECT * FROM invoices");
    let shape = db.reader().table_schema(&db.schema(), "seen").await.unwrap();
    assert!(shape.traits.iter().any(|t| t == "view"), "{:?}", shape.traits);
}

async fn drifts(db: Db, statement: &str) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let before = engine
        .table_schema(&db.schema(), "invoices")
        .await
        .unwrap()
        .fingerprint();
    db.execute(statement);
    let after = engine
        .table_schema(&db.schema(), "invoices")
        .await
        .unwrap()
        .fingerprint();
    assert_ne!(before, after, "{statement}");
}

pub(crate) async fn a_new_column_is_drift(db: Db) {
    drifts(db, "ALTER TABLE invoices ADD COLUMN later TEXT").await;
}

pub(crate) async fn a_dropped_column_is_drift(db: Db) {
    drifts(db, "ALTER TABLE invoices DROP COLUMN status").await;
}

pub(crate) async fn a_renamed_column_is_drift(db: Db) {
    drifts(db, "ALTER TABLE invoices RENAME COLUMN status TO state").await;
}

pub(crate) async fn a_new_unique_index_is_drift(db: Db) {
    drifts(db, "CREATE UNIQUE INDEX one_fee ON invoices (fee)").await;
}

pub(crate) async fn a_kept_shape_is_young(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let schema = db.schema();
    let before = engine.table_schema(&schema, "invoices").await.unwrap();
    assert_eq!(
        *engine.cached_table_schema(&schema, "invoices").await.unwrap(),
        before
    );
    db.execute("ALTER TABLE invoices ADD COLUMN later TEXT");
    let since = Instant::now();
    while *engine.cached_table_schema(&schema, "invoices").await.unwrap() == before {
        assert!(
            since.elapsed() < Duration::from_secs(4),
            "a shape is cached too long"
        );
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn the_catalog_lists_tables_and_keys(db: Db) {
    db.set_up(Fixture::Invoices);
    let engine = db.reader();
    let schema = db.schema();
    let found = engine.catalog(Some(&schema)).await.unwrap();
    let table = found.tables.iter().find(|t| t.shape.table == "invoices").unwrap();
    assert_eq!(table.primary_key, ["id"]);
    assert_eq!(
        table.shape,
        engine.table_schema(&schema, "invoices").await.unwrap()
    );
    assert!(found.schemas.contains(&schema) && !found.truncated);
    assert_eq!(found.product, engine.product().await.unwrap());
}

pub(crate) async fn the_catalog_tells_foreign_keys(db: Db) {
    if !db.set_up(Fixture::Cascades) {
        return;
    }
    let found = db.reader().catalog(None).await.unwrap();
    let table = found.tables.iter().find(|t| t.shape.table == "notes").unwrap();
    let key = &table.foreign_keys[0];
    assert_eq!(
        (key.referenced_table.as_str(), &key.columns[..]),
        ("invoices", &["status".to_owned()][..])
    );
    assert_eq!(key.referenced_columns, ["status"]);
}

fn target(db: &Db) -> PreflightTarget {
    PreflightTarget {
        schema: db.schema(),
        table: "invoices".to_owned(),
        keys: vec!["id".to_owned()],
        tenant: Some("tenant".to_owned()),
        reads: ["id", "tenant", "status", "fee", "version"]
            .map(str::to_owned)
            .to_vec(),
        writes: vec!["fee".to_owned()],
    }
}

async fn problems(db: &Db, target: PreflightTarget) -> Vec<String> {
    let found = db.writer().check(&[target]).await.unwrap();
    let problems = found.into_iter().filter(|f| f.severity == FindingSeverity::Error);
    problems.map(|f| format!("{}: {}", f.code, f.text)).collect()
}

pub(crate) async fn a_proper_writer_passes_the_check(db: Db) {
    db.set_up(Fixture::Invoices);
    assert_eq!(problems(&db, target(&db)).await, Vec::<String>::new());
    assert_eq!(db.text("SELECT fee FROM invoices WHERE id = 'INV-1'"), "5500");
}

pub(crate) async fn a_missing_column_fails_the_check(db: Db) {
    db.set_up(Fixture::Invoices);
    let mut wrong = target(&db);
    wrong.writes.push("nothing".to_owned());
    let problems = problems(&db, wrong).await;
    assert!(problems.iter().any(|p| p.contains("`nothing`")), "{problems:?}");
}

pub(crate) async fn a_missing_receipt_table_fails_the_check(db: Db) {
    db.set_up(Fixture::Invoices);
    db.execute("DROP TABLE synapsor_writeback_receipts");
    assert!(!problems(&db, target(&db)).await.is_empty());
}
