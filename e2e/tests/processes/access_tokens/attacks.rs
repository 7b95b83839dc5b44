//! Invalid tokens, each with its documented status; none of them causes a request to an external server.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use synapsor_e2e::issuer::{AUDIENCE, IssuerKey, PROPOSE, READ, ServedKeys, Trap, claims, part};
use synapsor_e2e::mcp_http::{McpHttpClient, Message, Reply, SESSIONLESS};
use synapsor_e2e::tenants::{ACME, GLOBEX, Tenants};

use super::traces::Shown;

const HALF_MINUTE: Duration = Duration::from_secs(30);
const HOUR: i64 = 3_600;

/// Forged tokens from the issuer's key set, a valid token of the attacker, and an address.
struct Forge<'a> {
    key: &'a IssuerKey,
    foreign: IssuerKey,
    trap: String,
}

type Attack = (String, String);

fn good() -> Json {
    claims(ACME.name, "ann", &format!("{READ} {PROPOSE}"))
}

fn with(mut json: Json, name: &str, value: Json) -> Json {
    json[name] = value;
    json
}

fn without(mut json: Json, name: &str) -> Json {
    json.as_object_mut().map(|members| members.remove(name));
    json
}

fn attack(name: impl std::fmt::Display, token: String) -> Attack {
    (name.to_string(), token)
}

