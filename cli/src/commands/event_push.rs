//! `events webhook`: sends events from this machine to a receiver, once or while it runs. The ledger's own webhooks
//! need no command.

use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;
use synapsor_chassis::random;
use synapsor_chassis::retry::{RetryPolicy, retry};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::secret::Secret;
use synapsor_codes::ErrorCode;
use synapsor_domain::event::EventKind;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::DeploymentEnvironment;
use synapsor_domain::webhook::{Delivery, SourceName, WebhookFormat, WebhookSecret, delivery_headers};
use synapsor_outbound::{AddressPolicy, AddressRange, Destination, Timeouts};

use super::events::kind;
use crate::Context;
use crate::clients::{EventQuery, EventStream, LedgerClient, verification_failed};
use crate::connection::LedgerConnection;
use crate::output::{self, safe};
use crate::time_filter::parse_time;
use crate::workflows;

/// Maximum number of bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Maximum log position that a ledger has.
const POSITION_MAX: u64 = (1 << 53) - 1;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("receiver").required(true))]
pub(crate) struct PushArgs {
    /// URL of the receiver, without credentials
    #[arg(long, value_name = "URL", group = "receiver")]
    url: Option<String>,
    /// Environment variable with the URL; NAME_FILE names a file instead
    #[arg(long, value_name = "NAME", group = "receiver")]
    url_env: Option<String>,
    /// Environment variable with a bearer token; NAME_FILE names a file instead
    #[arg(long, value_name = "NAME")]
    auth_token_env: Option<String>,
    /// Environment variable with the signing secret (whsec_...); NAME_FILE names a file instead
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// Form of the body
    #[arg(long, value_enum, default_value = "v1")]
    format: PushFormat,
    /// Private addresses that the receiver may have, such as 10.0.0.0/8; repeatable or separated by commas
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    allow_ranges: Vec<AddressRange>,
    /// Deadline of one attempt in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(250..=60_000))]
    timeout_ms: u64,
    /// Send only events after this one; the command prints the value for the next run
    #[arg(long, value_name = "EVENT", value_parser = clap::value_parser!(u64).range(..POSITION_MAX))]
    since_event_id: Option<u64>,
    /// Filter by proposal: id, id prefix, short code, or `latest`
    #[arg(long, value_name = "ID")]
    proposal: Option<String>,
    /// Filter by kind, such as `proposal_created`
    #[arg(long, value_parser = kind)]
    kind: Option<EventKind>,
    /// Filter by sender or operator
    #[arg(long)]
    actor: Option<String>,
    /// Recorded at or after: 2026-01-02, 2026-01-02T03:04:05Z, 2h, today or yesterday
    #[arg(long, value_parser = parse_time)]
    from: Option<Timestamp>,
    /// Recorded before
    #[arg(long, value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Maximum number of events; 0 for all
    #[arg(long, default_value_t = 0)]
    limit: u32,
    /// Keep sending until interrupted
    #[arg(long)]
    follow: bool,
    /// No effect; with --follow, events arrive at once
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(250..))]
    interval_ms: Option<u64>,
    /// Print the events and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PushFormat {
    Cloudevents,
    V1,
    Slack,
    Teams,
}

impl PushFormat {
    const fn format(self) -> WebhookFormat {
        match self {
            Self::Cloudevents => WebhookFormat::Cloudevents,
            Self::V1 => WebhookFormat::V1,
            Self::Slack => WebhookFormat::Slack,
            Self::Teams => WebhookFormat::Teams,
        }
    }
}

/// Receiver of one run.
struct PushTarget {
    destination: Destination,
    format: WebhookFormat,
    source: String,
    secrets: Vec<WebhookSecret>,
    bearer: Option<Secret>,
}

/// How far a run is.
#[derive(Default)]
struct Pushed {
    /// Events that were sent, or would be, as JSON.
    events: Vec<serde_json::Value>,
    count: u64,
    /// Last event that was read; nothing before it is left.
    cursor: Option<u64>,
}

pub(super) async fn run(
    args: &PushArgs,
    session: &LedgerConnection,
    context: &Context,
) -> Result<Exit, ExitError> {
    let target = PushTarget::of(args, session, context)?;
    workflows::check_log(session).await?;
    let filter = EventQuery {
        from_seq: args.since_event_id.map_or(0, |last| last + 1),
        proposal_id: workflows::proposal_filter(session, args.proposal.as_deref()).await?,
        kind: args.kind,
        follow: args.follow,
        actor: args.actor.clone().unwrap_or_default(),
        at_from: args.from,
        ..EventQuery::default()
    };
    let mut stream = LedgerClient::of(session).tail(&filter).await?;
    let mut pushed = Pushed {
        cursor: args.since_event_id,
        ..Pushed::default()
    };
    let done = tokio::select! {
        done = push_all(&mut stream, args, &target, &mut pushed, context.global.json) => done,
        () = context.stop.cancelled() => Ok(()),
    };
    match done {
        Ok(()) => report(args, &target, &pushed, context),
        Err(failure) => {
            let fix = match pushed.cursor {
                Some(cursor) => format!("correct the receiver, then continue with --since-event-id {cursor}"),
                None => "correct the receiver, then run the command again".to_owned(),
            };
            Err(failure.with_fix(fix))
        }
    }
}

