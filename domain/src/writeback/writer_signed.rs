//! Opens objects other than receipts that a writer signed, under a key that is in use.

use serde::de::DeserializeOwned;
use synapsor_codes::ErrorCode;

use crate::error::PublicError;
use crate::signing::{DsseEnvelope, ObjectKind};
use crate::trust::{Position, TrustFile};

/// Opens an object that a writer of the trust file signed with a key that is not retired.
///
/// # Errors
/// `refused:key` or `refused:signature`.
pub(super) fn open_writer_signed<T: DeserializeOwned>(
    envelope: &DsseEnvelope,
    kind: ObjectKind,
    trust: &TrustFile,
) -> Result<T, PublicError> {
    let signer = envelope
        .signer()
        .map_err(|e| PublicError::new(ErrorCode::RefusedKey, e.to_string()))?;
    let key = trust.writer(signer).ok_or_else(|| {
        PublicError::new(
            ErrorCode::RefusedKey,
            format!("{signer} is not a writer key of the trust file"),
        )
    })?;
    let key = key.for_object_at(&Position::Unproven).map_err(|retired| {
        PublicError::new(ErrorCode::RefusedKey, format!("signed by {signer}: {retired}"))
    })?;
    envelope
        .verify_and_decode(kind, key)
        .map_err(|e| PublicError::new(ErrorCode::RefusedSignature, e.to_string()))
}
