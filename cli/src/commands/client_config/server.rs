//! The server in a client configuration: the command that starts it, or its URL. Holds paths and names of
//! variables, never a value of one.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use synapsor_chassis::http_flags::{AUTH_TOKEN_ENV_DEFAULT, PORT_DEFAULT};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

use super::Args;
use super::client::Client;
use crate::commands::mcp_options::TransportArg;
use crate::{Context, contract_file, state, supervisor};

const BINARY: &str = "synapsor-runner";
const URL_CHARS_MAX: usize = 2_048;

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) command: String,
    pub(super) args: Vec<String>,
}

/// Transport between client and server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ServerAccess {
    /// The client starts the server.
    Stdio(Launch),
    /// The server is started separately.
    Http {
        url: String,
        token_env: String,
        /// The client gets an access token from the issuer in the server's metadata; no token is configured.
        signs_in: bool,
    },
}

/// The server, as the client's file and as a shell command.
#[derive(Clone, Debug)]
pub(super) struct McpServerEntry {
    pub(super) way: ServerAccess,
    /// Shell command for the same server; `None` for a remote one.
    pub(super) by_hand: Option<Launch>,
}

impl Launch {
    pub(super) fn json(&self) -> Json {
        json!({"command": self.command, "args": self.args})
    }

    /// Formats one shell line.
    pub(super) fn line(&self) -> String {
        let words = std::iter::once(&self.command).chain(&self.args);
        let words: Vec<String> = words.map(|word| quoted(word)).collect();
        words.join(" ")
    }
}

impl McpServerEntry {
    pub(super) fn of(
        args: &Args,
        client: Client,
        transport: TransportArg,
        context: &Context,
    ) -> Result<Self, ExitError> {
        let contract = contract_file::load(&context.global).ok();
        let tokens = contract.as_ref().and_then(|loaded| loaded.contract.tokens());
        if tokens.is_some() && transport == TransportArg::Stdio {
            return Err(contract_file::needs_http().with_fix("add --transport streamable-http"));
        }
        if let Some(url) = args
            .url
            .as_deref()
            .filter(|_| transport == TransportArg::StreamableHttp)
        {
            return Ok(Self {
                way: ServerAccess::Http {
                    url: checked_url(url)?,
                    token_env: args.token.auth_token_env.clone(),
                    signs_in: tokens.is_some(),
                },
                by_hand: None,
            });
        }
        if args.url.is_some() {
            return Err(
                ExitError::new(ErrorCode::ClientUrlUnused, "--url applies to HTTP only")
                    .with_fix("add --transport streamable-http, or remove --url"),
            );
        }
        let is_absolute = args.absolute_paths || client.needs_absolute_paths();
        let plain = Paths {
            is_absolute,
            prefix: "",
        };
        let by_hand = launch(args, transport, context, &plain)?;
        let way = match transport {
            TransportArg::Stdio => {
                let prefix = client.project_prefix();
                ServerAccess::Stdio(launch(args, transport, context, &Paths { is_absolute, prefix })?)
            }
            TransportArg::StreamableHttp => ServerAccess::Http {
                // Clients know the server under the name in the audience of its tokens.
                url: match tokens.and_then(|source| source.policy.resource()) {
                    Some(resource) => resource.to_owned(),
                    None => own_url(args)?,
                },
                token_env: args.token.auth_token_env.clone(),
                signs_in: tokens.is_some(),
            },
        };
        Ok(Self {
            way,
            by_hand: Some(by_hand),
        })
    }
}

/// How paths are written.
struct Paths {
    is_absolute: bool,
    /// Prefix of a relative path.
    prefix: &'static str,
}

impl Paths {
    fn write(&self, path: &Path) -> Result<String, ExitError> {
        let unusable = || {
            ExitError::new(
                ErrorCode::ClientPathInvalid,
                format!("path {} is invalid", path.display()),
            )
        };
        let written = if self.is_absolute {
            std::path::absolute(path).map_err(|_| unusable())?
        } else {
            path.strip_prefix(".").unwrap_or(path).to_owned()
        };
        let text = written
            .to_str()
            .filter(|text| !text.contains(char::is_control))
            .ok_or_else(|| {
                unusable().with_fix("move it to a path of UTF-8 text without control characters")
            })?;
        Ok(if written.is_absolute() {
            text.to_owned()
        } else {
            format!("{}{text}", self.prefix)
        })
    }
}

