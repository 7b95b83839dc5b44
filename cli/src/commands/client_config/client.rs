//! Supported MCP clients: their transports and the paths of their configuration files. The file content is in
//! `snippet`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::tool::SchemaProfile;

use crate::commands::mcp_options::TransportArg;

/// Variables from which the path of a user's configuration file follows.
const HOME: &str = "HOME";
const CODEX_HOME: &str = "CODEX_HOME";
const CONFIG_HOME: &str = "XDG_CONFIG_HOME";

/// A program that connects to MCP servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// Any client that starts a command
    #[value(alias = "generic-stdio")]
    Generic,
    /// Any client that connects to a URL
    GenericHttp,
    /// Claude Desktop
    #[value(alias = "claude")]
    ClaudeDesktop,
    /// Claude Code
    ClaudeCode,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
    /// Codex
    Codex,
    /// Gemini CLI
    Gemini,
    /// A program with the OpenAI Agents SDK
    OpenaiAgents,
}

/// Format of a client's configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientFileFormat {
    /// JSON, with or without comments.
    Json,
    Toml,
}

impl Client {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::GenericHttp => "generic-http",
            Self::ClaudeDesktop => "claude-desktop",
            Self::ClaudeCode => "claude-code",
            Self::Cursor => "cursor",
            Self::Vscode => "vscode",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::OpenaiAgents => "openai-agents",
        }
    }

    pub(super) const fn format(self) -> ClientFileFormat {
        match self {
            Self::Codex => ClientFileFormat::Toml,
            Self::Generic
            | Self::GenericHttp
            | Self::ClaudeDesktop
            | Self::ClaudeCode
            | Self::Cursor
            | Self::Vscode
            | Self::Gemini
            | Self::OpenaiAgents => ClientFileFormat::Json,
        }
    }

    /// Key of the file that holds the servers.
    pub(super) const fn servers_key(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            Self::Codex => "mcp_servers",
            Self::Generic
            | Self::GenericHttp
            | Self::ClaudeDesktop
            | Self::ClaudeCode
            | Self::Cursor
            | Self::Gemini
            | Self::OpenaiAgents => "mcpServers",
        }
    }

    /// Whether the client starts servers in its own working directory and with its own PATH.
    pub(super) const fn needs_absolute_paths(self) -> bool {
        match self {
            Self::ClaudeDesktop | Self::Codex => true,
            Self::Generic
            | Self::GenericHttp
            | Self::ClaudeCode
            | Self::Cursor
            | Self::Vscode
            | Self::Gemini
            | Self::OpenaiAgents => false,
        }
    }

    /// Whether the client, or the model behind it, refuses tool names with dots.
    pub(super) const fn refuses_dots(self) -> bool {
        match self {
            Self::ClaudeDesktop
            | Self::ClaudeCode
            | Self::Cursor
            | Self::Vscode
            | Self::Codex
            | Self::Gemini
            | Self::OpenaiAgents => true,
            Self::Generic | Self::GenericHttp => false,
        }
    }

    /// Form of the tools that the client takes at the lowest cost.
    pub(super) const fn schema_profile(self) -> SchemaProfile {
        match self {
            Self::ClaudeDesktop | Self::ClaudeCode | Self::Cursor | Self::Vscode => SchemaProfile::Lean,
            Self::Codex | Self::OpenaiAgents => SchemaProfile::OpenAiStrict,
            Self::Gemini => SchemaProfile::Gemini,
            Self::Generic | Self::GenericHttp => SchemaProfile::Full,
        }
    }

    /// Name of the client in [`synapsor_domain::tool::NAME_LIMITS`], if it is listed there.
    pub(super) const fn limited_as(self) -> Option<&'static str> {
        match self {
            Self::ClaudeDesktop => Some("Claude Desktop"),
            Self::ClaudeCode => Some("Claude Code"),
            Self::Cursor => Some("Cursor"),
            Self::Gemini => Some("Gemini"),
            Self::Vscode | Self::Codex | Self::OpenaiAgents | Self::Generic | Self::GenericHttp => None,
        }
    }

    /// Whether the client cuts long descriptions of tools, or may be one that does.
    pub(super) const fn may_cut_descriptions(self) -> bool {
        match self {
            Self::ClaudeCode | Self::Generic | Self::GenericHttp => true,
            Self::ClaudeDesktop
            | Self::Cursor
            | Self::Vscode
            | Self::Codex
            | Self::Gemini
            | Self::OpenaiAgents => false,
        }
    }

    /// Prefix of a path relative to the project.
    pub(super) const fn project_prefix(self) -> &'static str {
        match self {
            Self::Cursor | Self::Vscode => "${workspaceFolder}/",
            Self::Generic
            | Self::GenericHttp
            | Self::ClaudeDesktop
            | Self::ClaudeCode
            | Self::Codex
            | Self::Gemini
            | Self::OpenaiAgents => "",
        }
    }

    /// Returns the requested transport, or the client's default.
    ///
    /// # Errors
    /// `CLIENT_TRANSPORT_UNSUPPORTED` when the client's file does not support it.
    pub(super) fn transport(self, asked: Option<TransportArg>) -> Result<TransportArg, ExitError> {
        let only_http = matches!(self, Self::GenericHttp | Self::OpenaiAgents);
        let transport = asked.unwrap_or(if only_http {
            TransportArg::StreamableHttp
        } else {
            TransportArg::Stdio
        });
        let fix = match (self, transport) {
            (Self::ClaudeDesktop, TransportArg::StreamableHttp) => {
                "use --transport stdio; add remote servers in Claude Desktop's settings, under Connectors"
            }
            (Self::GenericHttp, TransportArg::Stdio) => "use the client generic",
            (Self::OpenaiAgents, TransportArg::Stdio) => "use --transport streamable-http",
            (_, TransportArg::Stdio | TransportArg::StreamableHttp) => return Ok(transport),
        };
        let text = format!("transport not supported by {}", self.as_str());
        Err(ExitError::new(ErrorCode::ClientTransportUnsupported, text).with_fix(fix))
    }

    /// Path of the client's file: in the current directory for clients with a file per project, else the
    /// user's.
    pub(super) fn destination(self, env: &EnvVars) -> Result<Option<PathBuf>, ExitError> {
        Ok(match self {
            Self::Generic | Self::GenericHttp | Self::OpenaiAgents => None,
            Self::ClaudeCode => Some(PathBuf::from(".mcp.json")),
            Self::Cursor => Some(PathBuf::from(".cursor/mcp.json")),
            Self::Vscode => Some(PathBuf::from(".vscode/mcp.json")),
            Self::Gemini => Some(PathBuf::from(".gemini/settings.json")),
            Self::ClaudeDesktop => {
                let folder = if cfg!(target_os = "macos") {
                    in_home(env, "Library/Application Support")?
                } else {
                    named_folder(env, CONFIG_HOME, ".config")?
                };
                folder.map(|folder| folder.join("Claude/claude_desktop_config.json"))
            }
            Self::Codex => named_folder(env, CODEX_HOME, ".codex")?.map(|folder| folder.join("config.toml")),
        })
    }

    /// Variables of which one has to be set for [`Self::destination`].
    pub(super) const fn destination_variables(self) -> &'static [&'static str] {
        match self {
            Self::ClaudeDesktop if cfg!(target_os = "macos") => &[HOME],
            Self::ClaudeDesktop => &[HOME, CONFIG_HOME],
            Self::Codex => &[HOME, CODEX_HOME],
            Self::Generic
            | Self::GenericHttp
            | Self::OpenaiAgents
            | Self::ClaudeCode
            | Self::Cursor
            | Self::Vscode
            | Self::Gemini => &[],
        }
    }
}

