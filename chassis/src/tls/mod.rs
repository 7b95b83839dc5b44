//! Mutual TLS: certificates from files or from memory, checked before use, and turned into what servers and
//! channels need. Who may call what is decided in `grpc_server`.

pub mod dev_ca;
mod material;
mod peer_verifier;

use std::path::PathBuf;

pub use material::TlsMaterial;
pub(crate) use peer_verifier::PeerVerifier;

use crate::files::FileError;
use crate::identity::IdentityError;
use crate::run::ExitError;

/// Where a process finds its certificates. All PEM; the key must be closed to other users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authority that signs everybody's certificates.
    pub ca: PathBuf,
    /// The own certificate, leaf first.
    pub cert: PathBuf,
    /// The private key of the own certificate, PKCS#8.
    pub key: PathBuf,
}

/// What is wrong with certificates or keys. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{what}: {source}")]
    File { what: &'static str, source: FileError },
    /// The content is not PEM of the right kind.
    #[error("{what} holds no usable PEM")]
    NotPem { what: &'static str },
    /// Key and certificate are no pair.
    #[error("the private key does not belong to the certificate")]
    WrongKey,
    /// The certificate is past its end, or its begin is yet to come.
    #[error("the certificate of {identity} is outside its validity")]
    OutsideValidity { identity: String },
    /// The certificate was not signed by the authority, or not for this use.
    #[error("the certificate of {identity} was not issued by the given authority for this use")]
    UntrustedIssuer { identity: String },
    /// The certificate states no identity of ours.
    #[error("the certificate states no identity: {0}")]
    Identity(#[from] IdentityError),
    /// The TLS library refuses the combination.
    #[error("the TLS settings cannot be used: {0}")]
    Unusable(String),
}

impl TlsError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::File {
                source: FileError::NotPrivate { .. },
                ..
            } => "TLS_KEY_OPEN",
            Self::File { .. } => "TLS_FILE_UNREADABLE",
            Self::NotPem { .. } => "TLS_FILE_INVALID",
            Self::WrongKey => "TLS_KEY_MISMATCH",
            Self::OutsideValidity { .. } => "TLS_CERTIFICATE_EXPIRED",
            Self::UntrustedIssuer { .. } => "TLS_CERTIFICATE_FOREIGN",
            Self::Identity(_) => "TLS_IDENTITY_INVALID",
            Self::Unusable(_) => "TLS_UNUSABLE",
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::File { source, .. } => source.fix(),
            Self::NotPem { what } => format!("give {what} as PEM (certificate, or PKCS#8 private key)"),
            Self::WrongKey => "give the key that was made together with the certificate".to_owned(),
            Self::OutsideValidity { .. } => {
                "issue a new certificate and check the machine's clock".to_owned()
            }
            Self::UntrustedIssuer { .. } => {
                "give the authority that signed the certificate, or issue a new certificate".to_owned()
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
