//! `replay`: lists, shows and exports the verified history of one proposal.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::{Proposal, ProposalState};
use synapsor_domain::replay::{ReplayReport, markdown};

use super::list_range::{self, RangeArgs};
use super::proposals::FilterArgs;
use super::replay_record;
use crate::Context;
use crate::connection::LedgerConnection;
use crate::output::{self, Table};
use crate::readable;
use crate::workflows::{self, VerifiedReplay};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the proposals that have a replay, newest first
    #[command(
        after_help = "Example:\n  synapsor-runner replay list --tenant acme --from 2d\n\n\
        Exit codes: 0 ok, 1 proposal or evidence not found, 2 usage, 6 ledger unreachable, 10 tampered"
    )]
    List(Box<List>),
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
pub(crate) struct List {
    #[command(flatten)]
    filter: FilterArgs,
    /// Filter by state, such as `applied`
    #[arg(long, visible_alias = "status")]
    state: Option<ProposalState>,
    /// Only the replay of this proposal; a receipt has the id of its proposal
    #[arg(long, visible_aliases = ["replay", "receipt"], value_name = "ID", conflicts_with = "evidence")]
    proposal: Option<String>,
    /// Only replays of proposals that cite this evidence
    #[arg(long, value_name = "ID")]
    evidence: Option<String>,
    #[command(flatten)]
    range: RangeArgs,
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
    /// The proposal that cites this evidence
    #[arg(long, value_name = "ID", conflicts_with_all = ["proposal", "named"])]
    evidence: Option<String>,
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
    /// The proposal that cites this evidence
    #[arg(long, value_name = "ID", conflicts_with_all = ["proposal", "named"])]
    evidence: Option<String>,
    /// Accepted for 0.1.x; no effect
    #[arg(long, visible_alias = "debug", hide = true)]
    details: bool,
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
        Command::List(args) => list(args, &session, context).await,
        Command::Show(args) => show(args, &session, context).await,
        Command::Export(args) => export(args, &session, context).await,
    };
    session.close().await;
    done
}

async fn list(args: &List, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let (rows, part) = match args.proposals(session).await? {
        Some(ids) => (args.of_ids(&ids, session).await?, None),
        None => {
            let found = args.filter.find(session, args.state, &args.range).await?;
            let rows = found.part.rows.iter();
            let rows = rows
                .map(|row| (row.attested.proposal().clone(), row.state))
                .collect();
            (rows, Some(found))
        }
    };
    if context.global.json {
        let replays = rows
            .iter()
            .map(|(proposal, state)| object(proposal, *state))
            .collect();
        let shown = match &part {
            Some(found) => list_range::object("replays", replays, &found.part),
            None => json!({ "replays": replays, "has_more": false, "next_before": null }),
        };
        output::json(&shown)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["REPLAY", "STATE", "ACTION", "ROW", "TENANT", "CREATED AT"]);
    for (p, state) in &rows {
        let object = format!(
            "{} {}",
            p.target.table,
            p.target.object_id().as_deref().unwrap_or("NULL")
        );
        table.row([
            format!("replay_{}", p.id).as_str(),
            state.as_str(),
            &p.capability,
            &object,
            &p.requested_by.tenant,
            &p.created_at.to_string(),
        ]);
    }
    output::line(table)?;
    if let Some(more) = part.and_then(|found| args.range.more_of(&found.part, found.total)) {
        output::line(more)?;
    }
    Ok(Exit::Ok)
}

impl List {
    /// Returns the ids that --proposal or --evidence selects; `None` without them.
    async fn proposals(&self, session: &LedgerConnection) -> Result<Option<Vec<String>>, ExitError> {
        if let Some(id) = &self.evidence {
            return Ok(Some(workflows::evidence(session, id).await?.1));
        }
        match self.proposal.as_deref() {
            Some(name) => Ok(Some(vec![
                workflows::proposal_filter(session, Some(reference(None, name))).await?,
            ])),
            None => Ok(None),
        }
    }

    /// Returns these proposals, verified one by one. The other filters do not apply to them.
    async fn of_ids(
        &self,
        ids: &[String],
        session: &LedgerConnection,
    ) -> Result<Vec<(Proposal, ProposalState)>, ExitError> {
        if !self.filter.is_empty() {
            let text = "--proposal and --evidence name single replays and take no other filter";
            return Err(ExitError::new(ErrorCode::OptionUnused, text).with_fix("remove the other filters"));
        }
        let mut rows = Vec::new();
        for id in ids {
            let view = workflows::fetch_proposal_by_reference(session, id).await?;
            if self.state.is_none_or(|state| state == view.state) {
                rows.push((view.attested.proposal().clone(), view.state));
            }
        }
        Ok(rows)
    }
}

fn object(p: &Proposal, state: ProposalState) -> Json {
    json!({
        "replay_id": format!("replay_{}", p.id),
        "proposal_id": p.id,
        "created_at": p.created_at,
        "state": state,
        "tenant_id": p.requested_by.tenant,
        "principal": p.requested_by.principal,
        "capability": p.capability,
        "business_object": p.target.table,
        "object_id": p.target.object_id(),
    })
}

/// Returns the proposal that a command names, or the one that cites the evidence.
async fn named(
    session: &LedgerConnection,
    evidence: Option<&str>,
    reference: &str,
) -> Result<String, ExitError> {
    let Some(id) = evidence else {
        return Ok(reference.to_owned());
    };
    let (found, proposals) = workflows::evidence(session, id).await?;
    proposals.into_iter().next().ok_or_else(|| {
        let text = format!("no proposal cites evidence {}", found.evidence.id);
        ExitError::new(ErrorCode::ProposalNotFound, text)
            .with_fix("show the evidence itself with `evidence show`")
    })
}

async fn show(args: &Show, session: &LedgerConnection, context: &Context) -> Result<Exit, ExitError> {
    let reference = reference(args.named.as_deref(), &args.proposal);
    let proposal = named(session, args.evidence.as_deref(), reference).await?;
    let replayed = workflows::replay(session, &proposal).await?;
    let VerifiedReplay { verified, .. } = &replayed;
    if context.global.json {
        output::json(&replay_record::object(verified))?;
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
    let reference = reference(args.named.as_deref(), &args.proposal);
    let proposal = named(session, args.evidence.as_deref(), reference).await?;
    let replayed = workflows::replay(session, &proposal).await?;
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
