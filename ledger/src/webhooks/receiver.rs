//! Receiver of a webhook: its URL, secrets and token, read from the files that its entry names; and one request to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::secret::Secret;
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::webhook::{
    Delivery, MessageBody, SourceName, WebhookEntry, WebhookFile, WebhookSecret, delivery_headers,
};
use synapsor_outbound::{AddressPolicy, Destination, Timeouts};

/// Maximum size of the file that lists the webhooks, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Maximum number of bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A receiver that is ready for requests.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) entry: WebhookEntry,
    pub(crate) destination: Destination,
    secrets: Vec<WebhookSecret>,
    bearer: Option<Secret>,
}

/// Returns the paths that the webhooks depend on: the file, and the files that it names if it is valid.
pub(super) fn paths(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    for entry in read_file(path).map(|file| file.webhooks).unwrap_or_default() {
        let single = entry.url_file.iter().chain(&entry.bearer_token_file);
        paths.extend(
            single
                .chain(&entry.secret_files)
                .map(|file| directory(path).join(file)),
        );
    }
    paths
}

/// Reads the file and every file that it names. Errors never repeat a URL or a secret.
pub(super) fn read_all(path: &Path, policy: &AddressPolicy) -> Result<Vec<Arc<Receiver>>, ExitError> {
    let read = |entry| Receiver::read(entry, directory(path), policy).map(Arc::new);
    read_file(path)?.webhooks.into_iter().map(read).collect()
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn read_file(path: &Path) -> Result<WebhookFile, ExitError> {
    files::check_not_writable_by_others(path)?;
    let bytes = files::read_bounded(path, FILE_BYTES_MAX)?;
    WebhookFile::parse(&bytes).map_err(|error| {
        let text = format!("webhooks file {}: {error}", path.display());
        ExitError::new(ErrorCode::WebhookFileInvalid, text)
            .with_fix("correct it; schemas/webhooks.v1.json describes the file")
    })
}

impl Receiver {
    fn read(entry: WebhookEntry, directory: &Path, policy: &AddressPolicy) -> Result<Self, ExitError> {
        let named = |member: &str| format!("{member} of webhook `{}`", entry.name);
        let url = match (&entry.url, &entry.url_file) {
            (Some(url), _) => Secret::new(url.0.clone()),
            (None, file) => {
                let file = file.as_deref().unwrap_or(Path::new(""));
                Secret::from_file(&named("url_file"), &directory.join(file))?
            }
        };
        let timeouts = Timeouts {
            connect: CONNECT_TIMEOUT.min(entry.timeout()),
            total: entry.timeout(),
        };
        let destination = Destination::new(url.expose().trim(), policy.clone(), timeouts).map_err(|why| {
            let text = format!("{}: {why}", named("url"));
            ExitError::new(ErrorCode::WebhookUrlForbidden, text).with_fix(
                "set an https URL of a public address, or name the private range in --webhook-allow-ranges",
            )
        })?;
        let secrets = entry.secret_files.iter().map(|file| {
            let text = Secret::from_file(&named("a secret file"), &directory.join(file))?;
            WebhookSecret::parse(text.expose()).map_err(|error| {
                let text = format!("{}: {error}", named("a secret file"));
                ExitError::new(ErrorCode::WebhookSecretInvalid, text)
                    .with_fix("write one with: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"")
            })
        });
        let secrets = secrets.collect::<Result<_, ExitError>>()?;
        let bearer = entry.bearer_token_file.as_ref();
        let bearer = bearer.map(|file| Secret::from_file(&named("bearer_token_file"), &directory.join(file)));
        Ok(Self {
            bearer: bearer.transpose()?,
            destination,
            secrets,
            entry,
        })
    }

    /// Returns the number of signatures of each delivery.
    pub(crate) fn signatures(&self) -> usize {
        self.secrets.len()
    }

    /// Sends one event. The error is the reason why it does not count as delivered, without text of the receiver.
    pub(super) async fn deliver(
        &self,
        delivery: &Delivery,
        source: SourceName<'_>,
        now: Timestamp,
    ) -> Result<(), String> {
        let body = delivery.render(self.entry.format, source, now);
        self.send(&delivery.message_id(), body, now).await
    }

    /// Sends a message that is about no event.
    pub(crate) async fn send_test(
        &self,
        source: SourceName<'_>,
        id: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        let body = MessageBody::test(self.entry.format, source, id, now);
        self.send(id, body, now).await
    }

    async fn send(&self, id: &str, body: MessageBody, now: Timestamp) -> Result<(), String> {
        let timestamp_s = now.as_unix_millis().div_euclid(1_000);
        let mut headers = delivery_headers(self.entry.format, (id, timestamp_s), &body, &self.secrets);
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
    }
}
