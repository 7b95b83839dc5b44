//! Cache of context tickets, each kept slightly shorter than its validity. A ticket belongs to the access token
//! that it was issued for, so no caller can get a ticket of another caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_domain::digest::Digest;
use synapsor_domain::error::PublicError;
use synapsor_proto::common::v1::DsseEnvelope;

use crate::caller::Caller;
use crate::reader_client::ReaderClient;

const TICKETS_MAX: usize = 10_000;
/// Minimum remaining validity of a cached ticket; the request that uses it takes time too.
const LEFT_MIN_MS: i64 = 30_000;

#[derive(Debug)]
pub(super) struct Tickets {
    reader: Arc<ReaderClient>,
    held: Mutex<HashMap<Digest, CachedTicket>>,
}

#[derive(Debug)]
struct CachedTicket {
    ticket: DsseEnvelope,
    ends_ms: i64,
}

impl Tickets {
    pub(super) fn new(reader: Arc<ReaderClient>) -> Self {
        Self {
            reader,
            held: Mutex::default(),
        }
    }

    /// Returns a ticket for this caller.
    pub(super) async fn of(&self, caller: &Caller) -> Result<DsseEnvelope, PublicError> {
        let key = Digest::of_typed(
            "application/vnd.synapsor.ticket-holder.v1",
            caller.access_token().as_bytes(),
        );
        let now_ms = SystemClock.now_ms();
        if let Some(held) = self.held().get(&key)
            && held.ends_ms - now_ms > LEFT_MIN_MS
        {
            return Ok(held.ticket.clone());
        }
        let (ticket, ends_ms) = self.reader.ticket(caller).await?;
        let mut held = self.held();
        if held.len() >= TICKETS_MAX {
            held.retain(|_, held| held.ends_ms - now_ms > LEFT_MIN_MS);
        }
        if held.len() < TICKETS_MAX {
            let ticket = ticket.clone();
            held.insert(key, CachedTicket { ticket, ends_ms });
        }
        Ok(ticket)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<Digest, CachedTicket>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
