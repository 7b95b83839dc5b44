//! MCP sessions of revisions before 2026-07-28. Each session belongs to the caller that opened it, has an idle
//! timeout and a maximum age, and counts towards a limit. Other callers get the same error as for a missing
//! session.

mod manager;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmcp::model::RequestId;
use rmcp::transport::streamable_http_server::session::SessionId;
use rmcp::transport::streamable_http_server::session::local::LocalSessionHandle;
use synapsor_chassis::random;
use tokio_util::sync::CancellationToken;

pub(super) use manager::CallerSessionManager;

const SESSIONS_MAX: usize = 1_000;
pub(super) const SESSIONS_PER_CALLER_MAX: usize = 32;
/// Maximum number of streams per session that no request opened.
const LISTENERS_MAX: usize = 4;
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// 160 bits.
const ID_DIGITS: usize = 40;

/// All sessions of one gateway.
#[derive(Debug)]
pub(super) struct Sessions {
    idle_max: Duration,
    all: Mutex<HashMap<SessionId, Session>>,
}

#[derive(Debug)]
struct Session {
    owner: Arc<str>,
    handle: LocalSessionHandle,
    opened: Instant,
    /// Start of the idle time; not used while `uses` is above zero.
    idle_since: Instant,
    /// Open requests and streams.
    uses: usize,
    listeners: usize,
    /// Whether tool calls can be plain: the client has declared no tasks.
    has_plain_calls: bool,
    /// Plain calls in progress, each with the token that cancels it.
    calls: HashMap<RequestId, CancellationToken>,
}

/// The session limit is reached.
#[derive(Debug)]
pub(super) struct SessionLimitReached;

/// Kind of a request in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionUse {
    Message,
    /// Receives server messages that belong to no request.
    Listen,
}

/// Reason for rejecting a request that names a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionEnterError {
    /// No session has this id, or it belongs to another caller.
    Unknown,
    TooManyListeners,
}

/// One request or stream in a session. The session is idle only when none is left.
#[derive(Debug)]
pub(super) struct SessionGuard {
    sessions: Arc<Sessions>,
    id: SessionId,
    purpose: SessionUse,
}

/// One plain call in a session. It can outlast its request, and then does not keep the session in use.
#[derive(Debug)]
pub(super) struct CallGuard {
    sessions: Arc<Sessions>,
    session: SessionId,
    call: RequestId,
    /// Canceled when the client cancels the call, and when the session ends.
    pub(super) canceled: CancellationToken,
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.lock().get_mut(&self.session) {
            session.calls.remove(&self.call);
        }
    }
}

impl SessionGuard {
    /// Begins a plain call. `None` if the session has none, or if another call of this id is in progress.
    pub(super) fn begin_call(&self, id: &RequestId) -> Option<CallGuard> {
        let mut all = self.sessions.lock();
        let session = all.get_mut(&self.id).filter(|session| session.has_plain_calls)?;
        let Entry::Vacant(vacant) = session.calls.entry(id.clone()) else {
            return None;
        };
        Some(CallGuard {
            canceled: vacant.insert(CancellationToken::new()).clone(),
            sessions: self.sessions.clone(),
            session: self.id.clone(),
            call: id.clone(),
        })
    }

    /// Cancels the plain call of this id, if one is in progress in the session.
    pub(super) fn cancel_call(&self, id: &RequestId) {
        let all = self.sessions.lock();
        if let Some(canceled) = all.get(&self.id).and_then(|session| session.calls.get(id)) {
            canceled.cancel();
        }
    }

    /// Leaves all further calls to rmcp: a second handshake has changed what the client declares.
    pub(super) fn end_plain_calls(&self) {
        if let Some(session) = self.sessions.lock().get_mut(&self.id) {
            session.has_plain_calls = false;
        }
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.lock().get_mut(&self.id) {
            session.uses -= 1;
            session.listeners -= usize::from(self.purpose == SessionUse::Listen);
            session.idle_since = Instant::now();
        }
    }
}

impl Sessions {
    pub(super) fn new(idle_max: Duration) -> Self {
        Self {
            idle_max,
            all: Mutex::default(),
        }
    }

    /// Returns the number of open sessions.
    pub(super) fn count(&self) -> usize {
        let now = Instant::now();
        self.lock()
            .values()
            .filter(|session| !self.is_over(session, now))
            .count()
    }

    /// Returns whether `id` is a session of `owner`.
    pub(super) fn is_of(&self, id: &str, owner: &str) -> bool {
        let now = Instant::now();
        let all = self.lock();
        let session = all.get(id).filter(|session| *session.owner == *owner);
        session.is_some_and(|session| !self.is_over(session, now))
    }

    /// Marks the session `id` as in use, if it belongs to `owner`.
    pub(super) fn enter(
        self: &Arc<Self>,
        id: &str,
        owner: &str,
        purpose: SessionUse,
    ) -> Result<SessionGuard, SessionEnterError> {
        self.enter_at(Instant::now(), id, owner, purpose)
    }

