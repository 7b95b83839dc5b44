//! What this process asks of others.

pub mod intake;
mod submission_queue;
