//! Claims of an access token: the required ones, its scopes, and any other claim by name.

use std::collections::BTreeSet;
use std::fmt;

use super::profile::{AudienceMode, ScopeClaim, TokenProfile};
use super::{DEPTH_MAX, TokenError, TokenPolicy, TokenScope};
use crate::digest::Digest;
use crate::json::{self, JsonNode};
use crate::limits::{BINDING_BYTES_MAX, CLOCK_SKEW_SECONDS};
use crate::timestamp::{Span, Timestamp};

/// Largest time of a claim, in seconds since 1970; later ones do not fit a timestamp.
const SECONDS_MAX: i64 = 253_402_300_799;

/// Scopes of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    names: BTreeSet<String>,
    origin: ScopeOrigin,
}

/// Where the scopes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScopeOrigin {
    /// The claim that the contract names.
    Claim,
    /// The token has no scope claim; the contract decides.
    Contract,
    /// The token has no scope claim.
    Missing,
    /// The token has `scp` only, which the contract does not name.
    OtherClaim,
}

impl Scopes {
    /// Whether the token permits this scope. The scope for proposals also permits reads.
    pub fn permits(&self, scope: TokenScope, policy: &TokenPolicy) -> bool {
        let has = |scope| self.names.contains(policy.word(scope));
        has(scope) || has(TokenScope::Propose)
    }

    /// Returns why a scope can be missing, for local logs.
    pub const fn shortfall(&self) -> &'static str {
        match self.origin {
            ScopeOrigin::Claim => "the token's scope claim does not list the scope",
            ScopeOrigin::Contract => {
                "the token has no scope claim, and `scope_when_absent` does not list the scope"
            }
            ScopeOrigin::Missing => "the token has no scope claim",
            ScopeOrigin::OtherClaim => "the token has its scopes in `scp`, and `scope_claim` is `scope`",
        }
    }

    fn of(names: impl IntoIterator<Item = impl Into<String>>, origin: ScopeOrigin) -> Self {
        let names = names.into_iter().map(Into::into);
        Self {
            names: names.filter(|name: &String| !name.is_empty()).collect(),
            origin,
        }
    }
}

