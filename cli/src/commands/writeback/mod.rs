//! `writeback`: the statements that a database's owner runs, the check that they did what they should, and stopping
//! and resuming a writer.

mod doctor;
mod statements;

use clap::Subcommand;
use serde_json::json;
use synapsor_chassis::random;
use synapsor_chassis::run::{EXIT_OK, Exit, Failure};
use synapsor_domain::approval::{Approver, Unfreeze, verify_unfreeze};
use synapsor_domain::signing::{Envelope, Kind};
use synapsor_domain::timestamp::Span;
use synapsor_domain::trust::APPLIER;

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
        after_help = "Examples:\n  synapsor-runner writeback migration --engine sqlite | sqlite3 app.db\n  \
        synapsor-runner writeback migration --engine postgres --schema synapsor | psql \"$OWNER_URL\"\n\n\
        Without --engine, engine, schema and table are those of the contract's source.\n\
        Exit codes: 0 ok, 1 no such statements, 2 usage"
    )]
    Migration(statements::Migration),
    /// Print the statements that give reader and writer exactly what they need; run nothing
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback grants --read-role app_read --writer-role app_write\n  \
        synapsor-runner writeback grants --engine mysql --schema shop --writer-role app_write@10.0.0.5\n\n\
        With a contract (--config, or without --engine) the columns of its tables are included.\n\
        Exit codes: 0 ok, 1 no such statements, 2 usage"
    )]
    Grants(statements::Grants),
    /// Check the variables of both roles, and with --check-db prove that writebacks can work
    #[command(after_help = "Examples:\n  synapsor-runner writeback doctor\n  \
        synapsor-runner writeback doctor --check-db --json\n\n\
        --check-db opens the databases under both credentials and tries every statement of a writeback in a\n\
        transaction that is rolled back; with --writer ADDR or --reader ADDR the running service does it.\n\
        Exit codes: 0 fine or warnings only, 1 problems, 2 usage, 6 a database cannot be reached")]
    Doctor(doctor::Args),
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

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Migration(args) => statements::migration(&args, context),
        Command::Grants(args) => statements::grants(args, context),
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Freeze => switch(true, context).await,
        Command::Unfreeze => switch(false, context).await,
    }
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
        freeze_digest: None,
    };
    let envelope = Envelope::seal(Kind::Unfreeze, &unfreeze, &signer.key)
        .map_err(|e| Failure::new("UNFREEZE_UNSIGNABLE", e.to_string()).with_exit(EXIT_REFUSED))?;
    verify_unfreeze(&envelope, trust, &name, now).map_err(refused)?;
    Ok((name, writer.freeze(false, Some(&envelope)).await?))
}
