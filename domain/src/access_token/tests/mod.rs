//! Tests of genuine and forged access tokens.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;

use super::*;

const NOW_S: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example.com/";
const AUDIENCE: &str = "https://mcp.example.com/mcp";
/// Test key; not used anywhere else.
const RSA_KEY: &[u8] = include_bytes!("../fixtures/rsa.pk8");

enum Key {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    fn ed() -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Key::Ed(Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn ec() -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Key::Ec(EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap())
    }

    fn rsa() -> Self {
        Key::Rsa(RsaKeyPair::from_pkcs8(RSA_KEY).unwrap())
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Key::Ed(_) => "EdDSA",
            Key::Ec(_) => "ES256",
            Key::Rsa(_) => "RS256",
        }
    }

    fn public(&self) -> Vec<u8> {
        match self {
            Key::Ed(key) => key.public_key().as_ref().to_vec(),
            Key::Ec(key) => key.public_key().as_ref().to_vec(),
            Key::Rsa(key) => RsaPublicKeyComponents::<Vec<u8>>::from(key.public_key()).n,
        }
    }

    fn jwk(&self, kid: &str) -> Json {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = self.public();
        match self {
            Key::Ed(_) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(&public)}),
            Key::Ec(_) => json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
                "x": text(&public[1..33]), "y": text(&public[33..])}),
            // Padded, as some issuers write it.
            Key::Rsa(_) => json!({"kty": "RSA", "kid": kid, "alg": "RS256",
                "n": text(&[vec![0], public].concat()), "e": "AQAB"}),
        }
    }

    fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Key::Ed(key) => key.sign(signed).as_ref().to_vec(),
            Key::Ec(key) => key.sign(&random, signed).unwrap().as_ref().to_vec(),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

fn keys(keys: &[(&str, &Key)]) -> Jwks {
    let keys: Vec<Json> = keys.iter().map(|(kid, key)| key.jwk(kid)).collect();
    Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn policy() -> TokenPolicy {
    TokenPolicy {
        issuer: ISSUER.to_owned(),
        audience: Audiences::One(AUDIENCE.to_owned()),
        resource: None,
        algorithms: Algorithm::WORDS.iter().map(|(_, algorithm)| *algorithm).collect(),
        lifetime_seconds_max: 600,
        tenant_claim: "org".to_owned(),
        principal_claim: "sub".to_owned(),
        read_scope: "r".to_owned(),
        propose_scope: "p".to_owned(),
        profile: TokenProfile::default(),
    }
}

fn claims() -> Json {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "client_id": "desk", "jti": "j1", "org": "acme",
        "iat": NOW_S - 10, "exp": NOW_S + 300, "scope": "r other"})
}

fn header(key: &Key) -> Json {
    json!({"alg": key.algorithm(), "typ": "at+jwt", "kid": "k"})
}

