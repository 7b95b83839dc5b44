//! Signatures of Standard Webhooks: HMAC-SHA256 over id, timestamp and body; and the body signature of 0.1.x.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use super::{MessageBody, WebhookFormat};
use crate::event::EventRecord;

/// Prefix of a secret in text form.
const PREFIX: &str = "whsec_";
/// Allowed length of a decoded secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Symmetric secret of a webhook, `whsec_` and base64.
#[derive(Clone)]
pub struct WebhookSecret {
    /// The whole text, the key of the signature of 0.1.x.
    text: Zeroizing<String>,
    bytes: Zeroizing<Vec<u8>>,
}

/// Error for text that is not a webhook secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a webhook secret: `whsec_` and the base64 of 24 to 64 bytes")]
pub struct SecretFormatError;

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

impl WebhookSecret {
    /// Parses the text form; surrounding white space is ignored.
    ///
    /// # Errors
    /// Another prefix, invalid base64, or another length.
    pub fn parse(text: &str) -> Result<Self, SecretFormatError> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretFormatError)?;
        let bytes = Zeroizing::new(BASE64.decode(encoded).map_err(|_| SecretFormatError)?);
        if !SECRET_BYTES.contains(&bytes.len()) {
            return Err(SecretFormatError);
        }
        Ok(Self {
            text: Zeroizing::new(text.to_owned()),
            bytes,
        })
    }

    /// Returns one signature of the header `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.bytes));
        context.update(format!("{id}.{timestamp_s}.").as_bytes());
        context.update(body);
        format!("v1,{}", BASE64.encode(context.sign()))
    }

    /// Returns the header `x-synapsor-signature` of 0.1.x: over the body only, with the text of the secret as key.
    pub fn sign_body(&self, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.text.as_bytes());
        format!("sha256={}", hex::encode(hmac::sign(&key, body)))
    }
}

/// Returns the headers of one delivery, except those with a token.
pub fn delivery_headers(
    format: WebhookFormat,
    (id, timestamp_s): (&str, i64),
    body: &MessageBody,
    secrets: &[WebhookSecret],
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-type", body.content_type.to_owned()),
        ("accept", "application/json".to_owned()),
    ];
    if let Some(current) = secrets.first() {
        let sign = |secret: &WebhookSecret| secret.sign(id, timestamp_s, &body.bytes);
        let signatures: Vec<String> = secrets.iter().map(sign).collect();
        headers.extend([
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp_s.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ]);
        if format == WebhookFormat::V1 {
            headers.push(("x-synapsor-signature", current.sign_body(&body.bytes)));
        }
    }
    if format == WebhookFormat::V1 {
        headers.push(("user-agent", "synapsor-runner-events-webhook".to_owned()));
    }
    headers
}

/// Returns the id of the message about an event: the same for each attempt and for each webhook.
pub fn message_id(event: &EventRecord) -> String {
    // The commitment is salted, so that a log with other content has other ids.
    format!(
        "evt_{}_{}",
        event.seq,
        hex::encode(&event.body_digest.as_bytes()[..8])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_equals_the_vector_of_the_specification() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        assert_eq!(
            secret.sign(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                b"{\"test\": 2432232314}"
            ),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(format!("{secret:?}"), "WebhookSecret");
    }

    #[test]
    fn each_secret_of_a_rotation_signs() {
        let secrets =
            [1, 2].map(|byte| WebhookSecret::parse(&format!("whsec_{}", BASE64.encode([byte; 32]))).unwrap());
        let body = MessageBody {
            content_type: "application/json",
            bytes: b"{}".to_vec(),
        };
        let headers = |format| delivery_headers(format, ("evt_1", 7), &body, &secrets);
        let value = |headers: &[(&str, String)], name: &str| {
            headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone())
        };
        let signed = headers(WebhookFormat::Cloudevents);
        let both = value(&signed, "webhook-signature").unwrap();
        let each: Vec<_> = both.split(' ').collect();
        assert_eq!(
            each,
            [
                secrets[0].sign("evt_1", 7, b"{}"),
                secrets[1].sign("evt_1", 7, b"{}")
            ]
        );
        assert_eq!(value(&signed, "x-synapsor-signature"), None);
        let earlier = headers(WebhookFormat::V1);
        assert_eq!(
            value(&earlier, "x-synapsor-signature"),
            Some(secrets[0].sign_body(b"{}"))
        );
        assert_eq!(
            value(
                &delivery_headers(WebhookFormat::Slack, ("e", 7), &body, &[]),
                "webhook-id"
            ),
            None
        );
    }

    #[test]
    fn rejects_secrets_of_another_form() {
        for text in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_not base64 at all, whatever its length",
        ] {
            assert_eq!(
                WebhookSecret::parse(text).unwrap_err(),
                SecretFormatError,
                "{text}"
            );
        }
    }
}
