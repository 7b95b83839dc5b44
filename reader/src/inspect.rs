//! Inspects a database through its engine's schema catalog. Metadata only, never a row.

use synapsor_domain::change::unwritable_trait;
use synapsor_domain::inspection::{ADVISORY, ColumnInfo, Inspection, TableInfo, TableKind};
use synapsor_domain::timestamp::Timestamp;

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::schema_catalog::{self, TABLES_MAX};
use synapsor_source::{Engine, SchemaCatalog};

/// Selects tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct InspectFilter<'a> {
    pub schema: Option<&'a str>,
    pub table: Option<&'a str>,
}

/// Returns everything within the selection that this credential can read, with suggestions.
///
/// # Errors
/// `NotFound` for a schema that does not exist; else the error of the database.
pub async fn inspect(
    engine: &dyn Engine,
    scope: InspectFilter<'_>,
    now: Timestamp,
) -> Result<Inspection, EngineError> {
    let mut catalog = engine.catalog(scope.schema).await?;
    if scope
        .schema
        .is_some_and(|wanted| !catalog.schemas.iter().any(|schema| schema == wanted))
    {
        let detail = format!("no such schema; expected one of {}", catalog.schemas.join(", "));
        return Err(EngineError::new(EngineErrorKind::NotFound, detail));
    }
    if let Some(name) = scope.table {
        catalog.tables.retain(|table| table.shape.table == name);
    }
    Ok(inspection(engine.kind().as_str(), catalog, now).with_suggestions())
}

fn inspection(engine: &str, catalog: SchemaCatalog, now: Timestamp) -> Inspection {
    let mut warnings = vec![ADVISORY.to_owned()];
    if catalog.truncated {
        warnings.push(format!(
            "Only the first {TABLES_MAX} tables are listed: name a schema to see the others."
        ));
    }
    let version = catalog.product.split_once(' ').map_or("", |(_, version)| version);
    Inspection {
        engine: engine.to_owned(),
        server_version: version.to_owned(),
        product: catalog.product,
        current_user: catalog.account,
        current_schema: catalog.current_schema,
        ssl_mode: None,
        inspected_at: now.to_string(),
        schemas: catalog.schemas,
        tables: catalog.tables.into_iter().map(table).collect(),
        warnings,
    }
}

fn table(found: schema_catalog::CatalogTable) -> TableInfo {
    let shape = found.shape;
    let never_written = unwritable_trait(&shape).map(str::to_owned);
    let is_view = shape.traits.iter().any(|t| t == "view");
    let default_of = |name: &str| {
        let mut defaults = found.defaults.iter();
        defaults
            .find(|(column, _)| column == name)
            .map(|(_, default)| default.clone())
    };
    let columns = shape
        .columns
        .iter()
        // The engine's own row markers, such as xmin, are not selectable columns.
        .filter(|column| !(column.generated && column.declared_type == "xid"))
        .zip(1..)
        .map(|(column, ordinal_position)| ColumnInfo {
            name: column.name.clone(),
            data_type: column.declared_type.clone(),
            base_type: column.base_type.clone(),
            labels: column.labels.clone(),
            nullable: column.nullable,
            default: default_of(&column.name),
            generated: column.generated,
            unreadable: found.unreadable.contains(&column.name),
            unwritable: found.unwritable.contains(&column.name),
            ordinal_position,
            suggestions: Default::default(),
        })
        .collect();
    TableInfo {
        schema: shape.schema,
        name: shape.table,
        kind: if is_view {
            TableKind::View
        } else {
            TableKind::Table
        },
        writable: found.can_change,
        never_written,
        columns,
        primary_key: found.primary_key,
        unique_constraints: found.unique,
        foreign_keys: found.foreign_keys,
        indexes: found.indexes,
        suggestions: Default::default(),
    }
}
