//! Database credentials: the URL and its certificates. Each comes from the environment variable that the
//! contract names, or from the file that `NAME_FILE` names. They are read again for every new connection, so
//! a rotated password or certificate is used without a restart. No part of them is ever printed.

use std::fmt;
use std::path::Path;

use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::secret::{SECRET_BYTES_MAX, Secret, SecretError};
use synapsor_chassis::settings::EnvVars;
use synapsor_domain::contract::{Source, Ssl, SslMode};
use synapsor_domain::digest::Digest;

use synapsor_source::error::{EngineError, EngineErrorKind};

/// Locations of the URL and the certificates of one source.
#[derive(Clone)]
pub struct Credential {
    env: EnvVars,
    url_name: String,
    ssl: Option<Ssl>,
    is_galera_single_writer: bool,
}

/// The credential material as read at one time.
pub struct CredentialMaterial {
    pub url: Secret,
    /// The mode that the contract requires; `None` leaves it to the engine: unencrypted on loopback,
    /// `verify-full` elsewhere.
    pub mode: Option<SslMode>,
    /// PEM.
    pub ca: Option<Secret>,
    /// PEM: certificate and key.
    pub client: Option<(Secret, Secret)>,
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
            is_galera_single_writer: source.is_galera_single_writer,
        }
    }

    /// Creates a credential without a contract from the variable of this name.
    pub fn of_variable(name: &str, env: &EnvVars) -> Self {
        Self {
            env: env.clone(),
            url_name: name.to_owned(),
            ssl: None,
            is_galera_single_writer: false,
        }
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
    /// `Unavailable` if a variable is unset or its file is unreadable; the detail names only the variable.
    pub fn read(&self) -> Result<CredentialMaterial, EngineError> {
        let secret = |name: &str| Secret::read(&self.env, name).map_err(|e| unreadable(&e));
        let public = |name: Option<&String>| name.map(|name| self.public(name)).transpose();
        let ssl = self.ssl.as_ref();
        let url = secret(&self.url_name)?;
        let ca = public(ssl.and_then(|s| s.ca_env.as_ref()))?;
        let cert = public(ssl.and_then(|s| s.cert_env.as_ref()))?;
        let key = ssl.and_then(|s| s.key_env.as_ref());
        let key = key.map(|name| secret(name)).transpose()?;
        let mut bytes = Vec::new();
        for part in [Some(&url), ca.as_ref(), cert.as_ref(), key.as_ref()] {
            let text = part.map_or("", Secret::expose);
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        let bytes = zeroize::Zeroizing::new(bytes);
        Ok(CredentialMaterial {
            url,
            mode: ssl.map(|s| s.mode),
            ca,
            client: cert.zip(key),
            generation: Digest::of_typed("application/vnd.synapsor.credential.v1", &bytes),
        })
    }

    /// Reads a certificate. Unlike a secret, its file may be world-readable.
    fn public(&self, name: &str) -> Result<Secret, EngineError> {
        let unusable = || EngineError::new(EngineErrorKind::Unavailable, format!("{name} or {name}_FILE"));
        let variable = |name: &str| self.env.get(name).map_err(|_| unusable());
        match (variable(name)?, variable(&format!("{name}_FILE"))?) {
            (Some(text), None) => Ok(Secret::new(text)),
            (None, Some(path)) => files::read_bounded(Path::new(&path), SECRET_BYTES_MAX)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .map(Secret::new)
                .ok_or_else(unusable),
            (None, None) | (Some(_), Some(_)) => Err(unusable()),
        }
    }
}

fn unreadable(error: &SecretError) -> EngineError {
    EngineError::new(EngineErrorKind::Unavailable, error.code().as_str())
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
