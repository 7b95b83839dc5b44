//! Asking the person before something is signed. No command by itself.

use clap::Args;
use synapsor_chassis::run::{EXIT_FAILURE, ExitError};
use synapsor_domain::trust::{SeparationOfDuties, TrustFile};

use crate::operations::Looked;
use crate::operator_key::Signer;
use crate::output;
use crate::sign::{Consent, Question, is_answer};

/// Options of every command that signs.
#[derive(Clone, Debug, Args)]
pub(crate) struct Confirm {
    /// Do not ask; outside dev only together with --code and a named proposal
    #[arg(long)]
    pub(crate) yes: bool,
    /// The short code that was reviewed, as `proposals show` prints it
    #[arg(long, value_name = "XXXX-XXXX-XXXX")]
    pub(crate) code: Option<String>,
    /// Must be the person of the signing key, if given
    #[arg(long, value_name = "PERSON")]
    pub(crate) actor: Option<String>,
}

impl Confirm {
    /// Asks what has to be asked; an error when the answer is no.
    pub(crate) fn obtain(
        &self,
        reference: &str,
        looked: &Looked,
        trust: &TrustFile,
        act: &str,
    ) -> Result<(), ExitError> {
        let consent = Consent {
            yes: self.yes,
            code: self.code.as_deref(),
            reference,
            interactive: output::is_interactive(),
        };
        let question = consent.question(&looked.attested, trust.environment)?;
        let prompt = match question {
            Question::Nothing => return Ok(()),
            Question::Yes => format!("Type yes to {act}:"),
            Question::Code => {
                format!("A value was too long to be shown whole. Type the code of the document to {act}:")
            }
        };
        if is_answer(
            question,
            &output::ask(&prompt)?,
            &looked.attested.digest().short_code(),
        ) {
            return Ok(());
        }
        Err(ExitError::new("NOT_CONFIRMED", "nothing was signed").with_exit(EXIT_FAILURE))
    }
}

/// What a signature is worth here; said at every one.
pub(crate) fn posture(signer: &Signer, trust: &TrustFile) {
    output::note(format!("posture: {}", signer.posture()));
    let duties = match trust.separation_of_duties() {
        SeparationOfDuties::Off => "off",
        SeparationOfDuties::Required => "required",
    };
    output::note(format!("separation of duties: {duties}"));
}
