//! Tests: code is admitted in its closed form, or by an entry that matches it exactly.

use synapsor_codes::ErrorCode;

use super::*;
use crate::contract::SideEffectWrite;

/// Wraps one piece of code or one entry as a slice.
fn one<T>(item: &T) -> &[T] {
    std::slice::from_ref(item)
}

fn code(name: &str, body: &str, form: CodeForm) -> ForeignCode {
    let definition = BTreeMap::from([("sql", body.to_owned())]);
    let functions = vec!["shop.log".to_owned(), "shop.audit".to_owned()];
    ForeignCode::new(ForeignCodeKind::Trigger, name, &definition, functions, form)
}

fn entry(code: &ForeignCode, writes: &[(&str, u32)]) -> SideEffectAck {
    let write = |(table, rows): &(&str, u32)| SideEffectWrite {
        table: (*table).to_owned(),
        rows: *rows,
    };
    SideEffectAck {
        name: code.name.clone(),
        digest: code.digest,
        functions: code.functions.clone(),
        writes: writes.iter().map(write).collect(),
    }
}

fn refusal(code: &[ForeignCode], entries: &[SideEffectAck]) -> ErrorCode {
    Acknowledged::acknowledge(code, entries).unwrap_err().code()
}

#[test]
fn closed_form_needs_no_entry_and_rejects_one() {
    let closed = code("touch", "x", CodeForm::Closed);
    let admitted = Acknowledged::acknowledge(one(&closed), &[]).unwrap();
    assert!(admitted.is_empty() && admitted.side_effects().is_empty());
    assert_eq!(admitted.code(), one(&closed));
    assert_eq!(
        refusal(one(&closed), &[entry(&closed, &[])]),
        ErrorCode::SideEffectAckStale
    );
}

#[test]
fn rejects_entry_that_differs_in_any_part() {
    let audit = code("audit", "insert", CodeForm::Acknowledgeable);
    let good = entry(&audit, &[]);
    assert!(Acknowledged::acknowledge(one(&audit), one(&good)).is_ok());
    assert_eq!(refusal(one(&audit), &[]), ErrorCode::SideEffectNotAcknowledged);
    let other = code("audit", "insert twice", CodeForm::Acknowledgeable);
    assert_eq!(
        refusal(&[other], one(&good)),
        ErrorCode::SideEffectNotAcknowledged
    );
    let renamed = SideEffectAck {
        name: "other".to_owned(),
        ..good.clone()
    };
    assert_eq!(
        refusal(one(&audit), &[renamed]),
        ErrorCode::SideEffectNotAcknowledged
    );
    let fewer = SideEffectAck {
        functions: vec!["shop.audit".to_owned()],
        ..good.clone()
    };
    assert_eq!(
        refusal(one(&audit), &[fewer]),
        ErrorCode::SideEffectNotAcknowledged
    );
    assert_eq!(refusal(&[], &[good]), ErrorCode::SideEffectAckStale);
}

#[test]
fn rejects_unacknowledgeable_code_by_name() {
    let deferred = code("late", "x", CodeForm::Never("runs inside COMMIT"));
    let refused = Acknowledged::acknowledge(one(&deferred), &[entry(&deferred, &[])]).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::SideEffectNotAcknowledgeable);
    assert!(refused.text().contains("trigger `late`") && refused.text().contains("runs inside COMMIT"));
}

#[test]
fn limits_of_all_entries_are_added() {
    let (a, b) = (
        code("a", "x", CodeForm::Acknowledgeable),
        code("b", "y", CodeForm::Acknowledgeable),
    );
    let entries = [
        entry(&a, &[("shop.audit", 1), ("shop.stock", 2)]),
        entry(&b, &[("shop.audit", 3)]),
    ];
    let admitted = Acknowledged::acknowledge(&[a.clone(), b], &entries).unwrap();
    assert_eq!(
        (admitted.rows("shop", "audit"), admitted.rows("shop", "orders")),
        (4, 0)
    );
    assert_eq!(admitted.rows_total(), 6);
    assert_eq!(
        admitted.side_effects()[0],
        format!(
            "acknowledged trigger a ({}): may write 1 row of shop.audit, 2 rows of shop.stock",
            a.digest
        )
    );
}

#[test]
fn digest_covers_kind_name_and_every_part() {
    let digest = |kind, name: &str, parts: &[(&'static str, &str)]| {
        let definition = parts.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        ForeignCode::new(kind, name, &definition, Vec::new(), CodeForm::Acknowledgeable).digest
    };
    let digests = [
        digest(ForeignCodeKind::Trigger, "a", &[("sql", "x")]),
        digest(ForeignCodeKind::Rule, "a", &[("sql", "x")]),
        digest(ForeignCodeKind::Trigger, "b", &[("sql", "x")]),
        digest(ForeignCodeKind::Trigger, "a", &[("sql", "y")]),
        digest(ForeignCodeKind::Trigger, "a", &[("sql", "x"), ("owner", "root")]),
    ];
    for (index, one) in digests.iter().enumerate() {
        assert!(!digests[index + 1..].contains(one), "{index}");
    }
}
