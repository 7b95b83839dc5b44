//! `replay`: shows and exports the verified history of one proposal.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::replay::{ReplayReport, markdown};

use crate::Context;
use crate::connection::LedgerConnection;
use crate::output;
use crate::readable;
use crate::workflows::{self, VerifiedReplay};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the replay of a proposal
    #[command(after_help = "Example:\n  synapsor-runner replay show latest\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked")]
    Show(Show),
    /// Export the replay; the default format includes proofs and is checked by `bundle verify`
    #[command(
        after_help = "Examples:\n  synapsor-runner replay export latest --output replay.json\n  \
        synapsor-runner replay export wrp_4f2a --format markdown --output replay.md\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked"
    )]
    Export(Export),
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Proposal id, id prefix, short code, `replay_<id>`, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Same as the argument
    #[arg(
        long = "proposal",
        visible_alias = "replay",
        value_name = "ID",
        conflicts_with = "proposal"
    )]
    named: Option<String>,
    /// Accepted for 0.1.x; no effect
    #[arg(long, visible_alias = "debug", hide = true)]
    details: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Proposal id, id prefix, short code, `replay_<id>`, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
    /// Same as the argument
    #[arg(
        long = "proposal",
        visible_alias = "replay",
        value_name = "ID",
        conflicts_with = "proposal"
    )]
    named: Option<String>,
    /// Output file [default: stdout]
    #[arg(long, visible_alias = "out", value_name = "FILE")]
    output: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = ExportFormat::Json)]
    format: ExportFormat,
}

/// Format of an exported replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// Bundle: every record with its proof
    Json,
    /// Same as json
    Bundle,
    /// Human-readable, without proofs
    Markdown,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::Show(args) => show(args, &session, context).await,
        Command::Export(args) => export(args, &session, context).await,
    };
    session.close().await;
    done
}

async fn show(args: &Show, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let replayed = workflows::replay(session, reference(args.named.as_deref(), &args.proposal)).await?;
    let VerifiedReplay { verified, .. } = &replayed;
    if context.global.json {
        let size = verified.checkpoint.size;
        output::json(
            &json!({ "replay": verified.story, "findings": verified.findings, "verified_at_size": size }),
        )?;
        return Ok(Exit::Ok);
    }
    output::text(&page(&verified.story))?;
    output::line(format!(
        "\nVerified against the trust file in a log of {} events.",
        verified.checkpoint.size
    ))?;
    for finding in &verified.findings {
        output::line(format!("note: {}", output::safe(finding)))?;
    }
    Ok(Exit::Ok)
}

async fn export(args: &Export, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let replayed = workflows::replay(session, reference(args.named.as_deref(), &args.proposal)).await?;
    let bytes = match args.format {
        ExportFormat::Json | ExportFormat::Bundle => bundle_bytes(&replayed)?,
        ExportFormat::Markdown => page(&replayed.verified.story).into_bytes(),
    };
    write(args.output.as_deref(), &bytes, context)?;
    Ok(Exit::Ok)
}

/// Returns the replay as Markdown, with the reasons of decisions as every other command prints them.
pub(super) fn page(story: &ReplayReport) -> String {
    markdown(story, readable::in_one_line)
}

/// Serializes the bundle for `bundle verify`, with a final line feed.
pub(super) fn bundle_bytes(replayed: &VerifiedReplay) -> Result<Vec<u8>, ExitError> {
    let mut bytes = replayed
        .bundle
        .to_bytes()
        .map_err(|e| ExitError::new(e.code(), e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Writes to the file with mode 0600, because it holds business values; without a file, to stdout.
pub(super) fn write(path: Option<&Path>, bytes: &[u8], context: &Context) -> Result<(), ExitError> {
    let Some(path) = path else {
        return output::raw(bytes);
    };
    files::write_atomic(path, bytes, MODE_PRIVATE)?;
    if context.global.json {
        return output::json(&json!({ "output": path.display().to_string(), "bytes": bytes.len() }));
    }
    output::note(format!("wrote {} ({} bytes)", path.display(), bytes.len()));
    Ok(())
}

/// Maps a replay id to its proposal id.
fn reference<'a>(named: Option<&'a str>, proposal: &'a str) -> &'a str {
    let name = named.unwrap_or(proposal);
    name.strip_prefix("replay_").unwrap_or(name)
}
