//! Which tables the capabilities of a source are about, and with which columns: what roles are given, and what a
//! check of the write path tries.

use super::migration::GrantTarget;
use crate::contract::{Capability, Contract, ExecutorRef, Mode};

/// One table of one source, with everything that its capabilities need of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableTarget {
    pub schema: String,
    pub table: String,
    pub primary_key: String,
    pub tenant: Option<String>,
    /// Every column that a capability reads, keys and guard included, each once.
    pub reads: Vec<String>,
    /// Every column that a direct writeback sets; empty when none does.
    pub writes: Vec<String>,
}

/// The tables of a source in the order in which the contract first names them. Capabilities with the same table,
/// key and tenant come together.
pub fn table_targets(contract: &Contract, source: &str) -> Vec<TableTarget> {
    let mut targets: Vec<TableTarget> = Vec::new();
    for capability in contract.capabilities().iter().filter(|c| c.source == source) {
        let of = &capability.target;
        let at = targets.iter().position(|t| {
            t.schema == of.schema
                && t.table == of.table
                && t.primary_key == of.primary_key
                && t.tenant == of.tenant_key
        });
        let at = at.unwrap_or_else(|| {
            targets.push(TableTarget {
                schema: of.schema.clone(),
                table: of.table.clone(),
                primary_key: of.primary_key.clone(),
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

/// The columns that a direct writeback of the capability sets.
fn written(capability: &Capability) -> Vec<&str> {
    let Some(spec) = capability
        .proposal()
        .filter(|spec| spec.executor == ExecutorRef::Direct)
    else {
        return Vec::new();
    };
    spec.patch.iter().map(|(column, _)| column.as_str()).collect()
}

fn add(columns: &mut Vec<String>, more: Vec<&str>) {
    for column in more {
        if !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
}

impl From<TableTarget> for GrantTarget {
    fn from(target: TableTarget) -> Self {
        Self {
            schema: target.schema,
            table: target.table,
            reads: target.reads,
            writes: target.writes,
        }
    }
}
