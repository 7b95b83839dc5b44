//! `store backup` and `store verify`: a file with the whole log, verified before the command reports success.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::random::hex_id;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::verify_erasure_order_at;
use synapsor_domain::canonical;
use synapsor_domain::event::{ErasureBody, EventKind};
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::log::{ContinuityError, NoteKeys, TreeHead};
use synapsor_domain::trust::{Position, TrustFile};
use synapsor_proto::backup_file::{BackupError, BackupReader, BackupWriter, VerifiedItem, is_backup};

use super::stats::bytes;
use super::{BackupArgs, VerifyArgs};
use crate::clients::MaintenanceClient;
use crate::connection::LedgerConnection;
use crate::output::{self, ReadProgress, safe};
use crate::{Context, pinned_checkpoint, state};

/// A verified backup file.
#[derive(Debug)]
pub(super) struct VerifiedBackup {
    pub(super) head: TreeHead,
    pub(super) checkpoints: u64,
    /// Those of the named tree heads that the backup equals or extends.
    pub(super) extended: Vec<TreeHead>,
}

pub(super) async fn back_up(args: &BackupArgs, context: &Context) -> Result<Exit, ExitError> {
    check_place(args)?;
    let session = LedgerConnection::open(context).await?;
    let temporary = beside(&args.file);
    let done = context
        .unless_stopped(write_and_verify(&session, &temporary))
        .await
        .and_then(|verified| {
            place(&temporary, args)?;
            Ok(verified)
        });
    let origin = session.trust().ledger_origin();
    session.close().await;
    let verified = done.inspect_err(|_| {
        // The first error is the one that matters.
        let _ = fs::remove_file(&temporary);
    })?;
    print("written", &args.file, &verified, &origin, context)
}

/// Gives the verified file its name.
fn place(temporary: &Path, args: &BackupArgs) -> Result<(), ExitError> {
    if args.force {
        return files::rename_durably(temporary, &args.file).map_err(ExitError::from);
    }
    // Unlike a rename, a link never replaces a file that another command has made meanwhile.
    fs::hard_link(temporary, &args.file).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => exists(&args.file),
        kind => unwritable(&args.file, kind),
    })?;
    files::remove_durably(temporary).map_err(ExitError::from)
}

fn exists(file: &Path) -> ExitError {
    let text = format!("{} exists", file.display());
    ExitError::new(ErrorCode::FileExists, text).with_fix("name another file, or pass --force")
}

/// Rejects a file that is there and may not be replaced.
fn check_place(args: &BackupArgs) -> Result<(), ExitError> {
    let Ok(present) = fs::symlink_metadata(&args.file) else {
        return Ok(());
    };
    if !present.is_file() {
        let text = format!("{} is not a file", args.file.display());
        return Err(ExitError::new(ErrorCode::FileWrongKind, text).with_fix("name a file"));
    }
    if args.force {
        // A slip of the hand must not replace a key or the store itself.
        let is_backup = File::open(&args.file).is_ok_and(is_backup);
        return match is_backup {
            true => Ok(()),
            false => Err(ExitError::new(
                ErrorCode::FileExists,
                format!("{} is there and is no ledger backup", args.file.display()),
            )
            .with_fix("name another file; --force replaces backups only")),
        };
    }
    Err(exists(&args.file))
}

async fn write_and_verify(session: &LedgerConnection, temporary: &Path) -> Result<VerifiedBackup, ExitError> {
    output::waiting("receiving the backup", receive(session, temporary)).await?;
    let pinned = pinned_checkpoint::pinned(&session.pin_path(), session.trust());
    let (path, trust) = (temporary.to_owned(), session.trust().clone());
    let heads: Vec<TreeHead> = pinned.into_iter().collect();
    let verified = tokio::task::spawn_blocking(move || check(&path, &trust, &heads))
        .await
        .map_err(|_| unwritable(temporary, std::io::ErrorKind::Other))??;
    if let Some(seen) = pinned.filter(|seen| !verified.extended.contains(seen)) {
        return Err(not_extended(seen, verified.head));
    }
    Ok(verified)
}

async fn receive(session: &LedgerConnection, temporary: &Path) -> Result<(), ExitError> {
    let failed = |error: std::io::Error| unwritable(temporary, error.kind());
    let mut options = OpenOptions::new();
    let file = options
        .write(true)
        .create_new(true)
        .mode(MODE_PRIVATE)
        .open(temporary);
    let mut out = BackupWriter::new(BufWriter::new(file.map_err(failed)?)).map_err(failed)?;
    let mut items = MaintenanceClient::new(session.ledger()).back_up().await?;
    while let Some(item) = items.next().await? {
        out.write(&item).map_err(failed)?;
    }
    let mut out = out.into_inner();
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)
}

