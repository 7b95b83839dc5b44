//! Token issuer: its keys, the key set that it publishes in a file or over HTTP, and valid and forged tokens. The
//! processes under test decide which tokens are valid.

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use synapsor_chassis::files::{self, MODE_PUBLIC};
use synapsor_chassis::random;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::now;

/// Issuer in the test contracts.
pub const ISSUER: &str = "https://id.example.com/realms/test";
/// Audience in the test contracts.
pub const AUDIENCE: &str = "https://mcp.example.com/mcp";
pub const READ: &str = "synapsor:read";
pub const PROPOSE: &str = "synapsor:propose";
/// One minute ago, so that no clock is behind the token.
const ISSUED_SECONDS_AGO: i64 = 60;
const LIFETIME_SECONDS: i64 = 600;
/// Test-only key.
const RSA_KEY: &[u8] = include_bytes!("../../domain/src/access_token/fixtures/rsa.pk8");

#[derive(Debug)]
enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// One key of an issuer.
#[derive(Debug)]
pub struct IssuerKey {
    pub kid: String,
    pair: Pair,
}

impl IssuerKey {
    /// Generates a key for `EdDSA`.
    pub fn ed25519(kid: &str) -> anyhow::Result<Self> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(unusable)?;
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(unusable)?;
        Ok(Self::of(kid, Pair::Ed25519(pair)))
    }

    /// Generates a key for `ES256`.
    pub fn p256(kid: &str) -> anyhow::Result<Self> {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(unusable)?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).map_err(unusable)?;
        Ok(Self::of(kid, Pair::P256(pair)))
    }

    /// Loads the fixture's key for `RS256`.
    pub fn rsa(kid: &str) -> anyhow::Result<Self> {
        let pair = RsaKeyPair::from_pkcs8(RSA_KEY).map_err(unusable)?;
        Ok(Self::of(kid, Pair::Rsa(pair)))
    }

    fn of(kid: &str, pair: Pair) -> Self {
        Self {
            kid: kid.to_owned(),
            pair,
        }
    }

    pub const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
            Pair::Rsa(_) => "RS256",
        }
    }

    /// Public key: a point, or a modulus.
    pub fn public(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::P256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key()).n,
        }
    }

    pub fn jwk(&self) -> Json {
        let (kid, public) = (&self.kid, self.public());
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.pair {
            Pair::Ed25519(_) => json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(&public)}),
            Pair::P256(_) => json!({"kty": "EC", "crv": "P-256", "kid": kid,
                "x": text(&public[1..33]), "y": text(&public[33..])}),
            Pair::Rsa(_) => json!({"kty": "RSA", "kid": kid, "n": text(&public), "e": "AQAB"}),
        }
    }

    fn sign(&self, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ed25519(pair) => pair.sign(signed).as_ref().to_vec(),
            Pair::P256(pair) => {
                let signature = pair.sign(&random, signed).expect("randomness");
                signature.as_ref().to_vec()
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed, &mut signature)
                    .expect("randomness");
                signature
            }
        }
    }

    /// Header of this key's tokens.
    pub fn header(&self) -> Json {
        json!({"alg": self.algorithm(), "typ": "at+jwt", "kid": self.kid})
    }

    /// Signs a token with these claims, or with any other text in their place.
    pub fn token(&self, claims: &impl Display) -> String {
        self.token_under(&self.header(), claims)
    }

    /// Signs a token with another header.
    pub fn token_under(&self, header: &impl Display, claims: &impl Display) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn unusable(error: impl Display) -> anyhow::Error {
    anyhow!("invalid key: {error}")
}

/// Encodes one part of a token.
pub fn part(text: &impl Display) -> String {
    URL_SAFE_NO_PAD.encode(text.to_string())
}

/// JSON document that an issuer publishes.
pub fn key_set(keys: &[&IssuerKey]) -> String {
    let keys: Vec<Json> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// Publishes keys in a file and replaces the previous ones.
pub fn publish(path: &Path, keys: &[&IssuerKey]) -> anyhow::Result<()> {
    Ok(files::write_atomic(path, key_set(keys).as_bytes(), MODE_PUBLIC)?)
}

/// Claims of a currently valid token (RFC 9068), with its own id.
pub fn claims(tenant: &str, principal: &str, scope: &str) -> Json {
    let issued = now().as_unix_millis() / 1_000 - ISSUED_SECONDS_AGO;
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": principal, "client_id": "desk", "jti": random::hex_id(20),
        "tenant_id": tenant, "iat": issued, "exp": issued + LIFETIME_SECONDS, "scope": scope})
}

/// Issuer that answers each request with its newest key set, and counts requests.
#[derive(Debug)]
pub struct ServedKeys {
    pub url: String,
    asked: Arc<AtomicUsize>,
    document: Arc<Mutex<String>>,
}

impl ServedKeys {
    pub async fn start(keys: &[&IssuerKey]) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let served = Self {
            url: format!("http://{}/keys", listener.local_addr()?),
            asked: Arc::default(),
            document: Arc::new(Mutex::new(key_set(keys))),
        };
        let (asked, document) = (served.asked.clone(), served.document.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let body = document.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Ok(served)
    }

    pub fn publish(&self, keys: &[&IssuerKey]) {
        *self.document.lock().unwrap_or_else(PoisonError::into_inner) = key_set(keys);
    }

    /// Number of connections so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Address that tokens name and that no process may connect to.
#[derive(Debug)]
pub struct Trap {
    pub address: String,
    listener: std::net::TcpListener,
}

impl Trap {
    pub fn set() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?.to_string(),
            listener,
        })
    }

    /// Checks whether a client connected since the trap was set; the system queues connections until they are
    /// accepted.
    pub fn was_sprung(&self) -> anyhow::Result<bool> {
        match self.listener.accept() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error).context("reading the trap's socket"),
        }
    }
}
