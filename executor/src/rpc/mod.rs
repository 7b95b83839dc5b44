//! gRPC services, one file each; they only translate requests and responses.

pub mod writer_service;
