//! MCP handler that dispatches requests to the fixtures.

#![expect(
    deprecated,
    reason = "the suite asks for logging and subscriptions in the revisions that have them"
)]

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CancelTaskParams, ClientCapabilities, CompleteRequestParams,
    CompleteResult, CompletionInfo, ErrorData, GetPromptRequestParams, GetPromptResponse, GetTaskParams,
    GetTaskResult, Implementation, JsonObject, ListPromptsResult, ListResourceTemplatesResult,
    ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams, SubscribeRequestParams,
    SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{RequestContext, SubscriptionContext};
use rmcp::{RoleServer, ServerHandler};
use synapsor_gateway::http::{PlainCall, PlainResult, ToolHandler};
use tokio::sync::broadcast;

use crate::asking::{self, Memory};
use crate::plain::{self, text_result};
use crate::tasks::Tasks;
use crate::{catalog, reading};

const CHANGES_QUEUED_MAX: usize = 16;

/// Kind of a list change.
#[derive(Clone, Copy, Debug)]
enum Change {
    Tools,
    Prompts,
}

/// Handler state; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Fixtures {
    memory: Memory,
    tasks: Tasks,
    changes: broadcast::Sender<Change>,
}

impl Default for Fixtures {
    fn default() -> Self {
        Self {
            memory: Memory::default(),
            tasks: Tasks::default(),
            changes: broadcast::Sender::new(CHANGES_QUEUED_MAX),
        }
    }
}

impl Fixtures {
    async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        let arguments = request.arguments.clone().unwrap_or_default();
        if let Some(result) = plain::call(name, &arguments, context).await {
            return result.map(CallToolResponse::from);
        }
        if let Some(response) = asking::call(&self.memory, request, context) {
            return response;
        }
        if let Some(response) = self.tasks.call(request, context).await {
            return response;
        }
        match name {
            "test_missing_capability" => {
                let client = context.client_capabilities().unwrap_or_default();
                if client.sampling.is_some() {
                    return Ok(text_result("sampling is there").into());
                }
                let needed = ClientCapabilities::builder().enable_sampling().build();
                Err(ErrorData::missing_required_client_capability(needed))
            }
            "test_trigger_tool_change" => Ok(self.publish(Change::Tools)),
            "test_trigger_prompt_change" => Ok(self.publish(Change::Prompts)),
            _ => Err(ErrorData::invalid_params("there is no such tool", None)),
        }
    }

    fn publish(&self, change: Change) -> CallToolResponse {
        // There may be no subscriber.
        let _ = self.changes.send(change);
        text_result("notified").into()
    }
}

impl ToolHandler for Fixtures {
    fn is_plain(&self, tool: &str) -> bool {
        plain::plain_result(tool, &JsonObject::new()).is_some()
    }

    async fn call_plain(&self, call: PlainCall) -> PlainResult {
        let arguments = serde_json::from_slice(&call.arguments).unwrap_or_default();
        let result =
            plain::plain_result(&call.tool, &arguments).unwrap_or_else(|| text_result("no such tool"));
        PlainResult {
            is_error: result.is_error.unwrap_or_default(),
            content: result.content,
            structured_content: None,
            meta: None,
        }
    }
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new(
            "conformance-fixtures",
            env!("CARGO_PKG_VERSION"),
        ))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        catalog::tools().into_iter().find(|tool| tool.name == name)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(catalog::tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Box::pin(self.call(&request, &context)).await
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(reading::resources()))
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(reading::templates()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        reading::read(&request.uri).map(ReadResourceResponse::from)
    }

    async fn subscribe(
        &self,
        _request: SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn unsubscribe(
        &self,
        _request: UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut changes = self.changes.subscribe();
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = context.cancelled() => return Ok(()),
            };
            let Ok(change) = change else { continue };
            // Only requested notifications are sent.
            let _ = match change {
                Change::Tools => context.sink().notify_tool_list_changed().await,
                Change::Prompts => context.sink().notify_prompt_list_changed().await,
            };
        }
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(reading::prompts()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        reading::prompt(&request)
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party"];
        let fitting = words
            .iter()
            .filter(|word| word.starts_with(&request.argument.value));
        let values = fitting.map(|word| (*word).to_owned()).collect();
        let completion = CompletionInfo::new(values).map_err(|why| ErrorData::internal_error(why, None))?;
        Ok(CompleteResult::new(completion))
    }

    async fn set_level(
        &self,
        _request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks.get(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.update(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.tasks.cancel(&request.task_id)
    }
}
