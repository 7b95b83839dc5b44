//! Tests of key standing and of trust file validation.

use serde_json::{Value as Json, json};
use synapsor_codes::ErrorCode;
use zeroize::Zeroizing;

use super::*;
use crate::log::sign_checkpoint;
use crate::signing::SigningKey;

const ORIGIN: &str = "synapsor/d1";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new([seed; 32]))
}

fn service(seed: u8) -> Json {
    json!({ "key_id": key(seed).key_id(), "public_key": key(seed).public_key() })
}

fn file() -> Json {
    json!({
        "version": 1, "deployment_id": "d1", "environment": "dev",
        "readers": [service(1)], "writers": [service(2)], "ledgers": [service(3), service(4)],
        "operators": [{
            "person": "ann", "key_id": key(5).key_id(), "public_key": key(5).public_key(),
            "roles": ["approver"],
            "not_before": "2026-01-01T00:00:00.000Z", "not_after": "2027-01-01T00:00:00.000Z",
        }],
    })
}

fn parsed(file: &Json) -> TrustFile {
    TrustFile::parse(file.to_string().as_bytes()).unwrap()
}

fn problem(file: &Json) -> String {
    TrustFile::parse(file.to_string().as_bytes()).unwrap_err().public
}

fn head(size: u64, root: u8) -> TreeHead {
    TreeHead {
        size,
        root: [root; 32],
    }
}

/// Returns the position of entry `index` in a log that continues only heads of root 1.
fn logged(index: u64) -> Position<'static> {
    Position::Logged {
        index,
        continues: &|head| head.root == [1; 32],
    }
}

#[test]
fn active_key_counts_at_every_position() {
    assert_eq!(KeyStanding::InUse.check(&Position::Unproven), Ok(()));
    assert_eq!(KeyStanding::InUse.check(&logged(7)), Ok(()));
}

#[test]
fn retired_key_counts_below_its_size_in_continuing_log() {
    let standing = KeyStanding::Retired(Some(head(5, 1)));
    assert_eq!(standing.check(&logged(4)), Ok(()));
    let after = RetiredKey::SignedAfter { size: 5, index: 5 };
    assert_eq!(standing.check(&logged(5)), Err(after));
    assert_eq!(standing.check(&Position::Unproven), Err(RetiredKey::Unproven));
    let forked = KeyStanding::Retired(Some(head(5, 2)));
    assert_eq!(forked.check(&logged(4)), Err(RetiredKey::OtherHistory));
}

#[test]
fn retirement_without_head_uses_first_pinned_head() {
    let mut retired = file();
    retired["readers"][0]["retired"] = true.into();
    let mut first = parsed(&retired);
    assert_eq!(first.readers[0].standing(), KeyStanding::Retired(None));
    first.pin_retirements(None, None);
    assert_eq!(
        first.readers[0].standing().check(&logged(0)),
        Err(RetiredKey::Unproven)
    );
    first.pin_retirements(Some(head(5, 1)), None);
    assert_eq!(first.readers[0].standing().check(&logged(4)), Ok(()));
    // The file is read again after the log has grown: entries signed in between do not count.
    let mut second = parsed(&retired);
    second.pin_retirements(Some(head(9, 1)), Some(&first));
    assert_eq!(
        second.readers[0].standing(),
        KeyStanding::Retired(Some(head(5, 1)))
    );
    assert_eq!(second.writers[0].standing(), KeyStanding::InUse);
    // Back in use and retired again: a new retirement.
    let mut third = parsed(&retired);
    third.pin_retirements(Some(head(9, 1)), Some(&parsed(&file())));
    assert_eq!(
        third.readers[0].standing(),
        KeyStanding::Retired(Some(head(9, 1)))
    );
}