impl Forge<'_> {
    fn header(&self) -> Json {
        self.key.header()
    }

    /// Token signed by the attacker's key under the issuer's key id.
    fn under(&self, header: &Json) -> String {
        self.foreign.token_under(header, &good())
    }

    fn unsigned(&self) -> Vec<Attack> {
        let algorithms = [
            json!("none"),
            json!("None"),
            json!("NONE"),
            json!("nOnE"),
            json!(""),
            json!(null),
        ];
        let mut attacks: Vec<Attack> = algorithms
            .into_iter()
            .map(|alg| {
                let header = with(self.header(), "alg", alg.clone());
                attack(
                    format!("alg {alg}"),
                    format!("{}.{}.", part(&header), part(&good())),
                )
            })
            .collect();
        let token = self.key.token(&good());
        let stripped = token.rsplit_once('.').map_or("", |(signed, _)| signed);
        attacks.push(attack("signature stripped with its dot", stripped.to_owned()));
        attacks.push(attack("signature stripped", format!("{stripped}.")));
        attacks.push(attack("truncated", token[..token.len() - 4].to_owned()));
        attacks.push(attack("a part too many", format!("{token}.{token}")));
        attacks.push(attack("padded", format!("{token}==")));
        attacks.push(attack("blank in front", format!(" {token}")));
        attacks
    }

    fn hmac(&self) -> Vec<Attack> {
        let public = self.key.public();
        let document = self.key.jwk().to_string().into_bytes();
        let encoded = URL_SAFE_NO_PAD.encode(&public).into_bytes();
        let secrets = [("bytes", public), ("base64", encoded), ("JWK", document)];
        secrets
            .into_iter()
            .map(|(form, secret)| {
                let header = with(self.header(), "alg", json!("HS256"));
                let signed = format!("{}.{}", part(&header), part(&good()));
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
                let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
                attack(format!("HS256 with the public key as {form}"), token)
            })
            .collect()
    }

    fn headers(&self) -> Vec<Attack> {
        let (url, own) = (format!("http://{}/keys", self.trap), self.foreign.jwk());
        let signed = |name: &str, value: Json| {
            // The issuer's own signature is valid: the gateway rejects the header member.
            let header = with(self.header(), name, value.clone());
            attack(format!("{name} {value}"), self.key.token_under(&header, &good()))
        };
        let mut attacks = vec![
            signed("typ", json!("JWT")),
            signed("typ", json!("id+jwt")),
            signed("typ", json!("")),
            signed("typ", json!(["at+jwt"])),
            signed("alg", json!("ES256")),
            signed("alg", json!("RS256")),
            signed("alg", json!("EdDSA ")),
            signed("jku", json!(url)),
            signed("x5u", json!(url)),
            signed("jwk", own.clone()),
            signed("x5c", json!(["MIIB"])),
            signed("x5t", json!("AAAA")),
            signed("crit", json!(["exp"])),
            signed("b64", json!(false)),
        ];
        attacks.push(attack(
            "no typ",
            self.key.token_under(&without(self.header(), "typ"), &good()),
        ));
        attacks.push(attack(
            "no kid",
            self.key.token_under(&without(self.header(), "kid"), &good()),
        ));
        for (name, value) in [("jku", json!(url)), ("x5u", json!(url)), ("jwk", own)] {
            let header = with(self.header(), name, value);
            attacks.push(attack(format!("foreign key with {name}"), self.under(&header)));
        }
        attacks
    }

    fn keys(&self) -> Vec<Attack> {
        let kids = [
            "../../../../../../dev/null".to_owned(),
            "/etc/passwd".to_owned(),
            format!("http://{}/keys", self.trap),
            format!("//{}/keys", self.trap),
            "k1' OR '1'='1".to_owned(),
            "k1\u{0}".to_owned(),
            "k1 ".to_owned(),
            "K1".to_owned(),
            String::new(),
            "k".repeat(300),
        ];
        let mut attacks: Vec<Attack> = kids
            .into_iter()
            .map(|kid| {
                let header = with(self.header(), "kid", json!(kid));
                attack(format!("kid {kid:.40}"), self.under(&header))
            })
            .collect();
        attacks.push(attack(
            "foreign key, the issuer's kid",
            self.under(&self.header()),
        ));
        attacks.push(attack("foreign key, own kid", self.foreign.token(&good())));
        attacks
    }

    fn claims(&self) -> Vec<Attack> {
        let now = good()["iat"].as_i64().unwrap_or_default();
        let signed = |name: &str, value: Json| {
            attack(
                format!("{name} {value}"),
                self.key.token(&with(good(), name, value.clone())),
            )
        };
        let mut attacks = vec![
            signed("aud", json!("https://other.example.com/mcp")),
            signed("aud", json!([AUDIENCE, "https://other.example.com/mcp"])),
            signed("aud", json!(["https://other.example.com/mcp", AUDIENCE])),
            signed("aud", json!([])),
            signed("aud", json!([AUDIENCE, AUDIENCE])),
            signed("aud", json!(format!("{AUDIENCE}/"))),
            signed("aud", json!("https://mcp.example.com")),
            signed("aud", json!({"x": AUDIENCE})),
            signed("iss", json!("https://id.example.com/realms/other")),
            signed("iss", json!("https://id.example.com/realms/test/")),
            signed("iss", json!(format!("http://{}", self.trap))),
            signed("exp", json!(now - HOUR)),
            signed("exp", json!(now + 100 * 365 * 24 * HOUR)),
            signed("exp", json!("never")),
            signed("exp", json!(1e300)),
            signed("exp", json!(-1)),
            signed("nbf", json!(now + HOUR)),
            signed("iat", json!(now + 2 * HOUR)),
            signed("sub", json!("")),
            signed("sub", json!(1)),
            signed("scope", json!([READ, PROPOSE])),
        ];
        for name in ["iss", "aud", "sub", "client_id", "jti", "iat", "exp"] {
            attacks.push(attack(
                format!("no {name}"),
                self.key.token(&without(good(), name)),
            ));
        }
        attacks
    }

    fn payloads(&self) -> Vec<Attack> {
        let token = self.key.token(&good());
        let [header, _, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            return Vec::new();
        };
        let altered = part(&with(good(), "tenant_id", json!(GLOBEX.name)));
        let long = self
            .key
            .token(&with(good(), "padding", json!("ab0_".repeat(9 * 256))));
        let twice = good().to_string().replacen('{', "{\"tenant_id\":\"globex\",", 1);
        vec![
            attack(
                "payload of another tenant",
                format!("{header}.{altered}.{signature}"),
            ),
            attack("9 KiB", long),
            attack("a duplicate member", self.key.token(&twice)),
            attack("a string for claims", self.key.token(&json!("acme"))),
            attack("a list for claims", self.key.token(&json!([good()]))),
            attack("no token at all", "x".to_owned()),
            attack("dots", "..".to_owned()),
        ]
    }

    fn all(&self) -> Vec<Attack> {
        [
            self.unsigned(),
            self.hmac(),
            self.headers(),
            self.keys(),
            self.claims(),
            self.payloads(),
        ]
        .concat()
    }
}

