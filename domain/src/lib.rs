//! Domain types and rules without I/O.
//!
//! Modules follow the path of a change. The contract lists the allowed calls, and the context supplies tenant
//! and principal. A tool call becomes a read; the read yields evidence and a proposal. Operators decide, the
//! writer authorizes and applies, the log records, and replay reports. This crate never reads a clock, a file,
//! the environment or the network; `now` and random bytes are arguments.

mod borrowed_text;
pub mod canonical;
pub mod database_identity;
pub mod digest;
pub mod error;
pub mod ids;
pub mod json;
pub mod limits;
pub mod signing;
pub mod table_filter;
pub mod timestamp;

pub mod decimal;
pub mod value;

pub mod access_token;
pub mod context;
pub mod contract;
pub mod contract_diff;
pub mod foreign_code;
pub mod inspection;
pub mod scaffold;
pub mod schema;
pub mod tool;
pub mod tool_audit;

pub mod change;
pub mod evidence;
pub mod guard;
pub mod proposal;
pub mod record_fields;
pub mod record_schemas;
pub mod result_envelope;

pub mod approval;
pub mod review;
pub mod trust;

pub mod shadow;
pub mod writeback;
pub mod writeback_job;

pub mod event;
pub mod log;
pub mod replay;
pub mod webhook;

pub mod agent_view;
pub mod context_ticket;
