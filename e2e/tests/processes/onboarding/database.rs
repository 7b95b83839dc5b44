//! Database of an application without a description: 40 tables with foreign keys, views and odd names.

use synapsor_domain::contract::EngineKind;

/// Tables beside the invoices and the odd ones.
const OTHERS: usize = 34;

/// Statements that create the tables, and one invoice of the tenant `nord`.
pub(crate) fn statements(engine: EngineKind) -> String {
    let quoted = |name: &str| match engine {
        EngineKind::Mysql => format!("`{name}`"),
        EngineKind::Postgres | EngineKind::Sqlite => format!("\"{name}\""),
    };
    let mut sql = String::from("CREATE TABLE tenants (id varchar(20) PRIMARY KEY, title varchar(60));\n");
    for number in 1..=OTHERS {
        let before = number - 1;
        let (reference, parent) = match number {
            1 => ("tenants(id)".to_owned(), "varchar(20)"),
            _ => (format!("part_{before:02}(id)"), "integer"),
        };
        sql.push_str(&format!(
            "CREATE TABLE part_{number:02} (id integer PRIMARY KEY, parent {parent} NOT NULL, amount numeric(9,2), \
             FOREIGN KEY (parent) REFERENCES {reference});\n"
        ));
    }
    for odd in ["Order Items", "select", "grüße", "MixedCase"] {
        sql.push_str(&format!(
            "CREATE TABLE {} (id integer PRIMARY KEY, note varchar(30));\n",
            quoted(odd)
        ));
    }
    sql.push_str(
        "CREATE TABLE invoices (invoice_no varchar(20) PRIMARY KEY, tenant_id varchar(20) NOT NULL, \
         status varchar(20) NOT NULL, late_fee_cents integer NOT NULL, waive_note varchar(200), \
         password_hash varchar(60), row_version integer NOT NULL, FOREIGN KEY (tenant_id) REFERENCES tenants(id));\n\
         CREATE VIEW open_invoices AS SELECT * FROM invoices WHERE status = 'open';\n\
         CREATE VIEW invoice_totals AS SELECT tenant_id, sum(late_fee_cents) AS total FROM invoices GROUP BY tenant_id;\n\
         INSERT INTO tenants VALUES ('nord', 'Nord'), ('sued', 'Sued');\n\
         INSERT INTO invoices VALUES ('INV-1', 'nord', 'open', 900, NULL, 'x', 1), ('INV-2', 'sued', 'open', 100, NULL, 'x', 1);",
    );
    sql
}
