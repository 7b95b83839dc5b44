//! Files of `init`: the contract, and beside it example variables, snippets for MCP clients and the input of a first
//! call. Nothing is written if one of them exists already.

use std::fs;
use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError, MODE_PUBLIC};
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::scaffold::GeneratedContract;

use super::OutputFlags;
use crate::commands::client_config;
use crate::output::safe;
use crate::{Context, contract_file};

const ENV_EXAMPLE: &str = ".env.example";
/// Directory of the state, which is created later and keeps what is in it.
const STATE: &str = ".synapsor";
/// Directory in it for contracts whose file has another name than the default.
const OTHERS: &str = "contracts";
const SNIPPETS: &str = "mcp";
const SMOKE_INPUT: &str = "smoke-input.json";

/// What this run has created so far.
#[derive(Default)]
struct Created {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
}

impl Created {
    /// Removes it, and returns the error with what became of it. A directory that has other content stays.
    fn removed_after(&self, error: &FileError) -> ExitError {
        let files = self.files.iter().filter(|path| fs::remove_file(path).is_err());
        let left: Vec<String> = files.map(|path| safe(&path.to_string_lossy())).collect();
        for directory in self.directories.iter().rev() {
            // Another program may have put a file into it.
            let _ = fs::remove_dir(directory);
        }
        let outcome = if left.is_empty() {
            "files that this command created are removed".to_owned()
        } else {
            format!("cannot remove {}", left.join(", "))
        };
        ExitError::new(error.code(), format!("{error}; {outcome}")).with_fix(error.fix())
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Paths of the output files.
pub(super) struct OutputPaths {
    pub(super) contract: PathBuf,
    pub(super) env_example: PathBuf,
    /// Whether the file of example variables was there and is kept.
    pub(super) keeps_example: bool,
    pub(super) snippets: PathBuf,
    pub(super) smoke_input: PathBuf,
    /// Private directories that have to exist, outermost first.
    directories: Vec<PathBuf>,
}

impl OutputPaths {
    pub(super) fn of(flags: &OutputFlags, context: &Context) -> Result<Self, ExitError> {
        let contract = flags
            .output
            .clone()
            .unwrap_or_else(|| contract_file::path(&context.global));
        let Some(stem) = contract.file_stem() else {
            return Err(
                ExitError::new(ErrorCode::OutputInvalid, "--output is not a file path")
                    .with_fix("pass --output synapsor.runner.json"),
            );
        };
        let state = contract.with_file_name(STATE);
        let mut directories = vec![state.clone()];
        let is_default = contract.file_name() == Some(contract_file::NAME_DEFAULT.as_ref());
        let own = if is_default {
            state
        } else {
            let others = state.join(OTHERS);
            let own = others.join(stem);
            directories.extend([others, own.clone()]);
            own
        };
        let snippets = own.join(SNIPPETS);
        directories.push(snippets.clone());
        Ok(Self {
            env_example: contract.with_file_name(ENV_EXAMPLE),
            keeps_example: false,
            smoke_input: own.join(SMOKE_INPUT),
            snippets,
            directories,
            contract,
        })
    }

    /// Rejects the command if a file exists that it would write. Example variables that are there are kept instead:
    /// applications have a file of that name.
    pub(super) fn refuse_existing(&self) -> Result<(), ExitError> {
        let mut all = vec![self.contract.clone(), self.smoke_input.clone()];
        all.extend(client_config::SNIPPET_FILES.map(|name| self.snippets.join(name)));
        let names: Vec<String> = all
            .iter()
            .filter(|path| is_there(path))
            .map(|path| safe(&path.to_string_lossy()))
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        let verb = if names.len() == 1 { "exists" } else { "exist" };
        let text = format!("{} already {verb}", names.join(", "));
        Err(ExitError::new(ErrorCode::FileExists, text)
            .with_fix(
            "pass --force to replace them, --add to add a table to the contract, another --output, or --dry-run to preview",
        ))
    }

    /// Writes the files.
    pub(super) fn write(
        &mut self,
        drafted: &GeneratedContract,
        replaces: bool,
        context: &Context,
    ) -> Result<(), ExitError> {
        if !replaces {
            self.refuse_existing()?;
        }
        let snippets = client_config::stdio_snippets(&self.contract, context)?;
        self.check_directories()?;
        self.keeps_example = !replaces && is_there(&self.env_example);
        let mut texts = vec![(self.contract.clone(), drafted.contract.clone())];
        if !self.keeps_example {
            texts.push((self.env_example.clone(), drafted.env_example.clone()));
        }
        texts.extend(
            snippets
                .into_iter()
                .map(|(name, text)| (self.snippets.join(name), text)),
        );
        if drafted.names_row {
            texts.push((self.smoke_input.clone(), format!("{}\n", drafted.read_input)));
        }
        let mut created = Created::default();
        self.write_all(&texts, &mut created)
            .map_err(|error| created.removed_after(&error))
    }

    fn write_all(&self, texts: &[(PathBuf, String)], created: &mut Created) -> Result<(), FileError> {
        for directory in &self.directories {
            let is_new = !is_there(directory);
            files::create_private_dir(directory)?;
            if is_new {
                created.directories.push(directory.clone());
            }
        }
        for (path, text) in texts {
            let is_new = !is_there(path);
            files::write_atomic(path, text.as_bytes(), MODE_PUBLIC)?;
            if is_new {
                created.files.push(path.clone());
            }
        }
        Ok(())
    }

    /// Rejects directories that other users can write to, before anything is written.
    fn check_directories(&self) -> Result<(), ExitError> {
        for directory in &self.directories {
            match files::check_private_dir(directory) {
                Ok(()) | Err(FileError::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
