//! Limits of the product, with the unit last in the name. Limits of a single file are declared in that file.

/// Maximum size of a signed object in canonical form, in bytes.
pub const CANONICAL_BYTES_MAX: usize = 256 * 1024;
/// Maximum size of a signed object in its envelope (base64 plus signatures), in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 512 * 1024;
/// Maximum nesting depth of a signed object.
pub const CANONICAL_DEPTH_MAX: usize = 16;
/// Largest integer that every JSON parser represents exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Maximum size of a gRPC message, in bytes.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Maximum size of an MCP request, in bytes.
pub const MCP_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Maximum size of the arguments of a tool call, in bytes.
pub const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;
/// Maximum size of a tenant or a principal, in bytes.
pub const BINDING_BYTES_MAX: usize = 256;
/// Maximum size of a configuration or trust file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Maximum size of a column value as text, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Maximum size of a row as text, in bytes.
pub const ROW_BYTES_MAX: usize = 192 * 1024;

/// Maximum number of signatures on one envelope.
pub const SIGNATURES_MAX: usize = 8;
/// Maximum number of decisions in one job.
pub const DECISIONS_MAX: usize = 32;
/// Maximum number of receipts that one receipt order or finding names.
pub const RECEIPT_REFS_MAX: usize = 1_000;
/// Maximum length of an operator's reason, in characters.
pub const REASON_CHARS_MAX: usize = 1_000;
/// Maximum number of open proposals of one tenant and principal; the trust file may set another.
pub const OPEN_PROPOSALS_MAX: usize = 50;

/// Maximum difference between the clocks of two machines, in seconds.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// Maximum difference between the writer's clock and the database's clock, in seconds.
pub const DATABASE_SKEW_SECONDS: i64 = 120;

/// Lifetime of an undecided proposal, in days.
pub const PROPOSAL_LIFETIME_DAYS: i64 = 7;
/// Lifetime of an approval in `dev`, in minutes, unless the trust file or the signer sets less.
pub const DECISION_MINUTES_DEV: i64 = 24 * 60;
/// Lifetime of an approval outside `dev`, in minutes.
pub const DECISION_MINUTES: i64 = 60;
/// Lifetime of an apply order, in minutes.
pub const ORDER_MINUTES: i64 = 15;