fn launch(
    args: &Args,
    transport: TransportArg,
    context: &Context,
    paths: &Paths,
) -> Result<Launch, ExitError> {
    let verb = match transport {
        TransportArg::Stdio => "serve",
        TransportArg::StreamableHttp => "serve-streamable-http",
    };
    let mut words = vec!["mcp".to_owned(), verb.to_owned()];
    let mut option = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
    option("--config", paths.write(&contract_file::path(&context.global))?);
    option("--store", paths.write(&store(context)?)?);
    if let Some(trust) = &context.global.trust {
        option("--trust", paths.write(trust)?);
    }
    if let Some(file) = &context.global.env_file {
        option("--env-file", paths.write(file)?);
    }
    let shown = args.shown();
    if shown.names != synapsor_domain::tool::AliasMode::default() {
        option("--alias-mode", shown.names.as_str().to_owned());
    }
    if shown.profile != synapsor_domain::tool::SchemaProfile::default() {
        option("--schema-profile", shown.profile.as_str().to_owned());
    }
    if let Some(format) = shown.format {
        option("--result-format", format.to_string());
    }
    if transport == TransportArg::StreamableHttp {
        if !args.host.is_loopback() || args.host != std::net::Ipv4Addr::LOCALHOST {
            option("--host", args.host.to_string());
        }
        if args.port != PORT_DEFAULT {
            option("--port", args.port.to_string());
        }
        if args.token.auth_token_env != AUTH_TOKEN_ENV_DEFAULT {
            option("--auth-token-env", args.token.auth_token_env.clone());
        }
    }
    if args.tools.read_only {
        words.push("--read-only".to_owned());
    }
    let command = if paths.is_absolute {
        paths.write(&supervisor::binary_path(BINARY)?)?
    } else {
        BINARY.to_owned()
    };
    Ok(Launch { command, args: words })
}

/// The store from the command line or the contract, else the default path.
fn store(context: &Context) -> Result<PathBuf, ExitError> {
    if let Some(store) = &context.global.store {
        return Ok(store.clone());
    }
    let store = state::locate(context)?.store().to_owned();
    let current = std::path::absolute(".").unwrap_or_default();
    Ok(store.strip_prefix(&current).map_or(store.clone(), Path::to_owned))
}

fn own_url(args: &Args) -> Result<String, ExitError> {
    if !args.host.is_loopback() {
        let text = format!("client URL of a server on {} unknown", args.host);
        return Err(ExitError::new(ErrorCode::ClientUrlNeeded, text).with_fix("pass --url https://NAME/mcp"));
    }
    if args.port == 0 {
        return Err(
            ExitError::new(ErrorCode::ClientUrlNeeded, "--port 0 changes on every start")
                .with_fix("pass --port with a fixed number"),
        );
    }
    Ok(format!(
        "http://{}/mcp",
        std::net::SocketAddr::new(args.host, args.port)
    ))
}

/// Validates a URL: it holds no secret, and the token is not sent unencrypted. Errors never contain the URL.
fn checked_url(text: &str) -> Result<String, ExitError> {
    let invalid = |why: &str| {
        ExitError::new(ErrorCode::ClientUrlInvalid, format!("--url {why}")).with_fix("pass https://NAME/mcp")
    };
    if text.len() > URL_CHARS_MAX {
        return Err(invalid("is too long"));
    }
    let url: http::Uri = text.parse().map_err(|_| invalid("is not a URL"))?;
    let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return Err(invalid("is not an absolute URL"));
    };
    if authority.as_str().contains('@') || url.query().is_some() || text.contains('#') {
        return Err(invalid(
            "has a user, a password, a query or a fragment; secrets do not belong in a client's file",
        ));
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if is_loopback => Ok(text.to_owned()),
        "http" => Err(invalid("would send the token unencrypted")),
        _ => Err(invalid("is neither http nor https")),
    }
}

fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_url_with_secret_without_repeating_it() {
        for good in [
            "https://a.example/mcp",
            "http://127.0.0.1:1/mcp",
            "http://[::1]:1/mcp",
            "http://localhost/mcp",
        ] {
            assert_eq!(checked_url(good).unwrap(), good);
        }
        for bad in [
            "https://user:SEKRIT@a.example/mcp",
            "https://a.example/mcp?token=SEKRIT",
            "https://a.example/mcp#SEKRIT",
            "http://a.example/mcp/SEKRIT",
            "ftp://a.example/SEKRIT",
            "SEKRIT",
            "/SEKRIT",
        ] {
            let failure = checked_url(bad).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ClientUrlInvalid, "{bad}");
            assert!(!failure.to_string().contains("SEKRIT"), "{failure}");
        }
    }

    #[test]
    fn shell_line_quotes_each_argument() {
        let launch = Launch {
            command: "a b".to_owned(),
            args: ["c", "", "d'e", "$(f)"].map(str::to_owned).to_vec(),
        };
        assert_eq!(launch.line(), r"'a b' c '' 'd'\''e' '$(f)'");
    }
}
