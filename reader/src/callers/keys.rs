//! Loads and caches the token issuer's keys: from a file that is reloaded when it changes, or from the one
//! address that the contract names. A token cannot choose the origin of keys, and cannot cause more than one
//! fetch every half minute.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use synapsor_chassis::clock::Clock;
use synapsor_chassis::files::{self, CachedFile};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::access_token::{Jwks, KEY_SET_BYTES_MAX};
use synapsor_domain::error::PublicError;
use synapsor_domain::trust::DeploymentEnvironment;

use super::fetch::Fetcher;

/// Period in which fetched keys are used without another fetch.
const FRESH_MS: i64 = 10 * 60 * 1_000;
/// An unreachable issuer does not invalidate its tokens at once, but a withdrawn key must expire eventually.
const STALE_MS: i64 = 60 * 60 * 1_000;
/// Fix of a file that holds no key set.
const FILE_FIX: &str =
    "pass the issuer's JSON Web Key Set, saved as UTF-8, in a file that only this user can write";
/// Minimum interval between fetches that tokens or failures cause.
const COOLDOWN_MS: i64 = 30 * 1_000;

/// Origin of the keys.
#[derive(Debug)]
pub enum KeyOrigin {
    File(PathBuf),
    Url(Fetcher),
}

impl KeyOrigin {
    /// # Errors
    /// `TOKEN_KEYS_ORIGIN` for an address that this process must not contact.
    pub fn url(url: &str, environment: DeploymentEnvironment) -> Result<Self, ExitError> {
        Fetcher::new(url, environment).map(Self::Url)
    }
}

/// Key set with the document that it was read from.
#[derive(Debug)]
pub(super) struct JwksDocument {
    pub(super) set: Arc<Jwks>,
    pub(super) document: Vec<u8>,
}

#[derive(Debug)]
enum JwksOrigin {
    File {
        path: PathBuf,
        cached: Mutex<CachedFile<Arc<JwksDocument>>>,
    },
    Url(Fetcher),
}

#[derive(Debug)]
pub(super) struct JwksCache {
    origin: JwksOrigin,
    clock: Arc<dyn Clock>,
    /// Keys of a URL.
    held: Mutex<CachedJwks>,
    /// Serializes fetches; waiting callers share the result.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct CachedJwks {
    published: Option<Arc<JwksDocument>>,
    /// Time of the last successful fetch, and of the last attempt.
    succeeded_ms: i64,
    asked_ms: Option<i64>,
}

impl JwksCache {
    /// Reads a file now, so that an invalid one is reported at start.
    pub(super) fn new(origin: KeyOrigin, clock: Arc<dyn Clock>) -> Result<Self, ExitError> {
        let origin = match origin {
            KeyOrigin::File(path) => JwksOrigin::File {
                cached: Mutex::new(CachedFile::new(path.clone())),
                path,
            },
            KeyOrigin::Url(fetcher) => JwksOrigin::Url(fetcher),
        };
        let keys = Self {
            origin,
            clock,
            held: Mutex::default(),
            looking: tokio::sync::Mutex::default(),
        };
        if let JwksOrigin::File { path, cached } = &keys.origin {
            keys.read_file(path, cached).map_err(|refusal| {
                let fix = refusal.operator_fix.as_deref().unwrap_or(FILE_FIX);
                ExitError::new(refusal.code, refusal.public).with_fix(fix)
            })?;
        }
        Ok(keys)
    }

    /// Returns the keys that are valid now.
    pub(super) async fn current(&self) -> Result<Arc<JwksDocument>, PublicError> {
        let fetcher = match &self.origin {
            JwksOrigin::File { path, cached } => return self.read_file(path, cached),
            JwksOrigin::Url(fetcher) => fetcher,
        };
        if let Some(published) = self.held_for(FRESH_MS) {
            return Ok(published);
        }
        let _turn = self.looking.lock().await;
        if let Some(published) = self.held_for(FRESH_MS) {
            return Ok(published);
        }
        self.fetch(fetcher).await
    }

    /// Returns the keys after another fetch, unless the cooldown has not passed.
    pub(super) async fn refresh(&self) -> Result<Arc<JwksDocument>, PublicError> {
        let fetcher = match &self.origin {
            JwksOrigin::File { path, cached } => return self.read_file(path, cached),
            JwksOrigin::Url(fetcher) => fetcher,
        };
        let _turn = self.looking.lock().await;
        self.fetch(fetcher).await
    }

    /// Fetches from the issuer unless within the cooldown; falls back on cached keys that are not too old.
    async fn fetch(&self, fetcher: &Fetcher) -> Result<Arc<JwksDocument>, PublicError> {
        let now_ms = self.clock.now_ms();
        let is_early = self
            .held()
            .asked_ms
            .is_some_and(|asked| (0..COOLDOWN_MS).contains(&(now_ms - asked)));
        if !is_early {
            self.held().asked_ms = Some(now_ms);
            match fetcher.fetch().await.and_then(read) {
                Ok(published) => {
                    let mut held = self.held();
                    held.succeeded_ms = now_ms;
                    if held
                        .published
                        .as_ref()
                        .is_none_or(|known| known.document != published.document)
                    {
                        tracing::info!("token issuer keys loaded");
                        held.published = Some(Arc::new(published));
                    }
                }
                Err(refusal) => tracing::warn!(
                    code = %refusal.code,
                    detail = refusal.detail.as_deref().unwrap_or_default(),
                    "token issuer keys not available"
                ),
            }
        }
        self.held_for(STALE_MS).ok_or_else(|| {
            PublicError::new(
                ErrorCode::TokenKeysUnavailable,
                "Access tokens cannot be verified now.",
            )
        })
    }

    fn read_file(
        &self,
        path: &Path,
        cached: &Mutex<CachedFile<Arc<JwksDocument>>>,
    ) -> Result<Arc<JwksDocument>, PublicError> {
        let unusable = |error: &files::FileError| {
            let message = format!("invalid key set: {error}");
            PublicError::new(ErrorCode::TokenKeysUnreadable, message).with_operator_fix(error.fix())
        };
        files::check_not_writable_by_others(path).map_err(|e| unusable(&e))?;
        let mut cached = cached.lock().unwrap_or_else(PoisonError::into_inner);
        let document = cached.get(self.clock.now_ms(), |_| {
            let document = files::read_bounded(path, KEY_SET_BYTES_MAX as u64).map_err(|e| unusable(&e))?;
            read(document).map(Arc::new)
        });
        document.cloned()
    }

    /// Returns the cached keys if they were fetched at most `age_ms` ago.
    fn held_for(&self, age_ms: i64) -> Option<Arc<JwksDocument>> {
        let held = self.held();
        let age = self.clock.now_ms() - held.succeeded_ms;
        held.published.clone().filter(|_| (0..age_ms).contains(&age))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, CachedJwks> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(document: Vec<u8>) -> Result<JwksDocument, PublicError> {
    Ok(JwksDocument {
        set: Arc::new(Jwks::parse(&document)?),
        document,
    })
}
