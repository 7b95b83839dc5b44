//! Tokens as Entra ID, Okta, Auth0, Keycloak, Google and Supabase issue them: each is accepted by its profile, and
//! by no profile that lacks one of the settings.

use super::*;
use crate::context;
use crate::contract::{ContextName, Contract};
use crate::digest::Digest;

/// Token of an issuer, and the settings of a contract for it.
struct Issuer {
    name: &'static str,
    header: Json,
    claims: Json,
    values: Json,
}

const RESOURCE: &str = "https://mcp.example.com/mcp";
const SUBJECT: &str = "248289761001";

fn contract(values: &Json) -> Contract {
    let file = json!({
        "version": 1, "mode": "read_only", "result_format": 2,
        "sources": {"db": {"engine": "sqlite", "read_url_env": "R"}},
        "trusted_context": {"provider": "http_claims", "values": values},
        "capabilities": [{"name": "a.look", "kind": "read", "source": "db", "lookup": {"id_from_arg": "id"},
            "target": {"schema": "main", "table": "t", "primary_key": "id", "tenant_key": "org"},
            "args": {"id": {"type": "string"}}, "visible_columns": ["id"]}]
    });
    let contract = Contract::parse(file.to_string().as_bytes()).unwrap().contract;
    contract.runnable().unwrap();
    contract
}

fn policy_of(values: &Json) -> TokenPolicy {
    contract(values).tokens().unwrap().policy.clone()
}

impl Issuer {
    fn entra_v1() -> Self {
        Self {
            name: "Entra ID, version 1",
            header: json!({"typ": "JWT", "x5t": "Ea_GwO9v", "kid": "k"}),
            claims: json!({"aud": "api://9d0c", "iss": "https://sts.windows.net/72f9/", "iat": NOW_S, "nbf": NOW_S,
                "exp": NOW_S + 4_500, "acr": "1", "aio": "AXQA", "amr": ["pwd"], "appid": "11c1", "appidacr": "0",
                "ipaddr": "203.0.113.7", "oid": "d46a", "rh": "0.AX", "scp": "Invoices.Read Invoices.Propose",
                "sub": SUBJECT, "tid": "72f9", "unique_name": "ann@example.com", "uti": "hcqC", "ver": "1.0"}),
            values: json!({"issuer": "https://sts.windows.net/72f9/", "audience": "api://9d0c", "resource": RESOURCE,
                "accept": {"typ": ["JWT"], "header": ["x5t"]}, "scope_claim": "scp", "client_id_claim": "appid",
                "require_jti": false, "max_lifetime_seconds": 5_400, "tenant_claim": "tid",
                "read_scope": "Invoices.Read", "propose_scope": "Invoices.Propose"}),
        }
    }

    fn entra_v2() -> Self {
        let issuer = "https://login.microsoftonline.com/72f9/v2.0";
        Self {
            name: "Entra ID, version 2",
            header: json!({"typ": "JWT", "kid": "k"}),
            claims: json!({"aud": "9d0c", "iss": issuer, "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 5_100,
                "aio": "AXQA", "azp": "11c1", "azpacr": "0", "oid": "d46a", "scp": "Invoices.Read", "sub": SUBJECT,
                "tid": "72f9", "uti": "hcqC", "ver": "2.0"}),
            values: json!({"issuer": issuer, "audience": "9d0c", "resource": RESOURCE, "accept": {"typ": "JWT"},
                "scope_claim": "scp", "client_id_claim": "azp", "require_jti": false, "max_lifetime_seconds": 5_400,
                "tenant_claim": "tid", "read_scope": "Invoices.Read", "propose_scope": "Invoices.Propose"}),
        }
    }

    fn okta() -> Self {
        let issuer = "https://example.okta.com/oauth2/default";
        Self {
            name: "Okta",
            header: json!({"kid": "k"}),
            claims: json!({"ver": 1, "jti": "AT.0mP4", "iss": issuer, "aud": "api://default", "iat": NOW_S,
                "exp": NOW_S + 3_600, "cid": "0oa1", "uid": "00u1", "scp": ["openid", "synapsor:read"], "sub": SUBJECT,
                "tenant_id": "acme"}),
            values: json!({"issuer": issuer, "audience": "api://default", "resource": RESOURCE,
                "accept": {"typ": ["absent"]}, "scope_claim": "scp", "client_id_claim": "cid"}),
        }
    }

