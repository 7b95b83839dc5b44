//! Hand-written MCP client over HTTP for both protocol revisions: the test controls every header and byte and sees
//! the raw response. `crate::agent` is the real client.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use crate::agent::http_client;

/// Protocol revisions of this client: the last one with sessions, and the first stateless one.
pub const LEGACY: &str = "2025-11-25";
pub const SESSIONLESS: &str = "2026-07-28";

/// URI of a record.
pub fn uri(kind: &str, id: &str) -> String {
    format!("synapsor://{kind}/{id}")
}

/// Client of one gateway. Clones share their connections.
#[derive(Debug, Clone)]
pub struct McpHttpClient {
    http: reqwest::Client,
    pub address: String,
}

/// HTTP response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    /// Value of a header, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// JSON message of the response; the last one of a stream.
    pub fn json(&self) -> anyhow::Result<Json> {
        let is_stream = self.header("content-type").starts_with("text/event-stream");
        let mut data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        let message = match is_stream {
            true => data.next_back().unwrap_or_default(),
            false => &self.body,
        };
        serde_json::from_str(message).with_context(|| format!("{self:?}"))
    }

    /// Result envelope of a call.
    pub fn envelope(&self) -> anyhow::Result<Json> {
        let json = self.json()?;
        let envelope = json.pointer("/result/structuredContent").cloned();
        envelope.with_context(|| format!("no envelope: {self:?}"))
    }

    /// Task id of a call that runs as a task.
    pub fn task(&self) -> anyhow::Result<String> {
        self.text_at("/result/taskId")
    }

    /// Evidence id of a read.
    pub fn evidence(&self) -> anyhow::Result<String> {
        self.text_at("/result/structuredContent/evidence/bundle_id")
    }

    /// String in the message.
    pub fn text_at(&self, pointer: &str) -> anyhow::Result<String> {
        let json = self.json()?;
        let text = json.pointer(pointer).and_then(Json::as_str);
        Ok(text
            .with_context(|| format!("no {pointer}: {self:?}"))?
            .to_owned())
    }

    /// Full text of the response, for searches for secrets.
    pub fn text(&self) -> String {
        format!("{:?} {}", self.headers, self.body)
    }
}

/// MCP request.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: u64,
    pub method: String,
    pub params: Json,
}

impl Message {
    pub fn new(method: &str, params: Json) -> Self {
        Self {
            id: 1,
            method: method.to_owned(),
            params,
        }
    }

    pub fn call(tool: &str, arguments: Json) -> Self {
        Self::new("tools/call", json!({"name": tool, "arguments": arguments}))
    }

    pub fn inspect(invoice: &str) -> Self {
        Self::call("billing.inspect_invoice", json!({ "invoice_id": invoice }))
    }

    pub fn propose(invoice: &str, reason: &str) -> Self {
        let arguments = json!({"invoice_id": invoice, "reason": reason});
        Self::call("billing.propose_late_fee_waiver", arguments)
    }

    pub fn read(uri: &str) -> Self {
        Self::new("resources/read", json!({ "uri": uri }))
    }

    pub fn listen(uris: &[&str]) -> Self {
        let filter = json!({ "resourceSubscriptions": uris });
        Self::new("subscriptions/listen", json!({ "notifications": filter }))
    }

    pub fn task(method: &str, id: &str) -> Self {
        let params = match method {
            "tasks/update" => json!({"taskId": id, "inputResponses": {}}),
            _ => json!({ "taskId": id }),
        };
        Self::new(method, params)
    }

    /// Name of the requested item, as in `Mcp-Name`.
    fn name(&self) -> Option<&str> {
        ["name", "uri", "taskId"]
            .iter()
            .find_map(|key| self.params.get(key)?.as_str())
    }

    fn legacy(&self) -> Json {
        json!({"jsonrpc": "2.0", "id": self.id, "method": self.method, "params": self.params})
    }

    /// Message of 2026-07-28, with the client metadata of a stateless request.
    pub fn sessionless(&self) -> Json {
        let mut message = self.legacy();
        message["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": SESSIONLESS,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities":
                {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        });
        message
    }
}

impl McpHttpClient {
    pub fn at(address: &str) -> Self {
        Self {
            http: http_client(),
            address: address.to_owned(),
        }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        let request = self.http.get(format!("http://{}{path}", self.address));
        reply(request.send().await?).await
    }

