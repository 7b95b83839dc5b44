//! Bodies of deliveries: CloudEvents 1.0, the envelope of 0.1.x, and messages for Slack and Teams.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::event_data::{ProposalSummary, READ_KINDS, event_data, summary_data};
use super::{chat, message_id};
use crate::canonical::{self, CanonicalError};
use crate::event::{EventKind, EventRecord};
use crate::replay::Entry;
use crate::timestamp::Timestamp;

/// Schema of the envelope of 0.1.x.
const V1_SCHEMA: &str = "synapsor.local-event-webhook.v1";
const CLOUD_EVENT: &str = "application/cloudevents+json";
const PLAIN_JSON: &str = "application/json";
const CHAT_TEST: &str = "Test of a Synapsor Runner webhook";

/// Form of the bodies of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookFormat {
    /// CloudEvents 1.0 in structured mode.
    Cloudevents,
    /// The envelope of 0.1.x, with the ledger's origin instead of the path of its store.
    V1,
    /// Message of an incoming webhook of Slack.
    Slack,
    /// Adaptive card of a workflow of Teams.
    Teams,
}

/// Kinds of events that a chat shows by default.
const CHAT_KINDS: [EventKind; 12] = [
    EventKind::ProposalCreated,
    EventKind::ProposalApproved,
    EventKind::ProposalRejected,
    EventKind::ProposalExpired,
    EventKind::ProposalWithdrawn,
    EventKind::WritebackInDoubt,
    EventKind::WritebackApplied,
    EventKind::WritebackConflict,
    EventKind::WritebackFailed,
    EventKind::WritebackCanceled,
    EventKind::WritebackFrozen,
    EventKind::FreezeLifted,
];

impl WebhookFormat {
    pub const ALL: [Self; 4] = [Self::Cloudevents, Self::V1, Self::Slack, Self::Teams];

    /// Returns the name of the format in files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloudevents => "cloudevents",
            Self::V1 => "v1",
            Self::Slack => "slack",
            Self::Teams => "teams",
        }
    }

    /// Whether the receiver is a chat, which verifies no signature.
    pub const fn is_chat(self) -> bool {
        matches!(self, Self::Slack | Self::Teams)
    }

    /// Whether a webhook of this format gets events of this kind by default.
    pub fn has_by_default(self, kind: EventKind) -> bool {
        if self.is_chat() {
            CHAT_KINDS.contains(&kind)
        } else {
            !READ_KINDS.contains(&kind)
        }
    }
}

/// Origin of a ledger's log, `synapsor/<deployment>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceName<'a>(pub &'a str);

/// One event as it is delivered. It holds no body of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The event.
    pub event: EventRecord,
    /// Its data without business values.
    pub data: serde_json::Map<String, Json>,
}

/// A body with its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageBody {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

impl MessageBody {
    fn json(content_type: &'static str, body: &Json) -> Self {
        Self {
            content_type,
            bytes: body.to_string().into_bytes(),
        }
    }

    /// Renders a message that is about no event, for a test of the receiver.
    pub fn test(format: WebhookFormat, source: SourceName<'_>, id: &str, now: Timestamp) -> Self {
        const KIND: &str = "webhook_test";
        match format {
            WebhookFormat::Cloudevents => Self::json(
                CLOUD_EVENT,
                &json!({
                    "specversion": "1.0",
                    "id": id,
                    "source": source.0,
                    "type": format!("synapsor.runner.{KIND}"),
                    "time": now,
                    "datacontenttype": "application/json",
                    "data": { "kind": KIND },
                }),
            ),
            WebhookFormat::V1 => Self::json(
                PLAIN_JSON,
                &json!({
                    "schema_version": V1_SCHEMA,
                    "delivered_at": now,
                    "source": { "kind": "local_store", "origin": source.0 },
                    "event": { "event_id": null, "proposal_id": null, "kind": KIND, "payload": {}, "created_at": now },
                }),
            ),
            WebhookFormat::Slack => Self::json(PLAIN_JSON, &json!({ "text": CHAT_TEST })),
            WebhookFormat::Teams => Self::json(
                PLAIN_JSON,
                &chat::teams_card(&[(CHAT_TEST, "Default", "Default")]),
            ),
        }
    }
}

impl Delivery {
    /// Reads an event and its body as the log holds them.
    ///
    /// # Errors
    /// The bytes are not an event. A body that is not readable, such as an erased one, adds no data.
    pub fn read(
        event: &[u8],
        body: &[u8],
        summary: Option<&ProposalSummary>,
    ) -> Result<Self, CanonicalError> {
        let event: EventRecord = canonical::decode(event)?;
        let data = match Entry::of(event.clone(), body) {
            Ok(entry) => event_data(&entry, summary),
            Err(_) => summary_data(summary),
        };
        Ok(Self { event, data })
    }

    /// Returns the id of the message, the same for each attempt.
    pub fn message_id(&self) -> String {
        message_id(&self.event)
    }

    /// Renders the body at `now`.
    pub fn render(&self, format: WebhookFormat, source: SourceName<'_>, now: Timestamp) -> MessageBody {
        match format {
            WebhookFormat::Cloudevents => MessageBody::json(CLOUD_EVENT, &self.cloud_event(source)),
            WebhookFormat::V1 => MessageBody::json(PLAIN_JSON, &self.v1(source, now)),
            WebhookFormat::Slack => MessageBody::json(PLAIN_JSON, &chat::slack(self)),
            WebhookFormat::Teams => MessageBody::json(PLAIN_JSON, &chat::teams(self)),
        }
    }

    /// Returns the event with the member names of 0.1.x.
    pub fn event_json(&self) -> Json {
        json!({
            "event_id": self.event.seq,
            "proposal_id": self.event.proposal_id,
            "kind": self.event.kind,
            "actor": self.event.actor,
            "payload": self.data,
            "created_at": self.event.at,
        })
    }

    fn cloud_event(&self, source: SourceName<'_>) -> Json {
        let mut event = json!({
            "specversion": "1.0",
            "id": self.message_id(),
            "source": source.0,
            "type": format!("synapsor.runner.{}", self.event.kind),
            "time": self.event.at,
            "datacontenttype": "application/json",
            // Orders the events of a log as strings.
            "sequence": format!("{:020}", self.event.seq),
            "data": self.event_json(),
        });
        if let Some(id) = &self.event.proposal_id {
            event["subject"] = json!(id);
        }
        event
    }

    fn v1(&self, source: SourceName<'_>, now: Timestamp) -> Json {
        json!({
            "schema_version": V1_SCHEMA,
            "delivered_at": now,
            "source": { "kind": "local_store", "origin": source.0 },
            "event": self.event_json(),
        })
    }
}
