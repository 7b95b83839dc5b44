//! The reader role: serves capability calls of the gateway, records evidence, and creates and signs proposals.
//! Depends on the engine trait of a source and links no database driver.

pub mod callers;
pub mod clients;
pub mod context;
pub mod inspect;
pub mod role;
pub mod rpc;

mod audit_draft;
mod call_handler;
mod propose;
mod read;
mod ticket;
