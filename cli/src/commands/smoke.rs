//! `smoke`: one tool call through reader and gateway, as an MCP client makes it, and the checks of the tool list.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value as Json, json};
use synapsor_chassis::files::{self, byte_order};
use synapsor_chassis::refusal_cause::RefusalCause;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Arg, ArgType, Capability, Contract, Scalar};
use synapsor_domain::json::{self, JsonNode};
use synapsor_domain::limits::ARGUMENTS_BYTES_MAX;
use synapsor_domain::review::{SHORT_VALUE_CHARS, VALUE_CHARS_MAX, change_lines};
use synapsor_domain::tool::Catalog;
use synapsor_domain::value::Value;

use super::refusal_fix::fix_for;
use super::tools;
use crate::mcp_client::{McpClient, ToolCallResult, shown};
use crate::supervisor::{Process, missing, requirements};
use crate::{Context, contract_file, output, readable, state};

const TEXT_SAMPLE: &str = "sample";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call a tool and show the result as the agent receives it
    #[command(
        after_help = "Example: synapsor-runner smoke call billing.inspect_invoice --input call.json\n\
        Exit codes: 0 ok, 1 the tool call was rejected or failed, 2 usage, 6 unreachable"
    )]
    Call(ToolCallArgs),
    /// Check that the tools of the contract keep to their boundary; starts nothing
    #[command(after_help = BOUNDARY_EXAMPLE)]
    Boundary,
}

/// Examples of `smoke boundary` and `mcp smoke`.
pub(super) const BOUNDARY_EXAMPLE: &str = "Example: synapsor-runner smoke boundary --json\n\
    Exit codes: 0 ok, 1 a check fails, 2 usage";

/// Maximum nesting of the arguments in a file; a tool's own limit is lower.
const INPUT_DEPTH_MAX: usize = 32;

/// Tool and arguments of a call. Shared by `propose`.
#[derive(Debug, clap::Args)]
pub(crate) struct ToolCallArgs {
    /// Capability name; optional when the contract has exactly one
    pub(super) capability: Option<String>,
    #[command(flatten)]
    pub(super) input: Input,
}

#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Input {
    /// Use sample arguments generated from the contract
    #[arg(long)]
    sample: bool,
    /// File with the arguments, one JSON object; `-` for stdin
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Arguments as JSON, as 0.1.x took them after --json
    #[arg(long, value_name = "OBJECT", hide = true)]
    input_object: Option<String>,
}

/// A call and its result.
#[derive(Debug)]
pub(super) struct SmokeResult {
    pub(super) tool: String,
    pub(super) input: Map<String, Json>,
    /// Whether the arguments are generated from the contract.
    pub(super) is_sample: bool,
    pub(super) answer: ToolCallResult,
    pub(super) store: Option<PathBuf>,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let call = match command {
        Command::Call(call) => call,
        Command::Boundary => return boundary(context),
    };
    let called = make(&call, context, |_| true).await?;
    if context.global.json {
        print_json(&called)?;
    } else {
        show(&called, context)?;
    }
    Ok(called.exit())
}

/// Whether the variables of a call are set.
pub(super) fn can_call(context: &Context) -> Result<bool, ExitError> {
    let loaded = contract_file::load(&context.global)?;
    let needed = requirements(Process::Reader, &loaded.contract);
    Ok(missing(&context.env, needed)?.is_empty())
}

/// Calls a tool with the arguments in a file, and shows the result as `smoke call` does.
pub(super) async fn call_once(tool: &str, input: PathBuf, context: &Context) -> Result<(), ExitError> {
    let call = ToolCallArgs {
        capability: Some(tool.to_owned()),
        input: Input {
            sample: false,
            input: Some(input),
            input_object: None,
        },
    };
    let called = make(&call, context, |_| true).await?;
    show(&called, context)
}

/// Runs the checks of `tools list` alone.
pub(super) fn boundary(context: &Context) -> Result<Exit, ExitError> {
    if context.global.json {
        let (is_ok, result) = boundary_result(context)?;
        output::json(&result)?;
        return Ok(if is_ok { Exit::Ok } else { Exit::Failure });
    }
    let loaded = contract_file::load(&context.global)?;
    let catalog = Catalog::from_contract(&loaded.contract, false);
    let checks = tools::checks(&catalog, &loaded.contract);
    let is_ok = checks.iter().all(|check| check.ok);
    for tool in &catalog.tools {
        output::line(format!("tool {}", output::safe(&tool.name)))?;
    }
    tools::show_checks(&checks)?;
    Ok(if is_ok { Exit::Ok } else { Exit::Failure })
}

