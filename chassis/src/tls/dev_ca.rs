//! Development CA in a directory, for one machine or a small deployment: created once, issues short-lived leaf
//! certificates. Larger deployments use their own CA instead.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pkcs8::der::pem::PemLabel as _;
use pkcs8::{LineEnding, PrivateKeyInfo, SecretDocument};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;
use zeroize::Zeroizing;

use super::certificates::{Certificates, PemSource};
use super::{TlsError, TlsFiles, TlsMaterial, Validity};
use crate::files::{self, FileError, MODE_PUBLIC};
use crate::identity::{self, IdentityError, PeerIdentity, Role};
use crate::random;

/// Default validity of a leaf certificate.
pub const LEAF_TTL: Duration = Duration::from_secs(24 * 60 * 60);

const CA_TTL: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
/// Tolerated clock difference between machines.
const CLOCK_SKEW_ALLOWANCE: Duration = Duration::from_secs(5 * 60);
const CA_CERT: &str = "ca.pem";
const CA_KEY: &str = "ca.key";
/// The two files in messages.
const CA_CERT_NAME: &str = "the certificate";
const CA_KEY_NAME: &str = "the private key";
const PEM_BYTES_MAX: u64 = 64 * 1024;

/// CA in a directory: `ca.pem` and `ca.key`.
#[derive(Debug)]
pub struct DevCa {
    dir: PathBuf,
    deployment: String,
    cert_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Leaf certificate and key, not written to a directory yet. Debug prints the identity only.
pub struct Leaf {
    identity: PeerIdentity,
    ca_pem: String,
    cert_pem: String,
    key_pem: Zeroizing<String>,
}

/// Certificate found in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedLeaf {
    /// File name without `.pem`.
    pub name: String,
    /// Identity in the certificate.
    pub identity: PeerIdentity,
    /// Expiry, in milliseconds since 1970.
    pub not_after_ms: i64,
}

