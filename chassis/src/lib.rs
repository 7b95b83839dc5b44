//! Plumbing that every process of ours shares, in the order in which a process meets it: hardening, settings,
//! secrets, certificates, servers, channels, logs, shutdown. Nothing here knows what the processes do for a living.

pub mod background;
pub mod clock;
pub mod exposure;
pub mod files;
pub mod grpc_channel;
pub mod grpc_server;
pub mod harden;
pub mod identity;
pub mod invisible;
pub mod join;
pub mod random;
pub mod retry;
pub mod run;
pub mod sandbox;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod trace_context;
