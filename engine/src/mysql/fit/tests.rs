//! Tests which values columns accept and reject.

use super::*;

fn column(declared: &str, collation: Option<&str>) -> TableColumn {
    TableColumn {
        name: "c".to_owned(),
        declared_type: declared.to_owned(),
        nullable: false,
        generated: false,
        primary_key: false,
        unique: false,
        collation: collation.map(ToOwned::to_owned),
        base_type: None,
        labels: Vec::new(),
    }
}

fn fits(declared: &str, value: &Value) -> Option<Value> {
    fit(&column(declared, Some("utf8mb4_general_ci")), value).ok()
}

fn exact(kind: ValueKind, text: &str) -> Value {
    Value::exact(kind, text)
}

fn dec(text: &str) -> Value {
    exact(ValueKind::Dec, text)
}

#[test]
fn integers_keep_their_range() {
    for (declared, max) in [
        ("tinyint(1)", "127"),
        ("tinyint unsigned", "255"),
        ("smallint", "32767"),
        ("mediumint unsigned", "16777215"),
        ("int(11)", "2147483647"),
        ("bigint", "9223372036854775807"),
        ("bigint(20) unsigned", "18446744073709551615"),
    ] {
        let value = exact(ValueKind::Int, max);
        assert_eq!(fits(declared, &value), Some(value.clone()), "{declared}");
        assert_eq!(fits(declared, &Value::text(max)), Some(value), "{declared}");
        let next = (max.parse::<i128>().unwrap() + 1).to_string();
        assert_eq!(fits(declared, &exact(ValueKind::Int, &next)), None, "{declared}");
    }
    assert_eq!(fits("int unsigned", &Value::int(-1)), None);
    assert_eq!(fits("int", &dec("1.5")), None);
    assert_eq!(fits("tinyint(1)", &Value::bool(true)), Some(Value::int(1)));
    assert_eq!(fits("year", &Value::int(1900)), None);
}

#[test]
fn decimals_are_neither_rounded_nor_clipped() {
    let shown =
        |declared: &str, text: &str| fits(declared, &dec(text)).map(|v| v.as_text().unwrap().to_owned());
    assert_eq!(shown("decimal(5,2)", "999.99").as_deref(), Some("999.99"));
    assert_eq!(shown("decimal(5,2)", "1.5").as_deref(), Some("1.50"));
    assert_eq!(shown("decimal(5,2)", "-0.00").as_deref(), Some("0.00"));
    assert_eq!(shown("decimal(5,2)", "1.2300").as_deref(), Some("1.23"));
    assert_eq!(shown("decimal(5,2)", "1.239"), None);
    assert_eq!(shown("decimal(5,2)", "1000"), None);
    assert_eq!(shown("decimal(2,2)", "0.5").as_deref(), Some("0.50"));
    assert_eq!(shown("decimal(2,2)", "1"), None);
    assert_eq!(shown("decimal(5,2) unsigned", "-1"), None);
    assert_eq!(fits("decimal(5,2)", &Value::text("1.50")), Some(dec("1.50")));
    assert_eq!(fits("decimal(5,2)", &Value::text("1.5")), None);
    assert_eq!(fits("decimal(5,2)", &Value::text("1e1")), None);
}

#[test]
fn floats_accept_values_that_read_back() {
    let float = |text| Some(exact(ValueKind::Float, text));
    assert_eq!(fits("double", &dec("0.1")), float("0.1"));
    assert_eq!(fits("float", &dec("0.1")), float("0.1"));
    assert_eq!(fits("float", &Value::int(16_777_217)), None);
    assert_eq!(fits("double", &dec("0.1000000000000000055511151231257827")), None);
    assert_eq!(fits("float(7,2)", &dec("0.1")), None);
    assert_eq!(fits("double unsigned", &dec("-0.5")), None);
    assert_eq!(fits("double", &dec("-0")), float("0.0"));
    assert_eq!(fits("double", &exact(ValueKind::Float, "-0.0")), None);
}

#[test]
fn strings_are_neither_truncated_nor_converted() {
    let text = |declared: &str, collation, text: &str| {
        fit(&column(declared, Some(collation)), &Value::text(text)).is_ok()
    };
    assert!(text("varchar(3)", "utf8mb4_bin", "\u{1F600}ab"));
    assert!(!text("varchar(3)", "utf8mb4_bin", "abcd"));
    assert!(text("varchar(3)", "utf8mb4_bin", "ab "));
    assert!(!text("char(3)", "utf8mb4_bin", "ab "));
    assert!(!text("varchar(3)", "latin1_swedish_ci", "Ł"));
    assert!(text("tinytext", "latin1_swedish_ci", &"é".repeat(255)));
    assert!(!text("tinytext", "utf8mb4_bin", &"é".repeat(255)));
    assert!(!text("text", "utf8mb4_bin", "a\0b"));
    assert_eq!(fits("varchar(9)", &Value::int(7)), None);
    assert_eq!(fits("varchar(9)", &Value::bool(true)), None);
}

#[test]
fn labels_members_and_bits_are_exact() {
    let text = |declared: &str, text: &str| fits(declared, &Value::text(text)).is_some();
    assert!(text("enum('open','it''s')", "it's"));
    assert!(!text("enum('open')", "Open"));
    assert!(!text("enum('open')", "1"));
    assert!(!text("enum('open')", ""));
    assert!(text("set('a','b','c')", "a,c"));
    assert!(text("set('a','b')", ""));
    assert!(!text("set('a','b')", "b,a"));
    assert!(!text("set('a','b')", "a,a"));
    assert!(text("bit(3)", "010"));
    assert!(!text("bit(3)", "10"));
    assert_eq!(fits("bit(3)", &Value::int(5)), Some(Value::text("101")));
    assert_eq!(fits("bit(3)", &Value::int(8)), None);
    assert_eq!(fits("bit(1)", &Value::bool(true)), Some(Value::text("1")));
}

#[test]
fn bytes_are_not_padded() {
    assert!(fits("binary(2)", &Value::bytes(&[0, 1])).is_some());
    assert!(fits("binary(2)", &Value::bytes(&[1])).is_none());
    assert!(fits("varbinary(2)", &Value::bytes(&[1])).is_some());
    assert!(fits("varbinary(2)", &Value::bytes(&[1, 2, 3])).is_none());
    assert!(fits("varbinary(9)", &Value::text("no hex")).is_none());
    assert_eq!(
        fits("varbinary(9)", &Value::text("0A")),
        Some(Value::bytes(&[10]))
    );
}

#[test]
fn rejects_types_with_a_server_specific_form() {
    for declared in ["json", "geometry", "point", "inet6", "vector(3)"] {
        let refusal = fit(&column(declared, None), &Value::text("{}")).unwrap_err();
        assert!(refusal.public.contains(declared), "{}", refusal.public);
    }
    let mut computed = column("int", None);
    computed.generated = true;
    assert!(fit(&computed, &Value::int(1)).is_err());
    assert!(fit(&column("int", None), &Value::null()).is_err());
    assert!(fits("date", &Value::text("0000-00-00")).is_none());
}
