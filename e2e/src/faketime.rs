//! Processes under another clock: Debian's libfaketime is loaded into each, and they run as they are otherwise. The
//! time that counts durations stays the machine's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use synapsor_domain::timestamp::Timestamp;

use crate::binaries::Build;
use crate::databases::program;
use crate::namespaces::left_out;
use crate::now;

/// Set to `required` where a machine must have libfaketime, as in continuous integration.
const DEMAND: &str = "SYNAPSOR_TEST_FAKETIME";
/// The library, as `servers.sh program` knows it.
const LIBRARY: &str = "faketime";
const CHILDREN: [&str; 3] = ["synapsor-gateway", "synapsor-executor", "synapsor-ledger"];
const RUNNER: &str = "synapsor-runner";

/// A clock that differs from the machine's by a constant.
#[derive(Debug, Clone)]
pub struct FakedClock {
    library: PathBuf,
    offset: String,
}

impl FakedClock {
    /// A clock that shows `start` now. `None`, said loudly, where the machine cannot have one.
    ///
    /// # Errors
    /// Where there is none and the run demands it.
    pub fn starting_at(start: Timestamp) -> anyhow::Result<Option<Self>> {
        let offset = start.as_unix_millis() - now().as_unix_millis();
        let library = match program(LIBRARY) {
            Ok(library) => library,
            Err(reason) => {
                if std::env::var_os(DEMAND).is_some_and(|value| value == "required") {
                    bail!("{DEMAND} is `required`, and there is no libfaketime: {reason:#}");
                }
                left_out(format_args!("processes under another clock: {reason:#}"));
                return Ok(None);
            }
        };
        let sign = if offset < 0 { '-' } else { '+' };
        let size = Duration::from_millis(offset.unsigned_abs());
        Ok(Some(Self {
            library,
            offset: format!("{sign}{}.{:03}", size.as_secs(), size.subsec_millis()),
        }))
    }

    /// The variables that give a process this clock.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME", self.offset.clone()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    /// Makes a folder of binaries of which the command line starts its children under this clock, although it
    /// clears their environment: each is a script that sets the clock and becomes the binary.
    ///
    /// # Errors
    /// Binaries that are missing; files that cannot be made.
    pub fn wrap(&self, build: Build, folder: &Path) -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(folder)?;
        let variables: Vec<String> = self
            .environment()
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
        // It looks for its children beside itself, and a symbolic link would lead it back to the build's folder.
        let (original, runner) = (build.binary(RUNNER)?, folder.join(RUNNER));
        std::fs::hard_link(&original, &runner)
            .or_else(|_| std::fs::copy(&original, &runner).map(drop))
            .with_context(|| runner.display().to_string())?;
        Ok(runner)
    }
}