    fn auth0() -> Self {
        let issuer = "https://example.eu.auth0.com/";
        Self {
            name: "Auth0",
            header: json!({"typ": "JWT", "kid": "k"}),
            claims: json!({"iss": issuer, "sub": SUBJECT, "aud": [RESOURCE, "https://example.eu.auth0.com/userinfo"],
                "iat": NOW_S, "exp": NOW_S + 86_400, "azp": "cid1", "scope": "openid synapsor:read",
                "permissions": ["synapsor:read"], "https://example.com/tenant": "acme"}),
            values: json!({"issuer": issuer, "audience": RESOURCE, "accept": {"typ": ["at+jwt", "JWT"]},
                "client_id_claim": "azp", "require_jti": false, "audience_mode": "contains",
                "max_lifetime_seconds": 86_400, "tenant_claim": "https://example.com/tenant"}),
        }
    }

    fn keycloak() -> Self {
        let issuer = "https://id.example.com/realms/support";
        Self {
            name: "Keycloak",
            header: json!({"typ": "JWT", "kid": "k"}),
            claims: json!({"exp": NOW_S + 300, "iat": NOW_S, "auth_time": NOW_S, "jti": "onrtac:1f", "iss": issuer,
                "aud": [RESOURCE, "account"], "sub": SUBJECT, "typ": "Bearer", "azp": "desk", "sid": "s1", "acr": "1",
                "realm_access": {"roles": ["offline_access"]}, "resource_access": {"account": {"roles": ["view"]}},
                "scope": "openid synapsor:read", "organization": "acme"}),
            values: json!({"issuer": issuer, "audience": RESOURCE, "accept": {"typ": ["JWT"]}, "client_id_claim": "azp",
                "audience_mode": "contains", "tenant_claim": "organization"}),
        }
    }

    fn google() -> Self {
        let client = "407408718192.apps.googleusercontent.com";
        Self {
            name: "Google",
            header: json!({"typ": "JWT", "kid": "k"}),
            claims: json!({"iss": "https://accounts.google.com", "azp": client, "aud": client, "sub": SUBJECT,
                "hd": "example.com", "email": "ann@example.com", "email_verified": true, "at_hash": "HK6E",
                "iat": NOW_S, "exp": NOW_S + 3_600}),
            values: json!({"issuer": "https://accounts.google.com", "audience": client, "resource": RESOURCE,
                "accept": {"typ": ["JWT"]}, "client_id_claim": "azp", "require_jti": false,
                "scope_when_absent": "synapsor:read", "tenant_claim": "hd"}),
        }
    }

    fn supabase() -> Self {
        let issuer = "https://abcd.supabase.co/auth/v1";
        Self {
            name: "Supabase",
            header: json!({"typ": "JWT", "kid": "k"}),
            claims: json!({"iss": issuer, "sub": SUBJECT, "aud": "authenticated", "exp": NOW_S + 3_600, "iat": NOW_S,
                "email": "ann@example.com", "phone": "", "app_metadata": {"provider": "email", "providers": ["email"]},
                "user_metadata": {}, "role": "authenticated", "aal": "aal1", "session_id": "s1", "is_anonymous": false,
                "amr": [{"method": "password", "timestamp": NOW_S}], "tenant_id": "acme"}),
            values: json!({"issuer": issuer, "audience": "authenticated", "resource": RESOURCE,
                "accept": {"typ": ["JWT"]}, "client_id_claim": "role", "require_jti": false,
                "scope_when_absent": "synapsor:read"}),
        }
    }

    fn all() -> [Self; 7] {
        [
            Self::entra_v1(),
            Self::entra_v2(),
            Self::okta(),
            Self::auth0(),
            Self::keycloak(),
            Self::google(),
            Self::supabase(),
        ]
    }

