//! A look at callers' access tokens before anything of theirs is passed on: who is no caller of this deployment gets
//! no further than here. It decides nothing else: the reader verifies the same token again, and what it finds counts.
//! The issuer's keys come from the reader, so that this process asks nobody outside.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::run::ExitError;
use synapsor_domain::access_token::{
    Algorithm, CachingTokenVerifier, Jwks, TokenError, TokenPolicy, TokenScope, VerifiedToken,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::executor::v1 as wire;

use crate::caller::{BearerCaller, Caller};
use crate::catalog::Listing;
use crate::reader::Reader;

/// The reader knows of a rotated key set after so long at the latest, without any token having asked for it.
const KEYS_FRESH: Duration = Duration::from_secs(60);
/// Between two questions to the reader that tokens cause.
const COOLDOWN: Duration = Duration::from_secs(5);
/// Where clients find the metadata (RFC 9728, 3).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// Which tokens are let in, and with which keys that is seen.
#[derive(Debug)]
pub(crate) struct AccessTokens {
    verifier: CachingTokenVerifier,
    reader: Arc<Reader>,
    keys: Mutex<Held>,
    asking: tokio::sync::Mutex<()>,
    listing: Arc<Listing>,
}

#[derive(Debug, Default)]
struct Held {
    set: Option<Arc<Jwks>>,
    asked: Option<Instant>,
}

/// Why a caller is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The text is for the caller.
    Refused(&'static str),
    /// Whether the token is good cannot be known now.
    Unavailable,
}

impl AccessTokens {
    /// As the reader says that its contract wants them; the listing tells which tools need the wider scope.
    ///
    /// # Errors
    /// `CATALOG_UNREADABLE` if the reader names an algorithm that this build does not have.
    pub(crate) fn new(
        policy: &wire::TokenPolicy,
        reader: Arc<Reader>,
        listing: Arc<Listing>,
    ) -> Result<Self, ExitError> {
        let named = policy.algorithms.iter().map(|name| Algorithm::of(name));
        let algorithms = named.collect::<Option<Vec<_>>>().ok_or_else(|| {
            ExitError::new(
                "CATALOG_UNREADABLE",
                "the reader accepts a signature algorithm that is not known here",
            )
            .with_fix("run a gateway and a reader of the same version")
        })?;
        let policy = TokenPolicy {
            issuer: policy.issuer.clone(),
            audience: policy.audience.clone(),
            algorithms,
            lifetime_seconds_max: policy.lifetime_seconds_max,
            tenant_claim: policy.tenant_claim.clone(),
            principal_claim: policy.principal_claim.clone(),
            read_scope: policy.read_scope.clone(),
            propose_scope: policy.propose_scope.clone(),
        };
        Ok(Self {
            verifier: CachingTokenVerifier::new(policy),
            reader,
            keys: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            listing,
        })
    }

    /// Who shows this token.
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
                tracing::info!(%error, "an access token was not accepted");
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
        )
    }

    /// What a message needs; `None` if any token that is good will do.
    pub(crate) fn needed(&self, method: &str, name: Option<&str>) -> Option<TokenScope> {
        match method {
            "tools/call" if name.and_then(|name| self.listing.kind(name)) == Some("proposal") => {
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

    const fn policy(&self) -> &TokenPolicy {
        self.verifier.policy()
    }

    /// The challenge of a 401 or 403 (RFC 6750, 3; RFC 9728, 5.1), with the error if there is one.
    pub(crate) fn challenge(&self, error: Option<(&str, &str)>, scope: Option<TokenScope>) -> String {
        let mut challenge = format!("Bearer resource_metadata=\"{}\"", self.metadata_url());
        let policy = self.policy();
        let scope = scope.map_or_else(
            || format!("{} {}", policy.read_scope, policy.propose_scope),
            |scope| policy.word(scope).to_owned(),
        );
        challenge.push_str(&format!(", scope=\"{scope}\""));
        if let Some((code, description)) = error {
            challenge.push_str(&format!(
                ", error=\"{code}\", error_description=\"{description}\""
            ));
        }
        challenge
    }

    /// The metadata of this resource. There is no scope for approval, because nothing here approves.
    pub(crate) fn metadata(&self) -> Json {
        let policy = self.policy();
        json!({
            "resource": policy.audience,
            "authorization_servers": [policy.issuer],
            "scopes_supported": [policy.read_scope, policy.propose_scope],
            "bearer_methods_supported": ["header"],
            "resource_name": "Synapsor Runner",
        })
    }

    /// The well-known path goes between the host and the path of the resource (RFC 9728, 3.1).
    fn metadata_url(&self) -> String {
        let audience = self.policy().audience.trim_end_matches('/');
        let host_at = audience.find("://").map_or(0, |at| at + 3);
        let path_at = audience[host_at..]
            .find('/')
            .map_or(audience.len(), |at| host_at + at);
        let (origin, path) = audience.split_at(path_at);
        format!("{origin}{METADATA_PATH}{path}")
    }

    /// The keys as the reader had them a minute ago, or anew when a token names one that is not among them.
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
            tracing::warn!(code = %refusal.code, "the reader gave no keys for access tokens");
            Rejection::Unavailable
        })?;
        let set = Jwks::parse(&document).map(Arc::new).map_err(|refusal| {
            tracing::warn!(code = %refusal.code, "the reader's keys for access tokens cannot be used");
            Rejection::Unavailable
        })?;
        let mut held = self.held();
        *held = Held {
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

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
