//! `inspect`: schema catalog in the published form, and failures that never show a URL.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use synapsor_chassis::identity::Role;
use synapsor_domain::contract;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, EngineVersion};
use synapsor_e2e::deployment::Deployment;
use synapsor_e2e::stack::Stack;

use super::shop;

const CANARY: &str = "hunter2canary";

fn names(list: &Json) -> Vec<&str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect()
}

/// Tables whose schema catalog is easily misread.
fn tricky(engine: Engine) -> &'static str {
    match engine.in_contract() {
        contract::EngineKind::Postgres => {
            "CREATE TABLE shop.parcels (
               depot integer NOT NULL, number integer NOT NULL, made_at timestamptz NOT NULL DEFAULT now(),
               weight_g integer NOT NULL, weight_kg numeric GENERATED ALWAYS AS (weight_g / 1000.0) STORED,
               user_ssn text, photo bytea, \"odd \x1b[2Jname\" text, PRIMARY KEY (depot, number));
             CREATE TABLE shop.scans (id bigint PRIMARY KEY, depot integer, number integer,
               FOREIGN KEY (depot, number) REFERENCES shop.parcels (depot, number));
             GRANT SELECT ON shop.parcels, shop.scans TO orders_reader"
        }
        contract::EngineKind::Mysql => {
            "CREATE TABLE parcels (
               depot INT NOT NULL, number INT NOT NULL, made_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
               weight_g INT NOT NULL, weight_kg DECIMAL(10,3) GENERATED ALWAYS AS (weight_g / 1000) STORED,
               user_ssn TEXT, photo BLOB, `odd \x1b[2Jname` TEXT, PRIMARY KEY (depot, number)) ENGINE=InnoDB;
             CREATE TABLE scans (id BIGINT PRIMARY KEY, depot INT, number INT,
               FOREIGN KEY (depot, number) REFERENCES parcels (depot, number)) ENGINE=InnoDB;
             GRANT SELECT ON parcels TO orders_reader; GRANT SELECT ON scans TO orders_reader"
        }
        contract::EngineKind::Sqlite => {
            "CREATE TABLE parcels (
               depot INTEGER NOT NULL, number INTEGER NOT NULL, made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
               weight_g INTEGER NOT NULL, weight_kg NUMERIC GENERATED ALWAYS AS (weight_g / 1000.0) STORED,
               user_ssn TEXT, photo BLOB, \"odd \x1b[2Jname\" TEXT, PRIMARY KEY (depot, number));
             CREATE TABLE scans (id INTEGER PRIMARY KEY, depot INTEGER, number INTEGER,
               FOREIGN KEY (depot, number) REFERENCES parcels (depot, number))"
        }
    }
}

#[test]
fn inspect_shows_the_schema_catalog() -> anyhow::Result<()> {
    for version in shop::versions() {
        let Some(shop) = shop::open(version)? else {
            continue;
        };
        let sql = tricky(version.engine);
        let sql = shop
            .database
            .as_ref()
            .map_or(sql.to_owned(), |d| shop::renamed(sql, d));
        shop.execute(&sql)?;
        let arguments = [
            "inspect",
            "--from-env",
            "ORDERS_READ_URL",
            "--schema",
            shop.schema(),
        ];
        let found = shop.place.json(&arguments)?;
        for key in [
            "engine",
            "product",
            "server_version",
            "current_user",
            "inspected_at",
            "schemas",
            "warnings",
        ] {
            assert!(!found[key].is_null(), "{version}: no {key}");
        }
        let table = |name: &str| {
            let mut tables = found["tables"].as_array().into_iter().flatten();
            tables
                .find(|table| table["name"] == name)
                .with_context(|| format!("{version}: no {name} in {found}"))
        };
        let parcels = table("parcels")?;
        assert_eq!(names(&parcels["primary_key"]), ["depot", "number"], "{version}");
        assert_eq!(parcels["type"], "table");
        let column = |name: &str| {
            let mut columns = parcels["columns"].as_array().into_iter().flatten();
            columns
                .find(|column| column["name"] == name)
                .with_context(|| format!("{version}: no {name}"))
        };
        assert_eq!(
            column("made_at")?["generated"],
            json!(false),
            "{version}: a default is not generated"
        );
        assert!(column("made_at")?["default"].is_string(), "{version}");
        assert_eq!(column("weight_kg")?["generated"], json!(true), "{version}");
        assert_eq!(
            column("user_ssn")?["suggestions"]["sensitive"],
            json!(true),
            "{version}"
        );
        assert_eq!(
            column("photo")?["suggestions"]["large_or_binary"],
            json!(true),
            "{version}"
        );
        let visible = names(&parcels["suggestions"]["default_visible_columns"]).join(" ");
        assert_eq!(visible, "depot number made_at weight_g weight_kg", "{version}");
        let keys = table("scans")?["foreign_keys"].clone();
        assert_eq!(keys.as_array().map(Vec::len), Some(1), "{version}: {keys}");
        assert_eq!(names(&keys[0]["columns"]), ["depot", "number"], "{version}");
        assert_eq!(
            names(&keys[0]["referenced_columns"]),
            ["depot", "number"],
            "{version}"
        );
        if version != EngineVersion::SQLITE {
            assert_eq!(
                parcels["writable"],
                json!(false),
                "{version}: the role may only read"
            );
        }
        let shown = shop.place.ok(&arguments)?.stdout;
        assert!(
            shown.contains("parcels") && !shown.contains('\u{1b}'),
            "{version}: {shown}"
        );
    }
    Ok(())
}

