//! Filter by table: by its name with or without the schema, or by the type of business object that it holds.

/// Conditions on a table; all of them are met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableFilter {
    /// Name with its schema, or without one for tables of this name in every schema.
    pub table: Option<String>,
    /// Type of business object: the name of a table in singular or plural; a schema and upper case do not matter.
    pub object_type: Option<String>,
}

impl TableFilter {
    /// Returns whether it has no condition.
    pub const fn is_empty(&self) -> bool {
        self.table.is_none() && self.object_type.is_none()
    }

    /// Returns whether a table with its schema meets the conditions.
    pub fn is_met_by(&self, qualified: &str) -> bool {
        let name = without_schema(qualified);
        let is_named = |wanted: &String| match wanted.contains('.') {
            true => wanted == qualified,
            false => wanted == name,
        };
        self.table.as_ref().is_none_or(is_named)
            && self
                .object_type
                .as_ref()
                .is_none_or(|kind| singular(without_schema(kind)) == singular(name))
    }
}

fn without_schema(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn singular(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => name.strip_suffix('s').unwrap_or(&name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(table: Option<&str>, object_type: Option<&str>) -> TableFilter {
        TableFilter {
            table: table.map(str::to_owned),
            object_type: object_type.map(str::to_owned),
        }
    }

    #[test]
    fn table_is_named_with_or_without_its_schema() {
        assert!(filter(None, None).is_empty());
        for name in ["invoices", "public.invoices"] {
            assert!(filter(Some(name), None).is_met_by("public.invoices"), "{name}");
        }
        for name in ["Invoices", "main.invoices", "invoice"] {
            assert!(!filter(Some(name), None).is_met_by("public.invoices"), "{name}");
        }
    }

    #[test]
    fn object_type_is_a_table_in_singular_or_plural() {
        for kind in ["invoice", "invoices", "other.invoices", "Invoice"] {
            assert!(filter(None, Some(kind)).is_met_by("public.invoices"), "{kind}");
        }
        assert!(filter(None, Some("category")).is_met_by("main.categories"));
        assert!(!filter(None, Some("customer")).is_met_by("public.invoices"));
        assert!(!filter(Some("orders"), Some("invoice")).is_met_by("public.invoices"));
    }
}
