//! Trusted context: tenant and principal of a call, which the model cannot choose.
//! Resolving is pure: the caller passes a function that looks up variables, or a verified token.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

use crate::access_token::VerifiedToken;
use crate::contract::{ContextProvider, ContextSpec};
use crate::error::PublicError;
use crate::limits::BINDING_BYTES_MAX;

/// Default variable of the tenant.
pub const TENANT_ENV: &str = "SYNAPSOR_TENANT_ID";
/// Default variable of the principal.
pub const PRINCIPAL_ENV: &str = "SYNAPSOR_PRINCIPAL";

/// Origin of tenant and principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    Environment,
    StaticDev,
    HttpClaims,
}

impl Provenance {
    pub const fn as_str(self) -> &'static str {
        match self {
            Provenance::Environment => "environment",
            Provenance::StaticDev => "static_dev",
            Provenance::HttpClaims => "http_claims",
        }
    }
}

/// The tenant and the principal of one call.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedContext {
    pub tenant: String,
    pub principal: String,
    pub provenance: Provenance,
}

/// Resolves a context of the contract; `lookup` gives the value of an environment variable.
///
/// # Errors
/// `TRUSTED_BINDING_MISSING` if tenant or principal is absent, empty, too long, or has control characters or a byte order mark;
/// `ACCESS_TOKEN_REQUIRED` for contexts that come from tokens; `TRUSTED_CONTEXT_UNSUPPORTED` if no process
/// resolves this provider.
pub fn resolve(
    spec: &ContextSpec,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<TrustedContext, PublicError> {
    let (provenance, tenant, principal) = match spec.provider {
        ContextProvider::Environment => {
            let tenant_env = spec.tenant_id_env.as_deref().unwrap_or(TENANT_ENV);
            let principal_env = spec.principal_env.as_deref().unwrap_or(PRINCIPAL_ENV);
            let tenant = (lookup(tenant_env), format!("set {tenant_env}"));
            let principal = (lookup(principal_env), format!("set {principal_env}"));
            (Provenance::Environment, tenant, principal)
        }
        ContextProvider::StaticDev => {
            let tenant = literal_or_env(spec.tenant_id_env.as_deref(), spec.tenant_id.as_ref(), &lookup);
            let principal = literal_or_env(spec.principal_env.as_deref(), spec.principal.as_ref(), &lookup);
            let fix = |name: &str| format!("give `{name}` under `values` of the context");
            (
                Provenance::StaticDev,
                (tenant, fix("tenant_id")),
                (principal, fix("principal")),
            )
        }
        ContextProvider::HttpClaims => {
            let message = "Tenant and principal come from the caller's access token, and there is none.";
            return Err(PublicError::new(ErrorCode::AccessTokenRequired, message));
        }
        ContextProvider::CloudSession => {
            let message = format!(
                "The operator chose context provider `{}`, which is not available here.",
                { spec.provider.as_str() }
            );
            return Err(PublicError::new(ErrorCode::TrustedContextUnsupported, message));
        }
    };
    Ok(TrustedContext {
        tenant: bound("tenant", tenant)?,
        principal: bound("principal", principal)?,
        provenance,
    })
}

/// Resolves tenant and principal from a verified token, for contexts of provider `http_claims`.
///
/// # Errors
/// `TENANT_CLAIM_MISSING` and `PRINCIPAL_CLAIM_MISSING`, and `ACCESS_TOKEN_UNBOUND` if a claim that the contract
/// names is not a string, empty, too long, or has control characters or a byte order mark. The detail names the claim and
/// what is wrong.
pub fn of_token(spec: &ContextSpec, token: &VerifiedToken) -> Result<TrustedContext, PublicError> {
    let Some(source) = spec.tokens() else {
        let message = "The operator chose another context provider than access tokens.";
        return Err(PublicError::new(ErrorCode::TrustedContextUnsupported, message));
    };
    let claim = |what: &str, claim: &str, missing: ErrorCode| {
        let refuse = |code: ErrorCode, problem: &str| {
            let message = format!(
                "The trusted {what} cannot be taken from the access token: its claim `{claim}` {problem}. It \
                cannot be passed as an argument: have the issuer put it into this claim as a string."
            );
            PublicError::new(code, message).with_detail(format!("claim `{claim}` {problem}"))
        };
        match (token.text(claim), token.other_type(claim)) {
            (Some(text), _) => match problem_of(text) {
                None => Ok(text.to_owned()),
                Some(problem) => Err(refuse(ErrorCode::AccessTokenUnbound, problem)),
            },
            (None, Some(type_name)) => {
                let problem = format!("is {type_name} and must be a string");
                Err(refuse(ErrorCode::AccessTokenUnbound, &problem))
            }
            (None, None) => Err(refuse(missing, "is missing")),
        }
    };
    Ok(TrustedContext {
        tenant: claim(
            "tenant",
            &source.policy.tenant_claim,
            ErrorCode::TenantClaimMissing,
        )?,
        principal: claim(
            "principal",
            &source.policy.principal_claim,
            ErrorCode::PrincipalClaimMissing,
        )?,
        provenance: Provenance::HttpClaims,
    })
}

fn literal_or_env(
    env: Option<&str>,
    literal: Option<&String>,
    lookup: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    env.and_then(lookup)
        .filter(|value| !value.is_empty())
        .or_else(|| literal.cloned())
}

fn bound(what: &str, (value, fix): (Option<String>, String)) -> Result<String, PublicError> {
    let refuse = |reason: &str| {
        let message = format!(
            "The trusted {what} {reason}. It is set by the operator and cannot be passed as an argument: {fix}."
        );
        Err(PublicError::new(ErrorCode::TrustedBindingMissing, message))
    };
    match value {
        None => refuse("is not set"),
        Some(value) => match problem_of(&value) {
            Some(problem) => refuse(problem),
            None => Ok(value),
        },
    }
}

/// Returns why a text cannot be a tenant or principal.
fn problem_of(value: &str) -> Option<&'static str> {
    match value {
        _ if value.trim().is_empty() => Some("is empty"),
        _ if value.len() > BINDING_BYTES_MAX => Some("is too long"),
        _ if value.starts_with('\u{feff}') => Some("begins with a byte order mark"),
        _ if value.chars().any(char::is_control) => Some("has control characters"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(provider: ContextProvider) -> ContextSpec {
        let json = format!(
            r#"{{"version":1,"mode":"read_only","sources":{{"db":{{"engine":"sqlite","read_url_env":"R"}}}},
            "trusted_context":{{"provider":"{}","values":{{"tenant_id_env":"T","tenant_id":"lit","principal":"p"}}}},
            "capabilities":[{{"name":"a.b","kind":"read","source":"db","lookup":{{"id_from_arg":"id"}},
            "target":{{"schema":"main","table":"t","primary_key":"id","tenant_key":"org"}},
            "args":{{"id":{{"type":"string"}}}},"visible_columns":["id"]}}]}}"#,
            provider.as_str()
        );
        let contract = crate::contract::Contract::parse(json.as_bytes())
            .unwrap()
            .contract;
        contract
            .context(&crate::contract::ContextName::Global)
            .unwrap()
            .clone()
    }

    #[test]
    fn environment_provider_reads_variables_and_no_literals() {
        let values = |name: &str| match name {
            "T" => Some("acme".to_owned()),
            PRINCIPAL_ENV => Some("ann".to_owned()),
            _ => None,
        };
        let context = resolve(&spec(ContextProvider::Environment), values).unwrap();
        assert_eq!(
            (context.tenant.as_str(), context.principal.as_str()),
            ("acme", "ann")
        );
        assert_eq!(context.provenance, Provenance::Environment);
        let refusal = resolve(&spec(ContextProvider::Environment), |_| None).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::TrustedBindingMissing);
        assert!(refusal.public.contains("set T"), "{refusal}");
    }

    #[test]
    fn static_dev_prefers_the_variable_to_the_literal() {
        let context = resolve(&spec(ContextProvider::StaticDev), |_| None).unwrap();
        assert_eq!(context.tenant, "lit");
        let context = resolve(&spec(ContextProvider::StaticDev), |name| {
            (name == "T").then(|| "env".to_owned())
        })
        .unwrap();
        assert_eq!(context.tenant, "env");
    }

    #[test]
    fn rejects_unusable_bindings() {
        for value in [
            "",
            "  ",
            "a\nb",
            "a\u{0}",
            "\u{feff}a",
            &"x".repeat(BINDING_BYTES_MAX + 1),
        ] {
            let refusal =
                resolve(&spec(ContextProvider::Environment), |_| Some(value.to_owned())).unwrap_err();
            assert_eq!(refusal.code, ErrorCode::TrustedBindingMissing, "{value:?}");
        }
        for (provider, code) in [
            (ContextProvider::HttpClaims, ErrorCode::AccessTokenRequired),
            (
                ContextProvider::CloudSession,
                ErrorCode::TrustedContextUnsupported,
            ),
        ] {
            let refusal = resolve(&spec(provider), |_| Some("x".to_owned())).unwrap_err();
            assert_eq!(refusal.code, code);
        }
    }
}