pub(super) fn verify(args: &VerifyArgs, context: &Context) -> Result<Exit, ExitError> {
    let trust = state::load_trust(&state::trust_path(context)?)?;
    let verified = check(&args.file, &trust, &[])?;
    print("verified", &args.file, &verified, &trust.ledger_origin(), context)
}

/// Recomputes the log of a backup file under a trust file.
///
/// # Errors
/// When the file is cut, malformed, changed, or of another deployment.
pub(super) fn check(path: &Path, trust: &TrustFile, heads: &[TreeHead]) -> Result<VerifiedBackup, ExitError> {
    let refused = |error: BackupError| {
        ExitError::new(error.code(), format!("{error} ({})", path.display())).with_fix(error.fix())
    };
    let keys = NoteKeys::in_trust(trust).ok_or_else(|| {
        ExitError::new(
            ErrorCode::WrongKey,
            "the trust file has no ledger key that is in use",
        )
        .with_fix("use the trust file of the deployment")
    })?;
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            ExitError::new(ErrorCode::FileNotFound, format!("no file {}", path.display()))
                .with_fix("name a file that `synapsor-runner store backup` wrote")
        }
        _ => refused(error.into()),
    })?;
    let (origin, retired) = (trust.ledger_origin(), trust.retirements());
    let sizes = heads.iter().chain(&retired).map(|head| head.size);
    let length = file.metadata().map_or(0, |meta| meta.len());
    let file = ReadProgress::new("verifying the backup", BufReader::new(file), length);
    let mut backup = BackupReader::new(file, &origin, &keys, sizes).map_err(refused)?;
    let mut erasures = Vec::new();
    while let Some(item) = backup.next_item().map_err(refused)? {
        if let VerifiedItem::Events { events, records, .. } = item {
            let all = events.into_iter().zip(records);
            erasures.extend(all.filter(|(_, record)| record.kind == EventKind::BodiesErased));
        }
    }
    for (event, record) in &erasures {
        let position = Position::Logged {
            index: record.seq,
            continues: &|head| backup.equals_or_extends(head),
        };
        check_erasure(&event.body, trust, &position).ok_or_else(|| not_ordered(record.seq, path))?;
    }
    Ok(VerifiedBackup {
        head: backup.head(),
        checkpoints: backup.checkpoints(),
        extended: heads
            .iter()
            .filter(|head| backup.equals_or_extends(head))
            .copied()
            .collect(),
    })
}

/// Verifies the order of an erasure.
fn check_erasure(body: &[u8], trust: &TrustFile, position: &Position<'_>) -> Option<()> {
    let erased: ErasureBody = canonical::decode_within(body, 2 * ENVELOPE_BYTES_MAX).ok()?;
    verify_erasure_order_at(&erased.order, trust, position).ok()?;
    Some(())
}

fn not_ordered(seq: u64, path: &Path) -> ExitError {
    let text = format!(
        "no operator of the trust file ordered the erasure of event {seq} ({})",
        path.display()
    );
    ExitError::new(ErrorCode::BackupTampered, text)
        .with_fix("use another backup, and keep this file for an investigation")
}

/// Error for a log that does not extend what was seen of it.
pub(super) fn not_extended(seen: TreeHead, head: TreeHead) -> ExitError {
    let (pinned, now) = (seen.size, head.size);
    let error = match now < pinned {
        true => ContinuityError::RolledBack { pinned, now },
        false => ContinuityError::Forked { pinned, now },
    };
    ExitError::new(error.code(), error.to_string())
        .with_fix("do not use this file; run `synapsor-runner ledger verify` and look for the right ledger")
}

fn print(
    done: &str,
    file: &Path,
    verified: &VerifiedBackup,
    origin: &str,
    context: &Context,
) -> Result<Exit, ExitError> {
    let (head, length) = (verified.head, fs::metadata(file).map_or(0, |meta| meta.len()));
    let (path, root) = (file.to_string_lossy(), hex::encode(head.root));
    if context.global.json {
        output::json(&json!({
            "ok": true,
            "verified": true,
            "file": path,
            "bytes": length,
            "events": head.size,
            "checkpoints": verified.checkpoints,
            "log": { "origin": origin, "size": head.size, "root": root },
        }))?;
        return Ok(Exit::Ok);
    }
    output::line(format!("{} {done} ({}).", safe(&path), bytes(length)))?;
    output::line(format!("  log     {}", safe(origin)))?;
    output::line(format!(
        "  events  {}, each verified under its signed checkpoint",
        head.size
    ))?;
    output::line(format!("  root    {root}"))?;
    Ok(Exit::Ok)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.tmp", hex_id(12)));
    PathBuf::from(name)
}

fn unwritable(path: &Path, kind: std::io::ErrorKind) -> ExitError {
    let text = format!("cannot write {}: {kind}", path.display());
    ExitError::new(ErrorCode::FileUnusable, text)
        .with_fix("name a file in a directory with enough free space")
}
