//! Choices of a skeleton contract, for a table that is not inspected yet.

use super::choices::InitOptions;
use super::flag_syntax::Assigned;
use crate::contract::{EngineKind, Mode};

/// Name of the table of the skeleton.
const TABLE: &str = "orders";

impl InitOptions {
    /// Returns these choices, completed by those of a skeleton contract. Every name of it is a placeholder.
    #[must_use]
    pub fn over_starter(self) -> Self {
        let engine = self.engine.as_deref().and_then(EngineKind::of_name);
        let has_tenant = !self.single_tenant_dev;
        self.over(Self {
            mode: Some(Mode::Review),
            schema: Some(schema_default(engine.unwrap_or(EngineKind::Postgres)).to_owned()),
            table: Some(TABLE.to_owned()),
            primary_key: vec!["id".to_owned()],
            tenant_column: has_tenant.then(|| "tenant_id".to_owned()),
            conflict_column: Some("updated_at".to_owned()),
            visible_columns: ["id", "status", "updated_at"].map(str::to_owned).to_vec(),
            patch: vec![("status".to_owned(), Assigned::Arg("status".to_owned()))],
            ..Self::default()
        })
    }
}

/// Schema that tables of the engine usually have; on MySQL a schema is a database.
pub(super) const fn schema_default(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Postgres => "public",
        EngineKind::Mysql => "app",
        EngineKind::Sqlite => "main",
    }
}
