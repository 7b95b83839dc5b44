//! Compares the fields with whole records, in every form that is accepted or refused.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::canonical;
use crate::evidence::{AuditRecord, Evidence};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
const AT: &str = "2026-01-02T03:04:05.678Z";

fn column(name: &str) -> Json {
    json!({"column": name, "value": {"t": "int", "v": "7"}})
}

fn evidence() -> Json {
    json!({
        "capability": "billing.inspect", "contract_digest": DIGEST, "id": "ev_0123456789abcdef0123",
        "ledger_origin": "synapsor/dep", "query_fingerprint": DIGEST, "read_at": AT,
        "requested_by": {"client": "c", "principal": "p\n\"", "provenance": "environment", "tenant": "acme"},
        "row": [column("id"), column("note\u{1}é")],
        "source": {"engine": "sqlite", "fingerprint": "f", "id": "main"},
        "target": {"primary_key": column("id"), "schema": "s", "table": "t", "tenant": null}, "v": 1,
    })
}

fn audit() -> Json {
    json!({
        "arguments_digest": DIGEST, "at": AT, "capability": "billing.inspect", "client": "c",
        "columns": ["id", "note"], "evidence_id": "ev_0123456789abcdef0123", "id": "qa_0123456789abcdef0123",
        "primary_key": column("id"), "primary_keys": [column("id"), column("line")], "principal": "p",
        "proposal_id": null, "query_fingerprint": DIGEST, "result": "row", "row_count": 1, "source_id": "main",
        "table": "s.t", "tenant": null, "tenant_bound": true, "v": 1,
    })
}

fn bytes(json: &Json) -> Vec<u8> {
    canonical::encode(json).unwrap_or_else(|_| serde_json::to_vec(json).unwrap())
}

/// Compares with decoding whole records.
fn compare(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let fields = canonical::decode_observed::<EvidenceFields<'_>>(bytes, &mut ());
    match (fields, canonical::decode::<Evidence>(bytes)) {
        (Ok(fields), Ok(whole)) => {
            assert!(fields.requested_by == whole.requested_by && fields.source == whole.source);
            assert_eq!(
                (fields.id, fields.read_at, fields.v),
                (whole.id, whole.read_at, whole.v)
            );
            assert_eq!(*fields.capability, *whole.capability);
            assert_eq!(*fields.ledger_origin, *whole.ledger_origin);
            assert_eq!(*fields.target.schema, *whole.target.schema);
            assert_eq!(*fields.target.table, *whole.target.table);
            assert_eq!(fields.target.object_id, whole.target.object_id());
        }
        (Err(fields), Err(whole)) => {
            // The texts about the object have other positions.
            assert_eq!(
                std::mem::discriminant(&fields),
                std::mem::discriminant(&whole),
                "{text}"
            );
        }
        (fields, whole) => panic!("{text}: {fields:?}, {whole:?}"),
    }
    let fields = canonical::decode_observed::<AuditFields<'_>>(bytes, &mut ());
    match (fields, canonical::decode::<AuditRecord>(bytes)) {
        (Ok(fields), Ok(whole)) => {
            assert_eq!((fields.id, fields.at, fields.v), (whole.id, whole.at, whole.v));
            assert_eq!(
                (fields.evidence_id, fields.proposal_id),
                (whole.evidence_id, whole.proposal_id)
            );
            assert_eq!(*fields.capability, *whole.capability);
            assert_eq!(*fields.result, *whole.result);
            assert_eq!(fields.tenant.as_deref(), whole.tenant.as_deref());
            assert_eq!(fields.principal.as_deref(), whole.principal.as_deref());
            let key = whole.primary_key.as_ref().map(|key| key.value.as_text());
            assert_eq!(fields.primary_key.as_ref().map(ColumnFields::text), key);
        }
        (Err(fields), Err(whole)) => {
            assert_eq!(
                std::mem::discriminant(&fields),
                std::mem::discriminant(&whole),
                "{text}"
            );
        }
        (fields, whole) => panic!("{text}: {fields:?}, {whole:?}"),
    }
}

