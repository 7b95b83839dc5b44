//! MCP client of a gateway that this process starts. It has the same rights as any other client.

use std::path::PathBuf;
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, Tool};
use rmcp::service::{RoleClient, RunningService};
use serde_json::{Map, Value as Json};
use synapsor_chassis::identity::Role;
use synapsor_chassis::refusal_cause::RefusalCause;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::TlsFiles;
use synapsor_codes::ErrorCode;
use synapsor_domain::result_envelope::EnvelopeState;

use crate::supervisor::{Child, ExecutorLaunch, StdioGateway, Supervisor, ToolListOptions, Upstream};
use crate::{Context, contract_file, state, supervisor};

/// Call timeout. Reader, database and ledger each have a timeout of their own.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// An MCP client and the gateway that it launched.
#[derive(Debug)]
pub(crate) struct McpClient {
    client: RunningService<RoleClient, ()>,
    gateway: StdioGateway,
    reader: Option<Child>,
    /// Store that holds this agent's proposals, if it is on this machine.
    store: Option<PathBuf>,
}

/// Result of a tool call as the agent receives it.
#[derive(Debug, Clone)]
pub(crate) struct ToolCallResult {
    pub(crate) envelope: Json,
    pub(crate) is_error: bool,
    /// Cause of an error, if a process of this command recorded it. No part of the result.
    pub(crate) cause: Option<RefusalCause>,
}

impl McpClient {
    /// Starts the reader and gateway of an own instance, and the ledger if none runs. With `--reader` it starts
    /// only the gateway, with the certificate of the command line.
    pub(crate) async fn start(context: &Context) -> Result<Self, ExitError> {
        if let Some(address) = &context.global.remote.reader {
            let gateway = supervisor::remote_gateway(context, address, gateway_certificate(context)?)?;
            return Self::connect(gateway, None).await;
        }
        if context.global.remote.ledger.is_some() {
            let text = "--ledger without --reader: the call would go to the ledger of this machine";
            return Err(ExitError::new(ErrorCode::ReaderRequired, text).with_fix(
                "pass --reader ADDR or set SYNAPSOR_READER; or leave out --ledger and SYNAPSOR_LEDGER",
            ));
        }
        let contract = contract_file::load_runnable(&context.global)?;
        supervisor::check_reader(context, &contract)?;
        let state = state::find_or_create(context)?;
        let supervisor = Supervisor::new(context, &state, &contract)?;
        let ledger = supervisor.ledger().await?;
        let reader = supervisor
            .executor(ExecutorLaunch::reader(&ledger, false))
            .await?;
        let gateway = supervisor.stdio_gateway(
            Upstream::new(&reader, &ledger)?,
            ToolListOptions::default(),
            false,
        )?;
        let mut agent = Self::connect(gateway, Some(reader)).await?;
        agent.store = Some(state.store().to_owned());
        Ok(agent)
    }

    /// Connects an MCP client to a gateway that was started on pipes. The agent owns `reader` and ends it.
    pub(crate) async fn connect(mut gateway: StdioGateway, reader: Option<Child>) -> Result<Self, ExitError> {
        let pipes = (gateway.handle.stdout.take(), gateway.handle.stdin.take());
        let (Some(output), Some(input)) = pipes else {
            return Err(ExitError::new(
                ErrorCode::McpClientFailed,
                "the gateway has no pipes",
            ));
        };
        match tokio::time::timeout(CALL_TIMEOUT, ().serve((output, input))).await {
            Ok(Ok(client)) => Ok(Self {
                client,
                gateway,
                reader,
                store: None,
            }),
            // A gateway that fails the handshake has logged the reason on stderr.
            Ok(Err(_)) | Err(_) => Err(end(&mut gateway).await),
        }
    }

    pub(crate) fn gateway(&self) -> &StdioGateway {
        &self.gateway
    }

    pub(crate) fn store(&self) -> Option<&PathBuf> {
        self.store.as_ref()
    }

    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, ExitError> {
        let listed = tokio::time::timeout(CALL_TIMEOUT, self.client.list_all_tools()).await;
        listed.map_err(|_| timed_out())?.map_err(|error| broken(&error))
    }

