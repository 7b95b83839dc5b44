//! Inserts the snippet into the client's file, removes it, or checks for it. Other content is preserved, and a
//! backup stays beside the file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use similar::TextDiff;
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::files;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::telemetry::redact;
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::timestamp::Timestamp;

use super::client::Client;
use super::{Args, Setup, file};
use crate::{Context, output};

/// Lines of context shown around a change.
const CONTEXT_LINES: usize = 2;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Client configuration file")]
pub(crate) struct InstallOptions {
    /// Add the server to the client's configuration file; other entries are preserved
    #[arg(long, group = "act")]
    write: bool,
    /// Remove the server from the client's configuration file; other entries are preserved
    #[arg(long, group = "act")]
    uninstall: bool,
    /// Check whether the client's file has this server; changes nothing
    #[arg(long, group = "act")]
    status: bool,
    /// Client's configuration file [default: the client's own path]
    #[arg(long, value_name = "PATH", requires = "act")]
    destination: Option<PathBuf>,
    /// Skip the prompt
    #[arg(long, requires = "act")]
    yes: bool,
    /// Show the changes without writing them
    #[arg(long, requires = "act", conflicts_with = "status")]
    dry_run: bool,
}

/// Operation on the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InstallAction {
    Write,
    Uninstall,
}

impl InstallAction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Uninstall => "uninstall",
        }
    }
}

/// Path of the client's file, from the command line or the client's default.
pub(super) fn destination(
    args: &Args,
    setup: &Setup,
    context: &Context,
) -> Result<Option<PathBuf>, ExitError> {
    match &args.install.destination {
        Some(path) => Ok(Some(path.clone())),
        None => setup.client.destination(&context.env),
    }
}

/// Runs the operation on the client's file that the options select; `None` if they select none.
pub(super) fn run(args: &Args, setup: &Setup, context: &Context) -> Result<Option<Exit>, ExitError> {
    let options = &args.install;
    if !(options.write || options.uninstall || options.status) {
        return Ok(None);
    }
    if setup.client == Client::OpenaiAgents {
        return Err(ExitError::new(
            ErrorCode::ClientHasNoFile,
            "openai-agents is set up in a program, not in a file",
        )
        .with_fix("remove the option and add the printed code to your program"));
    }
    let Some(path) = destination(args, setup, context)? else {
        return Err(no_destination(setup.client));
    };
    let before = read(&path)?;
    let exit = if options.status {
        status(&path, before.as_deref(), setup, context)?
    } else {
        let act = if options.write {
            InstallAction::Write
        } else {
            InstallAction::Uninstall
        };
        change(act, &path, before.as_deref(), (args, setup), context)?
    };
    Ok(Some(exit))
}

fn no_destination(client: Client) -> ExitError {
    let mut text = format!("configuration file path of {} unknown", client.as_str());
    let mut fix = "pass --destination PATH".to_owned();
    let variables = client.destination_variables().join(" or ");
    if !variables.is_empty() {
        text.push_str(&format!(": {variables} is not set"));
        fix.push_str(&format!(", or set {variables}"));
    }
    ExitError::new(ErrorCode::ClientDestinationNeeded, text).with_fix(fix)
}

/// Reads the file; `None` if it does not exist. The target of a symbolic link is not ours to replace.
fn read(path: &Path) -> Result<Option<String>, ExitError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if metadata.is_symlink() => {
            let text = format!("{} is a symbolic link", path.display());
            return Err(ExitError::new(ErrorCode::ClientFileIsLink, text)
                .with_fix("pass the link's target with --destination"));
        }
        Ok(_) | Err(_) => {}
    }
    let bytes = files::read_bounded(path, FILE_BYTES_MAX as u64)?;
    String::from_utf8(bytes).map(Some).map_err(|_| {
        ExitError::new(
            ErrorCode::ClientFileUnparsable,
            format!("{} is not UTF-8 text", path.display()),
        )
        .with_fix(file::UNPARSABLE_FIX)
    })
}