impl DevCa {
    /// Creates a CA for `deployment` in `dir` (created with mode 0700 if missing).
    ///
    /// # Errors
    /// When a CA already exists, the directory is unsafe, or `deployment` is malformed.
    pub fn create(dir: &Path, deployment: &str, now_ms: i64) -> Result<Self, TlsError> {
        // The ledger's identity is the shortest one that checks the form of the deployment.
        PeerIdentity::new(deployment, Role::Ledger, None)?;
        files::create_private_dir(dir).map_err(in_folder)?;
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(unusable)?;
        let params = ca_params(deployment, now_ms)?;
        let cert_pem = params.self_signed(&key).map_err(unusable)?.pem();
        let key_pem = key_pem(&key)?;
        files::create_exclusive(&dir.join(CA_KEY), key_pem.as_bytes()).map_err(in_folder)?;
        files::write_atomic(&dir.join(CA_CERT), cert_pem.as_bytes(), MODE_PUBLIC).map_err(in_folder)?;
        Ok(Self {
            dir: dir.to_owned(),
            deployment: deployment.to_owned(),
            cert_pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// Loads the CA from `dir`.
    ///
    /// # Errors
    /// When the files are missing, unsafe, not a pair, or not created by [`DevCa::create`].
    pub fn load(dir: &Path) -> Result<Self, TlsError> {
        files::check_private_dir(dir).map_err(in_folder)?;
        let (cert_path, key_path) = (dir.join(CA_CERT), dir.join(CA_KEY));
        let cert_bytes = files::read_bounded(&cert_path, PEM_BYTES_MAX).map_err(in_folder)?;
        let key_bytes = files::read_own_private(&key_path, PEM_BYTES_MAX).map_err(in_folder)?;
        let cert_pem = String::from_utf8(cert_bytes).map_err(|_| ca_invalid(&cert_path, CA_CERT_NAME))?;
        let key = ca_key(&key_bytes).ok_or_else(|| ca_invalid(&key_path, CA_KEY_NAME))?;
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes())
            .map_err(|_| ca_invalid(&cert_path, CA_CERT_NAME))?;
        let (deployment, public_key) = named_in(&der).map_err(|error| error.at(&cert_path))?;
        if public_key != key.public_key_raw() {
            let certificate = Some(cert_path);
            return Err(TlsError::WrongKey { certificate }.at(&key_path));
        }
        // Leaves use only the names and key usages of these parameters, so the time does not matter.
        let issuer = Issuer::new(ca_params(&deployment, 0)?, key);
        Ok(Self {
            dir: dir.to_owned(),
            deployment,
            cert_pem,
            issuer,
        })
    }

    /// Returns the deployment of this CA.
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Returns the path of the CA certificate.
    pub fn cert_path(&self) -> PathBuf {
        self.dir.join(CA_CERT)
    }

    /// Issues a leaf certificate, valid from a few minutes before `now_ms` until `ttl` after it. Certificates of
    /// readers, writers and ledgers are valid for servers and clients; those of gateways and operators for clients
    /// only.
    ///
    /// # Errors
    /// When the instance is malformed, missing, or given for a ledger.
    pub fn issue(
        &self,
        role: Role,
        instance: Option<&str>,
        ttl: Duration,
        now_ms: i64,
    ) -> Result<Leaf, TlsError> {
        let identity = PeerIdentity::new(&self.deployment, role, instance)?;
        let mut names = vec![SanType::URI(ia5(&identity.uri())?)];
        let mut usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if role.serves() {
            names.push(SanType::DnsName(ia5(&role.server_name())?));
            usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let mut params = params(&identity.uri(), ttl, now_ms)?;
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(unusable)?;
        let cert_pem = params.signed_by(&key, &self.issuer).map_err(unusable)?.pem();
        let key_pem = key_pem(&key)?;
        Ok(Leaf {
            identity,
            ca_pem: self.cert_pem.clone(),
            cert_pem,
            key_pem,
        })
    }

    /// Issues certificates for this process, in memory only, and again whenever half of `ttl` has passed.
    ///
    /// # Errors
    /// As [`DevCa::issue`].
    pub fn renewing(
        authority: &Arc<Self>,
        role: Role,
        instance: Option<&str>,
        ttl: Duration,
    ) -> Result<TlsMaterial, TlsError> {
        let (authority, instance) = (Arc::clone(authority), instance.map(str::to_owned));
        TlsMaterial::issued_by(move |now_ms| {
            let leaf = authority.issue(role, instance.as_deref(), ttl, now_ms)?;
            let pem = [&leaf.ca_pem, &leaf.cert_pem, &*leaf.key_pem];
            let [ca, cert, key] = pem.map(|pem| PemSource::in_memory(pem.as_bytes()));
            Certificates::from_pem(ca, cert, key, now_ms)
        })
    }

    /// Lists the leaf certificates in the CA's directory, by name.
    ///
    /// # Errors
    /// When the directory or a certificate in it cannot be read.
    pub fn list(&self) -> Result<Vec<IssuedLeaf>, TlsError> {
        list(&self.dir)
    }
}

/// Lists the leaf certificates (`NAME.pem`) in a directory, by name, without the CA certificate.
///
/// # Errors
/// When the directory or a certificate in it cannot be read.
pub fn list(dir: &Path) -> Result<Vec<IssuedLeaf>, TlsError> {
    let unreadable = |e: std::io::Error| {
        in_folder(FileError::Io {
            path: dir.to_owned(),
            kind: e.kind(),
        })
    };
    let mut leaves = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let (Some(file), Some(name)) = (path.file_name(), path.file_stem().and_then(|s| s.to_str())) else {
            continue;
        };
        if file == CA_CERT || path.extension().is_none_or(|extension| extension != "pem") {
            continue;
        }
        let pem = files::read_bounded(&path, PEM_BYTES_MAX).map_err(in_folder)?;
        leaves.push(issued_leaf(name, &pem).map_err(|error| error.at(&path))?);
    }
    leaves.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(leaves)
}

fn issued_leaf(name: &str, pem: &[u8]) -> Result<IssuedLeaf, TlsError> {
    let what = "the certificate";
    let der = CertificateDer::from_pem_slice(pem).map_err(|_| TlsError::NotPem { what })?;
    Ok(IssuedLeaf {
        name: name.to_owned(),
        identity: PeerIdentity::from_certificate(&der)?,
        not_after_ms: Validity::of(&der)?.not_after_ms,
    })
}

impl TlsFiles {
    /// Returns the paths at which [`Leaf::write`] writes.
    pub fn in_dir(dir: &Path, name: &str) -> Self {
        Self {
            ca: dir.join(CA_CERT),
            cert: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
        }
    }
}

impl Leaf {
    /// Returns the identity in the certificate.
    pub fn identity(&self) -> &PeerIdentity {
        &self.identity
    }

    /// Returns the certificate, PEM.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Returns the private key, PKCS#8 PEM.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// Returns TLS material for this leaf without writing a file.
    ///
    /// # Errors
    /// When the certificate is not valid at `now_ms`.
    pub fn material(&self, now_ms: i64) -> Result<TlsMaterial, TlsError> {
        TlsMaterial::from_pem(
            self.ca_pem.as_bytes(),
            self.cert_pem.as_bytes(),
            &Zeroizing::new(self.key_pem.as_bytes().to_vec()),
            now_ms,
        )
    }

    /// Writes `NAME.pem`, `NAME.key` (0600) and `ca.pem` into `dir` (created with mode 0700 if missing), replacing
    /// an older leaf of that name. `name` has the form of an instance name and is not `ca`.
    ///
    /// # Errors
    /// When the name is malformed, or the directory is unsafe or not writable.
    pub fn write(&self, dir: &Path, name: &str) -> Result<TlsFiles, TlsError> {
        // The name `ca` would replace the CA's own key.
        if !identity::is_name(name) || name.eq_ignore_ascii_case("ca") {
            return Err(IdentityError::BadInstance.into());
        }
        files::create_private_dir(dir).map_err(in_folder)?;
        let written = TlsFiles::in_dir(dir, name);
        files::write_atomic(&written.key, self.key_pem.as_bytes(), files::MODE_PRIVATE).map_err(in_folder)?;
        files::write_atomic(&written.cert, self.cert_pem.as_bytes(), MODE_PUBLIC).map_err(in_folder)?;
        files::write_atomic(&written.ca, self.ca_pem.as_bytes(), MODE_PUBLIC).map_err(in_folder)?;
        Ok(written)
    }
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Leaf").field(&self.identity.uri()).finish()
    }
}

fn params(common_name: &str, ttl: Duration, now_ms: i64) -> Result<CertificateParams, TlsError> {
    let now = OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1_000)).map_err(unusable)?;
    let mut params = CertificateParams::default();
    params.not_before = now - CLOCK_SKEW_ALLOWANCE;
    params.not_after = now
        .checked_add(ttl.try_into().map_err(unusable)?)
        .ok_or_else(|| unusable("too long"))?;
    params.serial_number = Some(SerialNumber::from_slice(&random::bytes::<16>()));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    Ok(params)
}

