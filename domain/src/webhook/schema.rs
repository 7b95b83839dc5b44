//! The published JSON Schema of the file that lists webhooks, for editors.

use serde_json::{Value as Json, json};

use super::file::{ATTEMPTS, FIRST_RETRY_MS, LONGEST_RETRY_MS, TIMEOUT_MS};
use super::{SECRETS_MAX, WEBHOOKS_MAX, WebhookFormat};
use crate::event::EventKind;
use crate::tool::SCHEMA_DIALECT;

/// The schema `urn:synapsor:schema:webhooks:v1`.
pub fn webhooks_schema() -> Json {
    json!({
        "$schema": SCHEMA_DIALECT,
        "$id": "urn:synapsor:schema:webhooks:v1",
        "title": "Synapsor Runner webhooks, version 1",
        "description": "Receivers of the ledger's events. Names files with secrets, never holds a secret.",
        "type": "object",
        "properties": {
            "$schema": { "description": "For editors; not read.", "type": "string" },
            "version": { "description": "The only version.", "const": 1 },
            "webhooks": { "type": "array", "maxItems": WEBHOOKS_MAX, "items": webhook() },
        },
        "required": ["version", "webhooks"],
        "additionalProperties": false,
    })
}

fn webhook() -> Json {
    let signed: Vec<&str> = names(|format| !format.is_chat());
    json!({
        "type": "object",
        "properties": {
            "name": described(json!({ "type": "string", "pattern": "^[a-z0-9_][a-z0-9_.-]{0,63}$" }),
                "Name of the webhook. Its position in the log is stored under it."),
            "url": described(json!({ "type": "string" }),
                "URL of the receiver: https; http only to a loopback address in environment dev."),
            "url_file": path("File with the URL, mode 0600, for a URL that contains a secret."),
            "format": described(json!({ "enum": names(|_| true) }),
                "cloudevents: CloudEvents 1.0. v1: envelope of 0.1.x. slack, teams: message for people."),
            "kinds": described(json!({
                "type": "array", "minItems": 1, "items": { "enum": EventKind::ALL.map(EventKind::as_str) },
            }), "Kinds of events. Default: all but those of calls; for slack and teams the decisions and results."),
            "secret_files": described(json!({
                "type": "array", "maxItems": SECRETS_MAX, "items": { "type": "string", "minLength": 1 },
            }), "Files with the signing secrets (whsec_...), mode 0600, the current one first. Each signs."),
            "bearer_token_file": path("File with a bearer token for the header Authorization, mode 0600."),
            "timeout_ms": number(TIMEOUT_MS, "Deadline of one attempt."),
            "attempts": number((ATTEMPTS.0.into(), ATTEMPTS.1.into(), ATTEMPTS.2.into()),
                "Attempts after which an event becomes a dead letter."),
            "first_retry_ms": number(FIRST_RETRY_MS, "Longest pause before the second attempt; it doubles."),
            "longest_retry_ms": number(LONGEST_RETRY_MS, "Longest pause between two attempts."),
        },
        "required": ["name", "format"],
        "additionalProperties": false,
        "oneOf": [{ "required": ["url"] }, { "required": ["url_file"] }],
        "if": { "properties": { "format": { "enum": signed } } },
        "then": { "required": ["secret_files"], "properties": { "secret_files": { "minItems": 1 } } },
    })
}

fn names(is_listed: impl Fn(&WebhookFormat) -> bool) -> Vec<&'static str> {
    WebhookFormat::ALL
        .iter()
        .filter(|format| is_listed(format))
        .map(|format| format.as_str())
        .collect()
}

fn described(mut schema: Json, text: &str) -> Json {
    schema["description"] = json!(text);
    schema
}

fn path(text: &str) -> Json {
    described(json!({ "type": "string", "minLength": 1 }), text)
}

fn number((min, default, max): (u64, u64, u64), text: &str) -> Json {
    described(
        json!({ "type": "integer", "minimum": min, "maximum": max, "default": default }),
        text,
    )
}