    fn outcome(&self, key: &Key, values: &Json) -> Result<VerifiedToken, TokenError> {
        let mut header = self.header.clone();
        header["alg"] = json!(key.algorithm());
        let token = token(key, &header.to_string(), &self.claims.to_string());
        let now = Timestamp::from_unix_millis(NOW_S * 1_000);
        verify(&token, &policy_of(values), &keys(&[("k", key)]), now)
    }

    /// Whether a caller with this token can read.
    fn reads(&self, key: &Key, values: &Json) -> bool {
        let policy = policy_of(values);
        self.outcome(key, values)
            .is_ok_and(|token| token.scopes().permits(TokenScope::Read, &policy))
    }

    /// Settings of the profile: each makes the token acceptable together with the others.
    fn profile(&self) -> Vec<String> {
        let names = [
            "accept",
            "scope_claim",
            "scope_when_absent",
            "client_id_claim",
            "require_jti",
            "audience_mode",
            "max_lifetime_seconds",
        ];
        let used = names.into_iter().filter(|name| self.values.get(name).is_some());
        used.map(str::to_owned).collect()
    }
}

fn without(values: &Json, name: &str) -> Json {
    let mut values = values.clone();
    values.as_object_mut().unwrap().remove(name);
    values
}

#[test]
fn each_issuers_token_is_accepted_by_its_profile_only() {
    for issuer in Issuer::all() {
        for key in [Key::rsa(), Key::ec()] {
            let token = issuer
                .outcome(&key, &issuer.values)
                .unwrap_or_else(|error| panic!("{}: {error}", issuer.name));
            assert!(
                issuer.reads(&key, &issuer.values),
                "{}: {}",
                issuer.name,
                token.scopes().shortfall()
            );
            let contract = contract(&issuer.values);
            let spec = contract.context(&ContextName::Global).unwrap();
            let found = context::of_token(spec, &token).unwrap();
            assert!(
                !found.tenant.is_empty() && found.principal == SUBJECT,
                "{}",
                issuer.name
            );
            let mut strict = issuer.values.clone();
            for name in issuer.profile() {
                strict = without(&strict, &name);
            }
            assert!(issuer.outcome(&key, &strict).is_err(), "{}", issuer.name);
        }
    }
}

#[test]
fn each_setting_of_a_profile_is_required() {
    let key = Key::rsa();
    for issuer in Issuer::all() {
        for name in issuer.profile() {
            let rest = without(&issuer.values, &name);
            assert!(!issuer.reads(&key, &rest), "{} without {name}", issuer.name);
        }
    }
}

#[test]
fn each_setting_has_its_own_reason() {
    let key = Key::rsa();
    let (entra, auth0) = (Issuer::entra_v1(), Issuer::auth0());
    let reason = |issuer: &Issuer, edit: &dyn Fn(&mut Json)| {
        let mut values = issuer.values.clone();
        edit(&mut values);
        issuer.outcome(&key, &values).unwrap_err()
    };
    let remove = |name: &'static str| move |values: &mut Json| *values = without(values, name);
    assert_eq!(
        reason(&entra, &|values| values["accept"] = json!({"header": ["x5t"]})),
        TokenError::Header("`typ` is `JWT`, which `accept.typ` does not list")
    );
    assert_eq!(
        reason(&entra, &|values| values["accept"] =
            json!({"typ": ["JWT"], "header": ["x5t#S256"]})),
        TokenError::CertificateDigest("x5t")
    );
    assert_eq!(
        reason(&entra, &remove("client_id_claim")).to_string(),
        "claim `client_id` is missing; `client_id_claim` names the claim of the context's issuer"
    );
    assert_eq!(
        reason(&entra, &remove("require_jti")).to_string(),
        "claim `jti` is missing; `require_jti: false` accepts tokens without it"
    );
    assert_eq!(
        reason(&entra, &remove("max_lifetime_seconds")),
        TokenError::LifetimeTooLong(3_600)
    );
    assert!(matches!(
        reason(&auth0, &remove("audience_mode")),
        TokenError::AudienceNotAlone(_)
    ));
    let issuer = "https://example.eu.auth0.com";
    assert_eq!(
        reason(&auth0, &|values| values["issuer"] = json!(issuer)),
        TokenError::IssuerSlash(issuer.to_owned())
    );
    let scopeless = entra
        .outcome(&key, &without(&entra.values, "scope_claim"))
        .unwrap();
    assert_eq!(
        scopeless.scopes().shortfall(),
        "the token has its scopes in `scp`, and `scope_claim` is `scope`"
    );
}

