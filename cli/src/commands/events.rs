//! `events tail`: streams ledger events. `events webhook` is in `event_push`.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::event::EventKind;
use synapsor_domain::replay::Entry;

use super::event_push;
use crate::Context;
use crate::clients::{EventQuery, EventStream, LedgerClient, verification_failed};
use crate::connection::LedgerConnection;
use crate::output::{self, safe, shape};
use crate::time_filter::{LogBound, parse_bound};
use crate::workflows;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List events, oldest first; with --json one object per line
    #[command(after_help = "Examples:\n  synapsor-runner events tail --follow\n  \
        synapsor-runner events tail --proposal latest --json\n  \
        synapsor-runner events tail --kind proposal_approved --actor ann --from 2d\n\n\
        With --json each line has `resume_from`: pass it as --from to continue after that event.\n\
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
    /// Filter by actor: the operator who signed, or the certificate identity of the sender
    #[arg(long)]
    actor: Option<String>,
    /// First log position, or recorded at or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, visible_alias = "since", value_name = "SEQ|TIME", value_parser = parse_bound)]
    from: Option<LogBound>,
    /// Log position or time before which the list ends
    #[arg(long, value_name = "SEQ|TIME", value_parser = parse_bound, conflicts_with = "follow")]
    to: Option<LogBound>,
    /// Maximum number of events; 0 for all
    #[arg(long, default_value_t = 0)]
    limit: u32,
    /// Keep streaming until interrupted
    #[arg(long)]
    follow: bool,
    /// Include event bodies
    #[arg(long)]
    details: bool,
    /// Accepted for 0.1.x, no effect: the ledger sends each event when it is recorded
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(INTERVAL_MS_MIN..))]
    interval_ms: Option<u64>,
}

/// Minimum of `--interval-ms`.
const INTERVAL_MS_MIN: u64 = 250;

impl TailArgs {
    fn query(&self, proposal_id: String) -> EventQuery {
        let mut query = EventQuery {
            proposal_id,
            kind: self.kind,
            follow: self.follow,
            limit: self.limit,
            actor: self.actor.clone().unwrap_or_default(),
            ..EventQuery::default()
        };
        match self.from {
            Some(LogBound::Seq(seq)) => query.from_seq = seq,
            Some(LogBound::At(at)) => query.at_from = Some(at),
            None => {}
        }
        match self.to {
            Some(LogBound::Seq(seq)) => query.to_seq = seq,
            Some(LogBound::At(at)) => query.at_to = Some(at),
            None => {}
        }
        query
    }
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
    if args.to == Some(LogBound::Seq(0)) {
        return Ok(Exit::Ok);
    }
    let filter = args.query(proposal_id);
    let mut stream = LedgerClient::of(session).tail(&filter).await?;
    tokio::select! {
        done = print_all(&mut stream, &filter, args, context) => done,
        () = context.stop.cancelled() => Ok(Exit::Ok),
    }
}

async fn print_all(
    stream: &mut EventStream,
    filter: &EventQuery,
    args: &TailArgs,
    context: &Context,
) -> Result<Exit, ExitError> {
    while let Some(shown) = stream.next().await? {
        let entry = Entry::read(&shown.event, &shown.body).map_err(|e| verification_failed(e.code(), e))?;
        let event = &entry.event;
        if !filter.is_met_by(event) {
            continue;
        }
        if context.global.json {
            let mut object = shape::event(&entry);
            object["resume_from"] = json!(event.seq + 1);
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
