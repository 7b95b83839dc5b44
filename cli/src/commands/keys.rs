//! `keys`: lists the keys of the trust file and retires a key at a verified tree head.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::signing::KeyId;
use synapsor_domain::trust::{KeyStanding, TrustFile};

use crate::connection::LedgerConnection;
use crate::output::{self, Table};
use crate::trust_edit::TrustEdit;
use crate::workflows::{self, Retirement};
use crate::{Context, state};

/// Fix for a key that the trust file does not hold.
const LIST_FIX: &str = "list the keys with `synapsor-runner keys list`";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the keys of the trust file and when they were retired
    #[command(after_help = "Example:\n  synapsor-runner keys list --json\n\nExit codes: 0 ok, 1 failure")]
    List,
    /// Retire a key: its signatures in the log stay valid, later ones are rejected
    #[command(
        after_help = "Examples:\n  synapsor-runner keys retire reader ed25519:4f2a...\n  \
        synapsor-runner keys retire writer ed25519:4f2a... --json\n\n\
        The command verifies a checkpoint and writes its size and root to the key's entry in the trust file. A\n\
        backup is kept. First make the process sign with its new key. A writer's key is retired only\n\
        when the log holds every receipt that it signed; its writer must be frozen or use another key.\n\
        Revoke a stolen key instead: `synapsor-runner operator revoke`.\n\n\
        Exit codes: 0 retired, 1 failure, 2 usage, 4 rejected, 6 ledger or writer unreachable, 10 tampered,\n\
        11 rolled back, 12 forked"
    )]
    Retire(Retire),
}

#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// Role of the key's owner
    #[arg(value_enum)]
    role: KeyRole,
    /// Key id, as printed by `keys list`
    key_id: KeyId,
}

/// Key lists of a trust file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyRole {
    Reader,
    Writer,
    Ledger,
    Operator,
}

impl KeyRole {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Ledger => "ledger",
            Self::Operator => "operator",
        }
    }

    const fn list(self) -> &'static str {
        match self {
            Self::Reader => "readers",
            Self::Writer => "writers",
            Self::Ledger => "ledgers",
            Self::Operator => "operators",
        }
    }
}

/// One key of the trust file.
struct Line<'a> {
    role: KeyRole,
    key_id: &'a KeyId,
    person: Option<&'a str>,
    standing: KeyStanding,
    revoked: bool,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::List => list(context)?,
        Command::Retire(args) => retire(&args, context).await?,
    }
    Ok(Exit::Ok)
}

fn lines(trust: &TrustFile) -> Vec<Line<'_>> {
    let services = [
        (KeyRole::Reader, &trust.readers),
        (KeyRole::Writer, &trust.writers),
        (KeyRole::Ledger, &trust.ledgers),
    ];
    let services = services.into_iter().flat_map(|(role, keys)| {
        keys.iter().map(move |key| Line {
            role,
            key_id: &key.key_id,
            person: None,
            standing: key.standing(),
            revoked: false,
        })
    });
    let operators = trust.operators.iter().map(|key| Line {
        role: KeyRole::Operator,
        key_id: &key.key_id,
        person: Some(&key.person),
        standing: key.standing(),
        revoked: key.revoked,
    });
    services.chain(operators).collect()
}

impl Line<'_> {
    fn status(&self) -> &'static str {
        match self.standing {
            _ if self.revoked => "revoked",
            KeyStanding::InUse => "in use",
            KeyStanding::Retired(_) => "retired",
        }
    }

    fn json(&self) -> Json {
        let head = match self.standing {
            KeyStanding::Retired(head) => head,
            KeyStanding::InUse => None,
        };
        json!({
            "role": self.role.as_str(),
            "key_id": self.key_id,
            "person": self.person,
            "status": self.status(),
            "retired_at_size": head.map(|head| head.size),
            "retired_at_root": head.map(|head| hex::encode(head.root)),
        })
    }
}

