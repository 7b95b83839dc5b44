//! Minimal persistent HTTP/1.1 connection to an MCP server, so that the measurement covers the server and not its
//! client.

use std::fmt::Write as _;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";
const LINE_END: &[u8] = b"\r\n";
const REVISION: &str = "2025-06-18";

/// Connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Http {
    address: String,
    stream: TcpStream,
    head: String,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

/// Endpoint of an MCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McpEndpoint {
    /// Host and port.
    pub(super) address: String,
    pub(super) path: String,
    pub(super) token: Option<String>,
}

impl McpEndpoint {
    /// Reads a URL of the form `http://host:port/path`.
    ///
    /// # Errors
    /// For any other form.
    pub fn of_url(url: &str) -> anyhow::Result<Self> {
        let rest = url
            .strip_prefix("http://")
            .context("a URL that begins with http://")?;
        let (address, path) = rest.split_once('/').context("a URL with a path")?;
        ensure!(address.contains(':'), "a URL with a port");
        Ok(Self {
            address: address.to_owned(),
            path: format!("/{path}"),
            token: None,
        })
    }
}

impl Http {
    pub(super) async fn connect(endpoint: &McpEndpoint) -> anyhow::Result<Self> {
        let McpEndpoint { address, path, token } = endpoint;
        let mut head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: {REVISION}\r\n"
        );
        if let Some(token) = token {
            write!(head, "authorization: Bearer {token}\r\n")?;
        }
        Ok(Self {
            stream: dial(address).await?,
            address: address.clone(),
            head,
            out: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Opens a session, for servers that answer no call without one.
    pub(super) async fn open_session(&mut self) -> anyhow::Result<()> {
        let opening = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
        }});
        self.send(&opening.to_string()).await?;
        let head = self.response().await?.head;
        if let Some(session) = field(&head, "mcp-session-id") {
            write!(self.head, "mcp-session-id: {session}\r\n")?;
        }
        let opened = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.send(&opened.to_string()).await?;
        self.response().await?;
        Ok(())
    }

    /// Posts one message and returns the response body.
    pub(super) async fn post(&mut self, body: &str) -> anyhow::Result<&[u8]> {
        self.send(body).await?;
        let HttpResponse { head, start, end } = self.response().await?;
        let body = &self.buffer[start..end];
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status == "200", "{status}: {}", String::from_utf8_lossy(body));
        Ok(body)
    }

    async fn send(&mut self, body: &str) -> anyhow::Result<()> {
        self.out.clear();
        self.out.extend_from_slice(self.head.as_bytes());
        self.out
            .extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        self.out.extend_from_slice(body.as_bytes());
        self.buffer.clear();
        // A server closes a connection that was idle for long; it has not read the request then.
        let sent = self.stream.write_all(&self.out).await;
        if sent.is_err() || self.more().await.is_err() {
            self.stream = dial(&self.address).await?;
            self.stream.write_all(&self.out).await?;
        }
        Ok(())
    }

    /// Reads the response to the end of its body.
    async fn response(&mut self) -> anyhow::Result<HttpResponse> {
        let start = self.end_of(HEAD_END, 0).await?;
        let head = std::str::from_utf8(&self.buffer[..start])?.to_owned();
        let end = match field(&head, "content-length") {
            Some(length) => start + length.parse::<usize>()?,
            None if field(&head, "transfer-encoding").is_some() => self.end_of_chunks(start).await?,
            None => start,
        };
        while self.buffer.len() < end {
            self.more().await?;
        }
        Ok(HttpResponse { head, start, end })
    }

    /// Returns the end of the first `wanted` from `from` on.
    async fn end_of(&mut self, wanted: &[u8], from: usize) -> anyhow::Result<usize> {
        loop {
            let found = self.buffer.get(from..).and_then(|rest| find(rest, wanted));
            match found {
                Some(at) => return Ok(from + at + wanted.len()),
                None => self.more().await?,
            }
        }
    }

    async fn end_of_chunks(&mut self, start: usize) -> anyhow::Result<usize> {
        let mut at = start;
        loop {
            let data = self.end_of(LINE_END, at).await?;
            let size = std::str::from_utf8(&self.buffer[at..data])?.trim();
            let size = usize::from_str_radix(size, 16)?;
            at = data + size + LINE_END.len();
            if size == 0 {
                return Ok(at);
            }
        }
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "the answer does not end");
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// A response in the buffer.
struct HttpResponse {
    head: String,
    /// Range of the body.
    start: usize,
    end: usize,
}

async fn dial(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
    Some(value.trim())
}

/// Finds the offset of `wanted` in `bytes`.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}
