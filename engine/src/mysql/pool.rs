//! Connection pool of an engine: limits the number of connections, checks idle ones, and ends those whose
//! caller stopped waiting.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connect::Connector;
use super::session::MysqlConn;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Maximum number of connections of one engine unless the contract sets another; further work waits.
pub const CONNECTIONS_MAX: usize = 16;
/// Maximum idle time of a connection in seconds; shorter than the servers' own idle timeout.
const IDLE_AGE_MAX: Duration = Duration::from_secs(5);

/// The connections of one credential.
pub struct MysqlPool {
    pub connector: Connector,
    idle: Mutex<Vec<MysqlConn>>,
    turns: Arc<Semaphore>,
}

impl MysqlPool {
    pub fn new(connector: Connector, connections: usize) -> Arc<Self> {
        Arc::new(Self {
            connector,
            idle: Mutex::new(Vec::new()),
            turns: Arc::new(Semaphore::new(connections)),
        })
    }

    /// Returns a connection, idle or new; waits for a permit at most this long.
    pub async fn take(self: &Arc<Self>, patience: Duration) -> Result<PooledConnection, EngineError> {
        let waited = tokio::time::timeout(patience, self.turns.clone().acquire_owned());
        let Ok(Ok(turn)) = waited.await else {
            return Err(EngineError::new(
                EngineErrorKind::Busy,
                "all connections are in use",
            ));
        };
        let generation = self.connector.generation()?;
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|s| s.generation == generation && s.last_used.elapsed() < IDLE_AGE_MAX);
            idle.pop()
        };
        let is_reused = kept.is_some();
        let session = match kept {
            Some(session) => session,
            None => self.connector.open().await?,
        };
        Ok(PooledConnection {
            session: Some(session),
            is_reused,
            turn: Some(turn),
            pool: self.clone(),
        })
    }

    /// Closes the idle connections; the next work opens new ones.
    pub fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl fmt::Debug for MysqlPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connector.fmt(f)
    }
}

/// A connection in use. When dropped, it is closed, and a statement that still runs on it is ended on the
/// server.
pub struct PooledConnection {
    session: Option<MysqlConn>,
    /// Whether it came from the pool; the server may have closed it meanwhile.
    pub is_reused: bool,
    turn: Option<OwnedSemaphorePermit>,
    pool: Arc<MysqlPool>,
}

impl PooledConnection {
    pub fn session(&mut self) -> &mut MysqlConn {
        self.session
            .as_mut()
            .expect("a held connection has its session until it is released")
    }

    /// The source of connections.
    pub fn connector(&self) -> &Connector {
        &self.pool.connector
    }

    /// Returns a connection without an error to the pool.
    pub fn release(mut self) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        if session.is_reusable() {
            session.unlimited();
            self.pool
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(session);
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(session) = self.session.take().filter(MysqlConn::is_busy) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let (pool, turn) = (self.pool.clone(), self.turn.take());
        runtime.spawn(async move {
            // If it cannot be ended, the server's own timeouts end it.
            let _ = end(&pool.connector, session.id).await;
            drop((session, turn));
        });
    }
}

async fn end(connector: &Connector, id: u64) -> Result<(), EngineError> {
    let generation = connector.generation()?;
    let mut other = MysqlConn::new(connector.bare().await?, generation);
    other.limit(IDLE_AGE_MAX);
    Ok(other.command(format!("KILL CONNECTION {id}")).await?)
}
