//! `config show`: the contract without secrets, and the origin of each setting of this command line.

use clap::Args;
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, without_secrets};

use crate::output::{self, Table, safe};
use crate::setting_origin::SettingOrigin;
use crate::{Context, contract_file};

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Accepted for 0.1.x; secrets are never printed
    #[arg(long)]
    redacted: bool,
    /// List settings and the variables that the contract names, with their origin, instead
    #[arg(long)]
    sources: bool,
}

pub(super) fn run(args: &ShowArgs, context: &Context) -> Result<Exit, ExitError> {
    if args.sources {
        return sources(context);
    }
    let path = contract_file::path(&context.global);
    let bytes = contract_file::read(&path)?;
    let file: Json = serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!("{} is not JSON (line {})", path.display(), error.line());
        ExitError::new(ErrorCode::ConfigNotJson, text).with_fix("see `synapsor-runner config validate`")
    })?;
    output::json(&without_secrets(&file))?;
    Ok(Exit::Ok)
}

/// Prints the settings of this command line, then the variables that the contract names. Values of variables are not
/// printed: they may be URLs.
fn sources(context: &Context) -> Result<Exit, ExitError> {
    let settings = &context.global.settings;
    let variables = variables(context);
    if context.global.json {
        let settings = settings.iter().map(|setting| {
            json!({ "setting": setting.name, "value": setting.value, "origin": setting.origin.as_str(),
                "variable": setting.variable })
        });
        let variables = variables.iter().map(
            |variable| json!({ "variable": variable.name, "use": variable.used_for, "set": variable.is_set }),
        );
        let object =
            json!({ "settings": settings.collect::<Vec<_>>(), "variables": variables.collect::<Vec<_>>() });
        output::json(&object)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["SETTING", "VALUE", "ORIGIN"]);
    for setting in settings {
        let origin = match (setting.origin, setting.variable) {
            (SettingOrigin::Variable, Some(name)) => format!("variable {name}"),
            (origin, _) => origin.as_str().to_owned(),
        };
        table.row([
            setting.name,
            &safe(setting.value.as_deref().unwrap_or("-")),
            &origin,
        ]);
    }
    output::line(table)?;
    if variables.is_empty() {
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["VARIABLE", "STATE", "USE"]);
    for variable in &variables {
        let state = if variable.is_set { "set" } else { "missing" };
        table.row([&variable.name, state, &variable.used_for]);
    }
    output::line(format!("\n{table}"))?;
    Ok(Exit::Ok)
}

/// Variable that the contract names.
struct NamedVariable {
    name: String,
    used_for: String,
    is_set: bool,
}

/// Variables of the sources and contexts of a valid contract, in the order of the file; empty without one.
fn variables(context: &Context) -> Vec<NamedVariable> {
    let Some(contract) = contract_file::load_silently(&context.global) else {
        return Vec::new();
    };
    let mut named: Vec<NamedVariable> = Vec::new();
    for (name, used_for) in uses(&contract) {
        match named.iter_mut().find(|known| known.name == name) {
            Some(known) if known.used_for.contains(&used_for) => {}
            Some(known) => known.used_for.push_str(&format!(", {used_for}")),
            None => named.push(NamedVariable {
                is_set: ["", "_FILE"]
                    .iter()
                    .any(|form| context.env.get(&format!("{name}{form}")).ok().flatten().is_some()),
                name,
                used_for,
            }),
        }
    }
    named
}

fn uses(contract: &Contract) -> Vec<(String, String)> {
    let mut uses = Vec::new();
    for source in contract.sources() {
        let of = |what: &str| format!("{what} of source {}", source.name);
        uses.push((source.read_url_env.clone(), of("read URL")));
        uses.extend(source.write_url_env.clone().map(|name| (name, of("write URL"))));
        if let Some(ssl) = &source.ssl {
            let names = [
                (&ssl.ca_env, "CA certificates"),
                (&ssl.cert_env, "client certificate"),
                (&ssl.key_env, "client key"),
            ];
            uses.extend(
                names
                    .into_iter()
                    .filter_map(|(name, what)| Some((name.clone()?, of(what)))),
            );
        }
    }
    for capability in contract.capabilities() {
        let Some(spec) = contract.context(&capability.context) else {
            continue;
        };
        let names = [
            (&spec.tenant_id_env, "tenant"),
            (&spec.principal_env, "principal"),
        ];
        uses.extend(
            names
                .into_iter()
                .filter_map(|(name, what)| Some((name.clone()?, what.to_owned()))),
        );
    }
    uses
}
