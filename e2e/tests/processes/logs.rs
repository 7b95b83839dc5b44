//! Log files of the processes that commands start: they stay after the end, within a number and a size, and neither a
//! full disk nor a full log stops a process.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value as Json, json};
use synapsor_e2e::cli::{CliFixture, INVOICE, Running, until};
use synapsor_e2e::namespaces;

const LIMIT: Duration = Duration::from_secs(30);
const ENDED_LOGS_MAX: usize = 32;
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
const TOKEN: &str = "SYNAPSOR_RUNNER_HTTP_TOKEN";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// `sh -c TEXT sh LOGS FULL RUNNER ARGUMENT...`: the logs on a small disk, where the reader's is full, without room for
/// another of its size, after a line is written to the pipe `FULL`.
const ON_A_SMALL_DISK: &str = r#"
logs=$1
full=$2
shift 2
mount -t tmpfs -o size=8m,mode=700 tmpfs "$logs" || exit 1
(read -r _ < "$full" && truncate -s 16M "$logs"/reader-*.log) &
exec "$@"
"#;

/// A running `up`, with its output and its directory of logs.
struct Up {
    running: Running,
    output: Json,
    logs: PathBuf,
}

impl Up {
    fn start(place: &CliFixture) -> anyhow::Result<Self> {
        let arguments = ["up", "--serve", "--port", "0", "--json"];
        Self::of(place.start(&arguments)?)
    }

    fn of(mut running: Running) -> anyhow::Result<Self> {
        running.until_printed(LIMIT, |out| serde_json::from_str::<Json>(out).is_ok())?;
        let output: Json = serde_json::from_str(&running.printed()?.0)?;
        let logs = output["logs_dir"].as_str().context("logs_dir")?.into();
        Ok(Self {
            running,
            output,
            logs,
        })
    }

    fn pid(&self, name: &str) -> anyhow::Result<Pid> {
        let processes = self.output["processes"].as_array().context("processes")?;
        let found = processes.iter().find(|process| process["name"] == json!(name));
        let pid = found.and_then(|process| process["pid"].as_i64());
        Pid::from_raw(i32::try_from(pid.context(name.to_owned())?)?).context("a process id")
    }

    /// Path of the log of this start's reader, writer or gateway, or of the ledger.
    fn log(&self, name: &str) -> anyhow::Result<PathBuf> {
        let found = logs(&self.logs)?.into_iter().find(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(name) && file.ends_with(".log")
        });
        found.with_context(|| format!("no log of the {name} in {}", self.logs.display()))
    }

    fn stop(self) -> anyhow::Result<()> {
        self.running.signal(Signal::TERM)?;
        self.running.end(LIMIT)?.expect(0)
    }
}

fn place() -> anyhow::Result<CliFixture> {
    let mut place = CliFixture::new()?;
    place.set(TOKEN, &"t".repeat(40));
    place.write("call.json", &json!({ "invoice_id": INVOICE }).to_string())?;
    Ok(place)
}

fn logs(dir: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
}

fn inspect(place: &CliFixture) -> anyhow::Result<()> {
    place.ok(&["smoke", "call", "billing.inspect_invoice", "--input", "call.json"])?;
    Ok(())
}

#[test]
fn logs_of_ended_and_killed_services_stay() -> anyhow::Result<()> {
    let place = place()?;
    let mut up = Up::start(&place)?;
    let reader = up.log("reader")?;
    let serving = || anyhow::Ok(fs::read_to_string(&reader)?.matches("role=reader").count());
    assert_eq!(serving()?, 1);
    kill_process(up.pid("reader")?, Signal::KILL)?;
    until(LIMIT, || Ok(serving()? == 2))?;
    assert!(up.running.printed()?.1.contains("restarting it"));
    let all: Vec<PathBuf> = ["ledger", "reader", "writer", "gateway"]
        .into_iter()
        .map(|name| up.log(name))
        .collect::<anyhow::Result<_>>()?;
    up.stop()?;
    assert_eq!(serving()?, 2);
    for log in &all {
        ensure!(fs::metadata(log)?.len() > 0, "{} is empty", log.display());
    }

    // Killed, a supervisor leaves its logs as well.
    let mut up = Up::start(&place)?;
    up.running.child.kill()?;
    up.running.child.wait()?;
    place.wait_until_alone(LIMIT)?;
    let left = logs(&up.logs)?;
    assert_eq!(left.len(), 7, "one ledger, and two of each other role: {left:?}");
    ensure!(all.iter().all(|log| left.contains(log)), "{left:?}");
    Ok(())
}

