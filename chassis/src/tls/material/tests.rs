//! Tests of the replacement of certificate files, and of what is logged about it.

use std::fs;

use super::*;
use crate::identity::Role;
use crate::telemetry::tests::logged;
use crate::tls::dev_ca::{DevCa, LEAF_TTL};

const HOUR_MS: i64 = 3_600_000;

fn reader(dir: &Path) -> (DevCa, TlsFiles) {
    let now_ms = SystemClock.now_ms();
    let authority = DevCa::create(&dir.join("ca"), "d1", now_ms).unwrap();
    let files = renewed(&authority, dir, now_ms);
    (authority, files)
}

fn renewed(authority: &DevCa, dir: &Path, now_ms: i64) -> TlsFiles {
    let leaf = authority.issue(Role::Reader, Some("r"), LEAF_TTL, now_ms);
    leaf.unwrap().write(&dir.join("own"), "reader").unwrap()
}

fn check(material: &TlsMaterial, now_ms: i64) {
    let mut renewal = material.0.renewal.as_ref().unwrap().lock().unwrap();
    material.renew(&mut renewal, now_ms);
}

#[test]
fn every_new_reason_is_logged_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_, files) = reader(dir.path());
    let material = files.load().unwrap();
    let check_often = || (0..4).for_each(|_| check(&material, SystemClock.now_ms()));
    let ca = fs::read(&files.ca).unwrap();
    let log = logged(false, || {
        fs::write(&files.ca, "no PEM").unwrap();
        check_often();
        fs::write(&files.ca, ca).unwrap();
        fs::write(&files.key, "no PEM").unwrap();
        check_often();
    });
    let lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    for (line, file) in lines.iter().zip([&files.ca, &files.key]) {
        assert!(
            line.contains("not usable") && line.contains(&*file.to_string_lossy()),
            "{log}"
        );
    }
}

/// The clock differs between two checks of one certificate that has ended.
#[test]
fn reason_with_a_time_is_logged_once() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, files) = reader(dir.path());
    let material = files.load().unwrap();
    let now_ms = SystemClock.now_ms();
    renewed(&authority, dir.path(), now_ms - 48 * HOUR_MS);
    let log = logged(false, || {
        (0..4).for_each(|n| check(&material, now_ms + n * 1_000))
    });
    assert_eq!(log.lines().count(), 1, "{log}");
}

#[test]
fn coming_end_is_reported_until_a_newer_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let (authority, files) = reader(dir.path());
    let material = files.load().unwrap();
    let now_ms = SystemClock.now_ms();
    let log_of = |minutes: std::ops::Range<i64>| {
        let times = minutes.map(|minute| now_ms + minute * 60_000);
        logged(false, || times.for_each(|at_ms| check(&material, at_ms)))
    };
    assert_eq!(log_of(1..17 * 60), "");
    let soon = log_of(17 * 60..22 * 60);
    let close = log_of(22 * 60..24 * 60);
    let ended = log_of(24 * 60..26 * 60);
    for (log, text) in [(&soon, "WARN"), (&close, "minutes="), (&ended, "has ended")] {
        let names_file = log.contains(&*files.cert.to_string_lossy());
        assert!(
            names_file && log.contains(text) && log.lines().count() == 1,
            "{log}"
        );
    }
    renewed(&authority, dir.path(), now_ms + 26 * HOUR_MS);
    let renewed = log_of(26 * 60..40 * 60);
    assert!(renewed.contains("certificates replaced"), "{renewed}");
    assert_eq!(renewed.lines().count(), 1, "{renewed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn background_check_ends_with_the_material() {
    let dir = tempfile::tempdir().unwrap();
    let (_, files) = reader(dir.path());
    let material = files.load().unwrap();
    assert_eq!(Arc::strong_count(&material.0), 1);
    let weak = Arc::downgrade(&material.0);
    assert_eq!(weak.weak_count(), 2);
    drop(material);
    assert!(weak.upgrade().is_none());
}
