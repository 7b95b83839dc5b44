//! Database drivers: one directory per engine with the same file names. An engine opens connections, reads
//! rows and receipts, describes tables and decides which values a column can store. Statements that change
//! data are not here.
//!
//! The conformance tests in `writeback/src/conformance` define the requirements of an engine; a complete
//! engine passes all of them.

#![allow(
    missing_debug_implementations,
    reason = "statements, arguments and connections hold values and secrets, which must not be printed"
)]

mod authorities;
mod byte_text;
pub mod credential;
mod driver;
pub mod lazy;
mod misfit;
pub mod mysql;
pub mod open;
pub mod postgres;
pub mod sqlite;
mod url_parameter;

pub use credential::Credential;
pub use open::{EngineConfig, EngineLimits};

/// Purpose of a credential's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only; never begins a transaction that could write.
    Read,
    /// Reads, and transactions of the writeback.
    Write,
}
