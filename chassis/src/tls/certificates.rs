//! One version of a process's certificates, and the TLS configurations that they give.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};

use super::{PeerVerifier, TlsError};
use crate::identity::{PeerIdentity, Role};

/// Protocol of all connections between processes.
const ALPN: &[u8] = b"h2";
/// The own certificate in messages.
const CERTIFICATE: &str = "the certificate";

/// PEM data, with the path of its file if it is in one.
#[derive(Clone, Copy)]
pub(super) struct PemSource<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) path: Option<&'a Path>,
}

impl<'a> PemSource<'a> {
    pub(super) fn in_memory(bytes: &'a [u8]) -> Self {
        Self { bytes, path: None }
    }

    /// Names the file in an error that its content causes.
    fn check<T>(self, outcome: Result<T, TlsError>) -> Result<T, TlsError> {
        outcome.map_err(|error| match self.path {
            Some(path) => error.at(path),
            None => error,
        })
    }
}

/// Own certificate and key, and the trusted CAs.
pub(crate) struct Certificates {
    identity: PeerIdentity,
    roots: Arc<RootCertStore>,
    pair: Arc<SingleCertAndKey>,
    server: Arc<ServerConfig>,
    not_before_ms: i64,
    not_after_ms: i64,
    /// File of the own certificate, if it is in one.
    path: Option<PathBuf>,
    /// The public part as loaded: CAs and certificate.
    public_pem: Vec<u8>,
    /// Number of versions before this one.
    version: u64,
}

impl Certificates {
    /// Checks PEM data at the time `now_ms`: the key matches the certificate, a CA signed it, it is valid now, and has
    /// exactly one identity.
    pub(super) fn from_pem(
        ca: PemSource<'_>,
        cert: PemSource<'_>,
        key: PemSource<'_>,
        now_ms: i64,
    ) -> Result<Self, TlsError> {
        let roots = Arc::new(ca.check(authorities(ca.bytes))?);
        let chain = cert.check(certificates(cert.bytes, CERTIFICATE))?;
        let (identity, validity) = cert.check(identified(&chain))?;
        let pair = key.check(certified_key(chain.clone(), key.bytes, cert.path))?;
        let clients = ca.check(client_verifier(&roots))?;
        cert.check(check_issued(&*clients, &chain, &identity, &validity, now_ms))?;
        let pair = Arc::new(SingleCertAndKey::from(pair));
        Ok(Self {
            server: Arc::new(server_config(clients, pair.clone())?),
            identity,
            roots,
            pair,
            not_before_ms: validity.not_before_ms,
            not_after_ms: validity.not_after_ms,
            path: cert.path.map(Path::to_owned),
            public_pem: [ca.bytes, cert.bytes].concat(),
            version: 0,
        })
    }

    pub(crate) fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    /// Returns the path of the own certificate; `None` for one in memory.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the expiry of the own certificate, in milliseconds since 1970.
    pub(crate) fn not_after_ms(&self) -> i64 {
        self.not_after_ms
    }

    /// Returns the beginning of the own certificate, in milliseconds since 1970.
    pub(super) fn not_before_ms(&self) -> i64 {
        self.not_before_ms
    }

    /// Returns the time at which half of the lifetime has passed, in milliseconds since 1970.
    pub(super) fn half_life_ms(&self) -> i64 {
        i64::midpoint(self.not_before_ms, self.not_after_ms)
    }

    /// Returns the number of versions that this process used before.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.public_pem == other.public_pem
    }

    /// Numbers this version after another one.
    pub(super) fn after(mut self, other: &Self) -> Self {
        self.version = other.version + 1;
        self
    }

    /// Returns the server configuration: clients must present a certificate of a trusted CA, in every handshake.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// Returns the client configuration for a server of one role and, if given, instance.
    pub(crate) fn client_config(
        &self,
        role: Role,
        instance: Option<String>,
    ) -> Result<ClientConfig, TlsError> {
        let deployment = self.identity.deployment().to_owned();
        let verifier = PeerVerifier::new(self.roots.clone(), deployment, role, instance)?;
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(self.pair.clone());
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

/// A resumed session would skip the verification of the client's certificate, which may have ended: no session is
/// stored, and no ticket is issued.
fn server_config(
    clients: Arc<dyn ClientCertVerifier>,
    pair: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(pair);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn client_verifier(roots: &Arc<RootCertStore>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(unusable)
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match parsed {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsError::NotPem { what }),
    }
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    const WHAT: &str = "the CA certificate";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, WHAT)? {
        roots
            .add(certificate)
            .map_err(|_| TlsError::NotPem { what: WHAT })?;
    }
    Ok(roots)
}

/// Returns identity and validity of the leaf.
fn identified(chain: &[CertificateDer<'static>]) -> Result<(PeerIdentity, Validity), TlsError> {
    let leaf = chain.first().ok_or(TlsError::NotPem { what: CERTIFICATE })?;
    Ok((PeerIdentity::from_certificate(leaf)?, Validity::of(leaf)?))
}

fn certified_key(
    chain: Vec<CertificateDer<'static>>,
    key_pem: &[u8],
    cert_path: Option<&Path>,
) -> Result<CertifiedKey, TlsError> {
    const WHAT: &str = "the private key";
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::NotPem { what: WHAT })?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::WrongKey {
            certificate: cert_path.map(Path::to_owned),
        },
        _ => TlsError::NotPem { what: WHAT },
    })
}

/// Uses the client rules, because every certificate of a deployment is valid for clients.
fn check_issued(
    clients: &dyn ClientCertVerifier,
    chain: &[CertificateDer<'static>],
    identity: &PeerIdentity,
    validity: &Validity,
    now_ms: i64,
) -> Result<(), TlsError> {
    let (leaf, intermediates) = chain
        .split_first()
        .ok_or(TlsError::NotPem { what: CERTIFICATE })?;
    let now = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(now_ms).unwrap_or(0)));
    match clients.verify_client_cert(leaf, intermediates, now) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )) => Err(TlsError::OutsideValidity {
            identity: identity.uri(),
            not_before_ms: validity.not_before_ms,
            not_after_ms: validity.not_after_ms,
            now_ms,
        }),
        Err(_) => Err(TlsError::UntrustedIssuer {
            identity: identity.uri(),
        }),
    }
}

/// Validity of a certificate, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) not_before_ms: i64,
    pub(crate) not_after_ms: i64,
}

impl Validity {
    pub(crate) fn of(der: &[u8]) -> Result<Self, TlsError> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(der).map_err(|_| TlsError::NotPem { what: CERTIFICATE })?;
        let validity = certificate.validity();
        Ok(Self {
            not_before_ms: validity.not_before.timestamp().saturating_mul(1_000),
            not_after_ms: validity.not_after.timestamp().saturating_mul(1_000),
        })
    }
}

fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}
