//! Source of the capabilities that `init --add` drafts: one of the contract, or a new one.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, Mode, Source};
use synapsor_domain::scaffold::{InitOptions, READ_URL_ENV, WRITE_URL_ENV};

use crate::output::safe;

/// Returns the variable of the source that the flags choose, else of the only source.
pub(super) fn variable<'a>(flags: &InitOptions, contract: &'a Contract) -> Option<&'a str> {
    if let Some(name) = &flags.source_name {
        return contract.source(name).map(|source| source.read_url_env.as_str());
    }
    let is_of_engine = |source: &&Source| {
        let engine = flags.engine.as_deref();
        engine.is_none_or(|engine| source.engine.as_str() == engine)
    };
    let mut fitting = contract.sources().iter().filter(is_of_engine);
    let only = fitting.next().filter(|_| fitting.next().is_none());
    only.map(|source| source.read_url_env.as_str())
}

/// Returns the named source, else the only one of this engine, else the one with the variable of the inspection; `None`
/// for a new one. `is_inspected`: whether the draft is of the database in that variable.
///
/// # Errors
/// `SOURCE_REQUIRED` for several; `ENGINE_MISMATCH` and `SOURCE_VARIABLE_MISMATCH` if the source is another database;
/// `SOURCE_VARIABLE_TAKEN` if a new one would share a variable.
pub(super) fn chosen<'a>(
    choices: &InitOptions,
    contract: &'a Contract,
    engine: &str,
    is_inspected: bool,
) -> Result<Option<&'a Source>, ExitError> {
    let Some(source) = fitting(choices, contract, engine)? else {
        return own_variables(choices, contract).map(|()| None);
    };
    let name = safe(&source.name);
    if source.engine.as_str() != engine {
        let text = format!(
            "the source `{name}` is for {}, the database for {engine}",
            source.engine.as_str()
        );
        return Err(ExitError::new(ErrorCode::EngineMismatch, text)
            .with_fix("pass --source-name with a source of this engine, or a new name"));
    }
    let inspected = choices.inspected_env.as_ref().filter(|_| is_inspected);
    if inspected.is_some_and(|variable| *variable != source.read_url_env) {
        let variable = safe(&source.read_url_env);
        let text =
            format!("the source `{name}` has its URL in {variable}, and another variable was inspected");
        return Err(
            ExitError::new(ErrorCode::SourceVariableMismatch, text).with_fix(format!(
                "pass --from-env {variable} or leave it out; for another database, pass --source-name with its source or a \
                 new name"
            )),
        );
    }
    Ok(Some(source))
}

fn fitting<'a>(
    choices: &InitOptions,
    contract: &'a Contract,
    engine: &str,
) -> Result<Option<&'a Source>, ExitError> {
    if let Some(name) = &choices.source_name {
        return Ok(contract.source(name));
    }
    let of_engine: Vec<&Source> = contract
        .sources()
        .iter()
        .filter(|source| source.engine.as_str() == engine)
        .collect();
    let named: Vec<&Source> = of_engine
        .iter()
        .filter(|source| choices.inspected_env.as_ref() == Some(&source.read_url_env))
        .copied()
        .collect();
    match (named.as_slice(), of_engine.as_slice()) {
        ([only], _) | ([], [only]) => Ok(Some(*only)),
        ([], []) => Ok(None),
        (_, several) => {
            let names: Vec<String> = several.iter().map(|source| safe(&source.name)).collect();
            let text = format!("the contract has several sources for {engine}");
            Err(ExitError::new(ErrorCode::SourceRequired, text)
                .with_fix(format!("pass --source-name with one of: {}", names.join(", "))))
        }
    }
}

