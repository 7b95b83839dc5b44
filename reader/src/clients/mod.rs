//! What this process asks of others.

mod filing;
pub mod intake;