#[test]
fn names_that_no_contract_can_hold_are_marked() -> anyhow::Result<()> {
    let shop = shop::open(Engine::Sqlite)?.context("SQLite is always available")?;
    let sql = "DROP TABLE orders;
         CREATE TABLE bestände (id TEXT PRIMARY KEY, tenant_id TEXT);
         CREATE TABLE parcels (id TEXT PRIMARY KEY, tenant_id TEXT, größe TEXT)";
    shop.execute(sql)?;
    let shown = shop
        .place
        .ok(&["inspect", "--from-env", "ORDERS_READ_URL"])?
        .stdout;
    for name in ["(bestände)", "(größe)"] {
        assert!(
            shown
                .lines()
                .any(|line| line.contains("unusable  ") && line.contains(name)),
            "{shown}"
        );
    }
    assert!(shown.contains("--table main.parcels "), "{shown}");
    Ok(())
}

#[test]
fn failing_url_is_never_printed() -> anyhow::Result<()> {
    let mut place = CliFixture::empty()?;
    place
        .run(&["inspect"])?
        .expect_failure(2, "SECRET_MISSING", &["SYNAPSOR_DATABASE_READ_URL"])?;
    place.set("DB", "x");
    let wrong = [
        (CANARY.to_owned(), 2, "SOURCE_URL_INVALID"),
        (format!("oracle://u:{CANARY}@h/d"), 2, "SOURCE_URL_INVALID"),
        (
            format!("postgres://u:{CANARY}@127.0.0.1:1/d"),
            6,
            "SOURCE_UNAVAILABLE",
        ),
        (
            format!("mysql://u:{CANARY}@127.0.0.1:1/d"),
            6,
            "SOURCE_UNAVAILABLE",
        ),
        (format!("sqlite:///{CANARY}/no.db"), 2, "SOURCE_FILE_MISSING"),
    ];
    for (url, exit, code) in wrong {
        place.set("DB", &url);
        let ran = place.run(&["inspect", "--from-env", "DB"])?;
        ran.expect_failure(exit, code, &["DB"])?;
        assert!(!ran.to_string().contains(CANARY), "{ran}");
    }
    for inline in [vec![], vec!["--from"]] {
        let url = format!("postgres://u:{CANARY}@127.0.0.1/d");
        let ran = place.run(&[&["inspect"], &inline[..], &[url.as_str()]].concat())?;
        ran.expect(2)?;
        assert!(ran.stderr.contains("error[INLINE_URL_REFUSED]"), "{ran}");
        assert!(!ran.stderr.contains(CANARY), "{ran}");
    }
    let as_name = format!("postgres://u:{CANARY}@127.0.0.1/d");
    let ran = place.run(&["inspect", "--from-env", &as_name])?;
    ran.expect(2)?;
    assert!(
        ran.stderr.contains("ENV_NAME_INVALID") && !ran.stderr.contains(CANARY),
        "{ran}"
    );
    Ok(())
}

