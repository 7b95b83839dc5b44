//! Access token policy of the contract.

use synapsor_codes::ErrorCode;
use synapsor_domain::access_token::{
    Algorithm, AudienceMode, Audiences, HeaderMember, ScopeClaim, TokenPolicy, TokenProfile, TokenType,
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
        let types = profile.types.into_iter().map(|typ| match typ {
            TokenType::AtJwt => wire::TokenType::AtJwt.into(),
            TokenType::Jwt => wire::TokenType::Jwt.into(),
            TokenType::Absent => wire::TokenType::Absent.into(),
        });
        let members = profile.header_members.into_iter().map(|member| match member {
            HeaderMember::X5t => wire::HeaderMember::X5t.into(),
            HeaderMember::X5tS256 => wire::HeaderMember::X5tS256.into(),
        });
        let scope_claim = match profile.scope_claim {
            ScopeClaim::Scope => wire::ScopeClaim::Scope,
            ScopeClaim::Scp => wire::ScopeClaim::Scp,
        };
        let audience_mode = match profile.audience_mode {
            AudienceMode::Exact => wire::AudienceMode::Exact,
            AudienceMode::Contains => wire::AudienceMode::Contains,
        };
        Self {
            types: types.collect(),
            header_members: members.collect(),
            scope_claim: scope_claim.into(),
            scope_when_absent: profile.scope_when_absent,
            client_id_claim: profile.client_id_claim,
            require_jti: profile.require_jti,
            audience_mode: audience_mode.into(),
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
        let types = profile
            .types
            .iter()
            .map(|typ| match wire::TokenType::try_from(*typ) {
                Ok(wire::TokenType::AtJwt) => Ok(TokenType::AtJwt),
                Ok(wire::TokenType::Jwt) => Ok(TokenType::Jwt),
                Ok(wire::TokenType::Absent) => Ok(TokenType::Absent),
                Ok(wire::TokenType::Unspecified) | Err(_) => Err(unknown("token type")),
            });
        let members =
            profile
                .header_members
                .iter()
                .map(|member| match wire::HeaderMember::try_from(*member) {
                    Ok(wire::HeaderMember::X5t) => Ok(HeaderMember::X5t),
                    Ok(wire::HeaderMember::X5tS256) => Ok(HeaderMember::X5tS256),
                    Ok(wire::HeaderMember::Unspecified) | Err(_) => Err(unknown("header member")),
                });
        Ok(Self {
            types: types.collect::<Result<_, _>>()?,
            header_members: members.collect::<Result<_, _>>()?,
            scope_claim: match profile.scope_claim() {
                wire::ScopeClaim::Scope => ScopeClaim::Scope,
                wire::ScopeClaim::Scp => ScopeClaim::Scp,
                wire::ScopeClaim::Unspecified => return Err(unknown("scope claim")),
            },
            audience_mode: match profile.audience_mode() {
                wire::AudienceMode::Exact => AudienceMode::Exact,
                wire::AudienceMode::Contains => AudienceMode::Contains,
                wire::AudienceMode::Unspecified => return Err(unknown("audience mode")),
            },
            scope_when_absent: profile.scope_when_absent,
            client_id_claim: profile.client_id_claim,
            require_jti: profile.require_jti,
        })
    }
}

fn unknown(what: &str) -> PublicError {
    let text = format!("the reader accepts a {what} that this gateway does not support");
    PublicError::new(ErrorCode::CatalogUnreadable, text)
}