fn part(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

fn token(key: &Key, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn verified(token: &str, keys: &Jwks) -> Result<VerifiedToken, TokenError> {
    verify(token, &policy(), keys, Timestamp::from_unix_millis(NOW_S * 1_000))
}

/// Verifies the default token after one edit of its header.
fn with_header(edit: impl Fn(&mut Json)) -> Result<VerifiedToken, TokenError> {
    let key = Key::ed();
    let mut header = header(&key);
    edit(&mut header);
    verified(
        &token(&key, &header.to_string(), &claims().to_string()),
        &keys(&[("k", &key)]),
    )
}

/// Verifies the default token after one edit of its claims.
fn with_claims(edit: impl Fn(&mut Json)) -> Result<VerifiedToken, TokenError> {
    let key = Key::ed();
    let mut claims = claims();
    edit(&mut claims);
    verified(
        &token(&key, &header(&key).to_string(), &claims.to_string()),
        &keys(&[("k", &key)]),
    )
}

fn assert_form(error: &TokenError, name: &str) {
    assert!(
        matches!(error, TokenError::ClaimForm { claim, .. } if claim == name),
        "{error}"
    );
}

#[test]
fn token_of_each_algorithm_is_accepted_with_its_claims() {
    for key in [Key::ed(), Key::ec(), Key::rsa()] {
        let token = token(&key, &header(&key).to_string(), &claims().to_string());
        let verified = verified(&token, &keys(&[("other", &Key::ed()), ("k", &key)])).unwrap();
        assert_eq!(
            (verified.text("org"), verified.text("sub")),
            (Some("acme"), Some("ann"))
        );
        assert_eq!(verified.client_id(), "desk");
        assert!(
            verified.scopes().permits(TokenScope::Read, &policy())
                && !verified.scopes().permits(TokenScope::Propose, &policy())
        );
        assert!(
            !format!("{verified:?}").contains("ann"),
            "claims stay out of logs"
        );
    }
}

#[test]
fn proposal_scope_permits_reads_and_no_scope_permits_nothing() {
    let proposes = with_claims(|c| c["scope"] = json!("p")).unwrap();
    assert!(
        proposes.scopes().permits(TokenScope::Read, &policy())
            && proposes.scopes().permits(TokenScope::Propose, &policy())
    );
    for none in [json!(""), json!("rp"), json!("R")] {
        let token = with_claims(|c| c["scope"] = none.clone()).unwrap();
        assert!(!token.scopes().permits(TokenScope::Read, &policy()), "{none}");
    }
}

#[test]
fn rejects_token_without_signature() {
    let key = Key::ed();
    let keys = keys(&[("k", &key)]);
    for alg in ["none", "None", "NONE", ""] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": "k"}).to_string();
        let bare = format!("{}.{}.", part(&header), part(&claims().to_string()));
        assert!(
            matches!(verified(&bare, &keys), Err(TokenError::HeaderValue { .. })),
            "{alg}"
        );
    }
    let bare = format!(
        "{}.{}.",
        part(&header(&key).to_string()),
        part(&claims().to_string())
    );
    assert_eq!(verified(&bare, &keys), Err(TokenError::Signature));
}

#[test]
fn rejects_public_key_used_as_hmac_secret() {
    for key in [Key::ed(), Key::ec(), Key::rsa()] {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &key.public());
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": "k"}).to_string();
        let signed = format!("{}.{}", part(&header), part(&claims().to_string()));
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&secret, signed.as_bytes()));
        let error = verified(&format!("{signed}.{signature}"), &keys(&[("k", &key)])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid token header: `alg` is `HS256`; accepted: `EdDSA`, `ES256`, `RS256`"
        );
    }
    let symmetric = br#"{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0"}]}"#;
    assert_eq!(
        Jwks::parse(symmetric).unwrap_err().code,
        ErrorCode::TokenKeysUnreadable
    );
}

#[test]
fn rejects_token_with_embedded_key_or_key_url() {
    let own = Key::ed();
    for (name, value) in [
        ("jwk", own.jwk("k")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
    ] {
        let error = with_header(|h| h[name] = value.clone()).unwrap_err();
        let expected = match name {
            "x5t" | "x5t#S256" => TokenError::CertificateDigest(name),
            _ => TokenError::HeaderMember(name),
        };
        assert_eq!(error, expected, "{name}");
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
}

#[test]
fn kid_only_selects_a_key_of_the_set() {
    for kid in [
        json!("../../etc/passwd"),
        json!("/dev/null"),
        json!("https://evil.example/k"),
        json!("k' OR '1'='1"),
        json!("K"),
        json!("k "),
    ] {
        let error = with_header(|h| h["kid"] = kid.clone()).unwrap_err();
        assert!(matches!(error, TokenError::UnknownKeyId(_)), "{kid}");
        assert!(error.may_be_a_new_key());
    }
    for kid in [json!(""), json!(7), json!(null), json!("k".repeat(300))] {
        let error = with_header(|h| h["kid"] = kid.clone()).unwrap_err();
        assert!(
            matches!(&error, TokenError::HeaderValue { found, .. } if found.contains("`kid`")),
            "{kid}"
        );
    }
}

#[test]
fn rejection_repeats_only_short_plain_header_values() {
    let key_id = |kid: &str| with_header(|h| h["kid"] = json!(kid)).unwrap_err().to_string();
    assert!(key_id("key-2").starts_with("`kid` is `key-2`,"));
    assert!(key_id(&"k".repeat(64)).contains("kkkk"));
    let long = "k".repeat(65);
    for secret in [&*long, "clé", "two words", "line\nbreak", "a`b"] {
        let kid = key_id(secret);
        assert!(
            kid.starts_with("`kid` is a string that is not repeated here"),
            "{kid}"
        );
        for name in ["alg", "typ"] {
            let error = with_header(|h| h[name] = json!(secret)).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains(secret), "{error}");
        }
    }
    let claim = "claim-canary";
    for name in ["iss", "aud", "exp", "iat", "nbf", "scope"] {
        if let Err(error) = with_claims(|c| c[name] = json!(claim)) {
            assert!(!error.to_string().contains(claim), "{error}");
        }
    }
}

#[test]
fn key_verifies_only_with_its_own_listed_algorithm() {
    let key = Key::ed();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k"}).to_string();
    let mixed = token(&key, &header, &claims().to_string());
    assert_eq!(
        verified(&mixed, &keys(&[("k", &key)])),
        Err(TokenError::KeyMismatch)
    );

    let good = token(
        &key,
        &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k"}).to_string(),
        &claims().to_string(),
    );
    let only_rsa = TokenPolicy {
        algorithms: vec![Algorithm::RS256],
        ..policy()
    };
    let refused = verify(
        &good,
        &only_rsa,
        &keys(&[("k", &key)]),
        Timestamp::from_unix_millis(NOW_S * 1_000),
    );
    assert_eq!(
        refused,
        Err(TokenError::AlgorithmNotListed {
            algorithm: Algorithm::EdDSA,
            listed: "`RS256`".to_owned()
        })
    );

    let foreign = token(
        &Key::ed(),
        &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "k"}).to_string(),
        &claims().to_string(),
    );
    assert_eq!(
        verified(&foreign, &keys(&[("k", &key)])),
        Err(TokenError::Signature)
    );
}

