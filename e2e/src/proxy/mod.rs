//! TCP proxy between a writer and its database server, on loopback without TLS. For chosen proposals it drops the
//! COMMIT or its response, or adds a change to the transaction, each once. It forwards all other traffic.

mod wire;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use wire::Dialect;
use wire::{Client, Meaning};

/// Maximum time that a silent connection is held.
const HELD_MAX: Duration = Duration::from_secs(120);

/// Fault of one COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The server commits; both connections are closed when the response arrives.
    AnswerCut,
    /// The server commits; the client waits for a response that never arrives.
    AnswerHeld,
    /// The COMMIT does not arrive; both connections are closed.
    CommitCut,
    /// The COMMIT does not arrive; the server keeps the transaction open, and the client waits.
    CommitHeld,
}

#[derive(Debug, Default)]
struct Plan {
    losses: HashMap<String, Loss>,
    changes: HashMap<String, String>,
    lost: HashMap<String, Instant>,
}

/// Running proxy.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
    stop: CancellationToken,
}

impl Proxy {
    /// Listens on loopback and forwards to `server`.
    pub async fn start(server: SocketAddr, dialect: Dialect) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            address: listener.local_addr()?,
            plan: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (plan, stop) = (Arc::clone(&proxy.plan), proxy.stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let link = serve(client, server, dialect, Arc::clone(&plan));
                tokio::spawn(stop.clone().run_until_cancelled_owned(link));
            }
        }));
        Ok(proxy)
    }

    /// Injects a fault into the next COMMIT of a transaction for this proposal.
    pub fn lose(&self, proposal: &str, loss: Loss) {
        lock(&self.plan).losses.insert(proposal.to_owned(), loss);
    }

    /// Runs a statement in the next transaction for this proposal, immediately before its COMMIT. PostgreSQL only.
    pub fn change_in_commit(&self, proposal: &str, statement: &str) {
        lock(&self.plan)
            .changes
            .insert(proposal.to_owned(), statement.to_owned());
    }

    /// Time at which this proposal's COMMIT was lost, if it was.
    pub fn lost(&self, proposal: &str) -> Option<Instant> {
        lock(&self.plan).lost.get(proposal).copied()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(client: TcpStream, server: SocketAddr, dialect: Dialect, plan: Arc<Mutex<Plan>>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let link = Link {
        client,
        server,
        from_client: Vec::new(),
        from_server: Vec::new(),
        talk: Client::new(dialect),
        plan,
    };
    // The proxy breaks connections on purpose; an error ends the link.
    let _ = link.run().await;
}

/// One connection through the proxy.
struct Link {
    client: TcpStream,
    server: TcpStream,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    talk: Client,
    plan: Arc<Mutex<Plan>>,
}

impl Link {
    async fn run(mut self) -> std::io::Result<()> {
        loop {
            tokio::select! {
                read = self.client.read_buf(&mut self.from_client) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    if let Some(loss) = self.pass_on().await? {
                        return self.lose(loss).await;
                    }
                }
                read = self.server.read_buf(&mut self.from_server) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    self.client.write_all(&self.from_server).await?;
                    self.from_server.clear();
                }
            }
        }
    }

    /// Forwards complete messages, up to a COMMIT that is to be lost.
    async fn pass_on(&mut self) -> std::io::Result<Option<Loss>> {
        while let Some(length) = self.talk.message(&self.from_client) {
            let meaning = self.talk.understand(&self.from_client[..length]);
            if meaning == Meaning::Commit
                && let Some(loss) = self.planned()
            {
                return Ok(Some(loss));
            }
            let changed = (meaning == Meaning::Commit)
                .then(|| self.changed(length))
                .flatten();
            let message = changed.as_deref().unwrap_or(&self.from_client[..length]);
            self.server.write_all(message).await?;
            self.from_client.drain(..length);
        }
        Ok(None)
    }

    /// The first message, extended by the statement that is planned for its proposal.
    fn changed(&self, length: usize) -> Option<Vec<u8>> {
        let statement = lock(&self.plan).changes.remove(self.talk.about.as_ref()?)?;
        wire::before_query(&statement, &self.from_client[..length])
    }

    fn planned(&self) -> Option<Loss> {
        let proposal = self.talk.about.as_ref()?;
        let mut plan = lock(&self.plan);
        let loss = plan.losses.remove(proposal)?;
        plan.lost.insert(proposal.clone(), Instant::now());
        Some(loss)
    }

    async fn lose(mut self, loss: Loss) -> std::io::Result<()> {
        match loss {
            Loss::CommitCut => Ok(()),
            Loss::CommitHeld => self.hold().await,
            Loss::AnswerCut => {
                self.server.write_all(&self.from_client).await?;
                // The server has committed when the response begins.
                let answered = tokio::time::timeout(HELD_MAX, self.server.readable());
                answered.await.unwrap_or(Ok(()))
            }
            Loss::AnswerHeld => {
                self.server.write_all(&self.from_client).await?;
                self.hold().await
            }
        }
    }

    /// Discards all data of both sides until both disconnect.
    async fn hold(self) -> std::io::Result<()> {
        let Self {
            mut client,
            mut server,
            ..
        } = self;
        let (mut client_nowhere, mut server_nowhere) = (tokio::io::sink(), tokio::io::sink());
        let both = async {
            tokio::join!(
                tokio::io::copy(&mut client, &mut client_nowhere),
                tokio::io::copy(&mut server, &mut server_nowhere),
            )
        };
        // Data and errors of both sides are irrelevant here.
        let _ = tokio::time::timeout(HELD_MAX, both).await;
        Ok(())
    }
}
