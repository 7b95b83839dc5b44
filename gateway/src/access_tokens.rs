//! Verifies callers' access tokens before any of their data is forwarded. This check only rejects early: the
//! reader verifies the same token again, and the reader's result is authoritative. The reader supplies the
//! issuer's keys, so this process makes no outbound request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::run::ExitError;
use synapsor_codes::{ErrorCode, HttpError};
use synapsor_domain::access_token::{
    CachingTokenVerifier, Jwks, TokenError, TokenPolicy, TokenScope, VerifiedToken,
};
use synapsor_domain::contract::ToolKind;
use synapsor_domain::digest::Digest;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::executor::v1 as wire;

use crate::caller::{BearerCaller, Caller};
use crate::catalog::ToolList;
use crate::reader_client::ReaderClient;

/// Maximum age of the cached key set before it is fetched again, even if no token requires it.
const KEYS_FRESH: Duration = Duration::from_secs(60);
/// Minimum time between two key requests to the reader that tokens trigger.
const COOLDOWN: Duration = Duration::from_secs(5);
/// Path of the protected resource metadata (RFC 9728, 3).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// Token verifier with a cache of the issuer's keys.
#[derive(Debug)]
pub(crate) struct AccessTokenAuthenticator {
    verifier: CachingTokenVerifier,
    reader: Arc<ReaderClient>,
    keys: Mutex<CachedKeys>,
    asking: tokio::sync::Mutex<()>,
    listing: Arc<ToolList>,
}

#[derive(Debug, Default)]
struct CachedKeys {
    set: Option<Arc<Jwks>>,
    asked: Option<Instant>,
}

/// Reason for rejecting a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The description is returned to the caller.
    Refused(&'static str),
    /// The token cannot be verified now.
    Unavailable,
}

impl AccessTokenAuthenticator {
    /// Builds the verifier from the reader's token policy. The listing determines which tools require the propose
    /// scope.
    ///
    /// # Errors
    /// `CATALOG_UNREADABLE` if the reader names a value that this build does not support.
    pub(crate) fn new(
        policy: &wire::TokenPolicy,
        reader: Arc<ReaderClient>,
        listing: Arc<ToolList>,
    ) -> Result<Self, ExitError> {
        let policy = TokenPolicy::try_from(policy.clone()).map_err(|refusal| {
            ExitError::new(ErrorCode::CatalogUnreadable, refusal.public)
                .with_fix("run a gateway and a reader of the same version")
        })?;
        Ok(Self {
            verifier: CachingTokenVerifier::new(policy),
            reader,
            keys: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            listing,
        })
    }

    /// Returns the caller that the token identifies.
    pub(crate) async fn identify(&self, token: &str) -> Result<Caller, Rejection> {
        let now = Timestamp::from_unix_millis(SystemClock.now_ms());
        let keys = self.keys(false).await?;
        let mut verified = self.verifier.verify(token, &keys, now);
        if verified.as_ref().is_err_and(TokenError::may_be_a_new_key) {
            let newer = self.keys(true).await?;
            verified = self.verifier.verify(token, &newer, now);
        }
        match verified {
            Ok(verified) => Ok(Caller::Bearer(self.bearer(&verified, token))),
            Err(error) => {
                tracing::info!(
                    code = %ErrorCode::AccessTokenRefused,
                    status = HttpError::Unauthorized.status(),
                    reason = %error,
                    "access token rejected"
                );
                Err(Rejection::Refused(error.description()))
            }
        }
    }

    fn bearer(&self, token: &VerifiedToken, text: &str) -> BearerCaller {
        let policy = self.policy();
        let who = [&policy.tenant_claim, &policy.principal_claim].map(|claim| token.text(claim));
        let who = json!([who, token.client_id()]).to_string();
        let digest = Digest::of_typed("application/vnd.synapsor.caller.v1+json", who.as_bytes());
        BearerCaller::new(
            &format!("bearer:{digest}"),
            text,
            token.scopes().permits(TokenScope::Read, policy),
            token.scopes().permits(TokenScope::Propose, policy),
            token.scopes().shortfall(),
        )
    }

