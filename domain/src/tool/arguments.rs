//! Validates the arguments of one call against the capability. Undeclared arguments are rejected.

use synapsor_codes::ErrorCode;

use crate::contract::{
    Arg, ArgType, ArgumentError, Capability, KeyColumn, KeyValue, Scalar, is_trust_scope_name,
};
use crate::error::PublicError;
use crate::json::{self, JsonNode};
use crate::limits::{ARGUMENTS_BYTES_MAX, VALUE_BYTES_MAX};
use crate::value::Value;

/// Maximum nesting that is parsed. Only scalars are accepted, but a precise error message needs the nested
/// value.
const DEPTH_MAX: usize = 8;
/// Maximum length of agent-supplied text repeated in a message, in characters.
const ECHO_CHARS_MAX: usize = 64;
/// Form of a whole number in a string; [`is_whole_number`] checks it.
const WHOLE_NUMBER_FORM: &str = "the string has digits and an optional leading minus only: no plus sign, leading zeros, blanks, fraction or exponent";

/// Arguments that fit their capability; only [`check_arguments`] creates them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedArguments {
    /// In contract order.
    values: Vec<(String, Value)>,
}

impl CheckedArguments {
    /// Returns the value of an argument; `None` for an omitted optional argument.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    /// Returns the value that is compared with a key column.
    pub fn key_value(&self, key: &KeyColumn, tenant: &str) -> Value {
        match &key.value {
            KeyValue::Argument(name) => self.get(name).cloned().unwrap_or_else(Value::null),
            KeyValue::Tenant => Value::text(tenant),
        }
    }

