//! Receiver of webhooks in the test process, which fails on request.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value as Json;

/// How the receiver treats requests.
#[derive(Clone, Debug)]
pub enum Reply {
    /// 204.
    Accept,
    /// This status.
    Status(u16),
    /// 302 to this URL.
    Redirect(String),
    /// Keeps the connection open and never answers.
    Silence,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Received {
    /// Path without its query.
    pub path: String,
    /// Names are lower-case.
    pub headers: BTreeMap<String, String>,
    /// Body as it was sent.
    pub body: Vec<u8>,
    /// Whether the receiver took it, although its answer may be lost.
    pub is_accepted: bool,
}

#[derive(Debug)]
struct State {
    reply: Reply,
    received: Vec<Received>,
    drops_answers: bool,
    silent: Vec<TcpStream>,
}

/// HTTP server of one address.
#[derive(Debug)]
pub struct Receiver {
    key: String,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Received {
    /// Returns a header; empty when it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Returns the event in the body; null in a message for people.
    pub fn event(&self) -> Json {
        let body: Json = serde_json::from_slice(&self.body).unwrap_or_default();
        let event = if body["specversion"].is_null() {
            &body["event"]
        } else {
            &body["data"]
        };
        event.clone()
    }
}

impl Receiver {
    /// Listens on loopback. Its URLs carry a key.
    ///
    /// # Errors
    /// Without a free port.
    pub fn start(key: &str) -> anyhow::Result<Self> {
        let mut receiver = Self {
            key: key.to_owned(),
            address: "127.0.0.1:0".parse()?,
            state: Arc::new(Mutex::new(State {
                reply: Reply::Accept,
                received: Vec::new(),
                drops_answers: false,
                silent: Vec::new(),
            })),
            stop: Arc::default(),
            serving: None,
        };
        receiver.start_again()?;
        Ok(receiver)
    }

    /// Listens at the same address as before.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address)?;
        self.address = listener.local_addr()?;
        self.stop.store(false, Ordering::SeqCst);
        let (state, stop) = (self.state.clone(), self.stop.clone());
        self.serving = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                // A connection that breaks is the sender's to try again.
                let _ = stream.and_then(|stream| serve(&stream, &state));
            }
        }));
        Ok(())
    }

    /// Closes the port.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
        self.lock().silent.clear();
    }

    /// Returns a URL of this receiver with its key.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}?key={}", self.address, self.key)
    }

    /// Answers later requests in this way, and ends the requests that are kept open.
    pub fn reply_with(&self, reply: Reply) {
        let mut state = self.lock();
        state.reply = reply;
        state.silent.clear();
    }

    /// Sets whether the connection of every other accepted request is closed without an answer.
    pub fn drop_every_other_answer(&self, drops_answers: bool) {
        self.lock().drops_answers = drops_answers;
    }

    /// Returns all requests.
    pub fn received(&self) -> Vec<Received> {
        self.lock().received.clone()
    }

    /// Returns the message ids with which an event arrived.
    pub fn ids(&self, path: &str, seq: u64) -> Vec<String> {
        let received = self.received().into_iter();
        let of_event = received.filter(|request| {
            request.path == path && request.is_accepted && request.event()["event_id"].as_u64() == Some(seq)
        });
        of_event
            .map(|request| request.header("webhook-id").to_owned())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = state.reply.clone();
    let is_accepted = matches!(reply, Reply::Accept);
    state.received.push(Received {
        path,
        headers,
        body,
        is_accepted,
    });
    let (status, more) = match reply {
        Reply::Accept if state.drops_answers && state.received.len().is_multiple_of(2) => return Ok(()),
        Reply::Accept => (204, String::new()),
        Reply::Status(status) => (status, String::new()),
        Reply::Redirect(url) => (302, format!("location: {url}\r\n")),
        Reply::Silence => {
            state.silent.push(stream.try_clone()?);
            return Ok(());
        }
    };
    drop(state);
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n"
    )
}
