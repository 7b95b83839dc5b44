//! `prove [NAME] [--small] [--engine NAME] [--seed N]`: runs the proofs with the binaries in its directory. When a
//! signal ends it, it leaves no process behind.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use synapsor_chassis::random;
use synapsor_e2e::databases::Engine;
use synapsor_e2e::interrupt;
use synapsor_e2e::proofs::proof_env::ENGINES;
use synapsor_e2e::proofs::{self, Plan};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let ended = Runtime::new()
        .map_err(Into::into)
        .and_then(|runtime| interrupt::run(runtime, run()));
    match ended.and_then(Option::transpose) {
        Ok(Some(true)) => ExitCode::SUCCESS,
        Ok(Some(false)) => ExitCode::FAILURE,
        Ok(None) => ExitCode::from(interrupt::EXIT_INTERRUPTED),
        Err(error) => {
            eprintln!("prove: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the proofs; `true` if every check ran and passed.
async fn run() -> anyhow::Result<bool> {
    let mut name = None;
    let mut plan = Plan {
        small: false,
        seed: random::number(),
        engine: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--small" => plan.small = true,
            "--engine" => plan.engine = Some(engine(&words.next().context("--engine needs a name")?)?),
            "--seed" => plan.seed = words.next().context("--seed needs a number")?.parse()?,
            _ if word.starts_with('-') || name.is_some() => {
                bail!(
                    "usage: prove [{}] [--small] [--engine NAME] [--seed N]",
                    proofs::NAMES.join(" | ")
                )
            }
            _ => name = Some(word),
        }
    }
    println!("seed {}", plan.seed);
    let summary = match &name {
        Some(name) => proofs::run(name, plan).await?,
        None => proofs::run_all(plan).await?,
    };
    println!("{summary}");
    Ok(proofs::violations(&summary) == 0 && proofs::is_complete(&summary))
}

fn engine(name: &str) -> anyhow::Result<Engine> {
    let found = ENGINES.into_iter().find(|engine| engine.name() == name);
    found.with_context(|| {
        format!(
            "there is no engine `{name}`; there are {}",
            ENGINES.map(Engine::name).join(", ")
        )
    })
}