    /// Returns the scope that a message requires, or `None` if any valid token suffices.
    pub(crate) fn needed(&self, method: &str, name: Option<&str>) -> Option<TokenScope> {
        match method {
            "tools/call" if name.and_then(|name| self.listing.kind(name)) == Some(ToolKind::Proposal) => {
                Some(TokenScope::Propose)
            }
            "tasks/cancel" => Some(TokenScope::Propose),
            "tools/call"
            | "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "tasks/get"
            | "tasks/update"
            | "subscriptions/listen" => Some(TokenScope::Read),
            _ => None,
        }
    }

    /// Returns the name of a scope in the contract.
    pub(crate) fn scope_name(&self, scope: TokenScope) -> &str {
        self.policy().word(scope)
    }

    const fn policy(&self) -> &TokenPolicy {
        self.verifier.policy()
    }

    /// Returns the challenge of a 401 or 403 response (RFC 6750, 3; RFC 9728, 5.1), with the error if present.
    pub(crate) fn challenge(&self, error: Option<(&str, &str)>, scope: Option<TokenScope>) -> String {
        let policy = self.policy();
        let mut challenge = "Bearer ".to_owned();
        if let Some(resource) = policy.resource() {
            challenge.push_str(&format!("resource_metadata=\"{}\", ", metadata_url(resource)));
        }
        let scope = scope.map_or_else(
            || format!("{} {}", policy.read_scope, policy.propose_scope),
            |scope| policy.word(scope).to_owned(),
        );
        challenge.push_str(&format!("scope=\"{scope}\""));
        if let Some((code, description)) = error {
            challenge.push_str(&format!(
                ", error=\"{code}\", error_description=\"{description}\""
            ));
        }
        challenge
    }

    /// Returns the metadata of this resource; `None` if the contract does not name its URL. There is no approval
    /// scope, because the gateway cannot approve.
    pub(crate) fn metadata(&self) -> Option<Json> {
        let policy = self.policy();
        Some(json!({
            "resource": policy.resource()?,
            "authorization_servers": [policy.issuer],
            "scopes_supported": [policy.read_scope, policy.propose_scope],
            "bearer_methods_supported": ["header"],
            "resource_name": "Synapsor Runner",
        }))
    }

    /// Returns the cached keys, or fetches them if they are too old. The age limit is shorter for a token that
    /// names an unknown key.
    async fn keys(&self, anew: bool) -> Result<Arc<Jwks>, Rejection> {
        let wait = if anew { COOLDOWN } else { KEYS_FRESH };
        if let Some(set) = self.held_for(wait) {
            return Ok(set);
        }
        let _turn = self.asking.lock().await;
        if let Some(set) = self.held_for(wait) {
            return Ok(set);
        }
        let document = self.reader.token_keys(anew).await.map_err(|refusal| {
            tracing::warn!(code = %refusal.code, "access token keys not available from the reader");
            Rejection::Unavailable
        })?;
        let set = Jwks::parse(&document).map(Arc::new).map_err(|refusal| {
            tracing::warn!(code = %refusal.code, "access token keys from the reader are invalid");
            Rejection::Unavailable
        })?;
        let mut held = self.held();
        *held = CachedKeys {
            set: Some(set.clone()),
            asked: Some(Instant::now()),
        };
        Ok(set)
    }

    fn held_for(&self, wait: Duration) -> Option<Arc<Jwks>> {
        let held = self.held();
        held.set
            .clone()
            .filter(|_| held.asked.is_some_and(|asked| asked.elapsed() < wait))
    }

    fn held(&self) -> std::sync::MutexGuard<'_, CachedKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inserts the well-known path between the host and the path of the resource (RFC 9728, 3.1).
fn metadata_url(resource: &str) -> String {
    let resource = resource.trim_end_matches('/');
    let host_at = resource.find("://").map_or(0, |at| at + 3);
    let path_at = resource[host_at..]
        .find('/')
        .map_or(resource.len(), |at| host_at + at);
    let (origin, path) = resource.split_at(path_at);
    format!("{origin}{METADATA_PATH}{path}")
}