#[test]
fn text_of_a_start_names_the_directory_of_logs() -> anyhow::Result<()> {
    let place = place()?;
    let dir = place.path(".synapsor/logs").canonicalize();
    assert!(dir.is_err(), "not yet");
    let mut up = place.start(&["up"])?;
    up.until_printed(LIMIT, |printed| printed.contains("Press Ctrl-C to stop"))?;
    let dir = place.path(".synapsor/logs").canonicalize()?;
    let line = format!("logs      {}\n", dir.display());
    let printed = up.printed()?.0;
    ensure!(printed.contains(&line), "{printed}");
    let ran = place.ok(&["mcp", "serve"])?;
    ensure!(ran.stderr.contains(&dir.display().to_string()), "{ran}");
    let served = place.start(&["mcp", "serve-streamable-http", "--port", "0"])?;
    let mut served = served;
    let named = format!("logs {}\n", dir.display());
    until(LIMIT, || Ok(served.printed()?.1.contains(&named)))?;
    for running in [served, up] {
        running.signal(Signal::TERM)?;
        running.end(LIMIT)?.expect(0)?;
    }
    Ok(())
}

#[test]
fn many_starts_leave_32_logs_and_those_of_a_running_up() -> anyhow::Result<()> {
    let place = place()?;
    let up = Up::start(&place)?;
    let live = logs(&up.logs)?;
    assert_eq!(live.len(), 4, "{live:?}");
    for log in &live {
        // Older than every log of an ended process.
        File::options()
            .append(true)
            .open(log)?
            .set_modified(SystemTime::UNIX_EPOCH + DAY)?;
    }
    for _ in 0..10 {
        // A client that leaves at once. Each start has a log of its reader, and the gateway's is on its stderr.
        let starts = (0..4).map(|_| place.start(&["mcp", "serve"]));
        for start in starts.collect::<anyhow::Result<Vec<_>>>()? {
            start.end(LIMIT)?.expect(0)?;
        }
        let all = logs(&up.logs)?;
        ensure!(
            live.is_subset(&all),
            "a log of a running process is gone: {all:?}"
        );
        assert!(all.len() <= live.len() + ENDED_LOGS_MAX, "{all:?}");
    }
    assert_eq!(logs(&up.logs)?.len(), live.len() + ENDED_LOGS_MAX);
    let dir = up.logs.clone();
    up.stop()?;
    until(LIMIT, || Ok(logs(&dir)?.len() <= ENDED_LOGS_MAX))
}

#[test]
fn refused_call_is_logged_with_its_reason() -> anyhow::Result<()> {
    let place = place()?;
    place.write("call.json", &json!({ "invoice_id": "INV-0" }).to_string())?;
    let up = Up::start(&place)?;
    let call = ["smoke", "call", "billing.inspect_invoice", "--input", "call.json"];
    place.run(&call)?.expect(1)?;
    let read = logs(&up.logs)?.into_iter().map(fs::read_to_string);
    let text: Vec<String> = read.collect::<Result<_, _>>()?;
    let rejected = text.iter().flat_map(|log| log.lines());
    let rejected: Vec<&str> = rejected.filter(|line| line.contains("call rejected")).collect();
    ensure!(
        rejected.len() == 1 && !rejected[0].contains("detail=\"\""),
        "{rejected:?}"
    );
    up.stop()
}

