//! `WebhookService`: state, tests and new deliveries of webhooks.

use synapsor_chassis::random;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::webhook::SourceName;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::redeliver_request::What;
use synapsor_proto::ledger::v1::webhook_service_server::WebhookService;
use synapsor_proto::ledger::v1::{
    ListDeadLettersRequest, ListDeadLettersResponse, ListWebhooksRequest, ListWebhooksResponse,
    RedeliverRequest, RedeliverResponse, TestWebhookRequest, TestWebhookResponse,
};
use tonic::{Request, Response, Status};

use super::{LedgerServices, refuse};
use crate::error::status_of;
use crate::store::webhooks::{self as rows, WebhookProgress};
use crate::store::{ReadTransaction, log};
use crate::webhooks::WebhookHandle;

/// Maximum number of dead letters in a response.
const LETTERS_MAX: u32 = 100;
/// Length of the random part of a test message's id, in hex digits.
const TEST_ID_DIGITS: usize = 24;

#[tonic::async_trait]
impl WebhookService for LedgerServices {
    async fn list_webhooks(
        &self,
        _: Request<ListWebhooksRequest>,
    ) -> Result<Response<ListWebhooksResponse>, Status> {
        let (handles, problem) = self.ledger.webhooks.all();
        let read = move |reader: &ReadTransaction<'_>| {
            let conn = reader.conn();
            let mut names = rows::names(conn)?;
            names.extend(handles.iter().map(|handle| handle.receiver.entry.name.clone()));
            names.sort_unstable();
            names.dedup();
            let mut webhooks = Vec::new();
            for name in names {
                let handle = handles.iter().find(|handle| handle.receiver.entry.name == name);
                let dead_letters = rows::dead_letter_count(conn, &name)?;
                let progress = rows::load(conn, &name)?.unwrap_or_default();
                webhooks.push(wire::Webhook {
                    dead_letters,
                    ..shown(name, handle, progress)
                });
            }
            Ok((webhooks, log::head(conn)?.size))
        };
        let (webhooks, log_size) = self.ledger.store.read(read).await.map_err(status_of)?;
        Ok(Response::new(ListWebhooksResponse {
            webhooks,
            log_size,
            file_problem: problem.unwrap_or_default(),
        }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let message = request.into_inner();
        let limit = match message.limit {
            0 => LETTERS_MAX,
            limit => limit.min(LETTERS_MAX),
        };
        let after = position(message.from_seq).map_err(refuse)?.checked_sub(1);
        let is_configured = self.ledger.webhooks.get(&message.name).is_some();
        let read = move |reader: &ReadTransaction<'_>| {
            let is_known = is_configured || rows::load(reader.conn(), &message.name)?.is_some();
            let letters = rows::dead_letters(reader.conn(), &message.name, after, limit)?;
            Ok(is_known.then_some(letters))
        };
        let letters = self.ledger.store.read(read).await.map_err(status_of)?;
        let letters = letters.ok_or_else(not_found)?;
        let letter = |letter: rows::DeadLetter| wire::DeadLetter {
            seq: letter.seq,
            subject: letter.subject,
            attempts: letter.attempts,
            died_ms: letter.died_ms,
            failure: letter.failure,
            retry_ms: letter.retry_ms.unwrap_or(0),
        };
        Ok(Response::new(ListDeadLettersResponse {
            dead_letters: letters.into_iter().map(letter).collect(),
        }))
    }

    async fn test_webhook(
        &self,
        request: Request<TestWebhookRequest>,
    ) -> Result<Response<TestWebhookResponse>, Status> {
        let handle = self.webhook(&request.into_inner().name)?;
        let message_id = format!("test_{}", random::hex_id(TEST_ID_DIGITS));
        let source = SourceName(self.ledger.store.origin());
        let sent = handle
            .receiver
            .send_test(source, &message_id, self.ledger.now())
            .await;
        Ok(Response::new(TestWebhookResponse {
            failure: sent.err().unwrap_or_default(),
            message_id,
            host_and_port: handle.receiver.destination.host_and_port(),
        }))
    }

