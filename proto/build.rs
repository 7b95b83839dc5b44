//! Generates Rust from the .proto files with a pure-Rust compiler, so protoc is not needed.

use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] = &[
    "synapsor/common/v1/page.proto",
    "synapsor/common/v1/proposal_state.proto",
    "synapsor/common/v1/signed.proto",
    "synapsor/executor/v1/agent_service.proto",
    "synapsor/executor/v1/schema_service.proto",
    "synapsor/executor/v1/writer_service.proto",
    "synapsor/ledger/v1/agent_record_service.proto",
    "synapsor/ledger/v1/event_service.proto",
    "synapsor/ledger/v1/intake_service.proto",
    "synapsor/ledger/v1/maintenance_service.proto",
    "synapsor/ledger/v1/review_service.proto",
    "synapsor/ledger/v1/transparency_service.proto",
    "synapsor/ledger/v1/webhook_service.proto",
    "synapsor/ledger/v1/writeback_service.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes the output directory only in this variable"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=synapsor");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Messages that carry a caller's token have no derived `Debug`; see `debug.rs`.
    tonic_prost_build::configure()
        .skip_debug([
            "synapsor.executor.v1.CapabilityCall",
            "synapsor.executor.v1.IssueContextTicketRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
