//! Each difference of `cases.txt`, in both directions.

use serde_json::{Value as Json, json};

use super::*;

fn base() -> Json {
    json!({
        "version": 1, "mode": "review", "result_format": 2,
        "sources": {
            "billing": {"engine": "postgres", "read_url_env": "R", "write_url_env": "W", "statement_timeout_ms": 3000},
            "other": {"engine": "postgres", "read_url_env": "R2", "write_url_env": "W2"},
        },
        "trusted_context": {"provider": "environment", "values": {"tenant_id_env": "T", "principal_env": "P"}},
        "contexts": {"second": {"provider": "environment", "values": {"tenant_id_env": "T2", "principal_env": "P"}}},
        "capabilities": [
            {
                "name": "billing.inspect", "kind": "read", "source": "billing",
                "target": {"schema": "public", "table": "invoices", "primary_key": "id", "tenant_key": "tenant"},
                "args": {"id": {"type": "string", "required": true, "max_length": 40}},
                "lookup": {"id_from_arg": "id"},
                "visible_columns": ["id", "note"], "max_chars": {"note": 100},
            },
            {
                "name": "billing.propose", "kind": "proposal", "source": "billing",
                "target": {"schema": "public", "table": "invoices", "primary_key": "id", "tenant_key": "tenant"},
                "args": {
                    "id": {"type": "string", "required": true},
                    "fee": {"type": "number", "required": true, "minimum": 0, "maximum": 100},
                    "status": {"type": "string", "required": true, "enum": ["open", "paid"]},
                },
                "lookup": {"id_from_arg": "id"},
                "visible_columns": ["id", "fee", "status"],
                "patch": {"fee": {"from_arg": "fee"}, "status": {"from_arg": "status"}},
                "allowed_columns": ["fee", "status"],
                "numeric_bounds": {"fee": {"minimum": 0, "maximum": 100}},
                "transition_guards": {"status": {"allowed": {"open": ["paid"]}}},
                "conflict_guard": {"column": "version"},
                "approval": {"mode": "human", "required_role": "lead", "quorum": 2},
            },
        ],
    })
}

fn parsed(file: &Json) -> Contract {
    let text = file.to_string();
    let parsed = Contract::parse(text.as_bytes());
    parsed
        .unwrap_or_else(|report| panic!("{report:?}\n{text}"))
        .contract
}

/// Sets the value at a JSON pointer; null removes it.
fn with(pointer: &str, value: &Json) -> Json {
    let mut file = base();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = file.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Json::Object(members), Json::Null) => drop(members.remove(key)),
        (Json::Array(items), Json::Null) => drop(items.remove(key.parse().unwrap())),
        (parent, value) if parent.is_object() => parent[key] = value.clone(),
        (parent, value) => parent[key.parse::<usize>().unwrap()] = value.clone(),
    }
    file
}

/// A pointer into the file, another value, and what is wider and what is narrower then.
struct Case {
    pointer: &'static str,
    value: Json,
    wider: &'static str,
    narrower: &'static str,
}

fn cases() -> Vec<Case> {
    let of_line = |line: &'static str| {
        let parts: Vec<&str> = line.split('|').collect();
        let [pointer, value, wider, narrower] = parts[..] else {
            panic!("{line}");
        };
        let value = serde_json::from_str(value).unwrap();
        Case {
            pointer,
            value,
            wider,
            narrower,
        }
    };
    include_str!("cases.txt").lines().map(of_line).collect()
}

/// The base file with the other value of a case.
fn changed(case: &Case) -> Contract {
    let mut file = with(case.pointer, &case.value);
    if case.pointer.ends_with("/patch/note") {
        // A patched column has to be allowed.
        file["capabilities"][1]["allowed_columns"] = json!(["fee", "status", "note"]);
    }
    parsed(&file)
}

fn texts(changes: &[AuthorityChange], effect: AuthorityEffect) -> Vec<&str> {
    let of_effect = changes.iter().filter(|change| change.effect == effect);
    of_effect.map(|change| change.text.as_str()).collect()
}

#[test]
fn each_difference_has_its_effect_and_its_words() {
    let all = cases();
    assert!(all.len() > 30, "{}", all.len());
    for case in all {
        let changes = authority_changes(&parsed(&base()), &changed(&case));
        for (effect, text) in [
            (AuthorityEffect::Widens, case.wider),
            (AuthorityEffect::Narrows, case.narrower),
        ] {
            let found = texts(&changes, effect);
            if text.is_empty() {
                assert!(found.is_empty(), "{}: {found:?}", case.pointer);
            } else {
                let is_named = found.iter().any(|found| found.contains(text));
                assert!(is_named, "{}: {changes:?}", case.pointer);
            }
        }
    }
}

