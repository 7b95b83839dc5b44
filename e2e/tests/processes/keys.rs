//! Retired keys: signatures from before the retirement count, and an operator must adopt a receipt that the log
//! does not contain.

use anyhow::{Context as _, ensure};
use serde_json::{Value as Json, json};
use synapsor_chassis::files;
use synapsor_domain::digest::Digest;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::signing::{ObjectKind, SigningKey};
use synapsor_e2e::cli::CliFixture;
use synapsor_e2e::receipt_row;

const WRITER_KEY: &str = ".synapsor/keys/writer.pem";

/// Gives the writer another key and retires the previous one, which is returned.
fn rotate_writer_key(place: &CliFixture) -> anyhow::Result<SigningKey> {
    let path = place.path(WRITER_KEY);
    let old = SigningKey::from_pem(&std::fs::read_to_string(&path)?)?;
    let new = SigningKey::from_seed(&zeroize::Zeroizing::new([6; 32]));
    let trust = place.path(".synapsor/synapsor.trust.json");
    let mut file: Json = serde_json::from_slice(&std::fs::read(&trust)?)?;
    let keys = file["writers"].as_array_mut().context("writers")?;
    keys.push(json!({ "key_id": new.key_id(), "public_key": new.public_key() }));
    files::write_atomic(&trust, &serde_json::to_vec_pretty(&file)?, files::MODE_PUBLIC)?;
    std::fs::remove_file(&path)?;
    files::create_exclusive(&path, new.to_pem().as_bytes())?;
    place.ok(&["keys", "retire", "writer", old.key_id().as_str()])?;
    Ok(old)
}

fn ends(place: &CliFixture, exit: i32, arguments: &[&str]) -> anyhow::Result<Json> {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let ran = place.run(&arguments)?;
    ran.expect(exit)?;
    ran.object()
}

fn ledger_findings(place: &CliFixture) -> anyhow::Result<Vec<String>> {
    let shown = place.run(&["writeback", "doctor", "--json"])?.object()?;
    let all = shown["ledger"].as_array().with_context(|| shown.to_string())?;
    let codes = all.iter().filter_map(|finding| finding["code"].as_str());
    Ok(codes.map(str::to_owned).collect())
}

#[test]
fn receipts_from_before_key_retirement_stay_valid() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let id = place.approved("INV-3001", "goodwill")?;
    ends(&place, 0, &["apply", &id])?;
    rotate_writer_key(&place)?;
    let shown = ends(&place, 0, &["proposals", "show", &id])?;
    ensure!(shown.to_string().contains("applied"), "{shown}");
    assert_eq!(
        ends(&place, 0, &["apply", &id])?["status"],
        json!("already_applied")
    );
    ends(&place, 0, &["receipts", "audit", "--all"])?;
    let next = place.approved("INV-3002", "goodwill")?;
    assert_eq!(ends(&place, 0, &["apply", &next])?["status"], json!("applied"));
    Ok(())
}

#[test]
fn receipt_of_a_retired_key_is_unproven_until_adopted() -> anyhow::Result<()> {
    let place = CliFixture::new()?;
    let first = place.approved("INV-3001", "goodwill")?;
    ends(&place, 0, &["apply", &first])?;
    let old = rotate_writer_key(&place)?;

    // An order that a writer refused for another reason; the claimed receipt names it.
    let id = place.approved("INV-3002", "goodwill")?;
    place.ok(&["writeback", "freeze"])?;
    let frozen = ends(&place, 4, &["apply", &id])?;
    ensure!(frozen["result"] == json!("refused:frozen"), "{frozen}");
    let order: Digest = frozen["order_digest"].as_str().context("an order")?.parse()?;
    place.ok(&["writeback", "unfreeze"])?;

    let signed = proposal(&place, &id)?;
    let digest = Digest::of(ObjectKind::Proposal, &signed.payload);
    let proposal: Proposal = signed.decode_unverified(ObjectKind::Proposal)?;
    let claimed = receipt_row::applied(&place.target, proposal.id, (digest, Some(order)), &old)?;
    receipt_row::insert(&place.target, &claimed)?;
    let before = place.target.dump()?;

    for _ in 0..2 {
        let refused = ends(&place, 4, &["apply", &id])?;
        ensure!(
            refused["result"] == json!("refused:receipt_unproven"),
            "{refused}"
        );
        let fix = refused["fix"].as_str().unwrap_or_default();
        ensure!(fix.contains("receipts adopt"), "{refused}");
        ensure!(place.target.dump()? == before, "database was written");
    }
    let alarms = place.ok(&["events", "tail", "--kind", "receipt_alarm", "--json"])?;
    assert_eq!(alarms.stdout.lines().count(), 1, "{alarms}");
    assert_eq!(ledger_findings(&place)?, ["RECEIPT_UNPROVEN"]);

    ends(&place, 0, &["receipts", "adopt", &id, "--yes"])?;
    assert_eq!(ledger_findings(&place)?, Vec::<String>::new());
    // The reconciler may settle by the receipt before another apply.
    let again = place.run(&["apply", &id, "--json"])?;
    match again.exit {
        Some(0) => ensure!(again.object()?["status"] == json!("already_applied"), "{again}"),
        _ => ensure!(again.stderr.contains("has ended as `applied`"), "{again}"),
    }
    ensure!(place.target.dump()? == before, "database was written");
    let shown = ends(&place, 0, &["proposals", "show", &id])?;
    ensure!(shown.to_string().contains("applied"), "{shown}");
    // The bundle contains the order, without which the receipt of a retired key does not count.
    place.ok(&["ledger", "prove", &id, "--output", "proof.json"])?;
    let genuine = place.json(&["bundle", "verify", "proof.json"])?;
    assert_eq!(genuine["verified"], json!(true), "{genuine}");
    place.ok(&["ledger", "verify"])?;
    Ok(())
}

/// Signed proposal, from a bundle of its records.
fn proposal(place: &CliFixture, id: &str) -> anyhow::Result<synapsor_domain::signing::DsseEnvelope> {
    use synapsor_domain::replay::{Entry, EventBody, ProofBundle};
    place.ok(&["ledger", "prove", id, "--output", "open.json"])?;
    let bundle = ProofBundle::from_bytes(&std::fs::read(place.path("open.json"))?)?;
    for record in bundle.records()? {
        let event = synapsor_domain::canonical::decode(&record.event_bytes)?;
        if let EventBody::Proposal(envelope) = Entry::of(event, &record.body)?.body {
            return Ok(envelope);
        }
    }
    anyhow::bail!("no proposal in the bundle")
}
