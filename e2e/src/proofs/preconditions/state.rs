//! Content of the tables as the owner sees it: the invoices, every receipt in whichever table it is, and all other
//! rows.

use std::collections::BTreeSet;

use super::tables::Tables;
use crate::databases::Engine;
use crate::proofs::checker::Rows;

const INVOICES: &str =
    "id, tenant_id, customer_name, status, late_fee_cents, waiver_reason, internal_note, version";

/// All data that a wrong write could change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) invoices: Rows,
    /// Proposal and outcome.
    pub(super) receipts: BTreeSet<(String, String)>,
    /// Rows of all other tables.
    pub(super) rest: Vec<String>,
}

/// Table of the owner, with its schema if it has one.
struct Table {
    name: String,
    place: String,
    has_receipts: bool,
}

impl State {
    pub(super) fn read(tables: &Tables) -> anyhow::Result<Self> {
        let place = tables.place("invoices");
        let invoices = tables.query(&format!("SELECT {INVOICES} FROM {place} ORDER BY id"))?;
        let (mut receipts, mut rest) = (BTreeSet::new(), Vec::new());
        for table in all(tables)? {
            let place = &table.place;
            if table.has_receipts {
                let rows = tables.query(&format!("SELECT proposal_id, outcome FROM {place}"))?;
                receipts.extend(rows.into_iter().filter_map(|row| {
                    let [proposal, outcome] = <[Option<String>; 2]>::try_from(row).ok()?;
                    Some((proposal?, outcome?))
                }));
            } else if table.name != "invoices" {
                let rows = tables.query(&format!("SELECT * FROM {place}"))?;
                rest.extend(rows.iter().map(|row| format!("{place} {row:?}")));
            }
        }
        rest.sort();
        Ok(Self {
            invoices,
            receipts,
            rest,
        })
    }

    /// Cells of one invoice.
    pub(super) fn invoice(&self, id: &str) -> Option<&Vec<Option<String>>> {
        self.invoices
            .iter()
            .find(|row| row.first().is_some_and(|cell| cell.as_deref() == Some(id)))
    }

    /// Outcome in the receipt of a proposal.
    pub(super) fn outcome(&self, proposal: &str) -> Option<&str> {
        self.receipts
            .iter()
            .find(|(known, _)| known == proposal)
            .map(|(_, outcome)| outcome.as_str())
    }

    /// Readable list of the differences, with the invoice of the proposal.
    pub(super) fn changes(&self, after: &Self, invoice: &str) -> String {
        let new: Vec<_> = after.receipts.difference(&self.receipts).collect();
        let gone = self.receipts.difference(&after.receipts).count();
        let others = self
            .invoices
            .iter()
            .zip(&after.invoices)
            .filter(|(old, new)| old != new);
        format!(
            "{:?}\n  became {:?}\n  changed rows {:?}\n  new receipts {new:?}, gone {gone}\n  rest {:?}\n  became {:?}",
            self.invoice(invoice),
            after.invoice(invoice),
            others.collect::<Vec<_>>(),
            self.rest,
            after.rest
        )
    }

    /// The invoice after a waiver with this reason.
    pub(super) fn waived(before: &[Option<String>], reason: &str) -> Vec<Option<String>> {
        let mut after = before.to_vec();
        after[4] = Some("0".to_owned());
        after[5] = Some(reason.to_owned());
        after[7] = after[7]
            .as_ref()
            .and_then(|version| version.parse::<i64>().ok())
            .map(|version| (version + 1).to_string());
        after
    }
}

/// Every table with rows of its own.
fn all(tables: &Tables) -> anyhow::Result<Vec<Table>> {
    let engine = tables.engine;
    let sql = match engine {
        Engine::Sqlite => "SELECT 'main', name, (SELECT COUNT(*) FROM pragma_table_info(m.name) WHERE name = 'proposal_id') \
             FROM sqlite_schema m WHERE type = 'table' ORDER BY 2"
            .to_owned(),
        Engine::Postgres => {
            "SELECT n.nspname, c.relname, (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid \
               AND a.attname = 'proposal_id') FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n \
             ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname IN ('public', 'aside') ORDER BY 1, 2"
                .to_owned()
        }
        Engine::Mysql | Engine::Mariadb => format!(
            "SELECT table_schema, table_name, (SELECT COUNT(*) FROM information_schema.columns c \
               WHERE c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.column_name = 'proposal_id') \
             FROM information_schema.tables t WHERE t.table_schema = '{}' AND t.table_type NOT LIKE '%VIEW%' \
             AND t.table_type <> 'SEQUENCE' ORDER BY 2",
            tables.schema
        ),
    };
    let only = match engine {
        Engine::Postgres => "ONLY ",
        Engine::Sqlite | Engine::Mysql | Engine::Mariadb => "",
    };
    let rows = tables.query(&sql)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let [schema, name, receipts] = <[Option<String>; 3]>::try_from(row).ok()?;
            let (schema, name) = (schema?, name?);
            Some(Table {
                place: format!("{only}{}.{}", engine.quote(&schema), engine.quote(&name)),
                name,
                has_receipts: receipts? != "0",
            })
        })
        .collect())
}
