//! MCP server behind every transport: lists the reader's tools and forwards calls to the reader. It drops identity
//! that a client claims outside of tool arguments.

use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
    CompleteRequestMethod, CompleteRequestParams, CompleteResult, CustomRequest, CustomResult,
    ErrorCode as RpcErrorCode, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestMethod,
    ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, ResourceContents, ResourceTemplate,
    ServerCapabilities, ServerConfig, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use synapsor_chassis::trace_context::{TRACEPARENT, TraceParent};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::tool::{STATUS_TOOL, SYSTEM_PROMPT, status_proposal_id};
use synapsor_proto::ledger::v1::AgentRecordServiceGetProposalResponse as Record;

use crate::caller::Caller;
use crate::catalog::ToolList;
use crate::http::{PlainCall, PlainResult, ServerInfo, ToolHandler};
use crate::message_validation::RawArguments;
use crate::progress::ProgressNotifier;
use crate::reader_client::{ReaderClient, ToolCall};
use crate::record_client::{RecordClient, ResourceUri, TEMPLATES};
use crate::subscriptions::{self, SubscriptionRegistry};
use crate::tool_result::{self, EnvelopeResult};
use crate::{invalid_params, prompts, tasks, trace};

const VERSIONS: &[ProtocolVersion] = &[
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2026_07_28,
];

/// The list never changes while the gateway runs, and a restart is not announced, so clients must refresh it soon.
const LIST_TTL_MS: u64 = 1_000;
const JSON: &str = "application/json";
/// Methods that revision 2026-07-28 removed.
const SESSION_ONLY_METHODS: [&str; 2] = ["resources/subscribe", "resources/unsubscribe"];
/// Cheap to clone: each connection or request has its own copy.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    reader: Arc<ReaderClient>,
    listing: Arc<ToolList>,
    format: ResultFormat,
    /// `None` without a configured ledger: no resources, subscriptions or tasks are offered.
    records: Option<Arc<RecordClient>>,
    sessions: Arc<SubscriptionRegistry>,
}

impl Gateway {
    pub(crate) fn new(
        reader: Arc<ReaderClient>,
        listing: Arc<ToolList>,
        format: ResultFormat,
        records: Option<Arc<RecordClient>>,
    ) -> Self {
        Self {
            reader,
            listing,
            format,
            records,
            sessions: Arc::default(),
        }
    }

    /// Returns the public server information of the health endpoints.
    pub(crate) fn server_info(&self) -> ServerInfo {
        let reader = self.reader.clone();
        ServerInfo::new(self.listing.tools().len(), self.listing.mode(), move || {
            let reader = reader.clone();
            async move { reader.is_answering().await }
        })
    }

    /// Calls the reader, also for unknown tools, so that the reader records and rejects them.
    async fn forward(&self, call: ToolCall) -> EnvelopeResult {
        let capability = call.capability.clone();
        let answered = self.reader.call(call).await.and_then(EnvelopeResult::of_reader);
        answered.unwrap_or_else(|refusal| {
            EnvelopeResult::of_refusal(&self.listing, &capability, self.format, &refusal)
        })
    }

    /// Answers the status tool from the ledger: the record reads of the caller, restricted to its own proposals.
    async fn proposal_status(
        &self,
        records: &RecordClient,
        caller: &Caller,
        arguments: &[u8],
    ) -> EnvelopeResult {
        let found = match status_proposal_id(arguments) {
            Ok(id) => records.own_proposal(caller, &id).await,
            Err(refusal) => Err(refusal),
        };
        let answered = found.and_then(|record| EnvelopeResult::of_status(&record, self.format));
        answered.unwrap_or_else(|refusal| {
            EnvelopeResult::of_refusal(&self.listing, STATUS_TOOL, self.format, &refusal)
        })
    }

    /// Returns the records if a call of this tool is answered from them.
    fn status_records(&self, canonical: &str) -> Option<&Arc<RecordClient>> {
        let is_status = canonical == STATUS_TOOL && self.listing.tool(STATUS_TOOL).is_some();
        self.records.as_ref().filter(|_| is_status)
    }

    /// Returns a task if the client supports tasks and the proposal waits for approvers, otherwise the result
    /// itself. The proposal is already persisted, so an unreadable record costs the client only the task.
    async fn answer(&self, result: CallToolResult, takes_tasks: bool, caller: &Caller) -> CallToolResponse {
        let (Some(records), true) = (&self.records, takes_tasks) else {
            return result.into();
        };
        let Some(id) = tasks::waiting_proposal(&result).map(str::to_owned) else {
            return result.into();
        };
        match records.proposal(caller, &id).await {
            Ok(record) => CallToolResponse::Task(tasks::created(&id, &record, result)),
            Err(refusal) => {
                tracing::warn!(code = %refusal.code, "proposal record unreadable; returning no task");
                result.into()
            }
        }
    }

