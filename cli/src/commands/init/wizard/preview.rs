//! Last part of the wizard: shows what the contract gives a model, lets it be revised, and asks for the final yes.

use synapsor_chassis::run::ExitError;
use synapsor_domain::contract::{Capability, Contract};
use synapsor_domain::inspection::{Inspection, TableInfo};
use synapsor_domain::scaffold::{DraftError, default_names, draft};

use super::Wizard;
use super::terminal::stopped;
use crate::commands::tools;
use crate::output::safe;

const WRITE: &str = "write the files";
const VISIBLE: &str = "change the visible columns";
const NAMES: &str = "change the names of the tools";
const DESCRIPTIONS: &str = "change the descriptions";
const CHANGE: &str = "change what a proposal sets";
const END: &str = "end without writing";

impl Wizard<'_> {
    /// Returns once the operator has confirmed the draft.
    pub(super) fn confirm(
        &mut self,
        table: &TableInfo,
        inspection: &Inspection,
        is_dry: bool,
    ) -> Result<(), ExitError> {
        loop {
            let is_valid = self.preview(inspection)?;
            let mut items = vec![VISIBLE, NAMES, DESCRIPTIONS];
            if is_valid {
                items.insert(0, WRITE);
            }
            if self.is_changing() && self.recipe.is_none() {
                items.push(CHANGE);
            }
            items.push(END);
            let labels: Vec<String> = items.iter().map(|item| (*item).to_owned()).collect();
            match items[self.terminal.choose("Next", &labels, 0)?] {
                WRITE if is_dry || self.terminal.has_typed_yes("Write the files?")? => return Ok(()),
                WRITE | END => return Err(stopped()),
                VISIBLE => self.visible_columns(table)?,
                DESCRIPTIONS => self.descriptions()?,
                CHANGE => self.change(table)?,
                _ => self.rename(table)?,
            }
        }
    }

    fn rename(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let (derived, _) = default_names(&table.name);
        let object = self.choices.object_name.clone().unwrap_or(derived);
        let namespace = self.choices.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| default_names(&object).1);
        self.tool_names(&namespace, &object)
    }

    /// Prints the contract in words and the tools as the model sees them. Returns whether the draft is valid.
    fn preview(&self, inspection: &Inspection) -> Result<bool, ExitError> {
        let drafted = match draft(&self.choices, Some(inspection)) {
            Ok(drafted) => drafted,
            Err(error) => {
                self.explain(&error)?;
                return Ok(false);
            }
        };
        let Ok(valid) = Contract::parse(drafted.contract.as_bytes()) else {
            return Ok(false);
        };
        self.terminal.say("\nPreview")?;
        let contract = &valid.contract;
        if let Some(capability) = contract.capabilities().first() {
            self.describe(capability, contract)?;
        }
        for warning in &drafted.warnings {
            self.terminal.say(&format!("warning: {}", safe(warning)))?;
        }
        tools::preview(contract)?;
        Ok(true)
    }

    fn explain(&self, error: &DraftError) -> Result<(), ExitError> {
        self.terminal
            .say(&format!("\n{}: {}", error.code, safe(&error.text)))?;
        self.terminal.say(&format!("fix: {}", safe(&error.fix)))
    }

    fn describe(&self, capability: &Capability, contract: &Contract) -> Result<(), ExitError> {
        let target = &capability.target;
        let keys: Vec<&str> = target.key_columns().collect();
        let tenant = target.tenant_key.as_deref().unwrap_or("none (development)");
        let guard = match (&self.choices.conflict_column, self.is_changing()) {
            (_, false) => "not needed".to_owned(),
            (Some(column), true) => column.clone(),
            (None, true) => "every visible column (weak)".to_owned(),
        };
        let source = contract.source(&capability.source);
        let reader = source.map_or("", |source| source.read_url_env.as_str());
        let writer = source.and_then(|source| source.write_url_env.as_deref());
        for (name, value) in [
            ("mode", contract.mode().as_str().to_owned()),
            ("table", format!("{}.{}", target.schema, target.table)),
            ("key", keys.join(", ")),
            ("tenant", tenant.to_owned()),
            ("version", guard),
            ("visible", capability.visible_columns.join(", ")),
            ("reader", reader.to_owned()),
            ("writer", writer.unwrap_or("none").to_owned()),
        ] {
            self.terminal.say(&format!("{name:<9} {}", safe(&value)))?;
        }
        Ok(())
    }
}
