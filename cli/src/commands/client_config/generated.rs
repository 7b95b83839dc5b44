//! Snippets for several clients as files, which `init` writes beside a new contract.

use std::path::{Path, PathBuf};

use clap::FromArgMatches as _;
use synapsor_chassis::run::ExitError;
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::server::McpServerEntry;
use super::snippet::Snippet;
use super::{Args, TransportArg};
use crate::Context;
use crate::supervisor::CommandLogs;

/// Store of a generated contract.
const STORE: &str = "./.synapsor/local.db";

/// Names of the files, in the order of [`stdio_snippets`].
pub(in crate::commands) const SNIPPET_FILES: [&str; 4] = [
    "generic-stdio.json",
    "claude-desktop.json",
    "cursor.json",
    "vscode.json",
];

/// Returns the snippets by file name, as `mcp config` prints them for a contract at `path`. The file need not exist.
pub(in crate::commands) fn stdio_snippets(
    path: &Path,
    context: &Context,
) -> Result<Vec<(&'static str, String)>, ExitError> {
    let mut global = context.global.clone();
    global.config = Some(path.to_owned());
    global.store = global.store.or_else(|| Some(PathBuf::from(STORE)));
    let of_contract = Context {
        global,
        env: context.env.clone(),
        stop: CancellationToken::new(),
        logs: CommandLogs::default(),
    };
    let clients = [
        Client::Generic,
        Client::ClaudeDesktop,
        Client::Cursor,
        Client::Vscode,
    ];
    let snippet = |(name, client): (&'static str, Client)| {
        let args = defaults(client);
        let entry = McpServerEntry::of(&args, client, TransportArg::Stdio, &of_contract)?;
        Ok((name, Snippet::of(client, &args.name, &entry.way).text()?))
    };
    SNIPPET_FILES.into_iter().zip(clients).map(snippet).collect()
}

/// The options of `mcp config CLIENT`.
fn defaults(client: Client) -> Args {
    let command = <Args as clap::Args>::augment_args(clap::Command::new("config"));
    let matches = command.get_matches_from(["config", client.as_str()]);
    Args::from_arg_matches(&matches).expect("the options have defaults")
}
