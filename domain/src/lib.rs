//! The pure middle: what the words mean and what is allowed.
//!
//! Modules stand in the order in which a change travels: the contract says what may be asked, the context
//! says for whom, a tool call becomes a read, a read becomes evidence and a proposal, people decide, the
//! writer authorizes and applies, the log remembers, replay tells.
//! Nothing here reads a clock, a file, the environment or the network; `now` and random bytes come in as
//! arguments.

pub mod canonical;
pub mod digest;
pub mod error;
pub mod ids;
pub mod json;
pub mod limits;
pub mod signing;
pub mod timestamp;

pub mod decimal;
pub mod value;

pub mod access_token;
pub mod context;
pub mod contract;
pub mod foreign_code;
pub mod inspection;
pub mod scaffold;
pub mod schema;
pub mod tool;

pub mod change;
pub mod evidence;
pub mod guard;
pub mod proposal;
pub mod result_envelope;

pub mod approval;
pub mod review;
pub mod trust;

pub mod writeback;

pub mod event;
pub mod log;
pub mod replay;

pub mod agent_view;
pub mod context_ticket;
