//! Explains failed connections by their certificates, where those are the cause.

use std::error::Error;
use std::io;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

use super::rfc3339;
use crate::clock::{Clock as _, SystemClock};

/// The own certificate has ended, so no connection is opened.
#[derive(Debug, thiserror::Error)]
#[error("the certificate of {identity} ended at {}", rfc3339(*not_after_ms))]
pub(crate) struct OwnCertificateEnded {
    pub(crate) identity: String,
    pub(crate) not_after_ms: i64,
}

/// Returns how a certificate caused this error; `None` for other causes. Names the end of the certificate, if it is
/// known, and the clock of this machine.
pub(crate) fn certificate_cause(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = cause(error) {
            return Some(cause);
        }
        next = error.source();
    }
    None
}

fn cause(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(ended) = error.downcast_ref::<OwnCertificateEnded>() {
        return Some(with_clock(&ended.to_string()));
    }
    // An I/O error does not report the error that it wraps as its source.
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return certificate_cause(inner);
    }
    match error.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(problem) => of_peer(problem),
        rustls::Error::AlertReceived(alert) => of_own(*alert),
        _ => None,
    }
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
    use std::time::Duration;

    use super::*;

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
        assert!(
            cause.contains("1970-01-01T00:00:10Z") && cause.contains("clock"),
            "{cause}"
        );
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