/// The directory named by the variable if it is absolute, else `usual` in the user's home.
fn named_folder(env: &EnvVars, name: &str, usual: &str) -> Result<Option<PathBuf>, ExitError> {
    let named = env.get(name)?.map(PathBuf::from);
    match named.filter(|path| path.is_absolute()) {
        Some(path) => Ok(Some(path)),
        None => in_home(env, usual),
    }
}

fn in_home(env: &EnvVars, folder: &str) -> Result<Option<PathBuf>, ExitError> {
    let home = env.get(HOME)?;
    Ok(home.map(|home| Path::new(&home).join(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destination_matches_client_default_path() {
        let path_of = |client: Client, env: &[(&str, &str)]| {
            let env = EnvVars::fixed(env.iter().copied());
            client
                .destination(&env)
                .unwrap()
                .map(|path| path.display().to_string())
        };
        let home = [("HOME", "/home/a")];
        assert_eq!(
            path_of(Client::Codex, &home).as_deref(),
            Some("/home/a/.codex/config.toml")
        );
        let own = [
            ("HOME", "/home/a"),
            ("CODEX_HOME", "/c"),
            ("XDG_CONFIG_HOME", "x"),
        ];
        assert_eq!(path_of(Client::Codex, &own).as_deref(), Some("/c/config.toml"));
        assert_eq!(path_of(Client::Vscode, &[]).as_deref(), Some(".vscode/mcp.json"));
        assert_eq!(path_of(Client::Codex, &[]), None);
        assert_eq!(path_of(Client::Generic, &home), None);
        if cfg!(target_os = "linux") {
            let usual = "/home/a/.config/Claude/claude_desktop_config.json";
            assert_eq!(path_of(Client::ClaudeDesktop, &own).as_deref(), Some(usual));
        }
    }

    #[test]
    fn only_clients_that_cut_descriptions_are_warned_of_it() {
        for client in [Client::ClaudeCode, Client::Generic, Client::GenericHttp] {
            assert!(client.may_cut_descriptions(), "{client:?}");
        }
        for client in [
            Client::Gemini,
            Client::Cursor,
            Client::ClaudeDesktop,
            Client::Vscode,
        ] {
            assert!(!client.may_cut_descriptions(), "{client:?}");
        }
    }

    #[test]
    fn rejects_unsupported_client_transport() {
        use TransportArg::{Stdio, StreamableHttp};
        assert_eq!(Client::Cursor.transport(None).unwrap(), Stdio);
        assert_eq!(Client::OpenaiAgents.transport(None).unwrap(), StreamableHttp);
        for (client, transport) in [
            (Client::ClaudeDesktop, StreamableHttp),
            (Client::GenericHttp, Stdio),
            (Client::OpenaiAgents, Stdio),
        ] {
            let failure = client.transport(Some(transport)).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ClientTransportUnsupported);
        }
    }
}
