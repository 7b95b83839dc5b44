//! Properties of names and values through a real engine: any name is quoted, and any value that fits a column
//! reads back as it was fitted.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use synapsor_domain::schema::TableSchema;
use synapsor_domain::value::{ColumnValue, Value, ValueKind};

use super::behaviors::Account;
use super::behaviors::{Db, change, plan};
use super::servers::{MARIADB, MYSQL, POSTGRES};
use super::{mysql, postgres, sqlite};

/// Number of cases per property, unless `SYNAPSOR_PROPERTY_CASES` sets another.
const CASES: u32 = 500;
/// Cases that share one transaction.
const CASES_PER_TRANSACTION: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_and_values_round_trip_on_sqlite() {
    what_fits_reads_back(sqlite::fresh()).await;
    names_are_quoted(sqlite::fresh()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_and_values_round_trip_on_postgres() {
    if POSTGRES.is_there() {
        what_fits_reads_back(postgres::fresh(&POSTGRES)).await;
        names_are_quoted(postgres::fresh(&POSTGRES)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_and_values_round_trip_on_mysql() {
    if MYSQL.is_there() {
        what_fits_reads_back(mysql::fresh(&MYSQL)).await;
        names_are_quoted(mysql::fresh(&MYSQL)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_and_values_round_trip_on_mariadb() {
    if MARIADB.is_there() {
        what_fits_reads_back(mysql::fresh(&MARIADB)).await;
        names_are_quoted(mysql::fresh(&MARIADB)).await;
    }
}

fn cases() -> u32 {
    let wanted = std::env::var("SYNAPSOR_PROPERTY_CASES").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

fn generated<S: Strategy>(strategy: &S) -> Vec<S::Value> {
    let mut runner = TestRunner::new(Config::default());
    (0..cases())
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

fn any_value() -> impl Strategy<Value = Value> {
    let number = "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{0,8}[1-9])?";
    let moment = (
        1000_u32..9999,
        1_u32..13,
        1_u32..29,
        0_u32..24,
        0_u32..60,
        0_u32..1_000_000,
    )
        .prop_map(|(year, month, day, hour, minute, micros)| {
            Value::text(format!(
                "{year}-{month:02}-{day:02} {hour:02}:{minute:02}:07.{micros:06}"
            ))
        });
    prop_oneof![
        "\\PC{0,40}".prop_map(Value::text),
        any::<String>().prop_map(Value::text),
        any::<i64>().prop_map(|n| Value::int(n.into())),
        number.prop_map(|text| Value::exact(
            if text.contains('.') {
                ValueKind::Dec
            } else {
                ValueKind::Int
            },
            text
        )),
        any::<bool>().prop_map(Value::bool),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::bytes(&bytes)),
        moment,
        Just(Value::null()),
    ]
}

/// A column of `sampled` stores exactly the value that fits it.
async fn what_fits_reads_back(db: Db) {
    let samples = db.samples();
    let columns: Vec<String> = samples
        .iter()
        .enumerate()
        .map(|(n, sample)| format!("c{n} {}", sample.declared))
        .collect();
    db.execute(&format!(
        "CREATE TABLE sampled (id VARCHAR(20) NOT NULL PRIMARY KEY, tenant VARCHAR(20), {});",
        columns.join(", ")
    ));
    db.execute("INSERT INTO sampled (id, tenant) VALUES ('k', 'acme');");
    let engine = db.writer();
    let shape = engine.table_schema(&db.schema(), "sampled").await.unwrap();
    let mut fitted = 0;
    for group in generated(&any_value()).chunks(CASES_PER_TRANSACTION) {
        fitted += written(&db, &engine, &shape, group).await;
    }
    assert!(fitted > cases() as usize / 2, "{fitted}");
}

async fn written(db: &Db, engine: &Account, shape: &TableSchema, group: &[Value]) -> usize {
    let mut transaction = engine.begin().await.unwrap().transaction;
    let mut fitted = 0;
    for value in group {
        let set: Vec<ColumnValue> = shape
            .columns
            .iter()
            .filter(|column| column.name.starts_with('c') && !column.generated)
            .filter_map(|column| Some(ColumnValue::new(&column.name, engine.fit(column, value).ok()?)))
            .collect();
        if set.is_empty() {
            continue;
        }
        fitted += 1;
        let names: Vec<&str> = set.iter().map(|new| new.column.as_str()).collect();
        let row = plan(db, "sampled", "k", "acme", &names);
        assert_eq!(transaction.update(&row, change(&set, None)).await.unwrap(), 1);
        let rows = transaction.reread(&row).await.unwrap();
        assert_eq!(rows, [set], "{:?}", value.as_text());
    }
    transaction.roll_back().await;
    fitted
}

/// Any name of a column or table refers to exactly that column of that table, or to none.
async fn names_are_quoted(db: Db) {
    db.execute(
        "CREATE TABLE plain (id VARCHAR(20) NOT NULL PRIMARY KEY, tenant VARCHAR(20), body VARCHAR(20));",
    );
    db.execute("INSERT INTO plain VALUES ('k', 'acme', 'here');");
    let engine = db.reader();
    let hostile = prop_oneof![
        "[\"`'\\[\\];.()\\\\a-c $?%-]{1,20}",
        "\\PC{1,63}",
        "(select|from|user|order|null)"
    ];
    for name in generated(&hostile).into_iter().filter(|name| !is_known(name)) {
        let column = plan(&db, "plain", "k", "acme", &[name.as_str()]);
        assert!(engine.read(&column).await.is_err(), "column {name:?}");
        let table = plan(&db, &name, "k", "acme", &["body"]);
        assert!(engine.read(&table).await.is_err(), "table {name:?}");
    }
    assert_eq!(db.text("SELECT body FROM plain"), "here");
}

fn is_known(name: &str) -> bool {
    ["id", "tenant", "body", "plain", "xmin", "rowid", "oid", "_rowid_"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}
