//! First part of the wizard: the database, the table, its key and its tenant.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::is_env_name;
use synapsor_domain::inspection::{Inspection, TableInfo, TableKind};

use super::super::Args;
use super::Wizard;
use crate::output::safe;

/// Tables up to which the whole list is shown.
const TABLES_LISTED: usize = 20;
const ENGINES: [&str; 4] = ["auto", "postgres", "mysql", "sqlite"];
const TENANT_ENV: &str = "SYNAPSOR_TENANT_ID";
const PRINCIPAL_ENV: &str = "SYNAPSOR_PRINCIPAL";

/// Accepts names of variables. The text is not repeated, because it could be a URL.
pub(super) fn variable_name(text: &str) -> Result<(), String> {
    if is_env_name(text) {
        Ok(())
    } else {
        Err("a name of upper-case letters, digits and _".to_owned())
    }
}

impl Wizard<'_> {
    /// Asks for engine and variable, and reads the schema catalog.
    pub(super) async fn inspect(&mut self, args: &Args) -> Result<Inspection, ExitError> {
        let default = ENGINES.iter().position(|name| *name == args.database.engine);
        let labels = ["detect from the URL", "PostgreSQL", "MySQL or MariaDB", "SQLite"].map(str::to_owned);
        let engine = self
            .terminal
            .choose("Database engine", &labels, default.unwrap_or_default())?;
        let mut default = args.database.variable().to_owned();
        let variable = loop {
            let name = self
                .terminal
                .text("URL variable", Some(&default), variable_name)?;
            if self.is_set(&name)? {
                break name;
            }
            self.terminal.say(&format!(
                "{name} is not set here. End with Ctrl-C and export it\n\
                 (or {name}_FILE), or name another variable."
            ))?;
            default = name;
        };
        let database = args.database.with_variable(ENGINES[engine], &variable);
        let schema = self.choices.schema.as_deref();
        let inspection = database.inspect(self.context, schema).await?;
        self.choices.engine = None;
        self.choices.inspected_env = Some(variable.clone());
        self.choices.read_url_env.get_or_insert(variable);
        self.terminal.say(&format!(
            "{}, {} tables visible to {}",
            safe(&inspection.product),
            inspection.offered().len(),
            safe(&inspection.current_user)
        ))?;
        Ok(inspection)
    }

    pub(super) fn is_set(&self, name: &str) -> Result<bool, ExitError> {
        let env = &self.context.env;
        Ok(env.get(name)?.is_some() || env.get(&format!("{name}_FILE"))?.is_some())
    }

    /// Asks for schema and table.
    pub(super) fn table<'a>(&mut self, inspection: &'a Inspection) -> Result<&'a TableInfo, ExitError> {
        let offered = inspection.offered();
        let mut schemas: Vec<String> = offered.iter().map(|table| table.schema.clone()).collect();
        schemas.sort();
        schemas.dedup();
        let schema = match schemas.as_slice() {
            [] => {
                let text = "no table that a contract can name is visible to this credential";
                return Err(ExitError::new(ErrorCode::TableNotFound, text)
                    .with_fix("use the URL of the tables' owner, or grant the role its rights first"));
            }
            [only] => only.clone(),
            several => {
                let wanted = self.choices.schema.as_deref().unwrap_or("public");
                let default = several.iter().position(|schema| schema == wanted);
                let at = self
                    .terminal
                    .choose("Schema", several, default.unwrap_or_default())?;
                several[at].clone()
            }
        };
        let mut tables: Vec<&TableInfo> = offered;
        tables.retain(|table| table.schema == schema);
        if tables.len() > TABLES_LISTED {
            tables = self.narrowed(tables)?;
        }
        let labels: Vec<String> = tables.iter().map(|table| label(table)).collect();
        let wanted = self.choices.table.as_deref().unwrap_or_default();
        let default = tables.iter().position(|table| table.name == wanted);
        let at = self
            .terminal
            .choose("Table", &labels, default.unwrap_or_default())?;
        self.choices.schema = None;
        self.choices.table = Some(format!("{}.{}", tables[at].schema, tables[at].name));
        Ok(tables[at])
    }

    /// Asks for a part of the name where the list is long.
    fn narrowed<'a>(&self, tables: Vec<&'a TableInfo>) -> Result<Vec<&'a TableInfo>, ExitError> {
        let like = |part: &str| -> Vec<&'a TableInfo> {
            let part = part.to_ascii_lowercase();
            let is_like = |table: &&&TableInfo| table.name.to_ascii_lowercase().contains(&part);
            tables.iter().filter(is_like).copied().collect()
        };
        let question = format!("{} tables; part of the name", tables.len());
        let part = self.terminal.optional(&question, None, |part| {
            if like(part).is_empty() {
                Err("no table has this in its name".to_owned())
            } else {
                Ok(())
            }
        })?;
        Ok(part.map_or_else(|| tables.clone(), |part| like(&part)))
    }

    /// Asks for the key, the tenant and the variables of the trusted context.
    pub(super) fn keys(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let found = match table.primary_key.as_slice() {
            [] => table.key_candidate(&table.name).unwrap_or_default().to_owned(),
            columns => columns.join(","),
        };
        let default = match self.choices.primary_key.as_slice() {
            [] => found.clone(),
            chosen => chosen.join(","),
        };
        let columns = self
            .terminal
            .text("Key columns", Some(&default), |text| known(table, text))?;
        self.choices.primary_key = if columns == found && table.primary_key.len() == 1 {
            Vec::new()
        } else {
            columns
                .split(',')
                .map(|column| column.trim().to_owned())
                .collect()
        };
        self.tenant(table)?;
        let tenant_env = self.choices.tenant_env.as_deref().unwrap_or(TENANT_ENV);
        let chosen = self
            .terminal
            .text("Tenant variable", Some(tenant_env), variable_name)?;
        self.choices.tenant_env = Some(chosen).filter(|name| name != TENANT_ENV);
        let principal_env = self.choices.principal_env.as_deref().unwrap_or(PRINCIPAL_ENV);
        let chosen = self
            .terminal
            .text("Principal variable", Some(principal_env), variable_name)?;
        self.choices.principal_env = Some(chosen).filter(|name| name != PRINCIPAL_ENV);
        Ok(())
    }

    /// Asks for the tenant column. A table without one needs an explicit yes.
    fn tenant(&mut self, table: &TableInfo) -> Result<(), ExitError> {
        let mut items: Vec<String> = first(&table.suggestions.tenant_columns, table);
        items.push("none: the table has no tenants (development)".to_owned());
        let wanted = self.choices.tenant_column.as_ref();
        let mut default = items
            .iter()
            .position(|item| Some(item) == wanted)
            .unwrap_or_default();
        if table.suggestions.tenant_columns.is_empty() && wanted.is_none() {
            default = items.len() - 1;
        }
        loop {
            let at = self.terminal.choose("Tenant column", &items, default)?;
            if at + 1 < items.len() {
                self.choices.tenant_column = Some(items[at].clone());
                self.choices.single_tenant_dev = false;
                return Ok(());
            }
            if self.terminal.has_typed_yes("Every row for every caller?")? {
                self.choices.tenant_column = None;
                self.choices.single_tenant_dev = true;
                return Ok(());
            }
        }
    }
}

/// Returns the columns of the table, the suggested ones first.
pub(super) fn first(suggested: &[String], table: &TableInfo) -> Vec<String> {
    let others = table.columns.iter().filter(|column| column.is_nameable());
    let others = others.map(|column| column.name.clone());
    let others = others.filter(|name| !suggested.contains(name));
    suggested.iter().cloned().chain(others).collect()
}

/// Accepts names of columns of the table, comma-separated.
pub(super) fn known(table: &TableInfo, text: &str) -> Result<(), String> {
    let mut columns = text.split(',').map(str::trim);
    match columns.find(|column| table.column(column).is_none()) {
        None => Ok(()),
        Some(column) => Err(format!("the table has no column {}", safe(column))),
    }
}

fn label(table: &TableInfo) -> String {
    let kind = match table.kind {
        TableKind::Table => "",
        TableKind::View => ", view",
    };
    format!("{} ({} columns{kind})", table.name, table.columns.len())
}
