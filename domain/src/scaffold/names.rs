//! Names derived from a table name.

/// Returns the default object name and namespace of a table.
pub fn default_names(table: &str) -> (String, String) {
    let object = object_of(table);
    let namespace = namespace_of(&object);
    (object, namespace)
}

/// Returns the singular object name of a table: lower case, valid identifier characters only.
pub(super) fn object_of(table: &str) -> String {
    let lower = table.to_ascii_lowercase();
    let clean: String = lower
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let clean = clean.trim_matches('_');
    let singular = match clean.strip_suffix("ies") {
        Some(stem) if !stem.is_empty() => format!("{stem}y"),
        _ if clean.ends_with("ss") => clean.to_owned(),
        _ => clean.strip_suffix('s').unwrap_or(clean).to_owned(),
    };
    match singular.chars().next() {
        None => "row".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("row_{singular}"),
        Some(_) => singular,
    }
}

/// Returns the first word of an object name. The namespace of built-in tools is replaced.
pub(super) fn namespace_of(object: &str) -> String {
    let first = object.split('_').find(|word| !word.is_empty());
    match first.unwrap_or(object) {
        "proposals" => "proposal".to_owned(),
        word => word.to_owned(),
    }
}

/// Returns the display name: spaces instead of underscores.
pub(super) fn spoken(name: &str) -> String {
    name.replace('_', " ")
}
