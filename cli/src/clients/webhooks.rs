//! Client of the ledger's webhooks.

use std::time::Duration;

use synapsor_chassis::grpc_channel::{CALL_TIMEOUT, Channel, Endpoint};
use synapsor_chassis::run::ExitError;
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::redeliver_request::What;
use synapsor_proto::ledger::v1::webhook_service_client::WebhookServiceClient;

use super::{call, call_within};
use crate::connection::LedgerConnection;

/// Timeout of a call that waits for a receiver or for deliveries in progress.
const RECEIVER_LIMIT: Duration = Duration::from_secs(60);

/// Connection to the webhooks of a running ledger.
#[derive(Debug, Clone)]
pub(crate) struct WebhookClient {
    client: WebhookServiceClient<Channel>,
    target: Endpoint,
}

/// State of one webhook.
#[derive(Debug)]
pub(crate) struct WebhookState {
    pub(crate) name: String,
    /// `None` when the file no longer lists it.
    pub(crate) settings: Option<WebhookTarget>,
    pub(crate) position: u64,
    pub(crate) delivered: u64,
    pub(crate) last_delivery: Option<Timestamp>,
    pub(crate) last_failure: Option<(Timestamp, String)>,
    pub(crate) dead_letters: u64,
    pub(crate) waiting: Vec<WaitingDelivery>,
}

/// Settings of a webhook that are not secret.
#[derive(Debug)]
pub(crate) struct WebhookTarget {
    pub(crate) host_and_port: String,
    pub(crate) format: String,
    pub(crate) signatures: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) attempts_max: u32,
}

/// A proposal, or an event without one, whose next event failed or waits.
#[derive(Debug)]
pub(crate) struct WaitingDelivery {
    pub(crate) subject: String,
    pub(crate) next_seq: u64,
    pub(crate) attempts: u32,
    pub(crate) retry_at: Timestamp,
    pub(crate) failure: String,
}

/// All webhooks of a ledger.
#[derive(Debug)]
pub(crate) struct WebhookList {
    pub(crate) webhooks: Vec<WebhookState>,
    pub(crate) log_size: u64,
    /// Why the changed file is not in use.
    pub(crate) file_problem: Option<String>,
}

/// An event that was not delivered in the allowed number of attempts.
#[derive(Debug)]
pub(crate) struct DeadLetterView {
    pub(crate) seq: u64,
    pub(crate) subject: String,
    pub(crate) attempts: u32,
    pub(crate) died_at: Timestamp,
    pub(crate) failure: String,
    pub(crate) retry_at: Option<Timestamp>,
}

/// What to deliver again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Redelivery {
    DeadLetter(u64),
    AllDeadLetters,
    From(u64),
}

/// Result of a test message.
#[derive(Debug)]
pub(crate) struct WebhookTest {
    pub(crate) failure: Option<String>,
    pub(crate) message_id: String,
    pub(crate) host_and_port: String,
}

impl WebhookClient {
    pub(crate) fn of(session: &LedgerConnection) -> Self {
        let link = session.ledger();
        Self {
            client: WebhookServiceClient::new(link.channel.clone()),
            target: link.target.clone(),
        }
    }

    pub(crate) async fn list(&mut self) -> Result<WebhookList, ExitError> {
        let message = wire::ListWebhooksRequest {};
        let answer = call(&self.target, message, async |m| {
            self.client.list_webhooks(m).await
        })
        .await?;
        Ok(WebhookList {
            webhooks: answer.webhooks.into_iter().map(state).collect(),
            log_size: answer.log_size,
            file_problem: Some(answer.file_problem).filter(|problem| !problem.is_empty()),
        })
    }

    /// Returns dead letters from a position on, oldest event first.
    pub(crate) async fn dead_letters(
        &mut self,
        name: &str,
        from_seq: u64,
    ) -> Result<Vec<DeadLetterView>, ExitError> {
        let message = wire::ListDeadLettersRequest {
            name: name.to_owned(),
            from_seq,
            limit: 0,
        };
        let answer = call_within(&self.target, CALL_TIMEOUT, message, async |m| {
            self.client.list_dead_letters(m).await
        })
        .await?;
        let letter = |letter: wire::DeadLetter| DeadLetterView {
            seq: letter.seq,
            subject: letter.subject,
            attempts: letter.attempts,
            died_at: Timestamp::from_unix_millis(letter.died_ms),
            failure: letter.failure,
            retry_at: time(letter.retry_ms),
        };
        Ok(answer.dead_letters.into_iter().map(letter).collect())
    }

    pub(crate) async fn test(&mut self, name: &str) -> Result<WebhookTest, ExitError> {
        let message = wire::TestWebhookRequest {
            name: name.to_owned(),
        };
        let answer = call_within(&self.target, RECEIVER_LIMIT, message, async |m| {
            self.client.test_webhook(m).await
        })
        .await?;
        Ok(WebhookTest {
            failure: Some(answer.failure).filter(|failure| !failure.is_empty()),
            message_id: answer.message_id,
            host_and_port: answer.host_and_port,
        })
    }

    /// Returns the number of scheduled dead letters and the position before.
    pub(crate) async fn redeliver(&mut self, name: &str, what: Redelivery) -> Result<(u64, u64), ExitError> {
        let message = wire::RedeliverRequest {
            name: name.to_owned(),
            what: Some(match what {
                Redelivery::DeadLetter(seq) => What::DeadLetterSeq(seq),
                Redelivery::AllDeadLetters => What::AllDeadLetters(true),
                Redelivery::From(seq) => What::FromSeq(seq),
            }),
        };
        let answer = call_within(&self.target, RECEIVER_LIMIT, message, async |m| {
            self.client.redeliver(m).await
        })
        .await?;
        Ok((answer.scheduled, answer.position_before))
    }
}

fn state(webhook: wire::Webhook) -> WebhookState {
    let waiting = webhook.waiting.into_iter().map(|waiting| WaitingDelivery {
        subject: waiting.subject,
        next_seq: waiting.next_seq,
        attempts: waiting.attempts,
        retry_at: Timestamp::from_unix_millis(waiting.retry_ms),
        failure: waiting.failure,
    });
    WebhookState {
        name: webhook.name,
        settings: webhook.is_configured.then_some(WebhookTarget {
            host_and_port: webhook.host_and_port,
            format: webhook.format,
            signatures: webhook.signatures,
            timeout_ms: webhook.timeout_ms,
            attempts_max: webhook.attempts_max,
        }),
        position: webhook.position,
        delivered: webhook.delivered,
        last_delivery: time(webhook.last_delivery_ms),
        last_failure: time(webhook.last_failure_ms).map(|at| (at, webhook.last_failure)),
        dead_letters: webhook.dead_letters,
        waiting: waiting.collect(),
    }
}

fn time(ms: i64) -> Option<Timestamp> {
    (ms > 0).then(|| Timestamp::from_unix_millis(ms))
}
