//! gRPC services, one file each; they only translate requests and responses.

pub mod agent_service;
mod call_stream;
pub mod schema_service;
