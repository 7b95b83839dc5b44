//! MCP agent: a real MCP client of a gateway, over stdio or HTTP.

use anyhow::{Context as _, bail};
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::service::{RoleClient, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransport, StreamableHttpClientTransportConfig,
};
use serde_json::Value as Json;

use crate::process::Process;
use crate::stack::{Stack, gateway_flags};

/// Tool that proposes late-fee waivers.
pub const PROPOSE: &str = "billing.propose_late_fee_waiver";

/// A connected MCP client.
#[derive(Debug)]
pub struct Agent {
    service: RunningService<RoleClient, ()>,
}

impl Agent {
    /// Starts the gateway as a desktop client does and connects over its pipes.
    pub async fn over_stdio(stack: &Stack) -> anyhow::Result<Self> {
        let mut command = tokio::process::Command::new(stack.deployment.build.binary("synapsor-gateway")?);
        command
            .args(gateway_flags(stack)?)
            .env_clear()
            .stderr(std::process::Stdio::inherit());
        let service = ().serve(TokioChildProcess::new(command)?).await?;
        Ok(Self { service })
    }

    /// Starts a command as a desktop client does and connects over its pipes.
    pub async fn launched(mut command: tokio::process::Command) -> anyhow::Result<Self> {
        command.stderr(std::process::Stdio::inherit());
        let service = ().serve(TokioChildProcess::new(command)?).await?;
        Ok(Self { service })
    }

    /// Connects to a gateway that serves HTTP.
    pub async fn over_http(gateway: &Process, token: &str) -> anyhow::Result<Self> {
        Self::at(&gateway.address, token).await
    }

    /// Connects to an MCP server over HTTP at an address.
    pub async fn at(address: &str, token: &str) -> anyhow::Result<Self> {
        Self::at_url(&format!("http://{address}/mcp"), token).await
    }

    /// Connects to a URL with a bearer token.
    pub async fn at_url(url: &str, token: &str) -> anyhow::Result<Self> {
        let config = StreamableHttpClientTransportConfig::with_uri(url.to_owned()).auth_header(token);
        let service = ().serve(StreamableHttpClientTransport::with_client(http_client(), config)).await?;
        Ok(Self { service })
    }

    /// Lists the names of the tools that the model sees.
    pub async fn tools(&self) -> anyhow::Result<Vec<String>> {
        let tools = self.service.list_all_tools().await?;
        Ok(tools.into_iter().map(|t| t.name.into_owned()).collect())
    }

    /// Returns the full tool list that the model sees.
    pub async fn tool_list(&self) -> anyhow::Result<Json> {
        Ok(serde_json::to_value(self.service.list_all_tools().await?)?)
    }

    /// Calls a tool and returns the result envelope.
    pub async fn call(&self, tool: &str, arguments: Json) -> anyhow::Result<Json> {
        Ok(self.call_with_text(tool, arguments).await?.0)
    }

    /// Calls a tool and returns the result envelope, and the text that a model reads.
    pub async fn call_with_text(&self, tool: &str, arguments: Json) -> anyhow::Result<(Json, String)> {
        let Json::Object(arguments) = arguments else {
            bail!("arguments are an object")
        };
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = self.service.call_tool(request).await?;
        let text = result.content.first().and_then(|content| content.as_text());
        let text = text.context("a text")?.text.clone();
        Ok((result.structured_content.context("a structured result")?, text))
    }

    pub async fn inspect(&self, invoice: &str) -> anyhow::Result<Json> {
        self.call(
            "billing.inspect_invoice",
            serde_json::json!({ "invoice_id": invoice }),
        )
        .await
    }

    /// Proposes a waiver and returns the proposal id.
    pub async fn propose(&self, invoice: &str, reason: &str) -> anyhow::Result<String> {
        self.propose_by(PROPOSE, invoice, reason).await
    }

    /// Proposes through another tool with the same arguments.
    pub async fn propose_by(&self, tool: &str, invoice: &str, reason: &str) -> anyhow::Result<String> {
        let arguments = serde_json::json!({ "invoice_id": invoice, "reason": reason });
        let envelope = self.call(tool, arguments).await?;
        let id = envelope.pointer("/proposal/id").and_then(Json::as_str);
        id.map(ToOwned::to_owned)
            .with_context(|| format!("no proposal: {envelope}"))
    }

    pub async fn close(self) {
        let _ = self.service.cancel().await;
    }
}

/// HTTP client with the TLS library of the product.
pub fn http_client() -> reqwest::Client {
    synapsor_chassis::harden::choose_tls_provider();
    reqwest::Client::new()
}
