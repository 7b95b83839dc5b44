//! Tests of inspection suggestions and column types.

use super::*;

fn of(name: &str) -> ColumnSuggestions {
    of_column(name, "text", false)
}

fn column(name: &str, data_type: &str) -> ColumnInfo {
    ColumnInfo {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        base_type: None,
        labels: Vec::new(),
        nullable: true,
        default: None,
        generated: false,
        unreadable: false,
        unwritable: false,
        ordinal_position: 1,
        suggestions: ColumnSuggestions::default(),
    }
}

fn table(name: &str, primary_key: &[&str], columns: &[&str]) -> TableInfo {
    TableInfo {
        schema: "public".to_owned(),
        name: name.to_owned(),
        kind: TableKind::Table,
        writable: false,
        never_written: None,
        columns: columns.iter().map(|name| column(name, "text")).collect(),
        primary_key: primary_key.iter().map(|name| (*name).to_owned()).collect(),
        unique_constraints: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        suggestions: TableSuggestions::default(),
    }
}

#[test]
fn tenant_and_version_columns_match_exact_names() {
    for name in ["tenant_id", "ORG_ID", "customer_id", "workspace_id"] {
        assert!(of(name).tenant && of(name).immutable, "{name}");
    }
    for name in ["tenant", "my_tenant_id", "tenantid", "customer_id_2"] {
        assert!(!of(name).tenant, "{name}");
    }
    for name in ["updated_at", "Version", "etag", "lock_version"] {
        assert!(of(name).conflict, "{name}");
    }
    assert!(!of("versions").conflict && !of("last_updated_at").conflict);
}

#[test]
fn sensitive_words_are_delimited_by_underscores() {
    for name in ["ssn", "user_ssn", "SSN_last4", "card-cvv"] {
        assert!(of(name).sensitive, "{name}");
    }
    for name in ["assn", "cvvx", "lessn"] {
        assert!(!of(name).sensitive, "{name}");
    }
}

#[test]
fn secret_names_are_sensitive_contact_data_is_not() {
    for name in [
        "password_hash",
        "reset_token",
        "apiKey",
        "api-key",
        "session_id",
        "oauth_state",
        "passwd",
        "credential",
        "credit_card_last4",
    ] {
        assert!(of(name).sensitive, "{name}");
    }
    for name in ["email", "phone", "address", "full_name", "status"] {
        assert!(!of(name).sensitive, "{name}");
    }
}

#[test]
fn large_and_binary_columns_are_detected_by_type() {
    for declared in [
        "bytea",
        "JSONB",
        "json",
        "varbinary(16)",
        "longblob",
        "vector(3)",
        "json[]",
    ] {
        assert!(of_column("x", declared, false).large_or_binary, "{declared}");
    }
    for declared in ["text", "integer", "character varying(20)", "jsonpath"] {
        assert!(!of_column("x", declared, false).large_or_binary, "{declared}");
    }
}

#[test]
fn keys_and_creation_marks_are_immutable() {
    assert!(of_column("number", "text", true).immutable && !of("number").immutable);
    for name in ["id", "uuid", "created_at", "created_by"] {
        assert!(of(name).immutable, "{name}");
    }
}

#[test]
fn suggests_only_columns_that_a_contract_can_show() {
    let mut table = table(
        "users",
        &["id"],
        &["id", "email", "password", "odd name", "photo"],
    );
    table.columns[4].data_type = "bytea".to_owned();
    let inspection = Inspection {
        ssl_mode: None,
        engine: "postgres".to_owned(),
        product: "PostgreSQL 15.1".to_owned(),
        server_version: "15.1".to_owned(),
        current_user: "app".to_owned(),
        current_schema: None,
        inspected_at: "2026-01-01T00:00:00.000Z".to_owned(),
        schemas: vec!["public".to_owned()],
        tables: vec![table],
        warnings: Vec::new(),
    }
    .with_suggestions();
    let suggestions = &inspection.tables[0].suggestions;
    assert_eq!(suggestions.default_visible_columns, ["id", "email"]);
    assert_eq!(suggestions.sensitive_columns, ["password"]);
}

#[test]
fn key_candidate_is_primary_key_or_named_like_a_key() {
    assert_eq!(
        table("orders", &["number"], &["number", "id"]).key_candidate("order"),
        Some("number")
    );
    assert_eq!(
        table("orders", &[], &["order_id"]).key_candidate("order"),
        Some("order_id")
    );
    assert_eq!(
        table("orders", &[], &["orders_id"]).key_candidate("order"),
        Some("orders_id")
    );
    assert_eq!(
        table("orders", &["a", "id"], &["a", "id"]).key_candidate("order"),
        None
    );
    assert_eq!(table("orders", &[], &["name"]).key_candidate("order"), None);
}

#[test]
fn declared_types_of_each_engine_map_to_kind_or_none() {
    let kind = |declared: &str| column("x", declared).kind();
    for declared in [
        "bigint unsigned",
        "int(11)",
        "NUMERIC(12,2)",
        "double precision",
        "int8",
        "decimal(10,2) unsigned",
    ] {
        assert_eq!(kind(declared), Some(ColumnKind::Number), "{declared}");
    }
    for declared in ["boolean", "tinyint(1)", "BOOL"] {
        assert_eq!(kind(declared), Some(ColumnKind::Boolean), "{declared}");
    }
    for declared in [
        "TEXT",
        "character varying(20)",
        "varchar(20)",
        "enum('a','b')",
        "char(2)",
    ] {
        assert_eq!(kind(declared), Some(ColumnKind::Text), "{declared}");
    }
    for declared in ["integer[]", "timestamp with time zone", "uuid", "inet", ""] {
        assert_eq!(kind(declared), None, "{declared}");
    }
    assert_eq!(column("x", "character varying(20)").length(), Some(20));
    assert_eq!(column("x", "enum('a','b')").length(), None);
    assert_eq!(column("x", "numeric(12)").length(), None);
}