    fn enter_at(
        self: &Arc<Self>,
        now: Instant,
        id: &str,
        owner: &str,
        purpose: SessionUse,
    ) -> Result<SessionGuard, SessionEnterError> {
        let mut all = self.lock();
        if all.get(id).is_some_and(|session| self.is_over(session, now)) {
            end(all.remove(id));
        }
        let (id, session) = match all.get_key_value(id) {
            Some((id, session)) if *session.owner == *owner => (id.clone(), session),
            Some(_) | None => return Err(SessionEnterError::Unknown),
        };
        if purpose == SessionUse::Listen && session.listeners >= LISTENERS_MAX {
            return Err(SessionEnterError::TooManyListeners);
        }
        if let Some(session) = all.get_mut(&id) {
            session.uses += 1;
            session.listeners += usize::from(purpose == SessionUse::Listen);
        }
        Ok(SessionGuard {
            sessions: self.clone(),
            id,
            purpose,
        })
    }

    /// Opens a session of `owner`. If the caller is at its limit, its longest idle session is closed.
    fn open(
        &self,
        id: SessionId,
        owner: Arc<str>,
        handle: LocalSessionHandle,
        takes_tasks: bool,
    ) -> Result<(), SessionLimitReached> {
        self.open_at(Instant::now(), id, owner, handle, takes_tasks)
    }

    fn open_at(
        &self,
        now: Instant,
        id: SessionId,
        owner: Arc<str>,
        handle: LocalSessionHandle,
        takes_tasks: bool,
    ) -> Result<(), SessionLimitReached> {
        let mut all = self.lock();
        self.remove_expired(&mut all, now);
        if all.values().filter(|session| session.owner == owner).count() >= SESSIONS_PER_CALLER_MAX {
            let idle = all
                .iter()
                .filter(|(_, session)| session.owner == owner && session.uses == 0);
            let oldest = idle.min_by_key(|(_, session)| session.idle_since);
            let oldest = oldest.map(|(id, _)| id.clone()).ok_or(SessionLimitReached)?;
            end(all.remove(&oldest));
        }
        if all.len() >= SESSIONS_MAX {
            return Err(SessionLimitReached);
        }
        let session = Session {
            owner,
            handle,
            opened: now,
            idle_since: now,
            uses: 0,
            listeners: 0,
            has_plain_calls: !takes_tasks,
            calls: HashMap::new(),
        };
        all.insert(id, session);
        Ok(())
    }

    fn handle(&self, id: &SessionId) -> Option<LocalSessionHandle> {
        self.lock().get(id).map(|session| session.handle.clone())
    }

    fn remove(&self, id: &SessionId) {
        end(self.lock().remove(id));
    }

    /// Closes sessions that are idle or past the maximum age.
    pub(super) fn sweep(&self) {
        self.remove_expired(&mut self.lock(), Instant::now());
    }

    /// Closes all sessions of a caller whose access was removed.
    pub(super) fn close_of(&self, owner: &str) {
        let mut all = self.lock();
        all.extract_if(|_, session| *session.owner == *owner)
            .for_each(|(_, session)| end(Some(session)));
    }

    fn remove_expired(&self, all: &mut HashMap<SessionId, Session>, now: Instant) {
        all.extract_if(|_, session| self.is_over(session, now))
            .for_each(|(_, session)| end(Some(session)));
    }

