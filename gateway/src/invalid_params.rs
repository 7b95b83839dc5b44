//! Names what is wrong with the params of a known method that do not parse, and what to send instead. Repeats no value
//! of the client.

use serde_json::Value as Json;

/// Methods with the member of their params that must be a string, if there is one.
const METHODS: [(&str, Option<&str>); 13] = [
    ("tools/call", Some("name")),
    ("tools/list", None),
    ("resources/read", Some("uri")),
    ("resources/list", None),
    ("resources/templates/list", None),
    ("resources/subscribe", Some("uri")),
    ("resources/unsubscribe", Some("uri")),
    ("prompts/get", Some("name")),
    ("prompts/list", None),
    ("subscriptions/listen", None),
    ("tasks/get", Some("taskId")),
    ("tasks/update", Some("taskId")),
    ("tasks/cancel", Some("taskId")),
];

/// Returns one sentence with the cause and the next step; `None` for an unknown method.
pub(crate) fn explain(method: &str, params: Option<&Json>) -> Option<String> {
    let (_, text_member) = METHODS.iter().find(|(known, _)| *known == method)?;
    let params = match params {
        Some(Json::Object(params)) => params,
        given => {
            let kind = given.map_or("missing", kind_of);
            return Some(format!("`params` of {method} must be an object; it is {kind}."));
        }
    };
    if let Some(member) = text_member {
        let given = params.get(*member);
        if !given.is_some_and(Json::is_string) {
            let kind = given.map_or("missing", kind_of);
            return Some(format!(
                "`params.{member}` of {method} must be a string; it is {kind}."
            ));
        }
    }
    for member in ["arguments", "_meta"] {
        match params.get(member) {
            None | Some(Json::Null | Json::Object(_)) => {}
            Some(Json::String(text)) if holds_object(text) => {
                return Some(format!(
                    "`params.{member}` of {method} is a string that holds a JSON object: pass the object itself, not \
                     its text."
                ));
            }
            Some(given) => {
                let kind = kind_of(given);
                return Some(format!(
                    "`params.{member}` of {method} must be an object; it is {kind}. Pass `{{}}` for none."
                ));
            }
        }
    }
    Some(format!(
        "A member of `params` of {method} has the wrong type: send the members that the protocol revision defines."
    ))
}

fn holds_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && matches!(serde_json::from_str::<Json>(text), Ok(Json::Object(_)))
}

const fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_wrong_member_is_named() {
        let call = |arguments: Json| Some(json!({"name": "a.b", "arguments": arguments}));
        for (method, params, words) in [
            ("tools/call", call(json!("{\"id\":\"1\"}")), "holds a JSON object"),
            ("tools/call", call(json!(" {\"a\":{}} ")), "holds a JSON object"),
            ("tools/call", call(json!("id=1")), "it is a string"),
            ("tools/call", call(json!("[1]")), "it is a string"),
            ("tools/call", call(json!(["1"])), "it is a list"),
            ("tools/call", call(json!(7)), "it is a number"),
            ("tools/call", call(json!(true)), "it is a boolean"),
            (
                "tools/call",
                Some(json!({"arguments": {}})),
                "`params.name` of tools/call must be a string; it is missing",
            ),
            ("tools/call", None, "it is missing"),
            ("tools/call", Some(json!([])), "must be an object; it is a list"),
            (
                "tools/call",
                Some(json!({"name": "a.b", "_meta": "{}"})),
                "`params._meta`",
            ),
            (
                "prompts/get",
                Some(json!({"name": "p", "arguments": "{}"})),
                "holds a JSON object",
            ),
            ("resources/read", Some(json!({"uri": 1})), "it is a number"),
            ("tasks/get", Some(json!({"taskId": null})), "it is null"),
            (
                "tools/list",
                Some(json!({"cursor": 1})),
                "A member of `params` of tools/list",
            ),
        ] {
            let text = explain(method, params.as_ref()).unwrap();
            assert!(text.contains(words), "{method} {params:?}: {text}");
        }
        assert_eq!(explain("tools/approve", Some(&json!({}))), None);
    }

    #[test]
    fn no_value_of_the_client_is_repeated() {
        for arguments in [json!("{\"SEKRIT\":1}"), json!("SEKRIT"), json!(["SEKRIT"])] {
            let params = json!({"name": "SEKRIT", "arguments": arguments});
            let text = explain("tools/call", Some(&params)).unwrap();
            assert!(!text.contains("SEKRIT"), "{text}");
        }
    }
}