#[test]
fn wrong_password_and_unknown_schema_are_explained() -> anyhow::Result<()> {
    for version in EngineVersion::servers_of_every_run() {
        let Some(mut shop) = shop::open(version)? else {
            continue;
        };
        let database = shop.database.as_ref().expect("a server's database");
        let good = shop::url(database, &shop::renamed("orders_reader", database));
        shop.place.set("DB", &good);
        shop.place
            .run(&["inspect", "--from-env", "DB", "--schema", "no_such"])?
            .expect_failure(1, "SOURCE_OBJECT_NOT_FOUND", &["DB"])?;
        // A server that trusts this machine accepts every password; every server rejects a missing account.
        let bad = good.replacen(&shop::renamed("orders_reader", database), CANARY, 1);
        shop.place.set("DB", &bad);
        let ran = shop.place.run(&["inspect", "--from-env", "DB"])?;
        ran.expect_failure(1, "SOURCE_DENIED", &["DB"])?;
        assert!(!ran.to_string().contains("not-a-secret"), "{ran}");
    }
    Ok(())
}

#[test]
fn interrupt_ends_the_wait_for_a_silent_server() -> anyhow::Result<()> {
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let mut place = CliFixture::empty()?;
    place.set(
        "DB",
        &format!("postgres://u:{CANARY}@{}/d?sslmode=disable", silent.local_addr()?),
    );
    let running = place.start(&["inspect", "--from-env", "DB"])?;
    // The child has connected: the command waits for it.
    let (connection, _) = silent.accept()?;
    running.signal(Signal::INT)?;
    let ran = running.end(Duration::from_secs(5))?;
    drop(connection);
    ran.expect(1)?;
    assert!(
        ran.stderr.contains("error[INTERRUPTED]") && !ran.to_string().contains(CANARY),
        "{ran}"
    );
    place.wait_until_alone(Duration::from_secs(5))
}

#[test]
fn running_services_inspect_without_a_url() -> anyhow::Result<()> {
    let stack = Stack::start(Deployment::new(Build::Plain)?)?;
    let place = CliFixture::empty()?;
    let leaf = stack.deployment.leaf(Role::Operator, Some("alice"))?;
    let path = |path: &std::path::Path| path.display().to_string();
    let (ca, cert, key) = (path(&leaf.ca), path(&leaf.cert), path(&leaf.key));
    let identity = ["--ca", &ca, "--cert", &cert, "--key", &key];
    let reader = ["--reader", stack.reader.address.as_str()];
    let found = place.json(&[&["inspect"], &reader[..], &identity].concat())?;
    let tables: Vec<&str> = found["tables"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|table| table["name"].as_str())
        .collect();
    assert!(tables.contains(&"invoices"), "{tables:?}");
    let unknown = [&["inspect", "--source", "elsewhere"], &reader[..], &identity].concat();
    place.run(&unknown)?.expect(1)?;

    let contract = path(&stack.deployment.contract());
    let writer = [
        "--writer",
        stack.writer.as_ref().context("a writer")?.address.as_str(),
    ];
    let doctor = ["writeback", "doctor", "--check-db", "--config", &contract];
    let checked = place.json(&[&doctor[..], &reader, &writer, &identity].concat())?;
    assert_eq!(checked["ok"], json!(true), "{checked}");
    for role in [0, 1] {
        let source = &checked["roles"][role]["sources"][0];
        assert!(
            source["product"]
                .as_str()
                .is_some_and(|p| p.starts_with("SQLite")),
            "{checked}"
        );
        assert_eq!(checked["roles"][role]["variables"], json!([]), "{checked}");
    }
    let target = &stack.deployment.target;
    target.execute("ALTER TABLE invoices RENAME COLUMN waiver_reason TO reason")?;
    let ran = place.run(&[&doctor[..], &["--json"], &reader, &identity].concat())?;
    ran.expect(1)?;
    let finding = &ran.object()?["roles"][0]["sources"][0]["findings"][0];
    assert_eq!(finding["code"], json!("COLUMN_MISSING"), "{ran}");
    Ok(())
}
