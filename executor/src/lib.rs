//! The process that holds database credentials, in one of two roles that share no credential: the reader
//! answers the gateway and mints proposals, the writer applies what people signed.

pub mod engine;
pub mod failpoint;
pub mod rpc;
pub mod witness;
pub mod writeback;
