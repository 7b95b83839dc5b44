//! Columns of bytes as keys, and columns whose types cannot be read or written: named before an agent meets them.

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_e2e::databases::Engine;

use super::depot::{Depot, ENGINES, name};

const UUID: &str = "01234567-89AB-cdef-0123-456789abcdef";
const HEX: &str = "0123456789abcdef0123456789abcdef";

/// A table with a binary key.
fn lots(engine: Engine) -> String {
    let (kind, literal) = match engine {
        Engine::Sqlite => ("BLOB", format!("x'{HEX}'")),
        Engine::Postgres => ("bytea", format!("'\\x{HEX}'")),
        Engine::Mysql | Engine::Mariadb => ("BINARY(16)", format!("x'{HEX}'")),
    };
    format!(
        "CREATE TABLE lots (id {kind} NOT NULL PRIMARY KEY, tenant_id varchar(20) NOT NULL, \
         status varchar(20) NOT NULL, version integer NOT NULL); \
         INSERT INTO lots VALUES ({literal}, 'acme', 'open', 1)"
    )
}

#[test]
fn binary_key_is_found_by_hex_and_by_uuid() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine, lots)? else {
            continue;
        };
        let contract = depot.draft("lots", &[])?;
        for key in [HEX, UUID, &HEX.to_uppercase()] {
            let found = depot.call(&name(&contract, 0), &json!({"lot_id": key}))?;
            assert_eq!(found["result"]["data"]["id"], json!(HEX), "{engine}: {found}");
        }
        for other in ["0123", "not hex", &HEX.replace('f', "0")] {
            let found = depot.call(&name(&contract, 0), &json!({"lot_id": other}))?;
            assert!(
                found.to_string().contains("NOT_FOUND_IN_TENANT"),
                "{engine}: {found}"
            );
        }
        let id = depot.approved(&name(&contract, 1), &json!({"lot_id": UUID, "status": "sold"}))?;
        let applied = depot.place.json(&["apply", &id])?;
        assert_eq!(applied["status"], json!("applied"), "{engine}: {applied}");
        let rows = depot.place.target.query_text("SELECT status FROM lots")?;
        assert_eq!(rows, [[Some("sold".to_owned())]], "{engine}");
    }
    Ok(())
}

/// A column whose type the driver cannot read exactly, by server.
const UNREADABLE: [(Engine, &str); 3] = [
    (Engine::Mariadb, "addr inet6"),
    (Engine::Mysql, "addr point"),
    (Engine::Mysql, "addr vector(3)"),
];

