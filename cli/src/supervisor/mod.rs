//! Starts the other processes on this machine with their binary, certificate and environment, in order. Each
//! child gets only the variables of its role, and exits with this process.

mod binary;
mod budget;
mod child;
mod environment;
mod executor;
mod executor_command;
mod gateway;
mod instance;
mod ledger;
mod ledger_command;
mod ledger_monitor;
mod logs;
mod restart;

pub(crate) use binary::path as binary_path;
pub(crate) use budget::StartPacing;
pub(crate) use child::Child;
pub(crate) use environment::{Process, Requirement, allowed, missing, requirements};
pub(crate) use executor::ExecutorLaunch;
pub(crate) use executor_command::run_executor_command;
pub(crate) use gateway::{
    GatewayAuth, GatewayProtocol, Http, StdioGateway, ToolListOptions, Upstream, remote as remote_gateway,
};
pub(crate) use instance::Instance;
pub(crate) use ledger::{RunningLedger, end_unused_ledger};
pub(crate) use ledger_command::run_ledger_command;
pub(crate) use ledger_monitor::LedgerMonitor;
pub(crate) use logs::CommandLogs;
pub(crate) use restart::RestartingChild;

use std::path::PathBuf;

use synapsor_chassis::run::ExitError;

use crate::Context;
use crate::contract_file::LoadedContract;
use crate::state::{self, StateDir};

/// Rejects the start while a variable of the reader is missing, before anything is created or started.
pub(crate) fn check_reader(context: &Context, contract: &LoadedContract) -> Result<(), ExitError> {
    environment::require(Process::Reader, &context.env, &contract.contract)
}

/// Context of every start on this machine: state directory, contract, and a new instance.
#[derive(Debug)]
pub(crate) struct Supervisor<'a> {
    pub(crate) context: &'a Context,
    pub(crate) state: &'a StateDir,
    pub(crate) contract: &'a LoadedContract,
    pub(crate) instance: Instance,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        context: &'a Context,
        state: &'a StateDir,
        contract: &'a LoadedContract,
    ) -> Result<Self, ExitError> {
        // Every process reads it; an error here includes its path.
        state::load_trust(state.trust_path())?;
        Ok(Self {
            context,
            state,
            contract,
            instance: Instance::new(state)?,
        })
    }

    /// Returns the ledger that runs on this state directory; starts one if there is none.
    pub(crate) async fn ledger(&self) -> Result<RunningLedger, ExitError> {
        RunningLedger::ensure(self.context, self.state, &self.instance).await
    }

    /// Returns the path of the log of a child, and adds it to those of this command.
    fn log(&self, child: &str) -> PathBuf {
        let path = self.state.logs_dir().join(format!("{child}.log"));
        self.context.logs.add(path.clone());
        path
    }

    /// Starts a reader or a writer and waits until it is ready.
    pub(crate) async fn executor(&self, executor: ExecutorLaunch) -> Result<Child, ExitError> {
        executor::start(self, executor).await
    }

    /// Starts a gateway that serves MCP on pipes, or on this process's own stdin and stdout.
    pub(crate) fn stdio_gateway(
        &self,
        upstream: Upstream,
        shown: ToolListOptions,
        is_inherited: bool,
    ) -> Result<StdioGateway, ExitError> {
        gateway::stdio(self, upstream, shown, is_inherited)
    }
}
