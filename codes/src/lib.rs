//! Stable codes of errors, and what follows from each: the exit code of a command, the gRPC status of an RPC and
//! the safe code that an agent sees. `docs/error-codes.md` is generated from these lists.
//!
//! A code is a value of [`ErrorCode`] everywhere in a process. It is text only at the edges: on the wire, in
//! stored records and in printed output.

mod area;
mod error_code;
mod exit;
mod http_error;
mod list;
mod rpc_status;
mod safe_code;

pub use area::Area;
pub use error_code::{AttemptKind, UnknownCode};
pub use exit::Exit;
pub use http_error::HttpError;
pub use list::ErrorCode;
pub use rpc_status::RpcStatus;
pub use safe_code::SafeCode;

/// Domain of every gRPC `ErrorInfo` that carries a code of this product as its reason.
pub const ERROR_DOMAIN: &str = "synapsor.runner";
