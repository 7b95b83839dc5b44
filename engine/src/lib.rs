//! The database drivers: one folder per engine with the same file names. An engine opens connections, reads rows and
//! receipts, describes tables and says which values a column holds. Statements that change something are not here.
//!
//! What an engine must do is the conformance list in `writeback/src/conformance`; an engine is finished when the
//! list is green.

#![allow(
    missing_debug_implementations,
    reason = "statements, arguments and connections hold values and secrets, which must not be printed"
)]

pub mod credential;
pub mod mysql;
pub mod open;
pub mod postgres;
pub mod sqlite;

pub use credential::Credential;
pub use open::EngineConfig;

/// What the connections of a credential are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only; no transaction that could write is ever begun.
    Read,
    /// Reads, and transactions of the writeback.
    Write,
}
