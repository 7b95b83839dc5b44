//! The writer's side of the ledger: its connection, time and checkpoint, reports, and requests about receipts.

pub(crate) mod client;
pub(crate) mod clocks;
pub(crate) mod receipt_requests;
pub(crate) mod report;
pub(crate) mod settled;
pub(crate) mod time;
