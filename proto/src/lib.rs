//! Generated gRPC messages by package, conversions to and from domain types, and the mapping between errors and
//! statuses.

// Generated code follows protobuf conventions, not the workspace lints.
#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
mod generated {
    pub mod common {
        pub mod v1 {
            tonic::include_proto!("synapsor.common.v1");
        }
    }
    pub mod executor {
        pub mod v1 {
            tonic::include_proto!("synapsor.executor.v1");
        }
    }
    pub mod ledger {
        pub mod v1 {
            tonic::include_proto!("synapsor.ledger.v1");
        }
    }
}

pub mod backup_file;
pub mod convert;
mod debug;
pub mod status;

pub use generated::{common, executor, ledger};

/// Descriptors of all messages and services, for tables that must cover each of them.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
