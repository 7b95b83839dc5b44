//! Tools as a client lists them: under the names of the list, in the shape of the Model Context Protocol. Which names
//! a list has is `alias`; sending it is the gateway's.

use serde_json::{Value as Json, json};

use super::{Catalog, ExposedName, Tool, ToolNames};
use crate::contract::ResultFormat;

/// Divisor of the estimate: English text and JSON come to about four bytes a token with current tokenizers.
const BYTES_PER_TOKEN: usize = 4;

impl Catalog {
    /// The names under which the tools of this catalog are listed, and dispatched.
    pub fn names(&self, mode: super::AliasMode) -> ToolNames {
        let names: Vec<&str> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        ToolNames::new(&names, mode)
    }

    /// One tool for each name of `names`, in that order.
    pub fn exposed(&self, names: &ToolNames) -> Vec<Tool> {
        let of = |name: &ExposedName| self.tool(&name.canonical).map(|tool| tool.exposed_as(name));
        names.exposed().iter().filter_map(of).collect()
    }
}

impl Tool {
    /// The same tool under a name of a list; an alias says first what it is an alias of.
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

    /// The element of a `tools/list` result. Format 1 has no output schema.
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
        if let (ResultFormat::V1, Json::Object(tool)) = (format, &mut tool) {
            tool.shift_remove("outputSchema");
        }
        tool
    }
}

/// What a text of that many bytes costs a model to read: a quarter, rounded up. An estimate; tokenizers differ.
pub const fn tokens_estimated(bytes: usize) -> usize {
    bytes.div_ceil(BYTES_PER_TOKEN)
}
