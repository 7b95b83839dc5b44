//! Resolves the target of an audit to its tools.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json};
use synapsor_chassis::files::{self, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::Contract;
use synapsor_domain::tool::{AliasMode, Catalog};
use synapsor_domain::tool_audit::{AuditedTool, tools_of};

use super::{AuditArgs, Example, remote};
use crate::Context;

/// Maximum size of a file with tools, in bytes.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Maximum number of servers of a client configuration.
const SERVERS_MAX: usize = 64;

/// Tools of a target.
pub(super) struct AuditTarget {
    /// The target as the report names it, without credentials.
    pub(super) name: String,
    pub(super) tools: Vec<AuditedTool>,
}

pub(super) async fn read(
    args: &AuditArgs,
    timeout: Duration,
    context: &Context,
) -> Result<AuditTarget, ExitError> {
    let http = async |url: &str| of_http(url, args, timeout, context).await;
    if let Some(Example::DangerousDbMcp) = args.example {
        let document: Json = serde_json::from_str(include_str!("dangerous-db-mcp.json"))
            .map_err(|error| not_json("the example", &error))?;
        return Ok(AuditTarget {
            name: "example dangerous-db-mcp".to_owned(),
            tools: tools_of(&document),
        });
    }
    if let Some(path) = &args.mcp_config {
        return of_client_file(&document(path)?, path, timeout).await;
    }
    if let Some(url) = &args.url {
        return http(url).await;
    }
    if let Some(command) = &args.stdio {
        return of_command(command, timeout).await;
    }
    let target = args.audit_target.as_deref().unwrap_or_default();
    if target.starts_with("http://") || target.starts_with("https://") {
        return http(target).await;
    }
    if let Some(command) = target.strip_prefix("stdio:") {
        return of_command(command, timeout).await;
    }
    of_file(Path::new(target))
}

async fn of_http(
    url: &str,
    args: &AuditArgs,
    timeout: Duration,
    context: &Context,
) -> Result<AuditTarget, ExitError> {
    let bearer = context.env.get(&args.bearer_env)?;
    let tools = remote::tools_over_http(url, bearer, timeout).await?;
    Ok(AuditTarget {
        name: remote::shown_url(url),
        tools: tools_of(&tools),
    })
}

/// Starts a command of words separated by blanks; quotes keep blanks.
async fn of_command(command: &str, timeout: Duration) -> Result<AuditTarget, ExitError> {
    let words = split(command)?;
    let tools = remote::tools_over_stdio(&words, &Map::new(), timeout).await?;
    Ok(AuditTarget {
        // Arguments may hold credentials.
        name: format!("stdio:{}", words[0]),
        tools: tools_of(&tools),
    })
}

/// Reads a contract, or a file with tools.
fn of_file(path: &Path) -> Result<AuditTarget, ExitError> {
    let bytes = bytes_of(path)?;
    let document: Json =
        serde_json::from_slice(&bytes).map_err(|error| not_json(&path.display().to_string(), &error))?;
    let tools =
        if document.get("capabilities").is_some_and(Json::is_array) && document.get("version").is_some() {
            of_contract(&bytes, path)?
        } else if document
            .get("mcpServers")
            .or_else(|| document.get("servers"))
            .is_some_and(has_servers)
        {
            let text = format!("{} is an MCP client configuration", path.display());
            return Err(ExitError::new(ErrorCode::AuditTargetInvalid, text)
                .with_fix("pass it with --mcp-config, which starts the servers with a command"));
        } else {
            tools_of(&document)
        };
    Ok(AuditTarget {
        name: path.display().to_string(),
        tools,
    })
}

/// Whether a map of servers names programs or addresses instead of tools.
fn has_servers(servers: &Json) -> bool {
    let servers = servers.as_object().into_iter().flatten();
    let is_server = |server: &Json| {
        (server.get("command").is_some() || server.get("url").is_some()) && server.get("tools").is_none()
    };
    servers.map(|(_, server)| server).any(is_server)
}

fn of_contract(bytes: &[u8], path: &Path) -> Result<Vec<AuditedTool>, ExitError> {
    let valid = Contract::parse(bytes).map_err(|report| crate::contract_file::invalid(path, &report))?;
    let catalog = Catalog::from_contract(&valid.contract, false);
    let format = valid.contract.result_format();
    let tools = catalog.exposed(&catalog.names(AliasMode::Canonical));
    let listed: Vec<Json> = tools.iter().map(|tool| tool.listed(format)).collect();
    Ok(tools_of(&Json::Array(listed)))
}

/// Audits every server of a client configuration as one list; each tool is named with its server.
async fn of_client_file(document: &Json, path: &Path, timeout: Duration) -> Result<AuditTarget, ExitError> {
    let servers = document.get("mcpServers").or_else(|| document.get("servers"));
    let Some(servers) = servers
        .and_then(Json::as_object)
        .filter(|servers| !servers.is_empty())
    else {
        let text = format!("{} names no MCP server", path.display());
        return Err(ExitError::new(ErrorCode::AuditTargetInvalid, text).with_fix(
            "pass a file with `mcpServers` or `servers`, or the tools themselves without --mcp-config",
        ));
    };
    if servers.len() > SERVERS_MAX {
        let text = format!("{} names more than {SERVERS_MAX} MCP servers", path.display());
        return Err(
            ExitError::new(ErrorCode::AuditTargetInvalid, text).with_fix("audit them in several files")
        );
    }
    let mut tools = Vec::new();
    for (name, server) in servers {
        let listed = match (
            server.get("command").and_then(Json::as_str),
            server.get("url").and_then(Json::as_str),
        ) {
            (Some(command), _) => {
                let arguments = server.get("args").and_then(Json::as_array).into_iter().flatten();
                let arguments = arguments.filter_map(Json::as_str).map(str::to_owned);
                let words: Vec<String> = std::iter::once(command.to_owned()).chain(arguments).collect();
                let none = Map::new();
                let variables = server.get("env").and_then(Json::as_object).unwrap_or(&none);
                remote::tools_over_stdio(&words, variables, timeout).await
            }
            (None, Some(url)) => remote::tools_over_http(url, own_bearer(server), timeout).await,
            (None, None) => Ok(server.clone()),
        };
        let listed = listed.map_err(|error| error.of_process(&format!("MCP server `{name}`")))?;
        tools.extend(tools_of(&listed).into_iter().map(|tool| AuditedTool {
            name: format!("{name}/{}", tool.name),
            ..tool
        }));
    }
    Ok(AuditTarget {
        name: path.display().to_string(),
        tools,
    })
}

/// Returns the bearer token among the headers of a server in a client configuration. The token of this command is for
/// the server that the command line names.
fn own_bearer(server: &Json) -> Option<String> {
    let headers = server.get("headers").and_then(Json::as_object)?;
    let (_, value) = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))?;
    value.as_str()?.strip_prefix("Bearer ").map(str::to_owned)
}