    /// Calls a tool. A rejected call is a result, not an error.
    ///
    /// # Errors
    /// On protocol errors and when no response arrives.
    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: Map<String, Json>,
    ) -> Result<ToolCallResult, ExitError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = tokio::time::timeout(CALL_TIMEOUT, self.client.call_tool(request)).await;
        let result = result.map_err(|_| timed_out())?.map_err(|error| broken(&error))?;
        let envelope = result.structured_content.unwrap_or_default();
        let is_error = result.is_error.unwrap_or(false) || envelope.get("ok") == Some(&Json::Bool(false));
        let mut result = ToolCallResult {
            envelope,
            is_error,
            cause: None,
        };
        if is_error {
            result.cause = self.cause(result.correlation_id());
        }
        Ok(result)
    }

    /// Looks for the cause of a rejected call at the own reader and gateway.
    fn cause(&self, correlation_id: Option<&str>) -> Option<RefusalCause> {
        let at_reader = self
            .reader
            .as_ref()
            .and_then(|reader| reader.cause(correlation_id));
        at_reader.or_else(|| self.gateway.cause(correlation_id))
    }

    /// Closes the MCP connection and ends the processes of this agent.
    pub(crate) async fn close(mut self) {
        // The gateway exits when its stdin closes.
        let _ = self.client.close_with_timeout(END_TIMEOUT).await;
        drop(self.client);
        if tokio::time::timeout(END_TIMEOUT, self.gateway.handle.wait())
            .await
            .is_err()
        {
            let _ = self.gateway.handle.kill().await;
        }
        if let Some(reader) = self.reader {
            reader.stop().await;
        }
    }
}

impl ToolCallResult {
    /// Proposal id, in either format.
    pub(crate) fn proposal_id(&self) -> Option<&str> {
        self.text(&["proposal", "id"])
            .or_else(|| self.text(&["proposal_id"]))
    }

    /// Whether the call made a proposal that is for comparison only.
    pub(crate) fn is_shadow(&self) -> bool {
        let state = self
            .text(&["proposal", "state"])
            .or_else(|| self.text(&["status"]));
        state == Some(EnvelopeState::ShadowProposalCreated.as_str())
    }

    /// Id under which reader, ledger and log know the call; only in format 2.
    pub(crate) fn correlation_id(&self) -> Option<&str> {
        self.text(&["_meta", "correlation_id"])
    }

    pub(crate) fn evidence_id(&self) -> Option<&str> {
        self.text(&["evidence", "bundle_id"])
            .or_else(|| self.text(&["evidence_bundle_id"]))
    }

    /// Maps each column to its value before and its proposed value.
    pub(crate) fn diff(&self) -> Option<&Map<String, Json>> {
        let diff = self
            .envelope
            .pointer("/proposal/diff")
            .or_else(|| self.envelope.get("diff"));
        diff.and_then(Json::as_object)
    }

    pub(crate) fn data(&self) -> Option<&Map<String, Json>> {
        self.envelope.get("data").and_then(Json::as_object)
    }

    /// Length of the whole value in characters, for a column of which the result has only the beginning.
    pub(crate) fn whole_chars(&self, column: &str) -> Option<u64> {
        self.envelope.get("truncated")?.get(column)?.as_u64()
    }

    /// Code and message of an error result, in either format.
    pub(crate) fn refusal(&self) -> Option<(ErrorCode, String)> {
        let error = self.envelope.get("error")?;
        let code = error
            .get("code")
            .or_else(|| self.envelope.get("code"))
            .and_then(Json::as_str)?;
        let message = error
            .get("message")
            .and_then(Json::as_str)
            .or_else(|| error.as_str())?;
        Some((ErrorCode::from_text(code)?, message.to_owned()))
    }

    fn text(&self, path: &[&str]) -> Option<&str> {
        let mut value = &self.envelope;
        for key in path {
            value = value.get(*key)?;
        }
        value.as_str()
    }
}

/// Formats a value of an envelope for a terminal; values that are not strings are ASCII only.
pub(crate) fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => value.to_string(),
    }
}

async fn end(gateway: &mut StdioGateway) -> ExitError {
    if tokio::time::timeout(END_TIMEOUT, gateway.handle.wait())
        .await
        .is_err()
    {
        let _ = gateway.handle.kill().await;
    }
    gateway.last_failure().await
}

fn gateway_certificate(context: &Context) -> Result<TlsFiles, ExitError> {
    let remote = &context.global.remote;
    let wrong = |text: String| {
        ExitError::new(ErrorCode::TlsCertificateWrongRole, text).with_fix(
            "pass --ca, --cert and --key of a gateway that the reader allows: `synapsor-runner certs issue gateway NAME`",
        )
    };
    let (Some(ca), Some(cert), Some(key)) = (&remote.ca, &remote.cert, &remote.key) else {
        return Err(wrong(
            "a running reader accepts only a gateway certificate".to_owned(),
        ));
    };
    let files = TlsFiles {
        ca: ca.clone(),
        cert: cert.clone(),
        key: key.clone(),
    };
    match files.load()?.identity() {
        identity if identity.role() == Role::Gateway => Ok(files),
        identity => Err(wrong(format!("the certificate names {identity}"))),
    }
}

fn timed_out() -> ExitError {
    ExitError::new(
        ErrorCode::McpCallTimeout,
        format!("gateway did not respond within {} s", CALL_TIMEOUT.as_secs()),
    )
}

fn broken(error: &rmcp::ServiceError) -> ExitError {
    ExitError::new(
        ErrorCode::McpCallFailed,
        format!("gateway rejected the call: {error}"),
    )
}
