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
use synapsor_domain::trust::TrustFile;
use synapsor_proto::backup_file::BackupReader;

use crate::settings::RestoreFlags;
use crate::store::restore::{self as rebuild, RestoreError};
use crate::store::{self, verify_under};
use crate::{Trust, serve};

/// Endings of the files beside a store.
const SIDES: [&str; 2] = ["-wal", "-shm"];

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
    let built = build(args, &trust.file, (&origin, &keys), &building);
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
    trust: &TrustFile,
    (origin, keys): (&str, &NoteKeys),
    building: &Path,
) -> Result<(TreeHead, u64), ExitError> {
    let file = File::open(&args.backup).map_err(|error| {
        let text = format!("cannot read {}: {}", args.backup.display(), error.kind());
        ExitError::new(ErrorCode::FileUnusable, text).with_fix("name a backup file that this user can read")
    })?;
    let mut backup = BackupReader::new(BufReader::new(file), origin, keys, [])
        .map_err(|error| failure(&args.backup, &error.into()))?;
    rebuild::write(&mut backup, building).map_err(|error| failure(&args.backup, &error))?;
    // What was written, read again: a disk can lie.
    let checked = verify_under(building, origin, keys);
    let checked = checked
        .and_then(|checked| store::check_closed_erasures(building, trust).map(|()| checked))
        .map_err(|error| failure(building, &error.into()))?;
    let head = TreeHead {
        size: checked.events,
        root: checked.root,
    };
    Ok((head, checked.checkpoints))
}

/// Gives the new store its name. The present one keeps its content under another name: at every moment one of the two
/// is complete under the name of the store.
fn put_in_place(args: &RestoreFlags, building: &Path, now: Timestamp) -> Result<Option<PathBuf>, ExitError> {
    let aside = beside(&args.store, &format!("replaced-{}", now.as_unix_millis()));
    let is_replaced = args.store.exists();
    if is_replaced {
        // What is in its write-ahead log goes into the file; a store that is too damaged for that stays as it is.
        if let Err(error) = store::settle_closed(&args.store) {
            tracing::warn!(code = %error.code(), "the present store cannot be completed: {error}");
        }
        fs::hard_link(&args.store, &aside).map_err(|error| {
            let text = format!("cannot keep the store as {}: {}", aside.display(), error.kind());
            ExitError::new(ErrorCode::StoreReadOnly, text)
                .with_fix("make the directory writable, on a file system with hard links")
        })?;
    }
    // A write-ahead log that is left beside the name would be read into the new store.
    for side in SIDES {
        let from = ended(&args.store, side);
        if from.exists() {
            files::rename_durably(&from, &ended(&aside, side))?;
        }
        let of_new = ended(building, side);
        if of_new.exists() {
            files::remove_durably(&of_new)?;
        }
    }
    files::rename_durably(building, &args.store)?;
    Ok(is_replaced.then_some(aside))
}

fn failure(path: &Path, error: &RestoreError) -> ExitError {
    let (code, fix) = match error {
        RestoreError::Backup(error) => (error.code(), error.fix()),
        RestoreError::Store(error) => (error.code(), error.fix()),
    };
    ExitError::new(code, format!("{error} ({})", path.display())).with_fix(fix)
}

fn remove(path: &Path) {
    // What cannot be removed is reported when it is to be created.
    let _ = fs::remove_file(path);
    for side in SIDES {
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
