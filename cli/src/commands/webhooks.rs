//! `webhooks`: state, tests and new deliveries of the ledger's webhooks.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Timestamp;

use crate::Context;
use crate::clients::{DeadLetterView, Redelivery, WaitingDelivery, WebhookClient, WebhookList, WebhookState};
use crate::connection::LedgerConnection;
use crate::output::{self, Table, safe};

/// Maximum number of dead letters in a response of the ledger.
const LETTERS_PAGE: usize = 100;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List webhooks with their position in the log
    #[command(after_help = "Example:\n  synapsor-runner webhooks list --json\n\n\
        Exit codes: 0 ok, 2 usage, 6 ledger unreachable")]
    List,
    /// Show one webhook with what waits and its dead letters
    #[command(after_help = "Example:\n  synapsor-runner webhooks show billing\n\n\
        Exit codes: 0 ok, 1 not found, 2 usage, 6 ledger unreachable")]
    Show(ShowWebhook),
    /// Send one signed message that is about no event
    #[command(after_help = "Example:\n  synapsor-runner webhooks test billing\n\n\
        Exit codes: 0 accepted, 1 not found, 2 usage, 6 not accepted or ledger unreachable")]
    Test(TestWebhook),
    /// Deliver dead letters, or everything from a position, again
    #[command(after_help = "Examples:\n  synapsor-runner webhooks redeliver billing\n  \
        synapsor-runner webhooks redeliver billing --dead-letter 1042\n  \
        synapsor-runner webhooks redeliver billing --from 1000\n\n\
        Each message has the same webhook-id as before.\n\
        Exit codes: 0 scheduled, 1 not found or a position that is not reached, 2 usage, 6 ledger unreachable")]
    Redeliver(RedeliverArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowWebhook {
    /// Name of the webhook
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct TestWebhook {
    /// Name of the webhook
    name: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what"))]
pub(crate) struct RedeliverArgs {
    /// Name of the webhook
    name: String,
    /// Event of one dead letter, as `webhooks show` prints it [default: all dead letters]
    #[arg(long, value_name = "EVENT", group = "what", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    dead_letter: Option<u64>,
    /// First log position; every later event is delivered again too
    #[arg(long, value_name = "SEQ", group = "what", value_parser = clap::value_parser!(u64).range(..1 << 53))]
    from: Option<u64>,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let mut client = WebhookClient::of(&session);
    let done = match &command {
        Command::List => list(&mut client, context).await,
        Command::Show(args) => show(args, &mut client, context).await,
        Command::Test(args) => test(args, &mut client, context).await,
        Command::Redeliver(args) => redeliver(args, &mut client, context).await,
    };
    session.close().await;
    done
}

async fn list(client: &mut WebhookClient, context: &Context) -> Result<Exit, ExitError> {
    let list = client.list().await?;
    if context.global.json {
        let webhooks: Vec<Json> = list
            .webhooks
            .iter()
            .map(|webhook| object(webhook, &list))
            .collect();
        output::json(&json!({
            "webhooks": webhooks,
            "log_size": list.log_size,
            "file_problem": list.file_problem,
        }))?;
        return Ok(Exit::Ok);
    }
    note_problem(&list);
    if list.webhooks.is_empty() {
        output::note("no webhooks; list them in a file and pass it to the ledger with --webhooks");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "NAME",
        "RECEIVER",
        "FORMAT",
        "BEHIND",
        "WAITING",
        "DEAD LETTERS",
        "LAST DELIVERY",
        "LAST FAILURE",
    ]);
    for webhook in &list.webhooks {
        let settings = webhook.settings.as_ref();
        table.row([
            webhook.name.as_str(),
            settings.map_or("(not in the file)", |settings| &settings.host_and_port),
            settings.map_or("-", |settings| &settings.format),
            &behind(webhook, &list).to_string(),
            &webhook.waiting.len().to_string(),
            &webhook.dead_letters.to_string(),
            &or_dash(webhook.last_delivery.as_ref()),
            &last_failure(webhook),
        ]);
    }
    output::line(table)?;
    Ok(Exit::Ok)
}

async fn show(args: &ShowWebhook, client: &mut WebhookClient, context: &Context) -> Result<Exit, ExitError> {
    let list = client.list().await?;
    let webhook = list
        .webhooks
        .iter()
        .find(|webhook| webhook.name == args.name)
        .ok_or_else(|| not_found(&args.name, &list))?;
    let letters = dead_letters(client, webhook).await?;
    if context.global.json {
        let mut shown = object(webhook, &list);
        shown["dead_letter_list"] = letters.iter().map(letter_object).collect();
        shown["file_problem"] = json!(list.file_problem);
        output::json(&shown)?;
        return Ok(Exit::Ok);
    }
    note_problem(&list);
    output::line(format!("webhook        {}", safe(&webhook.name)))?;
    match &webhook.settings {
        Some(settings) => {
            output::line(format!("receiver       {}", safe(&settings.host_and_port)))?;
            output::line(format!("format         {}", safe(&settings.format)))?;
            output::line(format!("signatures     {}", settings.signatures))?;
            output::line(format!("timeout        {} ms", settings.timeout_ms))?;
            output::line(format!("attempts       at most {}", settings.attempts_max))?;
        }
        None => output::line("receiver       (not in the file; nothing is delivered)")?,
    }
    output::line(format!(
        "position       {} of {}",
        webhook.position, list.log_size
    ))?;
    output::line(format!("delivered      {}", webhook.delivered))?;
    output::line(format!(
        "last delivery  {}",
        or_dash(webhook.last_delivery.as_ref())
    ))?;
    output::line(format!("last failure   {}", safe(&last_failure(webhook))))?;
    if !webhook.waiting.is_empty() {
        output::line(format!("\nWaiting:\n{}", waiting_table(&webhook.waiting)))?;
    }
    if !letters.is_empty() {
        output::line(format!("\nDead letters:\n{}", letter_table(&letters)))?;
    }
    Ok(Exit::Ok)
}

async fn test(args: &TestWebhook, client: &mut WebhookClient, context: &Context) -> Result<Exit, ExitError> {
    let result = client.test(&args.name).await?;
    if let Some(failure) = &result.failure {
        let text = format!("{} did not accept the message: {failure}", result.host_and_port);
        return Err(ExitError::new(ErrorCode::WebhookDeliveryFailed, text)
            .with_fix("check the receiver, its URL, and that it verifies with a current secret"));
    }
    if context.global.json {
        output::json(
            &json!({ "ok": true, "webhook": result.host_and_port, "message_id": result.message_id }),
        )?;
    } else {
        output::line(format!(
            "{} accepted message {}",
            safe(&result.host_and_port),
            safe(&result.message_id)
        ))?;
    }
    Ok(Exit::Ok)
}

async fn redeliver(
    args: &RedeliverArgs,
    client: &mut WebhookClient,
    context: &Context,
) -> Result<Exit, ExitError> {
    let what = match (args.dead_letter, args.from) {
        (Some(seq), _) => Redelivery::DeadLetter(seq),
        (None, Some(seq)) => Redelivery::From(seq),
        (None, None) => Redelivery::AllDeadLetters,
    };
    let (scheduled, position_before) = client.redeliver(&args.name, what).await?;
    if context.global.json {
        let from = args
            .from
            .map(|from| json!({ "from": from, "position_before": position_before }));
        output::json(&json!({ "ok": true, "webhook": args.name, "scheduled": scheduled, "rewound": from }))?;
        return Ok(Exit::Ok);
    }
    match args.from {
        Some(from) => output::line(format!(
            "Delivering again from event {from}; the position was {position_before}"
        ))?,
        None => output::line(format!("{scheduled} dead letters scheduled"))?,
    }
    Ok(Exit::Ok)
}

async fn dead_letters(
    client: &mut WebhookClient,
    webhook: &WebhookState,
) -> Result<Vec<DeadLetterView>, ExitError> {
    let (mut letters, mut from) = (Vec::new(), 0);
    loop {
        let page = client.dead_letters(&webhook.name, from).await?;
        let is_last = page.len() < LETTERS_PAGE;
        from = page.last().map_or(from, |last| last.seq + 1);
        letters.extend(page);
        if is_last {
            return Ok(letters);
        }
    }
}

fn not_found(name: &str, list: &WebhookList) -> ExitError {
    let known: Vec<&str> = list
        .webhooks
        .iter()
        .map(|webhook| webhook.name.as_str())
        .collect();
    let failure = ExitError::new(
        ErrorCode::WebhookNotFound,
        format!("webhook `{}` not found", safe(name)),
    );
    match known.is_empty() {
        true => failure.with_fix("pass a file with webhooks to the ledger with --webhooks"),
        false => failure.with_fix(format!("pass one of: {}", known.join(", "))),
    }
}

fn note_problem(list: &WebhookList) {
    if let Some(problem) = &list.file_problem {
        output::note(format!(
            "the changed webhooks file is not in use: {}",
            safe(problem)
        ));
    }
}

/// Number of log entries that the webhook has not reached.
fn behind(webhook: &WebhookState, list: &WebhookList) -> u64 {
    list.log_size.saturating_sub(webhook.position)
}

fn or_dash(time: Option<&Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), Timestamp::to_string)
}

