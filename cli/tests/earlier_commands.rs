//! Every command and option that 0.1.x documents: it parses here and a test runs the command, or it is left out on
//! purpose and refused by name.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use synapsor_cli::Cli;

/// Command, its documented options, and the test that runs it: a file, and a function in it.
type Row = (&'static str, &'static [&'static str], &'static str, &'static str);

const COMMANDS: &[Row] = &[
    (
        "inspect",
        &[
            "--database-url-env",
            "--engine",
            "--from",
            "--from-env",
            "--json",
            "--schema",
            "--url-env",
        ],
        "e2e/tests/processes/own_database/inspect.rs",
        "failing_url_is_never_printed",
    ),
    (
        "init",
        &[
            "--allowed-columns",
            "--answers",
            "--approval-role",
            "--conflict-column",
            "--dry-run",
            "--emit-handler",
            "--engine",
            "--executor-name",
            "--force",
            "--from-env",
            "--handler-command-env",
            "--handler-output",
            "--handler-signing-secret-env",
            "--handler-template",
            "--handler-template-output",
            "--handler-timeout-ms",
            "--handler-token-env",
            "--handler-url-env",
            "--id-arg",
            "--inspect-description",
            "--inspect-returns-hint",
            "--inspect-tool-name",
            "--inspection-json",
            "--lookup-arg",
            "--mode",
            "--namespace",
            "--no-emit-handler",
            "--non-interactive",
            "--numeric-bound",
            "--object-name",
            "--out",
            "--output",
            "--patch",
            "--patch-bounds",
            "--patch-fixed",
            "--patch-from-arg",
            "--primary-key",
            "--principal-env",
            "--proposal-description",
            "--proposal-returns-hint",
            "--proposal-tool",
            "--proposal-tool-name",
            "--read-description",
            "--read-returns-hint",
            "--read-tool",
            "--result-format",
            "--schema",
            "--single-tenant-dev",
            "--skip-handler-template",
            "--source-name",
            "--spec",
            "--starter",
            "--status-guards",
            "--table",
            "--tenant-column",
            "--tenant-env",
            "--tenant-key",
            "--transition-guard",
            "--visible-columns",
            "--wizard",
            "--write-url-env",
            "--writeback",
            "--yes",
        ],
        "e2e/tests/processes/onboarding/files.rs",
        "unknown_database_reaches_an_applied_change_without_prompts",
    ),
    (
        "onboard db",
        &["--store"],
        "e2e/tests/processes/onboarding/files.rs",
        "unknown_database_reaches_an_applied_change_without_prompts",
    ),
    (
        "start",
        &["--engine", "--from-env", "--mode", "--schema"],
        "e2e/tests/processes/onboarding/files.rs",
        "unknown_database_reaches_an_applied_change_without_prompts",
    ),
    (
        "runner start",
        &[],
        "e2e/tests/processes/onboarding/files.rs",
        "unknown_database_reaches_an_applied_change_without_prompts",
    ),
    (
        "runner up",
        &[],
        "e2e/tests/processes/onboarding/files.rs",
        "unknown_database_reaches_an_applied_change_without_prompts",
    ),
    (
        "runner doctor",
        &[],
        "cli/src/arguments.rs",
        "spellings_of_earlier_versions_are_completed",
    ),
    (
        "up",
        &[
            "--alias-mode",
            "--allow-concurrent-store",
            "--auth-token-env",
            "--config",
            "--cors-origin",
            "--dev-no-auth",
            "--dry-run",
            "--handler-check",
            "--host",
            "--open-ui",
            "--openai-tool-aliases",
            "--port",
            "--print-next",
            "--result-format",
            "--serve",
            "--store",
            "--tool-name-style",
            "--transport",
            "--with-handler",
        ],
        "e2e/tests/processes/onboarding/files.rs",
        "unknown_database_reaches_an_applied_change_without_prompts",
    ),
    (
        "doctor",
        &[
            "--allow-shared-credential",
            "--check-db",
            "--check-handlers",
            "--check-writeback",
            "--client-config",
            "--config",
            "--first-run",
            "--json",
            "--output",
            "--redact",
            "--report",
            "--store",
        ],
        "e2e/tests/processes/contract_commands.rs",
        "doctor_finds_nothing_in_a_healthy_setup",
    ),
    (
        "config validate",
        &["--config", "--json"],
        "e2e/tests/processes/cli_bad_input/contract.rs",
        "missing_contract_is_named",
    ),
    (
        "config show",
        &["--config", "--redacted"],
        "e2e/tests/processes/contract_commands.rs",
        "shown_contract_holds_no_secret",
    ),
    (
        "config migrate",
        &["--config", "--output", "--write", "--yes"],
        "e2e/tests/processes/contract_commands.rs",
        "migration_copies_and_changes_nothing",
    ),
    (
        "tools list",
        &["--alias-mode", "--aliases", "--config", "--json", "--store"],
        "e2e/tests/processes/cli_flow.rs",
        "json_output_is_exactly_one_object",
    ),
    (
        "tools preview",
        &[],
        "e2e/tests/processes/cli_bad_input/contract.rs",
        "missing_contract_is_named",
    ),
    (
        "smoke boundary",
        &["--json"],
        "e2e/tests/processes/contract_commands.rs",
        "boundary_is_checked_without_any_process",
    ),
    (
        "mcp smoke",
        &[],
        "e2e/tests/processes/contract_commands.rs",
        "boundary_is_checked_without_any_process",
    ),
    (
        "smoke call",
        &["--config", "--input", "--json", "--sample", "--store"],
        "e2e/tests/processes/cli_bad_input/contract.rs",
        "missing_contract_is_named",
    ),
    (
        "propose",
        &["--input", "--json", "--sample"],
        "e2e/tests/processes/cli_bad_input/contract.rs",
        "missing_contract_is_named",
    ),
    (
        "mcp serve",
        &[
            "--alias-mode",
            "--allow-concurrent-store",
            "--config",
            "--local",
            "--openai-tool-aliases",
            "--read-only",
            "--result-format",
            "--store",
            "--tool-name-style",
            "--transport",
        ],
        "e2e/tests/processes/cli_bad_input/contract.rs",
        "missing_contract_is_named",
    ),
    (
        "mcp serve-streamable-http",
        &[
            "--alias-mode",
            "--allow-concurrent-store",
            "--auth-token-env",
            "--config",
            "--cors-origin",
            "--dev-no-auth",
            "--host",
            "--local",
            "--openai-tool-aliases",
            "--port",
            "--read-only",
            "--result-format",
            "--store",
            "--tool-name-style",
        ],
        "e2e/tests/processes/cli_bad_input/contract.rs",
        "missing_variable_is_named_with_an_example",
    ),
    (
        "mcp serve-http",
        &[
            "--allow-concurrent-store",
            "--auth-token-env",
            "--config",
            "--cors-origin",
            "--dev-no-auth",
            "--host",
            "--local",
            "--port",
            "--read-only",
            "--result-format",
            "--store",
        ],
        "e2e/tests/processes/contract_commands.rs",
        "running_servers_are_audited_over_both_transports",
    ),
    (
        "mcp client-config",
        &[
            "--absolute-paths",
            "--alias-mode",
            "--auth-token-env",
            "--client",
            "--config",
            "--destination",
            "--host",
            "--include-instructions",
            "--port",
            "--store",
            "--transport",
            "--write",
            "--yes",
        ],
        "e2e/tests/processes/client_snippets/sessions.rs",
        "agents_sdk_snippet_connects_to_its_printed_server",
    ),
    (
        "mcp config",
        &[],
        "e2e/tests/processes/client_snippets/files.rs",
        "written_client_file_starts_a_session",
    ),
    (
        "mcp configure",
        &[],
        "e2e/tests/processes/client_snippets/sessions.rs",
        "http_snippet_connects_to_its_printed_server",
    ),
    (
        "mcp audit",
        &[],
        "e2e/tests/processes/contract_commands.rs",
        "running_servers_are_audited_over_both_transports",
    ),
    (
        "proposals list",
        &[
            "--action",
            "--capability",
            "--from",
            "--limit",
            "--object",
            "--object-id",
            "--object-type",
            "--principal",
            "--source",
            "--state",
            "--status",
            "--table",
            "--tenant",
            "--to",
        ],
        "e2e/tests/processes/cli_flow.rs",
        "cli_commands_change_one_row",
    ),
    (
        "proposals show",
        &["--debug", "--details", "--json"],
        "e2e/tests/processes/cli_flow.rs",
        "cli_commands_change_one_row",
    ),
    (
        "proposals approve",
        &["--actor", "--json", "--reason", "--yes"],
        "e2e/tests/processes/cli_flow.rs",
        "cli_commands_change_one_row",
    ),
    (
        "proposals reject",
        &["--actor", "--json", "--reason", "--yes"],
        "e2e/tests/processes/review_queue.rs",
        "several_proposals_are_approved_each_after_its_review",
    ),
    (
        "proposals writeback-job",
        &["--lease-seconds", "--output", "--project", "--runner"],
        "e2e/tests/processes/review_queue.rs",
        "several_proposals_are_approved_each_after_its_review",
    ),
    (
        "apply",
        &[
            "--config",
            "--dry-run",
            "--job",
            "--json",
            "--lease-seconds",
            "--project",
            "--proposal",
            "--runner",
            "--store",
        ],
        "e2e/tests/processes/cli_flow.rs",
        "cli_commands_change_one_row",
    ),
    (
        "receipts list",
        &[
            "--from",
            "--idempotency-key",
            "--limit",
            "--proposal",
            "--status",
            "--to",
            "--writeback-job",
        ],
        "e2e/tests/processes/cli_flow.rs",
        "json_output_is_exactly_one_object",
    ),
    (
        "receipts show",
        &["--details"],
        "e2e/tests/processes/cli_flow.rs",
        "json_output_is_exactly_one_object",
    ),
    (
        "evidence list",
        &[
            "--capability",
            "--from",
            "--limit",
            "--object",
            "--object-id",
            "--object-type",
            "--principal",
            "--proposal",
            "--query-fingerprint",
            "--source",
            "--table",
            "--tenant",
            "--to",
        ],
        "e2e/tests/processes/record_commands.rs",
        "evidence_is_filtered_and_exported",
    ),
    (
        "evidence show",
        &["--details"],
        "e2e/tests/processes/cli_flow.rs",
        "prefix_short_code_and_latest_are_equivalent",
    ),
    (
        "evidence export",
        &["--format", "--output"],
        "e2e/tests/processes/record_commands.rs",
        "evidence_is_filtered_and_exported",
    ),
    (
        "query-audit list",
        &[
            "--evidence",
            "--from",
            "--limit",
            "--primary-key",
            "--proposal",
            "--query-fingerprint",
            "--source",
            "--table",
            "--tenant",
            "--to",
        ],
        "e2e/tests/processes/record_commands.rs",
        "lists_follow_under_a_running_stack",
    ),
    (
        "query-audit show",
        &[],
        "e2e/tests/processes/record_commands.rs",
        "one_audit_record_is_proven_and_exported",
    ),
    (
        "query-audit export",
        &[],
        "e2e/tests/processes/record_commands.rs",
        "one_audit_record_is_proven_and_exported",
    ),
    (
        "replay list",
        &[
            "--action",
            "--capability",
            "--evidence",
            "--from",
            "--limit",
            "--object",
            "--object-id",
            "--object-type",
            "--principal",
            "--proposal",
            "--receipt",
            "--source",
            "--state",
            "--status",
            "--table",
            "--tenant",
            "--to",
        ],
        "e2e/tests/processes/record_commands.rs",
        "replays_are_listed_and_named_in_every_way",
    ),
    (
        "replay show",
        &["--debug", "--details", "--evidence", "--proposal", "--replay"],
        "e2e/tests/processes/record_commands.rs",
        "replays_are_listed_and_named_in_every_way",
    ),
    (
        "replay export",
        &[
            "--debug",
            "--details",
            "--evidence",
            "--format",
            "--output",
            "--proposal",
            "--replay",
        ],
        "e2e/tests/processes/cli_flow.rs",
        "json_output_is_exactly_one_object",
    ),
    (
        "activity search",
        &[
            "--action",
            "--capability",
            "--evidence",
            "--from",
            "--idempotency-key",
            "--limit",
            "--object",
            "--object-id",
            "--object-type",
            "--primary-key",
            "--principal",
            "--proposal",
            "--query-fingerprint",
            "--receipt",
            "--replay",
            "--source",
            "--state",
            "--status",
            "--table",
            "--tenant",
            "--to",
            "--writeback-job",
        ],
        "e2e/tests/processes/record_commands.rs",
        "activity_joins_what_belongs_to_a_proposal",
    ),
    (
        "events tail",
        &[
            "--actor",
            "--details",
            "--follow",
            "--from",
            "--interval-ms",
            "--json",
            "--kind",
            "--limit",
            "--proposal",
            "--to",
        ],
        "e2e/tests/processes/record_commands.rs",
        "receipts_are_found_by_the_names_of_earlier_versions",
    ),
    (
        "events webhook",
        &[
            "--actor",
            "--auth-token-env",
            "--dry-run",
            "--follow",
            "--from",
            "--interval-ms",
            "--json",
            "--kind",
            "--limit",
            "--proposal",
            "--since-event-id",
            "--timeout-ms",
            "--to",
            "--url",
            "--url-env",
        ],
        "e2e/tests/processes/webhooks/mod.rs",
        "failing_receiver_gets_every_event_in_order",
    ),
    (
        "events push",
        &[],
        "e2e/tests/processes/webhooks/mod.rs",
        "failing_receiver_gets_every_event_in_order",
    ),
    (
        "store stats",
        &["--json"],
        "e2e/tests/processes/store_upkeep.rs",
        "store_is_measured_compacted_and_reset_without_a_wait",
    ),
    (
        "store vacuum",
        &[],
        "e2e/tests/processes/store_upkeep.rs",
        "store_is_measured_compacted_and_reset_without_a_wait",
    ),
    (
        "store prune",
        &["--dry-run", "--force", "--older-than", "--yes"],
        "e2e/tests/processes/store_upkeep.rs",
        "erased_tenant_leaves_proofs_and_receipts",
    ),
    (
        "store reset",
        &["--force", "--yes"],
        "e2e/tests/processes/store_upkeep.rs",
        "store_is_measured_compacted_and_reset_without_a_wait",
    ),
    (
        "shadow list",
        &["--json"],
        "e2e/tests/processes/guides.rs",
        "commands_of_the_guide_about_shadow_mode_are_valid",
    ),
    (
        "shadow record-human-action",
        &["--actor", "--json", "--notes", "--patch"],
        "docs/shadow.md",
        "",
    ),
    ("shadow compare", &["--json"], "docs/shadow.md", ""),
    ("shadow report", &["--json"], "docs/shadow.md", ""),
    (
        "audit",
        &[
            "--bearer-env",
            "--example",
            "--format",
            "--mcp-config",
            "--stdio",
            "--timeout-ms",
            "--url",
        ],
        "e2e/tests/processes/contract_commands.rs",
        "own_tools_have_no_high_or_medium_finding",
    ),
    (
        "writeback migration",
        &["--engine", "--schema"],
        "e2e/tests/processes/cli_flow.rs",
        "json_output_is_exactly_one_object",
    ),
    (
        "writeback grants",
        &["--engine", "--schema", "--writer-role"],
        "e2e/tests/processes/cli_flow.rs",
        "json_output_is_exactly_one_object",
    ),
    (
        "writeback doctor",
        &["--check-db", "--config"],
        "e2e/tests/processes/confined.rs",
        "any_account_works_on_a_read_only_file_system",
    ),
    (
        "recipes list",
        &[],
        "e2e/tests/processes/onboarding/files.rs",
        "starter_recipe_and_added_table_share_a_directory",
    ),
    (
        "recipes show",
        &[],
        "e2e/tests/processes/onboarding/files.rs",
        "starter_recipe_and_added_table_share_a_directory",
    ),
    (
        "recipes init",
        &["--engine", "--force", "--mode", "--output"],
        "e2e/tests/processes/onboarding/files.rs",
        "starter_recipe_and_added_table_share_a_directory",
    ),
    (
        "benchmark mcp-efficiency",
        &["--json"],
        "e2e/tests/processes/cli_flow.rs",
        "demo_text_names_every_step_within_time_limit",
    ),
    (
        "demo",
        &[
            "--details",
            "--force",
            "--guided",
            "--json",
            "--no-interactive",
            "--quick",
            "--reset",
        ],
        "e2e/tests/processes/cli_flow.rs",
        "demo_prints_its_facts",
    ),
    (
        "demo inspect",
        &["--json", "--npx"],
        "e2e/tests/processes/cli_flow.rs",
        "demo_text_names_every_step_within_time_limit",
    ),
    (
        "validate",
        &["--job"],
        "e2e/tests/processes/review_queue.rs",
        "several_proposals_are_approved_each_after_its_review",
    ),
];

/// Commands that this version leaves out, with the page that gives the reason.
const ABSENT: [(&str, &str); 4] = [
    ("handler template", "docs/decisions/0025-commands-left-out.md"),
    ("handler doctor", "docs/decisions/0025-commands-left-out.md"),
    ("ui", "docs/decisions/0025-commands-left-out.md"),
    ("cloud connect", "docs/decisions/0025-commands-left-out.md"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns the command of these words, aliases included.
fn found<'c>(command: &'c Command, words: &str) -> Option<&'c Command> {
    words
        .split(' ')
        .try_fold(command, |command, word| command.find_subcommand(word))
}

fn takes(command: &Command, option: &str) -> bool {
    let name = option.trim_start_matches("--");
    command.get_arguments().any(|argument| {
        let aliases = argument.get_all_aliases().unwrap_or_default();
        argument.get_long() == Some(name) || aliases.contains(&name)
    })
}

#[test]
fn documented_commands_and_options_parse() {
    let mut command = Cli::command();
    command.build();
    let mut missing = Vec::new();
    for (words, options, ..) in COMMANDS {
        // Rewritten before the command line is parsed.
        let words = &words.strip_prefix("runner ").unwrap_or(words);
        let Some(inner) = found(&command, words) else {
            missing.push((*words).to_owned());
            continue;
        };
        let absent = options.iter().filter(|option| !takes(inner, option));
        missing.extend(absent.map(|option| format!("{words} {option}")));
    }
    assert_eq!(missing, [""; 0]);
}

#[test]
fn documented_commands_are_run_by_tests() {
    let mut wrong = Vec::new();
    for (words, _, file, test) in COMMANDS {
        let source = fs::read_to_string(root().join(file)).unwrap_or_default();
        // Commands of a guide are run by the test of the guides.
        let is_run = match file.ends_with(".md") {
            true => source.contains(&format!("\nsynapsor-runner {words}")),
            false => words
                .split(' ')
                .all(|word| source.contains(&format!("\"{word}\""))),
        };
        let is_test = file.ends_with(".md") || source.contains(&format!("fn {test}("));
        if !is_run || !is_test {
            wrong.push(format!("{words}: {file} {test}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn absent_commands_are_explained() {
    let mut command = Cli::command();
    command.build();
    for (words, page) in ABSENT {
        assert!(found(&command, words).is_none(), "{words} exists");
        let text = fs::read_to_string(root().join(page)).unwrap_or_default();
        let first = words.split(' ').next().unwrap_or_default();
        assert!(
            text.contains(&format!("`{first}")),
            "{page} does not name `{first}`"
        );
    }
}
