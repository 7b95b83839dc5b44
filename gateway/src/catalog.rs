//! Converts the reader's catalog to MCP tools. It is built once at start, so every list is byte-identical.

use std::collections::HashSet;
use std::sync::Arc;

use rmcp::model::{JsonObject, MetaObject, Tool, ToolAnnotations};
use serde_json::Value as Json;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Mode, ResultFormat, ToolKind};
use synapsor_domain::tool::{self, AliasMode, Catalog, STATUS_TOOL, SchemaProfile, ToolNames};

use crate::reader_client::FetchedCatalog;

const NAME_CHARS_MAX: usize = 128;
/// Annotation of an argument that clients repeat in a header.
const HEADER_ANNOTATION: &str = "\"x-mcp-header\"";

/// How the tools are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListOptions {
    /// Exposed names.
    pub(crate) aliases: AliasMode,
    pub(crate) profile: SchemaProfile,
    /// Whether the ledger's records, which the status tool reads, are available.
    pub(crate) has_records: bool,
}

/// Tools as MCP clients see them.
#[derive(Debug)]
pub(crate) struct ToolList {
    /// One tool for each exposed name, in that order.
    tools: Vec<Tool>,
    names: ToolNames,
    meta: MetaObject,
    mode: Mode,
    /// Canonical names.
    with_header_arguments: HashSet<String>,
}

impl ToolList {
    /// Parses the reader's catalog. Output schemas describe format 2 only and are omitted in format 1. Both names of a
    /// tool can be called, whichever is exposed.
    pub(crate) fn read(
        fetched: &FetchedCatalog,
        format: ResultFormat,
        options: ListOptions,
    ) -> Result<Self, ExitError> {
        let mut catalog: Catalog =
            serde_json::from_slice(&fetched.json).map_err(|error| unreadable(&error.to_string()))?;
        catalog
            .tools
            .retain(|tool| options.has_records || tool.name != STATUS_TOOL);
        let mut seen = HashSet::new();
        if let Some(tool) = catalog
            .tools
            .iter()
            .find(|tool| !is_name(&tool.name) || !seen.insert(&tool.name))
        {
            return Err(unreadable(&format!(
                "invalid or duplicate tool name {:?}",
                tool.name
            )));
        }
        let names = catalog.names(options.aliases);
        let repeats = |tool: &&tool::Tool| tool.input_schema.to_string().contains(HEADER_ANNOTATION);
        let with_header_arguments = catalog
            .tools
            .iter()
            .filter(repeats)
            .map(|tool| tool.name.clone())
            .collect();
        let tools = catalog
            .exposed(&names)
            .into_iter()
            .map(|tool| to_mcp(tool.in_profile(options.profile), format))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            tools,
            names,
            meta: meta(&fetched.digest),
            mode: fetched.mode,
            with_header_arguments,
        })
    }

    pub(crate) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// Returns the tool with this canonical name or alias.
    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        let shown = self.tools.iter().find(|tool| tool.name == name);
        shown.or_else(|| {
            let canonical = self.names.canonical(name)?;
            let at = self
                .names
                .exposed()
                .iter()
                .position(|e| e.canonical == canonical)?;
            self.tools.get(at)
        })
    }

    /// Returns the canonical name of a tool name; an unknown name is returned unchanged.
    pub(crate) fn canonical<'a>(&'a self, name: &'a str) -> &'a str {
        self.names.canonical(name).unwrap_or(name)
    }

    /// Whether a listed name has a dot.
    pub(crate) fn has_dots(&self) -> bool {
        self.tools.iter().any(|tool| tool.name.contains('.'))
    }

    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the catalog digest as the metadata that every result carries.
    pub(crate) fn meta(&self) -> MetaObject {
        self.meta.clone()
    }

    /// Whether clients repeat arguments of the tool in headers, which rmcp compares.
    pub(crate) fn has_header_arguments(&self, name: &str) -> bool {
        self.with_header_arguments.contains(self.canonical(name))
    }

    /// Returns the kind of the tool, if it exists.
    pub(crate) fn kind(&self, name: &str) -> Option<ToolKind> {
        let is_read = self.tool(name)?.annotations.as_ref()?.read_only_hint?;
        Some(if is_read {
            ToolKind::Read
        } else {
            ToolKind::Proposal
        })
    }
}

