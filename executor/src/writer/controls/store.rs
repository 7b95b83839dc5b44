//! Stores the writer's switches: one small file per switch in the state directory.
//!
//! The cost of adding or removing one does not depend on their number, and an ended switch leaves no file. An
//! unreadable file prevents the start: a lost switch would be a stop that fails open.

use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError, FileLock, MODE_PRIVATE};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::timestamp::Timestamp;

/// Maximum size of a switch file, in bytes: a proposal and a decision, each in its envelope.
const FILE_BYTES_MAX: u64 = 2 * ENVELOPE_BYTES_MAX as u64 + 1024;
/// Maximum size of the list of rejections that an earlier version kept, in bytes.
const LEGACY_BYTES_MAX: u64 = 1024 * 1024;
/// Suffix of a file whose write was interrupted.
const TEMPORARY: &str = ".tmp";

const DIRECTORY: &str = "switches";
const LOCK: &str = "writer.lock";
/// Unsigned freeze of this writer alone.
pub(super) const LOCAL_FREEZE: &str = "frozen";
/// Rejections that an earlier version kept, one id per line; only read.
const LEGACY_REJECTIONS: &str = "denied";
pub(super) const HIGH_WATER: &str = "clock-high-water";

/// The files of one writer's switches, and the lock that keeps other writers out.
#[derive(Debug)]
pub(super) struct SwitchFiles {
    state_dir: PathBuf,
    _lock: FileLock,
}

/// Name of one switch file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum FileName {
    /// [`LOCAL_FREEZE`].
    LocalFreeze,
    /// A signed freeze, by the hex digits of its digest.
    Freeze(String),
    /// The lift of the freeze with these hex digits.
    Lift(String),
    /// The nonce of an unfreeze that was used.
    Nonce(String),
    Rejection(ProposalId),
}

/// Switches that an earlier process left.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) is_frozen_locally: bool,
    pub(super) freezes: Vec<DsseEnvelope>,
    pub(super) lifts: Vec<DsseEnvelope>,
    pub(super) nonces: Vec<String>,
    pub(super) rejections: Vec<ProposalId>,
    pub(super) legacy_rejections: Vec<ProposalId>,
    pub(super) high_water: Option<Timestamp>,
}

impl SwitchFiles {
    /// Locks the directory for this process and reads its files.
    ///
    /// # Errors
    /// `STATE_DIR_IN_USE` while another writer holds it; `SWITCHES_UNREADABLE` for any malformed file.
    pub(super) fn open(state_dir: PathBuf) -> Result<(Self, Loaded), ExitError> {
        let lock = FileLock::try_exclusive(&state_dir.join(LOCK))?.ok_or_else(|| {
            let text = format!(
                "state directory in use by another writer: {}",
                state_dir.display()
            );
            ExitError::new(ErrorCode::StateDirInUse, text)
                .with_fix("pass each writer its own --state-dir, or end the other writer first")
        })?;
        files::create_private_dir(&state_dir.join(DIRECTORY))?;
        let this = Self {
            state_dir,
            _lock: lock,
        };
        let loaded = this.load()?;
        Ok((this, loaded))
    }

    fn load(&self) -> Result<Loaded, ExitError> {
        let mut loaded = Loaded {
            is_frozen_locally: self.optional(LOCAL_FREEZE, FILE_BYTES_MAX)?.is_some(),
            ..Loaded::default()
        };
        let path = self.state_dir.join(LEGACY_REJECTIONS);
        let lines = self
            .optional(LEGACY_REJECTIONS, LEGACY_BYTES_MAX)?
            .unwrap_or_default();
        for line in lines.lines() {
            let id = line
                .parse()
                .map_err(|_| unreadable(&path, "a line is not a proposal id"))?;
            loaded.legacy_rejections.push(id);
        }
        if let Some(text) = self.optional(HIGH_WATER, FILE_BYTES_MAX)? {
            let path = self.state_dir.join(HIGH_WATER);
            let time = text.trim().parse().map_err(|_| unreadable(&path, "not a time"))?;
            loaded.high_water = Some(time);
        }
        let directory = self.state_dir.join(DIRECTORY);
        let entries =
            std::fs::read_dir(&directory).map_err(|e| unreadable(&directory, &e.kind().to_string()))?;
        for entry in entries {
            let path = entry
                .map_err(|e| unreadable(&directory, &e.kind().to_string()))?
                .path();
            load_one(&path, &mut loaded)?;
        }
        Ok(loaded)
    }

