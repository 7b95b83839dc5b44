//! The real gateway binary between real MCP clients and a reader that is one at the wire only: real certificates,
//! real gRPC, and a record of every byte that arrives.

#![expect(clippy::unwrap_used, reason = "a failed expectation is what a test reports")]

mod bridge;
mod crowd;
mod door;
mod eras;
mod exposure;
mod http;
mod limits;
mod names;
mod raw_http;
mod raw_stdio;
mod reader;
mod sessions;
mod start;
mod stdio;
mod tls;
mod world;
