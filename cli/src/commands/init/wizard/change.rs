//! Second part of the wizard: the mode, the visible columns, and what a proposal may change.

use synapsor_chassis::run::ExitError;
use synapsor_domain::contract::{Mode, VersionAdvance, XMIN};
use synapsor_domain::inspection::{ColumnInfo, ColumnKind, Inspection, TableInfo};
use synapsor_domain::scaffold::{Assigned, InitOptions, built_in_recipes, read_bounds, read_states};

use super::super::refused;
use super::Wizard;
use super::table::first;

const MODES: [(Mode, &str); 3] = [
    (Mode::ReadOnly, "read_only: no proposals"),
    (Mode::Shadow, "shadow: proposals that are never applied"),
    (Mode::Review, "review: operators approve, the writer applies"),
];
const ADVANCES: [(VersionAdvance, &str); 3] = [
    (VersionAdvance::None, "application or database change it"),
    (VersionAdvance::Increment, "the writer adds 1"),
    (VersionAdvance::Now, "the writer sets the time"),
];
const NO_VERSION: &str = "none: compare every visible column";

impl Wizard<'_> {
    /// Whether the contract has proposals.
    pub(super) fn is_changing(&self) -> bool {
        self.choices.mode != Some(Mode::ReadOnly)
    }

    /// Asks for the mode and, for proposals, the version column.
    pub(super) fn mode(&mut self, table: &TableInfo, inspection: &Inspection) -> Result<(), ExitError> {
        let labels = MODES.map(|(_, label)| label.to_owned());
        let default = MODES
            .iter()
            .position(|(mode, _)| Some(*mode) == self.choices.mode);
        let at = self
            .terminal
            .choose("Mode", &labels, default.unwrap_or_default())?;
        self.choices.mode = Some(MODES[at].0);
        if !self.is_changing() {
            return Ok(());
        }
        let mut suggested = table.suggestions.conflict_columns.clone();
        if inspection.engine == "postgres" && !suggested.iter().any(|column| column == XMIN) {
            suggested.push(XMIN.to_owned());
        }
        let mut items = first(&suggested, table);
        items.push(NO_VERSION.to_owned());
        let wanted = self.choices.conflict_column.as_ref();
        let mut default = items
            .iter()
            .position(|item| Some(item) == wanted)
            .unwrap_or_default();
        if suggested.is_empty() && wanted.is_none() {
            default = items.len() - 1;
        }
        loop {
            let at = self.terminal.choose("Version column", &items, default)?;
            if at + 1 < items.len() {
                self.choices.conflict_column = Some(items[at].clone());
                self.choices.weak_guard = false;
                break;
            }
            if self.terminal.has_typed_yes("A weak guard?")? {
                self.choices.conflict_column = None;
                self.choices.weak_guard = true;
                return Ok(());
            }
        }
        if self.choices.conflict_column.as_deref() != Some(XMIN) {
            let labels = ADVANCES.map(|(_, label)| label.to_owned());
            let chosen = self.choices.conflict_advance;
            let default = ADVANCES.iter().position(|(advance, _)| Some(*advance) == chosen);
            let at = self
                .terminal
                .choose("How it changes", &labels, default.unwrap_or_default())?;
            self.choices.conflict_advance = Some(ADVANCES[at].0);
        }
        Ok(())
    }

    pub(super) fn visible_columns(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let columns: Vec<&ColumnInfo> = table
            .columns
            .iter()
            .filter(|column| column.is_nameable())
            .collect();
        let chosen = match self.choices.visible_columns.as_slice() {
            [] => &table.suggestions.default_visible_columns,
            chosen => chosen,
        };
        let checked: Vec<bool> = columns
            .iter()
            .map(|column| chosen.contains(&column.name))
            .collect();
        let always: Vec<&String> = match self.choices.primary_key.as_slice() {
            [] => table.primary_key.iter().collect(),
            chosen => chosen.iter().collect(),
        };
        let is_always = |name: &String| {
            let guard = self
                .choices
                .conflict_column
                .as_ref()
                .filter(|_| self.is_changing());
            always.contains(&name) || self.choices.tenant_column.as_ref() == Some(name) || guard == Some(name)
        };
        let labels: Vec<String> = columns
            .iter()
            .map(|column| match is_always(&column.name) {
                true => format!("{}, always visible", label(column, table)),
                false => label(column, table),
            })
            .collect();
        self.choices.visible_columns = loop {
            let chosen = self
                .terminal
                .choose_several("Visible columns (space)", &labels, &checked)?;
            if !chosen.is_empty() {
                break chosen.into_iter().map(|at| columns[at].name.clone()).collect();
            }
            self.terminal
                .say("choose at least one column with the space bar")?;
        };
        Ok(())
    }

    /// Asks for the columns that a proposal sets, or for a recipe that names them.
    pub(super) fn change(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        if self.recipe.is_none() {
            let recipes = built_in_recipes();
            let mut labels = vec!["columns that I choose".to_owned()];
            labels.extend(
                recipes
                    .iter()
                    .map(|recipe| format!("recipe {}: {}", recipe.id, recipe.title)),
            );
            let at = self.terminal.choose("What a proposal changes", &labels, 0)?;
            let chosen = at.checked_sub(1).and_then(|at| recipes.get(at));
            self.recipe = chosen.map(|recipe| (recipe.clone(), Vec::new()));
        }
        if self.recipe.is_some() {
            return self.change_of_recipe(table);
        }
        self.patch(table)?;
        self.limits(table)
    }

    /// Asks for the counterpart of each column that the table does not have.
    fn change_of_recipe(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let Some((recipe, renames)) = &mut self.recipe else {
            return Ok(());
        };
        let columns: Vec<String> = first(&[], table);
        for column in recipe
            .unmapped(table, renames)
            .into_iter()
            .cloned()
            .collect::<Vec<_>>()
        {
            let at = self
                .terminal
                .choose(&format!("Column for {column}"), &columns, 0)?;
            renames.push((column, columns[at].clone()));
        }
        let base = recipe.on_table(table, renames).map_err(refused)?;
        let choices = std::mem::take(&mut self.choices);
        // Table, key, tenant, version and visible columns are answered already.
        self.choices = choices.over(InitOptions {
            conflict_column: None,
            conflict_advance: None,
            schema: None,
            tenant_column: None,
            primary_key: Vec::new(),
            ..base
        });
        Ok(())
    }

    pub(super) fn patch(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let choices = &self.choices;
        let is_fixed = |name: &String| {
            table.primary_key.contains(name)
                || choices.primary_key.contains(name)
                || choices.tenant_column.as_ref() == Some(name)
                || choices.conflict_column.as_ref() == Some(name)
        };
        let columns: Vec<&ColumnInfo> = table
            .columns
            .iter()
            .filter(|column| column.is_nameable() && !column.generated && !column.unwritable)
            .filter(|column| !is_fixed(&column.name))
            .collect();
        let is_chosen = |column: &&ColumnInfo| choices.patch.iter().any(|(name, _)| *name == column.name);
        let checked: Vec<bool> = columns.iter().map(is_chosen).collect();
        let labels: Vec<String> = columns.iter().map(|column| label(column, table)).collect();
        let chosen = loop {
            let chosen = self
                .terminal
                .choose_several("Columns to change (space)", &labels, &checked)?;
            if !chosen.is_empty() {
                break chosen;
            }
            self.terminal
                .say("choose at least one column with the space bar")?;
        };
        let before = std::mem::take(&mut self.choices.patch);
        for at in chosen {
            let name = &columns[at].name;
            let known = before.iter().find(|(column, _)| column == name);
            let assigned = self.assigned(name, known.map(|(_, assigned)| assigned))?;
            self.choices.patch.push((name.clone(), assigned));
        }
        Ok(())
    }

    fn assigned(&self, column: &str, known: Option<&Assigned>) -> Result<Assigned, ExitError> {
        let labels = ["the model chooses it", "always the same value"].map(str::to_owned);
        let (default, argument, value) = match known {
            Some(Assigned::Fixed(value)) => (1, column, value.as_str()),
            Some(Assigned::Arg(name)) => (0, name.as_str(), ""),
            Some(Assigned::Literal(_)) | None => (0, column, ""),
        };
        match self
            .terminal
            .choose(&format!("New value of {column}"), &labels, default)?
        {
            0 => {
                let name = self.terminal.text("Argument", Some(argument), no_comma)?;
                Ok(Assigned::Arg(name))
            }
            _ => {
                let value = self.terminal.text("Value", Some(value), no_comma)?;
                Ok(Assigned::Fixed(value))
            }
        }
    }

    /// Asks for bounds of numbers and for transitions of states.
    fn limits(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let mut bounds = std::mem::take(&mut self.choices.bounds);
        let patched: Vec<String> = self
            .choices
            .patch
            .iter()
            .map(|(column, _)| column.clone())
            .collect();
        bounds.retain(|(column, _)| patched.contains(column));
        for (column, assigned) in &self.choices.patch {
            let kind = table.column(column).and_then(ColumnInfo::kind);
            let is_open = matches!(assigned, Assigned::Arg(_)) && kind == Some(ColumnKind::Number);
            if !is_open || bounds.iter().any(|(bound, _)| bound == column) {
                continue;
            }
            let question = format!("Limits of {column}, MIN:MAX");
            let check = |text: &str| {
                read_bounds(&format!("{column}={text}"))
                    .map(drop)
                    .map_err(|error| error.fix)
            };
            if let Some(range) = self.terminal.optional(&question, None, check)? {
                bounds.extend(read_bounds(&format!("{column}={range}")).map_err(refused)?);
            }
        }
        self.choices.bounds = bounds;
        let check = |text: &str| {
            let states = read_states(text).map_err(|error| error.fix)?;
            match states.iter().find(|(column, _)| !patched.contains(column)) {
                None => Ok(()),
                Some((column, _)) => Err(format!("no proposal changes {column}")),
            }
        };
        let default = (!self.choices.states.is_empty())
            .then(|| super::super::command_line::states(&self.choices.states));
        self.terminal
            .say("Allowed states, such as status=open:paid|void;paid:void")?;
        let states = self.terminal.optional("States", default.as_deref(), check)?;
        self.choices.states = read_states(&states.unwrap_or_default()).map_err(refused)?;
        Ok(())
    }
}

fn no_comma(text: &str) -> Result<(), String> {
    if text.contains(',') {
        Err("a comma cannot be part of it".to_owned())
    } else {
        Ok(())
    }
}

fn label(column: &ColumnInfo, table: &TableInfo) -> String {
    let note = if column.unreadable {
        ", unreadable"
    } else if table.suggestions.sensitive_columns.contains(&column.name) {
        ", may be secret"
    } else {
        ""
    };
    format!("{} ({}{note})", column.name, column.data_type)
}