fn list(context: &Context) -> Result<(), ExitError> {
    let trust = state::load_trust(&state::trust_path(context)?)?;
    let lines = lines(&trust);
    if context.global.json {
        let keys: Vec<Json> = lines.iter().map(Line::json).collect();
        return output::json(&json!({ "keys": keys }));
    }
    let mut table = Table::new(&["ROLE", "KEY", "OPERATOR", "STATUS", "RETIRED AT"]);
    for line in &lines {
        let at = match line.standing {
            KeyStanding::InUse => String::new(),
            KeyStanding::Retired(Some(head)) => format!("{} events", head.size),
            KeyStanding::Retired(None) => "not recorded".to_owned(),
        };
        table.row([
            line.role.as_str(),
            line.key_id.as_str(),
            line.person.unwrap_or_default(),
            line.status(),
            &at,
        ]);
    }
    output::line(table)
}

async fn retire(args: &Retire, context: &Context) -> Result<(), ExitError> {
    let path = state::trust_path(context)?;
    let trust = state::load_trust(&path)?;
    let known = lines(&trust)
        .into_iter()
        .find(|line| line.role == args.role && line.key_id == &args.key_id);
    let Some(known) = known else {
        return Err(ExitError::new(
            ErrorCode::KeyUnknown,
            format!(
                "{} is not a {} key in the trust file",
                args.key_id,
                args.role.as_str()
            ),
        )
        .with_fix(LIST_FIX));
    };
    if let KeyStanding::Retired(Some(head)) = known.standing {
        return Err(ExitError::new(
            ErrorCode::KeyRetired,
            format!("{} was already retired at log size {}", args.key_id, head.size),
        ));
    }
    let mut session = LedgerConnection::open(context).await?;
    let retirement = match args.role {
        KeyRole::Writer => workflows::retire_writer(&mut session, &args.key_id, context).await,
        KeyRole::Ledger => workflows::retire_ledger(&session, &args.key_id).await,
        KeyRole::Reader | KeyRole::Operator => workflows::retire_signer(&session).await,
    };
    session.close().await;
    write(args, &retirement?, context)
}

/// Writes the tree head to the key's entry.
fn write(args: &Retire, retirement: &Retirement, context: &Context) -> Result<(), ExitError> {
    let mut edit = TrustEdit::begin(&state::trust_path(context)?)?;
    let entries = edit.entries(args.role.list())?;
    let entry = entries.iter_mut().find(|e| e["key_id"] == json!(args.key_id));
    let entry = entry.and_then(Json::as_object_mut).ok_or_else(|| {
        ExitError::new(ErrorCode::KeyUnknown, "key entry was removed by another command").with_fix(LIST_FIX)
    })?;
    let (size, root) = (retirement.head.size, hex::encode(retirement.head.root));
    entry.insert("retired".to_owned(), json!(true));
    entry.insert("retired_at_size".to_owned(), json!(size));
    entry.insert("retired_at_root".to_owned(), json!(root));
    let backup = edit.commit(workflows::now())?;
    if context.global.json {
        return output::json(&json!({
            "role": args.role.as_str(),
            "key_id": args.key_id,
            "retired_at_size": size,
            "retired_at_root": root,
            "receipts_in_log": retirement.receipts,
            "backup": backup.display().to_string(),
        }));
    }
    output::line(format!("retired at log size {size}, root {root}"))?;
    if let Some(receipts) = retirement.receipts {
        output::line(format!(
            "the log holds all {receipts} receipt(s) of the key found in the sources"
        ))?;
    }
    output::line(format!("trust file backup: {}", backup.display()))?;
    output::line("every ledger, reader and writer reads its own copy: copy the new file to each of them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_maps_to_its_trust_file_list() {
        for role in KeyRole::value_variants() {
            assert_eq!(role.list(), format!("{}s", role.as_str()));
        }
    }
}
