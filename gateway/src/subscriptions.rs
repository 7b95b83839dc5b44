//! Telling clients that a proposal has moved: on the stream of a `subscriptions/listen`, and in sessions of the
//! revisions before it. Only a change is told; what it is, the client reads.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::RoleServer;
use rmcp::model::{ErrorData, ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, SubscriptionContext};

use crate::answer;
use crate::caller::Caller;
use crate::records::{Address, Changes, Next, Records};

/// Addresses that one client may listen to.
const ADDRESSES_MAX: usize = 100;
/// Whether the client of a session is still there is seen at every change, and otherwise this often.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Addresses of one session, shared with the task that listens for it; none when that has ended.
type Wanted = Arc<Mutex<Option<HashSet<String>>>>;

/// Who listens in sessions, by the session's id.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    listening: Mutex<HashMap<String, Wanted>>,
}

/// Of what a client wants to listen to, what can change.
pub(crate) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let can_change =
        |uri: &&String| Address::parse(uri).is_some_and(|address| address.proposal_id().is_some());
    let uris: Vec<String> = uris.filter(can_change).take(ADDRESSES_MAX).cloned().collect();
    SubscriptionFilter::builder().resource_subscriptions(uris).build()
}

/// Tells of changes until the client goes, its token ends, or the ledger stays away.
pub(crate) async fn listen(
    context: SubscriptionContext,
    records: Arc<Records>,
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
    let mut changes = Changes::listen(records, caller)
        .await
        .map_err(|r| answer::error_of(&r))?;
    loop {
        let next = tokio::select! {
            next = changes.next() => next.map_err(|r| answer::error_of(&r))?,
            () = context.cancelled() => return Ok(()),
        };
        for uri in uris.iter().filter(|uri| is_about(uri, &next)) {
            if context.sink().notify_resource_updated(uri.clone()).await.is_err() {
                return Ok(());
            }
        }
    }
}

fn is_about(uri: &str, next: &Next) -> bool {
    match next {
        Next::Gap => true,
        Next::Change(change) => {
            Address::parse(uri).is_some_and(|a| a.proposal_id() == Some(change.proposal_id.as_str()))
        }
    }
}

impl Sessions {
    /// Adds an address to those of a session; the first one makes somebody listen.
    pub(crate) async fn subscribe(
        self: &Arc<Self>,
        session: String,
        uri: String,
        peer: Peer<RoleServer>,
        records: Arc<Records>,
        caller: Caller,
    ) -> Result<(), ErrorData> {
        if Address::parse(&uri).is_none_or(|address| address.proposal_id().is_none()) {
            return Err(answer::no_such_record());
        }
        if added(&self.listening(), &session, &uri)? {
            return Ok(());
        }
        let changes = Changes::listen(records, caller)
            .await
            .map_err(|r| answer::error_of(&r))?;
        let wanted: Wanted = Arc::new(Mutex::new(Some(HashSet::from([uri.clone()]))));
        {
            let mut listening = self.listening();
            // Another first one may have been quicker.
            if added(&listening, &session, &uri)? {
                return Ok(());
            }
            listening.insert(session.clone(), wanted.clone());
        }
        let sessions = self.clone();
        tokio::spawn(async move {
            tell(changes, &wanted, &peer).await;
            // From here on an address that is added makes another listener, which is not to be removed.
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

    /// Takes an address away; the session's listener stays until the session ends.
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

/// Adds an address where somebody listens for the session already; false if nobody does.
fn added(listening: &HashMap<String, Wanted>, session: &str, uri: &str) -> Result<bool, ErrorData> {
    let Some(wanted) = listening.get(session) else {
        return Ok(false);
    };
    let mut wanted = wanted.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(wanted) = &mut *wanted else {
        return Ok(false);
    };
    if wanted.len() >= ADDRESSES_MAX && !wanted.contains(uri) {
        let text = format!("at most {ADDRESSES_MAX} subscriptions; end some before more are made");
        return Err(ErrorData::invalid_params(text, None));
    }
    wanted.insert(uri.to_owned());
    Ok(true)
}

async fn tell(mut changes: Changes, wanted: &Wanted, peer: &Peer<RoleServer>) {
    while !peer.is_transport_closed() {
        let next = tokio::select! {
            next = changes.next() => next,
            () = tokio::time::sleep(LOOK_EVERY) => continue,
        };
        let next = match next {
            Ok(next) => next,
            Err(refusal) => {
                tracing::info!(code = %refusal.code, "a session's subscriptions end");
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
