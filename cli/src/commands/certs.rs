//! `certs issue|list`: leaf certificates of the development CA, for services and operators on other machines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value as Json, json};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files;
use synapsor_chassis::identity::{PeerIdentity, Role};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::tls::dev_ca::{self, IssuedLeaf};
use synapsor_codes::ErrorCode;
use synapsor_domain::timestamp::Timestamp;

use crate::{Context, output, state};

const HOURS_DEFAULT: u32 = 24;
const HOURS_MAX: i64 = 24 * 365;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Issue a certificate
    #[command(
        after_help = "Example: synapsor-runner certs issue operator alice --out /tmp/alice\n\
        Exit codes: 0 ok, 1 failure, 2 usage"
    )]
    Issue {
        /// gateway, reader, writer, ledger or operator
        role: Role,
        /// Instance or operator name in the certificate; for a ledger, `ledger`
        name: String,
        /// Directory for NAME.pem, NAME.key and ca.pem [default: certs/issued/NAME in the state directory]
        #[arg(long, value_name = "DIR", visible_alias = "output")]
        out: Option<PathBuf>,
        /// Certificate validity
        #[arg(long, value_name = "HOURS", default_value_t = HOURS_DEFAULT,
            value_parser = clap::value_parser!(u32).range(1..=HOURS_MAX))]
        hours: u32,
        /// Certificate validity in minutes, instead of hours
        #[arg(long, value_name = "MINUTES", conflicts_with = "hours",
            value_parser = clap::value_parser!(u32).range(1..=HOURS_MAX * 60))]
        minutes: Option<u32>,
    },
    /// List issued certificates and their expiry
    #[command(
        after_help = "Example: synapsor-runner certs list --json\nExit codes: 0 ok, 1 failure, 2 usage"
    )]
    List {
        /// Directory to read, with the directories in it [default: certs/issued in the state directory]
        #[arg(long, value_name = "DIR", visible_alias = "output")]
        out: Option<PathBuf>,
    },
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Issue {
            role,
            name,
            out,
            hours,
            minutes,
        } => {
            let minutes = minutes.unwrap_or(*hours * 60);
            issue(*role, name, out.as_ref(), minutes, context)
        }
        Command::List { out } => list(out.as_ref(), context),
    }
}

fn issue(
    role: Role,
    name: &str,
    out: Option<&PathBuf>,
    minutes: u32,
    context: &Context,
) -> Result<Exit, ExitError> {
    if PeerIdentity::new("name", Role::Operator, Some(name)).is_err() || name.eq_ignore_ascii_case("ca") {
        return Err(ExitError::new(
            ErrorCode::CertificateNameInvalid,
            format!("invalid certificate name `{}`", output::safe(name)),
        )
        .with_fix(
            "use 1 to 63 of letters, digits, `.`, `_` and `-`, starting with a letter or a digit; not `ca`",
        ));
    }
    let state = state::find(context)?;
    let dir = match out {
        Some(dir) => dir.clone(),
        None => {
            files::create_private_dir(&state.issued_certs_dir())?;
            state.issued_certs_dir().join(name)
        }
    };
    refuse_shared(role, name, &dir)?;
    let instance = role.has_instance().then_some(name);
    let ttl = Duration::from_secs(u64::from(minutes) * 60);
    let leaf = state
        .authority()?
        .issue(role, instance, ttl, SystemClock.now_ms())?;
    let files = leaf.write(&dir, name)?;
    let shown = [("ca", &files.ca), ("cert", &files.cert), ("key", &files.key)];
    if context.global.json {
        let paths: serde_json::Map<String, Json> = shown
            .iter()
            .map(|(what, path)| ((*what).to_owned(), json!(path.to_string_lossy())))
            .collect();
        output::json(&json!({ "ok": true, "identity": leaf.identity().uri(), "files": paths }))?;
    } else {
        let (number, unit) = match (minutes % 60, minutes) {
            (0, 60) => (1, "hour"),
            (0, _) => (minutes / 60, "hours"),
            (_, 1) => (1, "minute"),
            _ => (minutes, "minutes"),
        };
        output::line(format!("issued {} for {number} {unit}", leaf.identity().uri()))?;
        for (what, path) in shown {
            output::line(format!("  --{what} {}", output::safe(&path.to_string_lossy())))?;
        }
    }
    Ok(Exit::Ok)
}