/// Checks that a new source has variables of its own: one value cannot be the URL of two databases.
fn own_variables(choices: &InitOptions, contract: &Contract) -> Result<(), ExitError> {
    let read = choices.read_url_env.as_deref().unwrap_or(READ_URL_ENV);
    let write = choices.write_url_env.as_deref().unwrap_or(WRITE_URL_ENV);
    let mut new = vec![("--read-url-env", read)];
    if contract.mode() == Mode::Review {
        new.push(("--write-url-env", write));
    }
    for (option, variable) in new {
        let uses = |source: &&Source| {
            source.read_url_env == variable || source.write_url_env.as_deref() == Some(variable)
        };
        if let Some(source) = contract.sources().iter().find(uses) {
            let text = format!(
                "{} is the variable of the source `{}`, which is another database",
                safe(variable),
                safe(&source.name)
            );
            return Err(ExitError::new(ErrorCode::SourceVariableTaken, text)
                .with_fix(format!("pass {option} with another name for the new source")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        let file = include_str!("../../../../domain/src/scaffold/fixtures/review.json");
        let mut file: serde_json::Value = serde_json::from_str(file).unwrap();
        let mut other = file["sources"]["local_postgres"].clone();
        other["engine"] = "mysql".into();
        other["read_url_env"] = "OTHER_READ_URL".into();
        other["write_url_env"] = "OTHER_WRITE_URL".into();
        file["sources"]["other"] = other;
        Contract::parse(file.to_string().as_bytes()).unwrap().contract
    }

    fn choices(name: &str, inspected: &str) -> InitOptions {
        InitOptions {
            source_name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            inspected_env: Some(inspected.to_owned()),
            read_url_env: Some(inspected.to_owned()),
            ..InitOptions::default()
        }
    }

    #[test]
    fn database_of_the_chosen_source_is_inspected() {
        let contract = contract();
        let variable = |name: &str, engine: Option<&str>| {
            let flags = InitOptions {
                engine: engine.map(str::to_owned),
                ..choices(name, READ_URL_ENV)
            };
            variable(&flags, &contract).map(str::to_owned)
        };
        assert_eq!(variable("other", None).as_deref(), Some("OTHER_READ_URL"));
        assert_eq!(variable("", Some("mysql")).as_deref(), Some("OTHER_READ_URL"));
        assert_eq!(variable("", None), None);
        assert_eq!(variable("new", None), None);
    }

    #[test]
    fn rejects_another_database_than_that_of_the_source() {
        let contract = contract();
        let refused = |name: &str, inspected: &str, engine: &str| {
            let chosen = chosen(&choices(name, inspected), &contract, engine, true);
            chosen.map(|_| ()).map_err(|error| error.code())
        };
        assert_eq!(refused("other", "OTHER_READ_URL", "mysql"), Ok(()));
        assert_eq!(refused("", "OTHER_READ_URL", "mysql"), Ok(()));
        assert_eq!(
            refused("other", "OTHER_READ_URL", "sqlite"),
            Err(ErrorCode::EngineMismatch)
        );
        for name in ["", "other"] {
            assert_eq!(
                refused(name, "THIRD_URL", "mysql"),
                Err(ErrorCode::SourceVariableMismatch)
            );
        }
        // Without an inspection the database of the variable is unknown.
        assert!(chosen(&choices("other", "THIRD_URL"), &contract, "mysql", false).is_ok());
    }

    #[test]
    fn new_source_has_variables_of_its_own() {
        let contract = contract();
        let of = |read: &str, write: Option<&str>| {
            let choices = InitOptions {
                write_url_env: write.map(str::to_owned),
                ..choices("", read)
            };
            chosen(&choices, &contract, "sqlite", true)
        };
        for (read, write, option) in [
            (READ_URL_ENV, Some("FILE_WRITE_URL"), "--read-url-env"),
            ("OTHER_READ_URL", Some("FILE_WRITE_URL"), "--read-url-env"),
            ("FILE_URL", None, "--write-url-env"),
            ("FILE_URL", Some("OTHER_WRITE_URL"), "--write-url-env"),
        ] {
            let error = of(read, write).unwrap_err();
            assert_eq!(error.code(), ErrorCode::SourceVariableTaken);
            assert!(error.fix().unwrap().contains(option), "{error:?}");
        }
        assert!(of("FILE_URL", Some("FILE_WRITE_URL")).unwrap().is_none());
    }
}
