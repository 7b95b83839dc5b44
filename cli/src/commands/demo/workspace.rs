//! Demo directory: sample database, contract, and the variables of the demo processes.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::{files, random};
use synapsor_codes::ErrorCode;
use tokio::process::Command;

use crate::supervisor::CommandLogs;
use crate::{Context, Global, output, supervisor};

const CONTRACT: &str = include_str!("../../../assets/demo.runner.json");
/// Sample database in the demo directory.
pub(super) const DATABASE: &str = "billing.db";
const TENANT: &str = "acme";
const PRINCIPAL: &str = "support-agent";
/// Variables of this process that the demo supervisor inherits.
const KEPT: [&str; 4] = ["USER", "LOGNAME", "SYNAPSOR_LOG_LEVEL", "SYNAPSOR_LOG_FORMAT"];

/// A private temporary directory, removed at the end unless it is kept.
#[derive(Debug)]
pub(super) struct DemoWorkspace {
    dir: PathBuf,
    keep: bool,
    context: Context,
}

impl DemoWorkspace {
    pub(super) async fn build(context: &Context, keep: bool) -> Result<Self, ExitError> {
        let dir = temporary_dir(&std::env::temp_dir())?;
        let database = dir.join(DATABASE);
        let contract = dir.join("synapsor.runner.json");
        let url = format!("sqlite://{}", database.display());
        let mut variables = vec![
            ("BILLING_READ_URL".to_owned(), url.clone()),
            ("BILLING_WRITE_URL".to_owned(), url),
            ("BILLING_TENANT".to_owned(), TENANT.to_owned()),
            ("BILLING_PRINCIPAL".to_owned(), PRINCIPAL.to_owned()),
        ];
        for name in KEPT {
            variables.extend(context.env.get(name)?.map(|value| (name.to_owned(), value)));
        }
        let global = Global {
            config: Some(contract.clone()),
            store: Some(dir.join(".synapsor").join("local.db")),
            json: context.global.json,
            no_color: context.global.no_color,
            ..Global::default()
        };
        let env = EnvVars::fixed(variables);
        // From here on the directory is removed on every path.
        let workspace = Self {
            dir,
            keep,
            context: Context {
                global,
                env,
                stop: context.stop.clone(),
                // They stay or are removed with the directory.
                logs: CommandLogs::default(),
            },
        };
        files::write_atomic(&contract, CONTRACT.as_bytes(), files::MODE_PRIVATE)?;
        make_sample(&database).await?;
        Ok(workspace)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Shell line that continues in the demo directory.
    pub(super) fn enter(&self) -> String {
        enter(&self.dir)
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }
}

/// Shell line that continues in this demo directory.
pub(super) fn enter(dir: &Path) -> String {
    let url = output::shell_word(&format!("sqlite://{}/{DATABASE}", dir.display()));
    let dir = output::shell_word(&dir.to_string_lossy());
    format!(
        "cd {dir} && export BILLING_READ_URL={url} BILLING_WRITE_URL={url} \
         BILLING_TENANT={TENANT} BILLING_PRINCIPAL={PRINCIPAL}"
    )
}

impl Drop for DemoWorkspace {
    fn drop(&mut self) {
        if !self.keep {
            // The directory is temporary, so a failed removal is ignored.
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

fn temporary_dir(parent: &Path) -> Result<PathBuf, ExitError> {
    let dir = parent.join(format!("synapsor-demo-{}", random::hex_id(12)));
    files::create_private_dir(&dir).map_err(|error| {
        let text = format!("no demo directory in {}: {}", parent.display(), error.about(&dir));
        ExitError::new(ErrorCode::StateNotCreated, text)
            .with_fix("set TMPDIR to a directory that exists and that this user can write to")
    })?;
    Ok(dir)
}

/// The CLI opens no database; the executor creates the sample.
async fn make_sample(path: &Path) -> Result<(), ExitError> {
    let mut command = Command::new(supervisor::binary_path("synapsor-executor")?);
    command
        .args(["sample", "--path"])
        .arg(path)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let failed = |why: String| {
        ExitError::new(
            ErrorCode::SampleNotMade,
            format!("sample database not created: {why}"),
        )
    };
    let output = command
        .output()
        .await
        .map_err(|error| failed(error.kind().to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(failed(message.lines().last().unwrap_or("no output").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_temporary_directory_names_its_variable() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("missing");
        let failure = temporary_dir(&missing).unwrap_err();
        assert!(
            failure.message().contains(&*missing.to_string_lossy()),
            "{failure}"
        );
        assert!(failure.fix().unwrap().contains("TMPDIR"));
    }
}
