//! Tests of the document over hostile, long and many-part values, and of the bytes of its first version.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Difference, Renderer, ReviewDocument, VALUE_CHARS_MAX, differences};
use crate::digest::Digest;
use crate::proposal::Proposal;
use crate::value::Value;

const TEXT: &str = "The quick brown fox jumps over the lazy dog. ";
const TRANSFER: &str = "PAY 999 EUR TO MALLORY";

fn column(name: &str, value: &Value) -> Json {
    json!({ "column": name, "value": value })
}

/// A proposal that changes `note`, for the same argument.
fn proposal(before: &Value, after: &Value) -> Proposal {
    let digest = Digest::of_typed("text/plain", b"x");
    let key = column("id", &Value::text("INV-1"));
    let body = json!({
        "v": 1, "id": "wrp_00112233445566778899", "ledger_origin": "synapsor/d1", "environment": "dev",
        "source": { "id": "db", "engine": "sqlite", "fingerprint": "f" },
        "capability": "billing.waive", "contract_digest": digest, "mode": "review", "executor": "sql_update",
        "operation": "update", "args": { "note": after, "why": Value::text("asked for") },
        "target": {
            "schema": "main", "table": "invoices", "primary_key": key,
            "tenant": column("tenant_id", &Value::text("acme")),
        },
        "set": [column("note", after), column("version", &Value::int(8))],
        "before": [key, column("note", before), column("version", &Value::int(7))],
        "guard": {
            "kind": "version_column", "version": column("version", &Value::int(7)), "declared_type": "bigint",
            "strength": "strong", "advance": "increment",
        },
        "schema_fingerprint": digest, "side_effects": ["trigger audit"],
        "approval": { "required_role": "approver", "quorum": 2 },
        "requested_by": { "tenant": "acme", "principal": "agent", "provenance": "environment", "client": "c" },
        "on_behalf_of": "ann", "context_binding": digest, "evidence": [],
        "created_at": "2026-03-01T00:00:00.000Z", "not_after": "2026-03-08T00:00:00.000Z",
    });
    serde_json::from_value(body).unwrap()
}

fn document(before: &str, after: &str) -> ReviewDocument {
    let proposal = proposal(&Value::text(before), &Value::text(after));
    ReviewDocument::of(&proposal, Digest::of_typed("t", b""))
}

/// Joins the lines of a document that continue a value.
fn joined(document: &ReviewDocument) -> String {
    let mut text = String::new();
    for line in document.text.lines() {
        let deep = line.len() - line.trim_start_matches(' ').len();
        if deep >= 8 {
            text.push_str(line.trim_start_matches(' '));
        } else {
            text.push('\n');
            text.push_str(line);
        }
    }
    text
}

fn text_of(length: usize) -> String {
    TEXT.chars().cycle().take(length).collect()
}

fn replaced(text: &str, at: usize, with: &str) -> String {
    let end = at + with.chars().count();
    text.chars()
        .take(at)
        .chain(with.chars())
        .chain(text.chars().skip(end))
        .collect()
}

#[test]
fn first_version_keeps_its_bytes() {
    let hostile = "ok\u{1b}[2J\u{202e} caf\u{e9}\r\n \"x\\u{A}\" ";
    let long = text_of(5_000);
    let cases = [
        (Value::null(), Value::text("paid")),
        (Value::text(hostile), Value::text(format!(" {hostile}{hostile}"))),
        (Value::text(&long), Value::text(replaced(&long, 3_000, TRANSFER))),
        (
            Value::bytes(&[7; 1_200]),
            Value::exact(crate::value::ValueKind::Json, "{\"a\": [1]}"),
        ),
    ];
    let rendered: String = cases
        .iter()
        .map(|(before, after)| {
            let proposal = proposal(before, after);
            let digest = Digest::of_typed("t", b"");
            ReviewDocument::rendered(&proposal, digest, Renderer::Cli1).text
        })
        .collect();
    assert_eq!(rendered, include_str!("golden/cli-1.txt"));
}

#[test]
fn renderer_names_are_the_stored_ones() {
    assert_eq!(Renderer::named("cli/1"), Some(Renderer::Cli1));
    assert_eq!(Renderer::named("cli/2"), Some(Renderer::CURRENT));
    for unknown in ["", "cli/3", "CLI/2", "cli/2 "] {
        assert_eq!(Renderer::named(unknown), None, "{unknown}");
    }
}

