//! Minimal persistent HTTP/1.1 connection to a gateway, so that the measurement covers the product and not its
//! client.

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Http {
    address: String,
    stream: TcpStream,
    head: String,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Http {
    pub(super) async fn connect(address: &str, token: &str) -> anyhow::Result<Self> {
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
             mcp-protocol-version: 2025-06-18\r\ncontent-length: "
        );
        Ok(Self {
            stream: dial(address).await?,
            address: address.to_owned(),
            head,
            out: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Posts one message and returns the response body.
    pub(super) async fn post(&mut self, body: &str) -> anyhow::Result<&[u8]> {
        self.out.clear();
        self.out.extend_from_slice(self.head.as_bytes());
        self.out
            .extend_from_slice(format!("{}\r\n\r\n", body.len()).as_bytes());
        self.out.extend_from_slice(body.as_bytes());
        self.buffer.clear();
        // The gateway closes a connection that was idle for long; it has not read the request then.
        let sent = self.stream.write_all(&self.out).await;
        if sent.is_err() || self.more().await.is_err() {
            self.stream = dial(&self.address).await?;
            self.stream.write_all(&self.out).await?;
        }
        let start = loop {
            if let Some(at) = find(&self.buffer, HEAD_END) {
                break at + HEAD_END.len();
            }
            self.more().await?;
        };
        let head = std::str::from_utf8(&self.buffer[..start])?;
        let status = head.split(' ').nth(1).context("a status")?.to_owned();
        let end = start + length_of(head)?;
        while self.buffer.len() < end {
            self.more().await?;
        }
        let answer = &self.buffer[start..end];
        ensure!(status == "200", "{status}: {}", String::from_utf8_lossy(answer));
        Ok(answer)
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        ensure!(self.buffer.len() < ANSWER_BYTES_MAX, "the answer does not end");
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the gateway closed the connection");
        }
        Ok(())
    }
}

async fn dial(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn length_of(head: &str) -> anyhow::Result<usize> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut named = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = named.next().context("an answer with a stated length")?;
    Ok(length.trim().parse()?)
}

/// Finds the offset of `wanted` in `bytes`.
pub(super) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|w| w == wanted)
}
