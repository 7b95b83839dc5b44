//! MCP over HTTP written by hand, in both eras: every header and every byte as the test wants it, and every answer
//! as it came. What an agent sees through a real client is `crate::agent`.

use anyhow::{Context as _, ensure};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::{Value as Json, json};

use crate::agent::http_client;

/// The revisions that are spoken here: the last one with sessions, and the first one without.
pub const LEGACY: &str = "2025-11-25";
pub const SESSIONLESS: &str = "2026-07-28";

/// The way to one gateway. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Door {
    http: reqwest::Client,
    pub address: String,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    /// One header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    pub fn json(&self) -> anyhow::Result<Json> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?}"))
    }

    /// The result envelope of a call.
    pub fn envelope(&self) -> anyhow::Result<Json> {
        let json = self.json()?;
        let envelope = json.pointer("/result/structuredContent").cloned();
        envelope.with_context(|| format!("no envelope: {self:?}"))
    }

    /// Everything of it that a test may not find a secret in.
    pub fn text(&self) -> String {
        format!("{:?} {}", self.headers, self.body)
    }
}

/// A request of MCP.
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

    pub fn task(method: &str, id: &str) -> Self {
        Self::new(method, json!({ "taskId": id }))
    }

    /// What it is about, as `Mcp-Name` says it.
    fn name(&self) -> Option<&str> {
        ["name", "uri", "taskId"]
            .iter()
            .find_map(|key| self.params.get(key)?.as_str())
    }

    fn legacy(&self) -> Json {
        json!({"jsonrpc": "2.0", "id": self.id, "method": self.method, "params": self.params})
    }

    /// The message of 2026-07-28, with the metadata in which a client without a session says what it is.
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

impl Door {
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

    /// Posts a body with these headers beside those that every POST has.
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

    /// A request of 2026-07-28, with the token if one is shown.
    pub async fn ask(&self, token: &str, message: &Message) -> anyhow::Result<Reply> {
        reply(self.asked(token, message).await?).await
    }

    /// The same, for an answer that is a stream.
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

    /// A request of 2025-11-25 in a session; an empty id names none.
    pub async fn ask_in(&self, token: &str, session: &str, message: &Message) -> anyhow::Result<Reply> {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("mcp-protocol-version", LEGACY), ("authorization", &bearer)];
        if !session.is_empty() {
            headers.push(("mcp-session-id", session));
        }
        self.post("/mcp", &headers, &message.legacy().to_string()).await
    }

    /// The stream on which a session hears what it did not ask for.
    pub async fn hear(&self, token: &str, session: &str) -> anyhow::Result<reqwest::Response> {
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

    /// Opens a session of 2025-11-25; gives its id.
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
        let told = self.post("/mcp", &headers, &done).await?;
        ensure!(told.status == 202, "{told:?}");
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
