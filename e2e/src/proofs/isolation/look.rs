//! Inspection of a running process from outside: names of variables, open files, and listening addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::account;

/// Process to inspect, and its variables according to its supervisor.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) address: String,
    pub(super) reported: Vec<String>,
}

/// Known locations, for the classification of open files.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) folder: PathBuf,
    pub(super) database: PathBuf,
    pub(super) store: PathBuf,
}

/// Kind of an open descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Database,
    /// SQLite's files beside the database; in WAL mode a reader maps and locks them too.
    DatabaseSide,
    Store,
    Certificate,
    Log,
    /// Another file of the deployment's directory, such as a lock.
    Own,
    Socket,
    Pipe,
    Event,
    Device,
    /// Inherited from the caller of the proof, for example a shell with an open file: this process has it as well.
    Inherited,
    Other,
}

#[derive(Debug, Clone)]
pub(super) struct OpenFile {
    pub(super) kind: Kind,
    pub(super) target: String,
    pub(super) is_writable: bool,
}

/// One inspection. Files and listeners are `None` if they cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) name: String,
    pub(super) pid: u32,
    pub(super) address: String,
    pub(super) variables: Vec<String>,
    /// Whether the variables come from the kernel; otherwise from the supervisor.
    pub(super) is_from_kernel: bool,
    /// Names of variables whose value looks like a database URL.
    pub(super) urls: Vec<String>,
    pub(super) files: Option<Vec<OpenFile>>,
    pub(super) listeners: Option<Vec<SocketAddr>>,
}

impl Seen {
    pub(super) fn holds_database(&self) -> bool {
        self.files.iter().flatten().any(|f| f.kind == Kind::Database)
    }

    pub(super) fn can_write_database(&self) -> bool {
        self.files
            .iter()
            .flatten()
            .any(|f| f.kind == Kind::Database && f.is_writable)
    }

