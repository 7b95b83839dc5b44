//! Schema profiles: the form of a tool list for clients that take only a part of JSON Schema, or that pay for each byte.

use std::str::FromStr;

use serde_json::{Map, Value as Json, json};

use super::Tool;

/// Form of the tools in a list. Calls and their results are the same in every profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum SchemaProfile {
    /// Every member, as in 0.1.x, with output schemas.
    #[default]
    Full,
    /// Without output schemas, metadata and titles.
    Lean,
    /// Lean, with the keywords that Gemini's function declarations take.
    Gemini,
    /// Lean, for the strict mode of OpenAI: every argument is required, and optional ones take null.
    OpenAiStrict,
}

impl SchemaProfile {
    pub const ALL: [Self; 4] = [Self::Full, Self::Lean, Self::Gemini, Self::OpenAiStrict];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lean => "lean",
            Self::Gemini => "gemini",
            Self::OpenAiStrict => "openai-strict",
        }
    }
}

/// String that is not a schema profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected full, lean, gemini or openai-strict")]
pub struct UnknownSchemaProfile;

impl FromStr for SchemaProfile {
    type Err = UnknownSchemaProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or(UnknownSchemaProfile)
    }
}

impl Tool {
    /// Returns the tool in a profile. An omitted member is empty or null.
    #[must_use]
    pub fn in_profile(mut self, profile: SchemaProfile) -> Self {
        if profile == SchemaProfile::Full {
            return self;
        }
        self.title = String::new();
        self.output_schema = Json::Null;
        self.meta = Json::Null;
        if let Some(schema) = self.input_schema.as_object_mut() {
            schema.shift_remove("$schema");
            match profile {
                SchemaProfile::Full | SchemaProfile::Lean => {}
                SchemaProfile::Gemini => to_gemini(schema),
                SchemaProfile::OpenAiStrict => to_openai_strict(schema),
            }
        }
        self
    }
}

fn properties(schema: &mut Map<String, Json>) -> impl Iterator<Item = (&String, &mut Map<String, Json>)> {
    let properties = schema.get_mut("properties").and_then(Json::as_object_mut);
    properties
        .into_iter()
        .flat_map(Map::iter_mut)
        .filter_map(|(name, property)| Some((name, property.as_object_mut()?)))
}

/// Enumerations have strings only; every object is closed without saying so.
fn to_gemini(schema: &mut Map<String, Json>) {
    schema.shift_remove("additionalProperties");
    for (_, property) in properties(schema) {
        let is_text = property.get("type") == Some(&json!("string"));
        if is_text {
            continue;
        }
        if let Some(Json::Array(allowed)) = property.shift_remove("enum") {
            let list: Vec<String> = allowed.iter().map(Json::to_string).collect();
            describe(property, &format!("One of {}.", list.join(", ")));
        }
    }
}

/// Every property is required; an optional one takes null, which means that it is left out. Lengths are described.
fn to_openai_strict(schema: &mut Map<String, Json>) {
    let required = schema.get("required").cloned().unwrap_or_else(|| json!([]));
    let is_required = |name: &String| {
        required
            .as_array()
            .is_some_and(|names| names.contains(&json!(name)))
    };
    for (name, property) in properties(schema) {
        if let Some(limit) = property.shift_remove("maxLength") {
            describe(property, &format!("At most {limit} characters."));
        }
        if is_required(name) {
            continue;
        }
        describe(property, "Null leaves it out.");
        let description = property.shift_remove("description");
        let given = Json::Object(std::mem::take(property));
        property.insert("anyOf".to_owned(), json!([given, {"type": "null"}]));
        property.extend(description.map(|text| ("description".to_owned(), text)));
    }
    let names: Vec<String> = properties(schema).map(|(name, _)| name.clone()).collect();
    schema.insert("required".to_owned(), json!(names));
}

