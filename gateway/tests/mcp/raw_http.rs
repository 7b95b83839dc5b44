//! Gateway on HTTP with requests written byte by byte, so that tests can send malformed requests.

use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::world::{GatewayFixture, PATIENCE};

pub(crate) const TOKEN: &str = "a-token-of-the-test";

pub(crate) struct Served {
    pub(crate) child: Child,
    /// `127.0.0.1:<port>`.
    pub(crate) address: String,
    pub(crate) run_file: std::path::PathBuf,
    /// Lines that the gateway logs while it serves.
    log: Mutex<UnboundedReceiver<String>>,
}

/// Response of the gateway.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Served {
    /// Starts with a token, on a free port.
    pub(crate) async fn start(world: &GatewayFixture) -> Self {
        Self::start_over(world, "streamable-http").await
    }

    pub(crate) async fn start_over(world: &GatewayFixture, transport: &str) -> Self {
        let mut command = world.gateway(&[]);
        command.env("SYNAPSOR_RUNNER_HTTP_TOKEN", TOKEN);
        Self::spawn_over(world, command, transport).await
    }

    /// Adds the transport, a free port and a run file; returns once the gateway listens.
    pub(crate) async fn spawn(world: &GatewayFixture, command: Command) -> Self {
        Self::spawn_over(world, command, "streamable-http").await
    }

    pub(crate) async fn spawn_over(world: &GatewayFixture, mut command: Command, transport: &str) -> Self {
        let run_file = world.dir.path().join("gateway.run.json");
        command
            .args(["--transport", transport, "--listen", "127.0.0.1:0", "--run-file"])
            .arg(&run_file);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("listening") {
                    return;
                }
            }
            panic!("the gateway ended before it listened");
        };
        tokio::time::timeout(PATIENCE, listening).await.unwrap();
        let (logged, log) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // A test that ends drops the receiver, and the gateway still needs a reader of its pipe.
                let _ = logged.send(line);
            }
        });
        let run: Json = serde_json::from_slice(&std::fs::read(&run_file).unwrap()).unwrap();
        let address = run["address"].as_str().unwrap().to_owned();
        let url = run["url"].as_str().unwrap();
        assert!(url.ends_with(&format!("//{address}/mcp")), "{url}");
        assert_eq!(run["transport"], transport);
        assert_eq!(run["pid"], json!(child.id().unwrap()));
        Self {
            child,
            address,
            run_file,
            log: Mutex::new(log),
        }
    }

    /// Waits for the next log line with this text.
    pub(crate) async fn next_logged(&self, text: &str) -> String {
        let mut log = self.log.lock().await;
        let found = async {
            loop {
                let line = log.recv().await.expect("the gateway logs until it ends");
                if line.contains(text) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap()
    }

    /// Sends the head, a blank line and the body on a new connection.
    pub(crate) async fn send(&self, head: &str, body: &[u8]) -> Reply {
        let mut stream = self.open(head).await;
        // A server that rejects early may close the connection before the request is fully written.
        let _ = stream.write_all(body).await;
        let mut bytes = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes))
            .await
            .unwrap()
            .unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no reply: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    /// Sends a head only.
    pub(crate) async fn open(&self, head: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = head.trim().replace('\n', "\r\n");
        stream
            .write_all(format!("{head}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream
    }

    /// Returns the head of a valid POST with `extra` lines.
    pub(crate) fn head(&self, length: usize, extra: &str) -> String {
        format!(
            "POST /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n\
             Accept: application/json, text/event-stream\nMCP-Protocol-Version: 2025-11-25\n\
             Content-Length: {length}\nConnection: close\n{extra}",
            self.address
        )
    }

    pub(crate) async fn post(&self, body: &str, extra: &str) -> Reply {
        self.send(&self.head(body.len(), extra), body.as_bytes()).await
    }

    /// Sends a valid POST with other lines for `Host`, `Authorization` and the rest.
    pub(crate) async fn post_with_lines(&self, target: &str, lines: &str) -> Reply {
        let body = ping();
        let head = format!(
            "POST {target} HTTP/1.1\n{lines}\nContent-Type: application/json\n\
             Accept: application/json, text/event-stream\nContent-Length: {}\nConnection: close",
            body.len()
        );
        self.send(&head, body.as_bytes()).await
    }
}

impl Served {
    /// Sends a request without a body to a path that needs no token.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        let head = format!("GET {path} HTTP/1.1\nHost: {}\nConnection: close", self.address);
        self.send(&head, b"").await
    }

    /// Posts `body` with the token and these lines, and no other lines relevant to MCP.
    pub(crate) async fn post_as(&self, token: &str, lines: &str, body: &str) -> Reply {
        let head = format!(
            "POST /mcp HTTP/1.1\nHost: {}\nAuthorization: Bearer {token}\nContent-Type: application/json\n\
             Accept: application/json, text/event-stream\nContent-Length: {}\nConnection: close\n{lines}",
            self.address,
            body.len()
        );
        self.send(&head, body.as_bytes()).await
    }

    /// Returns the resident memory of the gateway, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value)
            .next()
    }

    /// Returns the status and error of a response that is not an MCP message.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (
            self.status,
            self.json()["error"].as_str().unwrap_or_default().to_owned(),
        )
    }
}

/// Returns the handshake message of revisions that have one.
pub(crate) fn initialize() -> String {
    initialize_in("2025-11-25")
}

pub(crate) fn initialize_in(revision: &str) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"},
    }})
    .to_string()
}

pub(crate) fn ping() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string()
}

pub(crate) fn call(name: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}}}}}"#
    )
}
