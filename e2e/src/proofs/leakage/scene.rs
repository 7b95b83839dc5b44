//! A user's directory with a secret in every location that holds one, a watcher of all process output, and one run
//! of the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::files::{self, MODE_PRIVATE};

use super::canary::{Canary, Capture, URL_PATH, text};
use super::credentials::{self, Credentials};
use crate::cli::{CliFixture, CommandOutput, INVOICE, Running};
use crate::deployment::dump;

pub(super) const TOKEN: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";
const START: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
const LOOKS_PER_LISTING: u32 = 5;

/// Environment of the failures.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) place: CliFixture,
    pub(super) database: PathBuf,
    pub(super) token: String,
    /// User, password and parameter in URLs that cannot work.
    pub(super) url_secret: String,
    pub(super) alias: String,
    pub(super) canaries: Vec<Canary>,
    pub(super) capture: Capture,
    pub(super) provoked: usize,
    /// Commands that should have failed and did not.
    pub(super) wrong: Vec<String>,
    pub(super) credentials: Option<Credentials>,
    up: Option<Running>,
    processes: Vec<Json>,
    watcher: Watcher,
}

impl Scene {
    pub(super) fn build() -> anyhow::Result<Self> {
        let mut place = CliFixture::new()?;
        let url_path = text("path");
        let database = place.path(&url_path).join("billing.db");
        std::fs::create_dir(place.path(&url_path))?;
        std::fs::rename(place.path("billing.db"), &database)?;
        let column = text("column");
        let connection = rusqlite::Connection::open(&database)?;
        connection.execute("UPDATE invoices SET internal_note = ?1", [&column])?;
        drop(connection);
        let url = format!("sqlite://{}", database.display());
        let (token, url_secret, alias) = (text("token"), text("url"), text("alias"));
        let (first, second) = (text("env"), text("environment"));
        for (name, value) in [
            ("BILLING_READ_URL", url.as_str()),
            ("BILLING_WRITE_URL", &url),
            (TOKEN, &token),
            ("AWS_SECRET_ACCESS_KEY", &first),
            ("PAYMENTS_PASSWORD", &second),
            ("SYNAPSOR_LOG_LEVEL", "debug"),
        ] {
            place.set(name, value);
        }
        place.write("call.json", &json!({ "invoice_id": INVOICE }).to_string())?;
        let canaries = vec![
            Canary::of_text(URL_PATH, &url_path),
            Canary::of_text("the URL's user and parameters", &url_secret),
            Canary::of_text("the bearer token", &token),
            Canary::of_text("the kept-out column", &column),
            Canary::of_text("an unrelated variable", &first),
            Canary::of_text("another unrelated variable", &second),
            Canary::of_text("an operator of the trust file", &alias),
        ];
        let watcher = Watcher::start(place.path(".synapsor/logs"));
        let mut scene = Self {
            place,
            database,
            token,
            url_secret,
            alias,
            canaries,
            capture: Capture::default(),
            provoked: 0,
            wrong: Vec::new(),
            credentials: None,
            up: None,
            processes: Vec::new(),
            watcher,
        };
        // The first command creates the state directory with the trust file and the keys.
        scene.ok(&["smoke", "call", "billing.inspect_invoice", "--input", "call.json"])?;
        scene.add_alias()?;
        credentials::plant(&mut scene)?;
        Ok(scene)
    }

    pub(super) fn state(&self, name: &str) -> PathBuf {
        self.place.path(".synapsor").join(name)
    }

    fn add_alias(&self) -> anyhow::Result<()> {
        let path = self.state("synapsor.trust.json");
        let mut trust: Json = serde_json::from_slice(&std::fs::read(&path)?)?;
        trust["aliases"] = json!({ "another-operator": self.alias });
        Ok(files::write_atomic(
            &path,
            &serde_json::to_vec_pretty(&trust)?,
            MODE_PRIVATE,
        )?)
    }

