//! The ledger: append, decide, lease, finish, prove. One process owns one store; all other processes call it over
//! gRPC.

mod access;
mod agent_record;
mod decide;
mod discontinuity;
mod erase;
mod error;
mod expire;
mod failpoint;
mod finish_attempt;
mod human_actions;
mod intake;
mod job;
mod lease;
mod receipt_incidents;
mod receipt_orders;
mod restore;
mod rpc;
mod secret_material;
mod serve;
mod settings;
mod signature_checks;
pub mod store;
mod switches;
mod trust;
mod wall_clock;
mod watch;
mod webhooks;
mod withdraw;

#[cfg(test)]
mod test_kit;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use synapsor_anchors::trust::TrustFileCache;
use synapsor_chassis::clock::Clock;
use synapsor_codes::ErrorCode;
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_domain::timestamp::Timestamp;

pub use access::{SERVICES, STREAMING_METHODS, access_table};
pub use error::{refusal_of, refusal_of_store};
pub use rpc::routes;
pub use serve::run;
pub use settings::{LedgerArgs, LedgerCommand, RestoreFlags};
pub use trust::Trust;

use lease::Streams;
use store::requests::RequestKey;
use store::{Committed, Store, StoreTxError, WriteTransaction};
use wall_clock::WallClock;
use watch::Watches;

/// Maximum length of a request id, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 64;

/// State that all services share. Clones refer to the same ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) store: Store,
    pub(crate) trust: TrustFileCache,
    pub(crate) clock: Arc<WallClock>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) watches: Arc<Watches>,
    pub(crate) webhooks: webhooks::Webhooks,
}

/// Peer of a call as its certificate names it, and the trace of the call.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// URI of the certificate.
    pub identity: String,
    /// Trace id for finding the call in traces.
    pub trace_id: Option<String>,
    /// Log size that the caller has verified; responses carry consistency proofs from there.
    pub known: u64,
}

impl Ledger {
    /// Creates a ledger over an open store.
    pub fn new(store: Store, trust: TrustFileCache, clock: Arc<dyn Clock>) -> Self {
        trust::pin_by(&trust, store.head());
        Self {
            store,
            trust,
            clock: Arc::new(WallClock::new(clock)),
            streams: Arc::default(),
            watches: Arc::default(),
            webhooks: webhooks::Webhooks::default(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns the time that decides expiry; `None` while nothing may expire.
    pub(crate) fn expiry_time(&self) -> Option<Timestamp> {
        self.clock.expiry_time()
    }

    /// Runs a step in the next batch. The step is queued at once; dropping the future does not withdraw it.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<Committed<T>, StoreTxError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTransaction<'_>) -> Result<T, StoreTxError> + Send + 'static,
    {
        self.store.write(work).await
    }
}

/// Refuses an id that cannot name a request.
pub(crate) fn check_request_id(id: &str) -> Result<(), PublicError> {
    if !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let text = format!("request_id: must be 1 to {REQUEST_ID_BYTES_MAX} printable ASCII characters");
    Err(PublicError::new(ErrorCode::Malformed, text))
}

impl RequestContext {
    /// Returns the key under which the answer to this request is stored; `parts` is the whole request.
    pub(crate) fn request(&self, id: &str, parts: &[&[u8]]) -> Result<RequestKey, PublicError> {
        check_request_id(id)?;
        let mut all = Vec::new();
        for part in parts {
            all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            all.extend_from_slice(part);
        }
        let fingerprint = *Digest::of_typed("request.v1", &all).as_bytes();
        Ok(RequestKey {
            caller: self.identity.clone(),
            id: id.to_owned(),
            fingerprint,
        })
    }
}