#[test]
fn unreadable_column_is_named_everywhere() -> anyhow::Result<()> {
    for (engine, column) in UNREADABLE {
        let table = format!(
            "CREATE TABLE hosts (id varchar(20) PRIMARY KEY, tenant_id varchar(20) NOT NULL, {column}, \
             status varchar(20) NOT NULL, version integer NOT NULL); \
             INSERT INTO hosts (id, tenant_id, status, version) VALUES ('H', 'acme', 'open', 1)"
        );
        let Some(depot) = Depot::open(engine, |_| table.clone())? else {
            continue;
        };
        let drafted = depot.init("hosts", "status", &[])?;
        drafted.expect(0)?;
        assert!(
            drafted.stderr.contains("`addr`"),
            "{engine} {column}: {}",
            drafted.stderr
        );
        depot.grant()?;
        let mut contract = depot.contract()?;
        for capability in contract["capabilities"].as_array_mut().context("capabilities")? {
            let visible = capability["visible_columns"].as_array_mut().context("columns")?;
            assert!(!visible.contains(&json!("addr")), "{engine} {column}");
            visible.push(json!("addr"));
        }
        let text = depot.refused_by_doctor(&contract)?;
        assert!(
            text.contains("VALUE_UNREADABLE") && text.contains("`addr`"),
            "{engine} {column}: {text}"
        );
        // No statement of the writer's check names the column either.
        assert!(!text.contains("PREFLIGHT_FAILED"), "{engine} {column}: {text}");
        let read = depot.call(&name(&contract, 0), &json!({"host_id": "H"}))?;
        assert_eq!(
            read["result"]["error"]["code"],
            json!("VALUE_UNREADABLE"),
            "{engine} {column}: {read}"
        );
        let message = read["result"]["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("`addr`"), "{engine} {column}: {message}");
    }
    Ok(())
}

/// Columns whose types store no value unchanged, by server.
const UNWRITABLE: [(Engine, &str); 5] = [
    (Engine::Mysql, "body json"),
    (Engine::Mysql, "body float(7,2)"),
    (Engine::Postgres, "body integer[]"),
    (Engine::Postgres, "body interval"),
    (Engine::Postgres, "body tsvector"),
];

#[test]
fn column_that_takes_no_value_is_refused_before_a_proposal() -> anyhow::Result<()> {
    for (engine, column) in UNWRITABLE {
        let table = format!(
            "CREATE TABLE docs (id varchar(20) PRIMARY KEY, tenant_id varchar(20) NOT NULL, {column}, \
             status varchar(20) NOT NULL, version integer NOT NULL); \
             INSERT INTO docs (id, tenant_id, status, version) VALUES ('D', 'acme', 'open', 1)"
        );
        let Some(depot) = Depot::open(engine, |_| table.clone())? else {
            continue;
        };
        let refused = depot.init("docs", "body", &[])?;
        assert_eq!(refused.exit, Some(2), "{engine} {column}: {refused:?}");
        let text = &refused.stderr;
        assert!(
            text.contains("COLUMN_NOT_WRITABLE") && text.contains("`body`"),
            "{engine} {column}: {text}"
        );

        depot.init("docs", "status", &[])?.expect(0)?;
        depot.grant()?;
        let mut contract = depot.contract()?;
        let proposal = &mut contract["capabilities"][1];
        proposal["patch"] = json!({"body": {"from_arg": "status", "when_absent": "keep"}});
        proposal["allowed_columns"] = json!(["body"]);
        let text = depot.refused_by_doctor(&contract)?;
        assert!(
            text.contains("COLUMN_NOT_WRITABLE") && text.contains("`body`"),
            "{engine} {column}: {text}"
        );
        let made = depot.call(&name(&contract, 1), &json!({"doc_id": "D", "status": "x"}))?;
        let message = made["result"]["error"]["message"].as_str().unwrap_or_default();
        assert!(
            message.contains("`body`") && message.contains("operator"),
            "{engine} {column}: {made}"
        );
        assert_eq!(
            made["result"]["error"]["code"],
            json!("COLUMN_NOT_WRITABLE"),
            "{engine} {column}: {made}"
        );
        assert_eq!(made["result"]["proposal"], Json::Null, "{engine} {column}");
    }
    Ok(())
}

/// Columns of the table that the writer changes, and of each that it never changes.
const COLUMNS: &str = "(id varchar(20) PRIMARY KEY, tenant_id varchar(20) NOT NULL, status varchar(20) NOT NULL, \
    version integer NOT NULL)";

/// Tables of PostgreSQL that the writer never changes, with the word that names why. `COLUMNS` is replaced.
const NEVER_WRITTEN: [(&str, &str); 7] = [
    ("CREATE TABLE lots COLUMNS PARTITION BY HASH (id)", "partitioned"),
    ("CREATE TABLE lots COLUMNS PARTITION BY LIST (id)", "partitioned"),
    ("CREATE TABLE lots COLUMNS PARTITION BY RANGE (id)", "partitioned"),
    (
        "CREATE TABLE whole COLUMNS PARTITION BY LIST (id); CREATE TABLE lots PARTITION OF whole DEFAULT",
        "partition",
    ),
    (
        "CREATE TABLE base (tenant_id varchar(20)); CREATE TABLE lots COLUMNS INHERITS (base)",
        "inherits",
    ),
    (
        "CREATE TABLE lots COLUMNS; CREATE TABLE child () INHERITS (lots)",
        "inherited",
    ),
    (
        "CREATE TABLE lots COLUMNS; ALTER TABLE lots SET UNLOGGED",
        "unlogged",
    ),
];

#[test]
fn table_that_is_never_written_is_refused_by_name() -> anyhow::Result<()> {
    for (table, word) in NEVER_WRITTEN {
        let plain = format!("CREATE TABLE lots {COLUMNS}");
        let Some(depot) = Depot::open(Engine::Postgres, |_| plain.clone())? else {
            continue;
        };
        let contract = depot.draft("lots", &[])?;
        let target = &depot.place.target;
        target.execute(&format!("DROP TABLE lots; {}", table.replace("COLUMNS", COLUMNS)))?;
        depot.grant()?;
        let refused = depot.init("lots", "status", &[])?;
        assert_eq!(refused.exit, Some(2), "{word}: {refused:?}");
        let text = &refused.stderr;
        assert!(
            text.contains("TABLE_NOT_WRITABLE") && text.contains(word),
            "{word}: {text}"
        );
        let text = depot.refused_by_doctor(&contract)?;
        assert!(
            text.contains("TABLE_UNFIT") && text.contains(&format!("({word})")),
            "{word}: {text}"
        );
    }
    Ok(())
}