    /// Starts the services and adds their keys as canaries.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let mut up = self.place.start(&["up", "--serve", "--port", "0", "--json"])?;
        up.until_printed(START, |out| serde_json::from_str::<Json>(out).is_ok())?;
        let output: Json = serde_json::from_str(&up.printed()?.0)?;
        self.processes = output["processes"].as_array().context("processes")?.clone();
        self.up = Some(up);
        let keys = self.state("keys");
        for role in ["operator-alice", "reader", "writer", "ledger"] {
            let file = keys.join(format!("{role}.pem"));
            self.canaries
                .push(Canary::of_keys(&format!("the key of {role}"), &[file])?);
        }
        let mut leaves = vec![self.state("ca/ca.key")];
        for entry in std::fs::read_dir(self.state("certs"))? {
            let path = entry?.path();
            if path.is_dir() {
                for entry in std::fs::read_dir(&path)? {
                    leaves.push(entry?.path());
                }
            }
            leaves.push(path);
        }
        leaves.retain(|path| path.extension().is_some_and(|e| e == "key"));
        ensure!(leaves.len() > 3, "the certificates of the services");
        self.canaries.push(Canary::of_keys("a key of TLS", &leaves)?);
        Ok(())
    }

    /// Report of `up` about a process.
    pub(super) fn supervisor(&self) -> anyhow::Result<&Running> {
        self.up.as_ref().context("the supervisor runs")
    }

    pub(super) fn process(&self, name: &str) -> anyhow::Result<&Json> {
        self.processes
            .iter()
            .find(|p| p["name"] == name)
            .with_context(|| format!("{name} runs"))
    }

    pub(super) fn address(&self, name: &str) -> anyhow::Result<String> {
        Ok(self.process(name)?["address"]
            .as_str()
            .context("an address")?
            .to_owned())
    }

    /// Stops the services and collects all files that they leave.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        if let Some(up) = self.up.take() {
            up.signal(rustix::process::Signal::TERM)?;
            let ran = up.end(LIMIT)?;
            self.take("up", &ran);
        }
        Ok(())
    }

    /// Collects the files and the watcher's output.
    pub(super) fn collect(&mut self) -> anyhow::Result<()> {
        let state = self.place.path(".synapsor");
        // Keys and names belong in these files.
        let own = ["keys", "ca", "certs"].map(|name| state.join(name));
        let wanted = |path: &Path| {
            let is_trust = path
                .file_name()
                .is_some_and(|n| n.to_string_lossy().contains("synapsor.trust.json"));
            let is_credential = credentials::FILES.iter().any(|name| path == state.join(name));
            !own.contains(&path.to_owned()) && !is_trust && !is_credential
        };
        self.capture.add_files(&state, &wanted)?;
        let rows = dump(&self.database)?;
        let receipts: Vec<&str> = rows.lines().filter(|l| l.starts_with("synapsor_")).collect();
        ensure!(!receipts.is_empty(), "receipts");
        self.capture.add("receipts", receipts.join("\n"));
        self.watcher.end(&mut self.capture)
    }

    /// Fails if the scan does not find a canary at its known location.
    pub(super) fn find_all_where_they_belong(&self) -> anyhow::Result<()> {
        let mut places = Capture::default();
        let is_known_location = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_dir() || name.ends_with(".pem") || name.ends_with(".key") || name.contains("trust.json")
        };
        places.add_files(&self.place.path(".synapsor"), &is_known_location)?;
        places.add("variables", format!("{:?}", self.place.environment));
        places.add("rows", dump(&self.database)?);
        places.add("URLs", self.url_secret.clone());
        self.credentials()?.known(&mut places)?;
        let found = places.scan(&self.canaries);
        for canary in &self.canaries {
            let is_found = found
                .iter()
                .any(|hit| hit.starts_with(&format!("{} in ", canary.name)));
            ensure!(is_found, "scan does not find {} at its location", canary.name);
        }
        Ok(())
    }

    pub(super) fn credentials(&self) -> anyhow::Result<&Credentials> {
        self.credentials.as_ref().context("the credentials are planted")
    }

    /// Collects a file of the user's directory.
    pub(super) fn capture_file(&mut self, name: &str) -> anyhow::Result<()> {
        let bytes = std::fs::read(self.place.path(name)).with_context(|| name.to_owned())?;
        self.capture.add(name, bytes);
        Ok(())
    }

    /// Collects the output of a command.
    pub(super) fn take(&mut self, name: &str, ran: &CommandOutput) {
        self.capture.add(format!("{name}, stdout"), ran.stdout.clone());
        self.capture.add(format!("{name}, stderr"), ran.stderr.clone());
    }

    /// Runs a command that must succeed.
    pub(super) fn ok(&mut self, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
        let ran = self.place.run(arguments)?;
        self.take(&arguments.join(" "), &ran);
        ran.expect(0)?;
        Ok(ran)
    }

    /// Runs a command that must fail, with changed variables; `None` removes one.
    pub(super) fn fails(
        &mut self,
        arguments: &[&str],
        changes: &[(&str, Option<&str>)],
    ) -> anyhow::Result<()> {
        let mut command: Command = self.place.command(arguments)?;
        for (name, value) in changes {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let ran = Running::of(command, arguments)?.end(LIMIT)?;
        let name = arguments.join(" ");
        self.take(&name, &ran);
        self.failed(&name, ran.exit.is_some_and(|code| code != 0), &ran.to_string());
        Ok(())
    }

    /// Counts a failure, or records an unexpected success.
    pub(super) fn failed(&mut self, name: &str, is_failure: bool, output: &str) {
        if is_failure {
            self.provoked += 1;
        } else {
            self.wrong.push(format!("{name} did not fail: {output}"));
        }
    }

    /// Runs the loop and every command that shows its records. Returns the applied proposal.
    pub(super) fn do_the_loop(&mut self) -> anyhow::Result<String> {
        let id = self.place.propose(INVOICE, "goodwill")?;
        for arguments in [
            vec!["proposals", "list"],
            vec!["proposals", "show", &id],
            vec!["proposals", "approve", &id, "--yes"],
            vec!["proposals", "writeback-job", &id],
            vec!["apply", &id, "--yes", "--dry-run"],
            vec!["apply", &id, "--yes"],
            vec!["proposals", "show", &id, "--json"],
            vec!["replay", "show", &id],
            vec!["replay", "export", &id],
            vec!["evidence", "list", "--json"],
            vec!["receipts", "list", "--json"],
            vec!["query-audit", "list", "--json"],
            vec!["store", "stats", "--json"],
            vec!["store", "stats"],
            vec!["store", "vacuum"],
            vec!["query-audit", "list"],
            vec!["activity", "search", "--json"],
            vec!["replay", "list", "--json"],
            vec!["replay", "show", &id, "--json"],
            vec!["shadow", "list", "--json"],
            vec!["shadow", "report"],
            vec!["config", "show"],
            vec!["config", "show", "--sources"],
            vec!["smoke", "boundary"],
            vec!["audit", "synapsor.runner.json"],
            vec!["doctor", "--check-db", "--json"],
            vec!["events", "tail", "--json"],
            vec![
                "events",
                "webhook",
                "--url",
                "http://127.0.0.1:9/hook",
                "--dry-run",
            ],
            vec!["webhooks", "list", "--json"],
            vec!["ledger", "verify"],
            vec!["ledger", "prove", &id],
            vec!["operator", "list"],
            vec!["certs", "list"],
            vec!["tools", "preview"],
            vec!["config", "validate"],
        ] {
            self.ok(&arguments)?;
        }
        Ok(id)
    }
}

