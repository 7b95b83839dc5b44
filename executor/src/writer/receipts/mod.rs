//! Receipts: compares those of the sources with those of the ledger, in both directions, signs what differs, and
//! applies the orders of operators about them.

pub(crate) mod audit;
pub(crate) mod changed_rows;
pub(crate) mod compare;
pub(crate) mod finding;
pub(crate) mod history;
pub(crate) mod orders;
pub(crate) mod problems;
pub(crate) mod reconcile;
pub(crate) mod source_rows;
pub(crate) mod unproven;