/// Returns whether all checks of the boundary pass, and their result as `--json` prints it.
pub(super) fn boundary_result(context: &Context) -> Result<(bool, Json), ExitError> {
    let loaded = contract_file::load(&context.global)?;
    let catalog = Catalog::from_contract(&loaded.contract, false);
    let checks = tools::checks(&catalog, &loaded.contract);
    let is_ok = checks.iter().all(|check| check.ok);
    let names: Vec<&str> = catalog.tools.iter().map(|tool| tool.name.as_str()).collect();
    let result = json!({
        "ok": is_ok,
        "config_path": loaded.path.to_string_lossy(),
        "store_path": state::locate(context)?.store().to_string_lossy(),
        "tools": names,
        "checks": tools::checks_json(&checks),
    });
    Ok((is_ok, result))
}

impl SmokeResult {
    pub(super) fn exit(&self) -> Exit {
        let cause = self.answer.cause.as_ref();
        if !self.answer.is_error {
            Exit::Ok
        } else if cause.is_some_and(|cause| cause.code.exit() == Exit::Unreachable) {
            Exit::Unreachable
        } else {
            Exit::Failure
        }
    }
}

/// Picks a capability that `fits` accepts, builds the arguments, starts an agent and calls.
pub(super) async fn make(
    call: &ToolCallArgs,
    context: &Context,
    fits: impl Fn(&Capability) -> bool,
) -> Result<SmokeResult, ExitError> {
    let loaded = contract_file::load(&context.global)?;
    let tool = pick(call.capability.as_deref(), &loaded.contract, fits)?;
    let input = call.input.read(loaded.contract.capability(&tool))?;
    let (answer, store) = context
        .unless_stopped(Box::pin(ask(context, &tool, input.clone())))
        .await?;
    Ok(SmokeResult {
        tool,
        input,
        is_sample: call.input.sample,
        answer,
        store,
    })
}

async fn ask(
    context: &Context,
    tool: &str,
    input: Map<String, Json>,
) -> Result<(ToolCallResult, Option<PathBuf>), ExitError> {
    let agent = McpClient::start(context).await?;
    let answer = agent.call(tool, input).await;
    let store = agent.store().cloned();
    agent.close().await;
    Ok((answer?, store))
}

fn pick(
    name: Option<&str>,
    contract: &Contract,
    fits: impl Fn(&Capability) -> bool,
) -> Result<String, ExitError> {
    let names: Vec<&str> = contract
        .capabilities()
        .iter()
        .filter(|c| fits(c))
        .map(|capability| capability.name.as_str())
        .collect();
    match (name, names.as_slice()) {
        // The reader rejects names that the contract does not have, as it does for any agent.
        (Some(name), _) if names.contains(&name) || contract.capability(name).is_none() => {
            Ok(name.to_owned())
        }
        (Some(name), _) => Err(ExitError::new(
            ErrorCode::CapabilityWrongKind,
            format!("`{name}` is not a proposal capability"),
        )
        .with_fix(format!("choose one of: {}", names.join(", ")))),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(ExitError::new(
            ErrorCode::CapabilityRequired,
            "capability required: the contract does not define exactly one",
        )
        .with_fix(format!("choose one of: {}", names.join(", ")))),
    }
}

impl Input {
    /// Requires that the arguments are given, or asked for as a sample.
    ///
    /// # Errors
    /// `INPUT_REQUIRED`.
    pub(super) fn require(&self) -> Result<(), ExitError> {
        if self.sample || self.input.is_some() || self.input_object.is_some() {
            return Ok(());
        }
        Err(ExitError::new(
            ErrorCode::InputRequired,
            "the arguments of the proposal are missing",
        )
        .with_fix("pass --input FILE (`-` for stdin), or --sample for generated arguments"))
    }

    fn read(&self, capability: Option<&Capability>) -> Result<Map<String, Json>, ExitError> {
        let bytes = match (&self.input, &self.input_object) {
            (Some(path), _) if path.as_os_str() == "-" => read_stdin()?,
            (Some(path), _) => files::read_bounded(path, ARGUMENTS_BYTES_MAX as u64)?,
            (None, Some(text)) => {
                output::note("hint: --json is output only; pass arguments with --input FILE (`-` for stdin)");
                text.clone().into_bytes()
            }
            (None, None) => return Ok(capability.map(sample).unwrap_or_default()),
        };
        let invalid = |text: String| {
            ExitError::new(ErrorCode::InputInvalid, text)
                .with_fix("pass one object with each argument once, such as {\"invoice_id\": \"INV-1\"}")
        };
        let node = json::read(&bytes, INPUT_DEPTH_MAX).map_err(|error| {
            let (line, column) = (error.line, error.column);
            invalid(format!(
                "input is not valid JSON: {} (line {line}, column {column})",
                error.reason
            ))
        })?;
        serde_json::from_slice(&bytes).map_err(|_| {
            let found = match &node {
                JsonNode::Text(text) if text.trim_start().starts_with('{') => {
                    "a string that holds a JSON object: pass the object itself"
                }
                other => other.type_name(),
            };
            invalid(format!("input is not a single JSON object; it is {found}"))
        })
    }
}

