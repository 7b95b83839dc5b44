//! The CLI as a new user runs it: a directory with a database and a contract, a cleared environment, and one
//! command at a time. Each command has captured output, an exit code and a timeout.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value as Json, json};

use crate::binaries::Build;
use crate::databases::Database;
use crate::deployment::{self, CONTRACT};
use crate::faketime;
use crate::fixture::Fixture;
use crate::interrupt;
use crate::target::Target;

/// Invoice that the commands use, with its late fee in cents.
pub const INVOICE: &str = "INV-3001";
/// Tool that creates a proposal.
pub const PROPOSE: &str = "billing.propose_late_fee_waiver";
/// Operator behind the user account of these commands.
pub const PERSON: &str = "alice";

const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

/// Directory of a user, and the environment variables of the user's shell.
#[derive(Debug)]
pub struct CliFixture {
    folder: tempfile::TempDir,
    /// Database of the user.
    pub target: Target,
    /// Complete environment of a command.
    pub environment: Vec<(String, String)>,
    /// The CLI in its own directory of binaries; `None` for the build directory.
    runner: Option<PathBuf>,
}

/// Finished command.
#[derive(Debug)]
pub struct CommandOutput {
    pub arguments: String,
    /// `None` after a signal.
    pub exit: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Running command.
#[derive(Debug)]
pub struct Running {
    arguments: String,
    pub child: Child,
    stdout: File,
    stderr: File,
}

impl CliFixture {
    /// Creates a directory with the sample database, the test contract and all its variables.
    pub fn new() -> anyhow::Result<Self> {
        let mut place = Self::empty()?;
        let database = place.path("billing.db");
        let mut sample = Command::new(Build::Plain.binary("synapsor-executor")?);
        let made = sample
            .args(["sample", "--path"])
            .arg(&database)
            .env_clear()
            .output()?;
        ensure!(
            made.status.success(),
            "no sample database: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        place.write("synapsor.runner.json", CONTRACT)?;
        place.set_variables();
        Ok(place)
    }

    /// Creates the same with a server database and least-privilege accounts.
    pub fn over(database: Database, fixture: &Fixture) -> anyhow::Result<Self> {
        let mut place = Self::empty()?;
        place.write("synapsor.runner.json", &fixture.contract_for(&database))?;
        let roles = fixture.fill(&database)?;
        place.target = Target::Server { database, roles };
        place.set_variables();
        Ok(place)
    }

    fn set_variables(&mut self) {
        let (read, write) = (self.target.read_url(), self.target.write_url());
        for (name, value) in [
            ("BILLING_READ_URL", read.as_str()),
            ("BILLING_WRITE_URL", &write),
            ("BILLING_TENANT", "acme"),
            ("BILLING_PRINCIPAL", "support-agent"),
        ] {
            self.set(name, value);
        }
    }

    /// Creates an empty directory, for a user with a name and no other variables.
    pub fn empty() -> anyhow::Result<Self> {
        let environment = vec![("USER".to_owned(), PERSON.to_owned())];
        let folder = tempfile::tempdir()?;
        Ok(Self {
            target: Target::File(folder.path().join("billing.db")),
            folder,
            environment,
            runner: None,
        })
    }

    /// Runs every later command, and all its child processes, under the clock of these variables.
    ///
    /// # Errors
    /// Missing binaries; files that cannot be created.
    pub fn set_clock(&mut self, variables: &[(String, String)]) -> anyhow::Result<()> {
        self.runner = Some(faketime::wrap(variables, Build::Plain, &self.path("bin"))?);
        for (name, value) in variables {
            self.set(name, value);
        }
        Ok(())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        std::fs::write(self.path(name), text).with_context(|| name.to_owned())
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// Builds the command with this directory and only these variables.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let runner = match &self.runner {
            Some(runner) => runner.clone(),
            None => Build::Plain.binary("synapsor-runner")?,
        };
        let mut command = Command::new(runner);
        command.args(arguments).current_dir(self.folder()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Builds the command for a user who is subject to file permissions; root drops its privileges first.
    pub fn bound_command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        if !rustix::process::getuid().is_root() {
            return self.command(arguments);
        }
        let mut command = Command::new("/usr/bin/setpriv");
        command.args([
            "--bounding-set",
            "-dac_override,-dac_read_search",
            "--inh-caps",
            "-all",
            "--",
        ]);
        command
            .arg(Build::Plain.binary("synapsor-runner")?)
            .args(arguments);
        command.current_dir(self.folder()).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Starts a command; its output is read when it ends.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Running> {
        Running::of(self.command(arguments)?, arguments)
    }

    /// Runs a command until it ends.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
        self.start(arguments)?.end(LIMIT)
    }

    /// Runs a command that must succeed.
    pub fn ok(&self, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
        let ran = self.run(arguments)?;
        ran.expect(0)?;
        Ok(ran)
    }

    /// Runs a command that must succeed and print exactly one JSON object.
    pub fn json(&self, arguments: &[&str]) -> anyhow::Result<Json> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        self.ok(&arguments)?.object()
    }

    /// Creates a proposal for an invoice and returns its id.
    pub fn propose(&self, invoice: &str, reason: &str) -> anyhow::Result<String> {
        let call = format!("call-{invoice}.json");
        self.write(
            &call,
            &json!({ "invoice_id": invoice, "reason": reason }).to_string(),
        )?;
        let made = self.json(&["propose", PROPOSE, "--input", &call])?;
        let id = made.pointer("/result/proposal/id").and_then(Json::as_str);
        Ok(id
            .with_context(|| format!("no proposal id in {made}"))?
            .to_owned())
    }

