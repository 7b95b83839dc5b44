//! Mutual TLS: loads certificates from files or memory, checks them, and builds server and channel configurations.
//! Access is decided in `grpc_server`.

pub mod dev_ca;
mod material;
mod peer_verifier;

use std::path::PathBuf;

use synapsor_codes::ErrorCode;

pub use material::TlsMaterial;
pub(crate) use peer_verifier::PeerVerifier;

use crate::files::FileError;
use crate::identity::IdentityError;
use crate::run::ExitError;

/// Paths of a process's certificates. All are PEM; other users must not be able to read the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// CA certificate of the deployment.
    pub ca: PathBuf,
    /// Own certificate, leaf first.
    pub cert: PathBuf,
    /// Private key of the own certificate, PKCS#8.
    pub key: PathBuf,
}

/// Certificate or key error. Never contains key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is invalid.
    #[error("{what}: {source}")]
    File { what: &'static str, source: FileError },
    /// The content is not PEM of the expected kind.
    #[error("{what}: invalid PEM")]
    NotPem { what: &'static str },
    /// The key does not match the certificate.
    #[error("the private key does not match the certificate")]
    WrongKey,
    /// The certificate has expired or is not valid yet.
    #[error("certificate of {identity} is expired or not yet valid")]
    OutsideValidity { identity: String },
    /// The CA did not sign the certificate, or not for this use.
    #[error("certificate of {identity} was not issued by the configured CA for this use")]
    UntrustedIssuer { identity: String },
    /// The certificate has no valid identity.
    #[error("the certificate has no valid identity: {0}")]
    Identity(#[from] IdentityError),
    /// The TLS library rejects the combination.
    #[error("invalid TLS settings: {0}")]
    Unusable(String),
}

impl TlsError {
    /// Returns the stable error code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::File {
                source: FileError::NotPrivate { .. },
                ..
            } => ErrorCode::TlsKeyOpen,
            Self::File { .. } => ErrorCode::TlsFileUnreadable,
            Self::NotPem { .. } => ErrorCode::TlsFileInvalid,
            Self::WrongKey => ErrorCode::TlsKeyMismatch,
            Self::OutsideValidity { .. } => ErrorCode::TlsCertificateExpired,
            Self::UntrustedIssuer { .. } => ErrorCode::TlsCertificateForeign,
            Self::Identity(_) => ErrorCode::TlsIdentityInvalid,
            Self::Unusable(_) => ErrorCode::TlsUnusable,
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::File { source, .. } => source.fix(),
            Self::NotPem { what } => format!("provide {what} as PEM (certificate, or PKCS#8 private key)"),
            Self::WrongKey => "use the key that was created together with the certificate".to_owned(),
            Self::OutsideValidity { .. } => {
                "issue a new certificate and check the machine's clock".to_owned()
            }
            Self::UntrustedIssuer { .. } => {
                "set the CA that signed the certificate, or issue a new certificate".to_owned()
            }
            Self::Identity(_) => {
                "issue a certificate with the one URI name spiffe://<deployment>/<role>/<name>".to_owned()
            }
            Self::Unusable(_) => "issue new certificates".to_owned(),
        }
    }
}

impl From<TlsError> for ExitError {
    fn from(error: TlsError) -> Self {
        ExitError::new(error.code(), error.to_string()).with_fix(error.fix())
    }
}
