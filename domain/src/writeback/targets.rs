//! Tables and columns that the capabilities of a source use, for granting rights and for checks of the write
//! path.

use super::migration::GrantTarget;
use crate::contract::{Capability, Contract, ExecutorRef, Mode};

/// One table of one source, with everything that its capabilities need from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRequirements {
    pub schema: String,
    pub table: String,
    /// Columns that together identify a row.
    pub keys: Vec<String>,
    pub tenant: Option<String>,
    /// Every column that a capability reads, keys and guard included, without duplicates.
    pub reads: Vec<String>,
    /// Every column that a direct writeback sets; may be empty.
    pub writes: Vec<String>,
}

/// Returns the tables of a source in the order in which the contract first names them. Capabilities with the
/// same table, key and tenant are merged.
pub fn table_targets(contract: &Contract, source: &str) -> Vec<TableRequirements> {
    let mut targets: Vec<TableRequirements> = Vec::new();
    for capability in contract.capabilities().iter().filter(|c| c.source == source) {
        let of = &capability.target;
        let at = targets.iter().position(|t| {
            t.schema == of.schema
                && t.table == of.table
                && t.keys.iter().eq(of.key_columns())
                && t.tenant == of.tenant_key
        });
        let at = at.unwrap_or_else(|| {
            targets.push(TableRequirements {
                schema: of.schema.clone(),
                table: of.table.clone(),
                keys: of.key_columns().map(str::to_owned).collect(),
                tenant: of.tenant_key.clone(),
                reads: Vec::new(),
                writes: Vec::new(),
            });
            targets.len() - 1
        });
        let target = &mut targets[at];
        add(&mut target.reads, capability.read_columns());
        if contract.mode() == Mode::Review {
            add(&mut target.writes, written(capability));
        }
    }
    targets
}

/// Returns the columns that a direct writeback of the capability sets.
fn written(capability: &Capability) -> Vec<&str> {
    let Some(spec) = capability
        .proposal()
        .filter(|spec| spec.executor == ExecutorRef::Direct)
    else {
        return Vec::new();
    };
    let guard = &spec.conflict_guard;
    let moved = guard.column().filter(|_| !guard.advance().is_none());
    let patched = spec.patch.iter().map(|(column, _)| column.as_str());
    patched.chain(moved).collect()
}

fn add(columns: &mut Vec<String>, more: Vec<&str>) {
    for column in more {
        if !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
}

impl From<TableRequirements> for GrantTarget {
    fn from(target: TableRequirements) -> Self {
        Self {
            schema: target.schema,
            table: target.table,
            reads: target.reads,
            writes: target.writes,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn capability(name: &str, table: &str, more: Json) -> Json {
        let mut capability = json!({
            "name": name, "kind": "read", "source": "app",
            "target": { "schema": "s", "table": table, "primary_key": "id", "tenant_key": "tenant_id" },
            "args": { "key": { "type": "string" } },
            "lookup": { "id_from_arg": "key" },
            "visible_columns": ["id", "status"]
        });
        for (key, value) in more.as_object().unwrap() {
            capability[key] = value.clone();
        }
        capability
    }

    fn targets(mode: &str) -> Vec<TableRequirements> {
        let proposal = json!({
            "kind": "proposal", "visible_columns": ["id", "note"],
            "patch": { "status": { "fixed": "closed" } }, "allowed_columns": ["status"],
            "conflict_guard": { "column": "version", "advance": "increment" }
        });
        let contract = json!({
            "version": 1, "mode": mode, "result_format": 2,
            "sources": { "app": { "engine": "postgres", "read_url_env": "R", "write_url_env": "W" } },
            "trusted_context": { "provider": "environment" },
            "capabilities": [
                capability("a.read", "orders", json!({})),
                capability("a.close", "orders", proposal),
                capability("a.other", "parcels", json!({}))
            ]
        });
        let checked = Contract::parse(contract.to_string().as_bytes()).unwrap();
        assert!(table_targets(&checked.contract, "elsewhere").is_empty());
        table_targets(&checked.contract, "app")
    }

    #[test]
    fn capabilities_of_one_table_are_merged() {
        let found = targets("review");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].reads, ["id", "status", "tenant_id", "note", "version"]);
        assert_eq!(found[0].writes, ["status", "version"]);
        assert_eq!((found[1].table.as_str(), found[1].writes.len()), ("parcels", 0));
    }

    #[test]
    fn targets_outside_review_mode_have_no_writes() {
        assert!(targets("shadow").iter().all(|target| target.writes.is_empty()));
    }
}
