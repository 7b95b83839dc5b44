//! Confirmation by the operator before signing. Not a command of its own.

use clap::Args;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::trust::{DeploymentEnvironment, SeparationOfDuties, TrustFile};

use crate::operator_key::Signer;
use crate::output;
use crate::sign::{ConfirmationInput, ConfirmationPrompt, is_answer};
use crate::workflows::ProposalView;

/// Options of every command that signs.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfirmOptions {
    /// Skip the prompt; outside dev requires --code and an explicit proposal id
    #[arg(long)]
    pub(crate) yes: bool,
    /// Short code of the reviewed proposal, as printed by `proposals show`
    #[arg(long, value_name = "XXXX-XXXX-XXXX")]
    pub(crate) code: Option<String>,
    /// Fail unless the signing key belongs to this operator
    #[arg(long, value_name = "PERSON")]
    pub(crate) actor: Option<String>,
}

impl ConfirmOptions {
    /// Prompts as required; an error when the operator declines.
    pub(crate) fn prompt(
        &self,
        reference: &str,
        view: &ProposalView,
        trust: &TrustFile,
        act: &str,
    ) -> Result<(), ExitError> {
        let consent = ConfirmationInput {
            yes: self.yes,
            code: self.code.as_deref(),
            reference,
            interactive: output::is_interactive(),
        };
        let question = consent.question(&view.attested, trust.environment)?;
        let prompt = match question {
            ConfirmationPrompt::Nothing => return Ok(()),
            ConfirmationPrompt::Yes => format!("Type yes to {act}:"),
            ConfirmationPrompt::Code => {
                format!("A value is not shown in full. Type the short code to {act}:")
            }
        };
        if is_answer(
            question,
            &output::ask(&prompt)?,
            &view.attested.digest().short_code(),
        ) {
            return Ok(());
        }
        Err(ExitError::new(ErrorCode::NotConfirmed, "nothing was signed"))
    }
}

impl ConfirmOptions {
    /// Prompts for one of several proposals of a command: outside dev, for its own short code.
    pub(crate) fn prompt_for_one_of_several(
        &self,
        view: &ProposalView,
        trust: &TrustFile,
        act: &str,
    ) -> Result<(), ExitError> {
        if trust.environment == DeploymentEnvironment::Dev {
            return self.prompt(view.attested.proposal().id.as_str(), view, trust, act);
        }
        if !output::is_interactive() {
            let fix = "run it in a terminal, or approve one proposal after the other, each with its --code";
            return Err(output::no_terminal().with_fix(fix));
        }
        let answer = output::ask(&format!("Type the short code to {act}:"))?;
        let code = view.attested.digest().short_code();
        if is_answer(ConfirmationPrompt::Code, &answer, &code) {
            return Ok(());
        }
        Err(ExitError::new(ErrorCode::NotConfirmed, "nothing was signed"))
    }
}

/// Prompts once for a signature, unless `yes`; an error when the operator declines.
pub(crate) fn confirm(yes: bool, act: &str) -> Result<(), ExitError> {
    if yes {
        return Ok(());
    }
    if !output::is_interactive() {
        return Err(output::no_terminal().with_fix("run it in a terminal, or pass --yes"));
    }
    let answer = output::ask(&format!("Type yes to {act}:"))?;
    if is_answer(ConfirmationPrompt::Yes, &answer, "") {
        return Ok(());
    }
    Err(ExitError::new(ErrorCode::NotConfirmed, "nothing was signed"))
}

/// Prints the posture of key and deployment; printed with every signature.
pub(crate) fn posture(signer: &Signer, trust: &TrustFile) {
    output::note(format!("posture: {}", signer.posture()));
    let duties = match trust.separation_of_duties() {
        SeparationOfDuties::Off => "off",
        SeparationOfDuties::Required => "required",
    };
    output::note(format!("separation of duties: {duties}"));
}
