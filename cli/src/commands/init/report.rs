//! Report of `init`: the files, the tools and the next commands.

use std::path::Path;

use serde_json::{Value as Json, json};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::scaffold::GeneratedContract;

use super::files::OutputPaths;
use crate::commands::client_config;
use crate::contract_file;
use crate::output::{self, safe};

pub(super) fn json(
    drafted: &GeneratedContract,
    paths: &OutputPaths,
    is_dry: bool,
) -> Result<Json, ExitError> {
    let contract: Json = serde_json::from_str(&drafted.contract)
        .map_err(|_| ExitError::new(ErrorCode::OutputFailed, "contract cannot be serialized as JSON"))?;
    let snippets = client_config::SNIPPET_FILES.map(|name| paths.snippets.join(name));
    Ok(json!({
        "ok": true,
        "written": !is_dry,
        "config_path": paths.contract.to_string_lossy(),
        "env_example_path": paths.env_example.to_string_lossy(),
        "mcp_snippet_paths": snippets.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
        "smoke_input_path": drafted.names_row.then(|| paths.smoke_input.to_string_lossy()),
        "read_tool": drafted.read_tool,
        "proposal_tool": drafted.proposal_tool,
        "warnings": drafted.warnings,
        "config": contract,
    }))
}

pub(super) fn show(drafted: &GeneratedContract, paths: &OutputPaths, is_dry: bool) -> Result<(), ExitError> {
    for warning in &drafted.warnings {
        output::note(format!("warning: {}", safe(warning)));
    }
    if is_dry {
        return output::text(&drafted.contract);
    }
    let shown = |path: &Path| safe(&path.to_string_lossy());
    output::line(format!("wrote {}", shown(&paths.contract)))?;
    let example = shown(&paths.env_example);
    if paths.keeps_example {
        output::line(format!("kept {example}, which was there; this contract needs:"))?;
        output::text(&drafted.env_example)?;
    } else {
        output::line(format!("wrote {example}"))?;
    }
    let names = client_config::SNIPPET_FILES.join(", ");
    output::line(format!("wrote {}: {names}", shown(&paths.snippets)))?;
    if drafted.names_row {
        output::line(format!("wrote {}", shown(&paths.smoke_input)))?;
    }
    output::line(format!("  read      {}", safe(&drafted.read_tool)))?;
    if let Some(tool) = &drafted.proposal_tool {
        output::line(format!("  proposal  {}", safe(tool)))?;
    }
    Ok(())
}

/// Returns the next commands, which name the contract unless it has the default path.
pub(super) fn next_steps(drafted: &GeneratedContract, paths: &OutputPaths) -> Vec<String> {
    let config = config_option(&paths.contract);
    let example = output::shell_word(&paths.env_example.to_string_lossy());
    let mut next = vec![format!("synapsor-runner config validate{config}")];
    if drafted.is_applied {
        next.push(format!(
            "synapsor-runner writeback migration{config}     # for the database's owner, once"
        ));
    }
    if drafted.is_applied && drafted.has_accounts {
        next.push(format!(
            "synapsor-runner writeback grants --read-role ROLE --writer-role ROLE{config}"
        ));
    }
    next.push(format!(
        "# export the variables that {example} names, with your values"
    ));
    if drafted.is_applied {
        next.push(format!("synapsor-runner writeback doctor --check-db{config}"));
    }
    let input = if drafted.names_row {
        output::shell_word(&paths.smoke_input.to_string_lossy())
    } else {
        next.push(format!(
            "echo {} > call.json     # with the key of a row",
            output::shell_word(&drafted.read_input)
        ));
        "call.json".to_owned()
    };
    next.push(format!(
        "synapsor-runner smoke call {} --input {input}{config}",
        safe(&drafted.read_tool)
    ));
    next
}

/// Option that makes `init` write this contract, unless it has the default path.
pub(super) fn output_option(contract: &Path) -> String {
    if contract == Path::new(contract_file::NAME_DEFAULT) {
        return String::new();
    }
    format!(" --output {}", output::shell_word(&contract.to_string_lossy()))
}

/// Option that names the contract, unless it has the default path.
pub(super) fn config_option(contract: &Path) -> String {
    if contract == Path::new(contract_file::NAME_DEFAULT) {
        return String::new();
    }
    format!(" --config {}", output::shell_word(&contract.to_string_lossy()))
}
