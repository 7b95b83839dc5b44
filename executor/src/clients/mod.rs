//! What this process asks of others.

pub mod intake;
