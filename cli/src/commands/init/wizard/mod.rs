//! `init --wizard`: asks for each choice, shows the tools that would result, and writes after a typed yes. The answers
//! become the same choices as flags, and the command line with these flags is printed at the end.

mod change;
mod names;
mod preview;
mod table;
mod terminal;

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::inspection::{Inspection, TableInfo};
use synapsor_domain::scaffold::{InitOptions, Recipe};

use super::files::OutputPaths;
use super::{Args, InitResult, command_line, finish, refused, report};
use crate::Context;
use crate::commands::{recipes, smoke};
use crate::output::safe;
use terminal::Terminal;

pub(super) use terminal::is_attached;

/// Choices so far, and what they are about.
struct Wizard<'a> {
    terminal: Terminal,
    context: &'a Context,
    choices: InitOptions,
    /// Recipe, and pairs of its columns and those of the table.
    recipe: Option<(Recipe, Vec<(String, String)>)>,
}

/// Whether this command line asks for the wizard.
pub(super) fn is_wanted(args: &Args, context: &Context) -> bool {
    args.origin.wizard || (is_attached() && !context.global.json && !args.is_scripted())
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<InitResult, ExitError> {
    if context.global.json {
        let text = "the wizard prints no JSON";
        return Err(ExitError::new(ErrorCode::OptionUnused, text).with_fix("remove --json or --wizard"));
    }
    let mut wizard = Wizard {
        terminal: Terminal::open(context)?,
        context,
        choices: args.choices().map_err(refused)?,
        recipe: None,
    };
    if !args.files.dry_run && !args.files.force {
        OutputPaths::of(&args.files, context)?.refuse_existing()?;
    }
    if let Some(name) = &args.origin.recipe {
        wizard.recipe = Some((recipes::find(name)?, args.renames()?));
    }
    wizard.terminal.say(
        "Drafts a contract for one table. Nothing is written before\n\
         you type yes. Esc in a list, or Ctrl-C, ends the wizard.\n",
    )?;
    let inspection = wizard.inspect(args).await?;
    let table = wizard.table(&inspection)?;
    wizard.ask(table, &inspection)?;
    wizard.confirm(table, &inspection, args.files.dry_run)?;
    let done = finish(&wizard.choices, Some(&inspection), &args.files, context)?;
    wizard.print_command(table, &done)?;
    Box::pin(wizard.first_call(&done)).await?;
    Ok(done)
}

impl Wizard<'_> {
    /// Asks for everything about the chosen table.
    fn ask(&mut self, table: &TableInfo, inspection: &Inspection) -> Result<(), ExitError> {
        self.keys(table)?;
        self.mode(table, inspection)?;
        self.visible_columns(table)?;
        if self.is_changing() {
            self.change(table)?;
        }
        self.names(table)?;
        self.variables()
    }

    /// Prints the command line that makes the same contract without questions.
    fn print_command(&self, table: &TableInfo, done: &InitResult) -> Result<(), ExitError> {
        let recipe = match &self.recipe {
            None => None,
            Some((recipe, renames)) => {
                let base = recipe.on_table(table, renames).map_err(refused)?;
                Some((recipe.id.as_str(), renames.as_slice(), base))
            }
        };
        let recipe = recipe.as_ref().map(|(id, renames, base)| (*id, *renames, base));
        let mut command = command_line::of(&self.choices, recipe);
        command.push_str(&report::output_option(&done.contract));
        self.terminal.say("\nthe same without questions:")?;
        self.terminal.say(&format!("  {command}"))
    }

    /// Offers a call for the given row, if the variables for it are set.
    async fn first_call(&self, done: &InitResult) -> Result<(), ExitError> {
        let Some(input) = done.value["smoke_input_path"].as_str().filter(|_| !done.is_dry) else {
            return Ok(());
        };
        let tool = done.value["read_tool"].as_str().unwrap_or_default();
        let of_contract = super::of_contract(self.context, done);
        if !smoke::can_call(&of_contract)? {
            return self
                .terminal
                .say("note: set the variables of .env.example for a first call");
        }
        if !self.terminal.is_yes(&format!("Call {} now?", safe(tool)), true)? {
            return Ok(());
        }
        smoke::call_once(tool, input.into(), &of_contract).await
    }
}