/// Rejects a directory that a gateway would share with others: its sandbox opens the directory of its certificate.
fn refuse_shared(role: Role, name: &str, dir: &Path) -> Result<(), ExitError> {
    let others = leaves_in(dir)?.into_iter().filter(|leaf| leaf.name != name);
    let shared = others.filter(|leaf| role == Role::Gateway || leaf.identity.role() == Role::Gateway);
    match shared.map(|leaf| leaf.name).next() {
        None => Ok(()),
        Some(other) => Err(ExitError::new(
            ErrorCode::CertificateDirectoryShared,
            format!(
                "{} holds the certificate `{}`, and a gateway's certificate has a directory of its own",
                output::safe(&dir.to_string_lossy()),
                output::safe(&other)
            ),
        )
        .with_fix("pass another directory with --out")),
    }
}

fn leaves_in(dir: &Path) -> Result<Vec<IssuedLeaf>, ExitError> {
    match dir.exists() {
        true => Ok(dev_ca::list(dir)?),
        false => Ok(Vec::new()),
    }
}

/// Returns the certificates of a directory and of the directories in it.
pub(super) fn leaves_below(dir: &Path) -> Result<Vec<IssuedLeaf>, ExitError> {
    let mut leaves = leaves_in(dir)?;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            leaves.extend(leaves_in(&entry.path())?);
        }
    }
    leaves.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(leaves)
}

fn list(out: Option<&PathBuf>, context: &Context) -> Result<Exit, ExitError> {
    let dir = match out {
        Some(dir) => dir.clone(),
        None => state::find(context)?.issued_certs_dir(),
    };
    let leaves = leaves_below(&dir)?;
    let now_ms = SystemClock.now_ms();
    if context.global.json {
        let list: Vec<Json> = leaves
            .iter()
            .map(|leaf| {
                json!({
                    "name": leaf.name, "identity": leaf.identity.uri(),
                    "not_after": Timestamp::from_unix_millis(leaf.not_after_ms), "expired": leaf.not_after_ms < now_ms,
                })
            })
            .collect();
        output::json(&json!({ "ok": true, "dir": dir.to_string_lossy(), "certificates": list }))?;
        return Ok(Exit::Ok);
    }
    for leaf in &leaves {
        let end = Timestamp::from_unix_millis(leaf.not_after_ms);
        let word = if leaf.not_after_ms < now_ms {
            "ended"
        } else {
            "ends"
        };
        output::line(format!(
            "{}  {}  {word} {end}",
            output::safe(&leaf.name),
            leaf.identity.uri()
        ))?;
    }
    if leaves.is_empty() {
        output::note(none_found(&dir, out.is_none()));
    }
    Ok(Exit::Ok)
}

fn none_found(dir: &Path, is_default: bool) -> String {
    let what = if is_default {
        "no certificates from `certs issue` without --out"
    } else {
        "no certificates"
    };
    let dir = output::safe(&dir.to_string_lossy());
    format!("{what} in {dir} and the directories in it")
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::settings::EnvVars;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::Global;
    use crate::supervisor::CommandLogs;

    #[test]
    fn list_has_the_certificates_that_issue_writes_by_default() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context {
            global: Global {
                store: Some(folder.path().join(".synapsor").join("local.db")),
                ..Global::default()
            },
            env: EnvVars::fixed([("USER", "ann")]),
            stop: CancellationToken::new(),
            logs: CommandLogs::default(),
        };
        let dir = state::find_or_create(&context).unwrap().issued_certs_dir();
        assert!(leaves_below(&dir).unwrap().is_empty());
        assert!(none_found(&dir, true).contains(&*dir.to_string_lossy()));
        issue(Role::Operator, "ann", None, 60, &context).unwrap();
        let leaves = leaves_below(&dir).unwrap();
        assert_eq!(leaves.iter().map(|leaf| &*leaf.name).collect::<Vec<_>>(), ["ann"]);
    }
}
