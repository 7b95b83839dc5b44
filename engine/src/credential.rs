//! Database credentials: the URL and its certificates. Each comes from the environment variable that the
//! contract names, or from the file that `NAME_FILE` names. They are read again for every new connection, so
//! a rotated password or certificate is used without a restart. No part of them is ever printed.

use std::fmt;
use std::path::Path;

use synapsor_chassis::files::byte_order::Encoding;
use synapsor_chassis::files::{self, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::secret::{Secret, SecretError};
use synapsor_chassis::settings::EnvVars;
use synapsor_domain::contract::{Source, Ssl, SslMode};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;

use synapsor_source::db_error_message::explain;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::{CertificatesProblem, ErrorCause, UnusableSetting};

use crate::{authorities, mysql, postgres};

/// Maximum size of a file of certificates, in bytes; bundles of cloud providers have some hundred kilobytes.
const CERTIFICATES_BYTES_MAX: u64 = 1024 * 1024;

/// Fix of a URL whose error has none of its own.
pub(crate) const URL_FIX: &str = "correct the URL, or the file that it names";

/// Locations of the URL and the certificates of one source.
#[derive(Clone)]
pub struct Credential {
    env: EnvVars,
    url_name: String,
    ssl: Option<Ssl>,
    /// Variable of the authorities, without a contract.
    ca_name: Option<String>,
    is_galera_single_writer: bool,
}

/// The credential material as read at one time.
pub struct CredentialMaterial {
    pub url: Secret,
    /// The mode that the contract requires; `None` leaves it to the engine: unencrypted on loopback,
    /// `verify-full` elsewhere.
    pub mode: Option<SslMode>,
    /// The authorities that the TLS library accepts, PEM.
    pub ca: Option<Vec<u8>>,
    /// PEM: certificate and key.
    pub client: Option<(Vec<u8>, Secret)>,
    /// Changes when any of the material does; connections of another generation are not used for new work.
    pub generation: Digest,
}

impl Credential {
    /// Returns the credential that the readers of a source use.
    pub fn for_reading(source: &Source, env: &EnvVars) -> Self {
        Self::of_source(source, source.read_url_env.clone(), env)
    }

    /// Creates a credential of one source from the variable of this name.
    pub fn of_source(source: &Source, url_name: String, env: &EnvVars) -> Self {
        Self {
            env: env.clone(),
            url_name,
            ssl: source.ssl.clone(),
            ca_name: None,
            is_galera_single_writer: source.is_galera_single_writer,
        }
    }

    /// Creates a credential without a contract from the variable of this name.
    pub fn of_variable(name: &str, env: &EnvVars) -> Self {
        Self {
            env: env.clone(),
            url_name: name.to_owned(),
            ssl: None,
            ca_name: None,
            is_galera_single_writer: false,
        }
    }

    /// Trusts the authorities of the variable of this name too, and requires a connection that they verify.
    #[must_use]
    pub fn with_authorities(mut self, name: Option<&str>) -> Self {
        self.ca_name = name.map(str::to_owned);
        self
    }

    /// Returns the name of the variable that holds the URL.
    pub fn url_name(&self) -> &str {
        &self.url_name
    }

    /// Reads the URL alone.
    pub fn url(&self) -> Result<Secret, SecretError> {
        Secret::read(&self.env, &self.url_name)
    }

    /// Whether the owner declares that the server takes all writes of its cluster.
    pub const fn is_galera_single_writer(&self) -> bool {
        self.is_galera_single_writer
    }

    /// Whether a URL is set; returns an error if it cannot be read.
    pub fn is_present(&self) -> Result<bool, ExitError> {
        Ok(Secret::read_optional(&self.env, &self.url_name)?.is_some())
    }

    /// Reads the current material.
    ///
    /// # Errors
    /// `Unavailable` if a variable is unset or its file is unusable; the cause names the variable.
    pub fn read(&self) -> Result<CredentialMaterial, EngineError> {
        let secret = |name: &str| Secret::read(&self.env, name).map_err(unreadable);
        let public = |name: Option<&String>| name.map(|name| self.certificates(name)).transpose();
        let ssl = self.ssl.as_ref();
        let url = secret(&self.url_name)?;
        let ca_name = ssl.and_then(|s| s.ca_env.as_ref()).or(self.ca_name.as_ref());
        let bundle = public(ca_name)?;
        let cert = public(ssl.and_then(|s| s.cert_env.as_ref()))?;
        let key = ssl.and_then(|s| s.key_env.as_ref());
        let key = key.map(|name| secret(name)).transpose()?;
        let mut bytes = Vec::new();
        let parts = [Some(url.expose().as_bytes()), bundle.as_deref(), cert.as_deref()];
        for part in parts
            .into_iter()
            .chain([key.as_ref().map(|key| key.expose().as_bytes())])
        {
            let part = part.unwrap_or_default();
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        let bytes = zeroize::Zeroizing::new(bytes);
        let ca = match (bundle, ca_name) {
            (Some(bundle), Some(name)) => {
                Some(authorities::usable(&bundle).map_err(|problem| unusable(name, problem))?)
            }
            _ => None,
        };
        let of_authorities = self.ca_name.as_ref().map(|_| mode_with_authorities(url.expose()));
        Ok(CredentialMaterial {
            mode: ssl.map(|s| s.mode).or(of_authorities),
            url,
            ca,
            client: cert.zip(key),
            generation: Digest::of_typed("application/vnd.synapsor.credential.v1", &bytes),
        })
    }

    /// Returns the mode that the contract or the named authorities require, as of now.
    pub fn required_mode(&self) -> Option<SslMode> {
        self.read().ok().and_then(|material| material.mode)
    }

    /// Reads certificates. Unlike a secret, their file may be world-readable, and the text between them may have any
    /// encoding.
    fn certificates(&self, name: &str) -> Result<Vec<u8>, EngineError> {
        let variable = |name: &str| {
            let read = self.env.get(name);
            read.map_err(|_| unusable(name, CertificatesProblem::NotPem))
        };
        match (variable(name)?, variable(&format!("{name}_FILE"))?) {
            (Some(text), None) => Ok(text.into_bytes()),
            (None, Some(path)) => {
                files::read_bounded(Path::new(&path), CERTIFICATES_BYTES_MAX).map_err(|error| {
                    unusable(
                        name,
                        match error {
                            FileError::TooLarge { .. } => CertificatesProblem::TooLarge,
                            FileError::Missing(_) => CertificatesProblem::FileMissing,
                            FileError::NotUtf8 { encoding, .. } => match encoding {
                                Encoding::Utf16 => CertificatesProblem::Utf16,
                                Encoding::Utf32 => CertificatesProblem::Utf32,
                            },
                            _ => CertificatesProblem::FileUnreadable,
                        },
                    )
                })
            }
            (None, None) => Err(unusable(name, CertificatesProblem::Missing)),
            (Some(_), Some(_)) => Err(unusable(name, CertificatesProblem::SetTwice)),
        }
    }
}

/// Returns the mode of a connection without a contract whose authorities are named: full verification, unless the URL
/// asks for the chain alone.
fn mode_with_authorities(url: &str) -> SslMode {
    if postgres::url::verifies_chain_only(url) || mysql::connect::verifies_chain_only(url) {
        SslMode::VerifyCa
    } else {
        SslMode::VerifyFull
    }
}

/// Returns the error of a credential that cannot be used as it is.
pub(crate) fn unusable_credential(error: &EngineError) -> PublicError {
    let explained = explain(error);
    PublicError::new(explained.code, format!("the database {}", explained.text))
        .with_detail(error.detail.clone())
        .with_operator_fix(explained.fix)
}

/// Returns the error of a URL that was changed to one that cannot be used.
pub(crate) fn unusable_url(refusal: &PublicError) -> EngineError {
    let cause = ErrorCause::SettingUnusable(Box::new(UnusableSetting {
        code: refusal.code,
        text: refusal.public.clone(),
        fix: refusal.operator_fix.clone().unwrap_or_else(|| URL_FIX.to_owned()),
    }));
    EngineError::new(EngineErrorKind::Unavailable, refusal.code.as_str()).because(cause)
}

fn unreadable(error: SecretError) -> EngineError {
    let error = ExitError::from(error);
    EngineError::new(EngineErrorKind::Unavailable, error.code().as_str())
        .because(ErrorCause::SecretUnreadable(Box::new(unusable_setting(&error))))
}

/// Returns the reason of an error of the start, for calls that it fails later.
pub(crate) fn unusable_setting(error: &ExitError) -> UnusableSetting {
    UnusableSetting {
        code: error.code(),
        text: error.message().to_owned(),
        fix: error.fix().unwrap_or_default().to_owned(),
    }
}

fn unusable(name: &str, problem: CertificatesProblem) -> EngineError {
    let detail = format!("certificates of {name}: {problem}");
    let cause = ErrorCause::CertificatesUnusable(name.to_owned(), problem);
    EngineError::new(EngineErrorKind::Unavailable, detail).because(cause)
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("url_name", &self.url_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CredentialMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use synapsor_codes::{ErrorCode, SafeCode};
    use synapsor_source::error::source_refusal;

    use super::*;

    const URL: &str = "postgres://reader:secret@127.0.0.1:5432/shop";
    const ROOT: &str = include_str!("../tests/authority.pem");

    #[test]
    fn named_authority_requires_a_verified_server() {
        let env = EnvVars::fixed([("URL", URL.to_owned()), ("CA", ROOT.to_owned())]);
        let without = Credential::of_variable("URL", &env).with_authorities(None);
        assert_eq!(without.read().unwrap().mode, None);
        let with = Credential::of_variable("URL", &env).with_authorities(Some("CA"));
        assert_eq!(with.read().unwrap().mode, Some(SslMode::VerifyFull));
    }

    #[test]
    fn url_can_limit_verification_to_the_chain() {
        for (url, mode) in [
            ("postgres://u:p@h/d", SslMode::VerifyFull),
            ("postgres://u:p@h/d?sslmode=verify-full", SslMode::VerifyFull),
            ("postgres://u:p@h/d?sslmode=require", SslMode::VerifyFull),
            ("postgres://u:p@h/d?sslmode=verify-ca", SslMode::VerifyCa),
            ("mysql://u:p@h/d", SslMode::VerifyFull),
            ("mysql://u:p@h/d?ssl-mode=VERIFY_IDENTITY", SslMode::VerifyFull),
            ("mysql://u:p@h/d?ssl-mode=VERIFY_CA", SslMode::VerifyCa),
        ] {
            let env = EnvVars::fixed([("URL", url.to_owned()), ("CA", ROOT.to_owned())]);
            let credential = Credential::of_variable("URL", &env).with_authorities(Some("CA"));
            assert_eq!(credential.required_mode(), Some(mode), "{url}");
        }
    }

    #[test]
    fn unusable_bundle_is_explained_with_its_variable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let cut = &ROOT[..ROOT.len() / 2];
        for (bytes, problem) in [
            (b"\xff\xfe-\0-\0".to_vec(), "UTF-16"),
            (b"\0\0\xfe\xff\0\0\0-".to_vec(), "UTF-32"),
            ([ROOT, cut].concat().into_bytes(), "cut or damaged"),
            (b"\x30\x82".to_vec(), "PEM"),
        ] {
            fs::write(&path, bytes).unwrap();
            let env = EnvVars::fixed([("URL", URL), ("CA_FILE", path.to_str().unwrap())]);
            let credential = Credential::of_variable("URL", &env).with_authorities(Some("CA"));
            let detail = credential.read().unwrap_err().detail;
            assert!(detail.contains("CA") && detail.contains(problem), "{detail}");
        }
    }

    #[test]
    fn unreadable_secret_is_unavailable_to_agents_with_its_cause() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (open, empty) = (file("open", URL, 0o644), file("empty", "", 0o600));
        for (variables, code, fix) in [
            (vec![("URL_FILE", &*open)], ErrorCode::SecretFileOpen, "chmod"),
            (
                vec![("URL_FILE", "/nowhere/at/all")],
                ErrorCode::SecretFileUnreadable,
                "URL_FILE",
            ),
            (vec![("URL_FILE", &*empty)], ErrorCode::SecretNotText, "URL_FILE"),
            (
                vec![("URL", URL), ("URL_FILE", &*open)],
                ErrorCode::SecretAmbiguous,
                "unset",
            ),
            (vec![], ErrorCode::SecretMissing, "set URL"),
        ] {
            let env = EnvVars::fixed(variables);
            let refusal = source_refusal(&Credential::of_variable("URL", &env).read().unwrap_err());
            assert_eq!(refusal.code, code);
            assert_eq!(code.safe(), SafeCode::TemporarilyUnavailable, "{code}");
            assert_eq!(refusal.public, "The source database cannot be used.");
            let (detail, found) = (refusal.detail.unwrap(), refusal.operator_fix.unwrap());
            assert!(found.contains(fix), "{found}");
            assert!(!detail.contains("reader:secret"), "{detail}");
        }
    }
}