fn read_stdin() -> Result<Vec<u8>, ExitError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = ARGUMENTS_BYTES_MAX as u64;
    let read = std::io::stdin().lock().take(limit + 1).read_to_end(&mut bytes);
    match read {
        Ok(count) if count as u64 <= limit => match byte_order::strip_mark(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(byte_order::NotUtf8(encoding)) => {
                let text = format!("stdin is {encoding} text");
                Err(ExitError::new(ErrorCode::InputInvalid, text).with_fix("pass it as UTF-8"))
            }
        },
        Ok(_) => Err(ExitError::new(
            ErrorCode::InputInvalid,
            format!("stdin is larger than {limit} bytes"),
        )),
        Err(error) => Err(ExitError::new(
            ErrorCode::InputInvalid,
            format!("cannot read stdin: {}", error.kind()),
        )),
    }
}

/// Arguments that the contract accepts; the row may not exist.
fn sample(capability: &Capability) -> Map<String, Json> {
    let needed = capability.args.iter().filter(|arg| capability.requires(arg));
    needed.map(|arg| (arg.name.clone(), sample_value(arg))).collect()
}

fn sample_value(arg: &Arg) -> Json {
    if let Some(first) = arg.allowed.as_ref().and_then(|allowed| allowed.first()) {
        return match first {
            Scalar::Null => Json::Null,
            Scalar::Bool(value) => json!(value),
            Scalar::Number(number) => number_json(number.as_str()),
            Scalar::Text(text) => json!(text),
        };
    }
    match arg.arg_type {
        ArgType::Boolean => json!(false),
        ArgType::Number => {
            let bound = arg.minimum.as_ref().or(arg.maximum.as_ref());
            bound.map_or_else(|| json!(1), |bound| number_json(bound.as_str()))
        }
        ArgType::Text => {
            let length = arg
                .max_length
                .and_then(|max| usize::try_from(max).ok())
                .unwrap_or(usize::MAX);
            json!(TEXT_SAMPLE.chars().take(length).collect::<String>())
        }
    }
}

fn number_json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| json!(1))
}

pub(super) fn print_json(called: &SmokeResult) -> Result<(), ExitError> {
    output::json(&json!({
        "ok": !called.answer.is_error,
        "tool": called.tool,
        "input": called.input,
        "result": called.answer.envelope,
        "cause": called.answer.cause,
        "store_path": called.store.as_ref().map(|path| path.to_string_lossy()),
    }))
}

fn show(called: &SmokeResult, context: &Context) -> Result<(), ExitError> {
    output::line(format!("tool      {}", output::safe(&called.tool)))?;
    output::line(format!(
        "input     {}",
        output::escaped_json(&Json::Object(called.input.clone()))
    ))?;
    if show_refusal(&called.answer)? {
        return if called.is_sample {
            output::line(
                "note: the sample values are placeholders; write the values of a row to a file and pass --input FILE",
            )
        } else {
            Ok(())
        };
    }
    for (column, value) in called.answer.data().into_iter().flatten() {
        output::line(format!(
            "  {} = {}",
            output::safe(column),
            output::safe(&shown(value))
        ))?;
        if let Some(cut) = cut_note(value, called.answer.whole_chars(column)) {
            output::line(cut)?;
        }
    }
    show_proposal(&called.answer, context)
}

/// Says how much of a value the result has, if the contract cuts it.
fn cut_note(value: &Json, whole: Option<u64>) -> Option<String> {
    let shown = value.as_str()?.chars().count();
    whole.map(|whole| format!("    (cut by `max_chars`: {shown} of {whole} characters; evidence has all)"))
}

/// Prints an error result; returns true if there is one.
pub(super) fn show_refusal(answer: &ToolCallResult) -> Result<bool, ExitError> {
    if !answer.is_error {
        return Ok(false);
    }
    let (code, message) = answer
        .refusal()
        .unwrap_or_else(|| (ErrorCode::Internal, answer.envelope.to_string()));
    output::line(format!("rejected  {}: {}", code, output::safe(&message)))?;
    show_call_cause(answer)?;
    output::line("source changed: no")?;
    Ok(true)
}

/// Prints what the operator may know beyond the result that an agent sees.
fn show_call_cause(answer: &ToolCallResult) -> Result<(), ExitError> {
    let Some(cause) = &answer.cause else {
        return match answer.correlation_id() {
            Some(id) => output::line(format!(
                "call      {}; the cause is in the log of the reader or the gateway, under this id",
                output::safe(id)
            )),
            None => Ok(()),
        };
    };
    show_cause(cause)?;
    if cause.fix.is_none() {
        let fix = fix_for(cause.code, cause.text.is_some());
        output::line(format!("fix: {fix}"))?;
    }
    Ok(())
}

