//! Tests of edits in clients' configuration files.

use serde_json::json;
use synapsor_codes::ErrorCode;

use super::super::client::Client;
use super::super::server::{Launch, ServerAccess};
use super::*;

fn stdio() -> ServerAccess {
    ServerAccess::Stdio(Launch {
        command: "synapsor-runner".to_owned(),
        args: ["mcp", "serve", "--config", "a \"b\".json"]
            .map(str::to_owned)
            .to_vec(),
    })
}

fn http() -> ServerAccess {
    ServerAccess::Http {
        url: "http://127.0.0.1:8766/mcp".to_owned(),
        token_env: "TOKEN".to_owned(),
        signs_in: false,
    }
}

fn snippet(client: Client, way: &ServerAccess) -> Snippet {
    Snippet::of(client, "synapsor", way)
}

const CURSOR: &str = "// Servers of the team\n{\n\t\"mcpServers\": {\n\t\t// the tracker\n\t\t\"tracker\": { \"url\": \"https://t.example/mcp\", \"n\": 1.50 }, // keep\n\t},\n\t\"other\": [1,2,  3], /* odd\n\t   spacing */\n}\n";

const CODEX: &str = "# my settings\nmodel = \"o\"   # a model\n\n[mcp_servers.tracker] # keep\nurl = 'https://t.example/mcp'\nstartup_timeout_sec = 20.0\n\n[ profiles . fast ]\nx = 0x1F\n";

/// Asserts that every line of the text before is still present, in order.
fn assert_lines_kept(before: &str, after: &str) {
    let mut rest = after.lines();
    for line in before.lines() {
        assert!(
            rest.any(|found| found == line),
            "{line:?} is lost or moved in\n{after}"
        );
    }
}

#[test]
fn json_edit_preserves_other_content() {
    for way in [stdio(), http()] {
        let snippet = snippet(Client::Cursor, &way);
        let after = merged(CURSOR, &snippet).unwrap();
        assert_lines_kept(CURSOR, &after);
        assert!(
            is_same(&entry(&after, &snippet).unwrap().unwrap(), &snippet),
            "{after}"
        );
        assert_eq!(
            merged(&after, &snippet).unwrap(),
            after,
            "a second edit changes nothing"
        );
        assert_eq!(without(&after, &snippet).unwrap(), CURSOR);
    }
}

#[test]
fn toml_edit_preserves_other_content() {
    for way in [stdio(), http()] {
        let snippet = snippet(Client::Codex, &way);
        let after = merged(CODEX, &snippet).unwrap();
        assert_lines_kept(CODEX, &after);
        assert!(
            is_same(&entry(&after, &snippet).unwrap().unwrap(), &snippet),
            "{after}"
        );
        assert_eq!(
            merged(&after, &snippet).unwrap(),
            after,
            "a second edit changes nothing"
        );
        assert_eq!(without(&after, &snippet).unwrap(), CODEX);
    }
}

#[test]
fn transport_change_replaces_only_own_members() {
    for (client, own) in [
        (Client::Cursor, "\"env\": { \"A\": \"b\" } // mine"),
        (Client::Codex, "startup_timeout_sec = 9 # mine"),
    ] {
        let (first, second) = (snippet(client, &stdio()), snippet(client, &http()));
        let written = merged("", &first).unwrap();
        let edited = match client {
            Client::Codex => format!("{written}{own}\n"),
            _ => written
                .replacen("\"command\"", &format!("{own}\n,\"command\""), 1)
                .replacen("// mine\n,", ", // mine\n", 1),
        };
        let after = merged(&edited, &second).unwrap();
        assert!(after.contains("mine"), "{after}");
        let found = entry(&after, &second).unwrap().unwrap();
        assert!(is_same(&found, &second) && !is_same(&found, &first), "{after}");
        assert!(found.get("command").is_none(), "{after}");
        assert!(
            found.get("env").is_some() || found.get("startup_timeout_sec").is_some(),
            "{after}"
        );
    }
}

