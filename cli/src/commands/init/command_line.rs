//! Command line of `init` that makes the same choices without questions.

use synapsor_domain::contract::VersionAdvance;
use synapsor_domain::scaffold::{Assigned, Bounds, InitOptions, States};

use crate::output::shell_word;

/// Id or file of a recipe, its renamed columns, and its choices on the table.
pub(super) type OfRecipe<'a> = (&'a str, &'a [(String, String)], &'a InitOptions);

/// Returns the command with the choices that the recipe, if any, does not make.
pub(super) fn of(choices: &InitOptions, recipe: Option<OfRecipe<'_>>) -> String {
    let none = InitOptions::default();
    let base = recipe.map_or(&none, |(_, _, base)| base);
    let mut line = Line::default();
    if let Some((id, renames, _)) = recipe {
        line.option("--recipe", Some(id));
        let renames: Vec<String> = renames.iter().map(|(from, to)| format!("{from}={to}")).collect();
        line.list("--map", &renames);
    }
    line.option("--from-env", choices.inspected_env.as_deref());
    if choices.read_url_env != choices.inspected_env {
        line.option("--read-url-env", choices.read_url_env.as_deref());
    }
    line.option("--ssl-ca-env", choices.ssl_ca_env.as_deref());
    line.option("--table", choices.table.as_deref());
    line.option("--mode", choices.mode.map(|mode| mode.as_str()));
    line.list("--primary-key", &choices.primary_key);
    line.option("--tenant-column", choices.tenant_column.as_deref());
    line.switch("--single-tenant-dev", choices.single_tenant_dev);
    line.option("--conflict-column", choices.conflict_column.as_deref());
    line.switch("--weak-guard", choices.weak_guard);
    line.option("--conflict-advance", choices.conflict_advance.map(advance));
    line.list("--visible-columns", &choices.visible_columns);
    line.columns(choices, base);
    line.names(choices, base);
    line.words.push("--non-interactive".to_owned());
    format!("synapsor-runner init {}", line.words.join(" "))
}

#[derive(Default)]
struct Line {
    words: Vec<String>,
}

impl Line {
    fn option(&mut self, flag: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            // A value that begins with a hyphen is one word with the flag.
            if value.starts_with('-') {
                self.words.push(format!("{flag}={}", shell_word(value)));
            } else {
                self.words.extend([flag.to_owned(), shell_word(value)]);
            }
        }
    }

    fn list(&mut self, flag: &str, values: &[String]) {
        self.option(flag, Some(&values.join(",")));
    }

    fn switch(&mut self, flag: &str, is_set: bool) {
        if is_set {
            self.words.push(flag.to_owned());
        }
    }

    /// What a proposal sets and its limits.
    fn columns(&mut self, choices: &InitOptions, base: &InitOptions) {
        if choices.allowed_columns != base.allowed_columns {
            self.list("--allowed-columns", &choices.allowed_columns);
        }
        if choices.patch != base.patch {
            self.list("--patch", &choices.patch.iter().map(patch).collect::<Vec<_>>());
        }
        if choices.bounds != base.bounds {
            self.list(
                "--patch-bounds",
                &choices.bounds.iter().map(bound).collect::<Vec<_>>(),
            );
        }
        if choices.states != base.states {
            self.option("--status-guards", Some(&states(&choices.states)));
        }
    }

    fn names(&mut self, choices: &InitOptions, base: &InitOptions) {
        let format = choices.result_format.map(|format| format.to_string());
        let base_format = base.result_format.map(|format| format.to_string());
        for (flag, value, of_base) in [
            ("--namespace", &choices.namespace, &base.namespace),
            ("--object-name", &choices.object_name, &base.object_name),
            ("--id-arg", &choices.lookup_arg, &base.lookup_arg),
            ("--read-tool", &choices.read_tool, &base.read_tool),
            ("--proposal-tool", &choices.proposal_tool, &base.proposal_tool),
            (
                "--read-description",
                &choices.read_description,
                &base.read_description,
            ),
            (
                "--read-returns-hint",
                &choices.read_returns_hint,
                &base.read_returns_hint,
            ),
            (
                "--proposal-description",
                &choices.proposal_description,
                &base.proposal_description,
            ),
            (
                "--proposal-returns-hint",
                &choices.proposal_returns_hint,
                &base.proposal_returns_hint,
            ),
            ("--result-format", &format, &base_format),
            ("--source-name", &choices.source_name, &base.source_name),
            ("--write-url-env", &choices.write_url_env, &base.write_url_env),
            ("--tenant-env", &choices.tenant_env, &base.tenant_env),
            ("--principal-env", &choices.principal_env, &base.principal_env),
            ("--approval-role", &choices.approval_role, &base.approval_role),
            ("--object-id", &choices.object_id, &base.object_id),
        ] {
            if value != of_base {
                self.option(flag, value.as_deref());
            }
        }
    }
}

