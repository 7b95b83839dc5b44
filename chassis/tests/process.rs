//! Process tests: the test binary starts itself as a process of this workspace and checks the stderr output.

#![expect(clippy::unwrap_used, reason = "a failed expectation is what a test reports")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use synapsor_chassis::run::{ExitError, run, run_confined};
use synapsor_chassis::sandbox::{SandboxPolicy, enter_sandbox};
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::shutdown::wait_for_stdin_close;
use synapsor_chassis::telemetry::Level;
use synapsor_codes::ErrorCode;
use tokio_util::sync::CancellationToken;

const SCENE: &str = "CHASSIS_TEST_SCENE";
/// Only targets with this prefix log at level `info`.
const SOURCE: &str = "synapsor_test";
/// Set for the sandboxed process: its directory, and a server that it must not reach.
const CELL: &str = "CHASSIS_TEST_CELL";
const OUTSIDE: &str = "CHASSIS_TEST_OUTSIDE";
const CANARY: &str = "hunter2-canary";

/// Body of the started process; run as a test, it does nothing.
#[test]
fn child() -> ExitCode {
    match EnvVars::of_process().get(SCENE).unwrap() {
        None => ExitCode::SUCCESS,
        Some(scene) if scene == "confined" => {
            run_confined(Level::INFO, || scene, |_| None, lock_in, log_permitted_operations)
        }
        Some(scene) => run(Level::INFO, || scene, act),
    }
}

async fn act(scene: String, stop: CancellationToken) -> Result<(), ExitError> {
    tracing::info!(target: SOURCE, url = format!("postgres://app:{CANARY}@db/x"), "started");
    match scene.as_str() {
        "fails" => Err(ExitError::new(
            ErrorCode::Internal,
            format!("no {CANARY}").replace("no ", "Bearer "),
        )
        .with_fix("none")),
        "panics" => panic!("with {CANARY}"),
        "hardened" => {
            tracing::info!(target: SOURCE,
                dumpable = ?rustix::process::dumpable_behavior().unwrap(),
                no_new_privs = rustix::thread::no_new_privs().unwrap(),
            );
            Ok(())
        }
        "until stopped" => {
            stop.cancelled().await;
            tracing::info!(target: SOURCE, "stopped");
            Ok(())
        }
        _ => {
            wait_for_stdin_close().await;
            tracing::info!(target: SOURCE, "parent gone");
            Ok(())
        }
    }
}

/// Returns the directory in which the sandboxed process may read one file and write another.
fn cell() -> std::path::PathBuf {
    EnvVars::of_process().get(CELL).unwrap().unwrap().into()
}

fn lock_in(_: &String) -> Result<(), ExitError> {
    let held = enter_sandbox(&SandboxPolicy {
        files: vec![cell().join("readable")],
        outboxes: vec![cell().join("outbox")],
        ..SandboxPolicy::default()
    })?;
    tracing::info!(target: SOURCE, held = ?held);
    Ok(())
}

/// Logs which operations succeeded.
async fn log_permitted_operations(_: String, _: CancellationToken) -> Result<(), ExitError> {
    let cell = cell();
    let outside: std::net::SocketAddr = EnvVars::of_process()
        .get(OUTSIDE)
        .unwrap()
        .unwrap()
        .parse()
        .unwrap();
    let parent = rustix::process::getppid().unwrap();
    // Runs on another thread than the one that entered the sandbox.
    let tried = tokio::spawn(async move {
        vec![
            ("read", std::fs::read(cell.join("readable")).is_ok()),
            ("read another", std::fs::read(cell.join("other")).is_ok()),
            ("read the system", std::fs::read("/etc/passwd").is_ok()),
            ("list", std::fs::read_dir(&cell).is_ok()),
            ("write", std::fs::write(cell.join("outbox/new"), "x").is_ok()),
            ("read back", std::fs::read(cell.join("outbox/new")).is_ok()),
            ("write another", std::fs::write(cell.join("other"), "x").is_ok()),
            ("write beside", std::fs::write(cell.join("new"), "x").is_ok()),
            ("execute", Command::new("/bin/true").status().is_ok()),
            ("connect", tokio::net::TcpStream::connect(outside).await.is_ok()),
            (
                "listen",
                tokio::net::TcpListener::bind("127.0.0.1:0").await.is_ok(),
            ),
            ("signal", rustix::process::test_kill_process(parent).is_ok()),
        ]
    });
    let done: Vec<&str> = tried
        .await
        .unwrap()
        .into_iter()
        .filter_map(|(deed, was_possible)| was_possible.then_some(deed))
        .collect();
    tracing::info!(target: SOURCE, done = done.join(", "));
    Ok(())
}

