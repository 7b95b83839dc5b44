//! Every snippet starts a working session: handshake, list, one read.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::agent::Agent;
use synapsor_e2e::cli::{CliFixture, INVOICE, Running, until};

use super::scene::{CLIENTS, ENV_FILE, Server, TOKEN, TOKEN_ENV, desktop_command, project, takes_dots};

const READ: &str = "billing.inspect_invoice";
const READ_ALIAS: &str = "billing__inspect_invoice";
const UP: Duration = Duration::from_secs(30);

async fn reads(agent: &Agent, listed: &[&str], called: &str) -> anyhow::Result<()> {
    assert_eq!(agent.tools().await?, listed);
    let envelope = agent.call(called, json!({ "invoice_id": INVOICE })).await?;
    ensure!(envelope["ok"] == json!(true), "{envelope}");
    assert_eq!(envelope["data"]["id"], json!(INVOICE), "{envelope}");
    Ok(())
}

const CANONICAL: [&str; 3] = [READ, "billing.propose_late_fee_waiver", "proposals.status"];
const ALIASES: [&str; 3] = [
    READ_ALIAS,
    "billing__propose_late_fee_waiver",
    "proposals__status",
];

/// Names that the server of this client's snippet lists: strict clients take no dots.
fn listed_for(client: &str) -> &'static [&'static str] {
    if takes_dots(client) { &CANONICAL } else { &ALIASES }
}

#[tokio::test(flavor = "multi_thread")]
async fn stdio_snippet_starts_a_session_in_desktop_environment() -> anyhow::Result<()> {
    let place = project()?;
    for (client, _) in CLIENTS
        .iter()
        .filter(|(_, transports)| transports.contains(&"stdio"))
    {
        let printed = place.ok(&["mcp", "config", client, "--env-file", ENV_FILE])?;
        let server = Server::read(client, &printed.stdout)?;
        let agent = Agent::launched(server.command(&place)?)
            .await
            .with_context(|| format!("{client}: {printed}"))?;
        for called in [READ, READ_ALIAS] {
            reads(&agent, listed_for(client), called)
                .await
                .with_context(|| (*client).to_owned())?;
        }
        gateway_knows_no_secret(&place)?;
        agent.close().await;
    }
    // There is one state directory, the project's, independent of the client's working directory.
    ensure!(place.path(".synapsor").is_dir() && !place.path("home/.synapsor").exists());
    Ok(())
}

