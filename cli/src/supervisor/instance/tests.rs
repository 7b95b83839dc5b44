//! Tests of the certificate files of instances.

use std::path::Path;

use super::*;

const HOUR_MS: i64 = 60 * 60 * 1_000;

fn leaves() -> (tempfile::TempDir, Leaves) {
    let dir = tempfile::tempdir().unwrap();
    DevCa::create(&dir.path().join("ca"), "d1", SystemClock.now_ms()).unwrap();
    for folder in ["certs", "run"] {
        files::create_private_dir(&dir.path().join(folder)).unwrap();
    }
    let leaves = command_in(dir.path());
    (dir, leaves)
}

/// Certificates of another command in the same state directory.
fn command_in(dir: &Path) -> Leaves {
    Leaves {
        authority: Arc::new(DevCa::load(&dir.join("ca")).unwrap()),
        certs_dir: dir.join("certs"),
        run_dir: dir.join("run"),
        issued: Mutex::default(),
        lock: Mutex::default(),
    }
}

/// Issues the certificates of a reader and a gateway, as a start of local processes does.
fn start(leaves: &Leaves, id: &str) -> [TlsFiles; 2] {
    leaves.lock(id).unwrap();
    let (gateway, instance) = (leaves.gateway_dir(id), || Some(id.to_owned()));
    files::create_private_dir(&gateway).unwrap();
    let of_gateway = (gateway.join(GATEWAY_TLS_DIR), format!("gateway-{id}"));
    let of_reader = (leaves.certs_dir.clone(), format!("reader-{id}"));
    [(Role::Reader, of_reader), (Role::Gateway, of_gateway)]
        .map(|(role, (dir, name))| leaves.issue(role, instance(), dir, name).unwrap())
}

fn exist(files: &[TlsFiles]) -> bool {
    files
        .iter()
        .all(|files| files.cert.exists() && files.key.exists())
}

#[test]
fn certificate_of_a_child_is_renewed_after_half_of_its_lifetime() {
    let (_dir, leaves) = leaves();
    let dir = leaves.certs_dir.clone();
    let issued = leaves.issue(Role::Reader, Some("i1".to_owned()), dir, "reader-i1".to_owned());
    let cert = issued.unwrap().cert;
    let (now_ms, first) = (SystemClock.now_ms(), fs::read(&cert).unwrap());
    leaves.renew_due(now_ms + 11 * HOUR_MS);
    assert_eq!(fs::read(&cert).unwrap(), first);
    leaves.renew_due(now_ms + 13 * HOUR_MS);
    let second = fs::read(&cert).unwrap();
    assert_ne!(second, first);
    leaves.renew_due(now_ms + 14 * HOUR_MS);
    assert_eq!(fs::read(&cert).unwrap(), second);
}

#[test]
fn expired_files_of_a_running_instance_are_kept() {
    let (dir, running) = leaves();
    let files = start(&running, "i1");
    running.ledger_files(SystemClock.now_ms()).unwrap();
    let ledger = TlsFiles::in_dir(&running.certs_dir, LEDGER_LEAF);
    let later_ms = SystemClock.now_ms() + 48 * HOUR_MS;
    command_in(dir.path()).remove_expired(later_ms);
    assert!(exist(&files) && ledger.cert.exists() && ledger.key.exists());
    running.renew_due(later_ms);
    drop(running);
    command_in(dir.path()).remove_expired(later_ms);
    assert!(exist(&files), "renewed");
    command_in(dir.path()).remove_expired(later_ms + 48 * HOUR_MS);
    assert!(
        files
            .iter()
            .all(|files| !files.cert.exists() && !files.key.exists())
    );
    let left = fs::read_dir(dir.path().join("certs")).unwrap().flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["ca.pem", "ledger.key", "ledger.lock", "ledger.pem"]);
}

/// An earlier release takes no lock.
#[test]
fn files_of_an_instance_with_a_process_are_kept() {
    let (dir, earlier) = leaves();
    let files = start(&earlier, "i1");
    drop(earlier);
    let run_file = dir.path().join("run").join("reader-i1.json");
    let later_ms = SystemClock.now_ms() + 48 * HOUR_MS;
    let running = RunFile::of_this_process("reader", None).publish(&run_file);
    command_in(dir.path()).remove_expired(later_ms);
    assert!(exist(&files));
    drop(running);
    command_in(dir.path()).remove_expired(later_ms);
    assert!(!files[0].cert.exists());
}

#[test]
fn directory_of_a_starting_gateway_is_kept() {
    let (dir, leaves) = leaves();
    let started = leaves.gateway_dir("i1").join(GATEWAY_TLS_DIR);
    fs::create_dir_all(&started).unwrap();
    command_in(dir.path()).remove_expired(i64::MAX);
    assert!(started.exists());
}

#[test]
fn missing_certificate_directory_is_made_again() {
    let (_dir, leaves) = leaves();
    let files = start(&leaves, "i1");
    fs::remove_dir_all(leaves.gateway_dir("i1")).unwrap();
    fs::remove_file(&files[0].key).unwrap();
    leaves.renew_due(SystemClock.now_ms());
    assert!(exist(&files));
    assert!(files.iter().all(|files| files.load().is_ok()));
}

#[test]
fn certificate_is_renewed_after_the_clock_was_set_back() {
    let (_dir, leaves) = leaves();
    let files = start(&leaves, "i1");
    let first = fs::read(&files[0].cert).unwrap();
    leaves.renew_due(SystemClock.now_ms() - HOUR_MS);
    assert_ne!(fs::read(&files[0].cert).unwrap(), first);
}

#[test]
fn certificate_of_a_shared_ledger_is_renewed_by_any_instance() {
    let (_dir, leaves) = leaves();
    let now_ms = SystemClock.now_ms();
    leaves.renew_due(now_ms);
    let files = TlsFiles::in_dir(&leaves.certs_dir, LEDGER_LEAF);
    assert!(!files.cert.exists(), "no ledger was started here");
    leaves.ledger_files(now_ms).unwrap();
    let first = fs::read(&files.cert).unwrap();
    leaves.ledger_files(now_ms).unwrap();
    assert_eq!(fs::read(&files.cert).unwrap(), first);
    leaves.renew_due(now_ms + 13 * HOUR_MS);
    assert_ne!(fs::read(&files.cert).unwrap(), first);
}
