//! TCP proxy that can stall: connections stay open, and no data passes until the test resumes it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const BUFFER: usize = 16 * 1024;

/// Running proxy.
#[derive(Debug)]
pub struct Stall {
    pub address: SocketAddr,
    is_silent: watch::Sender<bool>,
    stop: CancellationToken,
}

impl Stall {
    /// Listens on loopback and forwards to `server`.
    ///
    /// # Errors
    /// No free port.
    pub async fn start(server: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (is_silent, silent) = watch::channel(false);
        let this = Self {
            address: listener.local_addr()?,
            is_silent,
            stop: CancellationToken::new(),
        };
        let stop = this.stop.clone();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let link = serve(client, server, silent.clone());
                tokio::spawn(stop.clone().run_until_cancelled_owned(link));
            }
        }));
        Ok(this)
    }

    /// Stalls or resumes the traffic; data that arrived meanwhile is forwarded on resume.
    pub fn set_silent(&self, is_silent: bool) {
        self.is_silent.send_replace(is_silent);
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(client: TcpStream, server: SocketAddr, silent: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Either end closes both, as a server and its client do.
    tokio::select! {
        _ = pass(from_client, to_server, silent.clone()) => {}
        _ = pass(from_server, to_client, silent) => {}
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut silent: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        // A dropped sender has stopped the proxy.
        let _ = silent.wait_for(|is_silent| !is_silent).await;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
