//! Gateway on stdio, driven line by line, so that tests see every byte of stdout.

use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::world::PATIENCE;

pub(crate) struct Raw {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// All lines of stdout so far.
    pub(crate) lines: Vec<String>,
}

impl Raw {
    /// Spawns the process and sends nothing.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            input: child.stdin.take(),
            child,
            output,
            lines: Vec::new(),
        }
    }

    /// Completes the handshake of 2025-11-25.
    pub(crate) async fn open(command: Command) -> Self {
        let mut raw = Self::spawn(command);
        let hello = raw
            .ask(
                &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                    "protocolVersion": "2025-11-25", "capabilities": {},
                    "clientInfo": {"name": "test", "version": "1"},
                }}),
            )
            .await;
        assert_eq!(hello["result"]["protocolVersion"], "2025-11-25", "{hello}");
        raw.send_line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await;
        raw
    }

    pub(crate) async fn send_line(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).await.unwrap();
        input.write_all(b"\n").await.unwrap();
    }

    pub(crate) async fn recv(&mut self) -> Json {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.output.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        let message = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        self.lines.push(line);
        message
    }

    pub(crate) async fn ask(&mut self, message: &Json) -> Json {
        self.send_line(&message.to_string()).await;
        self.recv().await
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Calls a tool with the exact text of the arguments.
    pub(crate) async fn call(&mut self, name: &str, arguments: &str) -> Json {
        self.send_line(&format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}}}}}"#
        ))
        .await;
        self.recv().await
    }

    /// Closes stdin; returns the exit code, the rest of stdout, and stderr.
    pub(crate) async fn end(mut self) -> (i32, String, String) {
        self.input = None;
        let (mut rest, mut errors) = (String::new(), String::new());
        let mut stderr = self.child.stderr.take().unwrap();
        let ending = async {
            self.output.read_to_string(&mut rest).await.unwrap();
            stderr.read_to_string(&mut errors).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = tokio::time::timeout(PATIENCE, ending).await.unwrap();
        (status.code().unwrap(), rest, errors)
    }
}
