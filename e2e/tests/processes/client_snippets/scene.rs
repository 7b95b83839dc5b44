//! Project directory of a desktop-client user: a contract, a database, an env file, and a shell that has set only
//! HOME and PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::Value as Json;
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::CliFixture;

pub(crate) const TOKEN_ENV: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";
pub(crate) const TOKEN: &str = "a-long-random-text-of-a-test";
pub(crate) const ENV_FILE: &str = "app.env";

/// All clients with a JSON or TOML file, each with its supported transports.
pub(crate) const CLIENTS: [(&str, &[&str]); 8] = [
    ("generic", &["stdio"]),
    ("generic-http", &["streamable-http"]),
    ("claude-desktop", &["stdio"]),
    ("claude-code", &["stdio", "streamable-http"]),
    ("cursor", &["stdio", "streamable-http"]),
    ("vscode", &["stdio", "streamable-http"]),
    ("codex", &["stdio", "streamable-http"]),
    ("gemini", &["stdio", "streamable-http"]),
];

/// Clients that take any tool name of the protocol.
pub(crate) fn takes_dots(client: &str) -> bool {
    matches!(client, "generic" | "generic-http")
}

/// Creates the directory; its variables are in the env file and not in the shell.
pub(crate) fn project() -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::new()?;
    let variables: String = place
        .environment
        .iter()
        .map(|(name, value)| format!("{name}='{value}'\n"))
        .collect();
    place.write(
        ENV_FILE,
        &format!("# for the server\n{variables}{TOKEN_ENV}={TOKEN}\n"),
    )?;
    fs::set_permissions(place.path(ENV_FILE), fs::Permissions::from_mode(0o600))?;
    place.environment = desktop(&place)?;
    fs::create_dir(place.path("home"))?;
    Ok(place)
}

/// Environment that a desktop client gives to its child processes.
pub(crate) fn desktop(place: &CliFixture) -> anyhow::Result<Vec<(String, String)>> {
    let path = format!("{}:/usr/bin:/bin", Build::Plain.folder()?.display());
    let home = place.path("home").display().to_string();
    Ok(vec![("PATH".to_owned(), path), ("HOME".to_owned(), home)])
}

/// Entry of one server in a client's file.
#[derive(Debug)]
pub(crate) struct Server {
    client: String,
    entry: Json,
    inputs: Json,
}

impl Server {
    /// Parses a file or a snippet as the client does.
    pub(crate) fn read(client: &str, text: &str) -> anyhow::Result<Self> {
        let whole: Json = if client == "codex" {
            let document: toml_edit::DocumentMut = text.parse()?;
            toml_json(document.as_item())?
        } else {
            serde_json::from_str(text).with_context(|| text.to_owned())?
        };
        let entry = match client {
            "generic" | "generic-http" => whole.clone(),
            "vscode" => whole["servers"]["synapsor"].clone(),
            "codex" => whole["mcp_servers"]["synapsor"].clone(),
            _ => whole["mcpServers"]["synapsor"].clone(),
        };
        anyhow::ensure!(entry.is_object(), "no server in {text}");
        Ok(Self {
            client: client.to_owned(),
            inputs: whole["inputs"].clone(),
            entry,
        })
    }

    /// Command that the client starts, in the client's working directory.
    pub(crate) fn command(&self, place: &CliFixture) -> anyhow::Result<tokio::process::Command> {
        let word = |value: &Json| {
            let text = value.as_str().context("a text")?;
            self.expanded(place, text)
        };
        let mut words = vec![word(&self.entry["command"])?];
        for argument in self.entry["args"].as_array().context("arguments")? {
            words.push(word(argument)?);
        }
        let folder = match self.client.as_str() {
            // Each client starts servers in its own working directory, which is not the project.
            "claude-desktop" | "codex" | "cursor" | "vscode" => place.path("home"),
            _ => place.folder().to_owned(),
        };
        Ok(desktop_command(place, &words, folder)?.into())
    }

    /// URL, and value of the Authorization header that the client sends.
    pub(crate) fn url_and_header(&self, place: &CliFixture) -> anyhow::Result<(String, String)> {
        let key = if self.client == "gemini" { "httpUrl" } else { "url" };
        let url = self.entry[key].as_str().context("a URL")?.to_owned();
        let header = if self.client == "codex" {
            let name = self.entry["bearer_token_env_var"]
                .as_str()
                .context("a variable")?;
            format!("Bearer {}", variable(name)?)
        } else {
            let text = self.entry["headers"]["Authorization"].as_str();
            self.expanded(place, text.context("a header")?)?
        };
        Ok((url, header))
    }

    /// Replaces `${…}` exactly where this client does.
    fn expanded(&self, place: &CliFixture, text: &str) -> anyhow::Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').context("an open ${")?;
            out.push_str(before);
            out.push_str(&match (self.client.as_str(), name.split_once(':')) {
                ("cursor" | "vscode", None) if name == "workspaceFolder" => {
                    place.folder().display().to_string()
                }
                ("claude-code" | "gemini" | "generic-http", None) => variable(name)?,
                ("cursor", Some(("env", name))) => variable(name)?,
                ("vscode", Some(("input", id))) => self.asked(id)?,
                _ => bail!("{} does not resolve ${{{name}}}", self.client),
            });
            rest = after;
        }
        Ok(out + rest)
    }

    /// Answer to an input prompt of the file, if the prompt exists and hides its input.
    fn asked(&self, id: &str) -> anyhow::Result<String> {
        let mut inputs = self.inputs.as_array().into_iter().flatten();
        let input = inputs
            .find(|input| input["id"] == *id)
            .context("no such question")?;
        anyhow::ensure!(
            input["type"] == "promptString" && input["password"] == true,
            "{input}"
        );
        variable(TOKEN_ENV)
    }
}

/// Command with the environment of a desktop client.
pub(crate) fn desktop_command(
    place: &CliFixture,
    words: &[String],
    folder: PathBuf,
) -> anyhow::Result<std::process::Command> {
    let environment = desktop(place)?;
    // The client searches the program along its own PATH.
    let program = if words[0].contains('/') {
        PathBuf::from(&words[0])
    } else {
        Build::Plain.binary(&words[0])?
    };
    let mut command = std::process::Command::new(program);
    command
        .args(&words[1..])
        .current_dir(folder)
        .env_clear()
        .envs(environment);
    Ok(command)
}

/// The client's own environment contains only the token.
fn variable(name: &str) -> anyhow::Result<String> {
    anyhow::ensure!(name == TOKEN_ENV, "client has no variable {name}");
    Ok(TOKEN.to_owned())
}

fn toml_json(item: &toml_edit::Item) -> anyhow::Result<Json> {
    if let Some(table) = item.as_table_like() {
        let members = table
            .iter()
            .map(|(key, item)| Ok((key.to_owned(), toml_json(item)?)));
        return Ok(Json::Object(members.collect::<anyhow::Result<_>>()?));
    }
    if let Some(list) = item.as_array() {
        let texts = list
            .iter()
            .map(|value| value.as_str().map(Json::from).context("a text"));
        return Ok(Json::Array(texts.collect::<anyhow::Result<_>>()?));
    }
    item.as_str().map(Json::from).context("a text")
}
