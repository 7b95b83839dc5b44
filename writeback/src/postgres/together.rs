//! Reads of the checks that share one statement. The tables run no code, as the stamp among the facts proves, so the
//! order of the reads does not matter.

use synapsor_domain::schema::TableSchema;
use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::read::{self, RECEIPT_COLUMNS_COUNT};
use synapsor_engine::postgres::union_select::UnionSelect;
use synapsor_source::{EngineError, FoundReceipts, ReceiptTable, RowPlan};

use super::check_facts::{self, CheckFacts, FACT_COLUMNS};
use super::stamp::Covered;
use super::version::{self, VersionedRow};

const FACTS: &str = "facts";
const RECEIPTS: &str = "receipts";
const ROW: &str = "row";

/// Reads the receipts of a proposal and of the known others, and the facts for the first check.
pub(super) async fn receipts_and_facts(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
    covered: &Covered,
    (id, known): (&str, &[&str]),
) -> Result<(FoundReceipts, CheckFacts), EngineError> {
    let facts = check_facts::select(covered, &[], false);
    let mut union = UnionSelect::new(FACTS, FACT_COLUMNS, facts);
    union.add(RECEIPTS, RECEIPT_COLUMNS_COUNT, |parameters| {
        Ok(Some(read::select_receipts(receipts, id, known, parameters)))
    })?;
    let found = union.fetch(lease).await?;
    Ok((
        read::found_receipts(found.of(RECEIPTS), id)?,
        check_facts::facts(&found.of(FACTS))?,
    ))
}

/// A row to read again, and whether with its version.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowAgain<'a> {
    pub(super) plan: &'a RowPlan,
    pub(super) shape: &'a TableSchema,
    pub(super) is_versioned: bool,
}

/// Everything that the last check reads.
pub(super) struct LastReads {
    pub(super) rows: Vec<VersionedRow>,
    pub(super) receipts: FoundReceipts,
    pub(super) facts: CheckFacts,
}

/// Reads everything for the last check.
pub(super) async fn last_reads(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
    (covered, watched): (&Covered, &[u32]),
    id: &str,
    row: Option<RowAgain<'_>>,
) -> Result<LastReads, EngineError> {
    let facts = check_facts::select(covered, watched, true);
    let mut union = UnionSelect::new(FACTS, FACT_COLUMNS, facts);
    union.add(RECEIPTS, RECEIPT_COLUMNS_COUNT, |parameters| {
        Ok(Some(read::select_receipts(receipts, id, &[], parameters)))
    })?;
    if let Some(row) = row {
        let columns = version::column_count(row.plan, row.is_versioned);
        union.add(ROW, columns, |parameters| {
            version::select_with_version(row.plan, row.shape, row.is_versioned, parameters)
        })?;
    }
    let found = union.fetch(lease).await?;
    let rows = row.map_or(Ok(Vec::new()), |row| {
        version::versioned_rows(found.of(ROW), row.plan, row.shape, row.is_versioned)
    })?;
    Ok(LastReads {
        rows,
        receipts: read::found_receipts(found.of(RECEIPTS), id)?,
        facts: check_facts::facts(&found.of(FACTS))?,
    })
}