#[test]
fn command_keeps_the_logs_of_its_processes_if_it_fails() -> anyhow::Result<()> {
    let mut place = place()?;
    inspect(&place)?;
    let dir = place.path(".synapsor/logs");
    assert_eq!(logs(&dir)?, BTreeSet::from([dir.join("ledger.log")]));
    place.set("BILLING_READ_URL", "sqlite:///missing/billing.db");
    let failing = ["smoke", "call", "billing.inspect_invoice", "--input", "call.json"];
    place
        .run(&failing)?
        .expect_failure(2, "SOURCE_FILE_MISSING", &[])?;
    let left = logs(&dir)?;
    assert_eq!(left.len(), 2, "{left:?}");
    let reader = left
        .iter()
        .find(|path| path.to_string_lossy().contains("reader-"));
    ensure!(fs::read_to_string(reader.context("a reader's log")?)?.contains("SOURCE_FILE_MISSING"));
    Ok(())
}

#[test]
fn full_log_becomes_the_older_part_while_its_process_runs() -> anyhow::Result<()> {
    let place = place()?;
    let up = Up::start(&place)?;
    let log = up.log("ledger")?;
    let older = PathBuf::from(format!("{}.1", log.display()));
    let before = fs::read(&log)?;
    File::options().append(true).open(&log)?.set_len(LOG_BYTES_MAX)?;
    until(LIMIT, || {
        Ok(fs::metadata(&log)?.len() < LOG_BYTES_MAX && older.exists())
    })?;
    let bytes = fs::read(&older)?;
    assert_eq!(bytes.len() as u64, LOG_BYTES_MAX);
    ensure!(bytes.starts_with(&before), "the older part has the earlier lines");
    // The ledger reports the lease stream of the next writer.
    kill_process(up.pid("writer")?, Signal::KILL)?;
    until(LIMIT, || {
        Ok(fs::read_to_string(&log)?.contains("lease stream opened"))
    })?;
    inspect(&place)?;
    up.stop()
}

#[test]
fn log_without_room_for_its_older_part_is_a_warning() -> anyhow::Result<()> {
    if let Err(reason) = namespaces::try_mount() {
        return namespaces::missing("logs on a small disk", &reason);
    }
    let place = place()?;
    inspect(&place)?;
    let full = place.path("full");
    ensure!(Command::new("mkfifo").arg(&full).status()?.success());
    let text = |path: &Path| path.display().to_string();
    let mut arguments = namespaces::unshare_mounts();
    arguments.extend(["/bin/sh", "-c", ON_A_SMALL_DISK, "sh"].map(str::to_owned));
    arguments.extend([text(&place.path(".synapsor/logs")), text(&full)]);
    let runner = place.command(&["up", "--serve", "--port", "0", "--json"])?;
    let mut command = Command::new(&arguments[0]);
    command
        .args(&arguments[1..])
        .arg(runner.get_program())
        .args(runner.get_args())
        .current_dir(place.folder())
        .env_clear()
        .envs(place.environment.iter().map(|(name, value)| (name, value)))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    // The ledger of the first command has its log elsewhere.
    place.wait_until_alone(LIMIT)?;
    let mut up = Up::of(Running::of(command, &["up"])?)?;
    fs::write(&full, "\n")?;
    until(LIMIT, || Ok(up.running.printed()?.1.contains("log not rotated")))?;
    let written = up.running.printed()?.1;
    ensure!(!written.contains("restarting it"), "{written}");
    let id = place.propose(INVOICE, "goodwill")?;
    place.ok(&["proposals", "approve", &id, "--yes"])?;
    place.ok(&["apply", &id])?;
    for name in ["ledger", "reader", "writer", "gateway"] {
        ensure!(
            rustix::process::test_kill_process(up.pid(name)?).is_ok(),
            "the {name} ended"
        );
    }
    up.stop()
}
