//! `recipes`: lists, shows and drafts from contract patterns for common business changes.

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;
use synapsor_chassis::files;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{EngineKind, Mode};
use synapsor_domain::scaffold::{InitOptions, RECIPE_BYTES_MAX, Recipe, built_in_recipes, read_recipe};

use super::init::{self, OutputFlags, refused};
use crate::Context;
use crate::output::{self, safe};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the built-in recipes
    #[command(after_help = "Example: synapsor-runner recipes list --json\nExit codes: 0 ok")]
    List,
    /// Show a recipe
    #[command(after_help = "Example: synapsor-runner recipes show late-fee-waiver\n\
        Exit codes: 0 ok, 1 unreadable, 2 unknown or invalid")]
    Show(RecipeName),
    /// Write a contract with the names of a recipe, without a database
    #[command(
        after_help = "Examples:\n  synapsor-runner recipes init refund-review --engine mysql\n  \
        synapsor-runner init --recipe refund-review --table shop.payments --map refund_cents=refund_amount\n\n\
        `init --recipe` maps the recipe onto a table of a database.\n\
        Exit codes: 0 written, 1 a file exists or is unreadable, 2 unknown or invalid"
    )]
    Init(RecipeInit),
}

#[derive(Debug, Args)]
pub(crate) struct RecipeName {
    /// Recipe id, or path of a recipe file
    #[arg(value_name = "ID|FILE")]
    recipe: String,
}

#[derive(Debug, Args)]
pub(crate) struct RecipeInit {
    #[command(flatten)]
    name: RecipeName,
    /// Database engine [default: the recipe's]
    #[arg(long, value_name = "NAME", value_parser = ["postgres", "mysql", "sqlite"])]
    engine: Option<String>,
    /// Contract mode [default: the recipe's]
    #[arg(long, value_name = "MODE", value_parser = ["read_only", "shadow", "review"])]
    mode: Option<String>,
    #[command(flatten)]
    files: OutputFlags,
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::List => list(context)?,
        Command::Show(name) => show(&find(&name.recipe)?, context)?,
        Command::Init(args) => draft(args, context)?,
    }
    Ok(Exit::Ok)
}

/// Returns the built-in recipe with this id, else reads the file.
///
/// # Errors
/// `RECIPE_UNKNOWN` with the ids; the error of the file.
pub(super) fn find(name: &str) -> Result<Recipe, ExitError> {
    let recipes = built_in_recipes();
    if let Some(recipe) = recipes.iter().find(|recipe| recipe.id == name) {
        return Ok(recipe.clone());
    }
    let path = Path::new(name);
    if !path.exists() {
        let ids: Vec<&str> = recipes.iter().map(|recipe| recipe.id.as_str()).collect();
        let text = format!("no recipe and no file is named `{}`", safe(name));
        return Err(ExitError::new(ErrorCode::RecipeUnknown, text).with_fix(format!(
            "pass one of: {}; or the path of a recipe file",
            ids.join(", ")
        )));
    }
    read_recipe(&files::read_bounded(path, RECIPE_BYTES_MAX as u64)?).map_err(refused)
}

fn list(context: &Context) -> Result<(), ExitError> {
    let recipes = built_in_recipes();
    if context.global.json {
        return output::json(&json!({ "ok": true, "recipes": recipes }));
    }
    let width = recipes
        .iter()
        .map(|recipe| recipe.id.len())
        .max()
        .unwrap_or_default();
    for recipe in &recipes {
        output::line(format!("{:width$}  {}", recipe.id, recipe.title))?;
    }
    Ok(())
}

fn show(recipe: &Recipe, context: &Context) -> Result<(), ExitError> {
    if context.global.json {
        return output::json(&json!({ "ok": true, "recipe": recipe }));
    }
    let list = |names: &[String]| safe(&names.join(", "));
    output::line(format!("{}: {}", safe(&recipe.id), safe(&recipe.title)))?;
    output::line(format!("  {}", safe(&recipe.summary)))?;
    output::line(format!("table     {}", safe(&recipe.expected_table_type)))?;
    output::line(format!("needs     {}", list(&recipe.required_columns)))?;
    output::line(format!("key       {}", safe(&recipe.recommended_primary_key)))?;
    output::line(format!("tenant    {}", safe(&recipe.recommended_tenant_key)))?;
    output::line(format!("version   {}", safe(&recipe.recommended_conflict_column)))?;
    output::line(format!("visible   {}", list(&recipe.visible_columns)))?;
    output::line(format!("writes    {}", list(&recipe.allowed_write_columns)))?;
    output::line(format!("tools     {}", list(&recipe.semantic_tools)))?;
    for note in &recipe.notes {
        output::line(format!("note: {}", safe(note)))?;
    }
    let id = output::shell_word(&recipe.id);
    output::line("next:")?;
    output::line(format!(
        "  synapsor-runner init --recipe {id} --from-env SYNAPSOR_DATABASE_READ_URL --table TABLE"
    ))
}

fn draft(args: &RecipeInit, context: &Context) -> Result<(), ExitError> {
    let recipe = find(&args.name.recipe)?;
    let engine = args.engine.as_deref().and_then(EngineKind::of_name);
    let base = recipe.for_engine(engine).map_err(refused)?;
    let mode = args.mode.as_deref().map(|word| match word {
        "read_only" => Mode::ReadOnly,
        "shadow" => Mode::Shadow,
        _ => Mode::Review,
    });
    let choices = InitOptions {
        mode,
        ..InitOptions::default()
    };
    let done = init::finish(&choices.over(base), None, &args.files, context)?;
    if context.global.json {
        output::json(&done.value)
    } else {
        init::show_next(&done)
    }
}
