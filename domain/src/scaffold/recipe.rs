//! Recipes: contract patterns for common business changes. A recipe is an onboarding selection with the facts that
//! help to choose it, and is mapped onto the columns of a real table.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use synapsor_codes::ErrorCode;

use super::DraftError;
use super::choices::InitOptions;
use super::flag_syntax::Assigned;
use super::selection::{placed, read_selection};
use super::starter::schema_default;
use crate::contract::EngineKind;
use crate::inspection::TableInfo;
use crate::json;

/// Maximum size of a recipe file, in bytes.
pub const RECIPE_BYTES_MAX: usize = 64 * 1024;
const DEPTH_MAX: usize = 20;

/// The recipes of this program.
const BUILT_IN: [&str; 5] = [
    include_str!("recipes/late-fee-waiver.json"),
    include_str!("recipes/ticket-resolution.json"),
    include_str!("recipes/refund-review.json"),
    include_str!("recipes/trial-extension.json"),
    include_str!("recipes/account-credit.json"),
];

/// A recipe as written. Every member is required but `$schema`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    #[serde(rename = "$schema", default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Name on the command line, in lower case with hyphens.
    pub id: String,
    pub title: String,
    pub summary: String,
    /// What one row of the table is.
    pub expected_table_type: String,
    pub required_columns: Vec<String>,
    pub recommended_primary_key: String,
    pub recommended_tenant_key: String,
    pub recommended_conflict_column: String,
    pub visible_columns: Vec<String>,
    pub allowed_write_columns: Vec<String>,
    pub semantic_tools: Vec<String>,
    pub notes: Vec<String>,
    /// An onboarding selection.
    pub spec: Json,
}

/// Returns the recipes of this program.
pub fn built_in_recipes() -> Vec<Recipe> {
    let recipe = |text: &&str| serde_json::from_str(text).expect("a test reads each recipe");
    BUILT_IN.iter().map(recipe).collect()
}

/// Output of `recipes show --json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Printed {
    #[serde(rename = "ok")]
    _ok: bool,
    recipe: Recipe,
}

/// Whether the file is the output of a command and not the recipe alone, which has no such member.
fn is_printed(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Json>(bytes).is_ok_and(|file| file.get("recipe").is_some())
}

/// Reads a recipe file: a recipe alone, or as `recipes show --json` prints it.
///
/// # Errors
/// `RECIPE_INVALID` with the place; the error of the selection inside it.
pub fn read_recipe(bytes: &[u8]) -> Result<Recipe, DraftError> {
    json::read(bytes, DEPTH_MAX).map_err(|error| invalid(&error.to_string()))?;
    let parsed = if is_printed(bytes) {
        serde_json::from_slice::<Printed>(bytes).map(|printed| printed.recipe)
    } else {
        serde_json::from_slice(bytes)
    };
    let recipe: Recipe = parsed.map_err(|error| invalid(&placed(&error)))?;
    let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if recipe.id.is_empty() || !recipe.id.chars().all(is_id) {
        return Err(invalid(
            "`id` must have lower-case letters, digits and hyphens only",
        ));
    }
    recipe.selection()?;
    Ok(recipe)
}

fn invalid(reason: &str) -> DraftError {
    DraftError::new(
        ErrorCode::RecipeInvalid,
        format!("recipe: {reason}"),
        "correct the file; its form is in schemas/recipe.v1.json",
    )
}

impl Recipe {
    /// Returns the choices of the recipe, for a table with exactly its names.
    ///
    /// # Errors
    /// As [`read_selection`].
    pub fn selection(&self) -> Result<InitOptions, DraftError> {
        read_selection(self.spec.to_string().as_bytes())
    }

    /// Returns the choices for another engine, with the schema that is usual there.
    ///
    /// # Errors
    /// As [`read_selection`].
    pub fn for_engine(&self, engine: Option<EngineKind>) -> Result<InitOptions, DraftError> {
        let mut choices = self.selection()?;
        if let Some(engine) = engine.filter(|engine| choices.engine.as_deref() != Some(engine.as_str())) {
            choices.engine = Some(engine.as_str().to_owned());
            choices.schema = Some(schema_default(engine).to_owned());
        }
        Ok(choices)
    }

    /// Returns the choices with the names of a real table. `renames` are pairs of the recipe's column and the table's.
    ///
    /// # Errors
    /// `RECIPE_COLUMN_MISSING` if a column that the pattern needs has no counterpart; `RECIPE_COLUMN_UNKNOWN` and
    /// `RECIPE_COLUMN_TWICE` for renames that fit no column, or two columns of which one is set.
    pub fn on_table(
        &self,
        table: &TableInfo,
        renames: &[(String, String)],
    ) -> Result<InitOptions, DraftError> {
        let mut choices = self.selection()?;
        let names = self.mapped(table, renames)?;
        let real = |column: &String| names.get(column).cloned();
        let pair = |column: &String| real(column).unwrap_or_else(|| column.clone());
        choices.engine = None;
        choices.schema = Some(table.schema.clone());
        choices.table = Some(table.name.clone());
        let key: Option<Vec<String>> = choices.primary_key.iter().map(real).collect();
        // The key of the table itself, where the table has another one.
        choices.primary_key = key.unwrap_or_default();
        choices.tenant_column = choices.tenant_column.as_ref().and_then(real);
        choices.conflict_column = choices.conflict_column.as_ref().and_then(real);
        if choices.conflict_column.is_none() {
            choices.conflict_advance = None;
        }
        choices.visible_columns = choices.visible_columns.iter().filter_map(real).collect();
        choices.allowed_columns = choices.allowed_columns.iter().filter_map(real).collect();
        for (column, _) in &mut choices.patch {
            *column = pair(column);
        }
        for (column, _) in &mut choices.bounds {
            *column = pair(column);
        }
        for (column, _) in &mut choices.states {
            *column = pair(column);
        }
        for (column, from) in &mut choices.state_columns {
            (*column, *from) = (pair(column), pair(from));
        }
        Ok(choices)
    }

