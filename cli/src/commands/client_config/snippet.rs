//! What stands in a client's file for one server, and the text of it. Pure.

use serde_json::{Map, Value as Json, json};
use synapsor_chassis::run::ExitError;

use super::client::{Client, Format};
use super::file;
use super::server::Way;

/// Members of an entry that this program writes. Others in an existing entry are the user's and stay.
pub(super) const OWN_MEMBERS: [&str; 6] = [
    "type",
    "command",
    "args",
    "url",
    "headers",
    "bearer_token_env_var",
];

/// One server of a client's file.
#[derive(Clone, Debug)]
pub(super) struct Snippet {
    pub(super) format: Format,
    /// The key under which servers stand.
    pub(super) servers_key: &'static str,
    /// The name of the server.
    pub(super) name: String,
    pub(super) entry: Map<String, Json>,
    /// What the client asks its user for, where a file has a place for that.
    pub(super) input: Option<Json>,
    /// The id of that question, whether it is asked or not.
    pub(super) input_id: Option<String>,
    /// Whether a file of this client consists of nothing but the entry.
    is_bare: bool,
}

impl Snippet {
    pub(super) fn of(client: Client, name: &str, way: &Way) -> Self {
        let input_id = (client == Client::Vscode).then(|| format!("{name}-token"));
        let entry = match way {
            Way::Stdio(launch) => {
                let mut entry = launch.json();
                if client == Client::Vscode {
                    entry = json!({"type": "stdio", "command": launch.command, "args": launch.args});
                }
                entry
            }
            Way::Http {
                url, signs_in: true, ..
            } if client != Client::OpenaiAgents => match client {
                Client::Codex | Client::Cursor => json!({"url": url}),
                _ => json!({"type": "http", "url": url}),
            },
            Way::Http { url, token_env, .. } => match client {
                Client::Codex => json!({"url": url, "bearer_token_env_var": token_env}),
                Client::Cursor => json!({"url": url, "headers": bearer(&format!("${{env:{token_env}}}"))}),
                Client::Vscode => {
                    json!({"type": "http", "url": url, "headers": bearer(&format!("${{input:{name}-token}}"))})
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
            unreachable!("every arm makes an object")
        };
        let asks = matches!(way, Way::Http { signs_in: false, .. });
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

    /// The snippet as JSON, also where the client's file is not.
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

    /// The snippet in the language of the client's file.
    pub(super) fn text(&self) -> Result<String, ExitError> {
        match self.format {
            Format::Json => Ok(format!("{:#}\n", self.json())),
            Format::Toml => file::merged("", self),
        }
    }
}

fn bearer(token: &str) -> Json {
    json!({"Authorization": format!("Bearer {token}")})
}