fn meta(digest: &str) -> MetaObject {
    let mut meta = JsonObject::new();
    meta.insert("synapsor.catalog_digest".to_owned(), digest.into());
    meta.into()
}

fn to_mcp(tool: tool::Tool, format: ResultFormat) -> Result<Tool, ExitError> {
    let hints = tool.annotations;
    let has_title = !tool.title.is_empty();
    let annotations = if has_title {
        ToolAnnotations::with_title(tool.title.clone())
    } else {
        ToolAnnotations::new()
    };
    let annotations = annotations
        .read_only(hints.read_only_hint)
        .destructive(hints.destructive_hint)
        .idempotent(hints.idempotent_hint)
        .open_world(hints.open_world_hint);
    let mut shown = Tool::new(tool.name, tool.description, Arc::new(object(tool.input_schema)?))
        .with_annotations(annotations);
    if has_title {
        shown = shown.with_title(tool.title);
    }
    if !tool.meta.is_null() {
        shown = shown.with_meta(object(tool.meta)?.into());
    }
    if format == ResultFormat::V2 && !tool.output_schema.is_null() {
        shown = shown.with_raw_output_schema(Arc::new(object(tool.output_schema)?));
    }
    Ok(shown)
}

fn object(json: Json) -> Result<JsonObject, ExitError> {
    match json {
        Json::Object(object) => Ok(object),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
            Err(unreadable("a schema is not an object"))
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn unreadable(why: &str) -> ExitError {
    ExitError::new(
        ErrorCode::CatalogUnreadable,
        format!("invalid catalog from the reader: {why}"),
    )
    .with_fix("run a gateway and a reader of the same version")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str) -> tool::Tool {
        tool::Tool {
            name: name.to_owned(),
            title: name.to_owned(),
            description: "Reads \u{e9}.".to_owned(),
            input_schema: json!({"type": "object"}),
            output_schema: json!({"type": "object"}),
            annotations: tool::Annotations {
                read_only_hint: true,
                destructive_hint: false,
                idempotent_hint: true,
                open_world_hint: false,
            },
            meta: json!({"synapsor.kind": "read"}),
        }
    }

    #[test]
    fn tools_with_arguments_in_headers_are_known_by_both_names() {
        let annotated = tool::Tool {
            input_schema: json!({"type": "object", "properties": {"id": {"type": "string", "x-mcp-header": "Id"}}}),
            ..tool("a.b")
        };
        let catalog = Catalog {
            tools: vec![annotated, tool("a.c")],
        };
        let fetched = FetchedCatalog {
            json: serde_json::to_vec(&catalog).unwrap(),
            digest: "sha256:0".to_owned(),
            mode: Mode::Review,
            result_format: None,
            authorization: None,
        };
        let options = ListOptions {
            aliases: AliasMode::OpenAi,
            profile: SchemaProfile::Lean,
            has_records: true,
        };
        let list = ToolList::read(&fetched, ResultFormat::V2, options).unwrap();
        assert!(list.has_header_arguments("a.b") && list.has_header_arguments(&list.tools()[0].name));
        assert!(!list.has_header_arguments("a.c"));
    }

    /// The list size that the operator sees is computed from the same form.
    #[test]
    fn sent_tool_matches_the_form_its_size_is_computed_from() {
        let tool = tool("a.b");
        for format in [ResultFormat::V1, ResultFormat::V2] {
            for profile in SchemaProfile::ALL {
                let tool = tool.clone().in_profile(profile);
                let listed = tool.listed(format);
                let sent = serde_json::to_string(&to_mcp(tool, format).unwrap()).unwrap();
                assert_eq!(serde_json::from_str::<Json>(&sent).unwrap(), listed);
                assert_eq!(sent.len(), listed.to_string().len());
            }
        }
    }
}
