//! Rows that several columns identify together, on every engine.

use anyhow::Context as _;
use serde_json::json;

use synapsor_e2e::databases::Engine;

use super::depot::{Depot, ENGINES, name};

/// Two tenants with the same order numbers, and a table in which a number is unique within its tenant only.
const TABLES: &str = "
CREATE TABLE order_lines (
  tenant_id varchar(20) NOT NULL, order_no varchar(20) NOT NULL, line_no integer NOT NULL,
  status varchar(20) NOT NULL, version integer NOT NULL, PRIMARY KEY (tenant_id, order_no, line_no));
INSERT INTO order_lines VALUES ('acme', 'O-1', 1, 'open', 1), ('acme', 'O-1', 2, 'open', 1),
  ('acme', 'O-2', 1, 'open', 1), ('globex', 'O-1', 2, 'open', 1), ('globex', 'O-9', 1, 'open', 1);
CREATE TABLE parcels (
  id integer NOT NULL, tenant_id varchar(20) NOT NULL, status varchar(20) NOT NULL, version integer NOT NULL,
  PRIMARY KEY (tenant_id, id));
INSERT INTO parcels VALUES (7, 'acme', 'open', 1), (7, 'globex', 'open', 1), (8, 'globex', 'open', 1)";

#[test]
fn row_of_a_key_of_three_columns_is_read_and_written() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine, |_| TABLES.to_owned())? else {
            continue;
        };
        let contract = depot.draft("order_lines", &[])?;
        let read = &contract["capabilities"][0];
        assert_eq!(
            read["target"]["primary_key"],
            json!(["tenant_id", "order_no", "line_no"]),
            "{engine}"
        );
        let by = json!({"order_no": "order_no", "line_no": "line_no"});
        assert_eq!(read["lookup"], json!({ "key_from_args": by }), "{engine}");

        let line = json!({"order_no": "O-1", "line_no": 2});
        let found = depot.call(&name(&contract, 0), &line)?;
        assert_eq!(found["result"]["data"]["line_no"], json!(2), "{engine}: {found}");
        let foreign = depot.call(&name(&contract, 0), &json!({"order_no": "O-9", "line_no": 1}))?;
        assert!(
            foreign.to_string().contains("NOT_FOUND_IN_TENANT"),
            "{engine}: {foreign}"
        );

        let packed = json!({"order_no": "O-1", "line_no": 2, "status": "packed"});
        let id = depot.approved(&name(&contract, 1), &packed)?;
        let shown = depot.place.ok(&["proposals", "show", &id])?.stdout;
        for part in ["tenant_id", "order_no", "line_no"] {
            assert!(shown.contains(part), "{engine}: {shown}");
        }
        let applied = depot.place.json(&["apply", &id])?;
        assert_eq!(applied["status"], json!("applied"), "{engine}: {applied}");
        let changed = depot.changed("order_lines", "tenant_id, order_no, line_no")?;
        assert_eq!(changed, ["acme O-1 2 packed 2"], "{engine}");
        proven(&depot, &id)?;
    }
    Ok(())
}

/// Records of the change name the row, and verify outside of the ledger.
fn proven(depot: &Depot, id: &str) -> anyhow::Result<()> {
    let (place, engine) = (&depot.place, depot.engine);
    let listed = place.ok(&["evidence", "list"])?.stdout;
    assert!(listed.contains("order_lines O-1/2"), "{engine}: {listed}");
    let replay = place.ok(&["replay", "show", id])?.stdout;
    assert!(replay.contains("line_no"), "{engine}: {replay}");
    place.ok(&["ledger", "prove", id, "--output", "proof.json"])?;
    let genuine = place.json(&["bundle", "verify", "proof.json"])?;
    assert_eq!(genuine["verified"], json!(true), "{engine}: {genuine}");
    let again = place.json(&["apply", id])?;
    assert_eq!(again["status"], json!("already_applied"), "{engine}: {again}");
    Ok(())
}

#[test]
fn id_within_a_tenant_is_extended_by_the_tenant() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine, |_| TABLES.to_owned())? else {
            continue;
        };
        let contract = depot.draft("parcels", &["--primary-key", "id"])?;
        let read = &contract["capabilities"][0];
        assert_eq!(
            read["target"]["primary_key"],
            json!(["tenant_id", "id"]),
            "{engine}"
        );
        assert_eq!(read["lookup"], json!({"id_from_arg": "parcel_id"}), "{engine}");

        let id = depot.approved(&name(&contract, 1), &json!({"parcel_id": 7, "status": "sent"}))?;
        depot.place.ok(&["apply", &id])?;
        assert_eq!(
            depot.changed("parcels", "tenant_id, id")?,
            ["acme 7 sent 2"],
            "{engine}"
        );
        let foreign = depot.call(&name(&contract, 0), &json!({"parcel_id": 8}))?;
        assert!(
            foreign.to_string().contains("NOT_FOUND_IN_TENANT"),
            "{engine}: {foreign}"
        );
    }
    Ok(())
}

