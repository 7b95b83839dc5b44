//! What the processes of a state directory have seen of the log, against what a backup holds.

use std::path::Path;

use synapsor_anchors::pin_file::PinFile;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::log::TreeHead;

/// Newest tree head that a process has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pin {
    /// `reader`, `writer` or `cli`, with what else the file is named after.
    pub(crate) holder: String,
    pub(crate) head: TreeHead,
}

/// Reads the pinned checkpoints of a directory. One of another log is left out: its process reports it.
///
/// # Errors
/// When a file cannot be read: a restore that overlooks it could lose events unseen.
pub(crate) fn of_dir(dir: &Path, origin: &str) -> Result<Vec<Pin>, ExitError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let text = format!("cannot read {}: {}", dir.display(), error.kind());
            return Err(ExitError::new(ErrorCode::WitnessUnreadable, text)
                .with_fix("make the directory readable for this user"));
        }
    };
    let mut pins = Vec::new();
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "witness") {
            continue;
        }
        pins.extend(of_file(&path, origin)?);
    }
    pins.sort_by(|a, b| a.holder.cmp(&b.holder));
    Ok(pins)
}

/// Reads one pinned checkpoint; `None` when it is empty or of another log.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn of_file(path: &Path, origin: &str) -> Result<Option<Pin>, ExitError> {
    let pinned = PinFile::new(path).load().map_err(|error| {
        ExitError::new(ErrorCode::WitnessDamaged, error.to_string())
            .with_fix("restore the file; without it a loss of events would go unseen")
    })?;
    let holder = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let pinned = pinned.filter(|pinned| pinned.origin == origin && pinned.size > 0);
    Ok(pinned.map(|pinned| Pin {
        holder,
        head: pinned.head(),
    }))
}
