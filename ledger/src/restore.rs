//! `synapsor-ledger restore`: builds the store of a deployment from a backup file.

use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use synapsor_anchors::trust::TrustFileCache;
use synapsor_chassis::files;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::log::{NoteKeys, TreeHead};
use synapsor_domain::timestamp::Timestamp;
use synapsor_proto::backup_file::BackupReader;

use crate::settings::RestoreFlags;
use crate::store::restore::{self, RestoreError};
use crate::store::verify_under;
use crate::{Trust, serve};

/// Restores the store and prints what it contains.
///
/// # Errors
/// When the store exists and is not to be replaced, a ledger runs on it, the backup does not verify, or the disk is
/// full. The store is unchanged then.
pub(crate) fn run(args: &RestoreFlags, now: Timestamp) -> Result<(), ExitError> {
    let _lock = serve::own_store(&args.store)?;
    if args.store.exists() && !args.replace {
        let text = format!("the store {} exists", args.store.display());
        return Err(ExitError::new(ErrorCode::StoreExists, text)
            .with_fix("pass --replace; the present store is kept beside it under another name"));
    }
    let trust = Trust::current(&TrustFileCache::new(&args.trust)).map_err(|e| serve::from_refusal(&e))?;
    let (origin, keys) = (trust.file.ledger_origin(), NoteKeys::in_trust(&trust.file));
    let keys = keys.ok_or_else(|| {
        ExitError::new(
            ErrorCode::WrongKey,
            "the trust file has no ledger key that is in use",
        )
        .with_fix("use the trust file of the deployment")
    })?;
    let building = beside(&args.store, "restoring");
    remove(&building);
    let built = build(args, &origin, &keys, &building);
    let (head, checkpoints) = built.inspect_err(|_| remove(&building))?;
    let replaced = put_in_place(args, &building, now)?;
    let report = json!({
        "events": head.size,
        "checkpoints": checkpoints,
        "root": hex::encode(head.root),
        "replaced": replaced,
    });
    // A parent that has ended no longer asks; the store is in place.
    let _ = writeln!(std::io::stdout(), "{report}");
    Ok(())
}

fn build(
    args: &RestoreFlags,
    origin: &str,
    keys: &NoteKeys,
    building: &Path,
) -> Result<(TreeHead, u64), ExitError> {
    let file = File::open(&args.backup).map_err(|error| {
        let text = format!("cannot read {}: {}", args.backup.display(), error.kind());
        ExitError::new(ErrorCode::FileUnusable, text).with_fix("name a backup file that this user can read")
    })?;
    let mut backup = BackupReader::new(BufReader::new(file), origin, keys, [])
        .map_err(|error| failure(&args.backup, &error.into()))?;
    restore::write(&mut backup, building).map_err(|error| failure(&args.backup, &error))?;
    // What was written, read again: a disk can lie.
    let checked = verify_under(building, origin, keys);
    let checked = checked.map_err(|error| failure(building, &error.into()))?;
    let head = TreeHead {
        size: checked.events,
        root: checked.root,
    };
    Ok((head, checked.checkpoints))
}

/// Gives the new store its name, and the present one another.
fn put_in_place(args: &RestoreFlags, building: &Path, now: Timestamp) -> Result<Option<PathBuf>, ExitError> {
    let mut replaced = None;
    if args.store.exists() {
        let aside = beside(&args.store, &format!("replaced-{}", now.as_unix_millis()));
        files::rename_durably(&args.store, &aside)?;
        for side in ["-wal", "-shm"] {
            let from = ended(&args.store, side);
            if from.exists() {
                files::rename_durably(&from, &ended(&aside, side))?;
            }
        }
        replaced = Some(aside);
    }
    for side in ["-wal", "-shm"] {
        remove(&ended(building, side));
    }
    files::rename_durably(building, &args.store)?;
    Ok(replaced)
}

fn failure(path: &Path, error: &RestoreError) -> ExitError {
    let (code, fix) = match error {
        RestoreError::Backup(error) => (error.code(), error.fix()),
        RestoreError::Store(error) => (error.code(), error.fix()),
    };
    ExitError::new(code, format!("{error} ({})", path.display())).with_fix(fix)
}

fn remove(path: &Path) {
    for side in ["", "-wal", "-shm"] {
        // What cannot be removed is reported when it is to be created.
        let _ = fs::remove_file(ended(path, side));
    }
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    ended(store, &format!(".{ending}"))
}

fn ended(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