fn document(path: &Path) -> Result<Json, ExitError> {
    serde_json::from_slice(&bytes_of(path)?).map_err(|error| not_json(&path.display().to_string(), &error))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, ExitError> {
    files::read_bounded(path, FILE_BYTES_MAX).map_err(|error| match error {
        FileError::Missing(path) => {
            let text = format!("file {} not found", path.display());
            ExitError::new(ErrorCode::AuditTargetInvalid, text)
                .with_fix("pass the path of a JSON file, an http(s) URL, or stdio:COMMAND")
        }
        other => other.into(),
    })
}

fn not_json(name: &str, error: &serde_json::Error) -> ExitError {
    let text = format!(
        "{name} is not JSON (line {}, column {})",
        error.line(),
        error.column()
    );
    ExitError::new(ErrorCode::AuditTargetInvalid, text).with_fix("pass a JSON file that lists tools")
}

/// Splits a command line into words, as a POSIX shell does with quotes and backslashes, without any expansion.
fn split(command: &str) -> Result<Vec<String>, ExitError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = command.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if quote.is_some() || words.is_empty() {
        let text = "the command of the MCP server is empty or has an open quote";
        return Err(ExitError::new(ErrorCode::AuditTargetInvalid, text)
            .with_fix("pass the program and its arguments"));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_split_like_in_a_shell() {
        for (command, words) in [
            ("npx -y server", vec!["npx", "-y", "server"]),
            (
                "a 'b c' \"d \\\" e\" f\\ g ''",
                vec!["a", "b c", "d \" e", "f g", ""],
            ),
        ] {
            assert_eq!(split(command).unwrap(), words);
        }
        for command in ["", "  ", "a 'b"] {
            assert_eq!(split(command).unwrap_err().code(), ErrorCode::AuditTargetInvalid);
        }
    }

    #[test]
    fn client_configuration_is_not_read_as_a_tool_list() {
        assert!(has_servers(&serde_json::json!({"a": {"command": "x"}})));
        assert!(has_servers(
            &serde_json::json!({"a": {"url": "http://127.0.0.1:1/mcp"}})
        ));
        assert!(!has_servers(
            &serde_json::json!({"a": {"command": "x", "tools": []}})
        ));
    }
}
