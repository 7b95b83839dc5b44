//! Stub reader: serves a catalog, answers calls by name and records every request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::json;
use synapsor_domain::tool::{Annotations, Catalog, Tool};
use synapsor_proto::executor::v1::agent_service_server::AgentService;
use synapsor_proto::executor::v1::capability_answer::Outcome;
use synapsor_proto::executor::v1::{
    CallCapabilitiesRequest, CallCapabilitiesResponse, CapabilityAnswer, CapabilityCall, CapabilityResult,
    GetCatalogRequest, GetCatalogResponse, GetJwksRequest, GetJwksResponse, IssueContextTicketRequest,
    IssueContextTicketResponse, TokenPolicy,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::KeyAndValueRef;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const READ: &str = "billing.inspect_invoice";
pub(crate) const PROPOSE: &str = "billing.propose_late_fee_waiver";
/// Tool whose calls wait until they are released.
pub(crate) const HOLD: &str = "test.hold";

/// Numbers that a double cannot represent.
pub(crate) const INTEGER: &str = "9007199254740993123";
pub(crate) const DECIMAL: &str = "1234567890123456789012345678901.234";

/// Key set of the issuer, with the public key of RFC 8037, A.2.
const ISSUER_KEYS: &str = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k1",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// One recorded call.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) capability: String,
    pub(crate) arguments: String,
    pub(crate) result_format: u32,
    /// `key: value` strings.
    pub(crate) metadata: Vec<String>,
}

type AnswerSender = mpsc::Sender<Result<CallCapabilitiesResponse, Status>>;

#[derive(Clone, Debug)]
pub(crate) struct FakeReader {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Number of waiting calls of [`HOLD`].
    pub(crate) held: Arc<watch::Sender<usize>>,
    /// Releases the waiting calls when true.
    pub(crate) release: Arc<watch::Sender<bool>>,
    pub(crate) result_format: u32,
    /// Answers of every stream that was opened.
    streams: Arc<Mutex<Vec<AnswerSender>>>,
    /// Whether tenant and principal come from access tokens.
    wants_tokens: bool,
}

impl FakeReader {
    pub(crate) fn new(result_format: u32) -> Self {
        Self {
            seen: Arc::default(),
            held: Arc::new(watch::Sender::new(0)),
            release: Arc::new(watch::Sender::new(false)),
            result_format,
            streams: Arc::default(),
            wants_tokens: false,
        }
    }