#[test]
fn late_difference_of_a_long_value_is_shown() {
    for (length, at) in [(60_000, 59_000), (2_400, 2_100), (2_400, 0), (30_000, 29_978)] {
        let before = text_of(length);
        let document = document(&before, &replaced(&before, at, TRANSFER));
        let shown = joined(&document);
        assert!(document.is_abbreviated, "{length}");
        // A first or last character that is equal by chance is no part of the difference.
        let middle = &TRANSFER[1..TRANSFER.len() - 1];
        assert!(shown.contains(middle), "{length} {at}: {shown}");
        assert!(
            shown.contains(&format!("{length} characters, sha256:")),
            "{shown}"
        );
        let position = shown.lines().find(|line| line.contains("part 1 ")).unwrap();
        let first: usize = position.split_whitespace().nth(2).unwrap().parse().unwrap();
        assert!((at + 1..at + 4).contains(&first), "{at}: {position}");
        assert!(document.text.len() < 4_000, "{}", document.text.len());
    }
}

#[test]
fn line_of_a_difference_is_named() {
    let lines: Vec<String> = (1..=500)
        .map(|n| format!("{n}: deliver to the front door"))
        .collect();
    let before = lines.join("\n");
    let after = before.replace("\n437: deliver to the front", "\n437: leave at the back");
    let shown = joined(&document(&before, &after));
    assert!(shown.contains(", line 437 after"), "{shown}");
    assert!(shown.contains("\"leave at the back\""), "{shown}");
    assert!(shown.contains("\"deliver to the front\""), "{shown}");
}

#[test]
fn every_part_is_shown_or_counted_with_its_position() {
    // Words that are unique, so that each edit is a part of its own.
    let words: Vec<String> = (0..6_000).map(|n| format!("word{n:05} ")).collect();
    let before = words.concat();
    for edits in [1, 16, 17, 216, 217, 300] {
        let mut edited = words.clone();
        for n in 0..edits {
            edited[n * 20 + 3] = format!("+{n}-EDITED ");
        }
        let shown = joined(&document(&before, &edited.concat()));
        assert!(shown.contains(&format!("in {edits} part(s)")), "{edits}: {shown}");
        let named = shown.lines().filter(|line| line.starts_with("    part ")).count();
        assert_eq!(named, edits.min(216), "{edits}");
        let further = edits.saturating_sub(216);
        assert_eq!(
            shown.contains(&format!("{further} more part(s) within ")),
            further > 0,
            "{edits}"
        );
        for n in 0..edits.min(16) {
            assert!(shown.contains(&format!("\"+{n}-EDITED\"")), "{n}: {shown}");
        }
    }
}

#[test]
fn inserted_and_removed_parts_are_named() {
    let before = text_of(4_000);
    let inserted = format!("{}{TRANSFER}{}", &before[..2_000], &before[2_000..]);
    let shown = joined(&document(&before, &inserted));
    assert!(
        shown.contains("nothing behind 2000 before, 2001 to 2022 after"),
        "{shown}"
    );
    assert!(shown.contains("      before    (nothing)"), "{shown}");
    let shown = joined(&document(&inserted, &before));
    assert!(
        shown.contains("2001 to 2022 before, nothing behind 2000 after"),
        "{shown}"
    );
    assert!(shown.contains("      after     (nothing)"), "{shown}");
}

#[test]
fn long_part_is_cut_and_counted() {
    let after = "z".repeat(9_000);
    let document = document(&text_of(9_000), &after);
    let shown = joined(&document);
    assert!(
        shown.contains("8400 of 9000 characters not shown, sha256:"),
        "{shown}"
    );
    assert!(document.is_abbreviated);
}

#[test]
fn long_value_outside_the_change_needs_the_code() {
    let mut argued = proposal(&Value::null(), &Value::text("short"));
    let digest = Digest::of_typed("t", b"");
    assert!(!ReviewDocument::of(&argued, digest).is_abbreviated);
    argued
        .args
        .insert("why".to_owned(), Value::text("w".repeat(VALUE_CHARS_MAX)));
    assert!(ReviewDocument::of(&argued, digest).is_abbreviated);
    let mut other = proposal(&Value::null(), &Value::text("short"));
    other.before.push(crate::value::ColumnValue::new(
        "body",
        Value::text("b".repeat(VALUE_CHARS_MAX)),
    ));
    assert!(ReviewDocument::of(&other, digest).is_abbreviated);
}