#[test]
fn rejects_tokens_of_another_type() {
    let listed = "`typ` is `JWT`, which `accept.typ` does not list";
    for (typ, reason) in [
        (json!("JWT"), listed),
        (json!("application/jwt"), listed),
        (json!("id+jwt"), "`typ` is `id+jwt`; accepted: `at+jwt`"),
        (json!("absent"), "`typ` is `absent`; accepted: `at+jwt`"),
        (json!(null), "`typ` is null; accepted: `at+jwt`"),
        (json!(""), "`typ` is empty; accepted: `at+jwt`"),
    ] {
        let error = with_header(|h| h["typ"] = typ.clone()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("invalid token header: {reason}"),
            "{typ}"
        );
    }
    let error = with_header(|h| drop(h.as_object_mut().unwrap().remove("typ"))).unwrap_err();
    let reason = "`typ` is missing, and `accept.typ` does not list `absent`";
    assert_eq!(error, TokenError::Header(reason));
    assert!(with_header(|h| h["typ"] = json!("application/at+jwt")).is_ok());
}

#[test]
fn rejects_other_audience_and_other_issuer() {
    let ours = || format!("`{AUDIENCE}`");
    for aud in [
        json!("https://mcp.example.com"),
        json!("https://mcp.example.com/mcp/"),
        json!([]),
    ] {
        assert_eq!(
            with_claims(|c| c["aud"] = aud.clone()).unwrap_err(),
            TokenError::Audience(ours()),
            "{aud}"
        );
    }
    for aud in [json!([[AUDIENCE]]), json!({"aud": AUDIENCE}), json!(null)] {
        assert_form(&with_claims(|c| c["aud"] = aud.clone()).unwrap_err(), "aud");
    }
    for aud in [
        json!([AUDIENCE, "https://other.example.com"]),
        json!([AUDIENCE, AUDIENCE]),
    ] {
        let error = with_claims(|c| c["aud"] = aud.clone()).unwrap_err();
        assert_eq!(error, TokenError::AudienceNotAlone(ours()), "{aud}");
    }
    assert!(with_claims(|c| c["aud"] = json!([AUDIENCE])).is_ok());
    let (slash, other) = (
        TokenError::IssuerSlash(ISSUER.to_owned()),
        TokenError::Issuer(ISSUER.to_owned()),
    );
    for (iss, expected) in [
        ("https://id.example.com", &slash),
        ("https://id.example.com//", &slash),
        ("https://evil.example/", &other),
        ("HTTPS://ID.EXAMPLE.COM/", &other),
    ] {
        let error = with_claims(|c| c["iss"] = json!(iss)).unwrap_err();
        assert_eq!(&error, expected, "{iss}");
    }
}

