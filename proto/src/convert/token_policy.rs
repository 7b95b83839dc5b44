//! Access token policy of the contract.

use synapsor_codes::ErrorCode;
use synapsor_domain::access_token::{
    Algorithm, AudienceMode, Audiences, HeaderMember, ScopeClaim, TokenPolicy, TokenProfile, TokenType,
    value_of, word_of,
};
use synapsor_domain::error::PublicError;

use super::malformed;
use crate::executor::v1 as wire;

impl From<TokenPolicy> for wire::TokenPolicy {
    fn from(policy: TokenPolicy) -> Self {
        let profile = (!policy.profile.is_strict()).then(|| policy.profile.into());
        let mut audiences = policy.audience.as_slice().iter().cloned();
        Self {
            issuer: policy.issuer,
            audience: audiences.next().unwrap_or_default(),
            algorithms: policy.algorithms.iter().map(|a| a.as_str().to_owned()).collect(),
            lifetime_seconds_max: policy.lifetime_seconds_max,
            tenant_claim: policy.tenant_claim,
            principal_claim: policy.principal_claim,
            read_scope: policy.read_scope,
            propose_scope: policy.propose_scope,
            other_audiences: audiences.collect(),
            resource: policy.resource,
            profile,
        }
    }
}

impl From<TokenProfile> for wire::TokenProfile {
    fn from(profile: TokenProfile) -> Self {
        let types = profile
            .types
            .iter()
            .map(|typ| word_of(TokenType::WORDS, *typ).to_owned());
        let members = profile.header_members.iter();
        Self {
            types: types.collect(),
            header_members: members
                .map(|member| word_of(HeaderMember::WORDS, *member).to_owned())
                .collect(),
            scope_claim: word_of(ScopeClaim::WORDS, profile.scope_claim).to_owned(),
            scope_when_absent: profile.scope_when_absent,
            client_id_claim: profile.client_id_claim,
            require_jti: profile.require_jti,
            audience_mode: word_of(AudienceMode::WORDS, profile.audience_mode).to_owned(),
        }
    }
}

impl TryFrom<wire::TokenPolicy> for TokenPolicy {
    type Error = PublicError;

    fn try_from(policy: wire::TokenPolicy) -> Result<Self, PublicError> {
        let named = policy.algorithms.iter().map(|name| Algorithm::of(name));
        let algorithms = named
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| unknown("signature algorithm"))?;
        let audiences = [vec![policy.audience], policy.other_audiences].concat();
        Ok(Self {
            issuer: policy.issuer,
            audience: Audiences::of(audiences).ok_or_else(|| malformed("audience", "is missing"))?,
            resource: policy.resource,
            algorithms,
            lifetime_seconds_max: policy.lifetime_seconds_max,
            tenant_claim: policy.tenant_claim,
            principal_claim: policy.principal_claim,
            read_scope: policy.read_scope,
            propose_scope: policy.propose_scope,
            profile: match policy.profile {
                Some(profile) => profile.try_into()?,
                None => TokenProfile::default(),
            },
        })
    }
}

impl TryFrom<wire::TokenProfile> for TokenProfile {
    type Error = PublicError;

    fn try_from(profile: wire::TokenProfile) -> Result<Self, PublicError> {
        let types = profile.types.iter().map(|name| value_of(TokenType::WORDS, name));
        let members = profile.header_members.iter();
        let members = members.map(|name| value_of(HeaderMember::WORDS, name));
        Ok(Self {
            types: types
                .collect::<Option<_>>()
                .ok_or_else(|| unknown("token type"))?,
            header_members: members
                .collect::<Option<_>>()
                .ok_or_else(|| unknown("header member"))?,
            scope_claim: value_of(ScopeClaim::WORDS, &profile.scope_claim)
                .ok_or_else(|| unknown("scope claim"))?,
            scope_when_absent: profile.scope_when_absent,
            client_id_claim: profile.client_id_claim,
            require_jti: profile.require_jti,
            audience_mode: value_of(AudienceMode::WORDS, &profile.audience_mode)
                .ok_or_else(|| unknown("audience mode"))?,
        })
    }
}

fn unknown(what: &str) -> PublicError {
    let text = format!("the reader accepts a {what} that this gateway does not support");
    PublicError::new(ErrorCode::CatalogUnreadable, text)
}
