//! Claims of an access token: the required ones, its scopes, and any other claim by name.

use std::collections::BTreeSet;
use std::fmt;

use super::error::listed;
use super::profile::{AudienceMode, ScopeClaim, TokenProfile};
use super::{DEPTH_MAX, TokenError, TokenPolicy, TokenScope};
use crate::digest::Digest;
use crate::json::{self, JsonNode};
use crate::limits::{BINDING_BYTES_MAX, CLOCK_SKEW_SECONDS};
use crate::timestamp::{Span, Timestamp};

/// Largest time of a claim, in seconds since 1970; later ones do not fit a timestamp.
const SECONDS_MAX: i64 = 253_402_300_799;
/// What a profile can set for claims that other issuers name differently or leave out.
const CLIENT_ID_SETTING: &str = "`client_id_claim` names the claim of the context's issuer";
const JTI_SETTING: &str = "`require_jti: false` accepts tokens without it";

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
    /// The claim that `valid_from` comes from.
    valid_from_claim: &'static str,
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
            return Err(TokenError::Expired { now });
        }
        if self.valid_from > now + skew {
            return Err(TokenError::NotYetValid {
                claim: self.valid_from_claim,
                now,
            });
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
        let (valid_from, valid_from_claim) = match not_before {
            Some(not_before) if not_before > issued => (not_before, "nbf"),
            _ => (issued, "iat"),
        };
        let token = VerifiedToken {
            issuer: policy.issuer.clone(),
            client_id: self
                .required_text(&policy.profile.client_id_claim, Some(CLIENT_ID_SETTING))?
                .to_owned(),
            fingerprint: self.fingerprint(policy, signed)?,
            texts: self.texts(),
            other_types: self.other_types(),
            scopes: self.scopes(&policy.profile)?,
            valid_from: Timestamp::from_unix_millis(valid_from * 1_000),
            valid_from_claim,
            expires_at: Timestamp::from_unix_millis(expires * 1_000),
        };
        token.check_time(now)?;
        if expires.saturating_sub(issued) > i64::from(policy.lifetime_seconds_max) {
            return Err(TokenError::LifetimeTooLong(policy.lifetime_seconds_max));
        }
        self.required_text("sub", None)?;
        Ok(token)
    }

    fn get(&self, name: &str) -> Option<&JsonNode> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, node)| node)
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

    fn required(&self, name: &str, setting: Option<&'static str>) -> Result<&JsonNode, TokenError> {
        self.get(name).ok_or_else(|| TokenError::ClaimMissing {
            claim: name.to_owned(),
            setting,
        })
    }

    fn required_text(&self, name: &str, setting: Option<&'static str>) -> Result<&str, TokenError> {
        let found = match self.required(name, setting)? {
            JsonNode::Text(text) if text.is_empty() => "an empty string",
            JsonNode::Text(text) if text.len() > BINDING_BYTES_MAX => "a longer string",
            JsonNode::Text(text) => return Ok(text),
            other => other.type_name(),
        };
        Err(form(
            name,
            found,
            &format!("a string of 1 to {BINDING_BYTES_MAX} bytes"),
        ))
    }

    fn check_issuer(&self, issuer: &str) -> Result<(), TokenError> {
        let found = self.required_text("iss", None)?;
        if found == issuer {
            return Ok(());
        }
        let bare = |text: &str| text.strip_suffix('/').map(str::to_owned);
        let differs_by_slash =
            bare(found).as_deref() == Some(issuer) || bare(issuer).as_deref() == Some(found);
        Err(if differs_by_slash {
            TokenError::IssuerSlash(issuer.to_owned())
        } else {
            TokenError::Issuer(issuer.to_owned())
        })
    }

    /// Requires an audience of the contract, and in mode `exact` no other: a token for several services could have been
    /// stolen from another one.
    fn check_audience(&self, policy: &TokenPolicy) -> Result<(), TokenError> {
        let malformed = |found| form("aud", found, "a string or a list of strings");
        let named = match self.required("aud", None)? {
            JsonNode::Text(text) => vec![text.as_str()],
            JsonNode::List(items) => texts_of(items).ok_or_else(|| malformed(MIXED_LIST))?,
            other => return Err(malformed(other.type_name())),
        };
        let ours = named.iter().filter(|audience| policy.audience.contains(audience));
        let distinct: BTreeSet<&str> = ours.copied().collect();
        let wanted = || listed(policy.audience.as_slice().iter().map(String::as_str));
        match policy.profile.audience_mode {
            _ if distinct.is_empty() => Err(TokenError::Audience(wanted())),
            AudienceMode::Exact if distinct.len() != named.len() => {
                Err(TokenError::AudienceNotAlone(wanted()))
            }
            AudienceMode::Exact | AudienceMode::Contains => Ok(()),
        }
    }

    /// Identifies the token by `jti`, or by its signed part when it has none and the contract permits that.
    fn fingerprint(&self, policy: &TokenPolicy, signed: &str) -> Result<Digest, TokenError> {
        if self.get("jti").is_none() && !policy.profile.require_jti {
            let media_type = "application/vnd.synapsor.access-token-content.v1";
            return Ok(Digest::of_typed(media_type, signed.as_bytes()));
        }
        let jti = self.required_text("jti", Some(JTI_SETTING))?;
        let named = [policy.issuer.as_bytes(), b"\0", jti.as_bytes()].concat();
        Ok(Digest::of_typed(
            "application/vnd.synapsor.access-token-id.v1",
            &named,
        ))
    }

    /// Parses a time in whole seconds; fractions, which the standard allows, are truncated.
    fn seconds(&self, name: &str) -> Result<i64, TokenError> {
        let malformed = |found| form(name, found, "seconds since 1970");
        let text = match self.required(name, None)? {
            JsonNode::Number(text) => text,
            other => return Err(malformed(other.type_name())),
        };
        let whole = match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit()) => Some(whole),
            Some(_) => None,
            None => Some(text.as_str()),
        };
        whole
            .and_then(|whole| whole.parse().ok())
            .filter(|seconds| (0..=SECONDS_MAX).contains(seconds))
            .ok_or_else(|| malformed("a number out of range"))
    }

    /// Reads the claim that the profile names. `scope` is a space-separated string (RFC 8693, 4.2) and counts
    /// whenever the token has it.
    fn scopes(&self, profile: &TokenProfile) -> Result<Scopes, TokenError> {
        match (self.get("scope"), self.get("scp"), profile.scope_claim) {
            (Some(JsonNode::Text(text)), _, _) | (None, Some(JsonNode::Text(text)), ScopeClaim::Scp) => {
                Ok(Scopes::of(text.split(' '), ScopeOrigin::Claim))
            }
            (Some(JsonNode::List(_)), _, _) => Err(TokenError::ScopeList),
            (Some(other), _, _) => Err(form("scope", other.type_name(), "a space-separated string")),
            (None, Some(JsonNode::List(items)), ScopeClaim::Scp) => {
                let names = texts_of(items).ok_or_else(|| form("scp", MIXED_LIST, SCP_FORM))?;
                Ok(Scopes::of(names, ScopeOrigin::Claim))
            }
            (None, Some(other), ScopeClaim::Scp) => Err(form("scp", other.type_name(), SCP_FORM)),
            (None, Some(_), ScopeClaim::Scope) => Ok(Scopes::of([""], ScopeOrigin::OtherClaim)),
            (None, None, _) => Ok(match &profile.scope_when_absent {
                Some(scopes) => Scopes::of(scopes.split(' '), ScopeOrigin::Contract),
                None => Scopes::of([""], ScopeOrigin::Missing),
            }),
        }
    }
}

const MIXED_LIST: &str = "a list with members that are not strings";
const SCP_FORM: &str = "a space-separated string or a list of strings";

/// Returns the error for a claim of the wrong type or form.
fn form(claim: &str, found: &'static str, wanted: &str) -> TokenError {
    TokenError::ClaimForm {
        claim: claim.to_owned(),
        found,
        wanted: wanted.to_owned(),
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
