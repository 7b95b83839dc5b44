//! `inspect`: prints the schema of a database for writing a contract. Metadata only; a reader of this command
//! or a running reader opens the database.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::Args as ClapArgs;
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::is_env_name;
use synapsor_domain::inspection::{Inspection, TableInfo};

use crate::Context;
use crate::clients::{SchemaClient, verification_failed};
use crate::connection;
use crate::output::{self, safe};
use crate::readable;
use crate::supervisor::run_executor_command;

/// Default variable with the read URL.
pub(super) const READ_URL_ENV: &str = "SYNAPSOR_DATABASE_READ_URL";
/// Maximum number of suggested columns shown per table.
const VISIBLE_SHOWN: usize = 12;

/// Selects the database by the variable that holds its URL.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) database: DatabaseArgs,
    /// Only tables of this schema
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// With --reader: source of its contract
    #[arg(long, value_name = "NAME", requires = "reader")]
    source: Option<String>,
    /// Database URL, as in 0.1.x
    #[arg(hide = true, value_name = "URL")]
    url: Option<String>,
}

/// Options of every command that inspects a database before a contract exists.
#[derive(Debug, ClapArgs)]
pub(crate) struct DatabaseArgs {
    /// Variable that holds the URL (or, as NAME_FILE, the path of its file) [default:
    /// SYNAPSOR_DATABASE_READ_URL]
    #[arg(long, value_name = "NAME", aliases = ["url-env", "database-url-env"])]
    pub(super) from_env: Option<String>,
    /// Variable that holds the CA certificates of the server as PEM text (or, as NAME_FILE, the path of their file)
    #[arg(long, value_name = "NAME")]
    pub(super) ssl_ca_env: Option<String>,
    /// Database engine; auto detects it from the URL
    #[arg(long, value_name = "NAME", default_value = "auto",
          value_parser = ["auto", "postgres", "mysql", "sqlite"])]
    pub(super) engine: String,
    /// Database URL, as in 0.1.x
    #[arg(long, hide = true, value_name = "URL")]
    from: Option<String>,
}

impl DatabaseArgs {
    /// Returns the variable name.
    pub(super) fn variable(&self) -> &str {
        self.from_env.as_deref().unwrap_or(READ_URL_ENV)
    }

    /// Returns the same options for another engine and variable.
    pub(super) fn with_variable(&self, engine: &str, variable: &str) -> Self {
        Self {
            from_env: Some(variable.to_owned()),
            ssl_ca_env: self.ssl_ca_env.clone(),
            engine: engine.to_owned(),
            from: None,
        }
    }

    /// Returns these options with another default variable.
    pub(super) fn or_variable(&self, default: Option<&str>) -> Self {
        self.with_variable(
            &self.engine,
            default
                .filter(|_| self.from_env.is_none())
                .unwrap_or(self.variable()),
        )
    }

    /// Rejects URLs on the command line, which every process of the machine can read.
    pub(super) fn check(&self) -> Result<(), ExitError> {
        if self.from.is_some() {
            return Err(inline_url());
        }
        if !is_env_name(self.variable()) {
            return Err(ExitError::new(
                ErrorCode::EnvNameInvalid,
                "--from-env is not a variable name of upper-case letters, digits and `_`",
            )
            .with_fix(
                "export SYNAPSOR_DATABASE_READ_URL='<the URL>' and pass --from-env SYNAPSOR_DATABASE_READ_URL",
            ));
        }
        if self.ssl_ca_env.as_deref().is_some_and(|name| !is_env_name(name)) {
            return Err(ExitError::new(
                ErrorCode::EnvNameInvalid,
                "--ssl-ca-env is not a variable name of upper-case letters, digits and `_`",
            )
            .with_fix("export DB_CA_FILE=/path/of/ca.pem and pass --ssl-ca-env DB_CA"));
        }
        Ok(())
    }

    /// Reads the schema catalog through a one-shot process that gets only this variable.
    pub(super) async fn inspect(
        &self,
        context: &Context,
        schema: Option<&str>,
    ) -> Result<Inspection, ExitError> {
        let name = self.variable();
        let mut arguments: Vec<OsString> = ["inspect", "--from-env", name, "--engine", &self.engine]
            .map(OsString::from)
            .to_vec();
        if let Some(schema) = schema {
            // One argument, so that a schema name cannot be parsed as another flag.
            arguments.push(format!("--schema={schema}").into());
        }
        let mut names = BTreeSet::from([name.to_owned(), format!("{name}_FILE")]);
        if let Some(name) = &self.ssl_ca_env {
            arguments.extend(["--ssl-ca-env", name].map(OsString::from));
            names.extend([name.clone(), format!("{name}_FILE")]);
        }
        let inspected = run_executor_command(context, arguments, &names);
        let printed = output::waiting("reading the catalog", inspected).await?;
        serde_json::from_slice(&printed).map_err(|_| {
            verification_failed(
                ErrorCode::ReaderAnswerMalformed,
                "inspection missing or malformed",
            )
        })
    }
}

