//! `operator`: manages operator keys and their trust file entries. Uses local files only.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};
use synapsor_chassis::files::{self, byte_order};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::{files::MODE_PRIVATE, random};
use synapsor_codes::ErrorCode;
use synapsor_domain::limits::FILE_BYTES_MAX;
use synapsor_domain::signing::{KeyId, SigningKey};
use synapsor_domain::timestamp::{Span, Timestamp};
use synapsor_domain::trust::{APPLIER, APPROVER, is_name};
use zeroize::Zeroizing;

use crate::operator_key::{ask, key_files, open_pem, read_pem};
use crate::output::{self, Table};
use crate::trust_edit::TrustEdit;
use crate::workflows::now;
use crate::{Context, state};

/// Minimum length of a passphrase, in characters.
const PASSPHRASE_CHARS_MIN: usize = 8;
/// Backdates the validity of a new key, to tolerate clock differences.
const BACKDATED: Span = Span::minutes(5);

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Generate a key and print the public entry for the trust file
    #[command(
        after_help = "Examples:\n  synapsor-runner operator keygen --person ann --protect > ann.json\n  \
        synapsor-runner operator keygen --person ann --output ~/ann.pem --role approver\n\n\
        Exit codes: 0 made, 1 failure (also: the file exists), 2 usage"
    )]
    Keygen(Keygen),
    /// Set or change the passphrase of the signing key
    #[command(
        after_help = "Example:\n  synapsor-runner operator protect\n\nExit codes: 0 done, 1 failure, 2 no terminal"
    )]
    Protect,
    /// List the operators of the trust file and which of their keys are local
    #[command(after_help = "Example:\n  synapsor-runner operator list\n\nExit codes: 0 ok, 1 failure")]
    List,
    /// Add an entry of `keygen` to the trust file; a backup is kept
    #[command(
        after_help = "Example:\n  synapsor-runner operator add ann.json --trust synapsor.trust.json\n\n\
        Exit codes: 0 added, 1 failure"
    )]
    Add(Add),
    /// Revoke a key and invalidate its signatures on changes not yet applied
    #[command(
        after_help = "Example:\n  synapsor-runner operator revoke ed25519:4f2a...\n\n\
        Exit codes: 0 revoked, 1 failure"
    )]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// Operator name: a-z, 0-9, -, _ and . [default: from this account]
    #[arg(long, value_parser = person)]
    person: Option<String>,
    /// Prompt for a passphrase; a key without one works in dev only
    #[arg(long)]
    protect: bool,
    /// Role of the operator; repeatable
    #[arg(long = "role", value_name = "ROLE", default_values_t = [APPROVER.to_owned(), APPLIER.to_owned()])]
    roles: Vec<String>,
    /// Key validity in days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Key file [default: in the state directory]
    #[arg(long, visible_alias = "out", value_name = "PATH")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// File with the output of `keygen`; `-` for stdin
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Key id, as printed by `operator list`
    key_id: KeyId,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Keygen(args) => keygen(&args, context)?,
        Command::Protect => protect(context)?,
        Command::List => list(context)?,
        Command::Add(args) => add(&args, context)?,
        Command::Revoke(args) => revoke(&args.key_id, context)?,
    }
    Ok(Exit::Ok)
}

fn keygen(args: &Keygen, context: &Context) -> Result<(), ExitError> {
    let person = args
        .person
        .clone()
        .unwrap_or_else(|| state::operator_person(&context.env));
    let path = match &args.output {
        Some(path) => path.clone(),
        None => free_path(&state::find(context)?, &person),
    };
    let key = SigningKey::from_seed(&Zeroizing::new(random::bytes::<32>()));
    let pem = if args.protect {
        protected(&key)?
    } else {
        key.to_pem()
    };
    files::create_exclusive(&path, pem.as_bytes())?;
    output::note(format!(
        "wrote {} (private key; keep it on this machine)",
        path.display()
    ));
    output::note(
        "send the entry on stdout to the trust file's owner, who adds it with `synapsor-runner operator add FILE`",
    );
    output::json(&entry(&key, &person, args, now()))
}

/// Builds the trust file entry.
fn entry(key: &SigningKey, person: &str, args: &Keygen, now: Timestamp) -> Json {
    let not_before = Timestamp::from_unix_millis(now.as_unix_millis() - BACKDATED.as_millis());
    json!({
        "person": person,
        "key_id": key.key_id(),
        "public_key": key.public_key(),
        "roles": args.roles,
        "not_before": not_before,
        "not_after": now + Span::days(i64::from(args.days)),
    })
}

/// Returns an unused path. An operator may have several keys, and existing files are never overwritten.
fn free_path(folder: &state::StateDir, person: &str) -> PathBuf {
    let first = folder.operator_key(person);
    if first.exists() {
        folder.operator_key(&format!("{person}-{}", random::hex_id(8)))
    } else {
        first
    }
}

fn protect(context: &Context) -> Result<(), ExitError> {
    let path = match &context.global.signing_key {
        Some(path) => path.clone(),
        None => only_key(&state::find(context)?.keys_dir())?,
    };
    let key = open_pem(&path, &read_pem(&path)?)?;
    let pem = protected(&key)?;
    files::write_atomic(&path, pem.as_bytes(), MODE_PRIVATE)?;
    output::note(format!("passphrase set on {}", path.display()));
    if context.global.json {
        return output::json(&json!({ "key_id": key.key_id(), "protected": true }));
    }
    Ok(())
}