    /// Iterates over the given arguments in contract order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// Validates the JSON object of arguments that an agent sent.
///
/// # Errors
/// `MODEL_CANNOT_OVERRIDE_BINDING` for names that only the trusted context may bind, checked first;
/// `ARGUMENTS_TOO_LARGE`, `ARGUMENTS_NOT_JSON`, `ARGUMENT_UNKNOWN`, `ARGUMENT_REQUIRED`,
/// `ARGUMENT_TYPE_INVALID`, `ARGUMENT_TOO_LONG`, `ARGUMENT_BELOW_MINIMUM`, `ARGUMENT_ABOVE_MAXIMUM`,
/// `ARGUMENT_NOT_ALLOWED`, `LOOKUP_ARG_MISSING`. Messages name the argument and the bound.
pub fn check_arguments(
    capability: &Capability,
    arguments_json: &[u8],
) -> Result<CheckedArguments, PublicError> {
    let entries = read(arguments_json)?;
    if let Some((name, _)) = entries.iter().find(|(name, _)| is_trust_scope_name(name)) {
        let message = format!(
            "Argument {} is bound by the trusted context and cannot be passed; omit it.",
            echo(name)
        );
        return Err(PublicError::new(ErrorCode::ModelCannotOverrideBinding, message));
    }
    if let Some((name, _)) = entries.iter().find(|(name, _)| capability.arg(name).is_none()) {
        let known: Vec<&str> = capability.args.iter().map(|arg| arg.name.as_str()).collect();
        let message = format!(
            "Argument {} does not exist; valid arguments: {}.",
            echo(name),
            known.join(", ")
        );
        return Err(PublicError::new(ErrorCode::ArgumentUnknown, message));
    }
    let mut values = Vec::with_capacity(entries.len());
    for arg in &capability.args {
        let given = entries
            .iter()
            .find(|(name, _)| *name == arg.name)
            .map(|(_, node)| node);
        match given {
            // Models and strict schemas pass null for an optional argument that they leave out.
            Some(JsonNode::Null) if !capability.requires(arg) => {}
            Some(node) => values.push((arg.name.clone(), fit(arg, node)?)),
            None if arg.is_required => {
                let message = format!(
                    "Argument `{}` is required: a {}.",
                    arg.name,
                    arg.arg_type.as_str()
                );
                return Err(PublicError::new(ErrorCode::ArgumentRequired, message));
            }
            None => {}
        }
    }
    let is_given = |name: &str| values.iter().any(|(given, _)| given == name);
    if let Some(missing) = capability.target.key_arguments().find(|name| !is_given(name)) {
        let message = format!("Argument `{missing}` is required: it is the lookup key.");
        return Err(PublicError::new(ErrorCode::LookupArgMissing, message));
    }
    Ok(CheckedArguments { values })
}

fn read(arguments_json: &[u8]) -> Result<Vec<(String, JsonNode)>, PublicError> {
    if arguments_json.len() > ARGUMENTS_BYTES_MAX {
        let message = format!("The arguments exceed {ARGUMENTS_BYTES_MAX} bytes.");
        return Err(PublicError::new(ErrorCode::ArgumentsTooLarge, message));
    }
    match json::read(arguments_json, DEPTH_MAX) {
        Ok(JsonNode::Map(entries)) => Ok(entries),
        Ok(other) => {
            let message = format!("Arguments must be a JSON object, not {}.", other.type_name());
            Err(PublicError::new(ErrorCode::ArgumentsNotJson, message))
        }
        Err(error) => {
            let message = format!("Arguments must be a JSON object without duplicate names ({}).", {
                error.reason.chars().take(2 * ECHO_CHARS_MAX).collect::<String>()
            });
            Err(PublicError::new(ErrorCode::ArgumentsNotJson, message))
        }
    }
}

fn fit(arg: &Arg, node: &JsonNode) -> Result<Value, PublicError> {
    let name = &arg.name;
    let wanted = match arg.arg_type {
        ArgType::Number => "number, or a string of the digits of a whole number like \"9007199254740993\"",
        ArgType::Text | ArgType::Boolean => arg.arg_type.as_str(),
    };
    // Clients whose numbers are doubles round whole numbers above 2^53, but keep strings.
    let number = match (arg.arg_type, node) {
        (ArgType::Number, JsonNode::Text(text)) if is_whole_number(text) => {
            Some(JsonNode::Number(text.clone()))
        }
        _ => None,
    };
    let (code, reason) = match arg.fit(number.as_ref().unwrap_or(node)) {
        Ok(Scalar::Text(text)) if text.contains('\0') => (
            ErrorCode::ArgumentTypeInvalid,
            "may not contain the character U+0000".to_owned(),
        ),
        Ok(Scalar::Text(text)) if text.len() > VALUE_BYTES_MAX => (
            ErrorCode::ArgumentTooLong,
            format!("may have at most {VALUE_BYTES_MAX} bytes"),
        ),
        Ok(scalar) => return Ok(scalar.to_value()),
        Err(ArgumentError::Type) if arg.arg_type == ArgType::Number && matches!(node, JsonNode::Text(_)) => (
            ErrorCode::ArgumentTypeInvalid,
            format!("must be a {wanted}; {WHOLE_NUMBER_FORM}"),
        ),
        Err(ArgumentError::Type) => (
            ErrorCode::ArgumentTypeInvalid,
            format!("must be a {wanted}, not {}", node.type_name()),
        ),
        Err(ArgumentError::Number(error)) => (ErrorCode::ArgumentTypeInvalid, format!("is invalid: {error}")),
        Err(ArgumentError::TooLong(limit)) => (
            ErrorCode::ArgumentTooLong,
            format!("may have at most {limit} characters"),
        ),
        Err(ArgumentError::Below(minimum)) => (
            ErrorCode::ArgumentBelowMinimum,
            format!("must be at least {minimum}"),
        ),
        Err(ArgumentError::Above(maximum)) => (
            ErrorCode::ArgumentAboveMaximum,
            format!("must be at most {maximum}"),
        ),
        Err(ArgumentError::NotAllowed) => (
            ErrorCode::ArgumentNotAllowed,
            format!("must be one of {}", list_allowed(arg)),
        ),
    };
    Err(PublicError::new(code, format!("Argument `{name}` {reason}.")))
}

/// Whether a text is a whole number in its only decimal form: no plus sign, leading zero, blank, fraction or exponent.
fn is_whole_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0"
        || (digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0') && !digits.is_empty())
}

fn list_allowed(arg: &Arg) -> String {
    const LISTED_MAX: usize = 20;
    let allowed = arg.allowed.as_deref().unwrap_or_default();
    let mut words: Vec<String> = allowed
        .iter()
        .take(LISTED_MAX)
        .map(|scalar| {
            scalar
                .to_value()
                .as_text()
                .map_or_else(|| "null".to_owned(), |text| format!("`{text}`"))
        })
        .collect();
    if allowed.len() > LISTED_MAX {
        words.push("…".to_owned());
    }
    words.join(", ")
}

/// Returns a name from the agent, shortened and escaped.
fn echo(name: &str) -> String {
    let short: String = name.chars().take(ECHO_CHARS_MAX).collect();
    format!("{short:?}")
}