    /// Returns the proposal of a task, if the calling principal created it.
    async fn own_proposal(
        &self,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<Record, ErrorData> {
        let record = self.records()?.own_proposal(&caller_of(context), id).await;
        match record {
            Ok(record) => Ok(record),
            Err(refusal) if refusal.code == ErrorCode::RecordNotFound => Err(tasks::unknown()),
            Err(refusal) => Err(tool_result::error_of(&refusal)),
        }
    }

    fn records(&self) -> Result<&Arc<RecordClient>, ErrorData> {
        let records = self.records.as_ref();
        records.ok_or_else(ErrorData::method_not_found::<ReadResourceRequestMethod>)
    }
}

/// Returns the session that receives updates. Stdio has one session without an id. A stateless HTTP request has
/// none, because callers must not share one.
fn session_of(context: &RequestContext<RoleServer>) -> Result<String, ErrorData> {
    let Some(parts) = context.extensions.get::<Parts>() else {
        return Ok(String::new());
    };
    let id = parts
        .headers
        .get("mcp-session-id")
        .and_then(|id| id.to_str().ok());
    id.map(str::to_owned).ok_or_else(|| {
        let text = "resource subscriptions require a session: call initialize, or use subscriptions/listen";
        ErrorData::invalid_request(text, None)
    })
}

/// Rejects a cursor: every list has one page.
fn no_cursor(page: Option<PaginatedRequestParams>) -> Result<(), ErrorData> {
    if page.is_some_and(|page| page.cursor.is_some()) {
        return Err(ErrorData::invalid_params(
            "invalid cursor: the list has one page",
            None,
        ));
    }
    Ok(())
}

/// Returns the trace of `_meta`, or else of the HTTP header; a malformed value counts as absent.
fn trace_of(context: &RequestContext<RoleServer>) -> Option<TraceParent> {
    if let Some(text) = context.meta.get(TRACEPARENT).and_then(|value| value.as_str()) {
        return text.parse().ok();
    }
    trace::of_headers(&context.extensions.get::<Parts>()?.headers)
}

/// Returns the caller. Over stdio and without tokens it is anonymous, and the reader uses its own trusted context.
fn caller_of(context: &RequestContext<RoleServer>) -> Caller {
    let parts = context.extensions.get::<Parts>();
    let caller = parts.and_then(|parts| parts.extensions.get::<Caller>());
    caller.cloned().unwrap_or(Caller::Anonymous)
}

fn arguments_of(context: &RequestContext<RoleServer>) -> Option<RawArguments> {
    let of_line = context.extensions.get::<RawArguments>();
    let of_body = || {
        context
            .extensions
            .get::<Parts>()?
            .extensions
            .get::<RawArguments>()
    };
    of_line.or_else(of_body).cloned()
}

impl ToolHandler for Gateway {
    fn is_plain(&self, tool: &str) -> bool {
        !self.listing.has_header_arguments(tool)
    }

