//! Notifies clients that a proposal changed: on the stream of `subscriptions/listen`, and in sessions of earlier
//! revisions. A notification carries only the URI; the client reads the record.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ErrorData, ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, SubscriptionContext};

use crate::caller::Caller;
use crate::record_client::{ChangeEvent, ChangeStream, RecordClient, ResourceUri};
use crate::tool_result;

/// Maximum number of URIs per client.
const ADDRESSES_MAX: usize = 100;
/// Interval between checks that the session's client is still connected; every change checks it too.
const LIVENESS_CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// URIs of one session, shared with its notification task; `None` after the task has ended.
type Wanted = Arc<Mutex<Option<HashSet<String>>>>;

/// Subscriptions of sessions, by session id.
#[derive(Debug, Default)]
pub(crate) struct SubscriptionRegistry {
    listening: Mutex<HashMap<String, Wanted>>,
}

/// Returns the requested URIs whose records can change.
pub(crate) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let can_change =
        |uri: &&String| ResourceUri::parse(uri).is_some_and(|address| address.proposal_id().is_some());
    let uris: Vec<String> = uris.filter(can_change).take(ADDRESSES_MAX).cloned().collect();
    SubscriptionFilter::builder().resource_subscriptions(uris).build()
}

/// Notifies of changes until the client disconnects, its token expires, or the ledger stays unavailable.
pub(crate) async fn listen(
    context: SubscriptionContext,
    records: Arc<RecordClient>,
    caller: Caller,
) -> Result<(), ErrorData> {
    let uris: Vec<String> = context
        .accepted()
        .resource_subscriptions
        .iter()
        .flatten()
        .cloned()
        .collect();
    if uris.is_empty() {
        context.cancelled().await;
        return Ok(());
    }
    let mut changes = ChangeStream::listen(records, caller)
        .await
        .map_err(|r| tool_result::error_of(&r))?;
    loop {
        let next = tokio::select! {
            next = changes.next() => next.map_err(|r| tool_result::error_of(&r))?,
            () = context.cancelled() => return Ok(()),
        };
        for uri in uris.iter().filter(|uri| is_about(uri, &next)) {
            if context.sink().notify_resource_updated(uri.clone()).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn is_about(uri: &str, next: &ChangeEvent) -> bool {
    match next {
        ChangeEvent::Gap => true,
        ChangeEvent::Change(change) => {
            ResourceUri::parse(uri).is_some_and(|a| a.proposal_id() == Some(change.proposal_id.as_str()))
        }
    }
}

impl SubscriptionRegistry {
    /// Adds a URI to a session; the first one starts the session's notification task.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        session: String,
        uri: String,
        peer: Peer<RoleServer>,
        records: Arc<RecordClient>,
        caller: Caller,
    ) -> Result<(), ErrorData> {
        if ResourceUri::parse(&uri).is_none_or(|address| address.proposal_id().is_none()) {
            return Err(tool_result::no_such_record());
        }
        if added(&self.listening(), &session, &uri)? {
            return Ok(());
        }
        let changes = ChangeStream::listen(records, caller)
            .await
            .map_err(|r| tool_result::error_of(&r))?;
        let wanted: Wanted = Arc::new(Mutex::new(Some(HashSet::from([uri.clone()]))));
        {
            let mut listening = self.listening();
            // A concurrent call may already have started the task.
            if added(&listening, &session, &uri)? {
                return Ok(());
            }
            listening.insert(session.clone(), wanted.clone());
        }
        let sessions = self.clone();
        tokio::spawn(async move {
            notify(changes, &wanted, &peer).await;
            // From here on, a new URI starts another task, whose entry must not be removed.
            wanted.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut listening = sessions.listening();
            if listening
                .get(&session)
                .is_some_and(|own| Arc::ptr_eq(own, &wanted))
            {
                listening.remove(&session);
            }
        });
        Ok(())
    }

    /// Removes a URI; the notification task runs until the session ends.
    pub(crate) fn unsubscribe(&self, session: &str, uri: &str) {
        if let Some(wanted) = self.listening().get(session)
            && let Some(wanted) = &mut *wanted.lock().unwrap_or_else(PoisonError::into_inner)
        {
            wanted.remove(uri);
        }
    }

    fn listening(&self) -> std::sync::MutexGuard<'_, HashMap<String, Wanted>> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a URI if the session has a notification task; returns false if it has none.
fn added(listening: &HashMap<String, Wanted>, session: &str, uri: &str) -> Result<bool, ErrorData> {
    let Some(wanted) = listening.get(session) else {
        return Ok(false);
    };
    let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(wanted) = &mut *wanted else {
        return Ok(false);
    };
    if wanted.len() >= ADDRESSES_MAX && !wanted.contains(uri) {
        let text = format!("at most {ADDRESSES_MAX} subscriptions; unsubscribe before adding more");
        return Err(ErrorData::invalid_params(text, None));
    }
    wanted.insert(uri.to_owned());
    Ok(true)
}

async fn notify(mut changes: ChangeStream, wanted: &Wanted, peer: &Peer<RoleServer>) {
    while !peer.is_transport_closed() {
        let next = tokio::select! {
            next = changes.next() => next,
            () = tokio::time::sleep(LIVENESS_CHECK_INTERVAL) => continue,
        };
        let next = match next {
            Ok(next) => next,
            Err(refusal) => {
                tracing::info!(code = %refusal.code, "session subscriptions ended");
                return;
            }
        };
        let about: Vec<String> = {
            let wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
            wanted
                .iter()
                .flatten()
                .filter(|uri| is_about(uri, &next))
                .cloned()
                .collect()
        };
        for uri in about {
            let update = ResourceUpdatedNotificationParam::new(uri);
            if peer.notify_resource_updated(update).await.is_err() {
                return;
            }
        }
    }
}
