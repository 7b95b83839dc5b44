//! Entry of one server in a client's file, as values and as text. Pure.

use serde_json::{Map, Value as Json, json};
use synapsor_chassis::run::ExitError;

use super::client::{Client, ClientFileFormat};
use super::file;
use super::server::ServerAccess;

/// Members of an entry that this program writes. Other members of an existing entry belong to the user and are
/// preserved.
pub(super) const OWN_MEMBERS: [&str; 7] = [
    "type",
    "command",
    "args",
    "url",
    "httpUrl",
    "headers",
    "bearer_token_env_var",
];

/// One server entry of a client's file.
#[derive(Clone, Debug)]
pub(super) struct Snippet {
    pub(super) format: ClientFileFormat,
    /// Key that holds the servers.
    pub(super) servers_key: &'static str,
    /// Server name.
    pub(super) name: String,
    pub(super) entry: Map<String, Json>,
    /// Prompt of the client for its user, if the file supports one.
    pub(super) input: Option<Json>,
    /// Id of that prompt, whether or not it is used.
    pub(super) input_id: Option<String>,
    /// Whether the client's file consists of the entry alone.
    is_bare: bool,
}

impl Snippet {
    pub(super) fn of(client: Client, name: &str, way: &ServerAccess) -> Self {
        let input_id = (client == Client::Vscode).then(|| format!("{name}-token"));
        let entry = match way {
            ServerAccess::Stdio(launch) => {
                let mut entry = launch.json();
                if client == Client::Vscode {
                    entry = json!({"type": "stdio", "command": launch.command, "args": launch.args});
                }
                entry
            }
            ServerAccess::Http {
                url, signs_in: true, ..
            } if client != Client::OpenaiAgents => match client {
                Client::Codex | Client::Cursor => json!({"url": url}),
                Client::Gemini => json!({"httpUrl": url}),
                _ => json!({"type": "http", "url": url}),
            },
            ServerAccess::Http { url, token_env, .. } => match client {
                Client::Codex => json!({"url": url, "bearer_token_env_var": token_env}),
                Client::Cursor => json!({"url": url, "headers": bearer(&format!("${{env:{token_env}}}"))}),
                Client::Vscode => {
                    json!({"type": "http", "url": url, "headers": bearer(&format!("${{input:{name}-token}}"))})
                }
                Client::Gemini => {
                    json!({"httpUrl": url, "headers": bearer(&format!("${{{token_env}}}"))})
                }
                Client::Generic
                | Client::GenericHttp
                | Client::ClaudeDesktop
                | Client::ClaudeCode
                | Client::OpenaiAgents => {
                    json!({"type": "http", "url": url, "headers": bearer(&format!("${{{token_env}}}"))})
                }
            },
        };
        let Json::Object(entry) = entry else {
            unreachable!("every arm builds an object")
        };
        let asks = matches!(way, ServerAccess::Http { signs_in: false, .. });
        let input = input_id.as_ref().filter(|_| asks).map(|id| {
            json!({"type": "promptString", "id": id, "description": format!("Bearer token of {name}"), "password": true})
        });
        Self {
            format: client.format(),
            servers_key: client.servers_key(),
            name: name.to_owned(),
            entry,
            input,
            input_id,
            is_bare: matches!(client, Client::Generic | Client::GenericHttp),
        }
    }

    /// Returns the snippet as JSON, even if the client's file uses another format.
    pub(super) fn json(&self) -> Json {
        if self.is_bare {
            return Json::Object(self.entry.clone());
        }
        let mut whole = Map::new();
        if let Some(input) = &self.input {
            whole.insert("inputs".to_owned(), json!([input]));
        }
        whole.insert(self.servers_key.to_owned(), json!({ &self.name: self.entry }));
        Json::Object(whole)
    }

    /// Returns the snippet in the format of the client's file.
    pub(super) fn text(&self) -> Result<String, ExitError> {
        match self.format {
            ClientFileFormat::Json => Ok(format!("{:#}\n", self.json())),
            ClientFileFormat::Toml => file::merged("", self),
        }
    }
}

fn bearer(token: &str) -> Json {
    json!({"Authorization": format!("Bearer {token}")})
}
