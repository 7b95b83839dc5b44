//! Verifies server certificates on the client: CA signature, DNS name of the role, and identity, whatever address
//! was dialed.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::TlsError;
use crate::identity::{PeerIdentity, Role};

/// Accepts only servers of one deployment, role and, if given, instance.
#[derive(Debug)]
pub(super) struct PeerVerifier {
    authority: Arc<WebPkiServerVerifier>,
    deployment: String,
    role: Role,
    instance: Option<String>,
}

impl PeerVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        deployment: String,
        role: Role,
        instance: Option<String>,
    ) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let authority = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|e| TlsError::Unusable(e.to_string()))?;
        Ok(Arc::new(Self {
            authority,
            deployment,
            role,
            instance,
        }))
    }

    fn expects(&self, peer: &PeerIdentity) -> bool {
        peer.deployment() == self.deployment
            && peer.role() == self.role
            && self
                .instance
                .as_deref()
                .is_none_or(|wanted| peer.instance() == Some(wanted))
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.authority
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        match PeerIdentity::from_certificate(end_entity) {
            Ok(peer) if self.expects(&peer) => Ok(verified),
            Ok(_) | Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authority.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.authority.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authority.supported_verify_schemes()
    }
}
