//! Generates the Rust of the protos with a pure-Rust compiler, so that nobody needs protoc.

use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] = &[
    "synapsor/common/v1/page.proto",
    "synapsor/common/v1/signed.proto",
    "synapsor/executor/v1/agent_service.proto",
    "synapsor/executor/v1/schema_service.proto",
    "synapsor/executor/v1/writer_service.proto",
    "synapsor/ledger/v1/agent_record_service.proto",
    "synapsor/ledger/v1/event_service.proto",
    "synapsor/ledger/v1/intake_service.proto",
    "synapsor/ledger/v1/review_service.proto",
    "synapsor/ledger/v1/transparency_service.proto",
    "synapsor/ledger/v1/writeback_service.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells build scripts where to write by this variable only"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=synapsor");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // What carries a caller's token is never shown; see `debug.rs`.
    tonic_prost_build::configure()
        .skip_debug([
            "synapsor.executor.v1.CallCapabilityRequest",
            "synapsor.executor.v1.IssueContextTicketRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
