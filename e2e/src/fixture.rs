//! Tables and contract of a new deployment, in the SQL of each engine.

use serde_json::{Value as Json, json};
use synapsor_domain::contract;
use synapsor_domain::writeback::GrantTarget;

use crate::databases::{Database, Roles};
use crate::deployment::CONTRACT;

const POSTGRES: &str = include_str!("../fixtures/postgres.sql");
const MYSQL: &str = include_str!("../fixtures/mysql.sql");
const ROWS: &str = include_str!("../fixtures/rows.sql");
const MORE: &str = include_str!("../fixtures/more.json");

/// Content that a test puts into a fresh server database.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// Contract as for SQLite; engine and schema are filled in when the database is known.
    pub contract: Json,
    pub postgres: String,
    pub mysql: String,
}

impl Fixture {
    /// Invoices of every test. No trigger increments versions here; the writer does.
    pub fn billing() -> Self {
        let mut contract = json(CONTRACT);
        for capability in capabilities(&mut contract) {
            if let Some(guard) = capability.get_mut("conflict_guard") {
                *guard = json!({ "column": "version", "advance": "increment" });
            }
        }
        Self {
            contract,
            postgres: format!("{POSTGRES}{ROWS}"),
            mysql: format!("{MYSQL}{ROWS}"),
        }
    }

    /// The invoices, tickets guarded by a timestamp of the last change, and credits without a version column.
    pub fn with_more_guards() -> Self {
        let mut this = Self::billing();
        if let Json::Array(more) = json(MORE) {
            capabilities(&mut this.contract).extend(more);
        }
        this
    }

    /// Creates the tables and the accounts.
    ///
    /// # Errors
    /// An error of the database or the product.
    pub fn fill(&self, database: &Database) -> anyhow::Result<Roles> {
        database.execute(match database.engine().in_contract() {
            contract::EngineKind::Mysql => &self.mysql,
            contract::EngineKind::Postgres | contract::EngineKind::Sqlite => &self.postgres,
        })?;
        database.prepare_writeback(self.targets(database.schema()))
    }

    /// Contract for a database.
    pub fn contract_for(&self, database: &Database) -> String {
        let mut contract = self.contract.clone();
        for source in contract["sources"]
            .as_object_mut()
            .into_iter()
            .flat_map(|sources| sources.values_mut())
        {
            source["engine"] = json!(database.engine().in_contract().as_str());
        }
        for capability in capabilities(&mut contract) {
            capability["target"]["schema"] = json!(database.schema());
        }
        contract.to_string()
    }

    /// Columns that the contract reads and writes, per table.
    fn targets(&self, schema: &str) -> Vec<GrantTarget> {
        let mut contract = self.contract.clone();
        capabilities(&mut contract)
            .iter()
            .map(|capability| {
                let target = &capability["target"];
                let guard = &capability["conflict_guard"];
                let keys = [&target["primary_key"], &target["tenant_key"], &guard["column"]];
                let moved = guard
                    .get("advance")
                    .is_some_and(|how| how != "none")
                    .then_some(&guard["column"]);
                GrantTarget {
                    schema: schema.to_owned(),
                    table: target["table"].as_str().unwrap_or_default().to_owned(),
                    reads: names(list(&capability["visible_columns"]).chain(keys)),
                    writes: names(list(&capability["allowed_columns"]).chain(moved)),
                }
            })
            .collect()
    }
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("fixture is JSON")
}

fn capabilities(contract: &mut Json) -> &mut Vec<Json> {
    contract["capabilities"]
        .as_array_mut()
        .expect("contract has capabilities")
}

fn list(node: &Json) -> impl Iterator<Item = &Json> {
    node.as_array().into_iter().flatten()
}

fn names<'a>(nodes: impl Iterator<Item = &'a Json>) -> Vec<String> {
    nodes
        .filter_map(|node| node.as_str().map(str::to_owned))
        .collect()
}
