//! Credentials beside those of the databases: webhooks, tokens of other services, files of variables and of MCP clients,
//! a passphrase, and a URL that a contract holds by mistake.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use synapsor_chassis::files::{self, MODE_PRIVATE};

use super::canary::{Canary, Capture, text};
use super::scene::Scene;
use crate::cli::until;
use crate::deployment::CONTRACT;
use crate::dialogue::Dialogue;
use crate::receiver::Receiver;

const DELIVERED: Duration = Duration::from_secs(30);
const ALONE: Duration = Duration::from_secs(30);
/// Carries the bearer token to the receiver that the token is for.
const AUTHORIZATION: &str = "authorization";

/// Files of the state directory that hold credentials.
pub(super) const FILES: [&str; 5] = [
    "webhooks.json",
    "one.secret",
    "two.secret",
    "webhook.token",
    "chat.url",
];

/// Where the credentials are.
#[derive(Debug)]
pub(super) struct Credentials {
    receiver: Receiver,
    passphrase: String,
    files: Vec<PathBuf>,
}

/// Writes every file and sets every variable. The next ledger reads those of the webhooks.
pub(super) fn plant(scene: &mut Scene) -> anyhow::Result<()> {
    scene.place.wait_until_alone(ALONE)?;
    let mut secret = |name: &str, kind: &str| {
        let value = text(kind);
        scene.canaries.push(Canary::of_text(name, &value));
        value
    };
    let url_key = secret("the key in a webhook's URL", "hookurl");
    let token = secret("the bearer token of a webhook", "hooktoken");
    let pushed = secret("the bearer token of a push", "pushtoken");
    let audited = secret("the bearer token of an audited server", "audittoken");
    let forbidden = secret("the password in a URL that is refused", "forbidden");
    let variable = secret("a variable of an env file", "envfile");
    let client = secret("a token in a client file", "clientfile");
    let literal = secret("a URL in a contract", "contracturl");
    let passphrase = secret("the passphrase of a key", "passphrase");
    let receiver = Receiver::start(&url_key)?;
    let mut files = Vec::new();
    for (number, name) in ["one.secret", "two.secret"].into_iter().enumerate() {
        let seed = text("hooksecret");
        let written = format!("whsec_{}", base64_of(&seed));
        scene.canaries.push(Canary::of_text(
            &format!("signing secret {number} of a webhook"),
            &seed,
        ));
        files.push((scene.state(name), written));
    }
    let hooks = json!({ "version": 1, "webhooks": [
        { "name": "billing", "url": receiver.url("/billing"), "format": "cloudevents",
          "secret_files": ["one.secret", "two.secret"], "bearer_token_file": "webhook.token" },
        { "name": "chat", "url_file": "chat.url", "format": "slack" },
    ]});
    files.extend([
        (scene.state("webhook.token"), token),
        (scene.state("chat.url"), receiver.url("/chat")),
        (scene.state("webhooks.json"), hooks.to_string()),
        (
            scene.place.path("secrets.env"),
            format!("PAYMENTS_TOKEN={variable}\n"),
        ),
        (
            scene.place.path("client.json"),
            json!({ "mcpServers": { "x": { "command": "x", "env": { "API_TOKEN": client } } } }).to_string(),
        ),
        (
            scene.place.path("literal.json"),
            CONTRACT.replacen(
                "\"BILLING_READ_URL\"",
                &format!("\"postgres://app:{literal}@127.0.0.1/billing\""),
                1,
            ),
        ),
    ]);
    for (path, content) in &files {
        files::write_atomic(path, content.as_bytes(), MODE_PRIVATE)?;
    }
    scene.place.set("PUSH_TOKEN", &pushed);
    scene.place.set("AUDIT_TOKEN", &audited);
    let forbidden = format!("http://app:{forbidden}@127.0.0.1:1/hook");
    scene.place.set("FORBIDDEN_URL", &forbidden);
    scene.credentials = Some(Credentials {
        receiver,
        passphrase,
        files: files.into_iter().map(|(path, _)| path).collect(),
    });
    Ok(())
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Runs the commands that use the credentials, and the commands that export, report and back up.
pub(super) fn visit(scene: &mut Scene, applied: &str) -> anyhow::Result<()> {
    let push = scene.credentials()?.receiver.url("/push");
    scene.place.set("PUSH_URL", &push);
    let pushed = [
        "events",
        "push",
        "--url-env",
        "PUSH_URL",
        "--auth-token-env",
        "PUSH_TOKEN",
    ];
    scene.ok(&pushed)?;
    let listed = scene.place.json(&["evidence", "list"])?;
    let evidence = listed["evidence"][0]["evidence_bundle_id"]
        .as_str()
        .with_context(|| listed.to_string())?
        .to_owned();
    for arguments in [
        &["proposals", "list", "--env-file", "secrets.env"][..],
        &["config", "show", "--config", "literal.json"],
        &["webhooks", "show", "billing", "--json"],
        &["webhooks", "test", "billing"],
        &["webhooks", "test", "chat", "--json"],
        &["evidence", "export", &evidence, "--output", "evidence.json"],
        &["replay", "export", applied, "--output", "replay.json"],
        &["ledger", "prove", applied, "--output", "proof.bundle"],
        &["store", "backup", "ledger.backup", "--json"],
        &[
            "store",
            "verify",
            "ledger.backup",
            "--trust",
            ".synapsor/synapsor.trust.json",
        ],
        &["store", "erase", "--tenant", "absent", "--json"],
        &["store", "prune", "--older-than", "90d"],
    ] {
        scene.ok(arguments)?;
    }
    for name in ["evidence.json", "replay.json", "proof.bundle", "ledger.backup"] {
        scene.capture_file(name)?;
    }
    for arguments in [
        &["config", "validate", "--config", "literal.json"][..],
        &["up", "--config", "literal.json"],
        &["doctor", "--report", "--redact", "--client-config", "client.json"],
        &[
            "audit",
            "--url",
            "http://127.0.0.1:1/mcp",
            "--bearer-env",
            "AUDIT_TOKEN",
            "--timeout-ms",
            "1000",
        ],
        &["events", "push", "--url-env", "FORBIDDEN_URL"],
        &["store", "restore", "client.json"],
    ] {
        scene.fails(arguments, &[])?;
    }
    scene.capture_file("synapsor-doctor.md")?;
    type_passphrase(scene)?;
    deliveries(scene)
}

/// Protects a new key with a passphrase, then types another one of different length for the repetition.
fn type_passphrase(scene: &mut Scene) -> anyhow::Result<()> {
    let passphrase = scene.credentials()?.passphrase.clone();
    for (repeated, exit) in [(passphrase.clone(), 0), (format!("{passphrase}x"), 2)] {
        let arguments = ["operator", "keygen", "--person", "carol", "--protect", "--output"];
        let key = format!("carol-{exit}.pem");
        let mut dialogue = Dialogue::start(&scene.place, &[&arguments[..], &[&key]].concat())?;
        let mut screen = dialogue.answer("New passphrase:", &[&passphrase, "\r"])?;
        screen += &dialogue.answer("Repeat passphrase:", &[&repeated, "\r"])?;
        let ended = dialogue.end()?;
        screen += &ended.rest;
        ensure!((ended.code == 0) == (exit == 0), "exit {}: {screen}", ended.code);
        scene.capture.add(format!("the terminal of {key}"), screen);
    }
    Ok(())
}

/// Waits until the newest events have arrived, and takes everything that was sent but the token.
fn deliveries(scene: &mut Scene) -> anyhow::Result<()> {
    let behind = || -> anyhow::Result<bool> {
        let listed = scene.place.json(&["webhooks", "list"])?;
        let all = listed["webhooks"].as_array().context("webhooks")?.clone();
        Ok(all.len() == 2 && all.iter().all(|webhook| webhook["behind"] == json!(0)))
    };
    until(DELIVERED, behind)?;
    let received = scene.credentials()?.receiver.received();
    for path in ["/billing", "/chat", "/push"] {
        ensure!(
            received.iter().any(|request| request.path == path),
            "nothing arrived at {path}"
        );
    }
    for request in received {
        let mut headers = request.headers;
        headers.remove(AUTHORIZATION);
        scene
            .capture
            .add(format!("a delivery to {}", request.path), request.body);
        scene.capture.add(
            format!("headers of a delivery to {}", request.path),
            json!(headers).to_string(),
        );
    }
    Ok(())
}

impl Credentials {
    /// Adds the places where the credentials are, for a scan that must find them.
    pub(super) fn known(&self, places: &mut Capture) -> anyhow::Result<()> {
        for path in &self.files {
            let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
            places.add(path.display().to_string(), bytes);
        }
        places.add("what was typed", self.passphrase.clone());
        Ok(())
    }
}
