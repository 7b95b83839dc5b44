//! Rows that several columns identify together: drafted by `init`, read, proposed, approved and written, on every engine.

use anyhow::Context as _;
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::databases::{Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

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

/// A user's directory with the tables.
struct Depot {
    place: CliFixture,
    engine: Engine,
}

impl Depot {
    fn open(engine: Engine) -> anyhow::Result<Option<Self>> {
        let place = if engine == Engine::Sqlite {
            CliFixture::new()?
        } else {
            let Some(server) = Server::of(engine)? else {
                return Ok(None);
            };
            CliFixture::over(server.database()?, &Fixture::billing())?
        };
        place.target.execute(TABLES)?;
        if let Target::Server { roles, .. } = &place.target {
            for table in ["order_lines", "parcels"] {
                place
                    .target
                    .execute(&format!("GRANT SELECT ON {table} TO {}", roles.reader))?;
            }
        }
        Ok(Some(Self { place, engine }))
    }

    /// Drafts the contract for a table, grants its rights and checks it.
    fn draft(&self, table: &str, more: &[&str]) -> anyhow::Result<Json> {
        let fixed = [
            "init",
            "--force",
            "--from-env",
            "BILLING_READ_URL",
            "--write-url-env",
            "BILLING_WRITE_URL",
            "--tenant-env",
            "BILLING_TENANT",
            "--principal-env",
            "BILLING_PRINCIPAL",
            "--mode",
            "review",
            "--tenant-column",
            "tenant_id",
            "--patch",
            "status=arg:status",
            "--conflict-column",
            "version",
            "--conflict-advance",
            "increment",
            "--table",
            table,
        ];
        self.place.ok(&[&fixed, more].concat())?;
        if let Target::Server { roles, .. } = &self.place.target {
            let grants = [
                "writeback",
                "grants",
                "--read-role",
                &roles.reader,
                "--writer-role",
                &roles.writer,
            ];
            self.place.target.execute(&self.place.ok(&grants)?.stdout)?;
        }
        self.place.ok(&["writeback", "doctor", "--check-db"])?;
        let contract = std::fs::read(self.place.path("synapsor.runner.json"))?;
        Ok(serde_json::from_slice(&contract)?)
    }

    fn call(&self, tool: &str, arguments: &Json) -> anyhow::Result<Json> {
        self.place.write("call.json", &arguments.to_string())?;
        let verb = if tool.contains(".propose_") {
            &["propose"][..]
        } else {
            &["smoke", "call"]
        };
        let ran = self
            .place
            .run(&[verb, &[tool, "--input", "call.json", "--json"]].concat())?;
        ran.object()
    }

    fn approved(&self, tool: &str, arguments: &Json) -> anyhow::Result<String> {
        let made = self.call(tool, arguments)?;
        let id = made.pointer("/result/proposal/id").and_then(Json::as_str);
        let id = id.with_context(|| format!("no proposal: {made}"))?.to_owned();
        self.place.ok(&["proposals", "approve", &id, "--yes"])?;
        Ok(id)
    }

    /// Rows that are not as they were created.
    fn changed(&self, table: &str, key: &str) -> anyhow::Result<Vec<String>> {
        let sql = format!("SELECT {key}, status, version FROM {table} WHERE version <> 1 ORDER BY 1, 2, 3");
        let rows = self.place.target.query_text(&sql)?;
        let text = |row: Vec<Option<String>>| row.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Ok(rows.into_iter().map(text).collect())
    }
}

/// Name of a drafted tool: the first reads, the second proposes.
fn name(contract: &Json, at: usize) -> String {
    contract["capabilities"][at]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

const ENGINES: [Engine; 4] = [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb];

#[test]
fn row_of_a_key_of_three_columns_is_read_and_written() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine)? else {
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
    assert_eq!(genuine["genuine"], json!(true), "{engine}: {genuine}");
    let again = place.json(&["apply", id])?;
    assert_eq!(again["status"], json!("already_applied"), "{engine}: {again}");
    Ok(())
}

#[test]
fn id_within_a_tenant_is_extended_by_the_tenant() -> anyhow::Result<()> {
    for engine in ENGINES {
        let Some(depot) = Depot::open(engine)? else {
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
        let Some(depot) = Depot::open(engine)? else {
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
        let Some(depot) = Depot::open(engine)? else {
            continue;
        };
        let mut contract = depot.draft("order_lines", &[])?;
        for capability in contract["capabilities"].as_array_mut().context("capabilities")? {
            capability["target"]["primary_key"] = json!(["tenant_id", "order_no"]);
            capability["lookup"] = json!({"id_from_arg": "order_no"});
            capability["args"]["line_no"]["required"] = json!(false);
        }
        depot.place.write("synapsor.runner.json", &contract.to_string())?;
        let checked = depot.place.run(&["writeback", "doctor", "--check-db"])?;
        let text = checked.stdout + &checked.stderr;
        assert_ne!(checked.exit, Some(0), "{engine}: {text}");
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