#[test]
fn vscode_token_input_is_shared_and_removed_when_unused() {
    let before = "{\n  // mine\n  \"inputs\": [\n    { \"type\": \"promptString\", \"id\": \"x\" } // x\n  ],\n  \"servers\": {}\n}\n";
    let (asks, plain) = (
        snippet(Client::Vscode, &http()),
        snippet(Client::Vscode, &stdio()),
    );
    let after = merged(before, &asks).unwrap();
    assert_eq!(after.matches("\"synapsor-token\"").count(), 1, "{after}");
    assert_eq!(merged(&after, &asks).unwrap(), after);
    let switched = merged(&after, &plain).unwrap();
    assert!(
        !switched.contains("synapsor-token") && switched.contains("// x"),
        "{switched}"
    );
    let used = after.replace(
        "\"servers\": {",
        "\"servers\": {\n    \"b\": { \"url\": \"${input:synapsor-token}\" },",
    );
    let left = without(&used, &asks).unwrap();
    assert!(
        left.contains("\"id\": \"synapsor-token\""),
        "another server uses the input: {left}"
    );
    let gone = without(&after, &asks).unwrap();
    assert!(
        !gone.contains("synapsor") && gone.contains("\"id\": \"x\"") && gone.contains("// mine"),
        "{gone}"
    );
}

#[test]
fn empty_file_receives_only_the_snippet() {
    for client in [
        Client::ClaudeDesktop,
        Client::ClaudeCode,
        Client::Vscode,
        Client::Codex,
        Client::Generic,
    ] {
        let snippet = snippet(client, &stdio());
        for before in ["", "\n", "  \n\n"] {
            let after = merged(before, &snippet).unwrap();
            assert!(
                is_same(&entry(&after, &snippet).unwrap().unwrap(), &snippet),
                "{after}"
            );
            assert!(after.ends_with('\n'), "{after:?}");
        }
    }
}

#[test]
fn rejects_malformed_file_without_quoting_it() {
    let (json, toml) = (
        snippet(Client::Cursor, &stdio()),
        snippet(Client::Codex, &stdio()),
    );
    for (text, snippet, code) in [
        ("{ \"SEKRIT\": ", &json, ErrorCode::ClientFileUnparsable),
        ("{ \"a\": SEKRIT }", &json, ErrorCode::ClientFileUnparsable),
        ("{ 'SEKRIT': 1 }", &json, ErrorCode::ClientFileUnparsable),
        ("{ \"a\": 1 } {}", &json, ErrorCode::ClientFileUnparsable),
        ("[]", &json, ErrorCode::ClientFileShape),
        (
            "{ \"mcpServers\": [\"SEKRIT\"] }",
            &json,
            ErrorCode::ClientFileShape,
        ),
        (
            "{ \"mcpServers\": {}, \"mcpServers\": {} }",
            &json,
            ErrorCode::ClientFileAmbiguous,
        ),
        (
            "{ \"mcpServers\": { \"synapsor\": {}, \"synapsor\": {} } }",
            &json,
            ErrorCode::ClientFileAmbiguous,
        ),
        ("a = SEKRIT", &toml, ErrorCode::ClientFileUnparsable),
        ("mcp_servers = \"SEKRIT\"", &toml, ErrorCode::ClientFileShape),
        (
            "[mcp_servers]\nsynapsor = \"SEKRIT\"",
            &toml,
            ErrorCode::ClientFileShape,
        ),
        ("[a]\n[a]", &toml, ErrorCode::ClientFileUnparsable),
    ] {
        let failure = merged(text, snippet).unwrap_err();
        assert_eq!(failure.code(), code, "{text}");
        assert!(!failure.to_string().contains("SEKRIT"), "{failure}");
    }
}