fn describe(property: &mut Map<String, Json>, sentence: &str) {
    let own = property
        .get("description")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let end = if own.is_empty() || own.ends_with(['.', '!', '?', ':', ';', '。']) {
        ""
    } else {
        "."
    };
    let text = format!("{own}{end} {sentence}").trim_start().to_owned();
    property.insert("description".to_owned(), text.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Contract, ResultFormat};
    use crate::tool::Catalog;

    const GEMINI: [&str; 11] = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "properties",
        "required",
        "maxLength",
        "minimum",
        "maximum",
    ];

    fn tools(profile: SchemaProfile) -> Vec<Tool> {
        let file = serde_json::json!({
            "version": 1, "mode": "review", "result_format": 2,
            "sources": {"db": {"engine": "sqlite", "read_url_env": "R", "write_url_env": "W"}},
            "trusted_context": {"provider": "environment"},
            "capabilities": [{
                "name": "t.propose", "kind": "proposal", "source": "db", "description": "Proposes.",
                "target": {"schema": "main", "table": "t", "primary_key": "id", "tenant_key": "tenant"},
                "args": {
                    "id": {"type": "string", "max_length": 40},
                    "qty": {"type": "number", "enum": [1, 2.5]},
                    "price": {"type": "number", "minimum": 0, "maximum": 99.5, "required": false},
                    "flag": {"type": "boolean", "enum": [true]},
                    "word": {"type": "string", "enum": ["a", "b"], "required": false},
                    "note": {"type": "string", "required": false, "max_length": 40, "description": "Why."},
                },
                "lookup": {"id_from_arg": "id"},
                "visible_columns": ["id", "qty"],
                "patch": {"qty": {"from_arg": "qty"}},
                "allowed_columns": ["qty"],
                "conflict_guard": {"column": "version"},
                "approval": {"mode": "human", "required_role": "lead"},
            }],
        });
        let contract = Contract::parse(file.to_string().as_bytes()).unwrap().contract;
        let tools = Catalog::from_contract(&contract, false).tools.into_iter();
        tools.map(|tool| tool.in_profile(profile)).collect()
    }

    fn walk(schema: &Json, check: &mut impl FnMut(&str, &Json)) {
        for (keyword, value) in schema.as_object().unwrap() {
            check(keyword, value);
            match keyword.as_str() {
                "properties" => value.as_object().unwrap().values().for_each(|of| walk(of, check)),
                "anyOf" => value.as_array().unwrap().iter().for_each(|of| walk(of, check)),
                _ => {}
            }
        }
    }

    #[test]
    fn profiles_parse_from_their_names() {
        for profile in SchemaProfile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
        }
        assert_eq!("Lean".parse::<SchemaProfile>(), Err(UnknownSchemaProfile));
    }

    #[test]
    fn gemini_gets_only_keywords_that_it_knows() {
        for tool in tools(SchemaProfile::Gemini) {
            walk(&tool.input_schema, &mut |keyword, value| {
                assert!(GEMINI.contains(&keyword), "{keyword}");
                if keyword == "type" {
                    assert!(value.is_string());
                }
                if keyword == "enum" {
                    assert!(value.as_array().unwrap().iter().all(Json::is_string), "{value}");
                }
            });
        }
        let tool = &tools(SchemaProfile::Gemini)[0];
        let text = |name: &str| tool.input_schema["properties"][name]["description"].to_string();
        assert_eq!(text("qty"), "\"qty business argument. One of 1, 2.5.\"");
        assert!(text("flag").contains("One of true."));
        assert_eq!(tool.input_schema["properties"]["word"]["enum"], json!(["a", "b"]));
    }

    #[test]
    fn openai_strict_requires_all_properties_and_permits_null() {
        for tool in tools(SchemaProfile::OpenAiStrict) {
            let schema = &tool.input_schema;
            let names: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
            assert_eq!(schema["required"], json!(names));
            assert_eq!(schema["additionalProperties"], json!(false));
            walk(schema, &mut |keyword, _| {
                assert!(!matches!(keyword, "maxLength" | "$schema"), "{keyword}")
            });
        }
        let schema = &tools(SchemaProfile::OpenAiStrict)[0].input_schema["properties"];
        for name in ["price", "word", "note"] {
            assert_eq!(schema[name]["anyOf"][1], json!({"type": "null"}), "{name}");
        }
        assert_eq!(schema["id"]["type"], "string");
        assert_eq!(
            schema["note"]["description"],
            "Why. At most 40 characters. Null leaves it out."
        );
    }

    #[test]
    fn lean_keeps_hints_and_omits_what_no_model_needs() {
        for (full, lean) in tools(SchemaProfile::Full)
            .into_iter()
            .zip(tools(SchemaProfile::Lean))
        {
            let (whole, listed) = (full.listed(ResultFormat::V2), lean.listed(ResultFormat::V2));
            let keys: Vec<&String> = listed.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["name", "description", "inputSchema", "annotations"]);
            for hint in [
                "readOnlyHint",
                "destructiveHint",
                "idempotentHint",
                "openWorldHint",
            ] {
                assert_eq!(listed["annotations"][hint], whole["annotations"][hint]);
            }
            assert_eq!(listed["inputSchema"]["additionalProperties"], json!(false));
        }
    }
}
