//! MCP failures over stdio and over HTTP; every byte of every response is kept.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};

use super::scene::Scene;
use crate::cli::{INVOICE, until};

const TOO_LARGE_BYTES: usize = 1_600_000;
const ANSWER: Duration = Duration::from_secs(20);
const ERRORS: &str = "mcp-serve.stderr";
const READ: &str = "billing.inspect_invoice";
const PROPOSE: &str = "billing.propose_late_fee_waiver";

/// Name, and the message that must be refused.
fn wrong() -> Vec<(&'static str, Json)> {
    let request =
        |method: &str, params: Json| json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let call =
        |tool: &str, arguments: Json| request("tools/call", json!({ "name": tool, "arguments": arguments }));
    vec![
        ("an unknown method", request("tools/destroy", json!({}))),
        (
            "an unknown tool",
            call("billing.approve", json!({ "invoice_id": INVOICE })),
        ),
        (
            "a tool of SQL",
            call(
                "execute_sql",
                json!({ "sql": "SELECT internal_note FROM invoices" }),
            ),
        ),
        ("no arguments", call(READ, json!({}))),
        (
            "an argument of a wrong type",
            call(READ, json!({ "invoice_id": { "$ne": null } })),
        ),
        (
            "an argument too many",
            call(
                READ,
                json!({ "invoice_id": INVOICE, "columns": ["internal_note"] }),
            ),
        ),
        (
            "a tenant",
            call(READ, json!({ "invoice_id": INVOICE, "tenant_id": "globex" })),
        ),
        (
            "another tenant's row",
            call(READ, json!({ "invoice_id": "INV-9001" })),
        ),
        (
            "an injected condition",
            call(READ, json!({ "invoice_id": "x' OR internal_note LIKE '%" })),
        ),
        (
            "a reason that is too long",
            call(
                PROPOSE,
                json!({ "invoice_id": INVOICE, "reason": "x".repeat(400) }),
            ),
        ),
        (
            "an unknown resource",
            request("resources/read", json!({ "uri": "file:///etc/passwd" })),
        ),
    ]
}

fn is_refused(answer: &Json) -> bool {
    answer.get("error").is_some() || answer["result"]["isError"] == json!(true)
}

fn read(id: u64) -> Json {
    let params = json!({ "name": READ, "arguments": { "invoice_id": INVOICE } });
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

/// `mcp serve` over pipes.
struct Pipes {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    received: Vec<u8>,
}

impl Pipes {
    fn start(scene: &Scene) -> anyhow::Result<Self> {
        let mut command = scene.place.command(&["mcp", "serve"])?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(scene.place.path(ERRORS))?);
        let mut child = command.spawn()?;
        let input = child.stdin.take().context("piped")?;
        let output = BufReader::new(child.stdout.take().context("piped")?);
        let (sender, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut this = Self {
            child,
            input,
            lines,
            received: Vec::new(),
        };
        let client = json!({ "name": "prover", "version": "1" });
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client });
        this.exchange(
            &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string(),
            0,
        )?;
        writeln!(
            this.input,
            "{}",
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })
        )?;
        Ok(this)
    }

    /// Sends a line and reads until the response with this id.
    fn exchange(&mut self, line: &str, id: u64) -> anyhow::Result<Json> {
        self.exchange_until(line, |answer| answer["id"] == json!(id))
    }

    fn exchange_until(&mut self, line: &str, is_answer: impl Fn(&Json) -> bool) -> anyhow::Result<Json> {
        writeln!(self.input, "{line}")?;
        loop {
            let line = self.lines.recv_timeout(ANSWER).context("no answer")?;
            self.received.extend_from_slice(line.as_bytes());
            let answer: Json = serde_json::from_str(&line)?;
            if is_answer(&answer) {
                return Ok(answer);
            }
        }
    }

    fn end(mut self, scene: &mut Scene) -> anyhow::Result<()> {
        drop(self.input);
        while let Ok(line) = self.lines.recv_timeout(ANSWER) {
            self.received.extend_from_slice(line.as_bytes());
        }
        until(ANSWER, || Ok(self.child.try_wait()?.is_some()))
            .context("`mcp serve` after its client disconnected")?;
        scene.capture.add("MCP over stdio", self.received);
        scene
            .capture
            .add("MCP over stdio, stderr", std::fs::read(scene.place.path(ERRORS))?);
        Ok(())
    }
}

