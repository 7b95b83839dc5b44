//! Arguments that a model may pass: their form in the file, and validation of values.

use super::fields;
use super::names::{is_reserved_argument, is_safe_name, is_secret_like};
use super::object::{ObjectReader, member};
use super::report::ValidationReport;
use super::source::is_empty;
use crate::decimal::{Decimal, DecimalError};
use crate::json::JsonNode;
use crate::value::{Value, ValueKind};
use synapsor_codes::ErrorCode;

/// Maximum length of an argument name, in characters; the limit of the strictest clients.
const ARG_NAME_CHARS_MAX: usize = 64;

/// A single value of the file or of a call, numbers exact.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
}

impl Scalar {
    /// Converts the scalar to the typed value that is signed, stored and bound.
    pub fn to_value(&self) -> Value {
        match self {
            Scalar::Null => Value::null(),
            Scalar::Bool(value) => Value::bool(*value),
            Scalar::Number(number) if number.is_integer() => Value::exact(ValueKind::Int, number.as_str()),
            Scalar::Number(number) => Value::exact(ValueKind::Dec, number.as_str()),
            Scalar::Text(text) => Value::text(text.clone()),
        }
    }

    /// Returns `None` for lists, objects and numbers that are too long.
    pub(super) fn of(node: &JsonNode) -> Option<Self> {
        match node {
            JsonNode::Null => Some(Scalar::Null),
            JsonNode::Bool(value) => Some(Scalar::Bool(*value)),
            JsonNode::Number(text) => Decimal::parse(text).ok().map(Scalar::Number),
            JsonNode::Text(text) => Some(Scalar::Text(text.clone())),
            JsonNode::List(_) | JsonNode::Map(_) => None,
        }
    }
}

/// Type of an argument's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgType {
    Text,
    Number,
    Boolean,
}

impl ArgType {
    const WORDS: &[(&str, ArgType)] = &[
        ("string", ArgType::Text),
        ("number", ArgType::Number),
        ("boolean", ArgType::Boolean),
    ];

    /// Name in the file, which is also the JSON Schema type.
    pub const fn as_str(self) -> &'static str {
        match self {
            ArgType::Text => "string",
            ArgType::Number => "number",
            ArgType::Boolean => "boolean",
        }
    }
}

/// One argument of a capability.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arg {
    pub name: String,
    pub arg_type: ArgType,
    pub is_required: bool,
    pub description: Option<String>,
    /// Maximum length in characters; only for strings.
    pub max_length: Option<u32>,
    pub minimum: Option<Decimal>,
    pub maximum: Option<Decimal>,
    /// The only values that are accepted.
    pub allowed: Option<Vec<Scalar>>,
}

/// Reason why a value is invalid for an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArgumentError {
    Type,
    Number(DecimalError),
    TooLong(u32),
    Below(Decimal),
    Above(Decimal),
    NotAllowed,
}

impl Arg {
    /// Returns the value in exact form, if type, length, bounds and enumeration permit it.
    ///
    /// # Errors
    /// The first rule that fails.
    pub fn fit(&self, node: &JsonNode) -> Result<Scalar, ArgumentError> {
        let scalar = match (self.arg_type, node) {
            (ArgType::Text, JsonNode::Text(text)) => Scalar::Text(text.clone()),
            (ArgType::Boolean, JsonNode::Bool(value)) => Scalar::Bool(*value),
            (ArgType::Number, JsonNode::Number(text)) => {
                Scalar::Number(Decimal::parse(text).map_err(ArgumentError::Number)?)
            }
            (ArgType::Text | ArgType::Boolean | ArgType::Number, _) => return Err(ArgumentError::Type),
        };
        if let (Scalar::Text(text), Some(limit)) = (&scalar, self.max_length) {
            let is_longer = text.chars().nth(limit as usize).is_some();
            if is_longer {
                return Err(ArgumentError::TooLong(limit));
            }
        }
        if let Scalar::Number(number) = &scalar {
            if let Some(minimum) = self.minimum.as_ref().filter(|minimum| number < minimum) {
                return Err(ArgumentError::Below(minimum.clone()));
            }
            if let Some(maximum) = self.maximum.as_ref().filter(|maximum| number > maximum) {
                return Err(ArgumentError::Above(maximum.clone()));
            }
        }
        match &self.allowed {
            Some(allowed) if !allowed.contains(&scalar) => Err(ArgumentError::NotAllowed),
            _ => Ok(scalar),
        }
    }
}

