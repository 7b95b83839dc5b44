//! A database as a person is shown it, from the catalogue of its engine. Metadata only, never a row.

use synapsor_domain::inspection::{ADVISORY, ColumnInfo, Inspection, TableInfo, TableKind};
use synapsor_domain::timestamp::Timestamp;

use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::schema_catalog::{self, TABLES_MAX};
use synapsor_source::{Engine, SchemaCatalog};

/// Which tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct InspectFilter<'a> {
    pub schema: Option<&'a str>,
    pub table: Option<&'a str>,
}

/// Everything within the scope that this credential sees, with what it suggests.
///
/// # Errors
/// `NotFound` for a schema that is not there; else what the database says.
pub async fn inspect(
    engine: &dyn Engine,
    scope: InspectFilter<'_>,
    now: Timestamp,
) -> Result<Inspection, EngineError> {
    let mut catalogue = engine.catalogue(scope.schema).await?;
    if scope
        .schema
        .is_some_and(|wanted| !catalogue.schemas.iter().any(|schema| schema == wanted))
    {
        let detail = format!(
            "there is no such schema; there are {}",
            catalogue.schemas.join(", ")
        );
        return Err(EngineError::new(EngineErrorKind::NotFound, detail));
    }
    if let Some(name) = scope.table {
        catalogue.tables.retain(|table| table.shape.table == name);
    }
    Ok(inspection(engine.kind(), catalogue, now).with_suggestions())
}

fn inspection(engine: &str, catalogue: SchemaCatalog, now: Timestamp) -> Inspection {
    let mut warnings = vec![ADVISORY.to_owned()];
    if catalogue.truncated {
        warnings.push(format!(
            "Only the first {TABLES_MAX} tables are listed: name a schema to see the others."
        ));
    }
    let version = catalogue
        .product
        .split_once(' ')
        .map_or("", |(_, version)| version);
    Inspection {
        engine: engine.to_owned(),
        server_version: version.to_owned(),
        product: catalogue.product,
        current_user: catalogue.account,
        inspected_at: now.to_string(),
        schemas: catalogue.schemas,
        tables: catalogue.tables.into_iter().map(table).collect(),
        warnings,
    }
}

fn table(found: schema_catalog::CatalogTable) -> TableInfo {
    let shape = found.shape;
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
        // Row marks of the engine itself, such as xmin, are no columns to choose from.
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
        columns,
        primary_key: found.primary_key,
        unique_constraints: found.unique,
        foreign_keys: found.foreign_keys,
        indexes: found.indexes,
        suggestions: Default::default(),
    }
}