/// Pointers to every value below the root.
fn pointers(json: &Json, at: &str, found: &mut Vec<String>) {
    let mut below = |name: String, value: &Json| {
        let pointer = format!("{at}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    };
    match json {
        Json::Object(members) => members
            .iter()
            .for_each(|(name, value)| below(name.clone(), value)),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| below(index.to_string(), value)),
        _ => {}
    }
}

fn remove(json: &mut Json, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match json.pointer_mut(parent).unwrap() {
        Json::Object(members) => drop(members.remove(name)),
        Json::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => unreachable!("a pointer leads through objects and lists"),
    }
}

fn replacement() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        Just(json!({"int": null})),
        Just(json!({"int": 1})),
        Just(json!({"int": null, "text": null})),
        Just(json!(["c", "p", "environment", "acme"])),
        Just(json!(["id", {"t": "int", "v": "7"}])),
        Just(json!(["id", ["int", "7"]])),
        Just(json!(["id", ["int", "7"], 1])),
        Just(json!([column("id"), column("id")])),
        Just(json!([column("id")])),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"a": 1})),
        Just(column("line")),
        Just(json!(AT)),
        Just(json!(DIGEST)),
        Just(json!("dec")),
        ".{0,4}".prop_map(Json::from),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-2_i64..4).prop_map(Json::from),
        Just(json!(4_294_967_295_u32)),
        Just(json!(4_294_967_296_u64)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn fields_are_accepted_like_whole_records(
        is_audit in any::<bool>(),
        changed in proptest::collection::vec((any::<prop::sample::Index>(), replacement(), 0..4_u8), 0..3),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), Just(b' '), Just(b'"'), Just(b'\\'), Just(b'0'), Just(b'}'), Just(b'-')],
        how in 0..8_u8,
    ) {
        let mut record = if is_audit { audit() } else { evidence() };
        for (at, value, how) in changed {
            let mut found = Vec::new();
            pointers(&record, "", &mut found);
            if found.is_empty() {
                break;
            }
            let pointer = &found[at.index(found.len())];
            match how {
                0 => remove(&mut record, pointer),
                1 => if let Some(Json::Object(members)) = record.pointer_mut(pointer) {
                    members.insert("keys".to_owned(), value);
                },
                _ => *record.pointer_mut(pointer).unwrap() = value,
            }
        }
        let mut bytes = bytes(&record);
        compare(&bytes);
        let index = at.index(bytes.len());
        match how {
            0 => bytes[index] = byte,
            1 => bytes.insert(index, byte),
            2 => { bytes.remove(index); }
            3 => bytes.truncate(index),
            _ => {}
        }
        compare(&bytes);
    }
}

#[test]
fn records_in_every_accepted_form_are_read() {
    let several_keys =
        json!({"keys": [column("id"), column("line")], "schema": "s", "table": "t", "tenant": null});
    let by_position = json!(["c", "p", "environment", "acme"]);
    let kind_as_object = json!([{"column": "id", "value": {"t": {"int": null}, "v": "7"}}]);
    for (member, value) in [
        ("v", json!(1)),
        ("target", several_keys),
        ("requested_by", by_position),
        ("row", kind_as_object),
        ("row", json!([])),
    ] {
        let mut evidence = evidence();
        evidence[member] = value;
        let bytes = bytes(&evidence);
        canonical::decode_observed::<EvidenceFields<'_>>(&bytes, &mut ()).unwrap();
        compare(&bytes);
    }
    let mut short = audit();
    for absent in ["evidence_id", "primary_key", "primary_keys", "tenant"] {
        remove(&mut short, &format!("/{absent}"));
    }
    let bytes = bytes(&short);
    canonical::decode_observed::<AuditFields<'_>>(&bytes, &mut ()).unwrap();
    compare(&bytes);
}

#[test]
fn other_spellings_of_a_record_are_refused() {
    let good = String::from_utf8(bytes(&evidence())).unwrap();
    let long = format!(r#""table":"{}""#, "t".repeat(crate::limits::CANONICAL_BYTES_MAX));
    for (from, to) in [
        (r#"{"capability""#, r#"{ "capability""#),
        (r#"{"capability""#, r#"{"capability":"x","capability""#),
        (r#"{"capability""#, r#"{"\u0063apability""#),
        (r#"{"capability""#, r#"{"a":1,"capability""#),
        (r#""t":"int""#, r#""t":"\u0069nt""#),
        (r#""v":"7"}}"#, r#""v":"7"},}"#),
        (r#"\u0001"#, r#"\u0000\ud800"#),
        (r#"\u0001"#, r#"\u000A"#),
        (r#"\n"#, r#"\u000a"#),
        (r#"\n"#, "\n"),
        (r#"\n"#, "\\/"),
        (r#""v":1}"#, r#""v":1.0}"#),
        (r#""v":1}"#, r#""v":01}"#),
        (r#""v":1}"#, r#""v":1e0}"#),
        (r#""v":1}"#, r#""v":4294967296}"#),
        (r#""v":1}"#, r#""v":1}}"#),
        (r#""v":1}"#, "\"v\":1}\n"),
        (r#""v":1}"#, "\"v\":1}\0"),
        (r#""v":1}"#, r#""v":1"#),
        (r#""table":"t""#, &long),
        (
            r#""tenant":null"#,
            &format!("\"tenant\":{}null{}", "[".repeat(20), "]".repeat(20)),
        ),
    ] {
        assert!(good.contains(from), "{from}");
        let altered = good.replacen(from, to, 1);
        assert!(
            canonical::decode::<Evidence>(altered.as_bytes()).is_err(),
            "{to:.60}"
        );
        compare(altered.as_bytes());
    }
    compare(&[good.as_bytes(), b"\xff"].concat());
    compare(good.replacen("billing", "billin\u{10ffff}", 1).as_bytes());
}