/// Prints a cause with its id and its fix, as far as they are known.
pub(super) fn show_cause(cause: &RefusalCause) -> Result<(), ExitError> {
    let text = match &cause.text {
        Some(text) => format!(": {}", output::safe(text)),
        None => String::new(),
    };
    output::line(format!("cause     {}{text}", cause.code))?;
    if let Some(id) = &cause.correlation_id {
        output::line(format!("call      {}", output::safe(id)))?;
    }
    match &cause.fix {
        Some(fix) => output::line(format!("fix: {}", output::safe(fix))),
        None => Ok(()),
    }
}

/// Prints one change: a short one in one line, a long one by its differences; and its readable form.
fn show_change(column: &str, change: &Json) -> Result<(), ExitError> {
    let [before, after] =
        ["before", "proposed"].map(|side| change.get(side).map_or(Value::null(), text_value));
    let column = output::safe(column);
    let is_long = |value: &Value| value.as_text().is_some_and(|text| text.len() > SHORT_VALUE_CHARS);
    if is_long(&before) || is_long(&after) {
        output::line(format!("  {column}:"))?;
        output::text(&change_lines(&before, &after))?;
    } else {
        let spelled = |value: &Value| match value.as_text() {
            Some("") => "\"\"".to_owned(),
            text => output::safe(text.unwrap_or("null")),
        };
        // The result has the old value of visible columns only, and null for the others.
        let before = if before == Value::null() {
            "(null or not visible)".to_owned()
        } else {
            spelled(&before)
        };
        output::line(format!("  {column}: {before} -> {}", spelled(&after)))?;
    }
    let mut page = String::new();
    readable::change(&mut page, &column, &before, &after, VALUE_CHARS_MAX);
    output::text(&page)
}

fn text_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::null(),
        value => Value::text(shown(value)),
    }
}

/// Prints the ids of a result and the operator's next commands.
pub(super) fn show_proposal(answer: &ToolCallResult, context: &Context) -> Result<(), ExitError> {
    for (column, change) in answer.diff().into_iter().flatten() {
        show_change(column, change)?;
        if let Some(whole) = answer.whole_chars(column) {
            output::line(format!(
                "    (cut by `max_chars`; the longer value has {whole} characters)"
            ))?;
        }
    }
    if let Some(id) = answer.evidence_id() {
        output::line(format!("evidence  {}", output::safe(id)))?;
    }
    output::line("source changed: no")?;
    if let Some(id) = answer.proposal_id().map(output::safe) {
        output::line(format!("proposal  {id}"))?;
        output::line("next:")?;
        let commands: &[&str] = if answer.is_shadow() {
            &["proposals show", "shadow compare", "replay show"]
        } else {
            &["proposals show", "proposals approve", "apply", "replay show"]
        };
        for command in commands {
            let command = context.global.command(&format!("{command} {id}"));
            output::line(format!("  {command}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(object: Option<&str>, sample: bool) -> Input {
        Input {
            sample,
            input: None,
            input_object: object.map(str::to_owned),
        }
    }

    #[test]
    fn proposal_needs_arguments_or_a_requested_sample() {
        let code = |input: Input| input.require().map_err(|failure| failure.code());
        assert_eq!(code(input(None, false)), Err(ErrorCode::InputRequired));
        assert_eq!(code(input(None, true)), Ok(()));
        assert_eq!(code(input(Some("{}"), false)), Ok(()));
    }

    #[test]
    fn input_that_is_not_an_object_is_named() {
        let text = |given| input(Some(given), false).read(None).unwrap_err().to_string();
        for (given, kind) in [
            ("[{\"id\": 1}]", "it is a list"),
            ("\"x\"", "it is a string"),
            ("\"{\\\"id\\\": 1}\"", "a string that holds a JSON object"),
            ("7", "it is a number"),
        ] {
            assert!(text(given).contains(kind), "{}", text(given));
        }
    }

    #[test]
    fn cut_value_is_reported_with_its_length() {
        let cut = cut_note(&json!("abcé"), Some(900)).unwrap();
        assert!(cut.contains("4 of 900 characters"), "{cut}");
        assert_eq!(cut_note(&json!("abc"), None), None);
    }

    #[test]
    fn arguments_name_each_argument_once() {
        let read = |text| {
            input(Some(text), false)
                .read(None)
                .map_err(|failure| failure.code())
        };
        assert_eq!(read(r#"{"id": 1, "id": 2}"#), Err(ErrorCode::InputInvalid));
        assert_eq!(read("[1]"), Err(ErrorCode::InputInvalid));
        assert_eq!(read(""), Err(ErrorCode::InputInvalid));
        assert!(read(r#"{"id": 1}"#).is_ok());
    }
}