    fn optional(&self, name: &str, bytes_max: u64) -> Result<Option<String>, ExitError> {
        let path = self.state_dir.join(name);
        match files::read_bounded(&path, bytes_max) {
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| unreadable(&path, "not UTF-8")),
            Err(FileError::Missing(_)) => Ok(None),
            Err(error) => Err(unreadable(&path, &error.to_string())),
        }
    }

    /// Writes one switch durably.
    pub(super) fn write(&self, name: &FileName, bytes: &[u8]) -> Result<(), FileError> {
        files::write_atomic(&self.path(name), bytes, MODE_PRIVATE)
    }

    /// Removes one switch durably; a missing file counts as removed.
    pub(super) fn remove(&self, name: &FileName) -> Result<(), FileError> {
        files::remove_durably(&self.path(name))
    }

    /// Returns the file content of a switch, if present and readable.
    pub(super) fn read(&self, name: &FileName) -> Option<Vec<u8>> {
        files::read_bounded(&self.path(name), FILE_BYTES_MAX).ok()
    }

    pub(super) fn write_high_water(&self, time: Timestamp) -> Result<(), FileError> {
        let path = self.state_dir.join(HIGH_WATER);
        files::write_atomic(&path, time.to_string().as_bytes(), MODE_PRIVATE)
    }

    fn path(&self, name: &FileName) -> PathBuf {
        let directory = || self.state_dir.join(DIRECTORY);
        match name {
            FileName::LocalFreeze => self.state_dir.join(LOCAL_FREEZE),
            FileName::Freeze(hex) => directory().join(format!("freeze-{hex}")),
            FileName::Lift(hex) => directory().join(format!("lift-{hex}")),
            FileName::Nonce(nonce) => directory().join(format!("nonce-{nonce}")),
            FileName::Rejection(id) => directory().join(format!("reject-{id}")),
        }
    }
}

fn load_one(path: &Path, loaded: &mut Loaded) -> Result<(), ExitError> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if name.ends_with(TEMPORARY) {
        // No response depended on the interrupted write; its sender repeats the request.
        let _ = std::fs::remove_file(path);
        return Ok(());
    }
    let envelope = || {
        let bytes =
            files::read_bounded(path, FILE_BYTES_MAX).map_err(|e| unreadable(path, &e.to_string()))?;
        DsseEnvelope::from_bytes(&bytes).map_err(|_| unreadable(path, "not a signed object"))
    };
    match name.split_once('-') {
        Some(("freeze", _)) => loaded.freezes.push(envelope()?),
        Some(("lift", _)) => loaded.lifts.push(envelope()?),
        Some(("nonce", nonce)) => loaded.nonces.push(nonce.to_owned()),
        Some(("reject", id)) => {
            let id = id.parse().map_err(|_| unreadable(path, "not a proposal id"))?;
            loaded.rejections.push(id);
        }
        Some(_) | None => return Err(unreadable(path, "not a switch")),
    }
    Ok(())
}

fn unreadable(path: &Path, problem: &str) -> ExitError {
    let text = format!("writer switches not readable: {}: {problem}", path.display());
    ExitError::new(ErrorCode::SwitchesUnreadable, text)
        .with_fix("restore the file from a backup; a writer that lost a freeze or a rejection must not start")
}
