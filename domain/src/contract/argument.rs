//! Arguments that a model may give: their form in the file, and whether a value fits.

use super::code::Code;
use super::fields;
use super::names::{is_reserved_argument, is_safe_name, is_secret_like};
use super::object::{Object, member};
use super::report::Report;
use super::source::is_empty;
use crate::decimal::{Decimal, DecimalError};
use crate::json::Node;
use crate::value::{Value, ValueKind};

/// Characters of an argument's name; what the strictest clients take.
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
    /// The scalar as the typed value that is signed, stored and bound.
    pub fn to_value(&self) -> Value {
        match self {
            Scalar::Null => Value::null(),
            Scalar::Bool(value) => Value::bool(*value),
            Scalar::Number(number) if number.is_integer() => Value::exact(ValueKind::Int, number.as_str()),
            Scalar::Number(number) => Value::exact(ValueKind::Dec, number.as_str()),
            Scalar::Text(text) => Value::text(text.clone()),
        }
    }

    /// None for lists, objects and numbers that are too long.
    pub(super) fn of(node: &Node) -> Option<Self> {
        match node {
            Node::Null => Some(Scalar::Null),
            Node::Bool(value) => Some(Scalar::Bool(*value)),
            Node::Number(text) => Decimal::parse(text).ok().map(Scalar::Number),
            Node::Text(text) => Some(Scalar::Text(text.clone())),
            Node::List(_) | Node::Map(_) => None,
        }
    }
}

/// What an argument's values are.
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

    /// The word of the file, which is also the word of JSON Schema.
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
    /// Characters; only texts have it.
    pub max_length: Option<u32>,
    pub minimum: Option<Decimal>,
    pub maximum: Option<Decimal>,
    /// The only values that are accepted.
    pub allowed: Option<Vec<Scalar>>,
}

/// Why a value does not fit an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    Type,
    Number(DecimalError),
    TooLong(u32),
    Below(Decimal),
    Above(Decimal),
    NotAllowed,
}

impl Arg {
    /// The value in exact form, if type, length, bounds and enumeration admit it.
    ///
    /// # Errors
    /// The first rule that does not.
    pub fn fit(&self, node: &Node) -> Result<Scalar, Misfit> {
        let scalar = match (self.arg_type, node) {
            (ArgType::Text, Node::Text(text)) => Scalar::Text(text.clone()),
            (ArgType::Boolean, Node::Bool(value)) => Scalar::Bool(*value),
            (ArgType::Number, Node::Number(text)) => {
                Scalar::Number(Decimal::parse(text).map_err(Misfit::Number)?)
            }
            (ArgType::Text | ArgType::Boolean | ArgType::Number, _) => return Err(Misfit::Type),
        };
        if let (Scalar::Text(text), Some(limit)) = (&scalar, self.max_length) {
            let is_longer = text.chars().nth(limit as usize).is_some();
            if is_longer {
                return Err(Misfit::TooLong(limit));
            }
        }
        if let Scalar::Number(number) = &scalar {
            if let Some(minimum) = self.minimum.as_ref().filter(|minimum| number < minimum) {
                return Err(Misfit::Below(minimum.clone()));
            }
            if let Some(maximum) = self.maximum.as_ref().filter(|maximum| number > maximum) {
                return Err(Misfit::Above(maximum.clone()));
            }
        }
        match &self.allowed {
            Some(allowed) if !allowed.contains(&scalar) => Err(Misfit::NotAllowed),
            _ => Ok(scalar),
        }
    }
}

pub(super) fn read_all(capability: &Object<'_>, report: &mut Report) -> Vec<Arg> {
    let Some(Node::Map(entries)) = capability.get("args").filter(|node| !is_empty(node)) else {
        let message = "Add `args`, an object with at least the argument that finds the row.";
        report.error(capability.at("args"), Code::ArgsRequired, message);
        return Vec::new();
    };
    let path = capability.at("args");
    entries
        .iter()
        .filter_map(|(name, node)| read(name, node, &member(&path, name), report))
        .collect()
}

fn read(name: &str, node: &Node, path: &str, report: &mut Report) -> Option<Arg> {
    if is_reserved_argument(name) {
        let message = "Rename or remove the argument: a model may not choose tenant, principal, source, version, \
                       table or column; they come from the trusted context and from this file.";
        report.error(path, Code::ModelControlledReservedArg, message);
    } else if !is_safe_name(name) || name.len() > ARG_NAME_CHARS_MAX {
        let message = format!(
            "Rename the argument: a letter or `_` first, then letters, digits, `_`, `.` and `-`, \
             at most {ARG_NAME_CHARS_MAX} characters."
        );
        report.error(path, Code::InvalidArgName, message);
    }
    if is_secret_like(name) {
        let message = "Rename or remove the argument: by its name it carries a secret, which may not be recorded \
                       with the call.";
        report.error(path, Code::SecretArgForbidden, message);
    }
    let Some(arg) = Object::of(node, path) else {
        report.error(
            path,
            Code::ArgNotObject,
            "Make the argument an object with `type`.",
        );
        return None;
    };
    arg.only(fields::ARG, report);
    let arg_type = arg.required_choice("type", ArgType::WORDS, Code::InvalidArgType, report);
    let description = arg.text("description", Code::InvalidArgDescription, report);
    let is_required = arg
        .flag("required", Code::InvalidArgRequired, report)
        .unwrap_or(true);
    let max_length = arg.positive("max_length", Code::InvalidMaxLength, report);
    let (minimum, maximum) = read_range(&arg, report);
    for key in ["minimum", "maximum"] {
        if arg.has(key) && arg_type.is_some_and(|arg_type| arg_type != ArgType::Number) {
            let message = format!("Remove `{key}`, or make the argument a number.");
            report.error(arg.at(key), Code::NumericBoundsRequireNumber, message);
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
pub(super) fn read_range(object: &Object<'_>, report: &mut Report) -> (Option<Decimal>, Option<Decimal>) {
    let minimum = object.number("minimum", Code::InvalidMinimum, report);
    let maximum = object.number("maximum", Code::InvalidMaximum, report);
    if minimum
        .as_ref()
        .zip(maximum.as_ref())
        .is_some_and(|(minimum, maximum)| minimum > maximum)
    {
        let message = "Make `minimum` at most `maximum`.";
        report.error(&object.path, Code::InvalidNumericRange, message);
    }
    (minimum, maximum)
}

fn read_enum(object: &Object<'_>, arg: &Arg, report: &mut Report) -> Option<Vec<Scalar>> {
    let path = object.at("enum");
    let items = match object.get("enum")? {
        Node::List(items) if !items.is_empty() => items,
        _ => {
            report.error(
                path,
                Code::InvalidArgEnum,
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
                report.error(
                    path,
                    Code::InvalidArgEnum,
                    "Remove the value that stands twice in the list.",
                );
            }
            (Ok(scalar), _) => allowed.push(scalar),
            (Err(_), None) => {
                report.error(path, Code::InvalidArgEnum, "Use a text, a number or a boolean.");
            }
            (Err(_), Some(_)) => {
                let message = format!(
                    "Use a {} that the argument's own length and bounds admit, or remove the value.",
                    arg.arg_type.as_str()
                );
                report.error(path, Code::ArgEnumTypeMismatch, message);
            }
        }
    }
    Some(allowed)
}