/// Profile that permits every difference.
fn loosest() -> TokenPolicy {
    let profile = TokenProfile {
        types: vec![TokenType::AtJwt, TokenType::Jwt, TokenType::Absent],
        header_members: vec![HeaderMember::X5t, HeaderMember::X5tS256],
        scope_claim: ScopeClaim::Scp,
        scope_when_absent: Some("r".to_owned()),
        client_id_claim: "azp".to_owned(),
        require_jti: false,
        audience_mode: AudienceMode::Contains,
    };
    TokenPolicy { profile, ..policy() }
}

fn under(policy: &TokenPolicy, edit: impl Fn(&mut Json, &mut Json)) -> Result<VerifiedToken, TokenError> {
    let key = Key::ed();
    let (mut header, mut claims) = (header(&key), claims());
    claims["azp"] = json!("desk");
    edit(&mut header, &mut claims);
    let token = token(&key, &header.to_string(), &claims.to_string());
    let now = Timestamp::from_unix_millis(NOW_S * 1_000);
    verify(&token, policy, &keys(&[("k", &key)]), now)
}

#[test]
fn no_profile_accepts_a_foreign_audience() {
    for aud in [
        json!("https://other.example.com/mcp"),
        json!(["https://other.example.com/mcp", "account"]),
        json!([]),
        json!(""),
        json!([[AUDIENCE]]),
        json!([AUDIENCE, 7]),
        json!({"aud": AUDIENCE}),
        json!(format!("{AUDIENCE} account")),
        json!(null),
    ] {
        let error = under(&loosest(), |_, claims| claims["aud"] = aud.clone()).unwrap_err();
        match aud {
            Json::String(_) => assert!(matches!(error, TokenError::Audience(_)), "{aud}"),
            Json::Array(items) if items.iter().all(Json::is_string) => {
                assert!(matches!(error, TokenError::Audience(_)), "{items:?}");
            }
            _ => assert_form(&error, "aud"),
        }
    }
    let error = under(&loosest(), |_, claims| {
        drop(claims.as_object_mut().unwrap().remove("aud"))
    })
    .unwrap_err();
    let (claim, setting) = ("aud".to_owned(), None);
    assert_eq!(error, TokenError::ClaimMissing { claim, setting });
    assert!(
        under(&loosest(), |_, claims| claims["aud"] =
            json!(["account", AUDIENCE]))
        .is_ok()
    );
}

