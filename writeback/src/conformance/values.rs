//! Behaviors of values: every column type, written and read back.

use synapsor_domain::value::{ColumnValue, Value};
use synapsor_source::RowPlan;

use super::behaviors::{
    Db, Fixture, Sample, begin, change, invoice, misfit_code, plan, text, unwritable_columns,
};

/// Creates a table with a column per sample, and the plan of its one row.
fn sampled(db: &Db) -> (Vec<Sample>, RowPlan) {
    let samples = db.samples();
    let columns: Vec<String> = samples
        .iter()
        .enumerate()
        .map(|(n, s)| format!("c{n} {}", s.declared))
        .collect();
    let values: Vec<&str> = samples.iter().map(|s| s.literal).collect();
    db.execute(&format!(
        "CREATE TABLE sampled (id VARCHAR(20) NOT NULL PRIMARY KEY, tenant VARCHAR(20), {});",
        columns.join(", ")
    ));
    db.execute(&format!(
        "INSERT INTO sampled VALUES ('k', 'acme', {});",
        values.join(", ")
    ));
    let names: Vec<String> = (0..samples.len()).map(|n| format!("c{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let plan = plan(db, "sampled", "k", "acme", &names);
    (samples, plan)
}

pub(crate) async fn every_type_reads_exactly(db: Db) {
    let (samples, plan) = sampled(&db);
    let rows = db.reader().read(&plan).await.unwrap().rows;
    for (sample, found) in samples.iter().zip(&rows[0]) {
        let shown = (found.value.kind(), found.value.as_text());
        assert_eq!(
            shown,
            (sample.value.kind(), sample.value.as_text()),
            "{}",
            sample.declared
        );
    }
}

pub(crate) async fn what_was_read_can_be_written(db: Db) {
    let (samples, row) = sampled(&db);
    let engine = db.writer();
    let shape = engine.table_schema(&db.schema(), "sampled").await.unwrap();
    let mut set = Vec::new();
    for (sample, name) in samples.iter().zip(&row.columns) {
        if sample.is_writable {
            let fitted = engine.fit(shape.column(name).unwrap(), &sample.value);
            assert_eq!(fitted.as_ref(), Ok(&sample.value), "{}", sample.declared);
            set.push(ColumnValue::new(name, sample.value.clone()));
        }
    }
    let mut transaction = begin(&db).await.transaction;
    assert_eq!(transaction.update(&row, change(&set, None)).await.unwrap(), 1);
    let mut again = row.clone();
    again.columns = set.iter().map(|new| new.column.clone()).collect();
    assert_eq!(transaction.reread(&again).await.unwrap(), [set]);
    transaction.roll_back().await;
}

pub(crate) async fn what_cannot_be_written_is_refused_by_name(db: Db) {
    let (samples, row) = sampled(&db);
    let engine = db.writer();
    let shape = engine.table_schema(&db.schema(), "sampled").await.unwrap();
    let unwritable = unwritable_columns(&engine, &db.schema(), "sampled").await;
    for (sample, name) in samples.iter().zip(&row.columns).filter(|(s, _)| !s.is_writable) {
        let refusal = engine
            .fit(shape.column(name).unwrap(), &sample.value)
            .unwrap_err();
        let code = misfit_code(&unwritable, name);
        assert_eq!(refusal.code, code, "{}", sample.declared);
        assert!(
            refusal.public.contains(&format!("`{name}`")),
            "{}",
            refusal.public
        );
    }
}

pub(crate) async fn every_value_is_a_key_to_itself(db: Db) {
    let (samples, row) = sampled(&db);
    let engine = db.reader();
    for (sample, name) in samples.iter().zip(&row.columns).filter(|(s, _)| s.is_writable) {
        let mut by_value = row.clone();
        by_value.keys = vec![ColumnValue::new(name, sample.value.clone())];
        by_value.columns = vec!["id".to_owned()];
        let rows = engine.read(&by_value).await.unwrap().rows;
        assert_eq!(rows, [vec![text("id", "k")]], "{}", sample.declared);
    }
}

pub(crate) async fn composed_and_combining_characters_differ(db: Db) {
    db.set_up(Fixture::TextKeys);
    db.execute("INSERT INTO lettered VALUES ('Zo\u{eb}', 'acme', 'composed')");
    let engine = db.reader();
    let found = async |id: &str| {
        engine
            .read(&plan(&db, "lettered", id, "acme", &["body"]))
            .await
            .unwrap()
            .rows
    };
    assert_eq!(found("Zo\u{eb}").await, [vec![text("body", "composed")]]);
    assert!(found("Zoe\u{308}").await.is_empty());
    assert!(found("Zoe").await.is_empty());
}

async fn written(db: &Db, value: Value) -> Value {
    let mut transaction = begin(db).await.transaction;
    let set = [ColumnValue::new("status", value)];
    assert_eq!(
        transaction
            .update(&invoice(db), change(&set, None))
            .await
            .unwrap(),
        1
    );
    let mut rows = transaction.reread(&invoice(db)).await.unwrap();
    transaction.roll_back().await;
    rows.remove(0).remove(0).value
}

pub(crate) async fn blanks_and_case_are_kept(db: Db) {
    db.set_up(Fixture::Invoices);
    for written_text in [
        " Open ",
        "OPEN",
        "open  ",
        "\topen\n",
        "o'pen\"",
        "\\",
        "%_",
        "\u{1F600}",
    ] {
        let value = Value::text(written_text);
        assert_eq!(written(&db, value.clone()).await, value);
    }
}

pub(crate) async fn an_empty_text_is_not_null(db: Db) {
    db.set_up(Fixture::Invoices);
    assert_eq!(written(&db, Value::text("")).await, Value::text(""));
    assert_eq!(written(&db, Value::null()).await, Value::null());
}

pub(crate) async fn a_text_at_the_limit_can_be_written(db: Db) {
    db.set_up(Fixture::Wide);
    let engine = db.writer();
    let shape = engine.table_schema(&db.schema(), "wide").await.unwrap();
    let value = Value::text("y".repeat(64 * 1024));
    assert_eq!(
        engine.fit(shape.column("b").unwrap(), &value).as_ref(),
        Ok(&value)
    );
    let row = plan(&db, "wide", "limit", "acme", &["b"]);
    let mut transaction = begin(&db).await.transaction;
    let set = [ColumnValue::new("b", value)];
    assert_eq!(transaction.update(&row, change(&set, None)).await.unwrap(), 1);
    assert_eq!(transaction.reread(&row).await.unwrap(), [set.to_vec()]);
    transaction.roll_back().await;
}
