//! The whole loop as a container runs it: an account without a name, no HOME, and a file system that is read-only except
//! for the directory of the user.

use std::os::unix::fs::chown;
use std::process::Command;

use serde_json::json;
use synapsor_e2e::account::is_root;
use synapsor_e2e::cli::{CliFixture, CommandOutput, INVOICE, Running};
use synapsor_e2e::namespaces;

/// An account that no machine has.
const UID: u32 = 123_456;
const MOUNTS: &str = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro / && cd \"$1\" && shift && \
    exec setpriv --reuid 123456 --regid 123456 --clear-groups --bounding-set -all -- \"$@\"";
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Runs a command of the CLI under that account.
fn run(place: &CliFixture, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
    let inner = place.command(arguments)?;
    let mut command = Command::new("/usr/bin/unshare");
    command
        .args(["-m", "--", "sh", "-c", MOUNTS, "sh"])
        .arg(place.folder());
    command.arg(inner.get_program()).args(inner.get_args());
    command.current_dir(place.folder()).env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(place.environment.iter().map(|(name, value)| (name, value)));
    let ran = Running::of(command, arguments)?.end(LIMIT)?;
    ran.expect(0)?;
    Ok(ran)
}

#[test]
fn any_account_works_on_a_read_only_file_system() -> anyhow::Result<()> {
    if !is_root() {
        namespaces::left_out(format_args!(
            "another account on a read-only file system: only root can"
        ));
        return Ok(());
    }
    if let Err(reason) = namespaces::try_mount() {
        return namespaces::missing("read-only file system", &reason);
    }
    let place = CliFixture::new()?;
    chown(place.folder(), Some(UID), Some(UID))?;
    for name in place.listing()? {
        chown(place.path(&name), Some(UID), Some(UID))?;
    }
    let call = json!({"invoice_id": INVOICE, "reason": "goodwill"}).to_string();
    place.write("call.json", &call)?;
    run(&place, &["config", "validate"])?;
    run(
        &place,
        &[
            "propose",
            "billing.propose_late_fee_waiver",
            "--input",
            "call.json",
        ],
    )?;
    run(&place, &["proposals", "approve", "latest", "--yes"])?;
    let applied = run(&place, &["apply", "latest", "--json"])?.object()?;
    assert_eq!(applied["status"], json!("applied"), "{applied}");
    run(&place, &["writeback", "doctor", "--check-db"])?;
    run(&place, &["ledger", "verify"])?;
    Ok(())
}