fn only_key(folder: &Path) -> Result<PathBuf, ExitError> {
    let paths = key_files(folder)?;
    match paths.as_slice() {
        [path] => Ok(path.clone()),
        [] => Err(ExitError::new(
            ErrorCode::SigningKeyMissing,
            format!("no operator key in {}", folder.display()),
        )),
        many => Err(ExitError::new(
            ErrorCode::SigningKeyAmbiguous,
            format!("{} holds {} operator keys", folder.display(), many.len()),
        )
        .with_fix("pass --signing-key PATH")),
    }
}

/// Encrypts the key with a passphrase that was typed twice.
fn protected(key: &SigningKey) -> Result<Zeroizing<String>, ExitError> {
    let refused = |text: String| ExitError::new(ErrorCode::PassphraseRefused, text);
    let first = ask("New passphrase: ")?;
    if first.chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(refused(format!(
            "passphrase is shorter than {PASSPHRASE_CHARS_MIN} characters"
        )));
    }
    if *ask("Repeat passphrase:")? != *first {
        return Err(refused("passphrases do not match".to_owned()));
    }
    Ok(key.to_protected_pem(first.as_bytes(), &random::bytes(), &random::bytes()))
}

fn list(context: &Context) -> Result<(), ExitError> {
    let trust = state::load_trust(&state::trust_path(context)?)?;
    let here = local_keys(context);
    let now = now();
    if context.global.json {
        let line = |o: &synapsor_domain::trust::OperatorKey| json!({ "operator": o, "valid": o.is_valid_at(now), "local": here.contains(&o.key_id) });
        let operators: Vec<Json> = trust.operators.iter().map(line).collect();
        return output::json(&json!({ "environment": trust.environment, "operators": operators }));
    }
    let mut table = Table::new(&["OPERATOR", "KEY", "ROLES", "UNTIL", "STATUS", "LOCAL"]);
    for operator in &trust.operators {
        let status = if operator.revoked {
            "revoked"
        } else if operator.is_valid_at(now) {
            "valid"
        } else {
            "expired"
        };
        let until = operator.not_after.to_string();
        let here = if here.contains(&operator.key_id) {
            "yes"
        } else {
            ""
        };
        let roles = operator.roles.join(",");
        table.row([
            &operator.person,
            operator.key_id.as_str(),
            &roles,
            &until,
            status,
            here,
        ]);
    }
    output::line(table)
}

/// Ids of the unprotected keys in the state directory; the id of a protected key needs its passphrase.
fn local_keys(context: &Context) -> Vec<KeyId> {
    let Ok(folder) = state::find(context) else {
        return Vec::new();
    };
    let paths = key_files(&folder.keys_dir()).unwrap_or_default();
    let pems = paths.iter().filter_map(|path| read_pem(path).ok());
    pems.filter_map(|pem| SigningKey::from_pem(&pem).ok())
        .map(|key| key.key_id())
        .collect()
}

fn add(args: &Add, context: &Context) -> Result<(), ExitError> {
    let most = u64::try_from(FILE_BYTES_MAX).expect("a megabyte fits");
    let bytes = if args.file.as_os_str() == "-" {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|e| {
                ExitError::new(
                    ErrorCode::EntryUnreadable,
                    format!("cannot read stdin: {}", e.kind()),
                )
            })?;
        byte_order::strip_mark(&mut bytes).map_err(|byte_order::NotUtf8(encoding)| {
            ExitError::new(ErrorCode::EntryUnreadable, format!("stdin is {encoding} text"))
                .with_fix("pass it as UTF-8")
        })?;
        bytes
    } else {
        files::read_bounded(&args.file, most)?
    };
    let entry: Json = serde_json::from_slice(&bytes).map_err(|e| {
        ExitError::new(
            ErrorCode::EntryInvalid,
            format!("{} is not JSON: {e}", args.file.display()),
        )
        .with_fix("pass the output of `synapsor-runner operator keygen`")
    })?;
    let mut edit = TrustEdit::begin(&state::trust_path(context)?)?;
    edit.operators()?.push(entry);
    done(&edit.commit(now())?, "added", context)
}

fn revoke(key_id: &KeyId, context: &Context) -> Result<(), ExitError> {
    let mut edit = TrustEdit::begin(&state::trust_path(context)?)?;
    let found = edit
        .operators()?
        .iter_mut()
        .find(|o| o["key_id"] == json!(key_id));
    let Some(operator) = found.and_then(Json::as_object_mut) else {
        return Err(ExitError::new(
            ErrorCode::KeyUnknown,
            format!("{key_id} is not an operator key in the trust file"),
        )
        .with_fix("list the ids with `synapsor-runner operator list`"));
    };
    operator.insert("revoked".to_owned(), json!(true));
    done(&edit.commit(now())?, "revoked", context)
}

fn done(backup: &Path, what: &str, context: &Context) -> Result<(), ExitError> {
    if context.global.json {
        return output::json(&json!({ "change": what, "backup": backup.display().to_string() }));
    }
    output::line(format!("{what}; trust file backup: {}", backup.display()))?;
    output::line("every ledger and writer reads its own copy: copy the new file to each of them")
}

fn person(text: &str) -> Result<String, String> {
    if is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 characters of a-z, 0-9, -, _ and .".to_owned())
    }
}