fn start(scene: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(SCENE, scene)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(mut child: Child) -> (bool, String) {
    let mut output = String::new();
    child.stderr.take().unwrap().read_to_string(&mut output).unwrap();
    let succeeded = child.wait().unwrap().success();
    assert!(!output.contains(CANARY), "{output}");
    (succeeded, output)
}

fn wait_until_started(child: &mut Child) {
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("started"), "{line}");
}

#[test]
fn error_is_printed_with_code_and_fix_and_without_secrets() {
    let (succeeded, output) = end(start("fails"));
    assert!(!succeeded);
    assert!(
        output.contains("error[INTERNAL]: Bearer [redacted]\nfix: none"),
        "{output}"
    );
    assert!(output.contains("postgres://[redacted]@db/x"), "{output}");
}

#[test]
fn panic_reports_its_location_and_not_its_message() {
    let (succeeded, output) = end(start("panics"));
    assert!(!succeeded);
    assert!(
        output.contains("error[PANIC]: internal error at chassis/tests/process.rs:"),
        "{output}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn worker_threads_are_hardened_before_the_body_runs() {
    let (succeeded, output) = end(start("hardened"));
    assert!(succeeded);
    assert!(
        output.contains("dumpable=NotDumpable no_new_privs=true"),
        "{output}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn sandboxed_process_has_only_the_listed_access() {
    let cell = tempfile::tempdir().unwrap();
    for file in ["readable", "other"] {
        std::fs::write(cell.path().join(file), "x").unwrap();
    }
    std::fs::create_dir(cell.path().join("outbox")).unwrap();
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(SCENE, "confined")
        .env(CELL, cell.path())
        .env(OUTSIDE, server.local_addr().unwrap().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (succeeded, output) = end(child);
    assert!(succeeded, "{output}");
    if output.contains("held=Not") {
        did_not_run("the sandbox: this kernel has no Landlock");
        return;
    }
    if output.contains("held=Fully") {
        assert!(output.contains("done=\"read, write\""), "{output}");
    }
    for deed in ["another", "the system", "list,", "back", "beside", "execute"] {
        assert!(!output.contains(deed), "{output}");
    }
}

#[test]
fn sigterm_ends_the_body_in_order() {
    let mut child = start("until stopped");
    wait_until_started(&mut child);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let (succeeded, output) = end(child);
    assert!(succeeded && output.contains("stopped"), "{output}");
}

#[test]
fn process_ends_when_the_parents_pipe_closes() {
    let mut child = start("lifeline");
    wait_until_started(&mut child);
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    let (succeeded, output) = end(child);
    assert!(succeeded && output.contains("parent gone"), "{output}");
}

/// Adds a line to the list of what did not run, which `servers.sh run` prints at its end.
fn did_not_run(what: &str) {
    use std::io::Write as _;
    if let Some(path) = std::env::var_os("SYNAPSOR_TEST_NOT_RUN") {
        let list = std::fs::OpenOptions::new().append(true).create(true).open(path);
        let _ = list.and_then(|mut list| list.write_all(format!("NOT RUN: {what}\n").as_bytes()));
    }
}
