//! Identification of callers by access tokens: keys from a file and from an issuer's address, key rotation, and
//! a faulty issuer.

#![allow(clippy::unwrap_used, reason = "a broken fixture fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use synapsor_chassis::clock::ManualClock;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_reader::callers::{CallIdentity, CallerAuthenticator, TokenScope};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const NOW_MS: i64 = 1_800_000_000_000;
const HALF_MINUTE_MS: i64 = 30_000;

struct Key(&'static str, Ed25519KeyPair);

impl Key {
    fn new(kid: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self(kid, Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap())
    }

    fn set(keys: &[&Key]) -> String {
        let jwk = |key: &&Key| {
            json!({"kty": "OKP", "crv": "Ed25519", "kid": key.0,
            "x": URL_SAFE_NO_PAD.encode(key.1.public_key().as_ref())})
        };
        json!({ "keys": keys.iter().map(jwk).collect::<Vec<_>>() }).to_string()
    }

    fn token(&self, scope: &str) -> String {
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let now = NOW_MS / 1_000;
        let signed = format!(
            "{}.{}",
            part(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.0})),
            part(
                json!({"iss": "https://id.example.com", "aud": "https://mcp.example.com/mcp", "sub": "ann",
                "client_id": "desk", "jti": "1", "tenant_id": "acme", "iat": now, "exp": now + 3_600, "scope": scope})
            ),
        );
        let signature = URL_SAFE_NO_PAD.encode(self.1.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn contract(jwks_url: Option<&str>) -> Contract {
    let mut values = json!({"issuer": "https://id.example.com", "audience": "https://mcp.example.com/mcp"});
    if let Some(url) = jwks_url {
        values["jwks_url"] = json!(url);
    }
    let file = json!({
        "version": 1, "mode": "review", "result_format": 2,
        "sources": {"db": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "W"}},
        "trusted_context": {"provider": "http_claims", "values": values},
        "capabilities": [
            {"name": "a.look", "kind": "read", "source": "db", "lookup": {"id_from_arg": "id"},
             "target": {"schema": "main", "table": "t", "primary_key": "id", "tenant_key": "org"},
             "args": {"id": {"type": "string"}}, "visible_columns": ["id"]},
            {"name": "a.change", "kind": "proposal", "source": "db", "lookup": {"id_from_arg": "id"},
             "target": {"schema": "main", "table": "t", "primary_key": "id", "tenant_key": "org"},
             "args": {"id": {"type": "string"}}, "visible_columns": ["id", "note"],
             "patch": {"note": {"fixed": "x"}}, "allowed_columns": ["note"], "conflict_guard": {"column": "version"},
             "approval": {"mode": "human"}}
        ]
    });
    let contract = Contract::parse(file.to_string().as_bytes()).unwrap().contract;
    contract.runnable().unwrap();
    contract
}

fn write(path: &std::path::Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Issuer that returns the newest response to each client and counts requests.
struct Issuer {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<std::sync::Mutex<String>>,
}

impl Issuer {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (asked, answer) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(std::sync::Mutex::new(answer)),
        );
        let (count, current) = (asked.clone(), answer.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let answer = current.lock().unwrap().clone();
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, asked, answer }
    }

    fn answers(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn callers(&self, clock: &Arc<ManualClock>) -> CallerAuthenticator {
        synapsor_chassis::harden::choose_tls_provider();
        CallerAuthenticator::of_contract(
            &contract(Some(&self.url)),
            None,
            DeploymentEnvironment::Dev,
            clock.clone(),
        )
        .unwrap()
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn code(callers: &CallerAuthenticator, token: &str) -> String {
    match callers.identify(token).await {
        Ok(CallIdentity::Bearer(_)) => "bearer".to_owned(),
        Ok(CallIdentity::Own) => "own".to_owned(),
        Err(refusal) => refusal.code.to_string(),
    }
}

#[tokio::test]
async fn key_file_is_reloaded_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (old, new) = (Key::new("old"), Key::new("new"));
    write(&path, &Key::set(&[&old]));
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let callers = CallerAuthenticator::of_contract(
        &contract(None),
        Some(path.clone()),
        DeploymentEnvironment::Production,
        clock,
    )
    .unwrap();
    assert_eq!(code(&callers, &old.token("")).await, "bearer");
    assert_eq!(code(&callers, &new.token("")).await, "ACCESS_TOKEN_REFUSED");
    assert_eq!(code(&callers, "").await, "ACCESS_TOKEN_REQUIRED");
    write(&path, &Key::set(&[&new]));
    assert_eq!(code(&callers, &new.token("")).await, "bearer");
    assert_eq!(
        code(&callers, &old.token("")).await,
        "ACCESS_TOKEN_REFUSED",
        "a withdrawn key is still accepted"
    );
    std::fs::write(&path, "{").unwrap();
    assert_eq!(
        code(&callers, &new.token("")).await,
        "TOKEN_KEYS_UNREADABLE",
        "a broken key file accepts tokens"
    );
}

#[tokio::test]
async fn rejects_start_without_token_keys() {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let folder = tempfile::tempdir().unwrap();
    let start = |contract: &Contract, file| {
        CallerAuthenticator::of_contract(contract, file, DeploymentEnvironment::Production, clock.clone())
            .map(|_| ())
    };
    let code = |result: Result<(), synapsor_chassis::run::ExitError>| result.unwrap_err().code();
    assert_eq!(code(start(&contract(None), None)), ErrorCode::TokenKeysOrigin);
    assert_eq!(
        code(start(&contract(Some("http://127.0.0.1:1/k")), None)),
        ErrorCode::TokenKeysOrigin
    );
    let missing = Some(folder.path().join("none"));
    assert_eq!(
        code(start(&contract(None), missing)),
        ErrorCode::TokenKeysUnreadable
    );
    // With a mark the encoding is known; without one the text is not JSON.
    let path = folder.path().join("keys.json");
    for bytes in [&b"\xff\xfe{\0}\0"[..], b"{\0}\0"] {
        std::fs::write(&path, bytes).unwrap();
        let refused = start(&contract(None), Some(path.clone())).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::TokenKeysUnreadable);
        let fix = refused.fix().unwrap();
        assert!(fix.contains("UTF-8"), "{fix}");
    }
}

#[tokio::test]
async fn fetched_keys_are_cached_and_tokens_cannot_force_fetches() {
    let (old, new) = (Key::new("old"), Key::new("new"));
    let issuer = Issuer::start(ok(&Key::set(&[&old]))).await;
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let callers = issuer.callers(&clock);
    for _ in 0..20 {
        assert_eq!(code(&callers, &old.token("")).await, "bearer");
    }
    assert_eq!(issuer.asked(), 1);
    for kid in ["../k", "x", "new"] {
        assert_eq!(
            code(&callers, &Key::new(kid).token("")).await,
            "ACCESS_TOKEN_REFUSED",
            "{kid}"
        );
    }
    assert_eq!(issuer.asked(), 1, "fetched again within the cooldown");
    issuer.answers(ok(&Key::set(&[&new])));
    clock.advance_ms(HALF_MINUTE_MS);
    assert_eq!(
        code(&callers, &new.token("")).await,
        "bearer",
        "the first token of a rotated key causes a fetch"
    );
    assert_eq!(code(&callers, &old.token("")).await, "ACCESS_TOKEN_REFUSED");
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn fetched_keys_may_begin_with_a_byte_order_mark() {
    let key = Key::new("only");
    let issuer = Issuer::start(ok(&format!("\u{feff}{}", Key::set(&[&key])))).await;
    let callers = issuer.callers(&Arc::new(ManualClock::at(NOW_MS)));
    assert_eq!(code(&callers, &key.token("")).await, "bearer");
}

#[tokio::test]
async fn faulty_issuer_invalidates_cached_keys_after_an_hour() {
    let key = Key::new("k");
    let good = ok(&Key::set(&[&key]));
    let huge = ok(&format!("{{\"keys\":[{}]}}", " ".repeat(300_000)));
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/keys\r\ncontent-length: 0\r\n\r\n".to_owned();
    let failing = "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned();
    let clock = Arc::new(ManualClock::at(NOW_MS));
    for bad in [moved, huge, failing, ok("{}"), "nonsense".to_owned()] {
        let issuer = Issuer::start(bad.clone()).await;
        assert_eq!(
            code(&issuer.callers(&clock), &key.token("")).await,
            "TOKEN_KEYS_UNAVAILABLE",
            "{bad:.60}"
        );
    }
    let issuer = Issuer::start(good).await;
    let callers = issuer.callers(&clock);
    assert_eq!(code(&callers, &key.token("")).await, "bearer");
    issuer.answers("nonsense".to_owned());
    clock.advance_ms(11 * 60_000);
    assert_eq!(code(&callers, &key.token("")).await, "bearer");
    clock.advance_ms(48 * 60_000);
    assert_eq!(code(&callers, &key.token("")).await, "bearer");
    clock.advance_ms(2 * 60_000);
    assert_eq!(code(&callers, &key.token("")).await, "TOKEN_KEYS_UNAVAILABLE");
}

#[tokio::test]
async fn read_and_propose_scopes_are_independent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let key = Key::new("k");
    write(&path, &Key::set(&[&key]));
    let contract = contract(None);
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let callers =
        CallerAuthenticator::of_contract(&contract, Some(path), DeploymentEnvironment::Production, clock)
            .unwrap();
    for (scope, opens) in [
        ("", [false, false]),
        ("synapsor:read", [true, false]),
        ("synapsor:propose", [true, true]),
        ("synapsor:approve synapsor", [false, false]),
    ] {
        let caller = callers.identify(&key.token(scope)).await.unwrap();
        let open = [TokenScope::Read, TokenScope::Propose]
            .map(|scope| callers.require_scope(&caller, scope).is_ok());
        assert_eq!(open, opens, "{scope}");
    }
}