impl PushTarget {
    fn of(args: &PushArgs, session: &LedgerConnection, context: &Context) -> Result<Self, ExitError> {
        let secret = |name: &Option<String>| {
            let read = |name: &String| Secret::read(&context.env, name);
            name.as_ref().map(read).transpose().map_err(ExitError::from)
        };
        let url = match &args.url {
            Some(url) => Secret::new(url.clone()),
            None => secret(&args.url_env)?.unwrap_or_else(|| Secret::new("")),
        };
        let policy = AddressPolicy {
            loopback: session.trust().environment == DeploymentEnvironment::Dev,
            ranges: args.allow_ranges.clone(),
        };
        let total = Duration::from_millis(args.timeout_ms);
        let timeouts = Timeouts {
            connect: total,
            total,
        };
        let destination = Destination::new(url.expose().trim(), policy, timeouts).map_err(|why| {
            let text = format!("URL of the receiver: {why}");
            ExitError::new(ErrorCode::WebhookUrlForbidden, text).with_fix(
                "pass an https URL of a public address, or name the private range in --allow-ranges",
            )
        })?;
        let signing = secret(&args.secret_env)?.map(|text| WebhookSecret::parse(text.expose()));
        let signing = signing.transpose().map_err(|error| {
            ExitError::new(ErrorCode::WebhookSecretInvalid, error.to_string())
                .with_fix("make one with: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"")
        })?;
        Ok(Self {
            destination,
            format: args.format.format(),
            source: session.trust().ledger_origin(),
            secrets: signing.into_iter().collect(),
            bearer: secret(&args.auth_token_env)?,
        })
    }

    /// Sends one event, several times if it fails.
    async fn send(&self, delivery: &Delivery) -> Result<(), ExitError> {
        let attempt = || async {
            let now = workflows::now();
            let body = delivery.render(self.format, SourceName(&self.source), now);
            let timestamp_s = now.as_unix_millis().div_euclid(1_000);
            let id = delivery.message_id();
            let mut headers = delivery_headers(self.format, (&id, timestamp_s), &body, &self.secrets);
            if let Some(token) = &self.bearer {
                headers.push(("authorization", format!("Bearer {}", token.expose())));
            }
            match self
                .destination
                .post(&headers, body.bytes, ANSWER_BYTES_MAX)
                .await
            {
                Ok(200..=299) => Ok(()),
                Ok(status) => Err(format!("status {status}")),
                Err(error) => Err(error.to_string()),
            }
        };
        let sent = retry(RetryPolicy::default(), random::number, |_| true, attempt).await;
        sent.map_err(|failure| {
            let receiver = self.destination.host_and_port();
            let text = format!(
                "{receiver} did not accept event {}: {failure}",
                delivery.event.seq
            );
            ExitError::new(ErrorCode::WebhookDeliveryFailed, text)
        })
    }
}

/// Sends the events of the stream in order. Returns after the first that is not accepted.
async fn push_all(
    stream: &mut EventStream,
    args: &PushArgs,
    target: &PushTarget,
    pushed: &mut Pushed,
    is_json: bool,
) -> Result<(), ExitError> {
    while let Some(shown) = stream.next().await? {
        let delivery = Delivery::read(&shown.event, &shown.body, None)
            .map_err(|e| verification_failed(ErrorCode::WebhookEventUnreadable, e))?;
        let seq = delivery.event.seq;
        if is_wanted(args, &delivery) {
            if !args.dry_run {
                target.send(&delivery).await?;
            }
            pushed.count += 1;
            match (args.follow, is_json) {
                (true, true) => output::json_line(&delivery.event_json())?,
                (false, true) => pushed.events.push(delivery.event_json()),
                (_, false) => output::line(format!(
                    "{:>8}  {}  {:<20} {}",
                    seq,
                    delivery.event.at,
                    delivery.event.kind.as_str(),
                    delivery.event.proposal_id.as_ref().map_or("", |id| id.as_str())
                ))?,
            }
        }
        pushed.cursor = Some(seq);
        if args.limit > 0 && pushed.count == u64::from(args.limit) {
            return Ok(());
        }
    }
    Ok(())
}

fn is_wanted(args: &PushArgs, delivery: &Delivery) -> bool {
    let event = &delivery.event;
    args.actor.as_ref().is_none_or(|actor| *actor == event.actor)
        && args.from.is_none_or(|from| event.at >= from)
        && args.to.is_none_or(|to| event.at < to)
}

fn report(
    args: &PushArgs,
    target: &PushTarget,
    pushed: &Pushed,
    context: &Context,
) -> Result<Exit, ExitError> {
    let receiver = target.destination.host_and_port();
    let delivered = if args.dry_run { 0 } else { pushed.count };
    if context.global.json && !args.follow {
        output::json(&json!({
            "ok": true,
            "dry_run": args.dry_run,
            "delivered": delivered,
            "webhook": receiver,
            "events": pushed.events,
            "cursor": pushed.cursor,
        }))?;
        return Ok(Exit::Ok);
    }
    let done = match args.dry_run {
        true => format!("{} events would be sent to {}", pushed.count, safe(&receiver)),
        false => format!("{delivered} events sent to {}", safe(&receiver)),
    };
    let next = match pushed.cursor {
        Some(cursor) => format!("; continue with --since-event-id {cursor}"),
        None => String::new(),
    };
    output::note(format!("{done}{next}"));
    Ok(Exit::Ok)
}
