//! Tests of the state directory.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use synapsor_chassis::settings::EnvVars;
use synapsor_codes::{ErrorCode, Exit};
use synapsor_domain::signing::SigningKey;
use synapsor_domain::trust::DeploymentEnvironment as Seriousness;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Global, contract_file};

fn context(store: &Path) -> Context {
    let global = Global {
        store: Some(store.to_owned()),
        ..Global::default()
    };
    let env = EnvVars::fixed([("USER", "Ada Lovelace")]);
    Context {
        global,
        env,
        stop: CancellationToken::new(),
        logs: crate::supervisor::CommandLogs::default(),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn new_state_directory_is_private() {
    let root = folder();
    let context = context(&root.path().join("state/local.db"));
    let state = find_or_create(&context).unwrap();
    assert_eq!(mode(state.dir()), 0o700);
    for name in ["ca", "keys", "certs", "run", "witness", "logs"] {
        assert_eq!(mode(&state.dir().join(name)), 0o700, "{name}");
    }
    for file in [
        "keys/reader.pem",
        "keys/writer.pem",
        "keys/ledger.pem",
        "keys/operator-ada-lovelace.pem",
        "ca/ca.key",
    ] {
        assert_eq!(mode(&state.dir().join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(state.trust_path()), 0o600);
    assert!(!state.store().exists());
}

#[test]
fn new_deployment_is_dev_with_one_all_role_operator() {
    let root = folder();
    let context = context(&root.path().join("state/local.db"));
    let state = find_or_create(&context).unwrap();
    let trust = load_trust(state.trust_path()).unwrap();
    assert_eq!(trust.environment, Seriousness::Dev);
    assert_eq!(trust.deployment_id, state.authority().unwrap().deployment());
    let [operator] = trust.operators.as_slice() else {
        panic!("one operator")
    };
    assert_eq!(
        (operator.person.as_str(), operator.roles.as_slice()),
        ("ada-lovelace", ["*".to_owned()].as_slice())
    );
    let pem = std::fs::read_to_string(state.operator_key("ada-lovelace")).unwrap();
    assert_eq!(SigningKey::from_pem(&pem).unwrap().key_id(), operator.key_id);
}

#[test]
fn find_in_wrong_directory_creates_nothing() {
    let root = folder();
    let context = context(&root.path().join("state/local.db"));
    let failure = find(&context).unwrap_err();
    assert_eq!(
        (failure.code(), failure.exit()),
        (ErrorCode::StateNotFound, Exit::Failure)
    );
    assert!(failure.message().contains("state") && failure.fix().is_some());
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn concurrent_creation_yields_one_deployment() {
    let root = folder();
    let store = root.path().join("state/local.db");
    let deployments: Vec<String> = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..8)
            .map(|_| {
                let context = context(&store);
                scope.spawn(move || {
                    load_trust(find_or_create(&context).unwrap().trust_path())
                        .unwrap()
                        .deployment_id
                })
            })
            .collect();
        creators
            .into_iter()
            .map(|creator| creator.join().unwrap())
            .collect()
    });
    assert!(
        deployments.iter().all(|deployment| *deployment == deployments[0]),
        "{deployments:?}"
    );
    assert_eq!(
        std::fs::read_dir(root.path()).unwrap().count(),
        1,
        "no temporary directory remains"
    );
}

#[test]
fn creation_in_existing_directory_keeps_its_files() {
    let root = folder();
    let dir = root.path().join("state");
    files::create_private_dir(&dir).unwrap();
    std::fs::write(dir.join("notes.txt"), "mine").unwrap();
    // The remains of a crash: keys, and no trust file.
    files::create_private_dir(&dir.join("keys")).unwrap();
    std::fs::write(dir.join("keys/reader.pem"), "half").unwrap();
    let state = find_or_create(&context(&dir.join("local.db"))).unwrap();
    assert!(load_trust(state.trust_path()).is_ok());
    assert_eq!(std::fs::read_to_string(dir.join("notes.txt")).unwrap(), "mine");
    assert_ne!(
        std::fs::read_to_string(dir.join("keys/reader.pem")).unwrap(),
        "half"
    );
    let names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("keys.old-")),
        "{names:?}"
    );
    assert!(!names.iter().any(|name| name.starts_with(".new-")), "{names:?}");
}

#[test]
fn rejects_state_directory_writable_by_others() {
    let root = folder();
    let context = context(&root.path().join("state/local.db"));
    let state = find_or_create(&context).unwrap();
    std::fs::set_permissions(state.dir(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(
        find(&context).unwrap_err().code(),
        find_or_create(&context).unwrap_err().code()
    );
}

#[test]
fn rejects_missing_parent_and_creates_nothing() {
    let root = folder();
    let failure = find_or_create(&context(&root.path().join("a/b/local.db"))).unwrap_err();
    assert_eq!(failure.code(), ErrorCode::StateParentMissing);
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn contract_store_path_creates_missing_directories() {
    let root = folder();
    let (file, store) = (
        root.path().join("c.json"),
        root.path().join("tmp/orders/local.db"),
    );
    let text = include_str!("../../assets/demo.runner.json")
        .replace("./.synapsor/local.db", &store.display().to_string());
    std::fs::write(&file, text).unwrap();
    let mut context = context(&store);
    context.global.config = Some(file);
    assert_eq!(
        find_or_create(&context).unwrap_err().code(),
        ErrorCode::StateParentMissing
    );
    context.global.store = None;
    assert_eq!(
        find_or_create(&context).unwrap().dir(),
        root.path().join("tmp/orders")
    );
}

#[test]
fn store_flag_overrides_contract_store_path() {
    let root = folder();
    let file = root.path().join("c.json");
    let text =
        include_str!("../../assets/demo.runner.json").replace("./.synapsor/local.db", "/elsewhere/x.db");
    std::fs::write(&file, text).unwrap();
    let mut context = context(Path::new("/given/y.db"));
    context.global.config = Some(file);
    assert_eq!(super::locate(&context).unwrap().dir(), Path::new("/given"));
    context.global.store = None;
    assert_eq!(super::locate(&context).unwrap().dir(), Path::new("/elsewhere"));
}

#[test]
fn demo_contract_is_valid_without_warnings() {
    let root = folder();
    let file = root.path().join("c.json");
    std::fs::write(&file, include_str!("../../assets/demo.runner.json")).unwrap();
    let global = Global {
        config: Some(file),
        ..Global::default()
    };
    assert!(contract_file::load_runnable(&global).unwrap().warnings.is_empty());
}
