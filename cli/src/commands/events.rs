//! `events tail`: streams ledger events. `events webhook` is in `event_push`.

use clap::{Args, Subcommand};
use serde_json::Value as Json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::event::EventKind;
use synapsor_domain::replay::Entry;

use super::event_push;
use crate::Context;
use crate::clients::{EventQuery, EventStream, LedgerClient, verification_failed};
use crate::connection::LedgerConnection;
use crate::output::{self, safe, shape};
use crate::workflows;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List events, oldest first; with --json one object per line
    #[command(after_help = "Examples:\n  synapsor-runner events tail --follow\n  \
        synapsor-runner events tail --proposal latest --json\n\n\
        Exit codes: 0 ok, 1 proposal not found, 6 ledger unreachable, 10 not an event")]
    Tail(TailArgs),
    /// Send events to a receiver, oldest first; with --follow until interrupted
    #[command(
        visible_alias = "push",
        after_help = "Examples:\n  synapsor-runner events webhook --url-env BILLING_HOOK --secret-env BILLING_SECRET \\\n    \
        --since-event-id 1042\n  synapsor-runner events push --url http://127.0.0.1:9000/hook --dry-run --json\n\n\
        Each event is one POST, tried five times. The last line, and `cursor` with --json, is for the next run. The \
        ledger's own webhooks need no command; see docs/webhooks.md.\n\
        Exit codes: 0 ok, 1 proposal not found, 2 usage, 6 not accepted or ledger unreachable, 10 not an event"
    )]
    Webhook(Box<event_push::PushArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Filter by proposal: id, id prefix, short code, or `latest`
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Filter by kind, such as `proposal_created`
    #[arg(long, value_parser = kind)]
    kind: Option<EventKind>,
    /// First log position
    #[arg(long, visible_alias = "since", value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// Maximum number of events; 0 for all
    #[arg(long, default_value_t = 0)]
    limit: u32,
    /// Keep streaming until interrupted
    #[arg(long)]
    follow: bool,
    /// Include event bodies
    #[arg(long)]
    details: bool,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::Tail(args) => tail(args, &session, context).await,
        Command::Webhook(args) => Box::pin(event_push::run(args, &session, context)).await,
    };
    session.close().await;
    done
}

async fn tail(args: &TailArgs, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    workflows::check_log(session).await?;
    let proposal_id = workflows::proposal_filter(session, args.proposal.as_deref()).await?;
    let filter = EventQuery {
        from_seq: args.from,
        proposal_id,
        kind: args.kind,
        follow: args.follow,
        limit: args.limit,
    };
    let mut stream = LedgerClient::of(session).tail(&filter).await?;
    tokio::select! {
        done = print_all(&mut stream, args, context) => done,
        () = context.stop.cancelled() => Ok(Exit::Ok),
    }
}

async fn print_all(stream: &mut EventStream, args: &TailArgs, context: &Context) -> Result<Exit, ExitError> {
    while let Some(shown) = stream.next().await? {
        let entry = Entry::read(&shown.event, &shown.body).map_err(|e| verification_failed(e.code(), e))?;
        let event = &entry.event;
        if context.global.json {
            let mut object = shape::event(event);
            if args.details {
                object["body"] = serde_json::from_slice(&shown.body).unwrap_or(Json::Null);
            }
            output::json_line(&object)?;
            continue;
        }
        let about = event.proposal_id.as_ref().map_or("", |id| id.as_str());
        output::line(format!(
            "{:>8}  {}  {:<20} {about}  {}",
            event.seq,
            event.at,
            event.kind.as_str(),
            safe(&event.actor)
        ))?;
        if args.details {
            output::line(format!(
                "          {}",
                safe(&String::from_utf8_lossy(&shown.body))
            ))?;
        }
    }
    Ok(Exit::Ok)
}

pub(super) fn kind(text: &str) -> Result<EventKind, String> {
    text.parse().map_err(|_| {
        let all: Vec<_> = EventKind::ALL.iter().map(|k| k.as_str()).collect();
        format!("one of: {}", all.join(", "))
    })
}
