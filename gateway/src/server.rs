//! The MCP server behind every transport: lists the reader's tools and carries calls to the reader. Nothing that
//! a client says about itself goes further than here.

use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CompleteRequestMethod, CompleteRequestParams,
    CompleteResult, ErrorData, Implementation, ListPromptsRequestMethod, ListPromptsResult,
    ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use synapsor_chassis::propagate::{TRACEPARENT, TraceParent};
use synapsor_domain::contract::ResultFormat;

use crate::answer;
use crate::caller::Caller;
use crate::catalog::Listing;
use crate::http::About;
use crate::inbound::RawArguments;
use crate::reader::{Call, Reader};

const INSTRUCTIONS: &str = "These tools read and propose; none of them changes the database. Inspect a row first, \
then propose a change of it. A proposal waits for a person who reviews and approves it outside of this \
conversation; you cannot approve or apply it, and no tool runs SQL. Every result has `ok`: branch on it, and when \
it is false read `error.code` and retry only if `error.retryable` is true.";

const VERSIONS: &[ProtocolVersion] = &[
    ProtocolVersion::V_2025_06_18,
    ProtocolVersion::V_2025_11_25,
    ProtocolVersion::V_2026_07_28,
];

/// The list never changes while the gateway lives, and a restart is not announced; so clients look again soon.
const LIST_TTL_MS: u64 = 1_000;

/// Cheap to clone: one for each connection or request.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    reader: Arc<Reader>,
    listing: Arc<Listing>,
    format: ResultFormat,
}

impl Gateway {
    pub(crate) fn new(reader: Arc<Reader>, listing: Arc<Listing>, format: ResultFormat) -> Self {
        Self {
            reader,
            listing,
            format,
        }
    }

    /// What is told about it to everybody.
    pub(crate) fn about(&self) -> About {
        let reader = self.reader.clone();
        About::new(self.listing.tools().len(), self.listing.mode(), move || {
            let reader = reader.clone();
            async move { reader.is_answering().await }
        })
    }

    /// Tools that the listing does not have go to the reader as well, which records and refuses them.
    async fn forward(&self, call: Call) -> rmcp::model::CallToolResult {
        let capability = call.capability.clone();
        let answered = self
            .reader
            .call(call)
            .await
            .and_then(|answer| answer::of_reader(&answer));
        let mut result = answered
            .unwrap_or_else(|refusal| answer::of_refusal(&self.listing, &capability, self.format, &refusal));
        result.meta = Some(self.listing.meta());
        result
    }
}

/// From `_meta`, else from the HTTP header; a malformed value counts as absent.
fn trace_of(context: &RequestContext<RoleServer>) -> Option<TraceParent> {
    if let Some(text) = context.meta.get(TRACEPARENT).and_then(|value| value.as_str()) {
        return text.parse().ok();
    }
    let mut headers = context
        .extensions
        .get::<Parts>()?
        .headers
        .get_all(TRACEPARENT)
        .iter();
    let only = headers.next()?;
    if headers.next().is_some() {
        None
    } else {
        only.to_str().ok()?.parse().ok()
    }
}

/// Who calls; over stdio it is whoever the reader was started for, as it is where callers show no token.
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

impl ServerHandler for Gateway {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("synapsor-runner", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
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
        if page.is_some_and(|page| page.cursor.is_some()) {
            return Err(ErrorData::invalid_params(
                "the list has one page; no cursor is valid",
                None,
            ));
        }
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
            .ok_or_else(|| ErrorData::internal_error("the arguments' text is missing", None))?;
        let call = Call {
            capability: self.listing.canonical(&request.name).to_owned(),
            arguments,
            format: self.format,
            trace: trace_of(&context),
            caller: caller_of(&context),
        };
        tokio::select! {
            result = self.forward(call) => Ok(result.into()),
            // The client has gone or does not want the answer; dropping the call cancels it at the reader.
            () = context.ct.cancelled() => Err(ErrorData::internal_error("cancelled", None)),
        }
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourcesRequestMethod>())
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListResourceTemplatesRequestMethod>())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Err(ErrorData::method_not_found::<ListPromptsRequestMethod>())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }
}
