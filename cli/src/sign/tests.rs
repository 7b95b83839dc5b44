//! Apply orders, validity and the rules of `--yes` and `--code`, on a proposal with hostile text.

use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{ApprovalRule, VerificationContext, verify_decision, verify_order};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};

use super::fixture::{attested, checkpoint, key, now, trust};
use super::*;

const HOSTILE: &str = "ok\u{1b}[2J\u{202e}\u{200b} caf\u{e9}\r\napproved by ann";

fn terms<'a>(trust: &'a TrustFile, seen: &'a Checkpoint, seed: u8, minutes: Option<u32>) -> Terms<'a> {
    let person = if seed == 4 { "ann" } else { "bob" };
    Terms {
        trust,
        seen,
        key_id: key(seed).key_id(),
        person,
        now: now(),
        nonce: [seed; 16],
        minutes,
        known_switch: None,
    }
}

fn approvals(attested: &VerifiedProposal, trust: &TrustFile) -> Vec<VerifiedDecision> {
    let seen = checkpoint();
    let verification = VerificationContext {
        trust,
        now: now(),
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    let approved = |seed| {
        let decision = decision(
            attested,
            DecisionKind::Approve,
            None,
            &terms(trust, &seen, seed, None),
        )
        .unwrap();
        let envelope = DsseEnvelope::sign(ObjectKind::Decision, &decision, &key(seed)).unwrap();
        verify_decision(&envelope, &verification).unwrap()
    };
    vec![approved(5), approved(4), approved(4)]
}

#[test]
fn order_lists_valid_approvals_sorted_and_unique() {
    let (trust, seen) = (trust("dev"), checkpoint());
    let attested = attested("plain", &trust);
    let approvals = approvals(&attested, &trust);
    let order = order(&attested, &approvals, &terms(&trust, &seen, 4, None)).unwrap();
    let mut expected: Vec<Digest> = approvals[..2].iter().map(VerifiedDecision::digest).collect();
    expected.sort_unstable();
    assert_eq!(order.decision_digests, expected);
    assert_eq!(order.expires_at - order.issued_at, Span::minutes(15));
    let verification = VerificationContext {
        trust: &trust,
        now: now(),
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    let envelope = DsseEnvelope::sign(ObjectKind::ApplyOrder, &order, &key(4)).unwrap();
    assert!(verify_order(&envelope, &verification).is_ok());
}

#[test]
fn key_outside_its_validity_is_refused_with_both_times() {
    let (trust, seen) = (trust("dev"), checkpoint());
    let attested = attested("plain", &trust);
    let terms = terms(&trust, &seen, 4, None);
    let decision = decision(&attested, DecisionKind::Approve, None, &terms).unwrap();
    let envelope = DsseEnvelope::sign(ObjectKind::Decision, &decision, &key(4)).unwrap();
    let verification = VerificationContext {
        trust: &trust,
        now: "2025-12-31T23:50:00.000Z".parse().unwrap(),
        proposal: attested.proposal(),
        proposal_digest: attested.digest(),
    };
    let refusal = verify_decision(&envelope, &verification).unwrap_err();
    assert_eq!(refusal.rule, ApprovalRule::Key);
    for part in [
        "2026-01-01T00:00:00.000Z",
        "2025-12-31T23:50:00.000Z",
        "correct that clock",
    ] {
        assert!(refusal.public.contains(part), "{}", refusal.public);
    }
}

#[test]
fn decision_validity_is_capped_by_ceiling_and_proposal() {
    let seen = checkpoint();
    let life = |environment: &str, minutes| {
        let trust = trust(environment);
        let attested = attested("plain", &trust);
        let made = decision(
            &attested,
            DecisionKind::Approve,
            None,
            &terms(&trust, &seen, 4, minutes),
        );
        made.map(|d| (d.expires_at - d.issued_at).as_seconds() / 60)
    };
    assert_eq!(life("dev", None).unwrap(), 24 * 60);
    assert_eq!(life("production", None).unwrap(), 60);
    assert_eq!(life("production", Some(5)).unwrap(), 5);
    assert_eq!(
        life("production", Some(61)).unwrap_err().code(),
        ErrorCode::ExpiresTooLong
    );
    assert_eq!(
        life("dev", Some(0)).unwrap_err().code(),
        ErrorCode::ExpiresInvalid
    );
    let mut trust = trust("dev");
    trust.ceilings.decision_minutes = Some(60 * 24 * 30);
    let attested = attested("plain", &trust);
    let long = decision(
        &attested,
        DecisionKind::Approve,
        None,
        &terms(&trust, &seen, 4, Some(60 * 24 * 20)),
    )
    .unwrap();
    assert_eq!(long.expires_at, attested.proposal().not_after);
}

fn question(
    environment: &str,
    text: &str,
    consent: ConfirmationInput<'_>,
) -> Result<ConfirmationPrompt, &'static str> {
    let trust = trust(environment);
    let attested = attested(text, &trust);
    let code = attested.digest().short_code().to_lowercase().replace('-', "");
    let consent = ConfirmationInput {
        code: consent.code.map(|c| if c == "right" { code.as_str() } else { c }),
        ..consent
    };
    consent
        .question(&attested, trust.environment)
        .map_err(|e| match e.code() {
            ErrorCode::CodeRequired => "code required",
            ErrorCode::LatestRefused => "no latest",
            ErrorCode::CodeMismatch => "other code",
            ErrorCode::ConfirmationRequired => "no terminal",
            _ => "other",
        })
}

#[test]
fn yes_flag_alone_suffices_only_in_dev_for_untruncated_text() {
    let long = "x".repeat(3000);
    let base = ConfirmationInput {
        yes: true,
        code: None,
        reference: "latest",
        interactive: false,
    };
    assert_eq!(question("dev", "plain", base), Ok(ConfirmationPrompt::Nothing));
    assert_eq!(question("dev", &long, base), Err("code required"));
    assert_eq!(
        question(
            "dev",
            &long,
            ConfirmationInput {
                code: Some("right"),
                ..base
            }
        ),
        Ok(ConfirmationPrompt::Nothing)
    );
    assert_eq!(question("staging", "plain", base), Err("no latest"));
    let named = ConfirmationInput {
        reference: "wrp_0011",
        ..base
    };
    assert_eq!(question("staging", "plain", named), Err("code required"));
    assert_eq!(
        question(
            "staging",
            "plain",
            ConfirmationInput {
                code: Some("right"),
                ..named
            }
        ),
        Ok(ConfirmationPrompt::Nothing)
    );
    assert_eq!(
        question(
            "staging",
            "plain",
            ConfirmationInput {
                code: Some("AAAA-AAAA-AAAA"),
                ..named
            }
        ),
        Err("other code")
    );
    assert_eq!(
        question(
            "dev",
            "plain",
            ConfirmationInput {
                code: Some("AAAA-AAAA-AAAA"),
                ..named
            }
        ),
        Err("other code")
    );
}

#[test]
fn without_yes_flag_terminal_prompt_is_required() {
    let long = "x".repeat(3000);
    let base = ConfirmationInput {
        yes: false,
        code: None,
        reference: "latest",
        interactive: true,
    };
    assert_eq!(question("dev", "plain", base), Ok(ConfirmationPrompt::Yes));
    assert_eq!(question("dev", &long, base), Ok(ConfirmationPrompt::Code));
    assert_eq!(question("production", "plain", base), Ok(ConfirmationPrompt::Yes));
    assert_eq!(
        question(
            "dev",
            "plain",
            ConfirmationInput {
                interactive: false,
                ..base
            }
        ),
        Err("no terminal")
    );
    assert!(is_answer(ConfirmationPrompt::Yes, " YES ", "AAAA-BBBB-CCCC"));
    assert!(!is_answer(ConfirmationPrompt::Yes, "y", "AAAA-BBBB-CCCC"));
    assert!(!is_answer(ConfirmationPrompt::Code, "yes", "AAAA-BBBB-CCCC"));
    assert!(is_answer(
        ConfirmationPrompt::Code,
        "aaaabbbbcccc",
        "AAAA-BBBB-CCCC"
    ));
}

#[test]
fn hostile_proposal_text_is_escaped() {
    let attested = attested(HOSTILE, &trust("dev"));
    let document = ReviewDocument::of(attested.proposal(), attested.digest()).text;
    assert!(
        document.chars().all(|c| c == '\n' || (' '..='~').contains(&c)),
        "{document}"
    );
    assert!(document.lines().all(|line| line.len() <= 80), "{document}");
    let joined: String = document
        .lines()
        .map(|line| line.trim_start_matches(' '))
        .collect();
    let expected = "ok\\u{1B}[2J\\u{202E}\\u{200B} caf\\u{E9}\\u{D}\\u{A}approved by ann";
    assert_eq!(joined.matches(expected).count(), 2, "{document}");
    assert!(document.contains("guard           WEAK"), "{document}");
    let agent = document.find("text from the agent").unwrap();
    assert!(
        document.find("expires at").unwrap() < agent,
        "agent text comes last"
    );
}

#[test]
fn approval_of_each_published_document_counts() {
    let trust = trust("dev");
    let attested = attested(&"long ".repeat(1_000), &trust);
    let seen = checkpoint();
    let signed = |named: &str, rendered: Renderer| {
        let terms = terms(&trust, &seen, 4, None);
        let mut decision = decision(&attested, DecisionKind::Approve, None, &terms).unwrap();
        named.clone_into(&mut decision.render.renderer);
        decision.render.digest =
            ReviewDocument::rendered(attested.proposal(), attested.digest(), rendered).digest();
        let envelope = DsseEnvelope::sign(ObjectKind::Decision, &decision, &key(4)).unwrap();
        let verification = VerificationContext {
            trust: &trust,
            now: now(),
            proposal: attested.proposal(),
            proposal_digest: attested.digest(),
        };
        verify_decision(&envelope, &verification)
            .map(|_| ())
            .map_err(|refusal| refusal.rule)
    };
    assert_eq!(signed("cli/1", Renderer::Cli1), Ok(()));
    assert_eq!(signed("cli/2", Renderer::Cli2), Ok(()));
    for (named, rendered) in [
        ("cli/1", Renderer::Cli2),
        ("cli/2", Renderer::Cli1),
        ("cli/3", Renderer::Cli2),
        ("", Renderer::Cli2),
    ] {
        assert_eq!(signed(named, rendered), Err(ApprovalRule::Render), "{named}");
    }
}

#[test]
fn missing_code_names_its_cause() {
    let trust = trust("production");
    let long = "z".repeat(3_000);
    for (environment, text, cause) in [
        (DeploymentEnvironment::Production, "plain", "in this environment"),
        (DeploymentEnvironment::Dev, long.as_str(), "every value in full"),
        (
            DeploymentEnvironment::Production,
            long.as_str(),
            "every value in full",
        ),
    ] {
        let input = ConfirmationInput {
            yes: true,
            code: None,
            reference: "wrp_0",
            interactive: false,
        };
        let refused = input.question(&attested(text, &trust), environment).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::CodeRequired);
        assert!(refused.message().contains(cause), "{}", refused.message());
    }
}

#[test]
fn missing_terminal_names_all_that_is_needed() {
    let trust = trust("production");
    let long = "z".repeat(3_000);
    let fix = |environment, text: &str, code: Option<&str>| {
        let attested = attested(text, &trust);
        let right = attested.digest().short_code();
        let input = ConfirmationInput {
            yes: false,
            code: code.map(|_| right.as_str()),
            reference: "wrp_0",
            interactive: false,
        };
        let refused = input.question(&attested, environment).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ConfirmationRequired);
        refused.fix().unwrap().to_owned()
    };
    let (dev, production) = (DeploymentEnvironment::Dev, DeploymentEnvironment::Production);
    for (environment, text) in [(dev, long.as_str()), (production, "plain")] {
        let named = fix(environment, text, None);
        assert!(named.contains("--yes and --code"), "{named}");
        assert!(!fix(environment, text, Some("right")).contains("--code"));
    }
    assert!(!fix(dev, "plain", None).contains("--code"));
}