#[test]
fn named_head_overrides_pinned_head() {
    let mut retired = file();
    for list in ["readers", "writers", "ledgers", "operators"] {
        retired[list][0]["retired_at_size"] = 5.into();
        retired[list][0]["retired_at_root"] = hex::encode([1; 32]).into();
    }
    let mut trust = parsed(&retired);
    trust.pin_retirements(Some(head(9, 2)), None);
    let standings = [
        trust.readers[0].standing(),
        trust.writers[0].standing(),
        trust.ledgers[0].standing(),
        trust.operators[0].standing(),
    ];
    assert_eq!(standings, [KeyStanding::Retired(Some(head(5, 1))); 4]);
    assert_eq!(trust.retirements().into_iter().collect::<Vec<_>>(), [head(5, 1)]);
    assert!(!trust.operators[0].is_valid_at("2026-06-01T00:00:00.000Z".parse().unwrap()));
    assert!(trust.operators[0].was_valid_at("2026-06-01T00:00:00.000Z".parse().unwrap()));
}

#[test]
fn incomplete_retirement_error_names_its_entry() {
    for (size, root, expected) in [
        (json!(5), Json::Null, "$.operators[0].retired_at_root: is missing"),
        (
            Json::Null,
            json!(hex::encode([1; 32])),
            "$.operators[0].retired_at_size: is missing",
        ),
        (
            json!(0),
            json!(hex::encode([1; 32])),
            "$.operators[0].retired_at_size: must be",
        ),
        (json!(5), json!("AB"), "$.operators[0].retired_at_root: must be"),
        (
            json!(5),
            json!(hex::encode_upper([171; 32])),
            "$.operators[0].retired_at_root: must be",
        ),
    ] {
        let mut half = file();
        half["operators"][0]["retired_at_size"] = size;
        half["operators"][0]["retired_at_root"] = root;
        let found = problem(&half);
        assert!(
            found.contains(expected) && found.contains("(person `ann`)"),
            "{found}"
        );
    }
}

#[test]
fn invalid_entry_error_names_its_position() {
    let mut broken = file();
    broken["operators"][0].as_object_mut().unwrap().remove("roles");
    assert!(problem(&broken).contains("$.operators[0] (person `ann`): missing field `roles`"));
    let mut broken = file();
    broken["ledgers"][1]["key_id"] = "ed25519:zz".into();
    assert!(
        problem(&broken).contains("$.ledgers[1]: "),
        "{}",
        problem(&broken)
    );
    let mut broken = file();
    broken["writers"][0]["retierd"] = true.into();
    assert!(problem(&broken).contains("$.writers[0]: unknown field `retierd`"));
}

#[test]
fn entries_without_retirement_keep_their_json_form() {
    let again = serde_json::to_value(parsed(&file())).unwrap();
    let names = |entry: &Json| entry.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&again["readers"][0]), ["key_id", "public_key", "retired"]);
    assert!(
        names(&again["operators"][0])
            .iter()
            .all(|name| !name.starts_with("retired"))
    );
}

#[test]
fn retired_ledger_key_verifies_only_its_retirement_head() {
    let mut retired = file();
    retired["ledgers"][0]["retired_at_size"] = 5.into();
    retired["ledgers"][0]["retired_at_root"] = hex::encode([1; 32]).into();
    let trust = parsed(&retired);
    let code = |size, root: u8, seed| {
        let note = sign_checkpoint(ORIGIN, size, &[root; 32], &key(seed)).unwrap();
        trust
            .verify_checkpoint(&note)
            .map(|(c, _)| c.size)
            .map_err(LogError::code)
    };
    assert_eq!(code(5, 1, 3), Ok(5));
    assert_eq!(code(6, 1, 4), Ok(6));
    for (size, root) in [(4, 1), (6, 1), (5, 2)] {
        assert_eq!(
            code(size, root, 3),
            Err(ErrorCode::CheckpointKeyRetired),
            "{size} {root}"
        );
    }
    assert_eq!(code(6, 1, 9), Err(ErrorCode::CheckpointSignature));
}
