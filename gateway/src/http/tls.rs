//! TLS server certificate, which is reloaded when its files change. It is separate from the client certificate
//! that the gateway presents to the reader.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use synapsor_chassis::files::{self, FileWatch};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use tokio_rustls::TlsAcceptor;

const PEM_BYTES_MAX: u64 = 256 * 1024;

/// ALPN name of HTTP/2.
pub(super) const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// Paths of the certificate and its key. Both are PEM; other users must not be able to read the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerTlsFiles {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

/// TLS acceptor with a reloadable certificate.
pub(super) struct ServerTls {
    files: ServerTlsFiles,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

/// Certificate for the next handshake.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl ServerTls {
    /// Loads the files.
    ///
    /// # Errors
    /// When the files are invalid.
    pub(super) fn load(files: ServerTlsFiles) -> Result<Self, ExitError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(Current(RwLock::new(read(&files, &provider)?)));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        // A resumed connection would not receive a replaced certificate.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self {
            files,
            provider,
            current,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    pub(super) fn watch(&self) -> FileWatch {
        FileWatch::new(vec![self.files.cert.clone(), self.files.key.clone()])
    }

    /// Reloads the files. If they are invalid, the previous certificate stays in use.
    ///
    /// # Errors
    /// When the files are invalid.
    pub(super) fn read_again(&self) -> Result<(), ExitError> {
        let new = read(&self.files, &self.provider)?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        if current.cert != new.cert {
            tracing::info!("TLS certificate reloaded");
        }
        *current = new;
        Ok(())
    }
}

fn read(files: &ServerTlsFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, ExitError> {
    let cert = files::read_bounded(&files.cert, PEM_BYTES_MAX)?;
    let key = files::read_private(&files.key, PEM_BYTES_MAX)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<_, _>>()
        .map_err(|_| unusable("the certificate is not PEM"))?;
    if chain.is_empty() {
        return Err(unusable("the certificate file contains no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| unusable("the key is not PEM"))?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| unusable("the key type is not supported"))?;
    let certified = CertifiedKey::new(chain, key);
    certified
        .keys_match()
        .map_err(|_| unusable("the key does not match the certificate"))?;
    Ok(Arc::new(certified))
}

fn unusable(why: &str) -> ExitError {
    ExitError::new(
        ErrorCode::HttpTlsFilesInvalid,
        format!("invalid TLS server files: {why}"),
    )
    .with_fix(
        "set --tls-server-cert to a PEM file, leaf first, and --tls-server-key to its PEM key with mode 0600",
    )
}