    /// Creates a proposal and approves it.
    pub fn approved(&self, invoice: &str, reason: &str) -> anyhow::Result<String> {
        let id = self.propose(invoice, reason)?;
        self.ok(&["proposals", "approve", &id, "--yes"])?;
        Ok(id)
    }

    /// Reads an invoice from the database: late fee, reason, version.
    pub fn invoice(&self, id: &str) -> anyhow::Result<(i64, Option<String>, i64)> {
        deployment::invoice(&self.target, id)
    }

    /// Lists every path below the directory, sorted.
    pub fn listing(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                found.push(path.strip_prefix(self.folder())?.display().to_string());
                if path.is_dir() && !path.is_symlink() {
                    folders.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Lists processes with a path of this directory on their command line, each with its command line.
    pub fn processes(&self) -> anyhow::Result<Vec<(i32, String)>> {
        let own = self.folder().display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else {
                continue;
            };
            // A process that has exited or is a zombie has no command line.
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&own) {
                found.push((pid, line));
            }
        }
        Ok(found)
    }

    /// Waits until no process of this directory runs.
    pub fn wait_until_alone(&self, within: Duration) -> anyhow::Result<()> {
        let left = || self.processes();
        until(within, || Ok(left()?.is_empty())).with_context(|| format!("still running: {:?}", left()))
    }
}

/// Kills processes that commands left running: a ledger continues for some seconds after its last client.
impl Drop for CliFixture {
    fn drop(&mut self) {
        for (pid, _) in self.processes().unwrap_or_default() {
            let pid = rustix::process::Pid::from_raw(pid);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }
}

impl Running {
    /// Starts a command with empty stdin and its output in files, so that no child of it can block the output.
    pub fn of(mut command: Command, arguments: &[&str]) -> anyhow::Result<Self> {
        let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command
            .stdin(Stdio::null())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?);
        let child = command.spawn().with_context(|| format!("starting {command:?}"))?;
        Ok(Self {
            arguments: arguments.join(" "),
            child,
            stdout,
            stderr,
        })
    }

    /// Sends the signal that a terminal sends.
    pub fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Returns the output so far.
    pub fn printed(&mut self) -> anyhow::Result<(String, String)> {
        Ok((read_all(&mut self.stdout)?, read_all(&mut self.stderr)?))
    }

    /// Waits until stdout satisfies `wanted`.
    pub fn until_printed(&mut self, within: Duration, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let waited = until(within, || {
            let printed = read_all(&mut self.stdout)?;
            ensure!(self.child.try_wait()?.is_none() || wanted(&printed), "it ended");
            Ok(wanted(&printed))
        });
        if let Err(error) = waited {
            let (stdout, stderr) = self.printed()?;
            bail!("`{}`: {error}; printed:\n{stdout}\n{stderr}", self.arguments);
        }
        Ok(())
    }

    /// Waits for the command to end.
    pub fn end(mut self, within: Duration) -> anyhow::Result<CommandOutput> {
        let ended = until(within, || Ok(self.child.try_wait()?.is_some()));
        if ended.is_err() {
            self.child.kill()?;
        }
        let status = self.child.wait()?;
        let (stdout, stderr) = self.printed()?;
        if ended.is_err() {
            bail!(
                "`{}` still runs after {within:?}:\n{stdout}\n{stderr}",
                self.arguments
            );
        }
        Ok(CommandOutput {
            arguments: self.arguments.clone(),
            exit: status.code(),
            stdout,
            stderr,
        })
    }
}

impl CommandOutput {
    /// Requires this exit code; otherwise fails with the full output.
    pub fn expect(&self, exit: i32) -> anyhow::Result<()> {
        ensure!(self.exit == Some(exit), "exit code is not {exit}: {self}");
        Ok(())
    }

    /// Requires this exit code, this stable error code, the named locations and a fix line.
    pub fn expect_failure(&self, exit: i32, code: &str, places: &[&str]) -> anyhow::Result<()> {
        self.expect(exit)?;
        ensure!(
            self.stderr.contains(&format!("error[{code}]: ")),
            "no {code}: {self}"
        );
        for place in places {
            ensure!(self.stderr.contains(place), "does not name {place}: {self}");
        }
        ensure!(
            self.stderr.lines().any(|line| line.starts_with("fix: ")),
            "no fix line: {self}"
        );
        ensure!(!self.stderr.contains("panicked"), "{self}");
        Ok(())
    }

    /// Parses stdout as exactly one JSON object.
    pub fn object(&self) -> anyhow::Result<Json> {
        let value: Json = serde_json::from_str(&self.stdout)
            .with_context(|| format!("output is not one JSON value: {self}"))?;
        ensure!(value.is_object(), "output is not an object: {self}");
        Ok(value)
    }
}

impl std::fmt::Display for CommandOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            arguments,
            exit,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "`synapsor-runner {arguments}` ended with {exit:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}

/// Waits until a condition holds.
pub fn until(within: Duration, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let end = Instant::now() + within;
    while !holds()? {
        ensure!(!interrupt::is_interrupted(), "interrupted");
        ensure!(Instant::now() < end, "condition not met within {within:?}");
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn read_all(file: &mut File) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    // The offset is shared with the writing process; a second handle of the same file has its own offset.
    let mut own = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))?;
    own.rewind()?;
    own.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