pub(super) fn over_stdio(scene: &mut Scene) -> anyhow::Result<()> {
    let mut gateway = Pipes::start(scene)?;
    for (name, message) in wrong() {
        let answer = gateway.exchange(&message.to_string(), 7)?;
        scene.failed(
            &format!("stdio: {name}"),
            is_refused(&answer),
            &answer.to_string(),
        );
    }
    for (number, (name, line)) in [
        ("bad JSON", "{\"jsonrpc\": \"2.0\", \"id\": 8, ".to_owned()),
        ("no object", "[]".to_owned()),
        ("no JSON", "\u{1}\u{7f}GET / HTTP/1.1".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        // The gateway continues with the next line after any line.
        writeln!(gateway.input, "{line}")?;
        let id = 20 + number as u64;
        let answer = gateway.exchange(&read(id).to_string(), id)?;
        ensure!(!is_refused(&answer), "read after {name} failed: {answer}");
        scene.failed(&format!("stdio: {name}"), true, "");
    }
    gateway.end(scene)?;

    let mut gateway = Pipes::start(scene)?;
    // A line that is not read completely has no id for the response.
    let large = read(9).to_string().replace(INVOICE, &"x".repeat(TOO_LARGE_BYTES));
    let answer = gateway.exchange_until(&large, |answer| {
        answer["id"] == json!(9) || answer["id"].is_null()
    })?;
    scene.failed(
        "stdio: a line that is too large",
        is_refused(&answer),
        &answer.to_string(),
    );
    gateway.end(scene)
}

/// One POST of a client, changed in one way.
struct Post<'a> {
    name: &'a str,
    token: Option<&'a str>,
    header: Option<(&'a str, &'a str)>,
    body: String,
}

pub(super) async fn over_http(scene: &mut Scene) -> anyhow::Result<()> {
    let token = scene.token.clone();
    let forged = format!("{token}x");
    let short = token[..token.len() - 1].to_owned();
    let plain = |name| Post {
        name,
        token: Some(&token),
        header: None,
        body: read(1).to_string(),
    };
    let mut posts = vec![
        Post {
            token: None,
            ..plain("no token")
        },
        Post {
            token: Some(&forged),
            ..plain("a longer token")
        },
        Post {
            token: Some(&short),
            ..plain("a shorter token")
        },
        Post {
            header: Some(("origin", "https://evil.example")),
            ..plain("a foreign origin")
        },
        Post {
            header: Some(("host", "evil.example")),
            ..plain("a foreign host")
        },
        Post {
            header: Some(("content-type", "text/plain")),
            ..plain("a wrong content type")
        },
        Post {
            body: "{\"jsonrpc\": ".to_owned(),
            ..plain("bad JSON")
        },
        Post {
            body: "x".repeat(TOO_LARGE_BYTES),
            ..plain("a body that is too large")
        },
    ];
    let messages = wrong();
    posts.extend(messages.iter().map(|(name, message)| Post {
        body: message.to_string(),
        ..plain(name)
    }));
    let address = scene.address("gateway")?;
    for post in posts {
        let (ok, answer) = send(scene, &address, &post).await?;
        let refused = !ok || serde_json::from_str(&answer).is_ok_and(|answer| is_refused(&answer));
        scene.failed(&format!("HTTP: {}", post.name), refused, &answer);
    }
    let client = crate::agent::http_client();
    for path in ["", "mcp/../admin", "mcp?token=guess"] {
        let answer = client.get(format!("http://{address}/{path}")).send().await?;
        let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
        scene
            .capture
            .add("HTTP", format!("{headers}{}", answer.text().await?));
        scene.failed(
            &format!("HTTP: GET /{path}"),
            !status.is_success(),
            status.as_str(),
        );
    }
    let (ok, answer) = send(scene, &address, &plain("a read")).await?;
    ensure!(
        ok && serde_json::from_str(&answer).is_ok_and(|a| !is_refused(&a)),
        "valid read failed: {answer}"
    );
    Ok(())
}

/// Reads over HTTP while another component is broken.
pub(super) async fn read_fails(scene: &mut Scene, why: &str) -> anyhow::Result<()> {
    let token = scene.token.clone();
    let post = Post {
        name: why,
        token: Some(&token),
        header: None,
        body: read(1).to_string(),
    };
    let address = scene.address("gateway")?;
    let (ok, answer) = send(scene, &address, &post).await?;
    let refused = !ok || serde_json::from_str(&answer).is_ok_and(|answer| is_refused(&answer));
    scene.failed(why, refused, &answer);
    Ok(())
}

async fn send(scene: &mut Scene, address: &str, post: &Post<'_>) -> anyhow::Result<(bool, String)> {
    let mut request = crate::agent::http_client()
        .post(format!("http://{address}/mcp"))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18");
    if let Some(token) = post.token {
        request = request.bearer_auth(token);
    }
    let (name, value) = post.header.unwrap_or(("content-type", "application/json"));
    if name != "content-type" {
        request = request.header("content-type", "application/json");
    }
    let answer = match request.header(name, value).body(post.body.clone()).send().await {
        Ok(answer) => answer,
        // A server that has read enough may close the connection.
        Err(error) => return Ok((false, format!("{error:?}"))),
    };
    let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
    let body = answer.text().await.unwrap_or_default();
    scene
        .capture
        .add(format!("HTTP: {}", post.name), format!("{headers}\n{body}"));
    Ok((status.is_success(), body))
}
