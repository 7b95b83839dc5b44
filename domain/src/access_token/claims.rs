//! Claims of an access token: the required ones, its scopes, and any other claim by name.

use std::collections::BTreeSet;
use std::fmt;

use super::{DEPTH_MAX, TokenError, TokenPolicy, TokenScope};
use crate::digest::Digest;
use crate::json::{self, JsonNode};
use crate::limits::{BINDING_BYTES_MAX, CLOCK_SKEW_SECONDS};
use crate::timestamp::{Span, Timestamp};

/// Largest time of a claim, in seconds since 1970; later ones do not fit a timestamp.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Scopes of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<String>);

impl Scopes {
    /// Whether the token permits this scope. The scope for proposals also permits reads.
    pub fn permits(&self, scope: TokenScope, policy: &TokenPolicy) -> bool {
        let has = |scope| self.0.contains(policy.word(scope));
        has(scope) || has(TokenScope::Propose)
    }
}

/// A verified token; only [`super::verify`] creates it.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    issuer: String,
    client_id: String,
    jti: String,
    /// Every claim with a string value.
    texts: Vec<(String, String)>,
    scopes: Scopes,
    valid_from: Timestamp,
    expires_at: Timestamp,
}

impl VerifiedToken {
    /// The client that the token was issued to.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns a claim with a string value.
    pub fn text(&self, claim: &str) -> Option<&str> {
        let found = self.texts.iter().find(|(name, _)| name == claim);
        found.map(|(_, text)| text.as_str())
    }

    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Expiry of the token, without the allowed clock skew.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Checks that the token is valid at `now`, with a small allowance for clock skew.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), TokenError> {
        let skew = Span::seconds(CLOCK_SKEW_SECONDS);
        if now >= self.expires_at + skew {
            return Err(TokenError::Expired);
        }
        if self.valid_from > now + skew {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }

    /// Identifies this token in records without revealing a usable part of it.
    pub fn fingerprint(&self) -> Digest {
        let named = [self.issuer.as_bytes(), b"\0", self.jti.as_bytes()].concat();
        Digest::of_typed("application/vnd.synapsor.access-token-id.v1", &named)
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Claims as the token encodes them.
pub(super) struct Claims(Vec<(String, JsonNode)>);

impl Claims {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, TokenError> {
        match json::read(bytes, DEPTH_MAX).map_err(|e| TokenError::json("payload", &e))? {
            JsonNode::Map(entries) => Ok(Self(entries)),
            _ => Err(TokenError::Json {
                part: "payload",
                reason: "it is not an object".to_owned(),
            }),
        }
    }

    pub(super) fn check(&self, policy: &TokenPolicy, now: Timestamp) -> Result<VerifiedToken, TokenError> {
        if self.required_text("iss")? != policy.issuer {
            return Err(TokenError::Issuer);
        }
        self.check_audience(&policy.audience)?;
        let (issued, expires) = (self.seconds("iat")?, self.seconds("exp")?);
        let not_before = self.get("nbf").map(|_| self.seconds("nbf")).transpose()?;
        let valid_from = not_before.unwrap_or(issued).max(issued);
        let token = VerifiedToken {
            issuer: policy.issuer.clone(),
            client_id: self.required_text("client_id")?.to_owned(),
            jti: self.required_text("jti")?.to_owned(),
            texts: self.texts(),
            scopes: self.scopes()?,
            valid_from: Timestamp::from_unix_millis(valid_from * 1_000),
            expires_at: Timestamp::from_unix_millis(expires * 1_000),
        };
        token.check_time(now)?;
        if expires.saturating_sub(issued) > i64::from(policy.lifetime_seconds_max) {
            return Err(TokenError::LifetimeTooLong);
        }
        self.required_text("sub")?;
        Ok(token)
    }

    fn get(&self, name: &str) -> Option<&JsonNode> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, node)| node)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            JsonNode::Text(text) => Some(text),
            _ => None,
        }
    }

    fn texts(&self) -> Vec<(String, String)> {
        let text = |(name, node): &(String, JsonNode)| match node {
            JsonNode::Text(text) => Some((name.clone(), text.clone())),
            _ => None,
        };
        self.0.iter().filter_map(text).collect()
    }

    fn required_text(&self, name: &'static str) -> Result<&str, TokenError> {
        self.text(name)
            .filter(|text| (1..=BINDING_BYTES_MAX).contains(&text.len()))
            .ok_or(TokenError::Claim(name))
    }

    /// Requires exactly this audience. A token for several audiences could have been stolen from another service.
    fn check_audience(&self, audience: &str) -> Result<(), TokenError> {
        let is_ours = |node: &JsonNode| matches!(node, JsonNode::Text(text) if text == audience);
        match self.get("aud").ok_or(TokenError::Claim("aud"))? {
            JsonNode::List(items) if items.len() == 1 && items.iter().all(is_ours) => Ok(()),
            node if is_ours(node) => Ok(()),
            _ => Err(TokenError::Audience),
        }
    }

    /// Parses a time in whole seconds; fractions, which the standard allows, are truncated.
    fn seconds(&self, name: &'static str) -> Result<i64, TokenError> {
        let Some(JsonNode::Number(text)) = self.get(name) else {
            return Err(TokenError::Claim(name));
        };
        let whole = match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => whole,
            Some(_) => return Err(TokenError::Claim(name)),
            None => text,
        };
        let seconds: i64 = whole.parse().map_err(|_| TokenError::Claim(name))?;
        if (0..=SECONDS_MAX).contains(&seconds) {
            Ok(seconds)
        } else {
            Err(TokenError::Claim(name))
        }
    }

    /// Parses a space-separated string (RFC 8693, 4.2); absent means no scopes.
    fn scopes(&self) -> Result<Scopes, TokenError> {
        match self.get("scope") {
            None => Ok(Scopes::default()),
            Some(JsonNode::Text(text)) => Ok(Scopes(
                text.split(' ')
                    .filter(|s| !s.is_empty())
                    .map(str::to_owned)
                    .collect(),
            )),
            Some(_) => Err(TokenError::Claim("scope")),
        }
    }
}
