//! Lists the tools of a running MCP server in any protocol revision, over HTTP or over the pipes of a child process.

use std::fmt::Display;
use std::net::IpAddr;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, Url, redirect};
use rmcp::model::{PaginatedRequestParams, ProtocolVersion};
use rmcp::service::{ClientInitializeError, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::{Map, Value as Json};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use tokio::process::{Child, Command};

/// Maximum number of pages of a tool list.
const PAGES_MAX: usize = 100;
/// Maximum size of one event of a stream, in bytes.
const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;

type McpConnection = RunningService<RoleClient, ()>;

/// Handshakes, in the order in which they are tried: a server of an earlier revision may not answer the first.
fn handshakes() -> [ClientLifecycleMode; 2] {
    [
        ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        },
        ClientLifecycleMode::Initialize,
    ]
}

/// Returns the tools of a server over streamable HTTP as a JSON list.
pub(super) async fn tools_over_http(
    url: &str,
    bearer: Option<String>,
    timeout: Duration,
) -> Result<Json, ExitError> {
    let parsed: Url = url.parse().map_err(|_| invalid_url())?;
    if !matches!(parsed.scheme(), "http" | "https")
        || !parsed.username().is_empty()
        || parsed.password().is_some()
    {
        return Err(invalid_url());
    }
    if bearer.is_some() && !may_carry_token(&parsed) {
        let text = "the token is not sent to another machine without TLS";
        return Err(ExitError::new(ErrorCode::AuditTargetInvalid, text)
            .with_fix("pass an https URL, or unset the variable of --bearer-env"));
    }
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(timeout)
        .user_agent(concat!("synapsor-runner/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| invalid_url())?;
    let mut failed = None;
    for handshake in handshakes() {
        let mut config =
            StreamableHttpClientTransportConfig::with_uri(url).max_sse_event_size(EVENT_BYTES_MAX);
        if let Some(token) = &bearer {
            config = config.auth_header(token.clone());
        }
        let transport = StreamableHttpClientTransport::with_client(client.clone(), config);
        let connecting = ().serve_with_lifecycle(transport, handshake);
        match Box::pin(listed(connecting, timeout)).await {
            Ok(tools) => return Ok(tools),
            Err(why) => failed = Some(why),
        }
    }
    Err(unreachable(shown_url(url), failed))
}

/// Starts a server, lists its tools, and ends it. The server gets the variables of this process that a program needs
/// to start, and those of `variables`.
pub(super) async fn tools_over_stdio(
    words: &[String],
    variables: &Map<String, Json>,
    timeout: Duration,
) -> Result<Json, ExitError> {
    let mut failed = None;
    for handshake in handshakes() {
        let mut child = start(words, variables)?;
        let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
            break;
        };
        let connecting = ().serve_with_lifecycle((output, input), handshake);
        let result = Box::pin(listed(connecting, timeout)).await;
        end(&mut child).await;
        match result {
            Ok(tools) => return Ok(tools),
            Err(why) => failed = Some(why),
        }
    }
    Err(unreachable(&words[0], failed))
}

/// Variables that programs need to start. Credentials of this process are not among them.
const INHERITED: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "NODE_PATH",
];

fn start(words: &[String], variables: &Map<String, Json>) -> Result<Child, ExitError> {
    let inherited = INHERITED
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)));
    let own = variables
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?)));
    Command::new(&words[0])
        .args(&words[1..])
        .env_clear()
        .envs(inherited)
        .envs(own)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let text = format!("cannot start the MCP server `{}`: {}", words[0], error.kind());
            ExitError::new(ErrorCode::AuditTargetUnreachable, text)
                .with_fix("check that the program is installed and in PATH")
        })
}

/// Ends a server with the processes that it started.
async fn end(child: &mut Child) {
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(rustix::process::Pid::from_raw);
    if let Some(group) = id {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // Also ends with this process: the command kills it when dropped.
    let _ = child.kill().await;
}

/// Reason why a server listed no tools. Texts of the server stay out of it.
enum ListFailure {
    TimedOut,
    Handshake,
    List,
}

async fn listed(
    connecting: impl Future<Output = Result<McpConnection, ClientInitializeError>>,
    timeout: Duration,
) -> Result<Json, ListFailure> {
    let work = async {
        let server = connecting.await.map_err(|_| ListFailure::Handshake)?;
        let tools = pages(&server).await.map_err(|_| ListFailure::List);
        let _ = server.cancel().await;
        tools
    };
    tokio::time::timeout(timeout, work)
        .await
        .map_err(|_| ListFailure::TimedOut)?
}

async fn pages(server: &McpConnection) -> Result<Json, rmcp::ServiceError> {
    let (mut tools, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = PaginatedRequestParams::default().with_cursor(cursor);
        let page = server.list_tools(Some(page)).await?;
        let listed = page
            .tools
            .iter()
            .map(|tool| serde_json::to_value(tool).unwrap_or_default());
        tools.extend(listed);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(Json::Array(tools));
        }
    }
    // A part of a list would hide what is in the rest.
    Err(rmcp::ServiceError::UnexpectedResponse)
}

fn unreachable(server: impl Display, failed: Option<ListFailure>) -> ExitError {
    let why = match failed {
        Some(ListFailure::TimedOut) => "no answer in time",
        Some(ListFailure::List) => "the tool list was refused",
        Some(ListFailure::Handshake) | None => "the handshake failed",
    };
    ExitError::new(
        ErrorCode::AuditTargetUnreachable,
        format!("MCP server {server}: {why}"),
    )
    .with_fix("check address, command and token (--bearer-env), or pass a longer --timeout-ms")
}

/// Whether a token may be sent to this URL: over TLS, or to this machine.
fn may_carry_token(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    url.scheme() == "https" || host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn invalid_url() -> ExitError {
    ExitError::new(ErrorCode::AuditTargetInvalid, "invalid URL of an MCP server")
        .with_fix("pass an http or https URL without credentials; a token comes from --bearer-env")
}

/// Returns scheme, host, port and path of a URL.
pub(super) fn shown_url(url: &str) -> String {
    match url.parse::<Url>() {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        Err(_) => "[not a URL]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_url_has_no_credentials() {
        assert_eq!(
            shown_url("https://u:hunter2@host:8443/mcp?token=hunter2#hunter2"),
            "https://host:8443/mcp"
        );
        assert_eq!(shown_url("hunter2"), "[not a URL]");
    }

    #[tokio::test]
    async fn url_with_credentials_is_refused_without_repeating_them() {
        for url in ["https://u:hunter2@host/mcp", "ftp://hunter2/", "hunter2"] {
            let error = tools_over_http(url, None, Duration::from_secs(1))
                .await
                .unwrap_err();
            assert_eq!(error.code(), ErrorCode::AuditTargetInvalid, "{url}");
            assert!(!error.message().contains("u:hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn token_is_sent_without_tls_to_this_machine_only() {
        let token = Some("hunter2".to_owned());
        let error = tools_over_http("http://192.0.2.1:1/mcp", token, Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::AuditTargetInvalid);
        for (url, is_allowed) in [
            ("https://192.0.2.1/mcp", true),
            ("http://127.0.0.1:1/mcp", true),
            ("http://[::1]:1/mcp", true),
            ("http://localhost:1/mcp", true),
            ("http://localhost.example:1/mcp", false),
            ("http://[::2]:1/mcp", false),
        ] {
            assert_eq!(may_carry_token(&url.parse().unwrap()), is_allowed, "{url}");
        }
    }
}
