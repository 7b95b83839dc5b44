//! stub
use crate::Context;
use synapsor_chassis::run::{Exit, Failure};
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    quick: bool,
    #[arg(long)]
    keep: bool,
}
pub(crate) async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("X", "x"))
}
