//! Process under test: cleared environment, log in a file, killed with the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::account::Account;

const READY: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// Running process and its address.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    pub child: Child,
    pub log: PathBuf,
    pub run_file: PathBuf,
    pub address: String,
    pub environment: Vec<(String, String)>,
}

/// Command of a process.
#[derive(Debug, Clone)]
pub struct Launch {
    pub name: String,
    pub binary: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub account: Account,
}

impl Launch {
    /// Starts the process and waits until it publishes its address.
    pub fn start(&self, folder: &Path) -> anyhow::Result<Process> {
        let run_file = folder.join(format!("{}.run", self.name));
        let _ = std::fs::remove_file(&run_file);
        let log = folder.join(format!("{}.log", self.name));
        let mut command = Command::new(&self.binary);
        command
            .args(&self.arguments)
            .arg("--run-file")
            .arg(&run_file)
            .env_clear()
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?);
        self.account.step_down(&mut command);
        let child = command
            .spawn()
            .with_context(|| format!("starting {}", self.binary.display()))?;
        let mut process = Process {
            name: self.name.clone(),
            child,
            log,
            run_file,
            address: String::new(),
            environment: self.environment.clone(),
        };
        process.address = process.wait_for_address()?;
        Ok(process)
    }
}

impl Process {
    fn wait_for_address(&mut self) -> anyhow::Result<String> {
        let until = Instant::now() + READY;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended with {status} before it was ready:\n{}",
                    self.name,
                    self.log_text()
                );
            }
            if let Ok(text) = std::fs::read_to_string(&self.run_file) {
                let published: serde_json::Value = serde_json::from_str(&text)?;
                if let Some(address) = published.get("address").and_then(|a| a.as_str()) {
                    return Ok(address.to_owned());
                }
            }
            if Instant::now() > until {
                bail!("{} was not ready in time:\n{}", self.name, self.log_text());
            }
            std::thread::sleep(LOOK);
        }
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without a shutdown, as a crash does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for it to exit.
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("{} still runs after {within:?}:\n{}", self.name, self.log_text());
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
