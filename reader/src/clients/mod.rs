//! Clients of other processes.

pub mod intake;
mod submission_queue;