fn status(path: &Path, text: Option<&str>, setup: &Setup, context: &Context) -> Result<Exit, ExitError> {
    let entry = match text {
        Some(text) => file::entry(text, &setup.snippet)?,
        None => None,
    };
    let is_same = entry.as_ref().map(|entry| file::is_same(entry, &setup.snippet));
    let command = entry.as_ref().and_then(|entry| entry.get("command")?.as_str());
    let found = match command {
        Some(command) => Some(is_found(command, context)?),
        None => None,
    };
    let is_ok = is_same == Some(true) && found != Some(false);
    if context.global.json {
        output::json(&json!({
            "ok": is_ok,
            "client": setup.client.as_str(),
            "name": setup.snippet.name,
            "destination": path.to_string_lossy(),
            "file_exists": text.is_some(),
            "installed": entry.is_some(),
            "matches": is_same,
            "command": command,
            "command_found": found,
        }))?;
    } else {
        let yes_no = |is: Option<bool>| match is {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        output::line(format!(
            "file       {}",
            output::statement(&path.to_string_lossy())
        ))?;
        output::line(format!("installed  {}", yes_no(Some(entry.is_some()))))?;
        output::line(format!("matches    {}", yes_no(is_same)))?;
        output::line(format!(
            "command    {} (found: {})",
            output::safe(command.unwrap_or("-")),
            yes_no(found)
        ))?;
    }
    Ok(if is_ok { Exit::Ok } else { Exit::Failure })
}

/// Whether a program of this name can be started here.
fn is_found(command: &str, context: &Context) -> Result<bool, ExitError> {
    let can_run = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if command.contains('/') {
        return Ok(can_run(Path::new(command)));
    }
    let path = context.env.get("PATH")?.unwrap_or_default();
    Ok(std::env::split_paths(&path).any(|folder| can_run(&folder.join(command))))
}

fn change(
    act: InstallAction,
    path: &Path,
    before: Option<&str>,
    (args, setup): (&Args, &Setup),
    context: &Context,
) -> Result<Exit, ExitError> {
    let text = before.unwrap_or_default();
    let after = match act {
        InstallAction::Write => file::merged(text, &setup.snippet)?,
        InstallAction::Uninstall => file::without(text, &setup.snippet)?,
    };
    let is_changed = after != text;
    let diff = diff(path, text, &after);
    let is_dry = args.install.dry_run;
    let backup = if is_changed && !is_dry {
        if !context.global.json {
            output::note(diff.trim_end());
        }
        confirm(args.install.yes, path)?;
        replace(path, before, &after)?
    } else {
        None
    };
    if context.global.json {
        output::json(&json!({
            "ok": true,
            "client": setup.client.as_str(),
            "name": setup.snippet.name,
            "action": act.as_str(),
            "destination": path.to_string_lossy(),
            "dry_run": is_dry,
            "changed": is_changed && !is_dry,
            "would_change": is_changed,
            "backup": backup.as_ref().map(|path| path.to_string_lossy()),
            "diff": diff,
        }))?;
        return Ok(Exit::Ok);
    }
    let shown = output::statement(&path.to_string_lossy());
    match (is_changed, is_dry, act) {
        (true, true, _) => output::text(&diff)?,
        (true, false, InstallAction::Write) => {
            output::line(format!("{shown} has the server {}", setup.snippet.name))?
        }
        (true, false, InstallAction::Uninstall) => {
            output::line(format!("{shown} no longer has the server {}", setup.snippet.name))?;
        }
        (false, _, InstallAction::Write) => {
            output::line(format!("{shown} already has the server; no changes written"))?
        }
        (false, _, InstallAction::Uninstall) => {
            output::line(format!("{shown} does not have the server; no changes written"))?
        }
    }
    if let Some(backup) = backup {
        output::line(format!(
            "backup: {}",
            output::statement(&backup.to_string_lossy())
        ))?;
    }
    if is_dry {
        output::note("no changes written");
    }
    Ok(Exit::Ok)
}

fn confirm(is_agreed: bool, path: &Path) -> Result<(), ExitError> {
    if is_agreed {
        return Ok(());
    }
    if !output::is_interactive() {
        return Err(output::no_terminal().with_fix("review the changes with --dry-run, then pass --yes"));
    }
    let answer = output::ask(&format!(
        "Change {}? Type yes:",
        output::statement(&path.to_string_lossy())
    ))?;
    if answer == "yes" {
        return Ok(());
    }
    Err(ExitError::new(ErrorCode::NotConfirmed, "no changes written"))
}

/// Replaces the file with the new text, keeping its permissions, and returns the path of the backup.
fn replace(path: &Path, before: Option<&str>, after: &str) -> Result<Option<PathBuf>, ExitError> {
    let Some(before) = before else {
        make_folder(path)?;
        files::create_exclusive(path, after.as_bytes())?;
        return Ok(None);
    };
    let backup = keep(path, before)?;
    // The client may have written the file in the meantime.
    if read(path)?.as_deref() != Some(before) {
        // The backup differs from the current file.
        let _ = fs::remove_file(&backup);
        let text = format!("{} was changed by another process", path.display());
        return Err(
            ExitError::new(ErrorCode::ClientFileChanged, text).with_fix("close the client and try again")
        );
    }
    files::replace(path, after.as_bytes())?;
    Ok(Some(backup))
}

/// Writes a timestamped backup beside the file with mode 0600: it may hold secrets of other servers.
fn keep(path: &Path, text: &str) -> Result<PathBuf, ExitError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let now = Timestamp::from_unix_millis(SystemClock.now_ms()).to_string();
    let stamp: String = now.chars().filter(char::is_ascii_alphanumeric).collect();
    let backup = path.with_file_name(format!("{name}.{stamp}.bak"));
    files::create_exclusive(&backup, text.as_bytes())?;
    Ok(backup)
}