    async fn call_plain(&self, call: PlainCall) -> PlainResult {
        let capability = self.listing.canonical(&call.tool).to_owned();
        let result = match self.status_records(&capability) {
            Some(records) => self.proposal_status(records, &call.caller, &call.arguments).await,
            None => {
                self.forward(ToolCall {
                    capability,
                    arguments: call.arguments,
                    format: self.format,
                    trace: call.trace,
                    caller: call.caller,
                })
                .await
            }
        };
        result.into_plain(self.listing.meta())
    }
}

impl ServerHandler for Gateway {
    fn get_info(&self) -> ServerConfig {
        let with_tools = ServerCapabilities::builder().enable_tools().enable_prompts();
        let capabilities = if self.records.is_some() {
            with_tools
                .enable_resources()
                .enable_resources_subscribe()
                .enable_tasks()
                .build()
        } else {
            with_tools.build()
        };
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("synapsor-runner", env!("CARGO_PKG_VERSION")))
            .with_instructions(SYSTEM_PROMPT)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(VERSIONS)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.listing.tool(name).cloned()
    }

    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        no_cursor(page)?;
        let mut list = ListToolsResult::with_all_items(self.listing.tools().to_vec())
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private);
        list.meta = Some(self.listing.meta());
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let RawArguments(arguments) = arguments_of(&context)
            .ok_or_else(|| ErrorData::internal_error("the arguments are missing", None))?;
        let caller = caller_of(&context);
        let canonical = self.listing.canonical(&request.name).to_owned();
        if let Some(records) = self.status_records(&canonical) {
            return tokio::select! {
                result = self.proposal_status(records, &caller, &arguments) => {
                    Ok(result.into_mcp(self.listing.meta()).into())
                }
                () = context.ct.cancelled() => Err(ErrorData::internal_error("cancelled", None)),
            };
        }
        let call = ToolCall {
            capability: canonical,
            arguments,
            format: self.format,
            trace: trace_of(&context),
            caller: caller.clone(),
        };
        let takes_tasks = context
            .client_capabilities()
            .is_some_and(|declared| declared.supports_tasks());
        let mut waiting = ProgressNotifier::of(&context);
        tokio::select! {
            result = self.forward(call) => {
                let result = result.into_mcp(self.listing.meta());
                Ok(self.answer(result, takes_tasks, &caller).await)
            }
            // The client disconnected or canceled. Dropping the call cancels it at the reader. Records that the
            // reader already submitted remain, and the same call finds them.
            () = context.ct.cancelled() => Err(ErrorData::internal_error("cancelled", None)),
            () = waiting.report() => Err(ErrorData::internal_error("cancelled", None)),
        }
    }

    async fn list_resources(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.records()?;
        no_cursor(page)?;
        // Clients get record ids from results; a list would disclose the work of the whole tenant.
        Ok(ListResourcesResult::default()
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn list_resource_templates(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.records()?;
        no_cursor(page)?;
        let template = |(name, uri, description): (&str, &str, &str)| {
            ResourceTemplate::new(uri, name)
                .with_description(description)
                .with_mime_type(JSON)
        };
        Ok(
            ListResourceTemplatesResult::with_all_items(TEMPLATES.map(template).to_vec())
                .with_ttl_ms(LIST_TTL_MS)
                .with_cache_scope(CacheScope::Private),
        )
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let records = self.records()?;
        let address = ResourceUri::parse(&request.uri).ok_or_else(tool_result::no_such_record)?;
        let caller = caller_of(&context);
        let read = records.read(&caller, &address);
        let json = tokio::select! {
            json = read => json.map_err(|refusal| tool_result::error_of(&refusal))?,
            () = context.ct.cancelled() => return Err(ErrorData::internal_error("cancelled", None)),
        };
        let text = String::from_utf8(json)
            .map_err(|_| ErrorData::internal_error("the record is not UTF-8", None))?;
        let contents = ResourceContents::text(text, request.uri).with_mime_type(JSON);
        // A record can change with the next decision.
        Ok(ReadResourceResult::new(vec![contents])
            .with_ttl_ms(0)
            .with_cache_scope(CacheScope::Private)
            .into())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.records.as_ref().map(|_| subscriptions::accepted(requested))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let caller = caller_of(context.request_context());
        subscriptions::listen(context, self.records()?.clone(), caller).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let records = self.records()?.clone();
        let (session, caller) = (session_of(&context)?, caller_of(&context));
        self.sessions
            .subscribe(session, request.uri, context.peer, records, caller)
            .await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.records()?;
        self.sessions.unsubscribe(&session_of(&context)?, &request.uri);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let record = self.own_proposal(&request.task_id, &context).await?;
        Ok(GetTaskResult::new(tasks::detailed(
            &request.task_id,
            &record,
            self.format,
        )?))
    }

    /// Checks only that the task exists: tasks request no input, so there is nothing to update.
    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.own_proposal(&request.task_id, &context).await.map(|_| ())
    }

    /// Withdraws the proposal. After an attempt has started this has no effect, and the task continues to its end.
    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let records = self.records()?;
        let withdrawn = records.withdraw(&caller_of(&context), &request.task_id).await;
        match withdrawn {
            Ok(answer) => {
                tracing::info!(
                    withdrawn = answer.withdrawn,
                    state = answer.state().as_str_name(),
                    "task cancellation requested"
                );
                Ok(())
            }
            Err(refusal) if refusal.code == ErrorCode::RecordNotFound => Err(tasks::unknown()),
            Err(refusal) => Err(tool_result::error_of(&refusal)),
        }
    }

    async fn list_prompts(
        &self,
        page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        no_cursor(page)?;
        Ok(ListPromptsResult::with_all_items(prompts::list())
            .with_ttl_ms(LIST_TTL_MS)
            .with_cache_scope(CacheScope::Private))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompts::get(&request).map(Into::into)
    }

    /// Handles requests of unknown methods, and requests of known methods whose params do not parse.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let revision = context.protocol_version();
        let is_gone = revision.is_some_and(|revision| revision >= ProtocolVersion::V_2026_07_28)
            && SESSION_ONLY_METHODS.contains(&request.method.as_str());
        let explained = invalid_params::explain(&request.method, request.params.as_ref());
        if let Some(text) = explained.filter(|_| !is_gone) {
            return Err(ErrorData::invalid_params(text, None));
        }
        Err(ErrorData::new(
            RpcErrorCode::METHOD_NOT_FOUND,
            "unknown method",
            None,
        ))
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}
