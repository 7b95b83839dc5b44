//! The record: append, decide, lease, settle, prove. One process owns one store; everybody else asks it.

mod failpoint;
pub mod store;
