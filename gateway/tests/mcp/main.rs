//! The real gateway binary between real MCP clients and a reader that is one at the wire only: real certificates,
//! real gRPC, and a record of every byte that arrives.

#![expect(clippy::unwrap_used, reason = "a failed expectation is what a test reports")]

mod door;
mod http;
mod names;
mod raw_http;
mod raw_stdio;
mod reader;
mod start;
mod stdio;
mod world;