#[test]
fn row_that_changed_is_a_conflict() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine, |_| TABLES.to_owned())? else {
            continue;
        };
        let contract = depot.draft("order_lines", &[])?;
        let line = json!({"order_no": "O-1", "line_no": 1, "status": "packed"});
        let id = depot.approved(&name(&contract, 1), &line)?;
        let change = "UPDATE order_lines SET status = 'held', version = 5 \
                      WHERE tenant_id = 'acme' AND order_no = 'O-1' AND line_no = 1";
        depot.place.target.execute(change)?;
        depot.place.run(&["apply", &id])?.expect(3)?;
        let changed = depot.changed("order_lines", "tenant_id, order_no, line_no")?;
        assert_eq!(changed, ["acme O-1 1 held 5"], "{engine}");
    }
    Ok(())
}

#[test]
fn key_that_is_not_unique_is_refused_by_name() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine, |_| TABLES.to_owned())? else {
            continue;
        };
        let mut contract = depot.draft("order_lines", &[])?;
        for capability in contract["capabilities"].as_array_mut().context("capabilities")? {
            capability["target"]["primary_key"] = json!(["tenant_id", "order_no"]);
            capability["lookup"] = json!({"id_from_arg": "order_no"});
            capability["args"]["line_no"]["required"] = json!(false);
        }
        let text = depot.refused_by_doctor(&contract)?;
        assert!(
            text.contains("INDEX_MISSING") && text.contains("not unique together"),
            "{engine}: {text}"
        );
        // The only line of this order: found, and refused all the same.
        let refused = depot.call(&name(&contract, 1), &json!({"order_no": "O-2", "status": "x"}))?;
        assert!(
            refused.pointer("/result/proposal/id").is_none(),
            "{engine}: {refused}"
        );
        assert!(
            refused.to_string().contains("not unique together"),
            "{engine}: {refused}"
        );
    }
    Ok(())
}

/// Unique indexes under which two rows can have the same id, by server.
const UNIQUE_IN_PART: [(Engine, &str); 7] = [
    (Engine::Sqlite, "(id) WHERE status = 'open'"),
    (Engine::Sqlite, "(lower(id))"),
    (Engine::Postgres, "(id) WHERE status = 'open'"),
    (Engine::Postgres, "(lower(id))"),
    (Engine::Mysql, "(id(10))"),
    (Engine::Mysql, "((lower(id)))"),
    (Engine::Mariadb, "(id(10))"),
];

#[test]
fn index_over_a_part_of_the_rows_or_values_is_not_a_key() -> anyhow::Result<()> {
    const LOTS: &str = "CREATE TABLE lots (id varchar(20) NOT NULL, tenant_id varchar(20) NOT NULL, \
         status varchar(20) NOT NULL, version integer NOT NULL); \
         INSERT INTO lots VALUES ('L-1', 'acme', 'open', 1)";
    for (engine, parts) in UNIQUE_IN_PART {
        let Some(depot) = Depot::open(engine, |_| LOTS.to_owned())? else {
            continue;
        };
        let target = &depot.place.target;
        target.execute("CREATE UNIQUE INDEX whole ON lots (id)")?;
        let contract = depot.draft("lots", &["--primary-key", "id"])?;
        let dropped = match engine {
            Engine::Mysql | Engine::Mariadb => "DROP INDEX whole ON lots",
            Engine::Sqlite | Engine::Postgres => "DROP INDEX whole",
        };
        target.execute(dropped)?;
        target.execute(&format!("CREATE UNIQUE INDEX in_part ON lots {parts}"))?;
        let text = depot.refused_by_doctor(&contract)?;
        assert!(
            text.contains("INDEX_MISSING") && text.contains("`id` is not unique"),
            "{engine} {parts}: {text}"
        );
        let refused = depot.call(&name(&contract, 1), &json!({"lot_id": "L-1", "status": "sold"}))?;
        assert!(
            refused.pointer("/result/proposal/id").is_none(),
            "{engine} {parts}: {refused}"
        );
        assert!(
            refused.to_string().contains("`id` is not unique"),
            "{engine} {parts}: {refused}"
        );
        // With the column named or chosen.
        for more in [&["--primary-key", "id"][..], &[]] {
            let drafted = depot.init("lots", "status", more)?;
            drafted
                .expect_failure(1, "INDEX_MISSING", &["`id`", "the start of a column"])
                .with_context(|| format!("{engine} {parts}"))?;
        }
    }
    Ok(())
}