/// Creates the directory of a new file if only that directory is missing.
fn make_folder(path: &Path) -> Result<(), ExitError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let text = format!(
                "cannot create the directory {}: {}",
                folder.display(),
                error.kind()
            );
            Err(ExitError::new(ErrorCode::ClientFolderMissing, text).with_fix(
                "start the client once, create the directory, or pass another path with --destination",
            ))
        }
    }
}

/// Formats the change of a file for display. Context lines may belong to other servers, so possible secrets are redacted.
pub(in crate::commands) fn diff(path: &Path, before: &str, after: &str) -> String {
    let name = path.to_string_lossy();
    let changes = TextDiff::from_lines(before, after);
    let shown = changes
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&name, &name)
        .to_string();
    let lines = shown
        .lines()
        .map(|line| output::statement(&redact::redact(line)) + "\n");
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_home_is_named_for_clients_with_a_file_in_it() {
        let codex = no_destination(Client::Codex);
        assert!(
            codex.message().contains("HOME or CODEX_HOME is not set"),
            "{codex}"
        );
        assert!(codex.fix().unwrap().contains("CODEX_HOME"), "{codex}");
        assert!(!no_destination(Client::Generic).message().contains("HOME"));
    }

    #[test]
    fn rejects_file_changed_by_the_client_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mcp.json");
        fs::write(&path, "the client's").unwrap();
        let failure = replace(&path, Some("what was read"), "ours").unwrap_err();
        assert_eq!(failure.code(), ErrorCode::ClientFileChanged);
        assert_eq!(fs::read_to_string(&path).unwrap(), "the client's");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn rejects_file_created_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/mcp.json");
        assert_eq!(replace(&path, None, "ours").unwrap(), None);
        let failure = replace(&path, None, "ours again").unwrap_err();
        assert_eq!(failure.code(), ErrorCode::FileExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
    }

    #[test]
    fn diff_redacts_secrets_of_other_servers() {
        let before = "{\n  \"a\": \"1\",\n  \"API_KEY\": \"SEKRIT\",\n  \"u\": \"https://u:SEKRIT@h/\"\n}\n";
        let shown = diff(
            Path::new("f"),
            before,
            &before.replace("\"a\": \"1\"", "\"a\": \"\u{1b}2\""),
        );
        assert!(
            shown.contains("-  \"a\": \"1\"") && shown.contains("API_KEY"),
            "{shown}"
        );
        assert!(!shown.contains("SEKRIT") && !shown.contains('\u{1b}'), "{shown}");
    }
}
