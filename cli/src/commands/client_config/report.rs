//! Prints a client configuration: the snippet and its notes. Prints names of variables, never values.

use serde_json::{Value as Json, json};
use synapsor_chassis::run::ExitError;
use synapsor_domain::tool::{CHECKLIST, SYSTEM_PROMPT};

use super::client::{Client, ClientFileFormat};
use super::server::ServerAccess;
use super::{Args, Setup, install, instructions, openai_agents};
use crate::commands::mcp_options::TransportArg;
use crate::supervisor::{Process, requirements};
use crate::{Context, output};

/// The snippet for the client's file, or the program that uses the server.
pub(super) fn text(args: &Args, setup: &Setup) -> Result<String, ExitError> {
    match (&setup.server.way, setup.client) {
        (ServerAccess::Http { url, token_env, .. }, Client::OpenaiAgents) => {
            Ok(openai_agents::python(url, token_env, &args.name))
        }
        (ServerAccess::Stdio(_) | ServerAccess::Http { .. }, _) => setup.snippet.text(),
    }
}

fn snippet_json(args: &Args, setup: &Setup) -> Json {
    if setup.client == Client::OpenaiAgents {
        let catalog = setup.catalog(args.tools.read_only);
        openai_agents::json(&setup.server, &args.name, setup.mode, catalog.as_ref())
    } else {
        setup.snippet.json()
    }
}

/// One JSON document with all parts.
pub(super) fn json(args: &Args, setup: &Setup, context: &Context) -> Result<Json, ExitError> {
    let destination = install::destination(args, setup, context)?;
    let format = match (setup.client, setup.client.format()) {
        (Client::OpenaiAgents, _) => "python",
        (_, ClientFileFormat::Json) => "json",
        (_, ClientFileFormat::Toml) => "toml",
    };
    let mut value = json!({
        "ok": true,
        "client": setup.client.as_str(),
        "transport": setup.transport.as_str(),
        "name": args.name,
        "alias_mode": setup.mode.as_str(),
        "schema_profile": setup.profile.as_str(),
        "format": format,
        "snippet": snippet_json(args, setup),
        "snippet_text": text(args, setup)?,
        "destination": destination.map(|path| path.to_string_lossy().into_owned()),
        "server_command": setup.server.by_hand.as_ref().map(super::server::Launch::json),
        "server_variables": server_variables(setup),
        "client_variables": client_variables(setup),
        "warnings": setup.warnings(args),
    });
    if args.include_instructions {
        value["agent_instructions"] = instructions::json(setup.client, setup.mode);
    }
    Ok(value)
}

/// Notes for the operator beside the snippet.
pub(super) fn notes(args: &Args, setup: &Setup, context: &Context) -> Result<(), ExitError> {
    output::note("");
    match install::destination(args, setup, context)? {
        Some(path) => output::note(format!(
            "add to            {} (or pass --write)",
            output::statement(&path.to_string_lossy())
        )),
        None if setup.client == Client::OpenaiAgents => output::note("add to            your program"),
        None => output::note("add to            the client's own file"),
    }
    if let Some(launch) = &setup.server.by_hand {
        let who = match setup.transport {
            TransportArg::Stdio => "the client starts",
            TransportArg::StreamableHttp => "start first",
        };
        output::note(format!("{who:<17} {}", output::statement(&launch.line())));
    }
    let names = server_variables(setup);
    if !names.is_empty() {
        output::note(format!("server variables  {}", names.join(", ")));
        if context.global.env_file.is_none() && setup.transport == TransportArg::Stdio {
            output::note(
                "a client outside a shell does not inherit them: put them into a file with mode 0600 and pass --env-file",
            );
        }
    }
    let names = client_variables(setup);
    if !names.is_empty() {
        output::note(format!("client variables  {}", names.join(", ")));
    }
    for warning in setup.warnings(args) {
        output::note(format!(
            "warning {}: {}",
            warning.code,
            output::safe(&warning.message)
        ));
        output::note(format!("  fix: {}", output::safe(&warning.fix)));
    }
    if args.include_instructions {
        output::note("\nagent instructions:");
        output::note(SYSTEM_PROMPT);
        for line in CHECKLIST {
            output::note(format!("- {line}"));
        }
    }
    Ok(())
}

/// Names of the variables that the server reads from its environment or its env file.
fn server_variables(setup: &Setup) -> Vec<String> {
    let (Some(loaded), Some(_)) = (&setup.contract, &setup.server.by_hand) else {
        return Vec::new();
    };
    let needed = requirements(Process::Reader, &loaded.contract);
    let mut names: Vec<String> = needed.into_iter().map(|requirement| requirement.name).collect();
    if let ServerAccess::Http {
        token_env,
        signs_in: false,
        ..
    } = &setup.server.way
    {
        names.push(token_env.clone());
    }
    names
}

/// Names of the variables that the client reads; a client that prompts its user needs none.
fn client_variables(setup: &Setup) -> Vec<String> {
    match &setup.server.way {
        ServerAccess::Http { signs_in: true, .. } if setup.client != Client::OpenaiAgents => Vec::new(),
        ServerAccess::Http { token_env, .. } if setup.client != Client::Vscode => vec![token_env.clone()],
        ServerAccess::Stdio(_) | ServerAccess::Http { .. } => Vec::new(),
    }
}