    /// Posts a body with these headers and those of every POST.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> anyhow::Result<Reply> {
        reply(self.posted(path, headers, body).await?).await
    }

    async fn posted(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> anyhow::Result<reqwest::Response> {
        let mut request = self
            .http
            .post(format!("http://{}{path}", self.address))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_str(value)?);
        }
        Ok(request.send().await?)
    }

    /// Sends a request of 2026-07-28, with the token unless it is empty.
    pub async fn ask(&self, token: &str, message: &Message) -> anyhow::Result<Reply> {
        reply(self.asked(token, message).await?).await
    }

    /// Sends the same request and returns a streamed response.
    pub async fn asked(&self, token: &str, message: &Message) -> anyhow::Result<reqwest::Response> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![
            ("mcp-protocol-version", SESSIONLESS),
            ("mcp-method", &message.method),
        ];
        headers.extend(message.name().map(|name| ("mcp-name", name)));
        if !token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        self.posted("/mcp", &headers, &message.sessionless().to_string())
            .await
    }

    /// Sends a request of 2025-11-25 in a session; an empty id sends no session header.
    pub async fn ask_in(&self, token: &str, session: &str, message: &Message) -> anyhow::Result<Reply> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("mcp-protocol-version", LEGACY), ("authorization", &bearer)];
        if !session.is_empty() {
            headers.push(("mcp-session-id", session));
        }
        self.post("/mcp", &headers, &message.legacy().to_string()).await
    }

    /// Opens the stream of server-initiated messages of a session.
    pub async fn open_stream(&self, token: &str, session: &str) -> anyhow::Result<reqwest::Response> {
        let request = self
            .http
            .get(format!("http://{}/mcp", self.address))
            .header("accept", "text/event-stream")
            .header("mcp-protocol-version", LEGACY)
            .header("mcp-session-id", session)
            .bearer_auth(token);
        Ok(request.send().await?)
    }

    pub async fn end_session(&self, token: &str, session: &str) -> anyhow::Result<Reply> {
        let request = self
            .http
            .delete(format!("http://{}/mcp", self.address))
            .header("mcp-protocol-version", LEGACY)
            .header("mcp-session-id", session)
            .bearer_auth(token);
        reply(request.send().await?).await
    }

    /// Opens a session of 2025-11-25 and returns its id.
    pub async fn open_session(&self, token: &str) -> anyhow::Result<String> {
        let bearer = format!("Bearer {token}");
        let hello = Message::new(
            "initialize",
            json!({"protocolVersion": LEGACY, "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"}}),
        );
        let opened = self
            .post("/mcp", &[("authorization", &bearer)], &hello.legacy().to_string())
            .await?;
        ensure!(opened.status == 200, "{opened:?}");
        let session = opened.header("mcp-session-id").to_owned();
        ensure!(!session.is_empty(), "no session: {opened:?}");
        let done = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
        let headers = [
            ("mcp-protocol-version", LEGACY),
            ("authorization", &bearer),
            ("mcp-session-id", &session),
        ];
        let notified = self.post("/mcp", &headers, &done).await?;
        ensure!(notified.status == 202, "{notified:?}");
        Ok(session)
    }
}

async fn reply(response: reqwest::Response) -> anyhow::Result<Reply> {
    Ok(Reply {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: response.text().await?,
    })
}

/// Stream of messages in `text/event-stream` format.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    unread: Vec<u8>,
    lines: VecDeque<String>,
}

impl Events {
    /// # Errors
    /// A status other than 200, or a response that is not a stream.
    pub fn of(response: reqwest::Response) -> anyhow::Result<Self> {
        let kind = response.headers().get("content-type");
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        ensure!(
            response.status() == reqwest::StatusCode::OK && is_stream,
            "{response:?}"
        );
        Ok(Self {
            response,
            unread: Vec::new(),
            lines: VecDeque::new(),
        })
    }

    /// Returns the next message; skips keep-alive comments and empty events.
    ///
    /// # Errors
    /// A stream that ends, or no message during `within`.
    pub async fn next(&mut self, within: Duration) -> anyhow::Result<Json> {
        let next = async {
            loop {
                while let Some(line) = self.lines.pop_front() {
                    let data = line.strip_prefix("data:").map(str::trim).unwrap_or_default();
                    if !data.is_empty() {
                        return Ok(serde_json::from_str(data)?);
                    }
                }
                let chunk = self.response.chunk().await?.context("the stream ended")?;
                self.unread.extend_from_slice(&chunk);
                while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = self.unread.drain(..=end).collect();
                    self.lines.push_back(String::from_utf8(line)?);
                }
            }
        };
        tokio::time::timeout(within, next)
            .await
            .context("no message in time")?
    }

    /// Returns the URI of the next resource that is reported as updated.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn updated(&mut self, within: Duration) -> anyhow::Result<String> {
        loop {
            let message = self.next(within).await?;
            if message["method"] == json!("notifications/resources/updated") {
                let uri = message.pointer("/params/uri").and_then(Json::as_str);
                return Ok(uri.context("an address")?.to_owned());
            }
        }
    }
}
