//! Runs the real gateway binary between real MCP clients and a stub reader, with real certificates and gRPC. The
//! stub records every byte that arrives.

#![expect(clippy::unwrap_used, reason = "a failed expectation is what a test reports")]

mod authentication;
mod bridge;
mod call_streams;
mod crowd;
mod exposure;
mod http;
mod limits;
mod names;
mod plain_calls;
mod protocol_revisions;
mod raw_http;
mod raw_stdio;
mod reader;
mod sessions;
mod start;
mod stdio;
mod tls;
mod world;
