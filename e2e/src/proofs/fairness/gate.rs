//! Proxy of a database server that accepts connections without a response until it is opened. Connections accepted
//! before that stay silent, as after a network loss.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
struct State {
    is_open: AtomicBool,
    accepted: AtomicUsize,
}

/// Running gate.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    stop: CancellationToken,
}

impl Gate {
    /// Listens on loopback, closed.
    pub(super) async fn closed(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let gate = Self {
            address: listener.local_addr()?,
            state: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (state, stop) = (gate.state.clone(), gate.stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            let mut silent = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                state.accepted.fetch_add(1, Ordering::SeqCst);
                if state.is_open.load(Ordering::SeqCst) {
                    tokio::spawn(stop.clone().run_until_cancelled_owned(pass(client, server)));
                } else {
                    silent.push(client);
                }
            }
        }));
        Ok(gate)
    }

    /// Forwards every later connection.
    pub(super) fn open(&self) {
        self.state.is_open.store(true, Ordering::SeqCst);
    }

    /// Number of accepted connections so far.
    pub(super) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    // The end of a connection is not an error.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}
