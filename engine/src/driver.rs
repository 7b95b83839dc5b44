//! Runs the driver's work: contains its panics, and classifies why a connection failed.

use std::io;

use rustls::CertificateError;
use sqlx::Error;
use synapsor_chassis::panics::{self, Panicked};
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::ErrorCause;

/// Runs work of the driver. A panic counts as a lost worker: a malformed answer of one server must not end the
/// process that serves others.
pub(crate) async fn run<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match panics::contain(work).await {
        Ok(done) => done,
        Err(Panicked) => Err(Error::WorkerCrashed),
    }
}

/// Reads values from the driver's rows. Like [`run`], it contains panics: the driver finds the values of a row by the
/// columns that the server announced, which a malformed row does not have.
pub(crate) fn read<T>(values: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    match panics::contain_now(values) {
        Ok(read) => read,
        Err(Panicked) => Err(Error::WorkerCrashed),
    }
}

/// Returns the error of a connection that failed below the database protocol; `None` for other errors.
pub(crate) fn connection_error(error: &Error) -> Option<EngineError> {
    let unavailable =
        |detail: String, cause| Some(EngineError::new(EngineErrorKind::Unavailable, detail).because(cause));
    match error {
        Error::Io(error) => {
            let cause = io_cause(error);
            let detail = match cause {
                ErrorCause::CertificateNotTrusted
                | ErrorCause::CertificateExpired
                | ErrorCause::CertificateNotYetValid
                | ErrorCause::CertificateUnfit
                | ErrorCause::CertificateOfOtherHost => "server certificate refused".to_owned(),
                _ => format!("the connection failed: {}", error.kind()),
            };
            unavailable(detail, cause)
        }
        Error::Tls(_) => unavailable("TLS negotiation failed".to_owned(), ErrorCause::TlsNotOffered),
        Error::Protocol(_) | Error::WorkerCrashed => unavailable(
            "the server violated the protocol".to_owned(),
            ErrorCause::OtherProtocol,
        ),
        _ => None,
    }
}

/// Returns host and port of a server, or the path of its socket, for messages.
pub(crate) fn server_name(host: &str, port: u16) -> String {
    if host.starts_with('/') {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// Classifies a failed connection attempt to a host or the path of a socket; asks the name server if the error does not
/// say what failed.
pub(crate) async fn attempt_error(error: EngineError, host: &str, port: u16) -> EngineError {
    let is_path = host.starts_with('/');
    let mut error = error.at(&server_name(host, port));
    if is_path && error.cause == ErrorCause::ConnectionRefused {
        error.detail = "the connection failed".to_owned();
        return error.because(ErrorCause::SocketWithoutServer);
    }
    if error.cause == ErrorCause::Unspecified
        && error.kind == EngineErrorKind::Unavailable
        && !is_path
        && tokio::net::lookup_host((host, port)).await.is_err()
    {
        error.detail = "name resolution failed".to_owned();
        return error.because(ErrorCause::HostUnknown);
    }
    error
}

fn io_cause(error: &io::Error) -> ErrorCause {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::InvalidData => match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(rustls::Error::InvalidMessage(_)) => ErrorCause::OtherProtocol,
            Some(rustls::Error::InvalidCertificate(problem)) => certificate_cause(problem),
            // The driver reports a certificate that is not trusted in this form too.
            _ => ErrorCause::CertificateNotTrusted,
        },
        // The directory of a socket without a server has no socket file.
        Kind::ConnectionRefused | Kind::NotFound => ErrorCause::ConnectionRefused,
        Kind::TimedOut | Kind::HostUnreachable | Kind::NetworkUnreachable => ErrorCause::NoAnswer,
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            ErrorCause::ConnectionLost
        }
        _ => ErrorCause::Unspecified,
    }
}

fn certificate_cause(problem: &CertificateError) -> ErrorCause {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ErrorCause::CertificateExpired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            ErrorCause::CertificateNotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ErrorCause::CertificateOfOtherHost
        }
        // Every other reason that the TLS library does not name: the certificate is not one of a server.
        CertificateError::Other(_)
        | CertificateError::InvalidPurpose
        | CertificateError::InvalidPurposeContext { .. } => ErrorCause::CertificateUnfit,
        _ => ErrorCause::CertificateNotTrusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn panic_of_a_driver_is_an_error_of_its_connection() {
        let work = async {
            let answer: &[u8] = &[];
            Ok(answer[0])
        };
        let error = connection_error(&run(work).await.unwrap_err()).unwrap();
        assert_eq!(
            (error.kind, error.cause),
            (EngineErrorKind::Unavailable, ErrorCause::OtherProtocol)
        );
    }

    #[tokio::test]
    async fn unknown_host_is_named_with_its_port() {
        let failed = EngineError::new(EngineErrorKind::Unavailable, "the connection failed: Other");
        let error = attempt_error(failed, "no-such-host.invalid", 5432).await;
        assert_eq!(error.cause, ErrorCause::HostUnknown);
        assert_eq!(error.server.as_deref(), Some("no-such-host.invalid:5432"));
    }

    #[tokio::test]
    async fn socket_without_server_is_named_by_its_path() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let failed = connection_error(&Error::Io(missing)).unwrap();
        let error = attempt_error(failed, "/run/db/.s.PGSQL.5432", 5432).await;
        assert_eq!(error.cause, ErrorCause::SocketWithoutServer);
        assert_eq!(error.server.as_deref(), Some("/run/db/.s.PGSQL.5432"));
        assert!(!error.detail.contains("not found"), "{}", error.detail);
    }

    #[test]
    fn refused_certificate_has_its_reason() {
        let cause = |problem| {
            let error = io::Error::new(
                io::ErrorKind::InvalidData,
                rustls::Error::InvalidCertificate(problem),
            );
            connection_error(&Error::Io(error)).unwrap().cause
        };
        assert_eq!(cause(CertificateError::Expired), ErrorCause::CertificateExpired);
        assert_eq!(
            cause(CertificateError::NotValidYet),
            ErrorCause::CertificateNotYetValid
        );
        assert_eq!(
            cause(CertificateError::NotValidForName),
            ErrorCause::CertificateOfOtherHost
        );
        assert_eq!(
            cause(CertificateError::Other(rustls::OtherError(std::sync::Arc::new(
                io::Error::other("an authority")
            )))),
            ErrorCause::CertificateUnfit
        );
        assert_eq!(
            cause(CertificateError::UnknownIssuer),
            ErrorCause::CertificateNotTrusted
        );
    }

    #[test]
    fn driver_text_is_dropped() {
        let error = connection_error(&Error::Io(io::Error::other("secret"))).unwrap();
        assert!(!error.detail.contains("secret"), "{}", error.detail);
    }
}
