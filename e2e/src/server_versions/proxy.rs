//! A proxy that shows a running server as an older one: in its greeting, in `VERSION()`, and by the server's own errors
//! for words that the older server does not know. It records every statement.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{FeatureKind, Features, Version};
use crate::databases::{Engine, Server};

/// Commands of a client whose body is a statement.
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
/// Bit of the greeting's lower capabilities that offers TLS.
const OFFERS_TLS: u8 = 0x08;
/// Bytes between the version in the greeting and the lower capabilities: thread, half of the nonce, a filler.
const GREETING_MIDDLE: usize = 4 + 8 + 1;
/// Bytes of a packet before its body: its length and its number.
const HEADER: usize = 4;

/// Running proxy on loopback, without TLS.
#[derive(Debug)]
pub struct OlderServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<BTreeSet<String>>>,
    stop: CancellationToken,
}

/// The version that is shown, and the words of its product.
#[derive(Debug)]
struct Shown {
    version: Version,
    text: String,
    features: Features,
}

impl OlderServer {
    /// Shows a server of MySQL or MariaDB as one of this version.
    ///
    /// # Errors
    /// An unreadable list of words; no free port.
    pub async fn start(server: &Server, version: Version) -> anyhow::Result<Self> {
        let suffix = if server.engine == Engine::Mariadb {
            "-MariaDB"
        } else {
            ""
        };
        let shown = Arc::new(Shown {
            version,
            text: format!("{version}{suffix}"),
            features: Features::of(server.engine)?,
        });
        let real: SocketAddr = server.address().parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self {
            address: listener.local_addr()?,
            seen: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (seen, stop) = (Arc::clone(&proxy.seen), proxy.stop.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (shown, seen) = (Arc::clone(&shown), Arc::clone(&seen));
                tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
                    // A connection that breaks ends its link; its client reports it.
                    let _ = serve(client, real, &shown, &seen).await;
                }));
            }
        }));
        Ok(proxy)
    }

    /// Every statement that clients have sent.
    pub fn statements(&self) -> BTreeSet<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for OlderServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(
    client: TcpStream,
    server: SocketAddr,
    shown: &Shown,
    seen: &Mutex<BTreeSet<String>>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let greeting = packet(&mut from_server).await?;
    to_client.write_all(&shown.greeting(&greeting)).await?;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    loop {
        tokio::select! {
            read = from_client.read_buf(&mut asked) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some(length) = packet_len(&asked).filter(|length| *length <= asked.len()) {
                    let message: Vec<u8> = asked.drain(..length).collect();
                    match shown.judge(&message, seen) {
                        Answer::Forward(message) => to_server.write_all(&message).await?,
                        Answer::Error(error) => to_client.write_all(&error).await?,
                    }
                }
            }
            read = from_server.read_buf(&mut answered) => {
                if read? == 0 {
                    return Ok(());
                }
                to_client.write_all(&answered).await?;
                answered.clear();
            }
        }
    }
}

/// What the proxy does with a message of a client.
enum Answer {
    Forward(Vec<u8>),
    Error(Vec<u8>),
}

impl Shown {
    /// The server's greeting with the shown version and without TLS.
    fn greeting(&self, greeting: &[u8]) -> Vec<u8> {
        let body = &greeting[HEADER..];
        let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
        let mut changed = vec![body[0]];
        changed.extend(self.text.bytes());
        let capabilities = changed.len() + 1 + GREETING_MIDDLE + 1;
        changed.extend(&body[end..]);
        changed[capabilities] &= !OFFERS_TLS;
        framed(greeting[3], &changed)
    }

    /// A statement is forwarded, with the shown version in place of the real one, unless a word of it is too new.
    fn judge(&self, message: &[u8], seen: &Mutex<BTreeSet<String>>) -> Answer {
        let body = &message[HEADER..];
        let text = match body.split_first() {
            Some((&(QUERY | PREPARE), text)) => std::str::from_utf8(text).ok(),
            Some(_) | None => None,
        };
        // The reply to a login challenge is no statement, whatever its first byte is.
        let Some(text) = text.filter(|_| message[3] == 0) else {
            return Answer::Forward(message.to_vec());
        };
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(text.to_owned());
        if let Some((word, feature)) = self.features.newer_than(self.version, text) {
            return Answer::Error(error(message[3] + 1, feature.kind, &word));
        }
        let shown = text.replace("VERSION()", &format!("'{}'", self.text));
        Answer::Forward(framed(message[3], &[&body[..1], shown.as_bytes()].concat()))
    }
}

/// The server's error for a word that it does not know.
fn error(number: u8, kind: FeatureKind, word: &str) -> Vec<u8> {
    let (code, state, text): (u16, _, _) = match kind {
        FeatureKind::Variable => (1193, "HY000", format!("Unknown system variable '{word}'")),
        FeatureKind::Column => (1054, "42S22", format!("Unknown column '{word}' in 'field list'")),
        FeatureKind::Table => (
            1109,
            "42S02",
            format!("Unknown table '{word}' in information_schema"),
        ),
        FeatureKind::Function => (1305, "42000", format!("FUNCTION {word} does not exist")),
        FeatureKind::Syntax | FeatureKind::Own => (
            1064,
            "42000",
            format!("You have an error in your SQL syntax near '{word}'"),
        ),
    };
    let code = code.to_le_bytes();
    let body = [&[0xff][..], &code[..], b"#", state.as_bytes(), text.as_bytes()].concat();
    framed(number, &body)
}

fn framed(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..3], &[number][..], body].concat()
}

/// Length of the first packet, with its header.
fn packet_len(bytes: &[u8]) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    Some(HEADER + usize::from(header[0]) + (usize::from(header[1]) << 8) + (usize::from(header[2]) << 16))
}

async fn packet(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEADER];
    from.read_exact(&mut bytes).await?;
    let length = packet_len(&bytes).unwrap_or(HEADER);
    bytes.resize(length, 0);
    from.read_exact(&mut bytes[HEADER..]).await?;
    Ok(bytes)
}
