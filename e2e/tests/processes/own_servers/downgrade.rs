//! TLS downgrade attacker between client and server, who reports that the server has no TLS and records the
//! client's messages.

use std::net::SocketAddr;

use synapsor_e2e::databases::Engine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Bit of a MySQL greeting that offers TLS, in the second of its capability bytes.
const OFFERS_TLS: u8 = 0x08;
/// First message of PostgreSQL clients.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

pub(crate) struct Downgrade {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    listening: tokio::task::JoinHandle<anyhow::Result<Vec<Vec<u8>>>>,
}

impl Downgrade {
    pub(crate) async fn start(engine: Engine, server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, server) = (CancellationToken::new(), server.to_owned());
        let ended = stop.clone();
        let listening = tokio::spawn(async move {
            let mut links = JoinSet::new();
            while let Some(Ok((client, _))) = ended.run_until_cancelled(listener.accept()).await {
                let server = server.clone();
                links.spawn(async move {
                    match engine {
                        Engine::Mysql | Engine::Mariadb => mysql(client, &server).await,
                        Engine::Postgres | Engine::Sqlite => postgres(client).await,
                    }
                });
            }
            let mut received = Vec::new();
            while let Some(link) = links.join_next().await {
                received.push(link??);
            }
            Ok(received)
        });
        Ok(Self {
            address,
            stop,
            listening,
        })
    }

    /// Bytes that each client sent after the attacker denied TLS.
    pub(crate) async fn received(self) -> anyhow::Result<Vec<Vec<u8>>> {
        self.stop.cancel();
        self.listening.await?
    }
}

async fn postgres(mut client: TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut asked = [0; 8];
    client.read_exact(&mut asked).await?;
    if asked != TLS_REQUEST {
        return Ok(asked.to_vec());
    }
    client.write_all(b"N").await?;
    rest(client).await
}

/// Sends the server's own greeting without its TLS offer.
async fn mysql(mut client: TcpStream, server: &str) -> anyhow::Result<Vec<u8>> {
    let mut server = TcpStream::connect(server).await?;
    let mut header = [0; 4];
    server.read_exact(&mut header).await?;
    let mut greeting = vec![0; usize::from(header[0]) + (usize::from(header[1]) << 8)];
    server.read_exact(&mut greeting).await?;
    let version_end = greeting.iter().position(|b| *b == 0).unwrap_or(0);
    // After the version: connection id, eight bytes of salt and a zero.
    let capabilities = version_end + 1 + 4 + 8 + 1;
    greeting[capabilities + 1] &= !OFFERS_TLS;
    client.write_all(&header).await?;
    client.write_all(&greeting).await?;
    rest(client).await
}

async fn rest(mut client: TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut received = Vec::new();
    // A client that closes the connection has sent nothing either.
    let _ = client.read_to_end(&mut received).await;
    Ok(received)
}
