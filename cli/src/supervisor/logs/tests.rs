//! Tests of rotation and removal on real files, with small limits.

use std::io::Write as _;

use super::*;

const CAP: u64 = 16;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A log as a child has it: a copy of the descriptor, opened before the rotation.
fn writer(log: &LogFile) -> File {
    log.file.try_clone().unwrap()
}

fn dated(dir: &Path, name: &str, age_secs: u64) -> PathBuf {
    let path = dir.join(name);
    let file = File::create(&path).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - Duration::from_secs(age_secs)).unwrap();
    path
}

#[test]
fn full_log_is_rotated_and_its_writer_continues() {
    let dir = folder();
    let path = dir.path().join("reader-1.log");
    let log = LogFile::open(&path).unwrap();
    let mut child = writer(&log);
    child.write_all(b"15 bytes long..").unwrap();
    assert!(rotate_all(dir.path(), CAP).is_empty());
    assert!(!older_part(&path).exists(), "the log is not full");

    child.write_all(b"\n").unwrap();
    assert!(rotate_all(dir.path(), CAP).is_empty());
    child.write_all(b"next\n").unwrap();
    assert_eq!(
        (text(&older_part(&path)).as_str(), text(&path).as_str()),
        ("15 bytes long..\n", "next\n")
    );

    // The older part has the newest bytes only, and there is one.
    child.write_all(b"0123456789abcdef\n").unwrap();
    assert!(rotate_all(dir.path(), CAP).is_empty());
    assert_eq!(text(&older_part(&path)), "123456789abcdef\n");
    assert_eq!((text(&path).as_str(), list(dir.path()).unwrap().len()), ("", 2));
}

#[test]
fn older_part_is_private_and_other_files_are_not_touched() {
    let dir = folder();
    let own = dir.path().join("notes.txt");
    fs::write(&own, [b'x'; 99]).unwrap();
    let path = dir.path().join("writer-1.log");
    fs::write(&path, [b'x'; 99]).unwrap();
    assert!(rotate_all(dir.path(), CAP).is_empty());
    assert_eq!(
        fs::metadata(older_part(&path)).unwrap().mode() & 0o777,
        files::MODE_PRIVATE
    );
    remove_all_but(dir.path(), 0);
    assert_eq!(text(&own).len(), 99);
    assert_eq!(list(dir.path()).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn log_that_cannot_be_rotated_is_reported_and_continues() {
    let dir = folder();
    let path = dir.path().join("reader-1.log");
    let log = LogFile::open(&path).unwrap();
    writer(&log).write_all(&[b'x'; 20]).unwrap();
    fs::create_dir(older_part(&path)).unwrap();
    let failures = rotate_all(dir.path(), CAP);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].0, path);
    writer(&log).write_all(b"next").unwrap();
    assert_eq!(text(&path).len(), 24);
    assert!(rotate_all(&dir.path().join("missing"), CAP).is_empty());
}

#[test]
fn rotation_by_another_process_is_not_repeated() {
    let dir = folder();
    let path = dir.path().join("reader-1.log");
    fs::write(&path, [b'x'; 20]).unwrap();
    let other = File::create(older_part(&path)).unwrap();
    other.lock().unwrap();
    assert!(rotate_all(dir.path(), CAP).is_empty());
    assert_eq!((text(&path).len(), text(&older_part(&path)).len()), (20, 0));
}

#[test]
fn only_the_oldest_logs_of_ended_processes_are_removed() {
    let dir = folder();
    let live = dated(dir.path(), "reader-1.log", 900);
    let live_older = dated(dir.path(), "reader-1.log.1", 950);
    let names = [
        "reader-2.log",
        "reader-2.log.1",
        "writer-3.log",
        "ledger.log",
        "gateway-4.log.1",
    ];
    let ended: Vec<PathBuf> = (1..)
        .zip(names)
        .map(|(age, name)| dated(dir.path(), name, 100 * age))
        .collect();
    let log = LogFile::open(&live).unwrap();
    let child = writer(&log);
    remove_all_but(dir.path(), 3);
    let left: Vec<bool> = ended.iter().map(|path| path.exists()).collect();
    assert_eq!(left, [true, true, true, false, false]);
    assert!(live.exists() && live_older.exists());

    // The child or its supervisor holds the lock.
    drop(log);
    remove_all_but(dir.path(), 0);
    assert_eq!(list(dir.path()).unwrap().len(), 2);
    let log = LogFile::open(&live).unwrap();
    drop(child);
    remove_all_but(dir.path(), 0);
    assert_eq!(list(dir.path()).unwrap().len(), 2);
    drop(log);
    remove_all_but(dir.path(), 0);
    assert_eq!(list(dir.path()).unwrap(), Vec::<PathBuf>::new());
}

/// A removal that comes between opening and locking must not leave the child a log without a name.
#[cfg(target_os = "linux")]
#[test]
fn log_removed_while_it_is_opened_is_created_again() {
    let dir = folder();
    let path = dated(dir.path(), "ledger.log", 0);
    let inode = fs::metadata(&path).unwrap().ino();
    let removal = lock_ended(&path).unwrap();
    let opened = std::thread::spawn({
        let path = path.clone();
        move || LogFile::open(&path).unwrap()
    });
    let waits = |line: &str| line.contains("-> FLOCK") && line.contains(&format!(":{inode} "));
    while !text(Path::new("/proc/locks")).lines().any(waits) {
        assert!(!opened.is_finished());
        std::thread::yield_now();
    }
    fs::remove_file(&path).unwrap();
    drop(removal);
    let log = opened.join().unwrap();
    writer(&log).write_all(b"next").unwrap();
    assert_eq!(text(&path), "next");
}

#[test]
fn command_removes_the_logs_of_its_own_children() {
    let dir = folder();
    let (own, other) = (
        dated(dir.path(), "reader-1.log", 0),
        dated(dir.path(), "reader-2.log", 0),
    );
    let older = dated(dir.path(), "reader-1.log.1", 0);
    let logs = CommandLogs::default();
    logs.clone().add(own.clone());
    logs.remove();
    assert!(!own.exists() && !older.exists() && other.exists());
}