    /// Required columns without a default; those of key, tenant and version have one.
    fn needed(&self) -> impl Iterator<Item = &String> {
        let derived = [
            &self.recommended_primary_key,
            &self.recommended_tenant_key,
            &self.recommended_conflict_column,
        ];
        let is_derived = move |column: &&String| derived.contains(column);
        self.required_columns
            .iter()
            .filter(move |column| !is_derived(column))
    }

    /// Returns the columns of the pattern that have no counterpart in the table.
    pub fn unmapped<'a>(&'a self, table: &TableInfo, renames: &[(String, String)]) -> Vec<&'a String> {
        self.needed()
            .filter(|column| counterpart(column, table, renames).is_none())
            .collect()
    }

    fn mapped(
        &self,
        table: &TableInfo,
        renames: &[(String, String)],
    ) -> Result<BTreeMap<String, String>, DraftError> {
        self.known_once(renames)?;
        if let Some((column, name)) = renames.iter().find(|(_, name)| table.column(name).is_none()) {
            return Err(missing(column, &format!("`{name}` is not a column"), table));
        }
        if let Some(column) = self.unmapped(table, renames).first() {
            return Err(missing(column, "no column has this name", table));
        }
        let pair = |column: &String| Some((column.clone(), counterpart(column, table, renames)?));
        let names: BTreeMap<String, String> = self.columns().filter_map(pair).collect();
        // A rule for a column that is set would replace, or widen, that of the other.
        for column in &self.allowed_write_columns {
            let taken =
                |(other, name): &(&String, &String)| *other != column && names.get(column) == Some(*name);
            if let Some((other, name)) = names.iter().find(taken) {
                return Err(DraftError::new(
                    ErrorCode::RecipeColumnTwice,
                    format!("the recipe's columns `{column}` and `{other}` are both `{name}` of the table"),
                    format!("pass --map with another column for `{column}` or `{other}`"),
                ));
            }
        }
        Ok(names)
    }

    /// Every column that the recipe names.
    fn columns(&self) -> impl Iterator<Item = &String> {
        let own = [
            &self.recommended_primary_key,
            &self.recommended_tenant_key,
            &self.recommended_conflict_column,
        ];
        own.into_iter()
            .chain(&self.required_columns)
            .chain(&self.visible_columns)
            .chain(&self.allowed_write_columns)
    }

    /// Checks that each renamed column is one of the recipe, and has one new name.
    fn known_once(&self, renames: &[(String, String)]) -> Result<(), DraftError> {
        for (at, (column, _)) in renames.iter().enumerate() {
            if !self.columns().any(|known| known == column) {
                let names: BTreeSet<&str> = self.columns().map(String::as_str).collect();
                let names: Vec<&str> = names.into_iter().collect();
                return Err(DraftError::new(
                    ErrorCode::RecipeColumnUnknown,
                    format!("the recipe has no column `{column}`"),
                    format!("pass --map with columns of the recipe: {}", names.join(", ")),
                ));
            }
            if renames[..at].iter().any(|(other, _)| other == column) {
                return Err(DraftError::new(
                    ErrorCode::RecipeColumnTwice,
                    format!("--map names the recipe's column `{column}` twice"),
                    "pass one column of the table for it",
                ));
            }
        }
        Ok(())
    }

    /// Returns the columns that a proposal of the recipe sets.
    ///
    /// # Errors
    /// As [`read_selection`].
    pub fn patched(&self) -> Result<Vec<(String, Assigned)>, DraftError> {
        Ok(self.selection()?.patch)
    }
}

/// The column of the table for a column of the recipe: as given, else of the same name but for case and underscores.
fn counterpart(column: &str, table: &TableInfo, renames: &[(String, String)]) -> Option<String> {
    if let Some((_, name)) = renames.iter().find(|(from, _)| from == column) {
        return Some(name.clone());
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "");
    let exact = table.column(column);
    let alike = || {
        table
            .columns
            .iter()
            .find(|other| plain(&other.name) == plain(column))
    };
    exact.or_else(alike).map(|found| found.name.clone())
}

fn missing(column: &str, why: &str, table: &TableInfo) -> DraftError {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    DraftError::new(
        ErrorCode::RecipeColumnMissing,
        format!(
            "`{}.{}` has no counterpart of the recipe's column `{column}`: {why}",
            table.schema, table.name
        ),
        format!("pass --map {column}=COLUMN with one of: {}", names.join(", ")),
    )
}