#[test]
fn rejects_edit_that_changes_other_values() {
    let snippet = snippet(Client::Cursor, &stdio());
    let before = "{\"a\": 1, \"mcpServers\": {}}";
    for after in ["{\"a\": 2}", "{}", "{\"a\": 1, \"mcpServers\": {\"x\": {}}}"] {
        assert_eq!(
            check_kept(before, after, &snippet).unwrap_err().code(),
            ErrorCode::ClientFileNotKept
        );
    }
    assert!(check_kept(before, "{\"mcpServers\": {\"synapsor\": 1}, \"a\": 1}", &snippet).is_ok());
}

#[test]
fn edit_preserves_inline_table_and_crlf() {
    let toml = snippet(Client::Codex, &stdio());
    let before = "mcp_servers = { a = { command = \"x\" } } # c\n";
    let after = merged(before, &toml).unwrap();
    assert!(
        after.starts_with("mcp_servers = { a = { command = \"x\" }"),
        "{after}"
    );
    assert!(after.ends_with("} # c\n"), "{after}");
    assert_eq!(
        value(&without(&after, &toml).unwrap(), ClientFileFormat::Toml).unwrap()["mcp_servers"]["a"],
        json!({"command": "x"})
    );
    let json = snippet(Client::Cursor, &stdio());
    let after = merged("{\r\n  \"a\": 1\r\n}\r\n", &json).unwrap();
    assert_eq!(
        after.matches('\n').count(),
        after.matches("\r\n").count(),
        "{after:?}"
    );
}

#[test]
fn removal_preserves_surrounding_comments() {
    let json = "{\n  \"mcpServers\": {\n    // about a\n    \"a\": {}, // behind a\n    // above\n    \"synapsor\": { \"command\": \"x\" },\n\n    /* about b */\n    \"b\": {} // behind b\n    // at the end\n  } // behind all\n}\n";
    let toml = "# top\n[mcp_servers.a] # behind a\nx = 1\n\n# above\n[mcp_servers.synapsor]\ncommand = \"x\"\n\n# about b\n[mcp_servers.b] # behind b\ny = 2\n# at the end\n";
    for (client, before) in [(Client::Cursor, json), (Client::Codex, toml)] {
        let after = without(before, &snippet(client, &stdio())).unwrap();
        let ours = |line: &&str| !line.contains("command") && !line.contains("synapsor");
        let kept: Vec<&str> = before
            .lines()
            .filter(ours)
            .filter(|line| !line.is_empty())
            .collect();
        let found: Vec<&str> = after.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(found, kept);
    }
    let last = "[a]\nx = 1\n\n# above\n[mcp_servers.synapsor]\ncommand = \"x\"\n# at the end\n";
    let after = without(last, &snippet(Client::Codex, &stdio())).unwrap();
    assert_eq!(after, "[a]\nx = 1\n\n# above\n# at the end\n");
}

#[test]
fn insertion_preserves_surrounding_comments() {
    for before in [
        "// top\n\n// more\n",
        "{\n  // nothing yet\n}\n",
        "{\n  \"mcpServers\": {\n    // nothing yet\n  }\n}\n",
        "{ // a\n  \"mcpServers\": { // b\n    \"x\": {} // c\n    // d\n  } // e\n} // f\n",
    ] {
        let after = merged(before, &snippet(Client::Cursor, &http())).unwrap();
        let comments = |text: &str| -> Vec<String> {
            let apart = text.lines().filter_map(|line| line.split_once("// "));
            apart.map(|(_, comment)| comment.to_owned()).collect()
        };
        assert_eq!(comments(&after), comments(before), "{after}");
    }
}

#[test]
fn oauth_client_entry_contains_only_the_url() {
    let way = ServerAccess::Http {
        url: "https://mcp.example.com/mcp".to_owned(),
        token_env: "TOKEN".to_owned(),
        signs_in: true,
    };
    for client in [
        Client::ClaudeCode,
        Client::Cursor,
        Client::Vscode,
        Client::Codex,
        Client::GenericHttp,
    ] {
        let text = snippet(client, &way).text().unwrap();
        assert!(text.contains("https://mcp.example.com/mcp"), "{text}");
        for word in ["TOKEN", "Bearer", "inputs", "headers"] {
            assert!(!text.contains(word), "{text}");
        }
    }
}
