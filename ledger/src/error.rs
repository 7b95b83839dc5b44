//! How a failed step is told to its caller: a refusal with a stable code, never driver text.

use synapsor_domain::error::PublicError;
use synapsor_proto::status::to_status;
use tonic::Status;

use crate::store::{StepError, StoreError};

/// The refusal that a caller gets for a store that cannot do its work.
pub fn refusal_of_store(error: &StoreError) -> PublicError {
    let what = match error {
        StoreError::Tampered(found) => format!("the ledger's store is damaged or was edited: {found}"),
        StoreError::Vanished => "the ledger's store vanished or was replaced".to_owned(),
        StoreError::Locked => "the ledger's store is locked by another process".to_owned(),
        StoreError::ReadOnly(_) => "the ledger's store cannot be written".to_owned(),
        StoreError::Full | StoreError::FullAtStart => "the disk of the ledger's store is full".to_owned(),
        StoreError::Busy => "the ledger has too many requests waiting".to_owned(),
        StoreError::Duplicate => "a record with this id is on file already".to_owned(),
        StoreError::Foreign(_)
        | StoreError::Newer { .. }
        | StoreError::OtherLog { .. }
        | StoreError::Missing(_)
        | StoreError::Closed
        | StoreError::Failed(_) => "the ledger's store does not work".to_owned(),
    };
    PublicError::new(error.code(), format!("{what}; {}", error.fix())).with_detail(error.to_string())
}

/// The refusal that a caller gets.
pub fn refusal_of(error: StepError) -> PublicError {
    match error {
        StepError::Refused(refusal) => refusal,
        StepError::Store(error) => refusal_of_store(&error),
    }
}

/// The same, with its detail in the log, where it stays.
pub(crate) fn told(error: StepError) -> PublicError {
    let refusal = refusal_of(error);
    if let Some(detail) = &refusal.detail {
        tracing::warn!(code = %refusal.code, detail, "a request failed");
    }
    refusal
}

/// The status that a caller gets.
pub(crate) fn status_of(error: StepError) -> Status {
    to_status(&told(error))
}