#[test]
fn rejects_token_outside_validity_or_above_max_lifetime() {
    let skew = crate::limits::CLOCK_SKEW_SECONDS;
    let at = |iat: i64, exp: i64| {
        with_claims(|c| {
            c["iat"] = json!(iat);
            c["exp"] = json!(exp);
        })
    };
    assert!(at(NOW_S - 300, NOW_S - skew + 1).is_ok());
    let now = Timestamp::from_unix_millis(NOW_S * 1_000);
    assert_eq!(
        at(NOW_S - 300, NOW_S - skew).unwrap_err(),
        TokenError::Expired { now }
    );
    assert!(at(NOW_S + skew, NOW_S + 300).is_ok());
    assert_eq!(
        at(NOW_S + skew + 1, NOW_S + 300).unwrap_err(),
        TokenError::NotYetValid { claim: "iat", now }
    );
    assert!(at(NOW_S - 300, NOW_S + 300).is_ok());
    assert_eq!(
        at(NOW_S - 300, NOW_S + 301).unwrap_err(),
        TokenError::LifetimeTooLong(600)
    );
    let early = with_claims(|c| c["nbf"] = json!(NOW_S + skew + 1)).unwrap_err();
    assert_eq!(early, TokenError::NotYetValid { claim: "nbf", now });
    assert!(early.to_string().ends_with("2027-01-15T08:00:00.000Z"), "{early}");
    for exp in [
        json!("1800000300"),
        json!(1e300),
        json!(-1),
        json!(null),
        json!(true),
    ] {
        assert_form(&with_claims(|c| c["exp"] = exp.clone()).unwrap_err(), "exp");
    }
}

#[test]
fn rejects_token_without_required_claims() {
    for name in ["iss", "aud", "sub", "client_id", "jti", "iat", "exp"] {
        let error = with_claims(|c| {
            c.as_object_mut().unwrap().remove(name);
        });
        let error = error.unwrap_err();
        assert!(
            matches!(&error, TokenError::ClaimMissing { claim, .. } if claim == name),
            "{error}"
        );
        // Only these claims can be named otherwise, or left out, by a profile.
        let has_setting = error.to_string() != format!("claim `{name}` is missing");
        assert_eq!(has_setting, ["client_id", "jti"].contains(&name), "{error}");
    }
}

#[test]
fn rejects_duplicate_claims_and_header_members() {
    let key = Key::ed();
    let keys = keys(&[("k", &key)]);
    let claims = claims().to_string();
    let twice = format!("{},\"org\":\"globex\"}}", claims.strip_suffix('}').unwrap());
    let error = verified(&token(&key, &header(&key).to_string(), &twice), &keys).unwrap_err();
    assert!(
        matches!(error, TokenError::Json { part: "payload", .. }),
        "{error}"
    );
    let header = r#"{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"k"}"#;
    let error = verified(&token(&key, header, &claims), &keys).unwrap_err();
    assert!(
        matches!(error, TokenError::Json { part: "header", .. }),
        "{error}"
    );
}

#[test]
fn rejects_malformed_tokens() {
    let key = Key::ed();
    let keys = keys(&[("k", &key)]);
    let good = token(&key, &header(&key).to_string(), &claims().to_string());
    for broken in [
        String::new(),
        "a.b".to_owned(),
        format!("{good}.x"),
        format!("{good}="),
        good.replace('.', "+"),
        format!(" {good}"),
    ] {
        assert!(verified(&broken, &keys).is_err(), "{broken}");
    }
    assert_eq!(
        verified(&"x".repeat(TOKEN_BYTES_MAX + 1), &keys),
        Err(TokenError::TooLong)
    );
}

#[test]
fn key_set_holds_only_token_verification_keys() {
    let (one, two) = (Key::ed(), Key::ec());
    let mut encrypts = one.jwk("enc");
    encrypts["use"] = json!("enc");
    let mut other = two.jwk("other");
    other["alg"] = json!("ES384");
    let set = json!({"keys": [encrypts, other, two.jwk("k"), {"kty": "future", "kid": "f"}]}).to_string();
    let set = Jwks::parse(set.as_bytes()).unwrap();
    assert!(set.has("k") && !set.has("enc") && !set.has("other") && !set.has("f"));
    for broken in [
        json!({"keys": []}).to_string(),
        json!([one.jwk("k")]).to_string(),
        json!({"keys": one.jwk("k")}).to_string(),
        json!({"keys": [7, null, {"kty": "oct", "kid": "k", "k": "AAAA"}]}).to_string(),
        json!({"keys": vec![one.jwk("k"); 65]}).to_string(),
        "{".to_owned(),
        format!("{{\"keys\":[]}}{}", " ".repeat(KEY_SET_BYTES_MAX)),
    ] {
        assert_eq!(
            Jwks::parse(broken.as_bytes()).unwrap_err().code,
            ErrorCode::TokenKeysUnreadable
        );
    }
}

