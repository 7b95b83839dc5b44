//! Creates a state directory: a new deployment with its own CA, keys, one operator and a trust file. Creation
//! is atomic; of two concurrent processes one creates it and the other uses it.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files::{self, FileError, FileLock, MODE_PRIVATE};
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::random;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::tls::dev_ca::DevCa;
use synapsor_codes::ErrorCode;
use synapsor_domain::signing::SigningKey;
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{ANY_ROLE, is_name};
use zeroize::Zeroizing;

use super::{AUTHORITY, CERTIFICATES, KEYS, LOGS, RUN, ServiceKeyName, StateDir, TRUST_FILE, WITNESSES};

const OPERATOR_KEY_DAYS: i64 = 3650;
const LOCK: &str = "state.lock";
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
const FOLDERS: [&str; 4] = [CERTIFICATES, RUN, WITNESSES, LOGS];

/// Makes `dir` a state directory unless it is one.
pub(super) fn ensure(dir: &Path, env: &EnvVars) -> Result<(), ExitError> {
    match files::check_private_dir(dir) {
        Ok(()) if dir.join(TRUST_FILE).exists() => Ok(()),
        Ok(()) => fill_existing(dir, env),
        Err(FileError::Missing(_)) => create_whole(dir, env),
        Err(other) => Err(other.into()),
    }
}

/// Creates what a state directory of trust file and keys alone lacks: its other directories, and a development CA. For a
/// machine on which a ledger is restored; certificates of another CA are not accepted afterwards.
pub(crate) fn complete(state: &StateDir, deployment: &str) -> Result<(), ExitError> {
    let _lock = wait_for_lock(&state.dir().join(LOCK))?;
    for folder in FOLDERS {
        let path = state.dir().join(folder);
        if !path.exists() {
            files::create_private_dir(&path)?;
        }
    }
    let authority = state.dir().join(AUTHORITY);
    if !authority.exists() {
        DevCa::create(&authority, deployment, SystemClock.now_ms())?;
    }
    Ok(())
}

/// Creates the missing parent directories of `dir`, without access for other users.
pub(super) fn make_parents(dir: &Path) -> Result<(), ExitError> {
    let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(parent).map_err(|error| in_place(parent, &error))
}

/// Builds the directory under a temporary name beside its final path and renames it. A rename never replaces a
/// non-empty directory.
fn create_whole(dir: &Path, env: &EnvVars) -> Result<(), ExitError> {
    let new = beside(dir)?;
    let built = build(&new, env);
    let built = built.map_err(|failure| renamed(&failure, &new, dir));
    let placed = built.and_then(|()| fs::rename(&new, dir).map_err(|error| in_place(dir, &error)));
    match placed {
        Ok(()) => Ok(()),
        Err(failure) => {
            // The temporary name is known to this process only.
            let _ = fs::remove_dir_all(&new);
            if dir.join(TRUST_FILE).exists() {
                Ok(())
            } else {
                Err(failure)
            }
        }
    }
}

/// The directory exists with other content, such as a store of 0.1.x. The trust file is written last: without
/// it the directory is not a state directory, and the remains of a crash are moved aside.
fn fill_existing(dir: &Path, env: &EnvVars) -> Result<(), ExitError> {
    let _lock = wait_for_lock(&dir.join(LOCK))?;
    if dir.join(TRUST_FILE).exists() {
        return Ok(());
    }
    let new = dir.join(format!(".new-{}", random::hex_id(12)));
    let built = build(&new, env).map_err(|failure| renamed(&failure, &new, dir));
    let moved = built.and_then(|()| {
        for name in [AUTHORITY, KEYS].into_iter().chain(FOLDERS).chain([TRUST_FILE]) {
            let target = dir.join(name);
            if target.exists() {
                let aside = dir.join(format!("{name}.old-{}", random::hex_id(12)));
                fs::rename(&target, aside).map_err(|error| in_place(&target, &error))?;
            }
            fs::rename(new.join(name), &target).map_err(|error| in_place(&target, &error))?;
        }
        Ok(())
    });
    // Empty after success; after a failure its content is unspecified.
    let _ = fs::remove_dir_all(&new);
    moved
}

/// Names the directory in place of its temporary name, which the operator does not know.
fn renamed(failure: &ExitError, new: &Path, dir: &Path) -> ExitError {
    let (new, dir) = (new.to_string_lossy(), dir.to_string_lossy());
    let shown = |text: &str| text.replace(&*new, &dir);
    let error = ExitError::new(failure.code(), shown(failure.message()));
    match failure.fix() {
        Some(fix) => error.with_fix(shown(fix)),
        None => error,
    }
}

