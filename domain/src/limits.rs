//! Every ceiling of the product, with its unit last in the name. Ceilings that matter to one file only
//! stand beside their use.

/// Bytes of one signed object in canonical form.
pub const CANONICAL_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a signed object in its envelope (base64 plus signatures).
pub const ENVELOPE_BYTES_MAX: usize = 512 * 1024;
/// Levels of nesting in a signed object.
pub const CANONICAL_DEPTH_MAX: usize = 16;
/// The largest integer that every JSON reader keeps exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Bytes of one gRPC message.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Bytes of one MCP request.
pub const MCP_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the arguments of one tool call.
pub const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a configuration or trust file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of one column value, as text.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one row, as text.
pub const ROW_BYTES_MAX: usize = 192 * 1024;

/// Signatures on one envelope.
pub const SIGNATURES_MAX: usize = 8;
/// Decisions that one job may carry.
pub const DECISIONS_MAX: usize = 32;
/// Receipts that one receipt order or finding names.
pub const RECEIPT_REFS_MAX: usize = 1_000;
/// Characters of a reason that a person gives.
pub const REASON_CHARS_MAX: usize = 1_000;
/// Proposals that one tenant and principal may have open at once, unless the trust file says otherwise.
pub const OPEN_PROPOSALS_MAX: usize = 50;

/// Seconds by which clocks of two machines may differ.
pub const CLOCK_SKEW_SECONDS: i64 = 60;
/// Seconds by which the writer's clock and the database's clock may differ.
pub const DATABASE_SKEW_SECONDS: i64 = 120;

/// Days after which an undecided proposal expires.
pub const PROPOSAL_LIFETIME_DAYS: i64 = 7;
/// Minutes that an approval lasts in `dev`, unless the trust file or the signer says less.
pub const DECISION_MINUTES_DEV: i64 = 24 * 60;
/// Minutes that an approval lasts outside `dev`.
pub const DECISION_MINUTES: i64 = 60;
/// Minutes that an apply order lasts.
pub const ORDER_MINUTES: i64 = 15;