    /// Creates a reader whose contract takes tenant and principal from access tokens.
    pub(crate) fn for_tokens() -> Self {
        Self {
            wants_tokens: true,
            ..Self::new(2)
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("a call has arrived")
    }

    /// Number of streams of calls that were opened.
    pub(crate) fn stream_count(&self) -> usize {
        self.streams.lock().unwrap().len()
    }

    /// Sends a message on the newest stream.
    pub(crate) async fn send(&self, message: Result<CallCapabilitiesResponse, Status>) {
        let newest = self.streams.lock().unwrap().last().cloned();
        newest.expect("a stream is open").send(message).await.unwrap();
    }

    /// Waits until exactly `count` calls are held.
    pub(crate) async fn wait_for_held(&self, count: usize) {
        let mut held = self.held.subscribe();
        let waiting = held.wait_for(|held| *held == count);
        tokio::time::timeout(std::time::Duration::from_secs(10), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Counts a waiting call until its future is dropped.
struct Held(Arc<watch::Sender<usize>>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|held| *held -= 1);
    }
}

fn catalog() -> Catalog {
    let tool = |name: &str, is_read: bool| Tool {
        name: name.to_owned(),
        title: name.to_owned(),
        description: format!("Reviewed {name}."),
        input_schema: json!({"type": "object", "properties": {"id": {"type": "string"}}}),
        output_schema: json!({"type": "object"}),
        annotations: Annotations {
            read_only_hint: is_read,
            destructive_hint: false,
            idempotent_hint: true,
            open_world_hint: false,
        },
        meta: json!({"synapsor.approval_tool": false}),
    };
    Catalog {
        tools: vec![tool(READ, true), tool(PROPOSE, false)],
    }
}

fn authorization() -> TokenPolicy {
    TokenPolicy {
        issuer: "https://id.example.com".to_owned(),
        audience: "https://mcp.example.com/mcp".to_owned(),
        algorithms: vec!["EdDSA".to_owned()],
        lifetime_seconds_max: 600,
        tenant_claim: "tenant_id".to_owned(),
        principal_claim: "sub".to_owned(),
        read_scope: "synapsor:read".to_owned(),
        propose_scope: "synapsor:propose".to_owned(),
        ..TokenPolicy::default()
    }
}

fn answer(capability: &str) -> (String, bool) {
    let read = |extra: &str| format!(r#"{{"ok":true,"action":"{capability}",{extra}}}"#);
    match capability {
        READ => (
            read(&format!(r#""data":{{"big":{INTEGER},"exact":{DECIMAL}}}"#)),
            false,
        ),
        HOLD => (read(r#""data":{}"#), false),
        PROPOSE => (
            read(r#""proposal":{"id":"wrp_1","state":"review_required"}"#),
            false,
        ),
        _ => (
            r#"{"ok":false,"error":{"code":"CAPABILITY_NOT_FOUND"}}"#.to_owned(),
            true,
        ),
    }
}

#[tonic::async_trait]
impl AgentService for FakeReader {
    async fn get_catalog(
        &self,
        _request: Request<GetCatalogRequest>,
    ) -> Result<Response<GetCatalogResponse>, Status> {
        Ok(Response::new(GetCatalogResponse {
            catalog_json: serde_json::to_vec(&catalog()).unwrap(),
            digest: "sha256:catalog".to_owned(),
            result_format: self.result_format,
            mode: synapsor_proto::executor::v1::Mode::Review.into(),
            token_policy: self.wants_tokens.then(authorization),
        }))
    }

    async fn get_jwks(&self, _request: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        if !self.wants_tokens {
            return Err(Status::unimplemented("this reader does not use access tokens"));
        }
        Ok(Response::new(GetJwksResponse {
            jwks_json: ISSUER_KEYS.as_bytes().to_vec(),
        }))
    }

    async fn issue_context_ticket(
        &self,
        _request: Request<IssueContextTicketRequest>,
    ) -> Result<Response<IssueContextTicketResponse>, Status> {
        Err(Status::unimplemented("this reader has no ledger"))
    }

    type CallCapabilitiesStream = ReceiverStream<Result<CallCapabilitiesResponse, Status>>;

    async fn call_capabilities(
        &self,
        request: Request<Streaming<CallCapabilitiesRequest>>,
    ) -> Result<Response<Self::CallCapabilitiesStream>, Status> {
        let metadata = request.metadata().iter().map(|entry| match entry {
            KeyAndValueRef::Ascii(key, value) => format!("{key}: {}", value.to_str().unwrap()),
            KeyAndValueRef::Binary(key, value) => format!("{key}: {value:?}"),
        });
        let metadata: Vec<String> = metadata.collect();
        let (answers, sent) = mpsc::channel(64);
        let reader = self.clone();
        self.streams.lock().unwrap().push(answers.clone());
        let mut calls = request.into_inner();
        tokio::spawn(async move {
            let (mut running, mut tasks) = (HashMap::new(), JoinSet::new());
            let end = loop {
                let message = match calls.message().await {
                    Ok(Some(message)) => message,
                    end => break end,
                };
                for call in message.calls {
                    let (reader, answers, metadata) = (reader.clone(), answers.clone(), metadata.clone());
                    let number = call.number;
                    let task = tasks.spawn(async move {
                        let answer = reader.answer(call, metadata).await;
                        let _ = answers.send(Ok(answer)).await;
                    });
                    running.insert(number, task);
                }
                for number in message.canceled {
                    running.remove(&number).unwrap().abort();
                }
            };
            // A stream that the gateway ended keeps its calls; a broken one, or one without a response, ends them.
            if end.is_ok() {
                let answered = async { while tasks.join_next().await.is_some() {} };
                tokio::select! {
                    () = answered => {}
                    () = answers.closed() => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(sent)))
    }
}

impl FakeReader {
    async fn answer(&self, call: CapabilityCall, mut metadata: Vec<String>) -> CallCapabilitiesResponse {
        if !call.traceparent.is_empty() {
            metadata.push(format!("traceparent: {}", call.traceparent));
        }
        self.seen.lock().unwrap().push(Seen {
            capability: call.capability.clone(),
            arguments: String::from_utf8(call.arguments_json).unwrap(),
            result_format: call.result_format,
            metadata,
        });
        if call.capability == HOLD {
            let _held = Held(self.held.clone());
            self.held.send_modify(|held| *held += 1);
            self.release
                .subscribe()
                .wait_for(|released| *released)
                .await
                .unwrap();
        }
        let (envelope, is_error) = answer(&call.capability);
        let result = CapabilityResult {
            model_text: envelope.clone(),
            envelope_json: envelope.into_bytes(),
            is_error,
            code: None,
        };
        let answer = CapabilityAnswer {
            number: call.number,
            outcome: Some(Outcome::Result(result)),
        };
        CallCapabilitiesResponse {
            answers: vec![answer],
            is_closing: false,
        }
    }
}
