//! Third part of the wizard: names, descriptions, the form of results, variables and the approving role.

use synapsor_chassis::run::ExitError;
use synapsor_domain::contract::{Mode, is_identifier};
use synapsor_domain::inspection::TableInfo;
use synapsor_domain::scaffold::{READ_URL_ENV, WRITE_URL_ENV, default_names};

use super::Wizard;
use super::table::variable_name;

const ROLE: &str = "local_reviewer";

impl Wizard<'_> {
    pub(super) fn names(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let (object, namespace) = default_names(&table.name);
        let chosen = self.named("Name of one row", &object, self.choices.object_name.clone())?;
        let object = chosen.clone().unwrap_or(object);
        self.choices.object_name = chosen;
        let namespace = match &self.choices.object_name {
            Some(object) => default_names(object).1,
            None => namespace,
        };
        let chosen = self.named(
            "Namespace of the tools",
            &namespace,
            self.choices.namespace.clone(),
        )?;
        let namespace = chosen.clone().unwrap_or(namespace);
        self.choices.namespace = chosen;
        if self.has_one_argument(table) {
            let derived = format!("{object}_id");
            self.choices.lookup_arg =
                self.named("Argument of the key", &derived, self.choices.lookup_arg.clone())?;
        }
        self.tool_names(&namespace, &object)?;
        let id = self.choices.object_id.clone();
        let id = self
            .terminal
            .optional("Key of a real row (may be empty)", id.as_deref(), |_| Ok(()))?;
        self.choices.object_id = id;
        if self
            .terminal
            .is_yes("Change the generated descriptions?", false)?
        {
            self.descriptions()?;
        }
        let labels = ["2, the newest", "1, the default of 0.1.x"].map(str::to_owned);
        let default = usize::from(self.choices.result_format == Some(1));
        let at = self.terminal.choose("Form of the results", &labels, default)?;
        self.choices.result_format = (at == 1).then_some(1);
        Ok(())
    }

    /// Asks for the names of both tools.
    pub(super) fn tool_names(&mut self, namespace: &str, object: &str) -> Result<(), ExitError> {
        let derived = format!("{namespace}.inspect_{object}");
        self.choices.read_tool = self.tool("Read tool", &derived, self.choices.read_tool.clone())?;
        if self.is_changing() {
            let derived = format!("{namespace}.propose_{object}_update");
            self.choices.proposal_tool =
                self.tool("Proposal tool", &derived, self.choices.proposal_tool.clone())?;
        }
        Ok(())
    }

    pub(super) fn descriptions(&mut self) -> Result<(), ExitError> {
        self.terminal.say("An empty line keeps the generated text.")?;
        let any = |_: &str| Ok(());
        let ask =
            |question: &str, text: &Option<String>| self.terminal.optional(question, text.as_deref(), any);
        let read = ask("Read tool", &self.choices.read_description)?;
        let read_hint = ask("Its result", &self.choices.read_returns_hint)?;
        let (mut proposal, mut proposal_hint) = (None, None);
        if self.is_changing() {
            proposal = ask("Proposal tool", &self.choices.proposal_description)?;
            proposal_hint = ask("Its result", &self.choices.proposal_returns_hint)?;
        }
        self.choices.read_description = read;
        self.choices.read_returns_hint = read_hint;
        self.choices.proposal_description = proposal;
        self.choices.proposal_returns_hint = proposal_hint;
        Ok(())
    }

    /// Asks for the variables of the URLs and the role of approvers.
    pub(super) fn variables(&mut self) -> Result<(), ExitError> {
        let default = self.choices.read_url_env.as_deref().unwrap_or(READ_URL_ENV);
        let name = self
            .terminal
            .text("Reader's URL variable", Some(default), variable_name)?;
        self.choices.read_url_env = Some(name);
        if self.choices.mode == Some(Mode::Review) {
            let default = self.choices.write_url_env.as_deref().unwrap_or(WRITE_URL_ENV);
            let name = self
                .terminal
                .text("Writer's URL variable", Some(default), variable_name)?;
            self.choices.write_url_env = Some(name).filter(|name| name != WRITE_URL_ENV);
        }
        if self.is_changing() {
            let role = self.choices.approval_role.clone();
            self.choices.approval_role = self.named("Role that may approve", ROLE, role)?;
        }
        Ok(())
    }

    fn has_one_argument(&self, table: &TableInfo) -> bool {
        match self.choices.primary_key.as_slice() {
            [] => table.primary_key.len() == 1,
            chosen => chosen.len() == 1,
        }
    }

    /// Asks for a name; `None` if it is the derived one.
    fn named(
        &self,
        question: &str,
        derived: &str,
        chosen: Option<String>,
    ) -> Result<Option<String>, ExitError> {
        let check = |text: &str| {
            if is_identifier(text) {
                Ok(())
            } else {
                Err("a letter or _, then letters, digits and _".to_owned())
            }
        };
        let name = self
            .terminal
            .text(question, Some(chosen.as_deref().unwrap_or(derived)), check)?;
        Ok(Some(name).filter(|name| name != derived))
    }

    fn tool(
        &self,
        question: &str,
        derived: &str,
        chosen: Option<String>,
    ) -> Result<Option<String>, ExitError> {
        let check = |text: &str| {
            let parts = text.split_once('.');
            if parts.is_some_and(|(space, name)| is_identifier(space) && is_identifier(name)) {
                Ok(())
            } else {
                Err("namespace.name of letters, digits and _".to_owned())
            }
        };
        let name = self
            .terminal
            .text(question, Some(chosen.as_deref().unwrap_or(derived)), check)?;
        Ok(Some(name).filter(|name| name != derived))
    }
}