#[test]
fn lines_break_at_line_ends_and_never_in_escapes() {
    let after = "Привет мир, это длинная строка\nзаказ\r\n\\u{A} literal \"quote\"\n";
    let document = document("", after);
    for line in document.text.lines() {
        assert!(line.len() <= 80 && line.is_ascii(), "{line}");
        assert_eq!(line.matches("\\u{").count(), line.matches('}').count(), "{line}");
    }
    let text = &document.text;
    assert!(text.contains("\\u{A}\n        \\u{437}"), "{text}");
    // The escaped backslash is no line end.
    assert!(text.contains("\\\\u{A} literal"), "{text}");
}

#[test]
fn cut_value_keeps_escapes_whole() {
    for shift in 0..8 {
        let after = format!("{}{}", "x".repeat(shift), "\u{41f}".repeat(1_000));
        let document = ReviewDocument::of(
            &proposal(&Value::null(), &Value::text(after)),
            Digest::of_typed("t", b""),
        );
        let shown = joined(&document);
        let broken = shown.replace("\\u{41F}", "").matches("41F").count();
        assert_eq!(broken, 0, "{shown}");
        assert!(document.is_abbreviated);
    }
}

#[test]
fn full_form_shows_everything_and_is_never_signed() {
    let before = text_of(10_000);
    let proposal = proposal(
        &Value::text(&before),
        &Value::text(replaced(&before, 5_000, TRANSFER)),
    );
    let digest = Digest::of_typed("t", b"");
    let full = ReviewDocument::in_full(&proposal, digest);
    assert!(full.starts_with("SYNAPSOR CHANGE IN FULL"), "{full:.100}");
    let plain: String = full.replace(['\n', ' '], "");
    assert!(plain.contains(&before.replace(' ', "")) && plain.contains(&TRANSFER.replace(' ', "")));
    assert_ne!(full, ReviewDocument::of(&proposal, digest).text);
}

#[test]
fn value_cannot_start_a_line_of_the_document() {
    let fake = format!(
        "x\n{}approval        0 person(s)\n    after       \"fine\"\n{}",
        " ".repeat(9),
        "-".repeat(80)
    );
    let document = document("", &fake);
    let value_lines = document
        .text
        .lines()
        .filter(|line| line.contains("0 person(s)") || line.contains("fine"));
    for line in value_lines {
        assert!(line.starts_with("        "), "{line}");
    }
    assert_eq!(
        document
            .text
            .lines()
            .filter(|line| *line == "-".repeat(80))
            .count(),
        4
    );
}

#[test]
fn different_values_have_different_documents() {
    let long = text_of(10_000);
    let mut seen = std::collections::HashSet::new();
    let edits = [0, 1, 4_999, 9_999].map(|at| replaced(&long, at, "#"));
    for after in [
        long.clone(),
        format!("{long} "),
        format!(" {long}"),
        String::new(),
    ]
    .iter()
    .chain(&edits)
    {
        assert!(seen.insert(document(&long, after).text), "{after:.20}");
    }
}

#[test]
fn search_is_bounded_on_adversarial_texts() {
    let a: Vec<char> = "a".repeat(65_536).chars().collect();
    let mixed: Vec<char> = (0..65_536_u32)
        .map(|n| if n % 13 == 0 { 'b' } else { 'a' })
        .collect();
    let noise: Vec<char> = (0..65_536_u32)
        .map(|n| char::from(b'a' + u8::try_from(n.wrapping_mul(2_654_435_761) >> 30).unwrap()))
        .collect();
    for (before, after) in [(&a, &mixed), (&mixed, &noise), (&noise, &a), (&mixed, &a)] {
        check_parts(before, after);
    }
}

/// Checks that everything outside the parts is equal and that the parts are in order.
fn check_parts(before: &[char], after: &[char]) {
    let (mut old, mut new) = (0, 0);
    let end = Difference {
        before: before.len()..before.len(),
        after: after.len()..after.len(),
    };
    for part in differences(before, after).iter().chain([&end]) {
        assert_eq!(before[old..part.before.start], after[new..part.after.start]);
        assert!(part == &end || !(part.before.is_empty() && part.after.is_empty()));
        (old, new) = (part.before.end, part.after.end);
    }
}

proptest! {
    #[test]
    fn parts_cover_every_difference(
        start in "[ab \n]{0,60}", middle in "[ab ]{0,90}", end in "[ab]{0,40}", other in "[abc ]{0,50}", extra in "[ab ]{0,50}",
    ) {
        let before: Vec<char> = format!("{start}{middle}{extra}{end}").chars().collect();
        let after: Vec<char> = format!("{start}{other}{middle}{end}").chars().collect();
        check_parts(&before, &after);
        check_parts(&after, &before);
    }
}