fn ca_params(deployment: &str, now_ms: i64) -> Result<CertificateParams, TlsError> {
    let mut params = params(
        &format!("Synapsor development authority {deployment}"),
        CA_TTL,
        now_ms,
    )?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.subject_alt_names = vec![SanType::URI(ia5(&format!("spiffe://{deployment}"))?)];
    Ok(params)
}

fn ca_key(bytes: &[u8]) -> Option<KeyPair> {
    KeyPair::from_pem(std::str::from_utf8(bytes).ok()?).ok()
}

/// Returns the deployment and the public key in the CA certificate.
fn named_in(der: &[u8]) -> Result<(String, Vec<u8>), TlsError> {
    let invalid = || TlsError::CaInvalid { what: CA_CERT_NAME };
    let (_, certificate) = x509_parser::parse_x509_certificate(der).map_err(|_| invalid())?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|_| invalid())?
        .ok_or(IdentityError::NoUri)?;
    let deployment = names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://"),
        _ => None,
    });
    let deployment = deployment.ok_or(IdentityError::NoUri)?;
    PeerIdentity::new(deployment, Role::Ledger, None)?;
    let public_key = &certificate.public_key().subject_public_key.data;
    Ok((deployment.to_owned(), public_key.to_vec()))
}

fn ia5(text: &str) -> Result<Ia5String, TlsError> {
    Ia5String::try_from(text).map_err(unusable)
}

fn in_folder(source: FileError) -> TlsError {
    TlsError::File {
        what: "the certificate directory",
        source,
    }
}

fn ca_invalid(path: &Path, what: &'static str) -> TlsError {
    TlsError::CaInvalid { what }.at(path)
}

fn unusable(error: impl std::fmt::Display) -> TlsError {
    TlsError::Unusable(error.to_string())
}

/// Encodes a key in the first version of PKCS#8, which has no public key: OpenSSL before 3.2 reads no other.
fn key_pem(key: &KeyPair) -> Result<Zeroizing<String>, TlsError> {
    let der = Zeroizing::new(key.serialize_der());
    let unusable = || TlsError::Unusable("a new key has no PKCS#8 form".to_owned());
    let mut info = PrivateKeyInfo::try_from(der.as_slice()).map_err(|_| unusable())?;
    info.public_key = None;
    let document = SecretDocument::try_from(info).map_err(|_| unusable())?;
    document
        .to_pem(PrivateKeyInfo::PEM_LABEL, LineEnding::LF)
        .map_err(|_| unusable())
}
