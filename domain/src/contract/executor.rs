//! Executors: a proposal is applied by the writer or by a handler of the application.

use super::Mode;
use super::fields;
use super::names::is_safe_name;
use super::object::{ObjectReader, member};
use super::report::ValidationReport;
use super::source::is_empty;
use crate::json::JsonNode;
use synapsor_codes::ErrorCode;

/// Name of the writer's own guarded update.
pub const DIRECT: &str = "sql_update";

/// HTTP method of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    Post,
    Put,
    Patch,
}

impl Method {
    pub(super) const WORDS: &[(&str, Method)] = &[
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
        }
    }
}

/// Method by which an executor applies a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutorKind {
    /// The writer's own guarded update under another name.
    Direct,
    /// The application's HTTP endpoint. All members but `method` are names of variables.
    Http {
        url_env: String,
        method: Method,
        token_env: Option<String>,
        signing_secret_env: Option<String>,
    },
    /// A command of the application.
    Command { command_env: String },
}

impl ExecutorKind {
    pub const fn as_str(&self) -> &'static str {
        match self {
            ExecutorKind::Direct => DIRECT,
            ExecutorKind::Http { .. } => "http_handler",
            ExecutorKind::Command { .. } => "command_handler",
        }
    }
}

/// A named executor of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorSpec {
    pub name: String,
    pub kind: ExecutorKind,
    /// Timeout of one handler call.
    pub timeout_ms: u32,
}

/// Default timeout of a handler, in milliseconds.
pub const HANDLER_TIMEOUT_MS: u32 = 5_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Direct,
    Http,
    Command,
}

const WORDS: &[(&str, Word)] = &[
    (DIRECT, Word::Direct),
    ("http_handler", Word::Http),
    ("command_handler", Word::Command),
];

pub(super) fn read_all(
    root: &ObjectReader<'_>,
    mode: Option<Mode>,
    report: &mut ValidationReport,
) -> Vec<ExecutorSpec> {
    let Some(node) = root.get("executors") else {
        return Vec::new();
    };
    let path = root.at("executors");
    let JsonNode::Map(entries) = node else {
        report.error(
            path,
            ErrorCode::ExecutorsNotObject,
            "Make `executors` an object with at least one executor.",
        );
        return Vec::new();
    };
    if is_empty(node) {
        report.error(
            &path,
            ErrorCode::ExecutorsNotObject,
            "Add a named executor, or remove `executors`.",
        );
    }
    let mut executors = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        let path = member(&path, name);
        if !is_safe_name(name) || name == DIRECT {
            let message = "Rename the executor: a letter or `_` first, then letters, digits, `_`, `.` and `-`; \
                           `sql_update` is taken by direct writeback.";
            report.error(&path, ErrorCode::InvalidExecutorName, message);
        }
        executors.extend(read(name, node, &path, mode, report));
    }
    executors
}

fn read(
    name: &str,
    node: &JsonNode,
    path: &str,
    mode: Option<Mode>,
    report: &mut ValidationReport,
) -> Option<ExecutorSpec> {
    let Some(executor) = ObjectReader::of(node, path) else {
        report.error(
            path,
            ErrorCode::ExecutorNotObject,
            "Make the executor an object with `type`.",
        );
        return None;
    };
    executor.only(fields::EXECUTOR, report);
    let word = executor.required_choice("type", WORDS, ErrorCode::InvalidExecutorType, report);
    if mode == Some(Mode::ReadOnly) && word.is_some_and(|word| word != Word::Direct) {
        let message =
            "Remove the handler, or choose mode `review`: mode `read_only` never carries out anything.";
        report.error(path, ErrorCode::ExecutorInvalidInReadOnly, message);
    }
    let timeout_ms = executor.positive("timeout_ms", ErrorCode::InvalidHandlerTimeout, report);
    let kind = match word? {
        Word::Direct => ExecutorKind::Direct,
        Word::Http => read_http(&executor, report)?,
        Word::Command => ExecutorKind::Command {
            command_env: executor.required_env_name("command_env", ErrorCode::CommandEnvRequired, report)?,
        },
    };
    Some(ExecutorSpec {
        name: name.to_owned(),
        kind,
        timeout_ms: timeout_ms.unwrap_or(HANDLER_TIMEOUT_MS),
    })
}

fn read_http(executor: &ObjectReader<'_>, report: &mut ValidationReport) -> Option<ExecutorKind> {
    let url_env = executor.required_env_name("url_env", ErrorCode::HandlerUrlEnvRequired, report);
    let method = executor.choice("method", Method::WORDS, ErrorCode::InvalidHandlerMethod, report);
    let signing_secret_env = executor.env_name(
        "signing_secret_env",
        ErrorCode::HandlerSigningSecretEnvInvalid,
        report,
    );
    let token_env = executor
        .object("auth", ErrorCode::ExecutorAuthNotObject, report)
        .and_then(|auth| {
            auth.only(fields::EXECUTOR_AUTH, report);
            auth.required_choice(
                "type",
                &[("bearer_env", ())],
                ErrorCode::InvalidExecutorAuth,
                report,
            );
            auth.required_env_name("token_env", ErrorCode::ExecutorTokenEnvRequired, report)
        });
    let method = method.unwrap_or(Method::Post);
    Some(ExecutorKind::Http {
        url_env: url_env?,
        method,
        token_env,
        signing_secret_env,
    })
}
