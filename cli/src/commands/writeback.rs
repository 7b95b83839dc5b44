//! `writeback`: the statements that a database's owner runs, and stopping and resuming a writer.

use clap::{Args, Subcommand};
use serde_json::json;
use synapsor_chassis::random;
use synapsor_chassis::run::{EXIT_OK, Exit, Failure};
use synapsor_domain::approval::{Approver, Unfreeze, verify_unfreeze};
use synapsor_domain::contract::Engine;
use synapsor_domain::signing::{Envelope, Kind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::APPLIER;
use synapsor_domain::writeback::{GrantPlan, RECEIPT_TABLE, grants, receipt_table_ddl};

use crate::Context;
use crate::clients::{EXIT_REFUSED, Writer, refused};
use crate::operations::now;
use crate::operator_key::Signer;
use crate::output::{self, safe};
use crate::session::Session;

/// Minutes that an unfreeze is good for: it is used at once.
const UNFREEZE_MINUTES: i64 = 5;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the statements that create the receipt table; run nothing
    #[command(
        after_help = "Example:\n  synapsor-runner writeback migration --engine sqlite | sqlite3 app.db\n\n\
        Exit codes: 0 ok, 1 no such engine in this build, 2 usage"
    )]
    Migration(Migration),
    /// Print the statements that give the writer's role what it needs; run nothing
    #[command(
        after_help = "Example:\n  synapsor-runner writeback grants --engine sqlite --writer-role app_writer\n\n\
        Exit codes: 0 ok, 1 no such engine in this build, 2 usage"
    )]
    Grants(Grants),
    /// Stop all writeback of the writer at once; survives a restart
    #[command(
        after_help = "Example:\n  synapsor-runner writeback freeze\n\nExit codes: 0 frozen, 6 no writer"
    )]
    Freeze,
    /// Resume a writer; signed, role applier
    #[command(after_help = "Example:\n  synapsor-runner writeback unfreeze\n\n\
        Exit codes: 0 resumed, 4 refused, 6 no writer")]
    Unfreeze,
}

#[derive(Debug, Args)]
pub(crate) struct Migration {
    /// The database's engine, as `sqlite`
    #[arg(long)]
    engine: String,
    /// The schema of the receipt table
    #[arg(long, default_value = "main")]
    schema: String,
    /// The receipt table
    #[arg(long, default_value = RECEIPT_TABLE)]
    table: String,
}

#[derive(Debug, Args)]
pub(crate) struct Grants {
    /// The database's engine, as `sqlite`
    #[arg(long)]
    engine: String,
    /// The database role under which the writer connects
    #[arg(long, value_name = "ROLE")]
    writer_role: String,
    /// The schema of the receipt table
    #[arg(long, default_value = "main")]
    schema: String,
    /// The receipt table
    #[arg(long, default_value = RECEIPT_TABLE)]
    table: String,
}

impl Grants {
    fn plan(&self) -> Result<GrantPlan, Failure> {
        let engine = Engine::of_name(&self.engine).ok_or_else(|| {
            let text = format!("this build has no engine `{}`", self.engine);
            Failure::new("ENGINE_NOT_AVAILABLE", text)
        })?;
        Ok(GrantPlan {
            engine,
            read_role: None,
            write_role: Some(self.writer_role.clone()),
            receipt_schema: self.schema.clone(),
            receipt_table: self.table.clone(),
            targets: Vec::new(),
        })
    }
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Migration(args) => {
            let text = receipt_table_ddl(&args.engine, &args.schema, &args.table).map_err(refused)?;
            statements(&args.engine, &text, context)
        }
        Command::Grants(args) => {
            let text = grants(&args.plan()?).map_err(refused)?;
            statements(&args.engine, &text, context)
        }
        Command::Freeze => switch(true, context).await,
        Command::Unfreeze => switch(false, context).await,
    }
}

fn statements(engine: &str, text: &str, context: &Context) -> Result<Exit, Failure> {
    if context.global.json {
        output::json(&json!({ "engine": engine, "statements": text }))?;
    } else {
        output::text(text)?;
    }
    Ok(Exit(EXIT_OK))
}

async fn switch(freeze: bool, context: &Context) -> Result<Exit, Failure> {
    let mut session = Session::open(context).await?;
    let done = switched(freeze, &mut session, context).await;
    session.close().await;
    let (name, frozen) = done?;
    if context.global.json {
        output::json(&json!({ "writer": name, "frozen": frozen }))?;
    } else {
        let what = if frozen {
            "frozen: it writes nothing until it is resumed"
        } else {
            "at work"
        };
        output::line(format!("writer {} is {what}", safe(&name)))?;
    }
    Ok(Exit(EXIT_OK))
}

async fn switched(freeze: bool, session: &mut Session, context: &Context) -> Result<(String, bool), Failure> {
    let link = session.writer(context).await?;
    let mut writer = Writer::at(&link);
    let name = writer.name().await?;
    if freeze {
        return Ok((name, writer.freeze(true, None).await?));
    }
    let trust = session.trust();
    let signer = Signer::load(context, trust)?;
    let now = now();
    let unfreeze = Unfreeze {
        v: 1,
        deployment_id: trust.deployment_id.clone(),
        environment: trust.environment,
        writer: name.clone(),
        approver: Approver {
            key_id: signer.key.key_id(),
            person: signer.person.clone(),
            role: APPLIER.to_owned(),
        },
        issued_at: now,
        expires_at: now + Span::minutes(UNFREEZE_MINUTES).min(trust.order_ceiling()),
        nonce: hex::encode(random::bytes::<16>()),
    };
    let envelope = Envelope::seal(Kind::Unfreeze, &unfreeze, &signer.key)
        .map_err(|e| Failure::new("UNFREEZE_UNSIGNABLE", e.to_string()).with_exit(EXIT_REFUSED))?;
    verify_unfreeze(&envelope, trust, &name, now).map_err(refused)?;
    Ok((name, writer.freeze(false, Some(&envelope)).await?))
}
