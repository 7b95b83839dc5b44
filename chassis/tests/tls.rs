//! Development CA and certificate loading, with real files.

#![expect(clippy::unwrap_used, reason = "a failed expectation is what a test reports")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::dev_ca::{DevCa, LEAF_TTL, list};
use synapsor_chassis::tls::{TlsError, TlsFiles};
use synapsor_codes::ErrorCode;

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

fn ca(dir: &Path) -> DevCa {
    DevCa::create(&dir.join("certs"), "d1", now_ms()).unwrap()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, TlsError>) -> ErrorCode {
    ExitError::from(outcome.unwrap_err()).code()
}

#[test]
fn every_role_gets_a_leaf_that_loads_with_its_identity() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    for role in Role::ALL {
        let instance = role.has_instance().then_some("i1");
        let leaf = ca.issue(role, instance, LEAF_TTL, now_ms()).unwrap();
        let material = leaf
            .write(&dir.path().join("own"), role.as_str())
            .unwrap()
            .load()
            .unwrap();
        assert_eq!(material.identity().role(), role);
        assert_eq!(material.identity().instance(), instance);
        assert_eq!(material.identity().deployment(), "d1");
    }
    let names: Vec<_> = list(&dir.path().join("own"))
        .unwrap()
        .into_iter()
        .map(|l| (l.name, l.identity.role()))
        .collect();
    assert_eq!(names.len(), 5);
    assert_eq!(names[0], ("gateway".to_owned(), Role::Gateway));
}

#[test]
fn ca_is_private_created_once_and_loads_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = ca(dir.path());
    let folder = dir.path().join("certs");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&folder), mode(&folder.join("ca.key"))), (0o700, 0o600));
    assert_eq!(
        code(DevCa::create(&folder, "d2", now_ms())),
        ErrorCode::TlsFileUnreadable
    );

    let again = DevCa::load(&folder).unwrap();
    assert_eq!(again.deployment(), "d1");
    let leaf = again.issue(Role::Reader, Some("r"), LEAF_TTL, now_ms()).unwrap();
    assert!(leaf.material(now_ms()).is_ok());
    let listed = {
        leaf.write(&folder, "reader").unwrap();
        first.list().unwrap()
    };
    assert_eq!(listed.len(), 1);
    let lasts_ms = listed[0].not_after_ms - now_ms();
    assert!((86_300_000..=86_400_000).contains(&lasts_ms), "{lasts_ms}");
}

#[test]
fn rejects_ca_with_a_foreign_key() {
    let dir = tempfile::tempdir().unwrap();
    ca(dir.path());
    DevCa::create(&dir.path().join("other"), "d1", now_ms()).unwrap();
    fs::copy(dir.path().join("other/ca.key"), dir.path().join("certs/ca.key")).unwrap();
    assert_eq!(
        code(DevCa::load(&dir.path().join("certs"))),
        ErrorCode::TlsKeyMismatch
    );
}

#[test]
fn broken_file_of_the_ca_is_named() {
    let dir = tempfile::tempdir().unwrap();
    ca(dir.path());
    let folder = dir.path().join("certs");
    for file in ["ca.pem", "ca.key"] {
        let path = folder.join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, "no PEM").unwrap();
        let failure = ExitError::from(DevCa::load(&folder).unwrap_err());
        assert_eq!(failure.code(), ErrorCode::TlsFileInvalid);
        assert!(
            failure.message().starts_with(&*path.to_string_lossy()),
            "{failure}"
        );
        assert!(
            failure.fix().unwrap().contains(&*path.to_string_lossy()),
            "{failure}"
        );
        fs::write(&path, before).unwrap();
    }
    assert!(DevCa::load(&folder).is_ok());
}

#[test]
fn error_names_the_file_whose_content_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    let folder = dir.path().join("own");
    let leaf = |name: &str, now_ms| {
        let leaf = ca.issue(Role::Reader, Some("r"), LEAF_TTL, now_ms).unwrap();
        leaf.write(&folder, name).unwrap()
    };
    let (good, other) = (leaf("good", now_ms()), leaf("other", now_ms()));
    let expired = leaf("expired", now_ms() - 48 * 3_600_000);
    let broken = folder.join("broken");
    fs::write(&broken, "no PEM").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o600)).unwrap();
    let named = |ca: &Path, cert: &Path, key: &Path| {
        let files = TlsFiles {
            ca: ca.into(),
            cert: cert.into(),
            key: key.into(),
        };
        ExitError::from(files.load().unwrap_err()).message().to_owned()
    };
    for (text, path) in [
        (named(&broken, &good.cert, &good.key), &broken),
        (named(&good.ca, &broken, &good.key), &broken),
        (named(&good.ca, &good.cert, &broken), &broken),
        (named(&good.ca, &good.cert, &other.key), &other.key),
        (named(&good.ca, &good.cert, &other.key), &good.cert),
        (named(&expired.ca, &expired.cert, &expired.key), &expired.cert),
    ] {
        assert!(text.contains(&*path.to_string_lossy()), "{text}");
    }
    fs::write(folder.join("odd.pem"), "no PEM").unwrap();
    let listed = list(&folder).unwrap_err().to_string();
    assert!(listed.contains("odd.pem"), "{listed}");
}

