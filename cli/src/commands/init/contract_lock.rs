//! Lock and target of a change of an existing contract, so that changes at the same time add up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use synapsor_chassis::files::FileLock;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;

/// Attempts before the command gives up, and the time between two of them. The lock is held for milliseconds.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);

/// Returns the file behind symbolic links; the path itself if there is none.
pub(super) fn target(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Takes the lock on the file beside the contract. Waits a little for another command.
///
/// # Errors
/// `CONTRACT_BUSY`, or the error of the lock file.
pub(super) async fn taken(target: &Path) -> Result<FileLock, ExitError> {
    taken_in(ATTEMPTS, target).await
}

async fn taken_in(attempts: u32, target: &Path) -> Result<FileLock, ExitError> {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    let lock = target.with_file_name(name);
    for _ in 0..attempts {
        if let Some(lock) = FileLock::try_exclusive(&lock).map_err(|error| error.about(target))? {
            return Ok(lock);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(ExitError::new(
        ErrorCode::ContractBusy,
        "another command is changing the contract; nothing was written",
    )
    .with_fix("retry when that command ends"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lock_is_of_the_file_behind_links_and_waits_in_vain() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("real.json");
        let link = folder.path().join("link.json");
        std::fs::write(&file, "{}").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(target(&link), std::fs::canonicalize(&file).unwrap());
        let held = taken(&target(&link)).await.unwrap();
        assert_eq!(
            taken_in(2, &target(&file)).await.unwrap_err().code(),
            ErrorCode::ContractBusy
        );
        drop(held);
        taken(&target(&file)).await.unwrap();
    }
}
