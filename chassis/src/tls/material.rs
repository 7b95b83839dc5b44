//! Certificates of a process: its own certificate and key and the trusted CAs, checked together when loaded, and
//! replaced while the process runs: from changed files, or by an issuer.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::certificates::Certificates;
use super::{TlsError, TlsFiles, rfc3339};
use crate::clock::{Clock, SystemClock};
use crate::files::{self, FileWatch};
use crate::identity::PeerIdentity;

const PEM_BYTES_MAX: u64 = 256 * 1024;
/// Minimum interval between two checks for newer certificates.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Certificates of one process, always the newest usable ones. Cheap to clone; Debug prints the identity only.
#[derive(Clone)]
pub struct TlsMaterial(Arc<Inner>);

struct Inner {
    /// The same for all versions.
    identity: PeerIdentity,
    current: RwLock<Arc<Certificates>>,
    renewal: Option<Mutex<Renewal>>,
}

/// Source of newer certificates.
struct Renewal {
    source: Source,
    checked: Instant,
    /// Number of checks that failed since the last success. The first may be caused by files that are being
    /// replaced, so only the second is logged.
    failures: u32,
}

enum Source {
    Files {
        files: TlsFiles,
        owner: KeyOwner,
        watch: FileWatch,
    },
    Issuer(Issue),
}

/// Rule for the file of a private key.
#[derive(Clone, Copy)]
enum KeyOwner {
    /// That of a secret of a service.
    Service,
    /// It belongs to this user, closed to all others.
    Operator,
}

/// Issues certificates at a time, in milliseconds since 1970.
type Issue = Box<dyn Fn(i64) -> Result<Certificates, TlsError> + Send>;

impl TlsFiles {
    /// Loads and checks the three files: readable, key closed to other users, key matches the certificate,
    /// certificate signed by a CA, valid now, exactly one identity. The files are loaded again when they change; while
    /// the new ones are not usable, the old ones are used.
    ///
    /// # Errors
    /// The first problem found.
    pub fn load(&self) -> Result<TlsMaterial, TlsError> {
        self.load_as(KeyOwner::Service)
    }

    /// Loads the certificate of an operator, whose key must also belong to this user.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub fn load_operator(&self) -> Result<TlsMaterial, TlsError> {
        self.load_as(KeyOwner::Operator)
    }

    fn load_as(&self, owner: KeyOwner) -> Result<TlsMaterial, TlsError> {
        let now_ms = SystemClock.now_ms();
        let mut watch = FileWatch::new(self.paths());
        watch.may_have_changed(now_ms);
        let certificates = self.read(owner, now_ms)?;
        let source = Source::Files {
            files: self.clone(),
            owner,
            watch,
        };
        Ok(TlsMaterial::new(certificates, Some(source)))
    }

    fn paths(&self) -> Vec<PathBuf> {
        vec![self.ca.clone(), self.cert.clone(), self.key.clone()]
    }

    fn read(&self, owner: KeyOwner, now_ms: i64) -> Result<Certificates, TlsError> {
        let read = |what, path| {
            files::read_bounded(path, PEM_BYTES_MAX).map_err(|source| TlsError::File { what, source })
        };
        let ca = read("the CA certificate", &self.ca)?;
        let cert = read("the certificate", &self.cert)?;
        let key = match owner {
            KeyOwner::Service => files::read_private(&self.key, PEM_BYTES_MAX),
            KeyOwner::Operator => files::read_own_private(&self.key, PEM_BYTES_MAX),
        };
        let key = key.map_err(|source| TlsError::File {
            what: "the private key",
            source,
        })?;
        Certificates::from_pem(&ca, &cert, &key, now_ms)
    }
}

impl TlsMaterial {
    /// Checks PEM data in memory, at the time `now_ms`. It is never replaced.
    ///
    /// # Errors
    /// As [`TlsFiles::load`].
    pub fn from_pem(
        ca_pem: &[u8],
        cert_pem: &[u8],
        key_pem: &Zeroizing<Vec<u8>>,
        now_ms: i64,
    ) -> Result<Self, TlsError> {
        Ok(Self::new(
            Certificates::from_pem(ca_pem, cert_pem, key_pem, now_ms)?,
            None,
        ))
    }

    /// Issues certificates now, and again whenever half of their lifetime has passed.
    ///
    /// # Errors
    /// The error of `issue`.
    pub(super) fn issued_by(
        issue: impl Fn(i64) -> Result<Certificates, TlsError> + Send + 'static,
    ) -> Result<Self, TlsError> {
        let certificates = issue(SystemClock.now_ms())?;
        Ok(Self::new(certificates, Some(Source::Issuer(Box::new(issue)))))
    }

    fn new(certificates: Certificates, source: Option<Source>) -> Self {
        let renewal = source.map(|source| {
            Mutex::new(Renewal {
                source,
                checked: Instant::now(),
                failures: 0,
            })
        });
        Self(Arc::new(Inner {
            identity: certificates.identity().clone(),
            current: RwLock::new(Arc::new(certificates)),
            renewal,
        }))
    }

    /// Returns the identity in the certificate.
    pub fn identity(&self) -> &PeerIdentity {
        &self.0.identity
    }

    /// Returns the certificate's expiry, in milliseconds since 1970.
    pub fn not_after_ms(&self) -> i64 {
        self.current().not_after_ms()
    }

    /// Returns the newest usable certificates. Looks for newer ones at most once a second.
    pub(crate) fn current(&self) -> Arc<Certificates> {
        if let Some(mut renewal) = self.0.renewal.as_ref().and_then(try_lock)
            && renewal.checked.elapsed() >= CHECK_INTERVAL
        {
            renewal.checked = Instant::now();
            self.renew(&mut renewal);
        }
        self.0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn renew(&self, renewal: &mut Renewal) {
        let now_ms = SystemClock.now_ms();
        let current = self
            .0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let loaded = match &mut renewal.source {
            Source::Files { files, owner, watch } => {
                if !watch.may_have_changed(now_ms) && renewal.failures == 0 {
                    return;
                }
                files.read(*owner, now_ms)
            }
            Source::Issuer(issue) => {
                if (current.not_before_ms()..current.half_life_ms()).contains(&now_ms) {
                    return;
                }
                issue(now_ms)
            }
        };
        let loaded = loaded.and_then(|new| match new.identity() == &self.0.identity {
            true => Ok(new),
            false => Err(TlsError::OtherIdentity {
                identity: new.identity().uri(),
            }),
        });
        match loaded {
            Ok(new) => {
                if renewal.failures > 1 {
                    tracing::info!("certificates are usable again");
                }
                renewal.failures = 0;
                if !new.is_same(&current) {
                    tracing::info!(identity = %self.0.identity, ends = %rfc3339(new.not_after_ms()), "certificates replaced");
                    *self.0.current.write().unwrap_or_else(PoisonError::into_inner) =
                        Arc::new(new.after(&current));
                }
            }
            Err(error) => {
                renewal.failures = renewal.failures.saturating_add(1);
                if renewal.failures == 2 {
                    let ends = rfc3339(current.not_after_ms());
                    tracing::error!(
                        code = %error.code(), %ends,
                        "new certificates not usable: {error}; keeping the previous ones until they end"
                    );
                }
            }
        }
    }
}

/// Returns `None` while another thread looks for newer certificates.
fn try_lock(renewal: &Mutex<Renewal>) -> Option<MutexGuard<'_, Renewal>> {
    match renewal.try_lock() {
        Ok(renewal) => Some(renewal),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsMaterial")
            .field(&self.0.identity.uri())
            .finish()
    }
}