const fn advance(advance: VersionAdvance) -> &'static str {
    match advance {
        VersionAdvance::None => "none",
        VersionAdvance::Increment => "increment",
        VersionAdvance::Now => "now",
    }
}

fn patch((column, assigned): &(String, Assigned)) -> String {
    match assigned {
        Assigned::Arg(name) => format!("{column}=arg:{name}"),
        Assigned::Fixed(value) => format!("{column}=fixed:{value}"),
        Assigned::Literal(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{column}=fixed:{text}")
        }
    }
}

fn bound((column, bounds): &(String, Bounds)) -> String {
    let side = |side: &Option<String>| side.clone().unwrap_or_default();
    format!("{column}={}:{}", side(&bounds.minimum), side(&bounds.maximum))
}

/// Formats transitions as `--status-guards` takes them.
pub(super) fn states(states: &[(String, States)]) -> String {
    let column = |(column, states): &(String, States)| {
        let states: Vec<String> = states
            .iter()
            .map(|(from, to)| format!("{from}:{}", to.join("|")))
            .collect();
        format!("{column}={}", states.join(";"))
    };
    states.iter().map(column).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use synapsor_domain::contract::Mode;
    use synapsor_domain::scaffold::{built_in_recipes, read_bounds, read_patch, read_states};

    use super::super::Args;
    use super::*;

    #[derive(Parser)]
    struct Init {
        #[command(flatten)]
        args: Args,
    }

    /// Reads the line as a shell does, for words in single quotes.
    fn parsed(line: &str) -> InitOptions {
        let mut words = vec![String::new()];
        let mut is_quoted = false;
        for c in line.strip_prefix("synapsor-runner ").unwrap().chars() {
            match c {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        Init::try_parse_from(words).unwrap().args.choices().unwrap()
    }

    #[test]
    fn command_line_makes_the_same_choices() {
        let text = |text: &str| Some(text.to_owned());
        let choices = InitOptions {
            mode: Some(Mode::Review),
            table: text("shop.orders"),
            primary_key: ["a", "b"].map(str::to_owned).to_vec(),
            tenant_column: text("shop_id"),
            weak_guard: true,
            conflict_advance: Some(VersionAdvance::Increment),
            visible_columns: ["status", "total"].map(str::to_owned).to_vec(),
            allowed_columns: vec!["status".to_owned()],
            patch: read_patch("status=arg:status,total=fixed:-5,note=fixed:two words").unwrap(),
            bounds: read_bounds("total=:5,x=-3:").unwrap(),
            states: read_states("status=open:a|b;a:b,x=1:2").unwrap(),
            namespace: text("shop"),
            object_name: text("order"),
            read_tool: text("shop.read"),
            proposal_tool: text("shop.change"),
            read_description: text("Reads $HOME; one order."),
            proposal_returns_hint: text("-x"),
            result_format: Some(1),
            source_name: text("main"),
            read_url_env: text("READER"),
            inspected_env: text("OWNER"),
            ssl_ca_env: text("CA"),
            write_url_env: text("WRITER"),
            tenant_env: text("T"),
            principal_env: text("P"),
            approval_role: text("lead"),
            object_id: text("SO-1"),
            ..InitOptions::default()
        };
        assert_eq!(parsed(&of(&choices, None)), choices);
        let single = InitOptions {
            single_tenant_dev: true,
            conflict_column: text("version"),
            lookup_arg: text("id"),
            read_url_env: text("OWNER"),
            inspected_env: text("OWNER"),
            ..InitOptions::default()
        };
        assert_eq!(parsed(&of(&single, None)), single);
    }

    #[test]
    fn choices_of_a_recipe_are_left_to_it() {
        let recipe = &built_in_recipes()[0];
        let base = recipe.selection().unwrap();
        let mut choices = base.clone();
        choices.namespace = Some("other".to_owned());
        let renames = [("late_fee_cents".to_owned(), "fee".to_owned())];
        let line = of(&choices, Some((&recipe.id, &renames, &base)));
        assert!(
            line.contains("--recipe late-fee-waiver --map late_fee_cents=fee"),
            "{line}"
        );
        assert!(
            line.contains("--namespace other") && !line.contains("--patch"),
            "{line}"
        );
    }
}
