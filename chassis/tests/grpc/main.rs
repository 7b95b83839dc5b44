//! Tests of gRPC server and channel over loopback, with real certificates.

#![expect(clippy::unwrap_used, reason = "a failed expectation is what a test reports")]

mod access;
mod authority;
mod bounds;
mod fixture;
mod lifetimes;
mod servers;
