//! Choices of `init` from flags and files, and the schema catalog that completes them.

use std::path::Path;

use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{EngineKind, Mode, is_env_name};
use synapsor_domain::inspection::{INSPECTION_BYTES_MAX, Inspection, TableInfo};
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::scaffold::{InitOptions, Recipe, read_answers, read_selection};

use super::{Args, refused};
use crate::Context;
use crate::commands::inspect::DatabaseArgs;
use crate::commands::recipes;
use crate::output::safe;

/// Returns the choices, and the schema catalog unless the choices go without one. `variable` is the one to inspect with
/// if the command line names none.
pub(super) async fn read(
    args: &Args,
    variable: Option<&str>,
    context: &Context,
) -> Result<(InitOptions, Option<Inspection>), ExitError> {
    let mut choices = args.choices().map_err(refused)?;
    let database = args.database.or_variable(variable);
    if args.origin.inspection_json.is_none() {
        choices.inspected_env = Some(database.variable().to_owned());
    }
    let origin = &args.origin;
    if let Some(path) = &origin.answers {
        choices = choices.over(read_answers(&read_file(path)?).map_err(refused)?);
    }
    if let Some(path) = &origin.spec {
        choices = choices.over(read_selection(&read_file(path)?).map_err(refused)?);
    }
    choices.check_schema(args.schema()).map_err(refused)?;
    check_env_names(&choices)?;
    let recipe = origin.recipe.as_deref().map(recipes::find).transpose()?;
    let inspection = inspection(args, &database, &choices, context).await?;
    if let Some(recipe) = recipe {
        choices = over_recipe(choices, &recipe, &args.renames()?, inspection.as_ref())?;
    }
    if origin.starter {
        choices = choices.over_starter();
    }
    if choices.mode.is_none() {
        choices.mode = Some(Mode::Shadow);
    }
    check_env_names(&choices)?;
    Ok((choices, inspection))
}

fn read_file(path: &Path) -> Result<Vec<u8>, ExitError> {
    Ok(files::read_bounded(path, FILE_BYTES_MAX as u64)?)
}

/// Rejects what is not the name of a variable. The value is not shown, because it could be the URL itself.
pub(super) fn check_env_names(choices: &InitOptions) -> Result<(), ExitError> {
    let names = [
        ("--read-url-env", &choices.read_url_env),
        ("--from-env", &choices.inspected_env),
        ("--write-url-env", &choices.write_url_env),
        ("--tenant-env", &choices.tenant_env),
        ("--principal-env", &choices.principal_env),
    ];
    let is_wrong = |(_, name): &(&str, &Option<String>)| name.as_ref().is_some_and(|name| !is_env_name(name));
    let Some((option, _)) = names.into_iter().find(is_wrong) else {
        return Ok(());
    };
    let text = format!(
        "{option}, or its key in the file, is not a variable name of upper-case letters, digits and `_`"
    );
    Err(ExitError::new(ErrorCode::EnvNameInvalid, text)
        .with_fix("pass names of variables, such as SYNAPSOR_DATABASE_READ_URL, not their values"))
}

/// Returns the schema catalog from a file or the database; optional with a file of choices.
async fn inspection(
    args: &Args,
    database: &DatabaseArgs,
    choices: &InitOptions,
    context: &Context,
) -> Result<Option<Inspection>, ExitError> {
    if let Some(path) = &args.origin.inspection_json {
        return saved_inspection(path).map(Some);
    }
    let origin = &args.origin;
    let is_complete = origin.answers.is_some() || origin.spec.is_some() || origin.starter;
    let has_no_table = origin.recipe.is_some() && choices.table.is_none();
    if args.database.from_env.is_none() && (is_complete || has_no_table) {
        return Ok(None);
    }
    // A starter is a skeleton whatever the database has.
    if origin.starter {
        return Ok(None);
    }
    // The schema of SCHEMA.TABLE is enough; without one every schema is inspected.
    let of_table = choices.table.as_deref().and_then(|table| table.split_once('.'));
    let schema = of_table.map(|(schema, _)| schema).or(choices.schema.as_deref());
    database.inspect(context, schema).await.map(Some)
}

fn saved_inspection(path: &Path) -> Result<Inspection, ExitError> {
    let bytes = files::read_bounded(path, INSPECTION_BYTES_MAX as u64)?;
    let found: Inspection = serde_json::from_slice(&bytes).map_err(|error| {
        let text = format!(
            "{} is not an inspection (line {}, column {})",
            safe(&path.to_string_lossy()),
            error.line(),
            error.column()
        );
        ExitError::new(ErrorCode::InspectionInvalid, text)
            .with_fix("create it with `synapsor-runner inspect --json`")
    })?;
    Ok(found.with_suggestions())
}

/// Completes the flags by a recipe: with the names of the table if there is one, else with its own.
fn over_recipe(
    choices: InitOptions,
    recipe: &Recipe,
    renames: &[(String, String)],
    inspection: Option<&Inspection>,
) -> Result<InitOptions, ExitError> {
    let mut base = match inspection {
        None if !renames.is_empty() => {
            let text = "--map is for the columns of a table, and no database is inspected";
            return Err(ExitError::new(ErrorCode::OptionUnused, text)
                .with_fix("pass --table with the variable of the database, or remove --map"));
        }
        None => {
            let engine = choices.engine.as_deref().and_then(EngineKind::of_name);
            recipe.for_engine(engine).map_err(refused)?
        }
        Some(inspection) => {
            let selection = recipe.selection().map_err(refused)?;
            let Some(table) = only_table(&choices, &selection, inspection) else {
                // The draft names the tables that exist.
                let table = choices.table.clone().or(selection.table);
                return Ok(InitOptions { table, ..choices });
            };
            recipe.on_table(table, renames).map_err(refused)?
        }
    };
    if choices.single_tenant_dev {
        base.tenant_column = None;
    }
    if !choices.patch.is_empty() {
        // Limits of the recipe are about columns of its own patch.
        base.allowed_columns.clear();
        base.bounds.clear();
        base.states.clear();
        base.state_columns.clear();
        base.patch_args.clear();
    }
    Ok(choices.over(base))
}

fn only_table<'a>(
    choices: &InitOptions,
    recipe: &InitOptions,
    inspection: &'a Inspection,
) -> Option<&'a TableInfo> {
    let named = choices.table.as_deref().or(recipe.table.as_deref())?;
    let (schema, table) = match named.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (choices.schema.as_deref(), named),
    };
    let mut found = inspection.tables_called(schema, table);
    found.next().filter(|_| found.next().is_none())
}
