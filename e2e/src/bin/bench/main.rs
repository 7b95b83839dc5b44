//! `bench [--seconds N] [--clients 1,8,32] [--sizes 10000,100000] [--reads N] [--applies N] [--only PREFIX]
//! [--flat ROUNDS] [--sqlite] [--access-tokens] [--echo] [--peer URL --peer-tool NAME [--peer-arguments JSON] [--peer-pid N]]`: loads the
//! binaries in its directory. It reports each measurement on stderr and prints one JSON object on stdout at the end.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use synapsor_e2e::interrupt;
use synapsor_e2e::load::{self, McpEndpoint, Peer, Plan};
use tokio::runtime::Builder;

const USAGE: &str = "usage: bench [--seconds N] [--clients N,…] [--sizes N,…] [--reads N] [--applies N] [--only PREFIX] \
    [--flat ROUNDS] [--sqlite] [--access-tokens] [--echo] [--peer URL --peer-tool NAME [--peer-arguments JSON] [--peer-pid N]]";

fn main() -> ExitCode {
    // One thread: the client leaves the processors to the measured processes.
    let ended = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| interrupt::run(runtime, run()));
    match ended.and_then(Option::transpose) {
        Ok(Some(())) => ExitCode::SUCCESS,
        Ok(None) => ExitCode::from(interrupt::EXIT_INTERRUPTED),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let mut plan = Plan::default();
    let (mut url, mut tool, mut arguments, mut pid) = (None, None, "{}".to_owned(), None);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().context(USAGE);
        match word.as_str() {
            "--seconds" => plan.seconds = value()?.parse()?,
            "--clients" => plan.clients = numbers(&value()?)?,
            "--sizes" => plan.ledger_sizes = numbers(&value()?)?,
            "--reads" => plan.recorded_reads = value()?.parse()?,
            "--flat" => plan.flat_rounds = value()?.parse()?,
            "--applies" => plan.applies = value()?.parse()?,
            "--only" => plan.only = value()?,
            "--sqlite" => plan.on_sqlite = true,
            "--access-tokens" => plan.with_access_tokens = true,
            "--echo" => plan.with_echo = true,
            "--peer" => url = Some(value()?),
            "--peer-tool" => tool = Some(value()?),
            "--peer-arguments" => arguments = value()?,
            "--peer-pid" => pid = Some(value()?.parse()?),
            _ => bail!(USAGE),
        }
    }
    plan.peer = match (url, tool) {
        (None, None) => None,
        (Some(url), Some(tool)) => Some(Peer {
            endpoint: McpEndpoint::of_url(&url)?,
            tool,
            arguments,
            pid,
        }),
        _ => bail!(USAGE),
    };
    let figures = load::run(&plan, |name, figures| eprintln!("{name} {figures}")).await?;
    println!("{figures}");
    Ok(())
}

fn numbers<T: std::str::FromStr>(list: &str) -> anyhow::Result<Vec<T>> {
    let parts = list.split(',').filter(|part| !part.is_empty());
    parts
        .map(|part| part.parse().ok().with_context(|| format!("{part} is no number")))
        .collect()
}
