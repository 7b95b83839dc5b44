//! MCP over stdin and stdout: one JSON message per line, bounded and checked before parsing. Stdout carries
//! nothing else, and a single task writes whole lines to it.

use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{GetExtensions as _, JsonRpcMessage};
use rmcp::service::{QuitReason, RoleServer, RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage};
use rmcp::transport::Transport;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::MCP_BODY_BYTES_MAX;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::message_validation::{self, BadMessage};
use crate::server::Gateway;

const OUT_LINES_QUEUED_MAX: usize = 64;
const LAST_LINES_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until stdin ends or `stop` is canceled.
pub(crate) async fn serve(gateway: Gateway, stop: CancellationToken) -> Result<(), ExitError> {
    let lines = Lines::new(BufReader::new(tokio::io::stdin()), tokio::io::stdout());
    let running = match gateway.serve_with_ct(lines, stop).await {
        Ok(running) => running,
        // A client may disconnect before the handshake.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        // The error text would repeat the client's message.
        Err(_) => {
            return Err(ExitError::new(
                ErrorCode::McpHandshakeFailed,
                "the client did not send an MCP handshake",
            )
            .with_fix("connect an MCP client of revision 2025-06-18 or later"));
        }
    };
    match running.waiting().await {
        Ok(QuitReason::Closed | QuitReason::Cancelled) => Ok(()),
        Ok(_) | Err(_) => Err(ExitError::new(
            ErrorCode::McpServerFailed,
            "the MCP server ended unexpectedly",
        )),
    }
}

/// MCP transport over one pair of streams.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// The line is too long, and the rest of it is being skipped.
    is_skipping: bool,
    /// Error line that waits for a slot in the queue. It is a field because `receive` may be dropped at any await
    /// and called again.
    refused: Option<Vec<u8>>,
    output: Option<mpsc::Sender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
}

impl<R: AsyncBufRead + Send + Unpin> Lines<R> {
    fn new(input: R, output: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, queue) = mpsc::channel(OUT_LINES_QUEUED_MAX);
        let writer = Some(tokio::spawn(write_lines(queue, output)));
        Self {
            input,
            line: Vec::new(),
            is_skipping: false,
            refused: None,
            output: Some(sender),
            writer,
        }
    }

    /// Reads input until the line is complete; returns false at the end of the input. Dropping the future loses
    /// nothing.
    async fn fill_line(&mut self) -> bool {
        loop {
            let available = match self.input.fill_buf().await {
                Ok([]) | Err(_) => return false,
                Ok(available) => available,
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(available.len());
            self.is_skipping |= self.line.len() + taken > MCP_BODY_BYTES_MAX;
            if self.is_skipping {
                self.line.clear();
            } else {
                self.line.extend_from_slice(&available[..taken]);
            }
            self.input.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                return true;
            }
        }
    }

    /// Returns the message of the complete line. `None` for an empty or rejected line; a rejection queues an
    /// error.
    fn take_message(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_skipping) {
            self.refused = Some(message_validation::error_line(b"", BadMessage::TooLong));
            return None;
        }
        if line.trim_ascii().is_empty() {
            return None;
        }
        match parse(&line) {
            Ok(message) => Some(message),
            Err(bad) => {
                self.refused = Some(message_validation::error_line(&line, bad));
                None
            }
        }
    }

    async fn send_refused(&mut self) -> Option<()> {
        if self.refused.is_some() {
            let slot = self.output.as_ref()?.reserve().await.ok()?;
            if let Some(line) = self.refused.take() {
                slot.send(line);
            }
        }
        Some(())
    }
}

fn parse(line: &[u8]) -> Result<RxJsonRpcMessage<RoleServer>, BadMessage> {
    let arguments = message_validation::check(line)?.arguments;
    let mut message = serde_json::from_slice(line).map_err(|_| message_validation::not_of_mcp(line))?;
    if let JsonRpcMessage::Request(request) = &mut message {
        let request: &mut rmcp::model::JsonRpcRequest<rmcp::model::ClientRequest> = request;
        request.request.extensions_mut().insert(arguments);
    }
    Ok(message)
}

/// Ends when all senders are dropped or stdout is closed.
async fn write_lines(mut queue: mpsc::Receiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin) {
    while let Some(mut line) = queue.recv().await {
        line.push(b'\n');
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

fn closed() -> std::io::Error {
    std::io::ErrorKind::BrokenPipe.into()
}

impl<R: AsyncBufRead + Send + Unpin> Transport<RoleServer> for Lines<R> {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let output = self.output.clone();
        async move {
            let line = serde_json::to_vec(&item)?;
            output.ok_or_else(closed)?.send(line).await.map_err(|_| closed())
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            self.send_refused().await?;
            if !self.fill_line().await {
                return None;
            }
            if let Some(message) = self.take_message() {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.output = None;
        let Some(writer) = self.writer.take() else {
            return Ok(());
        };
        let stop = writer.abort_handle();
        // A client that stopped reading must not keep the process alive.
        let written = tokio::time::timeout(LAST_LINES_TIMEOUT, writer).await;
        stop.abort();
        written.map_err(|_| closed())?.map_err(|_| closed())
    }
}
