//! Webhooks: the file that lists them, the bodies that receivers get, and their signatures.
//!
//! A body never has the value of a column, a tenant, a principal, or text that a user wrote: it names the proposal,
//! and a receiver that may read more asks for it.

mod body;
mod chat;
mod event_data;
mod file;
mod schema;
mod signature;

pub use body::{Delivery, MessageBody, SourceName, WebhookFormat};
pub use event_data::{ProposalSummary, READ_KINDS, event_data};
pub use file::{HiddenUrl, WebhookEntry, WebhookFile, WebhookFileError};
pub use schema::webhooks_schema;
pub use signature::{SecretFormatError, WebhookSecret, delivery_headers, message_id};

/// Maximum number of webhooks in a file.
pub const WEBHOOKS_MAX: usize = 16;
/// Maximum number of secrets of one webhook: the current one, and others until every receiver has the current one.
pub const SECRETS_MAX: usize = 4;
