//! From an approved proposal to one effect: jobs, attempts, receipts, and the only way to an authorization.

mod authorize;
mod outcome;
mod proof;
mod receipt;

pub use authorize::{Authorization, Facts, Standing, authorize};
pub use outcome::{AttemptReport, AttemptResult, Outcome};
pub use proof::LedgerProof;
pub use receipt::{RECEIPT_TABLE, Receipt};