    fn is_over(&self, session: &Session, now: Instant) -> bool {
        let is_idle = session.uses == 0 && now.duration_since(session.idle_since) >= self.idle_max;
        is_idle || now.duration_since(session.opened) >= LIFE_MAX
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stops the session's worker, its open streams and its plain calls.
fn end(session: Option<Session>) {
    if let Some(Session { handle, calls, .. }) = session {
        calls.into_values().for_each(|canceled| canceled.cancel());
        // An error means that the worker has already ended.
        tokio::spawn(async move { drop(handle.close().await) });
    }
}

fn new_id() -> SessionId {
    random::hex_id(ID_DIGITS).into()
}

#[cfg(test)]
mod tests {
    use rmcp::transport::streamable_http_server::session::local::{SessionConfig, create_local_session};

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn sessions() -> Arc<Sessions> {
        Arc::new(Sessions::new(IDLE))
    }

    fn open(sessions: &Sessions, now: Instant, owner: &str) -> Result<SessionId, SessionLimitReached> {
        let id = new_id();
        let (handle, _worker) = create_local_session(id.clone(), SessionConfig::default());
        sessions
            .open_at(now, id.clone(), owner.into(), handle, false)
            .map(|()| id)
    }

    #[tokio::test]
    async fn session_exists_for_its_owner_only() {
        let sessions = sessions();
        let id = open(&sessions, Instant::now(), "a").unwrap();
        assert!(sessions.enter(&id, "a", SessionUse::Message).is_ok());
        for (id, owner) in [(&*id, "b"), (&*id, ""), ("", "a"), (&id[1..], "a")] {
            let entered = sessions.enter(id, owner, SessionUse::Message);
            assert_eq!(entered.unwrap_err(), SessionEnterError::Unknown);
        }
    }

    #[tokio::test]
    async fn idle_and_old_sessions_end_but_active_ones_are_not_idle() {
        let (sessions, begin) = (sessions(), Instant::now());
        let idle = open(&sessions, begin, "a").unwrap();
        let used = open(&sessions, begin, "a").unwrap();
        let message = SessionUse::Message;
        let using = sessions.enter_at(begin, &used, "a", SessionUse::Listen).unwrap();
        let later = begin + IDLE;
        assert!(sessions.enter_at(later, &idle, "a", message).is_err());
        assert!(sessions.enter_at(later, &used, "a", message).is_ok());
        sessions.remove_expired(&mut sessions.lock(), begin + LIFE_MAX);
        assert_eq!(sessions.count(), 0);
        drop(using);
    }

    #[tokio::test]
    async fn caller_at_its_limit_loses_the_longest_idle_session() {
        let (sessions, begin) = (sessions(), Instant::now());
        let mut ids = Vec::new();
        for number in 0..SESSIONS_PER_CALLER_MAX {
            let now = begin + Duration::from_millis(number as u64);
            ids.push(open(&sessions, now, "a").unwrap());
        }
        let mut used = vec![sessions.enter(&ids[0], "a", SessionUse::Message).unwrap()];
        ids.push(open(&sessions, begin + Duration::from_secs(1), "a").unwrap());
        assert_eq!(sessions.count(), SESSIONS_PER_CALLER_MAX);
        let closed = sessions.enter(&ids.remove(1), "a", SessionUse::Message);
        assert_eq!(closed.unwrap_err(), SessionEnterError::Unknown);
        used.extend(
            ids[1..]
                .iter()
                .map(|id| sessions.enter(id, "a", SessionUse::Message).unwrap()),
        );
        assert!(open(&sessions, begin, "a").is_err(), "no session is idle");
        assert!(open(&sessions, begin, "b").is_ok());
    }

    #[tokio::test]
    async fn total_number_of_sessions_is_capped() {
        let (sessions, begin) = (sessions(), Instant::now());
        for number in 0..SESSIONS_MAX {
            let owner = (number / SESSIONS_PER_CALLER_MAX).to_string();
            open(&sessions, begin, &owner).unwrap();
        }
        assert!(open(&sessions, begin, "new").is_err());
        assert!(open(&sessions, begin + IDLE, "new").is_ok());
    }

    #[tokio::test]
    async fn listeners_per_session_are_capped() {
        let sessions = sessions();
        let id = open(&sessions, Instant::now(), "a").unwrap();
        let mut listening = Vec::new();
        for _ in 0..LISTENERS_MAX {
            listening.push(sessions.enter(&id, "a", SessionUse::Listen).unwrap());
        }
        let more = sessions.enter(&id, "a", SessionUse::Listen);
        assert_eq!(more.unwrap_err(), SessionEnterError::TooManyListeners);
        assert!(sessions.enter(&id, "a", SessionUse::Message).is_ok());
        listening.pop();
        assert!(sessions.enter(&id, "a", SessionUse::Listen).is_ok());
    }

    #[tokio::test]
    async fn calls_end_with_their_cancellation_and_their_session() {
        let (sessions, now) = (sessions(), Instant::now());
        let id = open(&sessions, now, "a").unwrap();
        let entered = sessions.enter(&id, "a", SessionUse::Message).unwrap();
        let (one, other) = (RequestId::Number(1), RequestId::String("1".into()));
        let (first, second) = (
            entered.begin_call(&one).unwrap(),
            entered.begin_call(&other).unwrap(),
        );
        assert!(entered.begin_call(&one).is_none(), "the id is in use");
        entered.cancel_call(&one);
        assert!(first.canceled.is_cancelled() && !second.canceled.is_cancelled());
        drop(first);
        let third = entered.begin_call(&one).unwrap();
        assert!(!third.canceled.is_cancelled());
        sessions.remove(&id);
        assert!(third.canceled.is_cancelled() && second.canceled.is_cancelled());
    }

    #[tokio::test]
    async fn call_without_its_request_does_not_keep_the_session_in_use() {
        let (sessions, begin) = (sessions(), Instant::now());
        let id = open(&sessions, begin, "a").unwrap();
        let message = SessionUse::Message;
        let entered = sessions.enter_at(begin, &id, "a", message).unwrap();
        let call = entered.begin_call(&RequestId::Number(1)).unwrap();
        drop(entered);
        let later = Instant::now() + IDLE;
        assert!(sessions.enter_at(later, &id, "a", message).is_err());
        assert!(call.canceled.is_cancelled());
    }

    #[tokio::test]
    async fn client_that_takes_tasks_has_no_plain_calls() {
        let sessions = sessions();
        let call = RequestId::Number(1);
        for takes_tasks in [true, false] {
            let id = new_id();
            let (handle, _worker) = create_local_session(id.clone(), SessionConfig::default());
            sessions
                .open(id.clone(), "a".into(), handle, takes_tasks)
                .unwrap();
            let entered = sessions.enter(&id, "a", SessionUse::Message).unwrap();
            assert_eq!(entered.begin_call(&call).is_none(), takes_tasks);
            entered.end_plain_calls();
            assert!(entered.begin_call(&call).is_none());
        }
    }
}
