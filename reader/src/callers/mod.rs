//! Identifies the caller: from this reader's own environment, or by the access token that the gateway passed on.
//! The gateway has verified the token already; only this process's own verification counts.

mod fetch;
mod keys;

use std::sync::Arc;

use synapsor_chassis::clock::Clock;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
pub use synapsor_domain::access_token::TokenScope;
use synapsor_domain::access_token::{CachingTokenVerifier, TokenError, TokenPolicy, VerifiedToken};
use synapsor_domain::contract::Contract;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::CLOCK_SKEW_SECONDS;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::DeploymentEnvironment;

use keys::JwksCache;
pub use keys::KeyOrigin;

/// Identifies callers.
#[derive(Debug)]
pub struct CallerAuthenticator {
    tokens: Option<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    verifier: CachingTokenVerifier,
    keys: JwksCache,
    clock: Arc<dyn Clock>,
}

/// Identity of one caller.
#[derive(Debug)]
pub enum CallIdentity {
    /// The principal that this reader was started for.
    Own,
    /// The bearer of a token that this process verified.
    Bearer(Arc<VerifiedToken>),
}

impl CallIdentity {
    /// Returns when the caller's token expires, if it presented one.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        match self {
            CallIdentity::Own => None,
            CallIdentity::Bearer(token) => Some(token.expires_at() + Span::seconds(CLOCK_SKEW_SECONDS)),
        }
    }
}

impl CallerAuthenticator {
    /// Creates the identification that the contract requires. Keys are fetched on first use.
    ///
    /// # Errors
    /// `TOKEN_KEYS_ORIGIN` if this process has no keys to verify the contract's tokens, or has keys that the
    /// contract does not use.
    pub fn of_contract(
        contract: &Contract,
        file: Option<std::path::PathBuf>,
        environment: DeploymentEnvironment,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ExitError> {
        let Some(source) = contract.tokens() else {
            return match file {
                None => Ok(Self { tokens: None }),
                Some(_) => Err(origin("the contract's contexts do not use access tokens")
                    .with_fix("drop --jwks-file, or set provider `http_claims` on the contexts")),
            };
        };
        let from = match (file, &source.jwks_url) {
            (Some(file), _) => KeyOrigin::File(file),
            (None, Some(url)) => KeyOrigin::url(url, environment)?,
            (None, None) => {
                return Err(origin("no JWKS configured for the token issuer")
                    .with_fix("set `jwks_url` in the contract, or pass --jwks-file"));
            }
        };
        Ok(Self {
            tokens: Some(Tokens {
                verifier: CachingTokenVerifier::new(source.policy.clone()),
                keys: JwksCache::new(from, clock.clone())?,
                clock,
            }),
        })
    }

    /// Returns the requirements on tokens; `None` if callers present none.
    pub fn policy(&self) -> Option<&TokenPolicy> {
        self.tokens.as_ref().map(|tokens| tokens.verifier.policy())
    }

    /// Identifies the caller. `token` is empty if none was presented.
    ///
    /// # Errors
    /// `ACCESS_TOKEN_REQUIRED`, `ACCESS_TOKEN_REFUSED`, and `TOKEN_KEYS_UNAVAILABLE` if the keys are not
    /// available.
    pub async fn identify(&self, token: &str) -> Result<CallIdentity, PublicError> {
        let Some(tokens) = &self.tokens else {
            return Ok(CallIdentity::Own);
        };
        if token.is_empty() {
            return Err(token_required());
        }
        let now = Timestamp::from_unix_millis(tokens.clock.now_ms());
        let keys = tokens.keys.current().await?;
        let mut verified = tokens.verifier.verify(token, &keys.set, now);
        if verified.as_ref().is_err_and(TokenError::may_be_a_new_key) {
            let newer = tokens.keys.refresh().await?;
            if !Arc::ptr_eq(&newer, &keys) {
                verified = tokens.verifier.verify(token, &newer.set, now);
            }
        }
        verified.map(CallIdentity::Bearer).map_err(|error| {
            let message = format!("The call is rejected: {}.", error.description());
            PublicError::new(ErrorCode::AccessTokenRefused, message).with_detail(error.to_string())
        })
    }

    /// Returns the issuer's key set as published, for the gateway's own verification of tokens.
    ///
    /// # Errors
    /// `TOKENS_NOT_USED`, or as [`Callers::identify`].
    pub async fn published_keys(&self, refresh: bool) -> Result<Vec<u8>, PublicError> {
        let tokens = self
            .tokens
            .as_ref()
            .ok_or_else(|| PublicError::new(ErrorCode::TokensNotUsed, "this reader uses no access tokens"))?;
        let keys = if refresh {
            tokens.keys.refresh().await?
        } else {
            tokens.keys.current().await?
        };
        Ok(keys.document.clone())
    }

    /// Checks that the caller's token has this scope.
    ///
    /// # Errors
    /// `SCOPE_INSUFFICIENT` with the missing scope.
    pub fn require_scope(&self, caller: &CallIdentity, scope: TokenScope) -> Result<(), PublicError> {
        let (CallIdentity::Bearer(token), Some(policy)) = (caller, self.policy()) else {
            return Ok(());
        };
        if token.scopes().permits(scope, policy) {
            return Ok(());
        }
        let word = policy.word(scope);
        let message = format!("Insufficient scope: `{word}` is required.");
        Err(PublicError::new(ErrorCode::ScopeInsufficient, message).with_detail(token.scopes().shortfall()))
    }
}

/// Returns the error for a call without an access token when the contract takes the context from tokens.
pub(crate) fn token_required() -> PublicError {
    PublicError::new(
        ErrorCode::AccessTokenRequired,
        "Tenant and principal come from the caller's access token, and the call has none.",
    )
}

fn origin(text: &str) -> ExitError {
    ExitError::new(ErrorCode::TokenKeysOrigin, text)
}
