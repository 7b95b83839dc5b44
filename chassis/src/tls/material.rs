//! TLS material of a process: own certificate, key and trusted CA, checked together when loaded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use zeroize::Zeroizing;

use super::{PeerVerifier, TlsError, TlsFiles};
use crate::clock::{Clock, SystemClock};
use crate::files;
use crate::identity::{PeerIdentity, Role};

const PEM_BYTES_MAX: u64 = 256 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Checked certificates of one process. Cheap to clone; Debug prints the identity only.
#[derive(Clone)]
pub struct TlsMaterial(Arc<Inner>);

struct Inner {
    ca_pem: Vec<u8>,
    cert_pem: Vec<u8>,
    key_pem: Zeroizing<Vec<u8>>,
    roots: Arc<RootCertStore>,
    identity: PeerIdentity,
    not_after_ms: i64,
}

impl TlsFiles {
    /// Loads and checks the three files: readable, key closed to other users, key matches the certificate,
    /// certificate signed by the CA, valid now, exactly one identity.
    ///
    /// # Errors
    /// The first problem found.
    pub fn load(&self) -> Result<TlsMaterial, TlsError> {
        let read = |what, path| {
            files::read_bounded(path, PEM_BYTES_MAX).map_err(|source| TlsError::File { what, source })
        };
        let ca = read("the CA certificate", &self.ca)?;
        let cert = read("the certificate", &self.cert)?;
        let key = files::read_private(&self.key, PEM_BYTES_MAX).map_err(|source| TlsError::File {
            what: "the private key",
            source,
        })?;
        TlsMaterial::from_pem(ca, cert, key, SystemClock.now_ms())
    }
}

impl TlsMaterial {
    /// Checks PEM data in memory, at the time `now_ms`.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub fn from_pem(
        ca_pem: Vec<u8>,
        cert_pem: Vec<u8>,
        key_pem: Zeroizing<Vec<u8>>,
        now_ms: i64,
    ) -> Result<Self, TlsError> {
        let roots = Arc::new(authority(&ca_pem)?);
        let chain = certificates(&cert_pem, "the certificate")?;
        let leaf = chain
            .first()
            .ok_or(TlsError::NotPem {
                what: "the certificate",
            })?
            .clone();
        let identity = PeerIdentity::from_certificate(&leaf)?;
        check_pair(chain.clone(), &key_pem)?;
        check_issued(&roots, &chain, &identity, now_ms)?;
        let not_after_ms = not_after_ms(&leaf)?;
        Ok(Self(Arc::new(Inner {
            ca_pem,
            cert_pem,
            key_pem,
            roots,
            identity,
            not_after_ms,
        })))
    }

    /// Returns the identity in the certificate.
    pub fn identity(&self) -> &PeerIdentity {
        &self.0.identity
    }

    /// Returns the certificate's expiry, in milliseconds since 1970.
    pub fn not_after_ms(&self) -> i64 {
        self.0.not_after_ms
    }

    fn own(&self) -> Identity {
        Identity::from_pem(&self.0.cert_pem, &*self.0.key_pem)
    }

    /// Returns the server configuration: clients must present a certificate of the deployment's CA.
    pub(crate) fn server_config(&self) -> ServerTlsConfig {
        ServerTlsConfig::new()
            .identity(self.own())
            .client_ca_root(Certificate::from_pem(&self.0.ca_pem))
            .client_auth_optional(false)
            .timeout(HANDSHAKE_TIMEOUT)
    }

    /// Returns the client configuration with the own certificate; [`TlsMaterial::peer_verifier`] verifies the
    /// server.
    pub(crate) fn client_config(&self, role: Role) -> ClientTlsConfig {
        ClientTlsConfig::new()
            .identity(self.own())
            .domain_name(role.server_name())
            .timeout(HANDSHAKE_TIMEOUT)
    }

    pub(crate) fn peer_verifier(
        &self,
        role: Role,
        instance: Option<String>,
    ) -> Result<Arc<PeerVerifier>, TlsError> {
        PeerVerifier::new(
            self.0.roots.clone(),
            self.0.identity.deployment().to_owned(),
            role,
            instance,
        )
    }
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsMaterial")
            .field(&self.0.identity.uri())
            .finish()
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::NotPem { what }),
    }
}

fn authority(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    const WHAT: &str = "the CA certificate";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, WHAT)? {
        roots
            .add(certificate)
            .map_err(|_| TlsError::NotPem { what: WHAT })?;
    }
    Ok(roots)
}

fn check_pair(chain: Vec<CertificateDer<'static>>, key_pem: &[u8]) -> Result<(), TlsError> {
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::NotPem {
        what: "the private key",
    })?;
    match CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::WrongKey),
        Err(_) => Err(TlsError::NotPem {
            what: "the private key",
        }),
    }
}

/// Uses the client rules, because every certificate of a deployment is valid for clients.
fn check_issued(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    identity: &PeerIdentity,
    now_ms: i64,
) -> Result<(), TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider)
        .build()
        .map_err(|e| TlsError::Unusable(e.to_string()))?;
    let (leaf, intermediates) = chain.split_first().ok_or(TlsError::NotPem {
        what: "the certificate",
    })?;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
    match verifier.verify_client_cert(leaf, intermediates, now) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Err(TlsError::OutsideValidity {
            identity: identity.uri(),
        }),
        Err(_) => Err(TlsError::UntrustedIssuer {
            identity: identity.uri(),
        }),
    }
}

/// Returns the certificate's expiry, in milliseconds since 1970.
pub(super) fn not_after_ms(der: &[u8]) -> Result<i64, TlsError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| TlsError::NotPem {
        what: "the certificate",
    })?;
    Ok(certificate.validity().not_after.timestamp().saturating_mul(1_000))
}
