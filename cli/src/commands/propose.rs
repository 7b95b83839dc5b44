//! `propose`: calls a proposal tool as an MCP client does.

use synapsor_chassis::run::{Exit, ExitError};

use super::smoke::{self, ToolCallArgs};
use crate::{Context, output};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: synapsor-runner propose billing.propose_late_fee_waiver --input call.json\n\
    Exit codes: 0 ok, 1 the tool call was rejected or failed, 2 usage, 6 unreachable"
)]
pub(crate) struct Args {
    #[command(flatten)]
    call: ToolCallArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, ExitError> {
    args.call.input.require()?;
    let called = smoke::make(&args.call, context, |capability| capability.proposal().is_some()).await?;
    if context.global.json {
        smoke::print_json(&called)?;
    } else if !smoke::show_refusal(&called.answer)? {
        output::line(format!("{} created a proposal", output::safe(&called.tool)))?;
        smoke::show_proposal(&called.answer, context)?;
    }
    Ok(called.exit())
}
