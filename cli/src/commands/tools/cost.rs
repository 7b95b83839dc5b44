//! Computes the size of a tool list, in bytes and estimated tokens.

use serde_json::{Value as Json, json};
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::tool::{Tool, tokens_estimated};

/// Describes the calculation, in one sentence.
pub(super) const HOW: &str = "bytes of the tools as compact JSON in a tools/list result; tokens are estimated as bytes / 4, rounded up";

/// Size of one tool of the list in bytes, under its listed name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ToolCost {
    pub(super) name: String,
    pub(super) bytes: usize,
}

/// Size of a whole list.
#[derive(Debug)]
pub(super) struct ListCost {
    pub(super) tools: Vec<ToolCost>,
    /// Includes the brackets and commas of the list.
    pub(super) bytes: usize,
    format: ResultFormat,
}

impl ListCost {
    pub(super) fn of(tools: &[Tool], format: ResultFormat) -> Self {
        let listed: Vec<Json> = tools.iter().map(|tool| tool.listed(format)).collect();
        let costs = tools.iter().zip(&listed).map(|(tool, listed)| ToolCost {
            name: tool.name.clone(),
            bytes: listed.to_string().len(),
        });
        Self {
            tools: costs.collect(),
            bytes: Json::Array(listed).to_string().len(),
            format,
        }
    }

    pub(super) fn json(&self) -> Json {
        let tools: Vec<Json> = self.tools.iter().map(|tool| {
            json!({"name": tool.name, "bytes": tool.bytes, "tokens_estimated": tokens_estimated(tool.bytes)})
        }).collect();
        json!({
            "how": HOW,
            "result_format": match self.format { ResultFormat::V1 => 1, ResultFormat::V2 => 2 },
            "bytes": self.bytes,
            "tokens_estimated": tokens_estimated(self.bytes),
            "tools": tools,
        })
    }
}