/// The gateway has no path of the env file, and none of its variables.
fn gateway_knows_no_secret(place: &CliFixture) -> anyhow::Result<()> {
    let all = place.processes()?;
    let mut gateways = all
        .iter()
        .filter(|(_, line)| line.contains("synapsor-gateway"))
        .peekable();
    ensure!(gateways.peek().is_some(), "no gateway among {all:?}");
    for (pid, line) in gateways {
        ensure!(!line.contains(ENV_FILE), "{line}");
        // Readable only by root.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        ensure!(
            !environment.contains("BILLING_") && !environment.contains(TOKEN),
            "{environment}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn alias_mode_of_a_snippet_reaches_the_tool_list() -> anyhow::Result<()> {
    let place = project()?;
    for (mode, listed) in [
        ("openai", ALIASES.to_vec()),
        (
            "both",
            CANONICAL
                .into_iter()
                .zip(ALIASES)
                .flat_map(|(name, alias)| [name, alias])
                .collect(),
        ),
    ] {
        let arguments = [
            "mcp",
            "config",
            "codex",
            "--env-file",
            ENV_FILE,
            "--alias-mode",
            mode,
        ];
        let server = Server::read("codex", &place.ok(&arguments)?.stdout)?;
        let agent = Agent::launched(server.command(&place)?).await?;
        for called in [READ, READ_ALIAS] {
            reads(&agent, &listed, called)
                .await
                .with_context(|| mode.to_owned())?;
        }
        agent.close().await;
    }
    Ok(())
}

/// Every name fits the pattern of the strictest interfaces, and the printed command carries the mode by itself.
#[tokio::test(flavor = "multi_thread")]
async fn strict_clients_get_names_that_they_take() -> anyhow::Result<()> {
    let place = project()?;
    for (client, transports) in CLIENTS {
        for transport in transports.iter().copied() {
            let arguments = [
                "mcp",
                "config",
                client,
                "--transport",
                transport,
                "--env-file",
                ENV_FILE,
            ];
            let printed = place.json(&arguments)?;
            let words = printed["server_command"]["args"].to_string();
            let has_mode = words.contains(r#""--alias-mode","openai""#);
            assert_eq!(has_mode, !takes_dots(client), "{client} {transport}: {words}");
            let profile = printed["schema_profile"].as_str().unwrap_or_default();
            let expected = match client {
                "generic" | "generic-http" => "full",
                "codex" => "openai-strict",
                "gemini" => "gemini",
                _ => "lean",
            };
            assert_eq!(profile, expected, "{client}");
            let is_passed = words.contains(&format!(r#""--schema-profile","{profile}""#));
            assert_eq!(is_passed, profile != "full", "{client} {transport}: {words}");
            assert_eq!(printed["warnings"], json!([]), "{client} {transport}");
        }
    }
    for name in ALIASES {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        ensure!(
            (1..=64).contains(&name.len()) && name.bytes().all(is_plain),
            "{name}"
        );
    }
    let dotted = place.json(&["mcp", "config", "cursor", "--alias-mode", "both"])?;
    ensure!(
        dotted["warnings"].to_string().contains("--alias-mode openai")
            && dotted["warnings"][0]["code"] == "TOOL_NAME_DOTS"
            && dotted["warnings"][0]["fix"].is_string(),
        "{dotted}"
    );
    let long = place.json(&["mcp", "config", "cursor", "--name", &"s".repeat(40)])?;
    let warnings = long["warnings"].to_string();
    ensure!(
        warnings.contains("Cursor hides the tool of more than 60 characters"),
        "{warnings}"
    );
    let remote = [
        "mcp",
        "config",
        "vscode",
        "--transport",
        "streamable-http",
        "--url",
        "https://a.example/mcp",
    ];
    let remote = place.json(&remote)?;
    ensure!(
        remote["warnings"].to_string().contains("start the remote server"),
        "{remote}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_name_the_clients_that_refuse_their_names() -> anyhow::Result<()> {
    let place = project()?;
    for (mode, is_named) in [("canonical", true), ("both", true), ("openai", false)] {
        let words = [
            "synapsor-runner",
            "mcp",
            "serve-streamable-http",
            "--port",
            "0",
            "--env-file",
            ENV_FILE,
        ];
        let words: Vec<String> = words
            .into_iter()
            .chain(["--alias-mode", mode])
            .map(str::to_owned)
            .collect();
        let command = desktop_command(&place, &words, place.folder().to_owned())?;
        let mut running = Ended(Running::of(command, &["a server"])?);
        let mut printed = String::new();
        until(UP, || {
            printed = running.0.printed()?.1;
            ensure!(running.0.child.try_wait()?.is_none(), "it ended: {printed}");
            Ok(printed.contains("state "))
        })?;
        assert_eq!(printed.contains("Claude Desktop"), is_named, "{mode}: {printed}");
        assert_eq!(
            printed.contains("--alias-mode openai"),
            is_named,
            "{mode}: {printed}"
        );
    }
    Ok(())
}

/// The bytes that `tools list` counts are the bytes that a client gets.
#[tokio::test(flavor = "multi_thread")]
async fn reported_cost_equals_the_response_size() -> anyhow::Result<()> {
    let place = project()?;
    for (mode, profile) in [
        ("canonical", "full"),
        ("both", "full"),
        ("openai", "lean"),
        ("openai", "gemini"),
        ("openai", "openai-strict"),
    ] {
        let form = ["--alias-mode", mode, "--schema-profile", profile];
        let reported = place.json(&[&["tools", "list"][..], &form].concat())?;
        let arguments = [&["mcp", "config", "generic", "--env-file", ENV_FILE][..], &form].concat();
        let server = Server::read("generic", &place.ok(&arguments)?.stdout)?;
        let agent = Agent::launched(server.command(&place)?).await?;
        let bytes = agent.tool_list().await?.to_string().len();
        agent.close().await;
        assert_eq!(reported["list_cost"]["bytes"], json!(bytes), "{mode}: {reported}");
        assert_eq!(
            reported["list_cost"]["tokens_estimated"],
            json!(bytes.div_ceil(4))
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lean_tools_and_small_text_cost_a_model_little() -> anyhow::Result<()> {
    let place = project()?;
    let form = [
        "tools",
        "list",
        "--alias-mode",
        "openai",
        "--schema-profile",
        "lean",
    ];
    let reported = place.json(&form)?;
    for tool in reported["list_cost"]["tools"].as_array().context("tools")? {
        let (name, bytes) = (tool["name"].as_str().unwrap_or_default(), tool["bytes"].as_u64());
        let most = if name.contains("propose") { 1_400 } else { 1_000 };
        ensure!(bytes.is_some_and(|bytes| bytes <= most), "{name}: {bytes:?}");
    }
    let printed = place.ok(&["mcp", "config", "claude-desktop", "--env-file", ENV_FILE])?;
    let server = Server::read("claude-desktop", &printed.stdout)?;
    let agent = Agent::launched(server.command(&place)?).await?;
    let (envelope, text) = agent
        .call_with_text(READ_ALIAS, json!({ "invoice_id": INVOICE }))
        .await?;
    ensure!(text.len() <= 390, "{} bytes: {text}", text.len());
    let row = envelope["data"].to_string().len();
    ensure!(
        text.len() <= row * 3 / 2 + 150,
        "{} for {row}: {text}",
        text.len()
    );
    let small: Json = serde_json::from_str(&text)?;
    assert_eq!(small["data"], envelope["data"]);
    let (_, missing) = agent
        .call_with_text(READ_ALIAS, json!({"invoice_id": "no such invoice"}))
        .await?;
    ensure!(missing.contains("Correlation id: qa_"), "{missing}");
    agent.close().await;
    Ok(())
}

/// Server that runs until it is dropped.
struct Served {
    _running: Ended,
}

struct Ended(Running);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.signal(rustix::process::Signal::TERM);
        let _ = self.0.child.wait();
    }
}

/// Starts the command that was printed with a snippet, from the project's directory.
fn served(place: &CliFixture, printed: &Json) -> anyhow::Result<Served> {
    let launch = &printed["server_command"];
    let mut words = vec![launch["command"].as_str().context("a command")?.to_owned()];
    for word in launch["args"].as_array().context("arguments")? {
        words.push(word.as_str().context("a text")?.to_owned());
    }
    let command = desktop_command(place, &words, place.folder().to_owned())?;
    let mut running = Ended(Running::of(command, &["the printed server command"])?);
    until(UP, || {
        let (_, stderr) = running.0.printed()?;
        ensure!(running.0.child.try_wait()?.is_none(), "it ended: {stderr}");
        Ok(stderr.contains("serving http://"))
    })?;
    Ok(Served { _running: running })
}

fn free_port() -> anyhow::Result<String> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(taken.local_addr()?.port().to_string())
}

async fn reads_over_http(url: &str, header: &str, listed: &[&str]) -> anyhow::Result<()> {
    let token = header.strip_prefix("Bearer ").context("a bearer token")?;
    ensure!(
        Agent::at_url(url, "another-token").await.is_err(),
        "every token is accepted"
    );
    let agent = Agent::at_url(url, token).await?;
    reads(&agent, listed, listed[0]).await?;
    agent.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_snippet_connects_to_its_printed_server() -> anyhow::Result<()> {
    let place = project()?;
    for (client, _) in CLIENTS
        .iter()
        .filter(|(_, transports)| transports.contains(&"streamable-http"))
    {
        let port = free_port()?;
        let arguments = [
            "mcp",
            "configure",
            "--client",
            client,
            "--transport",
            "streamable-http",
            "--port",
            &port,
            "--env-file",
            ENV_FILE,
        ];
        let text = place.ok(&arguments)?.stdout;
        let printed = place.json(&arguments)?;
        assert_eq!(printed["snippet_text"], json!(text), "{client}");
        let _served = served(&place, &printed).with_context(|| (*client).to_owned())?;
        let (url, header) = Server::read(client, &text)?.url_and_header(&place)?;
        reads_over_http(&url, &header, listed_for(client))
            .await
            .with_context(|| (*client).to_owned())?;
    }
    Ok(())
}

/// Stub of the SDK's classes: prints the values that the program passes to them.
const STUB: &str = "import json\n\n\nclass MCPServerStreamableHttp:\n    def __init__(self, name, params):\n        self.name, self.params = name, params\n\n    async def __aenter__(self):\n        print(json.dumps({'name': self.name, **self.params}))\n        return self\n\n    async def __aexit__(self, *error):\n        return None\n";
const STUB_TOP: &str = "class Agent:\n    def __init__(self, name, instructions, mcp_servers):\n        self.mcp_servers = mcp_servers\n\n\nclass Runner:\n    @staticmethod\n    async def run(agent, question):\n        assert len(agent.mcp_servers) == 1\n        return type('Result', (), {'final_output': 'done'})\n";

#[tokio::test(flavor = "multi_thread")]
async fn agents_sdk_snippet_connects_to_its_printed_server() -> anyhow::Result<()> {
    let place = project()?;
    let port = free_port()?;
    let arguments = [
        "mcp",
        "client-config",
        "openai-agents",
        "--port",
        &port,
        "--env-file",
        ENV_FILE,
    ];
    place.write("program.py", &place.ok(&arguments)?.stdout)?;
    std::fs::create_dir(place.path("agents"))?;
    place.write("agents/__init__.py", STUB_TOP)?;
    place.write("agents/mcp.py", STUB)?;
    let ran = Command::new("python3")
        .arg(place.path("program.py"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env(TOKEN_ENV, TOKEN)
        .output()
        .context("python3 is needed to run the program")?;
    ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let shown = String::from_utf8(ran.stdout)?;
    let mut lines = shown.lines();
    let handed: Json = serde_json::from_str(lines.next().context("the stub's line")?)?;
    assert_eq!(lines.next(), Some("done"));
    assert_eq!(handed["name"], json!("synapsor"));

    let printed = place.json(&arguments)?;
    let sdk = &printed["snippet"]["openai_agents_sdk"];
    assert_eq!(handed["url"], sdk["url"], "the code and the object name one URL");
    let names = &printed["snippet"]["tool_names"];
    assert_eq!(names["canonical"], json!(CANONICAL));
    assert_eq!(names["model_visible_with_alias_mode_openai"], json!(ALIASES));
    assert_eq!(
        printed["snippet"]["start_server"]["args"],
        printed["server_command"]["args"]
    );
    let _served = served(&place, &printed)?;
    let header = handed["headers"]["Authorization"].as_str().context("a header")?;
    reads_over_http(handed["url"].as_str().context("a URL")?, header, &ALIASES).await
}
