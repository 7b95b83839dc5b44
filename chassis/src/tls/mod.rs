//! Mutual TLS: loads certificates from files or memory, checks and renews them, and ends connections with their
//! certificates. Access is decided in `grpc_server`.

mod certificates;
pub(crate) mod connection;
pub mod dev_ca;
pub(crate) mod failure;
mod material;
mod peer_verifier;

use std::path::{Path, PathBuf};

use synapsor_codes::ErrorCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use certificates::Validity;
pub use material::TlsMaterial;
use peer_verifier::PeerVerifier;

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
    /// An error with the file that causes it.
    #[error("{}: {source}", path.display())]
    At { path: PathBuf, source: Box<TlsError> },
    /// The content is not PEM of the expected kind.
    #[error("{what}: invalid PEM")]
    NotPem { what: &'static str },
    /// A file of the development CA is invalid.
    #[error("{what} of the development CA is invalid")]
    CaInvalid { what: &'static str },
    /// The key does not match the certificate.
    #[error("the private key does not match the certificate{}", shown(certificate.as_deref()))]
    WrongKey { certificate: Option<PathBuf> },
    /// The certificate has expired or is not valid yet.
    #[error(
        "the certificate of {identity} is valid from {} to {}, and the clock of this machine is at {}",
        rfc3339(*not_before_ms), rfc3339(*not_after_ms), rfc3339(*now_ms)
    )]
    OutsideValidity {
        identity: String,
        not_before_ms: i64,
        not_after_ms: i64,
        now_ms: i64,
    },
    /// A renewed certificate has another identity than the one that it replaces.
    #[error("the new certificate is for {identity}")]
    OtherIdentity { identity: String },
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
                source:
                    FileError::NotPrivate { .. } | FileError::WrongOwner(_) | FileError::WritableByOthers { .. },
                ..
            } => ErrorCode::TlsKeyOpen,
            Self::File { .. } => ErrorCode::TlsFileUnreadable,
            Self::At { source, .. } => source.code(),
            Self::NotPem { .. } | Self::CaInvalid { .. } => ErrorCode::TlsFileInvalid,
            Self::WrongKey { .. } => ErrorCode::TlsKeyMismatch,
            Self::OutsideValidity { .. } if self.is_early() => ErrorCode::TlsCertificateNotYetValid,
            Self::OutsideValidity { .. } => ErrorCode::TlsCertificateExpired,
            Self::UntrustedIssuer { .. } => ErrorCode::TlsCertificateForeign,
            Self::OtherIdentity { .. } => ErrorCode::TlsCertificateWrongRole,
            Self::Identity(_) => ErrorCode::TlsIdentityInvalid,
            Self::Unusable(_) => ErrorCode::TlsUnusable,
        }
    }

    /// Whether the certificate has not begun.
    const fn is_early(&self) -> bool {
        matches!(self, Self::OutsideValidity { not_before_ms, now_ms, .. } if *now_ms < *not_before_ms)
    }

    /// Adds the path of the file that causes this error.
    fn at(self, path: &Path) -> Self {
        match self {
            // It names the path.
            Self::File { .. } | Self::At { .. } => self,
            other => Self::At {
                path: path.to_owned(),
                source: Box::new(other),
            },
        }
    }

    /// Whether this error has the same cause as an earlier one, whatever the time of the two.
    fn has_cause_of(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (
                Self::At { path, source },
                Self::At {
                    path: of,
                    source: cause,
                },
            ) => path == of && source.has_cause_of(cause),
            (
                Self::OutsideValidity {
                    identity,
                    not_before_ms,
                    not_after_ms,
                    ..
                },
                Self::OutsideValidity {
                    identity: other,
                    not_before_ms: from_ms,
                    not_after_ms: to_ms,
                    ..
                },
            ) => (identity, not_before_ms, not_after_ms) == (other, from_ms, to_ms),
            _ => self.code() == earlier.code() && self.to_string() == earlier.to_string(),
        }
    }

    fn fix(&self) -> String {
        match self {
            Self::File { source, .. } => source.fix(),
            Self::At { path, source } => match **source {
                Self::CaInvalid { .. } => format!("restore {} from a backup", path.display()),
                _ => source.fix(),
            },
            Self::CaInvalid { what } => format!("restore {what} from a backup"),
            Self::NotPem { what } => format!("provide {what} as PEM (certificate, or PKCS#8 private key)"),
            Self::WrongKey { .. } => "use the key that was created together with the certificate".to_owned(),
            Self::OutsideValidity { .. } if self.is_early() => {
                "correct the clock of this machine if it is behind; else wait until the certificate begins, or issue a new one"
                    .to_owned()
            }
            Self::OutsideValidity { .. } => "issue a new certificate, or correct the clock".to_owned(),
            Self::OtherIdentity { .. } => "issue a certificate with the same identity".to_owned(),
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

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" {}", path.display()))
}

/// Formats milliseconds since 1970 for messages, in seconds.
pub(crate) fn rfc3339(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{ms} ms"))
}