/// Reads logs before they are removed and command lines while they run.
#[derive(Debug)]
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    logs: BTreeMap<PathBuf, File>,
    lines: BTreeSet<Vec<u8>>,
}

impl Watcher {
    fn start(logs: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut watched = Watched::default();
            for round in 0.. {
                watched.search_logs(&logs);
                if round % LOOKS_PER_LISTING == 0 {
                    watched.search_command_lines();
                }
                if seen.load(Ordering::SeqCst) {
                    break;
                }
                std::thread::sleep(LOOK);
            }
            watched
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    fn end(&mut self, capture: &mut Capture) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let watched = thread
            .join()
            .map_err(|_| anyhow::anyhow!("the watcher panicked"))?;
        ensure!(
            watched.logs.len() > 3 && watched.lines.len() > 5,
            "watcher recorded nothing"
        );
        for (path, mut file) in watched.logs {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            capture.add(path.display().to_string(), bytes);
        }
        for line in watched.lines {
            capture.add("a command line", line);
        }
        Ok(())
    }
}

impl Watched {
    /// A log is read at the end through its handle, even if its name has been removed.
    fn search_logs(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if !self.logs.contains_key(&path)
                && let Ok(file) = File::open(&path)
            {
                self.logs.insert(path, file);
            }
        }
    }

    fn search_command_lines(&mut self) {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            if String::from_utf8_lossy(&line).contains("synapsor") {
                self.lines.insert(line);
            }
        }
    }
}
