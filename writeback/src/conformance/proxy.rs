//! Proxies between an engine and its server, for rare behavior of real servers: a connection that counts
//! changed rows, and one on which a statement reaches another connection or server than the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Maximum size of a client message in bytes; statements of the behaviors are shorter.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A proxy that replaces text in client messages by text of the same length, only while it is enabled.
pub(crate) struct Rewriting {
    address: String,
    is_on: Arc<AtomicBool>,
}

impl Rewriting {
    pub(crate) async fn start(server: String, from: &'static str, to: &'static str) -> Self {
        assert_eq!(from.len(), to.len(), "lengths are part of the protocols");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_on = Arc::new(AtomicBool::new(false));
        let rewrites = is_on.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let upstream = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, upstream, rewrites.clone(), from, to));
            }
        });
        Self { address, is_on }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn rewrites(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::SeqCst);
    }
}

async fn pass(
    client: TcpStream,
    upstream: TcpStream,
    rewrites: Arc<AtomicBool>,
    from: &'static str,
    to: &'static str,
) {
    let (mut client_read, mut client_write) = client.into_split();
    let (mut upstream_read, mut upstream_write) = upstream.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut upstream_read, &mut client_write).await });
    let mut message = vec![0; MESSAGE_BYTES_MAX];
    while let Ok(len @ 1..) = client_read.read(&mut message).await {
        let bytes = &mut message[..len];
        if rewrites.load(Ordering::SeqCst) {
            while let Some(at) = bytes.windows(from.len()).position(|w| w == from.as_bytes()) {
                bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            }
        }
        if upstream_write.write_all(bytes).await.is_err() {
            break;
        }
    }
    // The client has disconnected, so no response is needed.
    back.abort();
}

/// Starts a proxy before a MySQL server that clears CLIENT_FOUND_ROWS in the client's login; returns its
/// address.
pub(crate) async fn counting_changed(server: String) -> String {
    /// CLIENT_FOUND_ROWS, in the first byte of a client's first packet.
    const FOUND_ROWS: u8 = 0x02;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut upstream = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(async move {
                let greeting = packet(&mut upstream).await;
                client.write_all(&greeting).await.unwrap();
                let mut login = packet(&mut client).await;
                login[4] &= !FOUND_ROWS;
                upstream.write_all(&login).await.unwrap();
                // Either side may end first; nothing needs to be done here.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            });
        }
    });
    address
}

async fn packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 4];
    stream.read_exact(&mut packet).await.unwrap();
    let len = usize::from(packet[0]) | usize::from(packet[1]) << 8 | usize::from(packet[2]) << 16;
    packet.resize(4 + len, 0);
    stream.read_exact(&mut packet[4..]).await.unwrap();
    packet
}

/// A proxy before a PostgreSQL server that removes the values of each row while it is enabled.
pub(crate) struct Emptying {
    address: String,
    is_on: Arc<AtomicBool>,
}

impl Emptying {
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_on = Arc::new(AtomicBool::new(false));
        let empties = is_on.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let upstream = TcpStream::connect(&server).await.unwrap();
                let (mut client_read, client_write) = client.into_split();
                let (upstream_read, mut upstream_write) = upstream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut client_read, &mut upstream_write).await });
                tokio::spawn(pass_rows(upstream_read, client_write, empties.clone()));
            }
        });
        Self { address, is_on }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn empties(&self, is_on: bool) {
        self.is_on.store(is_on, Ordering::SeqCst);
    }
}

/// Passes the messages of a server on: a letter, the length of the rest, the rest.
async fn pass_rows(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, empties: Arc<AtomicBool>) {
    const ROW: u8 = b'D';
    let mut head = [0; 5];
    while server.read_exact(&mut head).await.is_ok() {
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut rest = vec![0; usize::try_from(len).unwrap() - 4];
        if server.read_exact(&mut rest).await.is_err() {
            return;
        }
        if head[0] == ROW && empties.load(Ordering::SeqCst) {
            // The number of values.
            rest[..2].fill(0);
        }
        if client.write_all(&head).await.is_err() || client.write_all(&rest).await.is_err() {
            return;
        }
    }
}

/// A proxy before a PostgreSQL server that counts the round trips of its clients.
pub(crate) struct Counting {
    address: String,
    count: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let upstream = TcpStream::connect(&server).await.unwrap();
                let (client_read, mut client_write) = client.into_split();
                let (mut upstream_read, upstream_write) = upstream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut upstream_read, &mut client_write).await });
                tokio::spawn(count_requests(client_read, upstream_write, counted.clone()));
            }
        });
        Self { address, count }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Passes the messages of a client on, and counts each that ends a round trip.
async fn count_requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, count: Arc<AtomicUsize>) {
    const QUERY: u8 = b'Q';
    const SYNC: u8 = b'S';
    // The first message has no letter.
    let mut head_len = 4;
    let mut head = [0; 5];
    while client.read_exact(&mut head[5 - head_len..]).await.is_ok() {
        let len = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut rest = vec![0; usize::try_from(len).unwrap() - 4];
        if client.read_exact(&mut rest).await.is_err() {
            return;
        }
        if head_len == 5 && [QUERY, SYNC].contains(&head[0]) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let sent = [&head[5 - head_len..], &rest].concat();
        if server.write_all(&sent).await.is_err() {
            return;
        }
        head_len = 5;
    }
}