    async fn redeliver(
        &self,
        request: Request<RedeliverRequest>,
    ) -> Result<Response<RedeliverResponse>, Status> {
        let message = request.into_inner();
        let handle = self.webhook(&message.name)?;
        let seq = match message.what {
            Some(What::FromSeq(to)) => {
                let position_before = self.rewind(&handle, position(to).map_err(refuse)?).await?;
                return Ok(Response::new(RedeliverResponse {
                    scheduled: 0,
                    position_before,
                }));
            }
            Some(What::DeadLetterSeq(seq)) => Some(position(seq).map_err(refuse)?),
            Some(What::AllDeadLetters(true)) => None,
            Some(What::AllDeadLetters(false)) | None => {
                let text = "what: a dead letter, all of them, or a position";
                return Err(refuse(PublicError::new(ErrorCode::Malformed, text)));
            }
        };
        let now_ms = self.ledger.now().as_unix_millis();
        let name = message.name;
        let schedule = self
            .ledger
            .write(move |step| Ok(rows::deliver_again(step.conn(), &name, seq, now_ms)?));
        let scheduled = schedule.await.map_err(status_of)?.value;
        if let (0, Some(seq)) = (scheduled, seq) {
            let text = format!("event {seq} is not a dead letter of this webhook; see `webhooks show`");
            return Err(refuse(PublicError::new(
                ErrorCode::WebhookDeadLetterNotFound,
                text,
            )));
        }
        handle.scheduled.notify_one();
        Ok(Response::new(RedeliverResponse {
            scheduled,
            position_before: 0,
        }))
    }
}

impl LedgerServices {
    fn webhook(&self, name: &str) -> Result<WebhookHandle, Status> {
        self.ledger.webhooks.get(name).ok_or_else(not_found)
    }

    /// Moves a webhook back; returns its position before.
    async fn rewind(&self, handle: &WebhookHandle, to: u64) -> Result<u64, Status> {
        match handle.rewind(to).await {
            Some(Ok(Some(before))) => Ok(before),
            Some(Ok(None)) => {
                let text = "the webhook has not reached this position; pass an earlier one";
                Err(refuse(PublicError::new(ErrorCode::WebhookPositionInvalid, text)))
            }
            Some(Err(error)) => Err(status_of(error)),
            None => {
                let text = "the webhook does not take commands now; try again";
                Err(refuse(PublicError::new(ErrorCode::WebhookBusy, text)))
            }
        }
    }
}

fn not_found() -> Status {
    let text = "the ledger has no webhook of this name; see `webhooks list`";
    refuse(PublicError::new(ErrorCode::WebhookNotFound, text))
}

/// Rejects a position that no log can have.
fn position(seq: u64) -> Result<u64, PublicError> {
    if seq < 1 << 53 {
        return Ok(seq);
    }
    Err(PublicError::new(ErrorCode::Malformed, "not a position of a log"))
}

fn shown(name: String, handle: Option<&WebhookHandle>, progress: WebhookProgress) -> wire::Webhook {
    let mut waiting: Vec<_> = progress.waiting.into_iter().collect();
    waiting.sort_by_key(|(_, waiting)| waiting.retry_ms);
    let waiting = waiting
        .into_iter()
        .map(|(subject, waiting)| wire::WaitingSubject {
            subject,
            next_seq: waiting.next,
            attempts: waiting.attempts,
            retry_ms: waiting.retry_ms,
            failure: waiting.failure,
        });
    let (last_failure_ms, last_failure) = progress.last_failure.unwrap_or_default();
    let state = wire::Webhook {
        name,
        position: progress.position,
        delivered: progress.delivered,
        last_delivery_ms: progress.last_delivery_ms.unwrap_or(0),
        last_failure_ms,
        last_failure,
        waiting: waiting.collect(),
        ..wire::Webhook::default()
    };
    let Some(handle) = handle else {
        return state;
    };
    let receiver = &handle.receiver;
    wire::Webhook {
        is_configured: true,
        host_and_port: receiver.destination.host_and_port(),
        format: receiver.entry.format.as_str().to_owned(),
        signatures: u32::try_from(receiver.signatures()).unwrap_or(u32::MAX),
        timeout_ms: u32::try_from(receiver.entry.timeout().as_millis()).unwrap_or(u32::MAX),
        attempts_max: receiver.entry.attempts_max(),
        ..state
    }
}
