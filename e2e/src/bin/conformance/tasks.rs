//! Tools that run as tasks if the client supports tasks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock,
    CreateTaskResult, DetailedTask, ErrorData, InputRequests, InputRequiredResult, InputResponses, Task,
    TaskPayload, TaskStatus,
};
use rmcp::service::RequestContext;
use serde_json::{Value as Json, json};
use synapsor_chassis::random;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::asking::{form, requests, text_of};
use crate::catalog::object;
use crate::plain::text_result;

const ID_DIGITS: usize = 40;
const TTL_MS: u64 = 10 * 60 * 1_000;
const POLL_MS: u64 = 100;

/// All tasks, by id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug)]
struct Entry {
    task: DetailedTask,
    answers: InputResponses,
}

/// Behavior of a task.
enum Work {
    Sleep(Duration),
    Fail,
    Break,
    Ask(InputRequests),
    /// Requests this input before it creates the task.
    AskFirst(InputRequests),
    Reply(String),
}

fn work_of(request: &CallToolRequestParams) -> Option<Work> {
    let argument = |key: &str| request.arguments.as_ref().and_then(|all| all.get(key));
    Some(match request.name.as_ref() {
        "slow_compute" => {
            let seconds = argument("seconds").and_then(Json::as_u64).unwrap_or_default();
            Work::Sleep(Duration::from_secs(seconds))
        }
        "failing_job" => Work::Fail,
        "protocol_error_job" => Work::Break,
        "confirm_delete" => {
            let file = argument("filename").and_then(Json::as_str).unwrap_or_default();
            let question = form(&format!("Delete {file}?"), "confirm", "boolean");
            Work::Ask(requests([("confirm", question)]))
        }
        "multi_input" => Work::Ask(requests([
            ("first", form("The first?", "value", "string")),
            ("second", form("The second?", "value", "string")),
        ])),
        "test_tool_with_task" => {
            let answers = request.input_responses.as_ref();
            match text_of(answers.and_then(|answers| answers.get("user_name")), "name") {
                Some(name) => Work::Reply(format!("Hello, {name}!")),
                None => Work::AskFirst(requests([(
                    "user_name",
                    form("What is your name?", "name", "string"),
                )])),
            }
        }
        _ => return None,
    })
}

impl Tasks {
    /// Returns `None` for a tool of another module.
    pub(crate) async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Option<Result<CallToolResponse, ErrorData>> {
        let work = match work_of(request)? {
            Work::AskFirst(wanted) => {
                return Some(Ok(InputRequiredResult::from_input_requests(wanted).into()));
            }
            work => work,
        };
        let client = context.client_capabilities().unwrap_or_default();
        if client.supports_tasks() {
            return Some(Ok(CreateTaskResult::new(self.start(work)).into()));
        }
        Some(match work {
            Work::Sleep(time) => {
                tokio::time::sleep(time).await;
                Ok(text_result("computed").into())
            }
            Work::Fail | Work::Break | Work::Ask(_) | Work::AskFirst(_) | Work::Reply(_) => {
                let needed = ClientCapabilities::builder().enable_tasks().build();
                Err(ErrorData::missing_required_client_capability(needed))
            }
        })
    }

    fn start(&self, work: Work) -> Task {
        let (id, now) = (random::hex_id(ID_DIGITS), now());
        let task = Task::new(id.clone(), TaskStatus::Working, now.clone(), now)
            .with_ttl_ms(TTL_MS)
            .with_poll_interval_ms(POLL_MS);
        let entry = Entry {
            task: DetailedTask::new(task.clone(), TaskPayload::Working),
            answers: InputResponses::new(),
        };
        self.lock().insert(id.clone(), entry);
        let tasks = self.clone();
        tokio::spawn(async move { tasks.run(&id, work).await });
        task
    }

    async fn run(&self, id: &str, work: Work) {
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        let payload = match work {
            Work::Sleep(time) => {
                tokio::time::sleep(time).await;
                completed(text_result("computed"))
            }
            Work::Fail => completed(CallToolResult::error(vec![ContentBlock::text("the job failed")])),
            Work::Break => TaskPayload::Failed {
                error: object(json!({"code": -32_603, "message": "the job broke"})),
            },
            Work::Ask(input_requests) | Work::AskFirst(input_requests) => {
                TaskPayload::InputRequired { input_requests }
            }
            Work::Reply(text) => completed(text_result(text)),
        };
        self.settle(id, payload);
    }

    /// Ends a task; a final state does not change.
    fn settle(&self, id: &str, payload: TaskPayload) {
        if let Some(entry) = self.lock().get_mut(id)
            && !entry.task.status().is_terminal()
        {
            entry.set(payload);
        }
    }

    pub(crate) fn get(&self, id: &str) -> Result<DetailedTask, ErrorData> {
        let tasks = self.lock();
        tasks.get(id).map(|entry| entry.task.clone()).ok_or_else(unknown)
    }

    pub(crate) fn update(&self, id: &str, answers: InputResponses) -> Result<(), ErrorData> {
        let mut tasks = self.lock();
        let entry = tasks.get_mut(id).ok_or_else(unknown)?;
        let TaskPayload::InputRequired { mut input_requests } = entry.task.payload.clone() else {
            return Ok(());
        };
        for (key, answer) in answers {
            if input_requests.remove(&key).is_some() {
                entry.answers.insert(key, answer);
            }
        }
        let payload = if input_requests.is_empty() {
            completed(text_result(format!("answered: {}", json!(entry.answers))))
        } else {
            TaskPayload::InputRequired { input_requests }
        };
        entry.set(payload);
        Ok(())
    }

    pub(crate) fn cancel(&self, id: &str) -> Result<(), ErrorData> {
        self.get(id)?;
        self.settle(id, TaskPayload::Cancelled);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn set(&mut self, payload: TaskPayload) {
        let mut task = self.task.task.clone();
        task.last_updated_at = now();
        self.task = DetailedTask::new(task, payload);
    }
}

fn completed(result: CallToolResult) -> TaskPayload {
    TaskPayload::Completed {
        result: object(json!(result)),
    }
}

fn unknown() -> ErrorData {
    ErrorData::invalid_params("there is no such task", None)
}

fn now() -> String {
    OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .expect("current time is representable")
}