fn inline_url() -> ExitError {
    ExitError::new(
        ErrorCode::InlineUrlRefused,
        "a URL on the command line is visible to every process of this machine",
    )
    .with_fix(
        "export SYNAPSOR_DATABASE_READ_URL='<the URL>' (or SYNAPSOR_DATABASE_READ_URL_FILE) and pass no URL",
    )
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    if args.url.is_some() {
        return Err(inline_url());
    }
    args.database.check()?;
    let schema = args.schema.as_deref();
    let inspection = match &context.global.remote.reader {
        Some(address) => {
            let link = connection::remote(context, Role::Reader, address).await?;
            let mut reader = SchemaClient::at(&link);
            let asked = reader.inspect(args.source.as_deref(), schema, None);
            context
                .unless_stopped(output::waiting("reading the catalog", asked))
                .await?
        }
        None => args.database.inspect(context, schema).await?,
    };
    if context.global.json {
        output::json(&inspection)?;
    } else {
        show(&inspection, args.database.variable())?;
    }
    Ok(Exit::Ok)
}

fn show(inspection: &Inspection, variable: &str) -> Result<(), ExitError> {
    let list = |names: &[String]| names.iter().map(|n| safe(n)).collect::<Vec<_>>().join(", ");
    output::line(format!(
        "engine    {} ({})",
        safe(&inspection.engine),
        safe(&inspection.product)
    ))?;
    output::line(format!("user      {}", safe(&inspection.current_user)))?;
    output::line(format!("schemas   {}", list(&inspection.schemas)))?;
    for table in &inspection.tables {
        show_table(table, &list)?;
    }
    if inspection.tables.is_empty() {
        output::line("\nno tables visible to this credential")?;
    }
    output::line("")?;
    for warning in &inspection.warnings {
        output::line(format!("note: {}", safe(warning)))?;
    }
    let is_likely =
        |table: &&TableInfo| !table.primary_key.is_empty() && !table.suggestions.tenant_columns.is_empty();
    let offered = inspection.offered();
    let likely = offered.iter().copied().find(is_likely);
    let Some(table) = likely.or(offered.first().copied()) else {
        return Ok(());
    };
    let tenant = match table.suggestions.tenant_columns.is_empty() {
        true => " --tenant-column COLUMN",
        false => "",
    };
    // The contract names the variable of a role that only reads.
    let reader = match table.writable && variable != READ_URL_ENV {
        true => format!(" --read-url-env {READ_URL_ENV}"),
        false => String::new(),
    };
    output::line("next:")?;
    output::line(format!(
        "  synapsor-runner init --from-env {variable}{reader} --table {}.{}{tenant} --mode review --patch COLUMN=arg:NAME",
        safe(&table.schema),
        safe(&table.name)
    ))
}

/// Names the kind of a table, and the trait that makes it another one than an ordinary table.
fn kind_in_words(table: &TableInfo) -> String {
    let kind = table.kind.as_str();
    match &table.never_written {
        Some(word) if word != kind => format!("{kind} ({})", safe(&word.replace('_', " "))),
        _ => kind.to_owned(),
    }
}

fn show_table(table: &TableInfo, list: &impl Fn(&[String]) -> String) -> Result<(), ExitError> {
    let right = match (table.writable, &table.never_written) {
        (true, None) => ", writable by this credential",
        (true, Some(_)) => ", writable by this credential, but never by the writer",
        (false, _) => "",
    };
    output::line(format!(
        "\n{}.{}  {}{right}",
        safe(&table.schema),
        safe(&table.name),
        kind_in_words(table)
    ))?;
    let key = match (table.primary_key.as_slice(), table.key_candidate(&table.name)) {
        ([], Some(candidate)) => format!("none; candidate: {}", safe(candidate)),
        ([], None) => "none".to_owned(),
        (columns, _) => list(columns),
    };
    let or_none = |names: &[String]| {
        if names.is_empty() {
            "none found".to_owned()
        } else {
            list(names)
        }
    };
    let suggested = &table.suggestions;
    output::line(format!("  key       {key}"))?;
    output::line(format!("  tenant    {}", or_none(&suggested.tenant_columns)))?;
    output::line(format!("  version   {}", or_none(&suggested.conflict_columns)))?;
    let large = table.columns.iter().filter(|c| c.suggestions.large_or_binary);
    let hidden: Vec<String> = suggested
        .sensitive_columns
        .iter()
        .cloned()
        .chain(large.map(|c| format!("{} ({})", c.name, c.data_type)))
        .collect();
    if !hidden.is_empty() {
        output::line(format!("  review    {}", list(&hidden)))?;
    }
    let visible = &suggested.default_visible_columns;
    let more = match visible.len().saturating_sub(VISIBLE_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = &visible[..visible.len().min(VISIBLE_SHOWN)];
    output::line(format!("  visible   {}{more}", or_none(shown)))?;
    let unnameable = table.columns.iter().filter(|column| !column.is_nameable());
    let unnameable: Vec<String> = unnameable.map(|column| readable::name(&column.name)).collect();
    const NAMES: &str =
        "a contract names what begins with an ASCII letter or _ and has ASCII letters, digits and _ only";
    if !table.is_nameable() {
        output::line(format!("  unusable  {}: {NAMES}", readable::name(&table.name)))?;
    } else if !unnameable.is_empty() {
        output::line(format!("  unusable  {}: {NAMES}", unnameable.join(", ")))?;
    }
    Ok(())
}
