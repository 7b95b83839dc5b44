//! Tokens as usual issuers write them: accepted by gateway and reader with the issuer's profile, rejected without it,
//! with a log line that names the property and nothing of the token.

use anyhow::ensure;
use serde_json::{Value as Json, json};
use synapsor_e2e::issuer::{AUDIENCE, IssuerKey, PROPOSE, READ, claims};
use synapsor_e2e::mcp_http::Message;
use synapsor_e2e::now;
use synapsor_e2e::tenants::{ACME, Tenants};

/// Value in every token of these tests that no log may contain.
const CANARY: &str = "ann-CANARY-claim";

/// Tokens of an issuer, the settings for them, and the reason in the log without the settings.
struct Issuer {
    name: &'static str,
    header: Json,
    claims: Json,
    settings: Json,
    reason: &'static str,
}

fn issued() -> i64 {
    now().as_unix_millis() / 1_000 - 60
}

fn issuers() -> [Issuer; 6] {
    let (iat, tenant) = (issued(), ACME.name);
    [
        Issuer {
            name: "Entra ID",
            header: json!({"typ": "JWT", "alg": "ES256", "x5t": "Ea_G", "kid": "k1"}),
            claims: json!({"iss": "https://sts.windows.net/72f9/", "aud": "api://9d0c", "iat": iat, "nbf": iat,
                "exp": iat + 4_500, "appid": "11c1", "scp": "synapsor:read", "sub": CANARY, "tid": tenant,
                "uti": "hcqC", "ver": "1.0"}),
            settings: json!({"issuer": "https://sts.windows.net/72f9/", "audience": "api://9d0c", "resource": AUDIENCE,
                "accept": {"typ": ["JWT"], "header": ["x5t"]}, "scope_claim": "scp", "client_id_claim": "appid",
                "require_jti": false, "max_lifetime_seconds": 5_400, "tenant_claim": "tid"}),
            reason: "accept.header",
        },
        Issuer {
            name: "Okta",
            header: json!({"alg": "ES256", "kid": "k1"}),
            claims: json!({"iss": "https://example.okta.com/oauth2/default", "aud": "api://default", "iat": iat,
                "exp": iat + 3_600, "jti": "AT.1", "cid": "0oa1", "uid": "00u1", "sub": CANARY, "tenant_id": tenant,
                "scp": ["openid", "synapsor:read"]}),
            settings: json!({"issuer": "https://example.okta.com/oauth2/default", "audience": "api://default",
                "resource": AUDIENCE, "accept": {"typ": ["absent"]}, "scope_claim": "scp", "client_id_claim": "cid"}),
            reason: "`typ` is missing",
        },
        Issuer {
            name: "Auth0",
            header: json!({"typ": "JWT", "alg": "ES256", "kid": "k1"}),
            claims: json!({"iss": "https://example.eu.auth0.com/", "aud": [AUDIENCE, "https://example.eu.auth0.com/userinfo"],
                "iat": iat, "exp": iat + 86_400, "azp": "c1", "scope": "openid synapsor:read", "sub": CANARY,
                "https://example.com/tenant": tenant}),
            settings: json!({"issuer": "https://example.eu.auth0.com/", "audience": AUDIENCE,
                "accept": {"typ": ["JWT"]}, "client_id_claim": "azp", "require_jti": false,
                "audience_mode": "contains", "max_lifetime_seconds": 86_400,
                "tenant_claim": "https://example.com/tenant"}),
            reason: "`typ` is `JWT`",
        },
        Issuer {
            name: "Keycloak",
            header: json!({"typ": "JWT", "alg": "ES256", "kid": "k1"}),
            claims: json!({"iss": "https://id.example.com/realms/r", "aud": [AUDIENCE, "account"], "iat": iat,
                "exp": iat + 300, "jti": "onrtac:1", "typ": "Bearer", "azp": "desk", "scope": "synapsor:read",
                "sub": CANARY, "tenant_id": tenant, "realm_access": {"roles": ["user"]}}),
            settings: json!({"issuer": "https://id.example.com/realms/r", "audience": AUDIENCE,
                "accept": {"typ": ["JWT"]}, "client_id_claim": "azp", "audience_mode": "contains"}),
            reason: "`typ` is `JWT`",
        },
        Issuer {
            name: "Google",
            header: json!({"typ": "JWT", "alg": "ES256", "kid": "k1"}),
            claims: json!({"iss": "https://accounts.google.com", "aud": "4074.apps.googleusercontent.com", "iat": iat,
                "azp": "4074.apps.googleusercontent.com", "exp": iat + 3_600, "hd": tenant, "sub": CANARY}),
            settings: json!({"issuer": "https://accounts.google.com", "audience": "4074.apps.googleusercontent.com",
                "resource": AUDIENCE, "accept": {"typ": ["JWT"]}, "client_id_claim": "azp", "require_jti": false,
                "scope_when_absent": "synapsor:read", "tenant_claim": "hd"}),
            reason: "`typ` is `JWT`",
        },
        Issuer {
            name: "Supabase",
            header: json!({"typ": "JWT", "alg": "ES256", "kid": "k1"}),
            claims: json!({"iss": "https://abcd.supabase.co/auth/v1", "aud": "authenticated", "iat": iat,
                "exp": iat + 3_600, "role": "authenticated", "session_id": "s1", "sub": CANARY, "tenant_id": tenant,
                "app_metadata": {"provider": "email"}, "user_metadata": {}}),
            settings: json!({"issuer": "https://abcd.supabase.co/auth/v1", "audience": "authenticated",
                "accept": {"typ": ["JWT"]}, "client_id_claim": "role", "require_jti": false,
                "scope_when_absent": "synapsor:read"}),
            reason: "`typ` is `JWT`",
        },
    ]
}