fn refused(name: &str, answer: &Reply, status: u16, shown: &Shown) {
    assert_eq!(answer.status, status, "{name}: {answer:?}");
    let text = answer.text();
    for tenant in [ACME, GLOBEX] {
        assert!(!text.contains(tenant.canary), "{name}: {answer:?}");
    }
    assert_eq!(shown.found_in(text.as_bytes()), None, "{name}: {answer:?}");
}

/// A valid token in locations where no token is allowed.
async fn misplaced(client: &McpHttpClient, token: &str, shown: &Shown) -> anyhow::Result<()> {
    let bearer = format!("Bearer {token}");
    let joined = format!("{bearer}, {bearer}");
    let cookie = format!("access_token={token}; authorization=Bearer {token}");
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "access_token": token,
        "params": {"_meta": {"authorization": bearer}}});
    let body = body.to_string();
    let target = format!("/mcp?access_token={token}");
    let version = ("mcp-protocol-version", "2025-11-25");
    type Case<'a> = (&'a str, &'a str, Vec<(&'a str, &'a str)>, u16);
    let cases: [Case<'_>; 9] = [
        ("in the body", "/mcp", vec![], 401),
        ("in a cookie", "/mcp", vec![("cookie", &cookie)], 401),
        ("in the query", &target, vec![], 401),
        (
            "in the query as well",
            &target,
            vec![("authorization", &bearer)],
            400,
        ),
        (
            "two headers",
            "/mcp",
            vec![("authorization", &bearer), ("authorization", &bearer)],
            401,
        ),
        ("joined by a comma", "/mcp", vec![("authorization", &joined)], 401),
        (
            "as Basic",
            "/mcp",
            vec![("authorization", "Basic QWxhZGRpbjpvcGVu")],
            401,
        ),
        ("without a scheme", "/mcp", vec![("authorization", token)], 401),
        (
            "for a proxy",
            "/mcp",
            vec![("proxy-authorization", &bearer), ("x-api-key", token)],
            401,
        ),
    ];
    for (name, path, mut headers, status) in cases {
        headers.push(version);
        refused(name, &client.post(path, &headers, &body).await?, status, shown);
    }
    let lower = format!("bearer {token}");
    let answer = client
        .post("/mcp", &[version, ("authorization", &lower)], &body)
        .await?;
    assert_eq!(answer.status, 200, "schemes have no case: {answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_forged_tokens_without_external_requests() -> anyhow::Result<()> {
    let key = IssuerKey::ed25519("k1")?;
    let served = ServedKeys::start(&[&key]).await?;
    let begun = Instant::now();
    let tenants = Tenants::fetching(&served.url, key)?;
    let (client, trap, mut shown) = (tenants.mcp_client(), Trap::set()?, Shown::default());
    let token = tenants.token(ACME, "ann");
    shown.add(&token);
    let read = Message::inspect(ACME.invoices[0]);
    let seen = client.ask(&token, &read).await?;
    assert!(seen.body.contains(ACME.canary), "{seen:?}");
    assert_eq!(shown.found_in(seen.text().as_bytes()), None);

    let forge = Forge {
        key: &tenants.key,
        foreign: IssuerKey::ed25519("k9")?,
        trap: trap.address.clone(),
    };
    let mut attacks = forge.all();
    let other = claims(ACME.name, "ann", READ);
    attacks.push(attack(
        "of another deployment",
        IssuerKey::ed25519("k1")?.token(&other),
    ));
    for (_, token) in &attacks {
        shown.add(token);
    }
    for (name, token) in &attacks {
        refused(name, &client.ask(token, &read).await?, 401, &shown);
    }
    println!("{} tokens, all of them rejected", attacks.len());
    assert!(attacks.len() >= 70, "{}", attacks.len());
    misplaced(&client, &token, &shown).await?;

    // The authorized caller still has access.
    let submitted = client
        .ask(&token, &Message::propose(ACME.invoices[0], "goodwill"))
        .await?;
    assert_eq!(submitted.status, 200, "{submitted:?}");
    assert_eq!(shown.found_in(submitted.text().as_bytes()), None);
    assert!(!trap.was_sprung()?, "a token's address received a connection");
    let most = 1 + begun.elapsed().as_secs() / HALF_MINUTE.as_secs();
    assert!(served.asked() as u64 <= most, "{} of {most}", served.asked());
    for (path, bytes) in tenants.written()? {
        assert_eq!(shown.found_in(&bytes), None, "in {}", path.display());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_token_without_tenant() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    let scope = format!("{READ} {PROPOSE}");
    let bindings = [
        without(claims(ACME.name, "ann", &scope), "tenant_id"),
        with(claims(ACME.name, "ann", &scope), "tenant_id", json!([ACME.name])),
        with(
            claims(ACME.name, "ann", &scope),
            "tenant_id",
            json!({"id": ACME.name}),
        ),
        with(claims(ACME.name, "ann", &scope), "tenant_id", json!("")),
        with(claims(ACME.name, "ann", &scope), "tenant_id", json!(null)),
        with(
            claims(ACME.name, "ann", &scope),
            "tenant_id",
            json!("acme' OR '1'='1"),
        ),
        with(claims(ACME.name, "ann", &scope), "tenant_id", json!("%")),
        with(claims(ACME.name, "ann", &scope), "tenant_id", json!("ACME")),
        with(claims(ACME.name, "ann", &scope), "tenant_id", json!("acme\u{0}")),
    ];
    for claims in bindings {
        let token = tenants.key.token(&claims);
        for message in [
            Message::inspect(ACME.invoices[0]),
            Message::propose(ACME.invoices[0], "goodwill"),
        ] {
            let answer = client.ask(&token, &message).await?;
            let response = answer.json().unwrap_or_default();
            let result = &response["result"];
            let is_refused = answer.status == 401 || result["isError"] == json!(true);
            assert!(is_refused, "{claims}: {answer:?}");
            assert!(result["taskId"].is_null(), "{claims}: {answer:?}");
            assert!(!answer.body.contains(ACME.canary), "{claims}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tenant_outside_the_token_is_ignored() -> anyhow::Result<()> {
    let tenants = Tenants::start(&[])?;
    let client = tenants.mcp_client();
    let bearer = format!("Bearer {}", tenants.token(ACME, "ann"));
    let mut body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "tenant_id": GLOBEX.name,
        "params": {"name": "billing.inspect_invoice", "arguments": {"invoice_id": GLOBEX.invoices[0]},
            "tenant_id": GLOBEX.name, "_meta": {"tenant_id": GLOBEX.name, "synapsor.tenant": GLOBEX.name}}});
    for version in ["2025-11-25", SESSIONLESS] {
        let mut headers = vec![("authorization", &*bearer), ("mcp-protocol-version", version)];
        if version == SESSIONLESS {
            headers.extend([
                ("mcp-method", "tools/call"),
                ("mcp-name", "billing.inspect_invoice"),
            ]);
            let meta = Message::inspect("").sessionless()["params"]["_meta"].clone();
            for (name, value) in meta.as_object().into_iter().flatten() {
                body["params"]["_meta"][name] = value.clone();
            }
        }
        for name in [
            "x-tenant-id",
            "x-synapsor-tenant",
            "tenant",
            "x-forwarded-user",
            "baggage",
        ] {
            headers.push((name, GLOBEX.name));
        }
        let answer = client.post("/mcp", &headers, &body.to_string()).await?;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(!answer.body.contains(GLOBEX.canary), "{answer:?}");
    }
    Ok(())
}
