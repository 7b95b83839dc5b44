//! Certificates of a process: its own certificate and key and the trusted CAs, checked together when loaded, and
//! replaced while the process runs: from changed files, or by an issuer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError, Weak};
use std::time::{Duration, Instant};

use synapsor_codes::ErrorCode;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
use crate::files::{self, FileWatch};
use crate::identity::PeerIdentity;
use crate::tls::certificates::{Certificates, PemSource};
use crate::tls::{TlsError, TlsFiles, rfc3339};

const PEM_BYTES_MAX: u64 = 256 * 1024;
/// Minimum interval between two checks for newer certificates.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Interval of the checks in the background.
const BACKGROUND_INTERVAL: Duration = Duration::from_secs(60);

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
    /// Cause of the last check, if it failed.
    failure: Option<Failure>,
    /// Whether a failure was logged since the last success.
    has_logged: bool,
    /// What was logged about the end of the current certificate.
    notice: Option<EndNotice>,
}

/// Failed check. Files that are being replaced may cause one, so a cause is logged when it is found again.
struct Failure {
    cause: TlsError,
    is_logged: bool,
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
        let material = TlsMaterial::new(certificates, Some(source));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(check_while_used(Arc::downgrade(&material.0)));
        }
        Ok(material)
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
        Certificates::from_pem(
            PemSource {
                bytes: &ca,
                path: Some(&self.ca),
            },
            PemSource {
                bytes: &cert,
                path: Some(&self.cert),
            },
            PemSource {
                bytes: &key,
                path: Some(&self.key),
            },
            now_ms,
        )
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
        let [ca, cert, key] = [ca_pem, cert_pem, key_pem].map(PemSource::in_memory);
        Ok(Self::new(Certificates::from_pem(ca, cert, key, now_ms)?, None))
    }

    /// Issues certificates now, and again whenever half of their lifetime has passed.
    ///
    /// # Errors
    /// The error of `issue`.
    pub(in crate::tls) fn issued_by(
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
                failure: None,
                has_logged: false,
                notice: None,
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
            self.renew(&mut renewal, SystemClock.now_ms());
        }
        self.newest()
    }

    fn renew(&self, renewal: &mut Renewal, now_ms: i64) {
        let current = self.newest();
        let loaded = match &mut renewal.source {
            Source::Files { files, owner, watch } => {
                if watch.may_have_changed(now_ms) || renewal.failure.is_some() {
                    Some(files.read(*owner, now_ms))
                } else {
                    None
                }
            }
            Source::Issuer(issue) => {
                let is_due = !(current.not_before_ms()..current.half_life_ms()).contains(&now_ms);
                is_due.then(|| issue(now_ms))
            }
        };
        match loaded.map(|loaded| self.checked(loaded)) {
            None => {}
            Some(Ok(new)) => self.replace(renewal, &current, new),
            Some(Err(cause)) => renewal.fail(cause, &current),
        }
        if matches!(renewal.source, Source::Files { .. }) {
            renewal.report_end(&self.newest(), now_ms);
        }
    }

    fn checked(&self, loaded: Result<Certificates, TlsError>) -> Result<Certificates, TlsError> {
        let new = loaded?;
        if new.identity() == &self.0.identity {
            return Ok(new);
        }
        let identity = new.identity().uri();
        let error = TlsError::OtherIdentity { identity };
        Err(match new.path() {
            Some(path) => error.at(path),
            None => error,
        })
    }

    fn replace(&self, renewal: &mut Renewal, current: &Certificates, new: Certificates) {
        renewal.failure = None;
        if std::mem::take(&mut renewal.has_logged) {
            tracing::info!("certificates are usable again");
        }
        if new.is_same(current) {
            return;
        }
        tracing::info!(identity = %self.0.identity, ends = %rfc3339(new.not_after_ms()), "certificates replaced");
        renewal.notice = None;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new.after(current));
    }

    fn newest(&self) -> Arc<Certificates> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Renewal {
    fn fail(&mut self, cause: TlsError, current: &Certificates) {
        let last = self.failure.take().filter(|last| cause.has_cause_of(&last.cause));
        let is_due = last.as_ref().is_some_and(|last| !last.is_logged);
        if is_due {
            self.has_logged = true;
            let ends = rfc3339(current.not_after_ms());
            tracing::error!(
                code = %cause.code(), %ends,
                "new certificates not usable: {cause}; keeping the previous ones until they end"
            );
        }
        self.failure = Some(Failure {
            is_logged: last.is_some(),
            cause,
        });
    }

    /// Logs once that the certificate ends soon, that it is about to end, and that it has ended.
    fn report_end(&mut self, current: &Certificates, now_ms: i64) {
        let notice = EndNotice::at(now_ms, current.not_before_ms(), current.not_after_ms());
        if notice <= self.notice {
            return;
        }
        self.notice = notice;
        let file = current.path().unwrap_or(Path::new("")).display();
        let ends = rfc3339(current.not_after_ms());
        if notice == Some(EndNotice::Ended) {
            let code = ErrorCode::TlsCertificateExpired;
            let now = rfc3339(now_ms);
            tracing::error!(%code, %file, %ends, %now, "the certificate has ended, and no newer one was found");
        } else {
            let minutes = (current.not_after_ms() - now_ms) / 60_000;
            tracing::warn!(%file, %ends, minutes, "the certificate ends soon, and no newer one was found");
        }
    }
}

/// Part of the lifetime of a certificate that is left, as far as it is reported. A certificate is normally replaced
/// when half is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EndNotice {
    /// Less than a quarter.
    Soon,
    /// Less than one part in 24: an hour of a day.
    Close,
    Ended,
}

impl EndNotice {
    fn at(now_ms: i64, not_before_ms: i64, not_after_ms: i64) -> Option<Self> {
        let lifetime_ms = not_after_ms.saturating_sub(not_before_ms);
        let left_ms = not_after_ms.saturating_sub(now_ms);
        let is_less_than = |parts: i64| left_ms < lifetime_ms / parts;
        if left_ms <= 0 {
            Some(Self::Ended)
        } else if is_less_than(24) {
            Some(Self::Close)
        } else {
            is_less_than(4).then_some(Self::Soon)
        }
    }
}

/// Looks for newer certificates while a process opens no connection: the end of one is reported before.
async fn check_while_used(material: Weak<Inner>) {
    loop {
        tokio::time::sleep(BACKGROUND_INTERVAL).await;
        let Some(used) = material.upgrade() else { return };
        TlsMaterial(used).current();
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

#[cfg(test)]
mod tests;