/// The settings that name issuer, audience and tenant, without the profile.
fn strict(settings: &Json) -> Json {
    let mut strict = settings.clone();
    if let Some(members) = strict.as_object_mut() {
        members.retain(|name, _| ["issuer", "audience", "resource", "tenant_claim"].contains(&name.as_str()));
    }
    strict
}

/// Returns the lines of the gateway's and the reader's log, which must not hold the token or a value of a claim.
fn logged(tenants: &Tenants, tokens: &[&str]) -> anyhow::Result<String> {
    let text = [tenants.gateway.log_text(), tenants.stack.reader.log_text()].concat();
    let parts = tokens
        .iter()
        .flat_map(|token| token.split('.'))
        .filter(|part| !part.is_empty());
    for secret in parts.chain([CANARY]) {
        ensure!(!text.contains(secret), "a log holds {secret}:\n{text}");
    }
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_each_issuer_needs_its_profile() -> anyhow::Result<()> {
    for issuer in issuers() {
        let key = IssuerKey::p256("k1")?;
        let token = key.token_under(&issuer.header, &issuer.claims);
        let tenants = Tenants::of_issuer(&issuer.settings, key)?;
        let read = Message::inspect(ACME.invoices[0]);
        let seen = tenants.mcp_client().ask(&token, &read).await?;
        ensure!(seen.body.contains(ACME.canary), "{}: {seen:?}", issuer.name);
        logged(&tenants, &[&token])?;

        let key = IssuerKey::p256("k1")?;
        let token = key.token_under(&issuer.header, &issuer.claims);
        let tenants = Tenants::of_issuer(&strict(&issuer.settings), key)?;
        let seen = tenants.mcp_client().ask(&token, &read).await?;
        ensure!(seen.status == 401, "{}: {seen:?}", issuer.name);
        let log = logged(&tenants, &[&token])?;
        ensure!(
            log.contains("access token rejected") && log.contains(issuer.reason),
            "{}: {log}",
            issuer.name
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rejected_request_has_a_log_line() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    let read = Message::inspect(ACME.invoices[0]);
    let good = || claims(ACME.name, CANARY, READ);
    let with = |name: &str, value: Json| {
        let mut claims = good();
        claims[name] = value;
        claims
    };
    let mut scp = with("scp", json!(["synapsor:read"]));
    scp.as_object_mut().map(|members| members.remove("scope"));
    let mut tokens = Vec::new();
    for (claims, status, reason) in [
        (scp, 403, "the token has its scopes in `scp`"),
        (with("scope", json!([READ])), 401, "claim `scope` is a list"),
        (with("scope", json!("openid")), 403, "does not list the scope"),
        (
            with("aud", json!([AUDIENCE, "https://other.example.com"])),
            401,
            "`aud` names others",
        ),
        (
            with("aud", json!("https://other.example.com")),
            401,
            "`aud` names no audience",
        ),
        (
            with("jti", json!(null)),
            401,
            "claim `jti` is null, and must be a string",
        ),
        (
            with("iss", json!("https://id.example.com/realms/test/")),
            401,
            "by a slash at the end",
        ),
        (
            with("exp", json!(issued() + 4_500)),
            401,
            "exceeds `max_lifetime_seconds`",
        ),
    ] {
        let token = tenants.key.token(&claims);
        let answer = client.ask(&token, &read).await?;
        ensure!(answer.status == status, "{reason}: {answer:?}");
        let log = tenants.gateway.log_text();
        let line = log.lines().last().unwrap_or_default();
        let code = match status {
            401 => "ACCESS_TOKEN_REFUSED",
            _ => "SCOPE_INSUFFICIENT",
        };
        ensure!(
            line.contains(reason) && line.contains(&format!("code={code} status={status}")),
            "{reason}: {log}"
        );
        tokens.push(token);
    }
    ensure!(client.ask("", &read).await?.status == 401);
    let log = tenants.gateway.log_text();
    let line = log.lines().last().unwrap_or_default();
    ensure!(
        line.contains("code=BEARER_TOKEN_REFUSED status=401")
            && line.contains("the request has no `Authorization` header"),
        "{log}"
    );
    logged(&tenants, &tokens.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_tenant_claim_is_refused_with_a_reason() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    for (tenant, code, problem) in [
        (json!(42), "ACCESS_TOKEN_UNBOUND", "claim `tenant_id` is a number"),
        (
            json!(["acme"]),
            "ACCESS_TOKEN_UNBOUND",
            "claim `tenant_id` is a list",
        ),
        (
            json!({"id": "acme"}),
            "ACCESS_TOKEN_UNBOUND",
            "claim `tenant_id` is an object",
        ),
        (json!(""), "ACCESS_TOKEN_UNBOUND", "claim `tenant_id` is empty"),
        (
            json!(null),
            "TENANT_CLAIM_MISSING",
            "claim `tenant_id` is missing",
        ),
    ] {
        let mut claims = claims(ACME.name, "ann", &format!("{READ} {PROPOSE}"));
        match tenant.is_null() {
            true => drop(claims.as_object_mut().map(|members| members.remove("tenant_id"))),
            false => claims["tenant_id"] = tenant,
        }
        let token = tenants.key.token(&claims);
        for message in [
            Message::inspect(ACME.invoices[0]),
            Message::propose(ACME.invoices[0], "goodwill"),
        ] {
            let answer = client.ask(&token, &message).await?;
            ensure!(
                answer.status == 200 && answer.body.contains(problem),
                "{answer:?}"
            );
            ensure!(!answer.body.contains("INTERNAL"), "{answer:?}");
            let log = tenants.stack.reader.log_text();
            let line = log
                .lines()
                .find(|line| line.contains(problem))
                .unwrap_or_default();
            ensure!(line.contains(code) && line.contains("detail"), "{log}");
        }
    }
    Ok(())
}
