//! Lists tools for a client in Model Context Protocol form. `alias` chooses the names; the gateway sends the
//! list.

use serde_json::{Value as Json, json};

use super::{Catalog, ExposedName, Tool, ToolNames};
use crate::contract::ResultFormat;

/// Divisor of the estimate: English text and JSON take about four bytes per token with current tokenizers.
const BYTES_PER_TOKEN: usize = 4;

impl Catalog {
    /// Returns the names under which this catalog's tools are listed and dispatched.
    pub fn names(&self, mode: super::AliasMode) -> ToolNames {
        let names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        ToolNames::new(&names, mode)
    }

    /// Returns one tool for each name of `names`, in that order.
    pub fn exposed(&self, names: &ToolNames) -> Vec<Tool> {
        let of = |name: &ExposedName| self.tool(&name.canonical).map(|tool| tool.exposed_as(name));
        names.exposed().iter().filter_map(of).collect()
    }
}

impl Tool {
    /// Returns the tool under a listed name; an alias starts its description with the canonical name.
    fn exposed_as(&self, name: &ExposedName) -> Self {
        let mut tool = self.clone();
        tool.name.clone_from(&name.exposed);
        if name.is_alias() {
            tool.description = format!("Alias of {}.\n{}", name.canonical, self.description);
        }
        if let Json::Object(meta) = &mut tool.meta {
            meta.insert("synapsor.exposed_tool_name".to_owned(), json!(name.exposed));
            meta.insert("synapsor.tool_name_style".to_owned(), json!(name.style()));
        }
        tool
    }

    /// Returns the element of a `tools/list` result. Format 1 has no output schema; what the profile omits is absent.
    pub fn listed(&self, format: ResultFormat) -> Json {
        let hints = self.annotations;
        let mut tool = json!({
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema,
            "outputSchema": self.output_schema,
            "annotations": {
                "title": self.title,
                "readOnlyHint": hints.read_only_hint,
                "destructiveHint": hints.destructive_hint,
                "idempotentHint": hints.idempotent_hint,
                "openWorldHint": hints.open_world_hint,
            },
            "_meta": self.meta,
        });
        if let Json::Object(listed) = &mut tool {
            if format == ResultFormat::V1 || self.output_schema.is_null() {
                listed.shift_remove("outputSchema");
            }
            if self.meta.is_null() {
                listed.shift_remove("_meta");
            }
            if self.title.is_empty() {
                listed.shift_remove("title");
                if let Some(Json::Object(hints)) = listed.get_mut("annotations") {
                    hints.shift_remove("title");
                }
            }
        }
        tool
    }
}

/// Estimates the tokens of a text: a quarter of its bytes, rounded up. Tokenizers differ.
pub const fn tokens_estimated(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN)
}
