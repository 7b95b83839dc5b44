//! Processes under another clock: each loads Debian's libfaketime and is otherwise unchanged. The monotonic clock
//! stays the machine's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use synapsor_chassis::files;
use synapsor_domain::timestamp::Timestamp;

use crate::binaries::Build;
use crate::databases::program;
use crate::namespaces::left_out;
use crate::now;

/// Set to `required` where a machine must have libfaketime, as in continuous integration.
const DEMAND: &str = "SYNAPSOR_TEST_FAKETIME";
/// Name of the library in `servers.sh program`.
const LIBRARY: &str = "faketime";
const SHARED_MEMORY: &str = "/dev/shm";
const CHILDREN: [&str; 3] = ["synapsor-gateway", "synapsor-executor", "synapsor-ledger"];
const RUNNER: &str = "synapsor-runner";

/// Clock with a constant offset from the machine's clock.
#[derive(Debug, Clone)]
pub struct FakedClock {
    library: PathBuf,
    offset: String,
}

impl FakedClock {
    /// Creates a clock that shows `start` now. Returns `None`, with a notice, if the machine has no libfaketime.
    ///
    /// # Errors
    /// A missing library in a run that requires it.
    pub fn starting_at(start: Timestamp) -> anyhow::Result<Option<Self>> {
        let offset = start.as_unix_millis() - now().as_unix_millis();
        let Some(library) = library()? else {
            return Ok(None);
        };
        let sign = if offset < 0 { '-' } else { '+' };
        let size = Duration::from_millis(offset.unsigned_abs());
        Ok(Some(Self {
            library,
            offset: format!("{sign}{}.{:03}", size.as_secs(), size.subsec_millis()),
        }))
    }

    /// Variable that loads the library.
    pub fn preload(&self) -> (String, String) {
        preload(&self.library)
    }

    /// Variables that give a process this clock.
    pub fn variables(&self) -> Vec<(String, String)> {
        let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            self.preload(),
            set("FAKETIME", &self.offset),
            set("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            set("NO_FAKE_STAT", "1"),
        ]
    }
}

/// Creates a directory of binaries whose CLI starts its children with variables of a clock, although it clears their
/// environment. Each binary is a script that sets the variables and executes the original. Returns the path of the CLI.
///
/// # Errors
/// Missing binaries; files that cannot be created.
pub fn wrap(variables: &[(String, String)], build: Build, folder: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let variables: Vec<String> = variables
        .iter()
        .map(|(name, value)| format!("{name}='{value}'"))
        .collect();
    for name in CHILDREN {
        let script = format!(
            "#!/bin/sh\nexec env {} '{}' \"$@\"\n",
            variables.join(" "),
            build.binary(name)?.display()
        );
        let path = folder.join(name);
        std::fs::write(&path, script)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    // The CLI looks for its children in its own directory; a symbolic link would lead to the build directory.
    let (original, runner) = (build.binary(RUNNER)?, folder.join(RUNNER));
    std::fs::hard_link(&original, &runner)
        .or_else(|_| std::fs::copy(&original, &runner).map(drop))
        .with_context(|| runner.display().to_string())?;
    Ok(runner)
}

/// Clock of running processes, correct until a test sets an offset.
#[derive(Debug)]
pub struct SteppedClock {
    library: PathBuf,
    /// File that the processes read at every time query.
    file: PathBuf,
}

impl SteppedClock {
    /// Creates a clock that `file` controls. Returns `None`, with a notice, if the machine has no libfaketime.
    ///
    /// # Errors
    /// A missing library in a run that requires it; a file that cannot be written.
    pub fn new(file: PathBuf) -> anyhow::Result<Option<Self>> {
        let Some(library) = library()? else {
            return Ok(None);
        };
        let this = Self { library, file };
        this.set(0)?;
        Ok(Some(this))
    }

    /// Sets the offset in seconds; negative values are in the past.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn set(&self, seconds: i64) -> anyhow::Result<()> {
        let text = format!("{seconds:+}\n");
        Ok(files::write_atomic(
            &self.file,
            text.as_bytes(),
            files::MODE_PUBLIC,
        )?)
    }

    /// Variables that give a process this clock.
    pub fn variables(&self) -> Vec<(String, String)> {
        let file = self.file.display().to_string();
        vec![
            preload(&self.library),
            ("FAKETIME_TIMESTAMP_FILE".to_owned(), file),
            ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
            ("NO_FAKE_STAT".to_owned(), "1".to_owned()),
        ]
    }
}

/// Path of libfaketime; `None`, with a notice, if the machine cannot install it.
fn library() -> anyhow::Result<Option<PathBuf>> {
    sweep();
    match program(LIBRARY) {
        Ok(library) => Ok(Some(library)),
        Err(reason) => {
            if std::env::var_os(DEMAND).is_some_and(|value| value == "required") {
                bail!("{DEMAND} is `required`, and libfaketime is missing: {reason:#}");
            }
            left_out(format_args!("processes under another clock: {reason:#}"));
            Ok(None)
        }
    }
}

/// Removes shared memory that killed processes under libfaketime left. A later process with the same pid and
/// another user could not start otherwise.
fn sweep() {
    for entry in std::fs::read_dir(SHARED_MEMORY).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| {
            let rest = name.strip_prefix("sem.faketime_sem_");
            rest.or_else(|| name.strip_prefix("faketime_shm_"))
        });
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            // Files of another user stay.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn preload(library: &Path) -> (String, String) {
    ("LD_PRELOAD".to_owned(), library.display().to_string())
}
