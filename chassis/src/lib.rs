//! Shared infrastructure of all processes: hardening, settings, secrets, certificates, servers, channels, logs,
//! shutdown. It contains no application logic.

pub mod background;
pub mod clock;
pub mod exposure;
pub mod files;
pub mod grpc_channel;
pub mod grpc_server;
pub mod harden;
pub mod http_flags;
pub mod identity;
pub mod invisible;
pub mod join;
pub mod panics;
pub mod random;
pub mod refusal_cause;
pub mod release;
pub mod retry;
pub mod run;
pub mod run_file;
pub mod sandbox;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod trace_context;