/// Takes a lock, and waits for another command that holds it.
pub(crate) fn wait_for_lock(path: &Path) -> Result<FileLock, ExitError> {
    let start = Instant::now();
    loop {
        if let Some(lock) = FileLock::try_exclusive(path)? {
            return Ok(lock);
        }
        if start.elapsed() > LOCK_TIMEOUT {
            return Err(ExitError::new(
                ErrorCode::StateLocked,
                format!("{} is locked by another process", path.display()),
            )
            .with_fix("wait until the other command ends"));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

fn build(dir: &Path, env: &EnvVars) -> Result<(), ExitError> {
    let now_ms = SystemClock.now_ms();
    let deployment = format!("dev-{}", random::hex_id(16));
    files::create_private_dir(dir).map_err(|error| error.about(dir))?;
    for folder in FOLDERS.into_iter().chain([KEYS]) {
        files::create_private_dir(&dir.join(folder))?;
    }
    DevCa::create(&dir.join(AUTHORITY), &deployment, now_ms)?;
    let keys = dir.join(KEYS);
    let [reader, writer, ledger] = ServiceKeyName::ALL.map(|name| new_key(&keys, name.as_str()));
    let person = operator_person(env);
    let operator = new_key(&keys, &format!("operator-{person}"))?;
    let now = Timestamp::from_unix_millis(now_ms);
    // Backdated, so that setting the clock back by a few minutes does not lock the operator out.
    let not_before = Timestamp::from_unix_millis(now_ms - Span::minutes(5).as_millis());
    let file = json!({
        "version": 1,
        "deployment_id": deployment,
        "environment": "dev",
        "readers": [service(&reader?)],
        "writers": [service(&writer?)],
        "ledgers": [service(&ledger?)],
        "operators": [{
            "person": person,
            "key_id": operator.key_id(),
            "public_key": operator.public_key(),
            "roles": [ANY_ROLE],
            "not_before": not_before,
            "not_after": now + Span::days(OPERATOR_KEY_DAYS),
        }],
    });
    let text = serde_json::to_string_pretty(&file).expect("a trust file is plain JSON");
    files::write_atomic(
        &dir.join(TRUST_FILE),
        format!("{text}\n").as_bytes(),
        MODE_PRIVATE,
    )?;
    Ok(())
}

fn service(key: &SigningKey) -> serde_json::Value {
    json!({ "key_id": key.key_id(), "public_key": key.public_key() })
}

fn new_key(dir: &Path, name: &str) -> Result<SigningKey, ExitError> {
    let key = SigningKey::from_seed(&Zeroizing::new(random::bytes::<32>()));
    files::create_exclusive(&dir.join(format!("{name}.pem")), key.to_pem().as_bytes())?;
    Ok(key)
}

/// Operator name of this user account, in the form that certificates and the trust file accept.
pub(crate) fn operator_person(env: &EnvVars) -> String {
    let user = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| env.get(name).ok().flatten())
        .unwrap_or_default();
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '-'
        }
    };
    let name: String = user.to_ascii_lowercase().chars().map(safe).take(48).collect();
    let name = name
        .trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned();
    let is_usable = is_name(&name) && PeerIdentity::new("dev", Role::Operator, Some(&name)).is_ok();
    if is_usable { name } else { "operator".to_owned() }
}

fn beside(dir: &Path) -> Result<PathBuf, ExitError> {
    let parent = dir.parent().filter(|parent| parent.is_dir());
    match (parent, dir.file_name()) {
        (Some(parent), Some(name)) => {
            Ok(parent.join(format!("{}.new-{}", name.to_string_lossy(), random::hex_id(12))))
        }
        _ => Err(ExitError::new(
            ErrorCode::StateParentMissing,
            format!("{} has no parent directory", dir.display()),
        )
        .with_fix("create the parent directory first, or pass another --store")),
    }
}

fn in_place(path: &Path, error: &std::io::Error) -> ExitError {
    ExitError::new(
        ErrorCode::StateNotCreated,
        format!("cannot create {}: {}", path.display(), error.kind()),
    )
    .with_fix("check that the directory is writable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_name_is_replaced_by_the_final_one() {
        let (new, dir) = (Path::new("/x/.synapsor.new-bb15"), Path::new("/x/.synapsor"));
        let error = ExitError::new(ErrorCode::FileUnusable, "/x/.synapsor.new-bb15/keys/a.pem: full");
        let error = renamed(&error.with_fix("check /x/.synapsor.new-bb15"), new, dir);
        assert_eq!(error.message(), "/x/.synapsor/keys/a.pem: full");
        assert_eq!(error.fix(), Some("check /x/.synapsor"));
    }
}
