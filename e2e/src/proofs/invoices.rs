//! Invoices of the proofs, one proposal each, and their observed state in the source database.

use anyhow::Context as _;

use super::checker::Checker;
use super::journal;

/// Version of an unchanged invoice; each committed update adds one.
pub(super) const VERSION: i64 = 1;
pub(super) const FEE: i64 = 900;
/// Rows of one INSERT.
const ROWS: usize = 200;

/// Observed state of one proposal in the source database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// Committed updates of the row.
    pub(super) effects: i64,
    /// Whether every effect was the proposed one.
    pub(super) is_as_proposed: bool,
    pub(super) outcome: Option<String>,
    /// Signed bytes of the receipt.
    pub(super) receipt: Option<String>,
}

/// Inserts unchanged invoices and creates the journal's table.
pub(super) fn fill(checker: &Checker, numbers: &[String]) -> anyhow::Result<()> {
    checker.query(journal::TABLE)?;
    for numbers in numbers.chunks(ROWS) {
        checker.query(&insert(numbers))?;
    }
    Ok(())
}

/// Builds the statement that inserts unchanged invoices.
pub(super) fn insert(numbers: &[String]) -> String {
    let rows: Vec<String> = numbers
        .iter()
        .map(|id| format!("('{id}', 'acme', 'Crash Test', 'overdue', {FEE}, {VERSION})"))
        .collect();
    format!(
        "INSERT INTO invoices (id, tenant_id, customer_name, status, late_fee_cents, version) VALUES {}",
        rows.join(", ")
    )
}

/// Reads one invoice and the receipt of its proposal, whose reason is `reason`.
pub(super) fn look(checker: &Checker, invoice: &str, proposal: &str, reason: &str) -> anyhow::Result<Target> {
    let noted = "(SELECT COUNT(*) FROM effect_journal j WHERE j.invoice = i.id";
    // One statement, so that the journal cannot move an effect between two reads.
    let sql = format!(
        "SELECT i.version - {VERSION}, CASE WHEN i.late_fee_cents = 0 AND i.waiver_reason = '{reason}' THEN 1 ELSE 0 END, \
         {noted}), {noted} AND j.reason = '{reason}') FROM invoices i WHERE i.id = '{invoice}'"
    );
    let row = checker
        .query(&sql)?
        .into_iter()
        .next()
        .with_context(|| format!("no invoice {invoice}"))?;
    let numbers: Vec<i64> = row
        .into_iter()
        .map(|number| Ok(number.context("a number")?.parse()?))
        .collect::<anyhow::Result<_>>()?;
    let [moved, is_moved, noted, noted_as_proposed] = numbers[..] else {
        anyhow::bail!("four numbers were asked for")
    };
    let effects = moved + noted;
    let sql =
        format!("SELECT outcome, receipt FROM synapsor_writeback_receipts WHERE proposal_id = '{proposal}'");
    let mut receipt = checker
        .query(&sql)?
        .into_iter()
        .next()
        .unwrap_or_default()
        .into_iter();
    Ok(Target {
        effects,
        is_as_proposed: effects == is_moved + noted_as_proposed,
        outcome: receipt.next().flatten(),
        receipt: receipt.next().flatten(),
    })
}
