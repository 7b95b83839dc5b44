//! Calls of the loaded interfaces: MCP over HTTP, gRPC at the reader, the HTTP stack alone, and another MCP server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, bail};
use serde_json::Value as Json;
use synapsor_chassis::identity::Role;
use synapsor_proto::executor::v1::CapabilityCall;
use tonic::metadata::MetadataMap;

use super::http::{Http, McpEndpoint, find};
use super::scene::{Scene, row_id};
use crate::capability_calls::CapabilityCalls;
use crate::stack::INSTANCE;

/// Kind of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Reads one row, a different one each time.
    Read,
    /// Proposes a change of a row without an open proposal.
    Propose,
}

impl Ask {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Propose => "propose",
        }
    }

    const fn tool(self) -> &'static str {
        match self {
            Self::Read => "billing.inspect_invoice",
            Self::Propose => "billing.propose_late_fee_waiver",
        }
    }

    fn arguments(self, row: u64) -> String {
        let id = row_id(row);
        match self {
            Self::Read => format!(r#"{{"invoice_id":"{id}"}}"#),
            Self::Propose => format!(r#"{{"invoice_id":"{id}","reason":"waived by agreement {row}"}}"#),
        }
    }
}

/// Interface that the client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// MCP over streamable HTTP, through the gateway.
    Mcp,
    /// gRPC at the reader, with the gateway's certificate.
    Grpc,
    /// MCP over the same HTTP stack, with a tool that only answers.
    Echo,
    /// MCP at a server that the caller of the harness named.
    Peer,
}

impl Interface {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mcp => "mcp",
            Self::Grpc => "grpc",
            Self::Echo => "echo",
            Self::Peer => "peer",
        }
    }
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    way: Way,
    ask: Ask,
    rows: Rows,
}

#[derive(Debug)]
enum Way {
    Mcp(Http),
    /// The same message each time.
    Fixed(Http, String),
    Grpc(Box<CapabilityCalls>, String),
}

/// Row selection: each call takes the next row, across all clients.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    next: Arc<AtomicU64>,
    count: u64,
}

impl Rows {
    /// Selects rows from `first` on, cyclically.
    pub(super) fn new(first: u64, count: u64) -> Self {
        Self {
            next: Arc::new(AtomicU64::new(first)),
            count,
        }
    }

    /// Takes the next row.
    pub(super) fn take(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) % self.count
    }
}

/// Another MCP server that is measured in the same run.
#[derive(Debug, Clone)]
pub struct Peer {
    pub endpoint: McpEndpoint,
    pub tool: String,
    /// JSON object.
    pub arguments: String,
    /// Its process, to measure the processor time that it takes.
    pub pid: Option<u32>,
}

fn call_message(tool: &str, arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    )
}

impl Client {
    pub(super) async fn connect(
        scene: &Scene,
        interface: Interface,
        ask: Ask,
        rows: Rows,
    ) -> anyhow::Result<Self> {
        let way = match interface {
            Interface::Mcp => Way::Mcp(Http::connect(&scene.gateway_endpoint()).await?),
            Interface::Echo => {
                let endpoint = scene.echo_endpoint().context("the echo server is not started")?;
                let message = call_message("test_simple_text", "{}");
                Way::Fixed(Http::connect(&endpoint).await?, message)
            }
            Interface::Peer => {
                let peer = scene.peer.as_ref().context("no peer is named")?;
                let mut http = Http::connect(&peer.endpoint).await?;
                http.open_session().await?;
                Way::Fixed(http, call_message(&peer.tool, &peer.arguments))
            }
            Interface::Grpc => {
                let channel = scene.stack.reader_as(Role::Gateway, Some(INSTANCE))?;
                let token = scene.access_token().unwrap_or_default();
                let calls = CapabilityCalls::open(channel, MetadataMap::new()).await?;
                Way::Grpc(Box::new(calls), token)
            }
        };
        Ok(Self { way, ask, rows })
    }

    /// Makes one call that must succeed.
    pub(super) async fn call(&mut self) -> anyhow::Result<()> {
        self.envelope().await.map(|_| ())
    }

    /// Creates one proposal over MCP and returns its id.
    pub(super) async fn propose(&mut self) -> anyhow::Result<String> {
        let answer: Json = serde_json::from_slice(self.envelope().await?)?;
        let id = answer.pointer("/result/structuredContent/proposal/id");
        let id = id.and_then(Json::as_str).map(str::to_owned);
        id.with_context(|| format!("no proposal: {answer}"))
    }

    /// Result envelope, if the call succeeded.
    async fn envelope(&mut self) -> anyhow::Result<&[u8]> {
        let arguments = self.ask.arguments(self.rows.take());
        let tool = self.ask.tool();
        match &mut self.way {
            Way::Mcp(http) => {
                let answer = http.post(&call_message(tool, &arguments)).await?;
                find(answer, br#""isError":false"#)
                    .with_context(|| String::from_utf8_lossy(answer).into_owned())?;
                Ok(answer)
            }
            Way::Fixed(http, message) => {
                let answer = http.post(message).await?;
                let is_result =
                    find(answer, b"\"result\"").is_some() && find(answer, br#""isError":true"#).is_none();
                if !is_result {
                    bail!("{}", String::from_utf8_lossy(answer));
                }
                Ok(answer)
            }
            Way::Grpc(calls, token) => {
                let call = CapabilityCall {
                    capability: tool.to_owned(),
                    arguments_json: arguments.into_bytes(),
                    result_format: 2,
                    access_token: token.clone(),
                    ..CapabilityCall::default()
                };
                let answer = calls.call(call).await?;
                if answer.is_error {
                    bail!("{}", answer.code.unwrap_or_default());
                }
                Ok(&[])
            }
        }
    }
}