/// A verified token; only [`super::verify`] creates it.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    issuer: String,
    client_id: String,
    fingerprint: Digest,
    /// Every claim with a string value.
    texts: Vec<(String, String)>,
    /// Type of every other claim.
    other_types: Vec<(String, &'static str)>,
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

    /// Returns the type of a claim that is not a string, in English; `None` if the token lacks the claim.
    pub fn other_type(&self, claim: &str) -> Option<&'static str> {
        let found = self.other_types.iter().find(|(name, _)| name == claim);
        found.map(|(_, type_name)| *type_name)
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
    pub const fn fingerprint(&self) -> Digest {
        self.fingerprint
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

    /// Checks the claims of a token with a valid signature; `signed` is the part that the signature covers.
    pub(super) fn check(
        &self,
        policy: &TokenPolicy,
        signed: &str,
        now: Timestamp,
    ) -> Result<VerifiedToken, TokenError> {
        self.check_issuer(&policy.issuer)?;
        self.check_audience(policy)?;
        let (issued, expires) = (self.seconds("iat")?, self.seconds("exp")?);
        let not_before = self.get("nbf").map(|_| self.seconds("nbf")).transpose()?;
        let valid_from = not_before.unwrap_or(issued).max(issued);
        let token = VerifiedToken {
            issuer: policy.issuer.clone(),
            client_id: self.required_text(&policy.profile.client_id_claim)?.to_owned(),
            fingerprint: self.fingerprint(policy, signed)?,
            texts: self.texts(),
            other_types: self.other_types(),
            scopes: self.scopes(&policy.profile)?,
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

    fn other_types(&self) -> Vec<(String, &'static str)> {
        let others = self
            .0
            .iter()
            .filter(|(_, node)| !matches!(node, JsonNode::Text(_)));
        others
            .map(|(name, node)| (name.clone(), node.type_name()))
            .collect()
    }

    fn required_text(&self, name: &str) -> Result<&str, TokenError> {
        self.text(name)
            .filter(|text| (1..=BINDING_BYTES_MAX).contains(&text.len()))
            .ok_or_else(|| TokenError::Claim(name.to_owned()))
    }

    fn check_issuer(&self, issuer: &str) -> Result<(), TokenError> {
        let found = self.required_text("iss")?;
        if found == issuer {
            return Ok(());
        }
        let bare = |text: &str| text.strip_suffix('/').map(str::to_owned);
        let differs_by_slash =
            bare(found).as_deref() == Some(issuer) || bare(issuer).as_deref() == Some(found);
        Err(if differs_by_slash {
            TokenError::IssuerSlash
        } else {
            TokenError::Issuer
        })
    }

    /// Requires an audience of the contract, and in mode `exact` no other: a token for several services could have been
    /// stolen from another one.
    fn check_audience(&self, policy: &TokenPolicy) -> Result<(), TokenError> {
        let named = match self
            .get("aud")
            .ok_or_else(|| TokenError::Claim("aud".to_owned()))?
        {
            JsonNode::Text(text) => vec![text.as_str()],
            JsonNode::List(items) => texts_of(items).ok_or(TokenError::Audience)?,
            _ => return Err(TokenError::Audience),
        };
        let ours = named.iter().filter(|audience| policy.audience.contains(audience));
        let distinct: BTreeSet<&str> = ours.copied().collect();
        match policy.profile.audience_mode {
            _ if distinct.is_empty() => Err(TokenError::Audience),
            AudienceMode::Exact if distinct.len() != named.len() => Err(TokenError::AudienceNotAlone),
            AudienceMode::Exact | AudienceMode::Contains => Ok(()),
        }
    }

    /// Identifies the token by `jti`, or by its signed part when it has none and the contract permits that.
    fn fingerprint(&self, policy: &TokenPolicy, signed: &str) -> Result<Digest, TokenError> {
        if self.get("jti").is_none() && !policy.profile.require_jti {
            let media_type = "application/vnd.synapsor.access-token-content.v1";
            return Ok(Digest::of_typed(media_type, signed.as_bytes()));
        }
        let jti = self.required_text("jti")?;
        let named = [policy.issuer.as_bytes(), b"\0", jti.as_bytes()].concat();
        Ok(Digest::of_typed(
            "application/vnd.synapsor.access-token-id.v1",
            &named,
        ))
    }

    /// Parses a time in whole seconds; fractions, which the standard allows, are truncated.
    fn seconds(&self, name: &str) -> Result<i64, TokenError> {
        let malformed = || TokenError::Claim(name.to_owned());
        let Some(JsonNode::Number(text)) = self.get(name) else {
            return Err(malformed());
        };
        let whole = match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => whole,
            Some(_) => return Err(malformed()),
            None => text,
        };
        let seconds: i64 = whole.parse().map_err(|_| malformed())?;
        if (0..=SECONDS_MAX).contains(&seconds) {
            Ok(seconds)
        } else {
            Err(malformed())
        }
    }

    /// Reads the claim that the profile names. `scope` is a space-separated string (RFC 8693, 4.2) and counts
    /// whenever the token has it.
    fn scopes(&self, profile: &TokenProfile) -> Result<Scopes, TokenError> {
        match (self.get("scope"), self.get("scp"), profile.scope_claim) {
            (Some(JsonNode::Text(text)), _, _) | (None, Some(JsonNode::Text(text)), ScopeClaim::Scp) => {
                Ok(Scopes::of(text.split(' '), ScopeOrigin::Claim))
            }
            (Some(JsonNode::List(_)), _, _) => Err(TokenError::ScopeList),
            (Some(_), _, _) => Err(TokenError::Claim("scope".to_owned())),
            (None, Some(JsonNode::List(items)), ScopeClaim::Scp) => {
                let names = texts_of(items).ok_or_else(|| TokenError::Claim("scp".to_owned()))?;
                Ok(Scopes::of(names, ScopeOrigin::Claim))
            }
            (None, Some(_), ScopeClaim::Scp) => Err(TokenError::Claim("scp".to_owned())),
            (None, Some(_), ScopeClaim::Scope) => Ok(Scopes::of([""], ScopeOrigin::OtherClaim)),
            (None, None, _) => Ok(match &profile.scope_when_absent {
                Some(scopes) => Scopes::of(scopes.split(' '), ScopeOrigin::Contract),
                None => Scopes::of([""], ScopeOrigin::Missing),
            }),
        }
    }
}

/// Returns the strings of a list; `None` if it has another member.
fn texts_of(items: &[JsonNode]) -> Option<Vec<&str>> {
    let texts = items.iter().map(|node| match node {
        JsonNode::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}
