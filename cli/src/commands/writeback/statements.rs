//! `writeback migration` and `writeback grants`: print SQL for the database owner, from the contract or from
//! flags. Opens no database.

use clap::Args;
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, EngineKind, Source};
use synapsor_domain::writeback::{GrantPlan, GrantTarget, RECEIPT_TABLE, table_targets};

use crate::clients::refused;
use crate::{Context, contract_file, output};

const ENGINES: [&str; 3] = ["postgres", "mysql", "sqlite"];

/// The database, and the location of its receipt table.
#[derive(Debug, Args)]
pub(crate) struct ReceiptTableOptions {
    /// Database engine [default: that of the contract's source]
    #[arg(long, value_name = "NAME", value_parser = ENGINES)]
    engine: Option<String>,
    /// Source of the contract, when it has several
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Schema of the receipt table; for MySQL the database [default: the contract's, else public or main]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Receipt table [default: the contract's, else synapsor_writeback_receipts]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Migration {
    #[command(flatten)]
    table: ReceiptTableOptions,
}

#[derive(Debug, Args)]
pub(crate) struct Grants {
    #[command(flatten)]
    table: ReceiptTableOptions,
    /// Database role of the reader; for MySQL name or name@host
    #[arg(long, value_name = "ROLE")]
    read_role: Option<String>,
    /// Database role of the writer; for MySQL name or name@host
    #[arg(
        long,
        value_name = "ROLE",
        required_unless_present = "read_role",
        alias = "write-role"
    )]
    writer_role: Option<String>,
}

/// Resolved input of both commands.
struct Resolved {
    engine: EngineKind,
    schema: String,
    table: String,
    targets: Vec<GrantTarget>,
}

pub(super) fn migration(args: &Migration, context: &Context) -> Result<Exit, ExitError> {
    let of = args.table.resolve(context)?;
    let text = synapsor_domain::writeback::receipt_table_ddl(of.engine, &of.schema, &of.table);
    print(of.engine, &text.map_err(refused)?, context)
}

pub(super) fn grants(args: Grants, context: &Context) -> Result<Exit, ExitError> {
    let of = args.table.resolve(context)?;
    let plan = GrantPlan {
        engine: of.engine,
        read_role: args.read_role,
        write_role: args.writer_role,
        receipt_schema: of.schema,
        receipt_table: of.table,
        targets: of.targets,
    };
    let text = synapsor_domain::writeback::grants(&plan).map_err(refused)?;
    print(plan.engine, &text, context)
}

fn print(engine: EngineKind, text: &str, context: &Context) -> Result<Exit, ExitError> {
    if context.global.json {
        output::json(&json!({ "engine": engine.as_str(), "statements": text }))?;
    } else {
        output::text(text)?;
    }
    Ok(Exit::Ok)
}

impl ReceiptTableOptions {
    fn resolve(&self, context: &Context) -> Result<Resolved, ExitError> {
        let engine = self.engine.as_deref().and_then(EngineKind::of_name);
        match engine {
            Some(engine) if context.global.config.is_none() => {
                let schema = match (&self.schema, engine) {
                    (Some(schema), _) => schema.clone(),
                    (None, EngineKind::Postgres) => "public".to_owned(),
                    (None, EngineKind::Sqlite) => "main".to_owned(),
                    (None, EngineKind::Mysql) => return Err(no_schema()),
                };
                Ok(Resolved {
                    engine,
                    schema,
                    table: self.table.clone().unwrap_or_else(|| RECEIPT_TABLE.to_owned()),
                    targets: Vec::new(),
                })
            }
            _ => self.of_contract(engine, &contract_file::load(&context.global)?.contract),
        }
    }

    fn of_contract(&self, engine: Option<EngineKind>, contract: &Contract) -> Result<Resolved, ExitError> {
        let source = self.pick(engine, contract)?;
        let targets = table_targets(contract, &source.name);
        let own = targets.iter().find(|target| !target.writes.is_empty());
        let default = match source.engine {
            EngineKind::Postgres => Some("public"),
            EngineKind::Sqlite => Some("main"),
            // The database that the URL names, which is that of the tables.
            EngineKind::Mysql => own.or(targets.first()).map(|target| target.schema.as_str()),
        };
        let schema = self.schema.as_ref().or(source.receipt_schema.as_ref());
        let schema = schema.map(String::as_str).or(default).ok_or_else(no_schema)?;
        let table = self.table.as_ref().or(source.receipt_table.as_ref());
        Ok(Resolved {
            engine: source.engine,
            schema: schema.to_owned(),
            table: table.map_or(RECEIPT_TABLE, String::as_str).to_owned(),
            targets: targets.into_iter().map(Into::into).collect(),
        })
    }

    fn pick<'a>(&self, engine: Option<EngineKind>, contract: &'a Contract) -> Result<&'a Source, ExitError> {
        let fits = |source: &&Source| {
            self.source.as_ref().is_none_or(|name| source.name == *name)
                && engine.is_none_or(|engine| source.engine == engine)
        };
        let found: Vec<&Source> = contract.sources().iter().filter(fits).collect();
        if let [only] = found.as_slice() {
            return Ok(only);
        }
        let names: Vec<&str> = contract.sources().iter().map(|s| s.name.as_str()).collect();
        Err(ExitError::new(
            ErrorCode::SourceRequired,
            "the contract does not have exactly one matching source",
        )
        .with_fix(format!("pass --source with one of: {}", names.join(", "))))
    }
}

fn no_schema() -> ExitError {
    ExitError::new(
        ErrorCode::SchemaRequired,
        "a MySQL receipt table needs a database, and none is set",
    )
    .with_fix("pass --schema with the database name, or --config with a contract")
}