fn last_failure(webhook: &WebhookState) -> String {
    match &webhook.last_failure {
        Some((at, failure)) => format!("{at} {failure}"),
        None => "-".to_owned(),
    }
}

fn waiting_table(waiting: &[WaitingDelivery]) -> Table {
    let mut table = Table::new(&[
        "PROPOSAL OR EVENT",
        "NEXT EVENT",
        "ATTEMPTS",
        "NEXT ATTEMPT",
        "FAILURE",
    ]);
    for row in waiting {
        table.row([
            row.subject.as_str(),
            &row.next_seq.to_string(),
            &row.attempts.to_string(),
            &row.retry_at.to_string(),
            &row.failure,
        ]);
    }
    table
}

fn letter_table(letters: &[DeadLetterView]) -> Table {
    let mut table = Table::new(&[
        "EVENT",
        "PROPOSAL OR EVENT",
        "ATTEMPTS",
        "SINCE",
        "NEXT ATTEMPT",
        "FAILURE",
    ]);
    for row in letters {
        table.row([
            row.seq.to_string().as_str(),
            &row.subject,
            &row.attempts.to_string(),
            &row.died_at.to_string(),
            &or_dash(row.retry_at.as_ref()),
            &row.failure,
        ]);
    }
    table
}

fn object(webhook: &WebhookState, list: &WebhookList) -> Json {
    let settings = webhook.settings.as_ref();
    let waiting = webhook.waiting.iter().map(|row| {
        json!({
            "subject": row.subject,
            "next_event_id": row.next_seq,
            "attempts": row.attempts,
            "retry_at": row.retry_at,
            "failure": row.failure,
        })
    });
    json!({
        "name": webhook.name,
        "configured": settings.is_some(),
        "receiver": settings.map(|settings| &settings.host_and_port),
        "format": settings.map(|settings| &settings.format),
        "signatures": settings.map(|settings| settings.signatures),
        "timeout_ms": settings.map(|settings| settings.timeout_ms),
        "attempts_max": settings.map(|settings| settings.attempts_max),
        "position": webhook.position,
        "behind": behind(webhook, list),
        "delivered": webhook.delivered,
        "last_delivery_at": webhook.last_delivery,
        "last_failure_at": webhook.last_failure.as_ref().map(|(at, _)| at),
        "last_failure": webhook.last_failure.as_ref().map(|(_, failure)| failure),
        "dead_letters": webhook.dead_letters,
        "waiting": waiting.collect::<Vec<_>>(),
    })
}

fn letter_object(letter: &DeadLetterView) -> Json {
    json!({
        "event_id": letter.seq,
        "subject": letter.subject,
        "attempts": letter.attempts,
        "died_at": letter.died_at,
        "failure": letter.failure,
        "retry_at": letter.retry_at,
    })
}