    pub(super) fn holds(&self, kind: Kind) -> bool {
        self.files.iter().flatten().any(|f| f.kind == kind)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = if self.is_from_kernel {
            "/proc"
        } else {
            "its supervisor"
        };
        writeln!(f, "  {} (pid {})", self.name, self.pid)?;
        writeln!(
            f,
            "    variables, reported by {source}: {}",
            list(&self.variables)
        )?;
        match &self.files {
            None => writeln!(f, "    open files: closed to this user")?,
            Some(files) => {
                let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
                for file in files {
                    let access = if file.is_writable { "rw" } else { "ro" };
                    let what = match file.kind {
                        Kind::Socket | Kind::Pipe | Kind::Event => format!("{:?}", file.kind).to_lowercase(),
                        kind => format!("{kind:?} {access} {}", file.target),
                    };
                    *kinds.entry(what).or_default() += 1;
                }
                let lines: Vec<_> = kinds
                    .iter()
                    .map(|(what, count)| format!("{count}x {what}"))
                    .collect();
                writeln!(f, "    open files: {}", lines.join("; "))?;
            }
        }
        match &self.listeners {
            None => writeln!(f, "    listens: reported at {}", self.address),
            Some(all) => writeln!(
                f,
                "    listens: {}",
                list(&all.iter().map(ToString::to_string).collect::<Vec<_>>())
            ),
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

pub(super) fn at(subject: &Subject, places: &Places) -> anyhow::Result<Seen> {
    let mut seen = Seen {
        name: subject.name.clone(),
        pid: subject.pid,
        address: subject.address.clone(),
        variables: subject.reported.clone(),
        is_from_kernel: false,
        urls: Vec::new(),
        files: None,
        listeners: None,
    };
    if account::is_root() {
        let proc = PathBuf::from(format!("/proc/{}", subject.pid));
        let environ =
            fs::read(proc.join("environ")).with_context(|| format!("{}'s environment", subject.name))?;
        read_variables(&mut seen, &environ);
        let (files, inodes) = open_files(&proc, places)?;
        seen.files = Some(files);
        seen.listeners = Some(listeners(&proc, &inodes)?);
    }
    Ok(seen)
}

fn read_variables(seen: &mut Seen, environ: &[u8]) {
    seen.is_from_kernel = true;
    seen.variables.clear();
    for entry in environ.split(|b| *b == 0).filter(|e| !e.is_empty()) {
        let text = String::from_utf8_lossy(entry);
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        if value.contains("sqlite:") || value.contains("://") {
            seen.urls.push(name.to_owned());
        }
        seen.variables.push(name.to_owned());
    }
    seen.variables.sort();
}

/// Every descriptor, and the inodes of sockets.
fn open_files(proc: &Path, places: &Places) -> anyhow::Result<(Vec<OpenFile>, Vec<u64>)> {
    let (mut files, mut inodes) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(proc.join("fd"))? {
        let entry = entry?;
        // A descriptor can be closed between the listing and this call.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let info = fs::read_to_string(proc.join("fdinfo").join(entry.file_name())).unwrap_or_default();
        let flags = flags(&info).unwrap_or(1);
        if let Some(inode) = target.strip_prefix("socket:[").and_then(|t| t.strip_suffix(']')) {
            inodes.push(inode.parse()?);
        }
        files.push(OpenFile {
            kind: kind_of(&target, places),
            is_writable: flags & 0b11 != 0,
            target,
        });
    }
    Ok((files, inodes))
}

fn kind_of(target: &str, places: &Places) -> Kind {
    let (database, store) = (places.database.to_string_lossy(), places.store.to_string_lossy());
    let plain = target.strip_suffix(" (deleted)").unwrap_or(target);
    let ends = |suffix: &str| Path::new(plain).extension().is_some_and(|e| e == suffix);
    if plain == database {
        Kind::Database
    } else if plain
        .strip_prefix(&*database)
        .is_some_and(|rest| rest.starts_with('-'))
    {
        Kind::DatabaseSide
    } else if plain.starts_with(&*store) {
        Kind::Store
    } else if plain.starts_with("socket:") {
        Kind::Socket
    } else if plain.starts_with("pipe:") {
        Kind::Pipe
    } else if plain.starts_with("anon_inode:") {
        Kind::Event
    } else if plain.starts_with("/dev/") {
        Kind::Device
    } else if ends("pem") || ends("key") {
        Kind::Certificate
    } else if ends("log") {
        Kind::Log
    } else if Path::new(plain).starts_with(&places.folder) {
        Kind::Own
    } else if inherited_descriptors().iter().any(|t| t == target) {
        Kind::Inherited
    } else {
        Kind::Other
    }
}

/// Returns the file descriptors that child processes inherit.
fn inherited_descriptors() -> Vec<String> {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let info = fs::read_to_string(Path::new("/proc/self/fdinfo").join(entry.file_name()));
        if flags(&info.unwrap_or_default()).is_some_and(|flags| flags & CLOSE_ON_EXEC == 0) {
            found.extend(fs::read_link(entry.path()).map(|t| t.to_string_lossy().into_owned()));
        }
    }
    found
}

/// Flags of an open descriptor.
fn flags(info: &str) -> Option<u32> {
    let octal = info.lines().find_map(|l| l.strip_prefix("flags:"))?;
    u32::from_str_radix(octal.trim(), 8).ok()
}

/// Addresses of listening TCP and bound UDP sockets among these inodes.
fn listeners(proc: &Path, inodes: &[u64]) -> anyhow::Result<Vec<SocketAddr>> {
    const LISTEN: &str = "0A";
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let Ok(text) = fs::read_to_string(proc.join("net").join(table)) else {
            continue;
        };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else {
                continue;
            };
            let listens = table.starts_with("udp") || *state == LISTEN;
            if listens && inodes.contains(&inode.parse()?) {
                found.push(address(local).with_context(|| format!("{table}: {local}"))?);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The kernel prints addresses as words in the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Option<Vec<u8>> = (0..ip.len() / 8)
        .map(|i| {
            u32::from_str_radix(ip.get(i * 8..i * 8 + 8)?, 16)
                .ok()
                .map(u32::to_ne_bytes)
        })
        .collect::<Option<Vec<_>>>()
        .map(|words| words.concat());
    let words = words?;
    let ip = match words.len() {
        4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(words).ok()?)),
        16 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
