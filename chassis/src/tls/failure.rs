//! Explains failed connections by their certificates, where those are the cause.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use super::rfc3339;
use crate::clock::{Clock as _, SystemClock};

/// The own certificate has ended, so no connection is opened.
#[derive(Debug, thiserror::Error)]
#[error("the certificate of {identity}{} ended at {}", in_file(file.as_deref()), rfc3339(*not_after_ms))]
pub(crate) struct OwnCertificateEnded {
    pub(crate) identity: String,
    pub(crate) file: Option<PathBuf>,
    pub(crate) not_after_ms: i64,
}

fn in_file(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| format!(" in {}", file.display()))
}

/// How a certificate caused an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateCause {
    pub(crate) kind: CauseKind,
    /// Names the end of the certificate, if it is known, and the clock of this machine.
    pub(crate) text: String,
}

/// Certificate that caused an error, and who rejected it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CauseKind {
    /// The own one has ended, by the clock of this machine.
    OwnEnded,
    /// The peer rejected the own one.
    OwnRejected,
    /// This process rejected that of the peer.
    Peer,
}

/// Returns how a certificate caused this error; `None` for other causes.
pub(crate) fn certificate_cause(error: &(dyn Error + 'static)) -> Option<CertificateCause> {
    find(error, &|error| {
        if let Some(ended) = error.downcast_ref::<OwnCertificateEnded>() {
            return Some(CertificateCause {
                kind: CauseKind::OwnEnded,
                text: with_clock(&ended.to_string()),
            });
        }
        let (kind, text) = match error.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(problem) => (CauseKind::Peer, of_peer(problem)),
            rustls::Error::AlertReceived(alert) => (CauseKind::OwnRejected, of_own(*alert)),
            _ => return None,
        };
        text.map(|text| CertificateCause { kind, text })
    })
}

/// Returns why a server failed a handshake, as far as the client can be helped: by its certificate, or by its version
/// of TLS.
pub(crate) fn handshake_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let of_version = |error: &(dyn Error + 'static)| match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => Some("the client does not offer TLS 1.3, which is required".to_owned()),
        _ => None,
    };
    certificate_cause(error)
        .map(|cause| cause.text)
        .or_else(|| find(error, &of_version))
}

/// Returns the first cause that `cause` finds in the chain of an error.
fn find<T>(error: &(dyn Error + 'static), cause: &impl Fn(&(dyn Error + 'static)) -> Option<T>) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = cause(error) {
            return Some(found);
        }
        // An I/O error does not report the error that it wraps as its source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find(inner, cause)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn of_peer(problem: &CertificateError) -> Option<String> {
    Some(match problem {
        CertificateError::ExpiredContext { not_after, .. } => {
            with_clock(&format!("its certificate ended at {}", seconds(*not_after)))
        }
        CertificateError::Expired => with_clock("its certificate has ended"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            with_clock(&format!("its certificate begins at {}", seconds(*not_before)))
        }
        CertificateError::NotValidYet => with_clock("its certificate is not valid yet"),
        CertificateError::UnknownIssuer => {
            "its certificate is not from a CA that this process trusts".to_owned()
        }
        CertificateError::ApplicationVerificationFailure => {
            "its certificate is for another deployment, role or instance".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another role".to_owned()
        }
        _ => return None,
    })
}

fn of_own(alert: AlertDescription) -> Option<String> {
    Some(match alert {
        AlertDescription::CertificateExpired => {
            with_clock("it rejected the certificate of this process as ended or not yet valid")
        }
        AlertDescription::UnknownCA => {
            "it does not trust the CA of the certificate of this process".to_owned()
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRequired => "it rejected the certificate of this process".to_owned(),
        _ => return None,
    })
}

fn with_clock(text: &str) -> String {
    format!(
        "{text}; the clock of this machine is at {}",
        rfc3339(SystemClock.now_ms())
    )
}

fn seconds(time: UnixTime) -> String {
    rfc3339(
        i64::try_from(time.as_secs())
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::ServerName;

    use super::*;
    use crate::identity::Role;
    use crate::tls::dev_ca::{DevCa, LEAF_TTL};

    #[test]
    fn expiry_in_a_wrapped_certificate_error_is_reported() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let ended = CertificateError::ExpiredContext {
            time: at(20),
            not_after: at(10),
        };
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::InvalidCertificate(ended),
        );
        let cause = certificate_cause(&error).unwrap();
        assert_eq!(cause.kind, CauseKind::Peer);
        assert!(
            cause.text.contains("1970-01-01T00:00:10Z") && cause.text.contains("clock"),
            "{cause:?}"
        );
    }

    #[test]
    fn client_without_tls_1_3_is_reported_with_what_is_required() {
        let dir = tempfile::tempdir().unwrap();
        let authority = DevCa::create(&dir.path().join("ca"), "d1", SystemClock.now_ms()).unwrap();
        let leaf = authority.issue(Role::Ledger, None, LEAF_TTL, SystemClock.now_ms());
        let own = leaf.unwrap().material(SystemClock.now_ms()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let name = ServerName::try_from("ledger.synapsor.internal").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut server = rustls::ServerConnection::new(own.current().server_config()).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        server.read_tls(&mut hello.as_slice()).unwrap();
        let error = server.process_new_packets().unwrap_err();
        let error = io::Error::new(io::ErrorKind::InvalidData, error);
        let cause = handshake_cause(&error).unwrap();
        assert!(cause.contains("TLS 1.3"), "{cause}");
    }

    #[test]
    fn other_errors_have_no_certificate_cause() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(certificate_cause(&refused), None);
        let tls = io::Error::new(
            io::ErrorKind::InvalidData,
            rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
        );
        assert_eq!(certificate_cause(&tls), None);
    }
}
