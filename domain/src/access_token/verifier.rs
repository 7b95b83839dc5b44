//! Caches verified tokens, because each call carries its token again. An entry is valid only under the same keys
//! and within its lifetime: a signature is checked once, time-dependent claims on every call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Jwks, TOKEN_BYTES_MAX, TokenError, TokenPolicy, VerifiedToken, verify};
use crate::digest::Digest;
use crate::timestamp::Timestamp;

/// Maximum number of cached tokens. Each takes at most a few times its own size.
const CACHE_ENTRIES_MAX: usize = 1_024;

/// Verifies tokens under one policy.
#[derive(Debug)]
pub struct CachingTokenVerifier {
    policy: TokenPolicy,
    good: Mutex<VerifiedTokenCache>,
}

/// Tokens verified with these keys; keyed by digest, so that the cache holds no token.
#[derive(Debug, Default)]
struct VerifiedTokenCache {
    keys: Option<Arc<Jwks>>,
    tokens: HashMap<Digest, Arc<VerifiedToken>>,
}

impl CachingTokenVerifier {
    pub fn new(policy: TokenPolicy) -> Self {
        Self {
            policy,
            good: Mutex::default(),
        }
    }

    pub const fn policy(&self) -> &TokenPolicy {
        &self.policy
    }

    /// Verifies one token in compact form.
    ///
    /// # Errors
    /// As [`verify`]. For a token cached under the same keys only its times are checked.
    pub fn verify(
        &self,
        token: &str,
        keys: &Arc<Jwks>,
        now: Timestamp,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let digest = Digest::of_typed("application/vnd.synapsor.access-token.v1", token.as_bytes());
        if let Some(known) = self.known(&digest, keys) {
            known.check_time(now)?;
            return Ok(known);
        }
        let verified = Arc::new(verify(token, &self.policy, keys, now)?);
        self.remember(digest, keys, verified.clone());
        Ok(verified)
    }

    fn known(&self, digest: &Digest, keys: &Arc<Jwks>) -> Option<Arc<VerifiedToken>> {
        let good = self.good();
        let held = good.keys.as_ref().filter(|held| is_same(held, keys));
        held.and_then(|_| good.tokens.get(digest).cloned())
    }

    /// Clears the cache when the keys change or the cache is full; tokens still in use are then verified once
    /// more.
    fn remember(&self, digest: Digest, keys: &Arc<Jwks>, token: Arc<VerifiedToken>) {
        let mut good = self.good();
        if !good.keys.as_ref().is_some_and(|held| is_same(held, keys)) {
            good.tokens.clear();
            good.keys = Some(keys.clone());
        } else if good.tokens.len() >= CACHE_ENTRIES_MAX {
            good.tokens.clear();
        }
        good.tokens.insert(digest, token);
    }

    fn good(&self) -> MutexGuard<'_, VerifiedTokenCache> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares key sets in full only when they were read at different times.
fn is_same(one: &Arc<Jwks>, other: &Arc<Jwks>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