#[test]
fn invalid_certificate_files_have_distinct_errors() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    let folder = dir.path().join("own");
    let write = |name: &str, ttl, now| {
        ca.issue(Role::Reader, Some("r"), ttl, now)
            .unwrap()
            .write(&folder, name)
            .unwrap()
    };
    let good = write("good", LEAF_TTL, now_ms());
    let other = write("other", LEAF_TTL, now_ms());
    let expired = write("expired", Duration::from_secs(60), now_ms() - 120_000);
    let future = write("future", LEAF_TTL, now_ms() + 3_600_000);
    let foreign_ca = DevCa::create(&dir.path().join("foreign"), "d1", now_ms()).unwrap();
    let missing = folder.join("missing");
    let with = |ca: &Path, cert: &Path, key: &Path| TlsFiles {
        ca: ca.into(),
        cert: cert.into(),
        key: key.into(),
    };

    assert!(good.load().is_ok());
    assert_eq!(
        code(with(&good.ca, &good.cert, &other.key).load()),
        ErrorCode::TlsKeyMismatch
    );
    assert_eq!(
        code(with(&missing, &good.cert, &good.key).load()),
        ErrorCode::TlsFileUnreadable
    );
    assert_eq!(
        code(with(&good.ca, &good.key, &good.key).load()),
        ErrorCode::TlsFileInvalid
    );
    assert_eq!(
        code(with(&good.key, &good.cert, &good.key).load()),
        ErrorCode::TlsFileInvalid
    );
    assert_eq!(
        code(with(&foreign_ca.cert_path(), &good.cert, &good.key).load()),
        ErrorCode::TlsCertificateForeign
    );
    assert_eq!(code(expired.load()), ErrorCode::TlsCertificateExpired);
    assert_eq!(code(future.load()), ErrorCode::TlsCertificateNotYetValid);
    fs::set_permissions(&good.key, fs::Permissions::from_mode(0o644)).unwrap();
    let open = ExitError::from(good.load().unwrap_err());
    assert_eq!(open.code(), ErrorCode::TlsKeyOpen);
    assert!(open.fix().unwrap().starts_with("chmod go-rwx "));
}

#[test]
fn group_readable_key_serves_a_service_but_no_operator() {
    let dir = tempfile::tempdir().unwrap();
    let leaf = ca(dir.path()).issue(Role::Operator, Some("alice"), LEAF_TTL, now_ms());
    let files = leaf.unwrap().write(&dir.path().join("own"), "alice").unwrap();
    assert!(files.load_operator().is_ok());
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o440)).unwrap();
    assert!(files.load().is_ok());
    assert_eq!(code(files.load_operator()), ErrorCode::TlsKeyOpen);
}

#[test]
fn rejects_malformed_names() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    for (role, instance) in [
        (Role::Reader, None),
        (Role::Ledger, Some("x")),
        (Role::Operator, Some("a/b")),
        (Role::Gateway, Some("")),
    ] {
        assert_eq!(
            code(ca.issue(role, instance, LEAF_TTL, now_ms())),
            ErrorCode::TlsIdentityInvalid
        );
    }
    assert_eq!(
        code(DevCa::create(&dir.path().join("x"), "Up/per", now_ms())),
        ErrorCode::TlsIdentityInvalid
    );
    assert!(!dir.path().join("x").exists());
}

#[test]
fn debug_of_certificates_shows_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let leaf = ca(dir.path())
        .issue(Role::Reader, Some("r"), LEAF_TTL, now_ms())
        .unwrap();
    let material = leaf.material(now_ms()).unwrap();
    assert_eq!(format!("{leaf:?}"), "Leaf(\"spiffe://d1/reader/r\")");
    assert_eq!(format!("{material:?}"), "TlsMaterial(\"spiffe://d1/reader/r\")");
}

#[test]
fn leaf_cannot_replace_the_ca_or_leave_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let ca = ca(dir.path());
    let folder = dir.path().join("certs");
    let key = fs::read(folder.join("ca.key")).unwrap();
    let leaf = ca.issue(Role::Reader, Some("r"), LEAF_TTL, now_ms()).unwrap();
    for name in ["ca", "CA", "", "../reader", "a/b", ".hidden"] {
        assert_eq!(
            code(leaf.write(&folder, name)),
            ErrorCode::TlsIdentityInvalid,
            "{name}"
        );
    }
    assert_eq!(fs::read(folder.join("ca.key")).unwrap(), key);
}
