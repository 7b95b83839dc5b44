//! What the chosen client refuses, hides or cuts of the tools that the server lists for it.

use serde::Serialize;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::ResultFormat;
use synapsor_domain::tool::{self, AliasMode, NAME_LIMITS, SchemaProfile, Tool};

use super::{Args, Setup};

/// Warning about one client, with the next step.
#[derive(Debug, Serialize)]
pub(super) struct ClientWarning {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) fix: String,
}

impl ClientWarning {
    fn new(code: ErrorCode, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fix: fix.into(),
        }
    }
}

impl Setup {
    pub(super) fn warnings(&self, args: &Args) -> Vec<ClientWarning> {
        let mut found = self.dots();
        let Some(catalog) = self.catalog(args.tools.read_only) else {
            return found;
        };
        let tools: Vec<Tool> = catalog
            .exposed(&catalog.names(self.mode))
            .into_iter()
            .map(|tool| tool.in_profile(self.profile))
            .collect();
        for tool in &tools {
            found.extend(self.of_tool(tool, &args.name));
        }
        found.extend(self.of_list(&tools));
        found
    }

    fn dots(&self) -> Vec<ClientWarning> {
        let mut found = Vec::new();
        if self.client.refuses_dots() && self.mode != AliasMode::OpenAi {
            let fix = "omit --alias-mode, or pass --alias-mode openai";
            found.push(ClientWarning::new(
                ErrorCode::ToolNameDots,
                tool::dots_warning(),
                fix,
            ));
        }
        if self.client.refuses_dots() && self.server.by_hand.is_none() {
            let client = self.client.as_str();
            let message =
                format!("{client} refuses tool names with dots, and the remote server may list them");
            let fix = format!(
                "start the remote server with --alias-mode openai --schema-profile {}",
                self.profile.as_str()
            );
            found.push(ClientWarning::new(ErrorCode::ToolNameDots, message, fix));
        }
        found
    }

    fn of_tool(&self, tool: &Tool, server: &str) -> Vec<ClientWarning> {
        let mut found: Vec<ClientWarning> = NAME_LIMITS
            .iter()
            .filter(|limit| self.client.limited_as() == Some(limit.client))
            .filter_map(|limit| limit.exceeded(server, &tool.name))
            .map(|clause| {
                let message = format!("{}: {clause}", tool.name);
                let fix = "shorten the capability's name, or the server name with --name if it counts";
                ClientWarning::new(ErrorCode::ToolNameLong, message, fix)
            })
            .collect();
        if self.client.may_cut_descriptions()
            && let Some(clause) = tool::description_cut(tool)
        {
            let message = format!("{}: {clause}", tool.name);
            let fix = "shorten `description` and `returns_hint` of the capability";
            found.push(ClientWarning::new(ErrorCode::ToolDescriptionLong, message, fix));
        }
        found
    }

    fn of_list(&self, tools: &[Tool]) -> Option<ClientWarning> {
        let contract = self.contract.as_ref().map(|loaded| &loaded.contract);
        let format = contract.map_or(ResultFormat::V1, |contract| contract.result_format());
        let clause = tool::list_cost(tool::list_bytes(tools, format))?;
        let fix = tool::list_fix(tools, format, self.profile == SchemaProfile::Full);
        Some(ClientWarning::new(ErrorCode::ToolListLarge, clause, fix))
    }
}