#[test]
fn no_profile_accepts_a_key_or_extension_in_the_header() {
    for (name, value) in [
        ("jwk", Key::ed().jwk("k")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        let error = under(&loosest(), |header, _| header[name] = value.clone()).unwrap_err();
        assert_eq!(error, TokenError::HeaderMember(name), "{name}");
    }
    for typ in [
        json!("id+jwt"),
        json!("dpop+jwt"),
        json!(""),
        json!(7),
        json!(["JWT"]),
        json!(null),
    ] {
        let error = under(&loosest(), |header, _| header["typ"] = typ.clone()).unwrap_err();
        assert!(
            matches!(&error, TokenError::HeaderValue { found, .. } if found.contains("`typ`")),
            "{typ}"
        );
    }
}

#[test]
fn profile_without_at_jwt_rejects_it() {
    let mut policy = loosest();
    policy.profile.types = vec![TokenType::Jwt];
    let reason = "`typ` is `at+jwt`, which `accept.typ` does not list";
    assert_eq!(under(&policy, |_, _| {}).unwrap_err(), TokenError::Header(reason));
    assert!(under(&policy, |header, _| header["typ"] = json!("jwt")).is_ok());
}

#[test]
fn several_audiences_of_the_contract_are_exact_together() {
    let other = "api://other";
    let audience = Audiences::of(vec![AUDIENCE.to_owned(), other.to_owned()]).unwrap();
    let policy = TokenPolicy { audience, ..policy() };
    for aud in [json!(other), json!(AUDIENCE), json!([other, AUDIENCE])] {
        assert!(
            under(&policy, |_, claims| claims["aud"] = aud.clone()).is_ok(),
            "{aud}"
        );
    }
    let error = under(&policy, |_, claims| claims["aud"] = json!([other, "account"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`aud` names others besides the contract's audience, and `audience_mode` is `exact`: `{AUDIENCE}`, `{other}`"
        )
    );
}

/// Whether a token with these scope claims permits reads.
fn reads(policy: &TokenPolicy, scope: Option<Json>, scp: Option<Json>) -> Result<bool, TokenError> {
    let token = under(policy, |_, claims| {
        claims.as_object_mut().unwrap().remove("scope");
        for (name, value) in [("scope", &scope), ("scp", &scp)] {
            if let Some(value) = value {
                claims[name] = value.clone();
            }
        }
    })?;
    Ok(token.scopes().permits(TokenScope::Read, policy))
}

#[test]
fn scp_is_read_as_list_or_text_and_scope_counts_before_it() {
    let mut policy = loosest();
    policy.profile.scope_when_absent = None;
    for scp in [
        json!(["r"]),
        json!(["openid", "r"]),
        json!("r"),
        json!("openid r"),
    ] {
        assert_eq!(reads(&policy, None, Some(scp.clone())), Ok(true), "{scp}");
        assert_eq!(
            reads(&policy, Some(json!("openid")), Some(scp.clone())),
            Ok(false),
            "{scp}"
        );
    }
    assert_eq!(
        reads(&policy, Some(json!("r")), Some(json!(["openid"]))),
        Ok(true)
    );
    for none in [json!([]), json!(""), json!(["a r"]), json!(["R"])] {
        assert_eq!(reads(&policy, None, Some(none.clone())), Ok(false), "{none}");
    }
    for odd in [json!(7), json!(["r", 7]), json!({"r": true}), json!(null)] {
        let error = reads(&policy, None, Some(odd.clone())).unwrap_err();
        assert_form(&error, "scp");
    }
    assert_eq!(
        reads(&policy, Some(json!(["r"])), None),
        Err(TokenError::ScopeList)
    );
    assert_form(&reads(&policy, Some(json!(7)), None).unwrap_err(), "scope");
    policy.profile.scope_claim = ScopeClaim::Scope;
    assert_eq!(reads(&policy, None, Some(json!(["r"]))), Ok(false));
}

#[test]
fn scopes_of_the_contract_apply_only_without_a_scope_claim() {
    let policy = loosest();
    assert_eq!(reads(&policy, None, None), Ok(true));
    for (scope, scp) in [
        (Some(json!("")), None),
        (None, Some(json!([]))),
        (None, Some(json!("x"))),
    ] {
        assert_eq!(
            reads(&policy, scope.clone(), scp.clone()),
            Ok(false),
            "{scope:?} {scp:?}"
        );
    }
    let mut strict = policy;
    strict.profile.scope_claim = ScopeClaim::Scope;
    assert_eq!(reads(&strict, None, Some(json!(["x"]))), Ok(false));
}

#[test]
fn token_without_jti_has_a_fingerprint_of_its_own() {
    let without_jti = |sub: &str| {
        under(&loosest(), |_, claims| {
            claims.as_object_mut().unwrap().remove("jti");
            claims["sub"] = json!(sub);
        })
        .unwrap()
        .fingerprint()
    };
    assert_ne!(without_jti("ann"), without_jti("bob"));
    let named = format!("{ISSUER}\0j1");
    let expected = Digest::of_typed("application/vnd.synapsor.access-token-id.v1", named.as_bytes());
    assert_eq!(under(&loosest(), |_, _| {}).unwrap().fingerprint(), expected);
    for odd in [json!(7), json!(""), json!(null)] {
        let error = under(&loosest(), |_, claims| claims["jti"] = odd.clone()).unwrap_err();
        assert_form(&error, "jti");
    }
}

#[test]
fn unusable_tenant_claim_is_refused_by_name() {
    let issuer = Issuer::keycloak();
    let contract = contract(&issuer.values);
    let spec = contract.context(&ContextName::Global).unwrap();
    for (value, code, problem) in [
        (
            Some(json!(42)),
            ErrorCode::AccessTokenUnbound,
            "is a number and must be a string",
        ),
        (
            Some(json!(["acme"])),
            ErrorCode::AccessTokenUnbound,
            "is a list and must be a string",
        ),
        (
            Some(json!({"acme": {"id": "1"}})),
            ErrorCode::AccessTokenUnbound,
            "is an object and must be a string",
        ),
        (
            Some(json!(null)),
            ErrorCode::AccessTokenUnbound,
            "is null and must be a string",
        ),
        (
            Some(json!(true)),
            ErrorCode::AccessTokenUnbound,
            "is a boolean and must be a string",
        ),
        (Some(json!("  ")), ErrorCode::AccessTokenUnbound, "is empty"),
        (
            Some(json!("acme\n")),
            ErrorCode::AccessTokenUnbound,
            "has control characters",
        ),
        (
            Some(json!("acme".repeat(100))),
            ErrorCode::AccessTokenUnbound,
            "is too long",
        ),
        (None, ErrorCode::TenantClaimMissing, "is missing"),
    ] {
        let mut claims = without(&issuer.claims, "organization");
        if let Some(value) = &value {
            claims["organization"] = value.clone();
        }
        let odd = Issuer {
            claims,
            ..Issuer::keycloak()
        };
        let token = odd.outcome(&Key::ed(), &issuer.values).unwrap();
        let refusal = context::of_token(spec, &token).unwrap_err();
        let detail = format!("claim `organization` {problem}");
        assert_eq!(
            (refusal.code, refusal.detail.as_deref()),
            (code, Some(detail.as_str())),
            "{value:?}"
        );
        assert!(
            refusal.public.contains(&detail) && !refusal.public.contains("acme"),
            "{refusal}"
        );
    }
}

mod key_sets {
    use super::*;

    fn accepts(set: &str, key: &Key) -> Result<VerifiedToken, TokenError> {
        let token = token(key, &header(key).to_string(), &claims().to_string());
        verified(&token, &Jwks::parse(set.as_bytes()).unwrap())
    }

    #[test]
    fn keys_with_a_duplicate_kid_stay_usable() {
        let (one, two, other) = (Key::ed(), Key::ed(), Key::ec());
        let set = json!({"keys": [one.jwk("k"), one.jwk("k"), two.jwk("k"), other.jwk("k"), one.jwk("j")]});
        for key in [&one, &two, &other] {
            assert!(accepts(&set.to_string(), key).is_ok(), "{}", key.algorithm());
        }
        assert_eq!(accepts(&set.to_string(), &Key::ed()), Err(TokenError::Signature));
        assert_eq!(
            accepts(&set.to_string(), &Key::rsa()),
            Err(TokenError::KeyMismatch)
        );
    }

    #[test]
    fn odd_keys_leave_the_others_usable() {
        let key = Key::ed();
        let good = key.jwk("k").to_string();
        for odd in [
            "null",
            "7",
            "\"k\"",
            "[]",
            "{}",
            r#"{"kty":"RSA","kid":"k","n":"!!","e":"AQAB"}"#,
            r#"{"kty":"RSA","kid":"k","n":"AQ","e":"AQAB"}"#,
            r#"{"kty":"RSA","kid":7,"n":"AQ","e":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-256","kid":"k","x":"AA","y":"AA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","kid":"k","kid":"j","x":"AA"}"#,
            r#"{"kty":"oct","kid":"k","k":"AAAA"}"#,
            r#"{"kty":"RSA","kid":"k","x5c":[[[[[["MIIB"]]]]]]}"#,
        ] {
            for set in [
                format!("{{\"keys\":[{odd},{good}]}}"),
                format!("{{\"keys\":[{good},{odd}],\"x\":1}}"),
            ] {
                assert!(accepts(&set, &key).is_ok(), "{set}");
            }
        }
    }
}
