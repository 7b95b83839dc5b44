//! Maps errors of a step to public errors with a stable code, never with driver text.

use synapsor_domain::error::PublicError;
use synapsor_proto::status::to_status;
use tonic::Status;

use crate::store::{StoreError, StoreTxError};

/// Returns the public error for a store error.
pub fn refusal_of_store(error: &StoreError) -> PublicError {
    let what = match error {
        StoreError::Tampered(found) => format!("the ledger's store is damaged or was modified: {found}"),
        StoreError::Vanished => "the ledger's store was removed or replaced".to_owned(),
        StoreError::Locked => "the ledger's store is locked by another process".to_owned(),
        StoreError::ReadOnly(_) => "the ledger's store is not writable".to_owned(),
        StoreError::Full | StoreError::FullAtStart => "the disk of the ledger's store is full".to_owned(),
        StoreError::Busy => "the ledger's request queue is full".to_owned(),
        StoreError::Duplicate => "a record with this id already exists".to_owned(),
        StoreError::Erased(seq) => format!("event {seq} was erased by order of an operator"),
        StoreError::Foreign(_)
        | StoreError::Newer { .. }
        | StoreError::OtherLog { .. }
        | StoreError::Missing(_)
        | StoreError::Closed
        | StoreError::Failed(_) => "the ledger's store failed".to_owned(),
    };
    if matches!(error, StoreError::Erased(_)) {
        // Nothing to correct.
        return PublicError::new(error.code(), what);
    }
    PublicError::new(error.code(), format!("{what}; {}", error.fix())).with_detail(error.to_string())
}

/// Returns the public error for the error of a step.
pub fn refusal_of(error: StoreTxError) -> PublicError {
    match error {
        StoreTxError::Refused(refusal) => refusal,
        StoreTxError::Store(error) => refusal_of_store(&error),
    }
}

/// Returns the same error and logs its detail, which the caller does not see.
pub(crate) fn log_and_convert(error: StoreTxError) -> PublicError {
    let refusal = refusal_of(error);
    if let Some(detail) = &refusal.detail {
        tracing::warn!(code = %refusal.code, detail, "a request failed");
    }
    refusal
}

/// Returns the gRPC status for the error of a step.
pub(crate) fn status_of(error: StoreTxError) -> Status {
    to_status(&log_and_convert(error))
}
