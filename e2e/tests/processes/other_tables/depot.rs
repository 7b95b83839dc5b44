//! A user's directory with further tables, and a contract that `init` drafts for one of them.

use anyhow::Context as _;
use serde_json::Value as Json;
use synapsor_e2e::cli::{CliFixture, CommandOutput};
use synapsor_e2e::databases::{Engine, Server};
use synapsor_e2e::fixture::Fixture;
use synapsor_e2e::target::Target;

/// A user's directory with the tables.
pub(crate) struct Depot {
    pub(crate) place: CliFixture,
    pub(crate) engine: Engine,
}

impl Depot {
    /// Creates the tables; the reader may read each that the statements name.
    pub(crate) fn open(engine: Engine, tables: impl Fn(Engine) -> String) -> anyhow::Result<Option<Self>> {
        let place = if engine == Engine::Sqlite {
            CliFixture::new()?
        } else {
            let Some(server) = Server::of(engine)? else {
                return Ok(None);
            };
            CliFixture::over(server.database()?, &Fixture::billing())?
        };
        let tables = tables(engine);
        place.target.execute(&tables)?;
        if let Target::Server { roles, .. } = &place.target {
            let created = tables.split("CREATE TABLE ").skip(1);
            for table in created.filter_map(|rest| rest.split([' ', '(']).next()) {
                place
                    .target
                    .execute(&format!("GRANT SELECT ON {table} TO {}", roles.reader))?;
            }
        }
        Ok(Some(Self { place, engine }))
    }

    /// Runs `init` for a table of which a proposal sets one column.
    pub(crate) fn init(&self, table: &str, patched: &str, more: &[&str]) -> anyhow::Result<CommandOutput> {
        let patch = format!("{patched}=arg:{patched}");
        let fixed = "init --force --from-env BILLING_READ_URL --write-url-env BILLING_WRITE_URL --tenant-env BILLING_TENANT \
                     --principal-env BILLING_PRINCIPAL --mode review --tenant-column tenant_id \
                     --conflict-column version --conflict-advance increment --table";
        let mut words: Vec<&str> = fixed.split_whitespace().collect();
        words.extend([table, "--patch", &patch]);
        words.extend(more);
        self.place.run(&words)
    }

    /// Grants the rights of the contract, as the owner does.
    pub(crate) fn grant(&self) -> anyhow::Result<()> {
        let Target::Server { roles, .. } = &self.place.target else {
            return Ok(());
        };
        let (reader, writer) = (&roles.reader, &roles.writer);
        let grants = [
            "writeback",
            "grants",
            "--read-role",
            reader,
            "--writer-role",
            writer,
        ];
        self.place.target.execute(&self.place.ok(&grants)?.stdout)
    }

    /// Drafts the contract for a table, grants its rights and checks it.
    pub(crate) fn draft(&self, table: &str, more: &[&str]) -> anyhow::Result<Json> {
        self.init(table, "status", more)?.expect(0)?;
        self.grant()?;
        self.place.ok(&["writeback", "doctor", "--check-db"])?;
        self.contract()
    }

    pub(crate) fn contract(&self) -> anyhow::Result<Json> {
        let contract = std::fs::read(self.place.path("synapsor.runner.json"))?;
        Ok(serde_json::from_slice(&contract)?)
    }

    /// Runs the doctor on a contract that it must refuse; returns what it prints.
    pub(crate) fn refused_by_doctor(&self, contract: &Json) -> anyhow::Result<String> {
        self.place.write("synapsor.runner.json", &contract.to_string())?;
        let checked = self.place.run(&["writeback", "doctor", "--check-db"])?;
        let text = checked.stdout + &checked.stderr;
        anyhow::ensure!(checked.exit == Some(1), "exit {:?}: {text}", checked.exit);
        Ok(text)
    }

    pub(crate) fn call(&self, tool: &str, arguments: &Json) -> anyhow::Result<Json> {
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

    pub(crate) fn approved(&self, tool: &str, arguments: &Json) -> anyhow::Result<String> {
        let made = self.call(tool, arguments)?;
        let id = made.pointer("/result/proposal/id").and_then(Json::as_str);
        let id = id.with_context(|| format!("no proposal: {made}"))?.to_owned();
        self.place.ok(&["proposals", "approve", &id, "--yes"])?;
        Ok(id)
    }

    /// Rows that are not as they were created.
    pub(crate) fn changed(&self, table: &str, key: &str) -> anyhow::Result<Vec<String>> {
        let sql = format!("SELECT {key}, status, version FROM {table} WHERE version <> 1 ORDER BY 1, 2, 3");
        let rows = self.place.target.query_text(&sql)?;
        let text = |row: Vec<Option<String>>| row.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Ok(rows.into_iter().map(text).collect())
    }
}

/// Name of a drafted tool: the first reads, the second proposes.
pub(crate) fn name(contract: &Json, at: usize) -> String {
    contract["capabilities"][at]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub(crate) const ENGINES: [Engine; 4] = [Engine::Sqlite, Engine::Postgres, Engine::Mysql, Engine::Mariadb];