pub(super) fn read_all(capability: &ObjectReader<'_>, report: &mut ValidationReport) -> Vec<Arg> {
    let Some(JsonNode::Map(entries)) = capability.get("args").filter(|node| !is_empty(node)) else {
        let message = "Add `args`, an object with at least the argument that finds the row.";
        report.error(capability.at("args"), ErrorCode::ArgsRequired, message);
        return Vec::new();
    };
    let path = capability.at("args");
    entries
        .iter()
        .filter_map(|(name, node)| read(name, node, &member(&path, name), report))
        .collect()
}

fn read(name: &str, node: &JsonNode, path: &str, report: &mut ValidationReport) -> Option<Arg> {
    if is_reserved_argument(name) {
        let message = "Rename or remove the argument: a model may not choose tenant, principal, source, version, \
                       table or column; they come from the trusted context and from this file.";
        report.error(path, ErrorCode::ModelControlledReservedArg, message);
    } else if !is_safe_name(name) || name.len() > ARG_NAME_CHARS_MAX {
        let message = format!(
            "Rename the argument: a letter or `_` first, then letters, digits, `_`, `.` and `-`, \
             at most {ARG_NAME_CHARS_MAX} characters."
        );
        report.error(path, ErrorCode::InvalidArgName, message);
    }
    if is_secret_like(name) {
        let message = "Rename or remove the argument: by its name it carries a secret, which may not be recorded \
                       with the call.";
        report.error(path, ErrorCode::SecretArgForbidden, message);
    }
    let Some(arg) = ObjectReader::of(node, path) else {
        report.error(
            path,
            ErrorCode::ArgNotObject,
            "Make the argument an object with `type`.",
        );
        return None;
    };
    arg.only(fields::ARG, report);
    let arg_type = arg.required_choice("type", ArgType::WORDS, ErrorCode::InvalidArgType, report);
    let description = arg.text("description", ErrorCode::InvalidArgDescription, report);
    let is_required = arg
        .flag("required", ErrorCode::InvalidArgRequired, report)
        .unwrap_or(true);
    let max_length = arg.positive("max_length", ErrorCode::InvalidMaxLength, report);
    let (minimum, maximum) = read_range(&arg, report);
    for key in ["minimum", "maximum"] {
        if arg.has(key) && arg_type.is_some_and(|arg_type| arg_type != ArgType::Number) {
            let message = format!("Remove `{key}`, or make the argument a number.");
            report.error(arg.at(key), ErrorCode::NumericBoundsRequireNumber, message);
        }
    }
    let arg_type = arg_type?;
    let name = name.to_owned();
    let mut read = Arg {
        name,
        arg_type,
        is_required,
        description,
        max_length,
        minimum,
        maximum,
        allowed: None,
    };
    read.allowed = read_enum(&arg, &read, report);
    Some(read)
}

/// `minimum` and `maximum` of an argument or of a bound.
pub(super) fn read_range(
    object: &ObjectReader<'_>,
    report: &mut ValidationReport,
) -> (Option<Decimal>, Option<Decimal>) {
    let minimum = object.number("minimum", ErrorCode::InvalidMinimum, report);
    let maximum = object.number("maximum", ErrorCode::InvalidMaximum, report);
    if minimum
        .as_ref()
        .zip(maximum.as_ref())
        .is_some_and(|(minimum, maximum)| minimum > maximum)
    {
        let message = "Make `minimum` at most `maximum`.";
        report.error(&object.path, ErrorCode::InvalidNumericRange, message);
    }
    (minimum, maximum)
}

fn read_enum(object: &ObjectReader<'_>, arg: &Arg, report: &mut ValidationReport) -> Option<Vec<Scalar>> {
    let path = object.at("enum");
    let items = match object.get("enum")? {
        JsonNode::List(items) if !items.is_empty() => items,
        _ => {
            report.error(
                path,
                ErrorCode::InvalidArgEnum,
                "Make `enum` a list with at least one value, or remove it.",
            );
            return None;
        }
    };
    let mut allowed = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        match (arg.fit(item), Scalar::of(item)) {
            (Ok(scalar), _) if allowed.contains(&scalar) => {
                report.error(path, ErrorCode::InvalidArgEnum, "Remove the duplicate value.");
            }
            (Ok(scalar), _) => allowed.push(scalar),
            (Err(_), None) => {
                report.error(
                    path,
                    ErrorCode::InvalidArgEnum,
                    "Use a string, a number or a boolean.",
                );
            }
            (Err(_), Some(_)) => {
                let message = format!(
                    "Use a {} that the argument's own length and bounds admit, or remove the value.",
                    arg.arg_type.as_str()
                );
                report.error(path, ErrorCode::ArgEnumTypeMismatch, message);
            }
        }
    }
    Some(allowed)
}
