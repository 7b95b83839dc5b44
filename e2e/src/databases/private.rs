//! Server of a single test, which may kill, restart and configure it. The script of the shared servers starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::{Engine, EngineVersion, Server, missing};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/databases/servers.sh");

/// Server with its own data directory and port; stopped and removed with the value.
#[derive(Debug)]
pub struct PrivateServer {
    folder: tempfile::TempDir,
    options: Vec<String>,
    variables: Variables,
    server: Server,
}

/// Variables of the program that creates the server's data, and of the server; values without blanks.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    pub initialise: Vec<(String, String)>,
    pub server: Vec<(String, String)>,
}

impl PrivateServer {
    /// Starts a server with its usual settings and the given command-line options. Returns `None`, with a notice,
    /// if the machine has no such server.
    ///
    /// # Errors
    /// A missing server in a run that requires it.
    pub fn start(version: impl Into<EngineVersion>, options: &[&str]) -> anyhow::Result<Option<Self>> {
        Self::start_with(version, |_| Ok(options.iter().map(|o| (*o).to_owned()).collect()))
    }

    /// Starts a server with options that name files. The files are created in the server's directory first, and
    /// the server's user owns them.
    ///
    /// # Errors
    /// As [`PrivateServer::start`], and files that cannot be created.
    pub fn start_with(
        version: impl Into<EngineVersion>,
        prepare: impl FnOnce(&Path) -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Option<Self>> {
        Self::launch(version.into(), Variables::default(), prepare)
    }

    /// Starts a server with its usual settings and its own variables, for example for another clock.
    ///
    /// # Errors
    /// As [`PrivateServer::start`].
    pub fn start_under(
        version: impl Into<EngineVersion>,
        variables: Variables,
    ) -> anyhow::Result<Option<Self>> {
        Self::launch(version.into(), variables, |_| Ok(Vec::new()))
    }

    fn launch(
        version: EngineVersion,
        variables: Variables,
        prepare: impl FnOnce(&Path) -> anyhow::Result<Vec<String>>,
    ) -> anyhow::Result<Option<Self>> {
        let folder = tempfile::Builder::new()
            .prefix("synapsor-server-")
            .tempdir_in("/tmp")?;
        let options = prepare(folder.path())?;
        match start(version, folder.path(), &options, &variables) {
            Ok(url) => Ok(Some(Self {
                folder,
                options,
                variables,
                server: Server::at(version, url),
            })),
            Err(reason) => missing(version, &format!("server for a single test: {reason:#}")).map(|()| None),
        }
    }

    pub fn engine(&self) -> Engine {
        self.server.engine
    }
    pub fn server(&self) -> &Server {
        &self.server
    }
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Process id of the server; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder().join("pid")).ok()?;
        text.trim().parse().ok()
    }

    /// Starts a second server from a copy of this one's files, as they are on a clean shutdown. `prepare` may change
    /// the copy and returns the options of its start. This server is started again.
    ///
    /// # Errors
    /// A server that does not stop or start; files that cannot be copied.
    pub fn copy(&self, prepare: impl FnOnce(&Path) -> anyhow::Result<Vec<String>>) -> anyhow::Result<Self> {
        self.stop()?;
        let copy = Self::start_with(self.server.version, |folder| {
            copy_files(self.folder(), folder)?;
            prepare(folder)
        });
        self.start_again()?;
        copy?.context("a second server of the kind")
    }

    /// Starts a standby of this PostgreSQL server, which follows it; it has the same owner.
    ///
    /// # Errors
    /// As [`PrivateServer::copy`].
    pub fn standby(&self) -> anyhow::Result<Self> {
        let primary = self.server.url_for(None, "postgres");
        self.copy(|folder| {
            std::fs::write(folder.join("data/standby.signal"), "")?;
            Ok(vec!["-c".to_owned(), format!("primary_conninfo={primary}")])
        })
    }

    /// Ends recovery of a standby: it becomes a primary on the next timeline.
    ///
    /// # Errors
    /// A server that is not a standby.
    pub fn promote(&self) -> anyhow::Result<()> {
        let promoted = self.server.session().value("SELECT pg_promote(true, 60)::text")?;
        ensure!(promoted == "true", "the server is not promoted");
        Ok(())
    }

    /// Kills all its processes at once, as `kill -9` and a crash do.
    ///
    /// # Errors
    /// Processes that do not end.
    pub fn kill_hard(&self) -> anyhow::Result<()> {
        script(&["kill"], self.folder(), &[], &self.variables).map(drop)
    }

    /// Shuts it down cleanly.
    ///
    /// # Errors
    /// A server that does not end.
    pub fn stop(&self) -> anyhow::Result<()> {
        script(&["stop"], self.folder(), &[], &self.variables).map(drop)
    }

    /// Starts it again with its data and port, and waits until it accepts connections.
    ///
    /// # Errors
    /// A server that does not start.
    pub fn start_again(&self) -> anyhow::Result<()> {
        start(self.server.version, self.folder(), &self.options, &self.variables).map(drop)
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let _ = self.kill_hard();
    }
}

fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    for name in ["data", "engine", "password", "owner.secret", "initialised"] {
        let status = Command::new("cp")
            .arg("-a")
            .arg(from.join(name))
            .arg(to)
            .status()?;
        ensure!(status.success(), "copying {name}");
    }
    Ok(())
}

/// Path of a program that comes with the database servers: `pgbench`, `psql`, `pgbouncer`.
///
/// # Errors
/// A program that the machine neither has nor can install.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let output = run(Command::new(SCRIPT).args(["program", name]))?;
    Ok(PathBuf::from(output))
}

fn start(
    version: EngineVersion,
    folder: &Path,
    options: &[String],
    variables: &Variables,
) -> anyhow::Result<String> {
    script(&["start", version.name], folder, options, variables)
}

fn script(what: &[&str], folder: &Path, options: &[String], variables: &Variables) -> anyhow::Result<String> {
    let words = |pairs: &[(String, String)]| {
        let words: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        words.join(" ")
    };
    let mut command = Command::new(SCRIPT);
    command.args(what).arg(folder).args(options);
    command.env("SYNAPSOR_TEST_INITIALISE_WITH", words(&variables.initialise));
    command.env("SYNAPSOR_TEST_SERVER_WITH", words(&variables.server));
    run(&mut command)
}

fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    let printed = String::from_utf8(output.stdout)?.trim().to_owned();
    ensure!(output.status.success(), "{printed}");
    Ok(printed)
}
