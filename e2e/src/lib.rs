//! Complete systems for tests and proofs: the real binaries as processes with real certificates, a real database,
//! operators with keys, agents with MCP clients, and a hostile ledger.

pub mod access;
pub mod account;
pub mod agent;
pub mod binaries;
pub mod capability_calls;
pub mod cli;
pub mod databases;
pub mod deployment;
pub mod dialogue;
pub mod duplicating_ledger;
pub mod faketime;
pub mod fixture;
pub mod hostile_ledger;
pub mod interrupt;
pub mod issuer;
pub mod json_schema;
pub mod load;
pub mod mcp_http;
pub mod namespaces;
pub mod operator;
pub mod process;
pub mod proofs;
pub mod proxy;
pub mod receipt_row;
pub mod receiver;
pub mod server_versions;
pub mod stack;
pub mod stall;
pub mod target;
pub mod tenants;
pub mod terminal;
pub mod transcript;
pub mod writer_harness;

use synapsor_domain::timestamp::Timestamp;

/// Current time, as the processes see it.
pub fn now() -> Timestamp {
    use synapsor_chassis::clock::{Clock as _, SystemClock};
    Timestamp::from_unix_millis(SystemClock.now_ms())
}
