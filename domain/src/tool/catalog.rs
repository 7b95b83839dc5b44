//! Catalog: one tool per capability, in contract order, then the built-in one, and a digest over everything that a model
//! sees.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::input_schema::input_schema;
use super::output_schema::output_schema;
use crate::canonical;
use crate::contract::{Capability, CapabilityKind, Contract, Mode, PatchBinding};
use crate::digest::Digest;
use crate::limits::FILE_BYTES_MAX;
use crate::signing::ObjectKind;

/// Schemas repeat the contract in more words, but never by this factor.
const CATALOG_BYTES_MAX: usize = 64 * FILE_BYTES_MAX;

/// Behavior hints for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Annotations {
    pub read_only_hint: bool,
    pub destructive_hint: bool,
    pub idempotent_hint: bool,
    pub open_world_hint: bool,
}

/// Tool as the Model Context Protocol lists it, under its canonical name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    pub name: String,
    pub title: String,
    pub description: String,
    pub input_schema: Json,
    /// Envelope of format 2; a server that answers in format 1 omits it.
    pub output_schema: Json,
    pub annotations: Annotations,
    #[serde(rename = "_meta")]
    pub meta: Json,
}

/// All tools that a model sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    pub tools: Vec<Tool>,
}

impl Catalog {
    /// Builds the catalog; omits proposals in mode `read_only` or if `read_only` is set. With proposals it has the status
    /// tool, too.
    pub fn from_contract(contract: &Contract, read_only: bool) -> Self {
        let hides_proposals = read_only || contract.mode() == Mode::ReadOnly;
        let is_listed =
            |capability: &&Capability| !hides_proposals || capability.kind == CapabilityKind::Read;
        let listed: Vec<&Capability> = contract.capabilities().iter().filter(is_listed).collect();
        let has_proposals = listed.iter().any(|capability| capability.proposal().is_some());
        let mut tools: Vec<Tool> = listed
            .into_iter()
            .map(|capability| Tool::of(capability, contract.mode()))
            .collect();
        tools.extend(has_proposals.then(Tool::status));
        Self { tools }
    }

    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Computes a digest over every byte of the catalog.
    pub fn digest(&self) -> Digest {
        // Schemas may hold numbers that canonical JSON cannot represent, so each tool is encoded as a string.
        let texts: Vec<String> = self.tools.iter().map(|tool| json!(tool).to_string()).collect();
        let bytes = canonical::encode_within(&texts, CATALOG_BYTES_MAX).expect("a list of bounded strings");
        Digest::of(ObjectKind::Catalog, &bytes)
    }
}

impl Tool {
    /// Builds the tool of one capability.
    pub fn of(capability: &Capability, mode: Mode) -> Self {
        let is_read = capability.kind == CapabilityKind::Read;
        Self {
            name: capability.name.clone(),
            title: capability.name.clone(),
            description: description(capability, mode),
            input_schema: input_schema(capability),
            output_schema: output_schema(capability),
            // An identical call finds the same open proposal, so repeating a proposal has no further effect.
            annotations: Annotations {
                read_only_hint: is_read,
                destructive_hint: false,
                idempotent_hint: true,
                open_world_hint: false,
            },
            meta: json!({
                "synapsor.kind": capability.kind.tool().as_str(),
                "synapsor.source": capability.source,
                "synapsor.canonical_tool_name": capability.name,
                "synapsor.exposed_tool_name": capability.name,
                "synapsor.tool_name_style": "canonical",
                "synapsor.raw_sql_exposed": false,
                "synapsor.approval_tool": false,
            }),
        }
    }
}

/// Describes the result of a call: the author's words, otherwise the columns. A model that does not know what a
/// tool returns omits calls that it needs.
fn returned(capability: &Capability) -> String {
    if let Some(hint) = &capability.returns_hint {
        return hint.clone();
    }
    match capability.kind {
        CapabilityKind::Read => format!("Returns one row: {}.", capability.visible_columns.join(", ")),
        CapabilityKind::Proposal(_) => {
            "Returns the proposal with each column before and after, and what happens next.".to_owned()
        }
    }
}

/// States what happens to the columns of arguments that a call leaves out. Models leave out what they do not want to
/// touch.
fn absent_arguments(capability: &Capability) -> Vec<String> {
    let patch = capability
        .proposal()
        .map(|spec| spec.patch.as_slice())
        .unwrap_or_default();
    let arguments = |is_meant: &dyn Fn(&PatchBinding) -> bool| -> Vec<String> {
        let meant = patch.iter().filter(|(_, binding)| is_meant(binding));
        meant
            .filter_map(|(column, binding)| match binding {
                PatchBinding::Arg { name, .. } if name == column => Some(format!("`{name}`")),
                PatchBinding::Arg { name, .. } => Some(format!("`{name}` (column `{column}`)")),
                PatchBinding::Fixed(_) => None,
            })
            .collect()
    };
    let kept = arguments(&|binding| capability.may_keep(binding));
    let emptied = arguments(&|binding| capability.may_empty(binding));
    [
        (kept, "Left out, it keeps the present value: "),
        (emptied, "Left out, it empties the column: "),
    ]
    .into_iter()
    .filter(|(names, _)| !names.is_empty())
    .map(|(names, text)| format!("{text}{}.", names.join(", ")))
    .collect()
}

fn description(capability: &Capability, mode: Mode) -> String {
    let generic = match capability.kind {
        CapabilityKind::Read => {
            "Reviewed read of one row in the trusted tenant; what was read is kept as evidence."
        }
        CapabilityKind::Proposal(_) if mode == Mode::Shadow => {
            "Files a proposal with evidence for comparison with what a person does. It is never applied, and the source database is not changed."
        }
        CapabilityKind::Proposal(_) => {
            "Files a proposal with evidence for a person to review. The source database is not changed by this call."
        }
    };
    let returned = returned(capability);
    let absent = absent_arguments(capability);
    let mut lines = vec![capability.description.as_deref().unwrap_or(generic), &returned];
    lines.extend(absent.iter().map(String::as_str));
    lines.push("Evidence handles are audit handles for people; do not treat them as business data.");
    lines.join("\n")
}