mod issuers;

mod remembered {
    use std::sync::Arc;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis((NOW_S + seconds) * 1_000)
    }

    fn usual(key: &Key) -> String {
        token(key, &header(key).to_string(), &claims().to_string())
    }

    #[test]
    fn valid_token_is_verified_once_under_the_same_keys() {
        let (key, verifier) = (Key::ed(), CachingTokenVerifier::new(policy()));
        let (token, set) = (usual(&key), Arc::new(keys(&[("k", &key)])));
        let first = verifier.verify(&token, &set, at(0)).unwrap();
        let again = Arc::new(keys(&[("k", &key)]));
        let second = verifier.verify(&token, &again, at(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        let more = Arc::new(keys(&[("k", &key), ("other", &Key::ed())]));
        let third = verifier.verify(&token, &more, at(1)).unwrap();
        assert!(!Arc::ptr_eq(&first, &third) && first == third);
    }

    #[test]
    fn cached_token_is_checked_against_its_validity_period() {
        let (key, verifier) = (Key::ed(), CachingTokenVerifier::new(policy()));
        let (token, set) = (usual(&key), Arc::new(keys(&[("k", &key)])));
        verifier.verify(&token, &set, at(0)).unwrap();
        assert!(verifier.verify(&token, &set, at(359)).is_ok());
        let error = |seconds| verifier.verify(&token, &set, at(seconds)).unwrap_err();
        assert_eq!(error(360), TokenError::Expired { now: at(360) });
        let (claim, now) = ("iat", at(-71));
        assert_eq!(error(-71), TokenError::NotYetValid { claim, now });
        assert!(verifier.verify(&token, &set, at(-70)).is_ok());
    }

    #[test]
    fn cached_token_is_dropped_with_its_key() {
        let (key, other, verifier) = (Key::ed(), Key::ed(), CachingTokenVerifier::new(policy()));
        let token = usual(&key);
        let error = |set| verifier.verify(&token, &Arc::new(set), at(0)).unwrap_err();
        verifier
            .verify(&token, &Arc::new(keys(&[("k", &key)])), at(0))
            .unwrap();
        assert!(error(keys(&[("other", &other)])).may_be_a_new_key());
        assert_eq!(error(keys(&[("k", &other)])), TokenError::Signature);
        // Caching a token of the newer set does not restore it either.
        let newer = Arc::new(keys(&[("k", &other)]));
        verifier.verify(&usual(&other), &newer, at(0)).unwrap();
        assert_eq!(verifier.verify(&token, &newer, at(0)), Err(TokenError::Signature));
    }

    #[test]
    fn token_cache_key_covers_all_token_bytes() {
        let (key, verifier) = (Key::ec(), CachingTokenVerifier::new(policy()));
        let (token, set) = (usual(&key), Arc::new(keys(&[("k", &key)])));
        verifier.verify(&token, &set, at(0)).unwrap();
        for end in 0..token.len() {
            assert!(verifier.verify(&token[..end], &set, at(0)).is_err(), "{end}");
        }
        let unsigned = token.rsplit_once('.').unwrap().0;
        for signature in ["", "AA", &part("another")] {
            let altered = format!("{unsigned}.{signature}");
            assert!(verifier.verify(&altered, &set, at(0)).is_err(), "{signature:?}");
        }
        let long = format!("{token}{}", "A".repeat(TOKEN_BYTES_MAX));
        assert_eq!(verifier.verify(&long, &set, at(0)), Err(TokenError::TooLong));
    }

    #[test]
    fn tokens_beyond_cache_capacity_are_verified() {
        let (key, verifier) = (Key::ed(), CachingTokenVerifier::new(policy()));
        let set = Arc::new(keys(&[("k", &key)]));
        let tokens = (0..1_100).map(|n| {
            let mut claims = claims();
            claims["jti"] = n.to_string().into();
            claims["org"] = format!("tenant-{n}").into();
            token(&key, &header(&key).to_string(), &claims.to_string())
        });
        let tokens: Vec<_> = tokens.collect();
        for _ in 0..2 {
            for (n, token) in tokens.iter().enumerate() {
                let verified = verifier.verify(token, &set, at(0)).unwrap();
                assert_eq!(verified.text("org"), Some(format!("tenant-{n}").as_str()));
            }
        }
    }
}