/// A difference in one direction is never silent in the other.
#[test]
fn opposite_difference_is_reported_too() {
    let has_effect = |case: &Case| !case.wider.is_empty() || !case.narrower.is_empty();
    for case in cases().into_iter().filter(has_effect) {
        let changes = authority_changes(&changed(&case), &parsed(&base()));
        let is_reported = if case.narrower.is_empty() {
            !changes.is_empty()
        } else {
            !texts(&changes, AuthorityEffect::Widens).is_empty()
        };
        assert!(is_reported, "{}: {changes:?}", case.pointer);
    }
}

#[test]
fn equal_contracts_have_no_difference() {
    assert_eq!(authority_changes(&parsed(&base()), &parsed(&base())), []);
}

/// Whatever lets a call leave a guarded or fixed column alone is wider, and so is a row that is compared in fewer columns.
#[test]
fn what_a_call_may_leave_out_is_wider() {
    let wider = |before: &Json, after: &Json, text: &str| {
        let changes = authority_changes(&parsed(before), &parsed(after));
        let found = texts(&changes, AuthorityEffect::Widens);
        assert!(found.iter().any(|found| found.contains(text)), "{changes:?}");
    };
    let mut optional = base();
    optional["capabilities"][1]["args"]["status"]["required"] = json!(false);
    let mut keeps = optional.clone();
    keeps["capabilities"][1]["patch"]["status"]["when_absent"] = json!("keep");
    wider(&optional, &keeps, "without guarded column `status`");

    let mut fixed = base();
    fixed["capabilities"][1]["patch"]["fee"] = json!({"fixed": 0});
    let mut dropped = fixed.clone();
    dropped["capabilities"][1]["patch"]
        .as_object_mut()
        .unwrap()
        .remove("fee");
    dropped["capabilities"][1]
        .as_object_mut()
        .unwrap()
        .remove("numeric_bounds");
    wider(&fixed, &dropped, "without `fee` as 0");

    let mut weak = base();
    weak["capabilities"][1]["conflict_guard"] = json!({"weak_guard_ack": true});
    weak["capabilities"][1]["visible_columns"] = json!(["id", "fee", "status", "limit"]);
    let mut fewer = weak.clone();
    fewer["capabilities"][1]["visible_columns"] = json!(["id", "fee", "status"]);
    wider(&weak, &fewer, "a change of column `limit` is no conflict");
}

#[test]
fn texts_and_limits_of_processes_are_other_differences() {
    for (pointer, value) in [
        ("/result_format", json!(1)),
        ("/sources/billing/statement_timeout_ms", json!(4000)),
        ("/capabilities/0/description", json!("Another text.")),
        ("/capabilities/0/returns_hint", json!("Another text.")),
        ("/capabilities/0/args/id/description", json!("Another text.")),
    ] {
        let changes = authority_changes(&parsed(&base()), &parsed(&with(pointer, &value)));
        assert_eq!(
            texts(&changes, AuthorityEffect::Other).len(),
            1,
            "{pointer}: {changes:?}"
        );
        assert_eq!(changes.len(), 1, "{pointer}: {changes:?}");
    }
}

#[test]
fn new_tool_is_wider_with_all_that_it_permits() {
    let mut without = base();
    without["capabilities"].as_array_mut().unwrap().pop();
    let changes = authority_changes(&parsed(&without), &parsed(&base()));
    let wider = texts(&changes, AuthorityEffect::Widens);
    assert!(
        wider[0].contains("new proposal tool: shows `id`, `fee`, `status` of one row of `public.invoices`")
    );
    assert!(wider[0].contains("of the tenant in `tenant`"));
    assert_eq!(wider[1], "requests changes of `fee`, `status`");
    assert_eq!(changes[0].subject.as_deref(), Some("billing.propose"));
}

/// The digest covers whatever determines authority, so that a term that this module does not compare is reported.
#[test]
fn unknown_difference_of_a_digest_is_wider() {
    let (before, after) = (parsed(&base()), parsed(&base()));
    let mut other = after.capabilities()[0].clone();
    other.args.reverse();
    let mut changes = ChangeList::default();
    let mut earlier = other.clone();
    earlier.kind = after.capabilities()[1].kind.clone();
    // Kinds differ only in what `compare_capabilities` leaves to its caller.
    compare_capabilities((&before, &earlier), (&after, &other), &mut changes);
    assert_eq!(
        texts(&changes.list, AuthorityEffect::Widens),
        ["other terms of the capability; compare the files by hand"]
    );
}
