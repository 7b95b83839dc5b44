//! Offline verification of an exported bundle: no network, no state directory, only the bundle and a trust file.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_e2e::binaries::Build;
use synapsor_e2e::cli::{CliFixture, CommandOutput, INVOICE, Running};
use synapsor_e2e::namespaces;

const TRUST: &str = "synapsor.trust.json";
const BUNDLE: &str = "replay.json";

/// Directory with only a bundle of an applied proposal and the trust file.
fn far_away() -> anyhow::Result<CliFixture> {
    let place = CliFixture::new()?;
    place.approved(INVOICE, "goodwill")?;
    place.ok(&["apply", "latest"])?;
    let away = CliFixture::empty()?;
    let output = away.path(BUNDLE).display().to_string();
    place.ok(&["replay", "export", "latest", "--output", &output])?;
    std::fs::copy(place.path(".synapsor").join(TRUST), away.path(TRUST))?;
    assert_eq!(away.listing()?, [BUNDLE, TRUST]);
    Ok(away)
}

/// Runs `bundle verify` in a network namespace without even a loopback, if the machine permits one.
fn without_network(place: &CliFixture, bundle: &str, trust: &str) -> anyhow::Result<CommandOutput> {
    let arguments = ["bundle", "verify", bundle, "--trust", trust];
    let runner = Build::Plain.binary("synapsor-runner")?;
    let mut command = match isolated() {
        Ok(mut isolated) => {
            isolated.arg(runner);
            isolated
        }
        Err(reason) => {
            namespaces::missing("`bundle verify` without any network", &reason)?;
            Command::new(runner)
        }
    };
    command.args(arguments).current_dir(place.folder()).env_clear();
    Running::of(command, &arguments)?.end(Duration::from_secs(20))
}

/// Command that runs its arguments in an empty network namespace.
fn isolated() -> anyhow::Result<Command> {
    let flag = if rustix::process::getuid().is_root() {
        "-n"
    } else {
        "-rn"
    };
    let prefix = || {
        let mut command = Command::new("unshare");
        command.args([flag, "--"]);
        command
    };
    let probe = prefix().arg("true").output()?;
    ensure!(
        probe.status.success(),
        "{}",
        String::from_utf8_lossy(&probe.stderr).trim()
    );
    Ok(prefix())
}

#[test]
fn bundle_verifies_without_network_and_state() -> anyhow::Result<()> {
    let away = far_away()?;
    let ran = without_network(&away, BUNDLE, TRUST)?;
    ran.expect(0)?;
    assert!(
        ran.stdout.contains("Verified: ") && ran.stdout.contains("`applied`"),
        "{ran}"
    );
    assert_eq!(away.listing()?, [BUNDLE, TRUST], "files were left");
    Ok(())
}

/// Flips one bit of the byte in the middle of a string.
fn flipped(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn flip(bundle: &Json, pointer: &str) -> anyhow::Result<Json> {
    let mut edited = bundle.clone();
    let place = edited
        .pointer_mut(pointer)
        .with_context(|| format!("{pointer} in the bundle"))?;
    let text = place
        .as_str()
        .with_context(|| format!("{pointer} is not a string"))?;
    *place = json!(flipped(text));
    ensure!(edited != *bundle, "no byte was flipped at {pointer}");
    Ok(edited)
}

#[test]
fn flipped_byte_in_a_record_is_exit_10() -> anyhow::Result<()> {
    let away = far_away()?;
    let bundle: Json = serde_json::from_slice(&std::fs::read(away.path(BUNDLE))?)?;
    let records = bundle["records"].as_array().context("records")?.len();
    assert!(records >= 6, "bundle with {records} records");
    let mut pointers = vec!["/checkpoint".to_owned(), "/origin".to_owned()];
    for record in 0..records {
        for field in ["event", "body", "body_salt", "proof/hashes/0"] {
            pointers.push(format!("/records/{record}/{field}"));
        }
    }
    for pointer in pointers {
        away.write("edited.json", &format!("{}\n", flip(&bundle, &pointer)?))?;
        let ran = away.run(&["bundle", "verify", "edited.json", "--trust", TRUST])?;
        ran.expect_failure(10, ran.stderr.split(['[', ']']).nth(1).unwrap_or("a code"), &[])
            .with_context(|| pointer.clone())?;
    }
    without_network(&away, "edited.json", TRUST)?.expect(10)
}

/// Writes the bundle with other records to `edited.json` and verifies it.
fn verify_with(away: &CliFixture, bundle: &Json, records: Vec<Json>) -> anyhow::Result<CommandOutput> {
    let mut edited = bundle.clone();
    edited["records"] = Json::Array(records);
    away.write("edited.json", &format!("{edited}\n"))?;
    away.run(&["bundle", "verify", "edited.json", "--trust", TRUST, "--json"])
}

#[test]
fn record_at_another_index_exits_with_10() -> anyhow::Result<()> {
    let away = far_away()?;
    let bundle: Json = serde_json::from_slice(&std::fs::read(away.path(BUNDLE))?)?;
    let records = bundle["records"].as_array().context("records")?;
    for at in 0..records.len() {
        let mut moved = records.clone();
        moved.swap(at, (at + 1) % records.len());
        verify_with(&away, &bundle, moved)?
            .expect(10)
            .with_context(|| format!("record {at}"))?;
        let mut twice = records.clone();
        twice.insert(at, records[at].clone());
        verify_with(&away, &bundle, twice)?
            .expect(10)
            .with_context(|| format!("record {at}"))?;
    }
    Ok(())
}

/// Inclusion proofs cannot reveal that the end of a history was withheld; but no claim is accepted without its
/// record.
#[test]
fn bundle_claim_without_its_record_is_rejected() -> anyhow::Result<()> {
    let away = far_away()?;
    let bundle: Json = serde_json::from_slice(&std::fs::read(away.path(BUNDLE))?)?;
    let records = bundle["records"].as_array().context("records")?;
    let mut refuted = 0;
    for at in 0..records.len() {
        let mut left = records.clone();
        left.remove(at);
        let ran = verify_with(&away, &bundle, left)?;
        let is_last = at + 1 == records.len();
        if ran.exit == Some(10) {
            refuted += 1;
        } else if is_last {
            assert_ne!(
                ran.object()?["state"],
                json!("applied"),
                "applied without a receipt: {ran}"
            );
        }
    }
    assert!(
        refuted >= 4,
        "evidence, proposal, decision or order can be left out"
    );
    Ok(())
}

#[test]
fn rejects_trust_file_of_another_deployment() -> anyhow::Result<()> {
    let (away, other) = (far_away()?, far_away()?);
    std::fs::copy(other.path(TRUST), away.path("other.json"))?;
    let ran = without_network(&away, BUNDLE, "other.json")?;
    ran.expect(10)?;
    assert!(
        ran.stderr.contains("error[") && ran.stderr.contains("matching trust file"),
        "{ran}"
    );
    let ran = without_network(&away, BUNDLE, "none.json")?;
    ran.expect_failure(1, "TRUST_FILE_MISSING", &["none.json"])?;
    without_network(&away, "none.json", TRUST)?.expect_failure(1, "FILE_NOT_FOUND", &["none.json"])?;
    Ok(())
}
