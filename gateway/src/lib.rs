//! MCP gateway: the agent-facing process that forwards MCP calls to a reader. It holds only its own certificate,
//! makes no access decision, and forwards the text of arguments unchanged.

mod access_tokens;
pub mod caller;
mod catalog;
mod headers;
pub mod http;
mod invalid_params;
mod message_validation;
mod progress;
mod prompts;
mod reader_client;
mod record_client;
mod run_file;
mod sandbox;
mod server;
mod settings;
mod stdio;
mod subscriptions;
mod tasks;
mod tool_result;
mod trace;

use std::sync::Arc;

use synapsor_chassis::run::ExitError;
use synapsor_chassis::settings::EnvVars;
use synapsor_chassis::shutdown;
use synapsor_codes::ErrorCode;
use synapsor_domain::tool;
use tokio_util::sync::CancellationToken;

pub use sandbox::enter_sandbox;
pub use settings::GatewayArgs;

use access_tokens::AccessTokenAuthenticator;
use catalog::{ListOptions, ToolList};
use reader_client::ReaderClient;
use record_client::RecordClient;
use server::Gateway;
use settings::{Settings, Transport};

/// Runs a gateway until its client disconnects, its lifeline ends, or `stop` is canceled.
///
/// # Errors
/// When a setting is invalid, the environment holds a database URL, the reader is unreachable, or the listener
/// cannot bind to the address.
pub async fn run(flags: GatewayArgs, stop: CancellationToken) -> Result<(), ExitError> {
    let environment = EnvVars::of_process();
    settings::refuse_database_urls(&environment)?;
    let settings = Settings::resolve(&flags, &environment)?;
    if settings.ends_with_parent {
        shutdown::end_with_parent()?;
    }
    let reader = Arc::new(ReaderClient::connect(&settings.tls, &settings.reader)?);
    let fetched = tokio::select! {
        fetched = reader.catalog() => fetched?,
        () = stop.cancelled() => return Ok(()),
    };
    let format = settings::result_format(settings.result_format, fetched.result_format);
    let options = ListOptions {
        aliases: settings.alias_mode,
        profile: settings.schema_profile,
        has_records: settings.ledger.is_some(),
    };
    let listing = Arc::new(ToolList::read(&fetched, format, options)?);
    tracing::info!(tools = listing.tools().len(), mode = listing.mode().as_str(), reader = %settings.reader, "serving");
    if settings.transport.has_mcp_clients() && listing.has_dots() {
        tracing::warn!("{}", tool::dots_warning());
    }
    let access_tokens = match &fetched.authorization {
        Some(wanted) => Some(Arc::new(AccessTokenAuthenticator::new(
            wanted,
            reader.clone(),
            listing.clone(),
        )?)),
        None => None,
    };
    let records = match &settings.ledger {
        Some(ledger) => Some(Arc::new(RecordClient::connect(
            &settings.tls,
            ledger,
            reader.clone(),
        )?)),
        None => None,
    };
    let gateway = Gateway::new(reader, listing, format, records);
    match settings.transport {
        Transport::Stdio if access_tokens.is_some() => {
            let text = "the contract takes tenant and principal from access tokens, which require HTTP";
            Err(ExitError::new(ErrorCode::ContractNeedsHttp, text).with_fix(
                "serve it with `mcp serve-streamable-http`, or set the context provider to `environment`",
            ))
        }
        Transport::Stdio => {
            let _run_file = run_file::write(settings.run_file.as_deref(), None)?;
            stdio::serve(gateway, stop).await
        }
        Transport::Http(mut http) => {
            http.require_access_tokens(access_tokens)?;
            let about = gateway.server_info();
            http::serve(gateway, about, &http, settings.run_file.as_deref(), stop).await
        }
    }
}
