//! Webhooks: a receiver that fails, times out, redirects and restarts misses nothing and sees the events of each
//! proposal in order; recipes of the documentation verify what it got.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value as Json, json};
use synapsor_domain::webhook::WebhookSecret;
use synapsor_e2e::cli::{CliFixture, INVOICE};
use synapsor_e2e::receiver::{Received, Receiver, Reply};

const OTHER: &str = "INV-3002";
const WAIT: Duration = Duration::from_secs(30);
/// Present in URLs, secrets and tokens, and nowhere else.
const URL_CANARY: &str = "urlcanary7f31";
const TOKEN: &str = "tokencanary5d20";
const SECRETS: [&str; 2] = [
    "whsec_c2VjcmV0Y2FuYXJ5LW9uZS0wMDAwMDAwMDAwMDAwMA==",
    "whsec_c2VjcmV0Y2FuYXJ5LXR3by0wMDAwMDAwMDAwMDAwMA==",
];
const GUIDE: &str = include_str!("../../../../docs/webhooks.md");

/// A state directory whose ledger has webhooks.
struct Scene {
    place: CliFixture,
    receiver: Receiver,
    /// Everything that commands printed.
    printed: String,
}

impl Scene {
    /// Starts the receiver, writes the files, and lets a ledger read them before the first proposal.
    fn start() -> anyhow::Result<Self> {
        let mut scene = Self {
            place: CliFixture::new()?,
            receiver: Receiver::start(URL_CANARY)?,
            printed: String::new(),
        };
        // Creates the state directory.
        scene.place.propose(OTHER, "before")?;
        scene
            .place
            .ok(&["proposals", "reject", "latest", "--yes", "--reason", "other"])?;
        private(&scene.place.path(".synapsor/one.secret"), SECRETS[0])?;
        private(&scene.place.path(".synapsor/two.secret"), SECRETS[1])?;
        private(&scene.place.path(".synapsor/token"), TOKEN)?;
        private(
            &scene.place.path(".synapsor/earlier.url"),
            &scene.receiver.url("/earlier"),
        )?;
        scene.write_file(100, &["one.secret"])?;
        scene.kill_ledger()?;
        let listed = scene.json(&["webhooks", "list"])?;
        ensure!(
            listed["webhooks"].as_array().is_some_and(|all| all.len() == 3),
            "{listed}"
        );
        Ok(scene)
    }

    fn write_file(&self, attempts: u32, secrets: &[&str]) -> anyhow::Result<()> {
        let retries = |mut webhook: Json| {
            webhook["attempts"] = json!(attempts);
            webhook["first_retry_ms"] = json!(100);
            webhook["longest_retry_ms"] = json!(300);
            webhook["timeout_ms"] = json!(400);
            webhook
        };
        let file = json!({ "version": 1, "webhooks": [
            retries(json!({ "name": "billing", "url": self.receiver.url("/billing"), "format": "cloudevents",
                "secret_files": secrets, "bearer_token_file": "token" })),
            retries(json!({ "name": "earlier", "url_file": "earlier.url", "format": "v1",
                "secret_files": secrets })),
            retries(json!({ "name": "chat", "url": self.receiver.url("/chat"), "format": "slack" })),
        ]});
        self.place.write(".synapsor/webhooks.json", &file.to_string())
    }

    /// Kills the ledger without a shutdown; the next command starts one.
    fn kill_ledger(&self) -> anyhow::Result<()> {
        let ledgers = self
            .place
            .processes()?
            .into_iter()
            .filter(|(_, line)| line.contains("synapsor-ledger "));
        for (pid, _) in ledgers {
            let pid = rustix::process::Pid::from_raw(pid).context("a process id")?;
            rustix::process::kill_process(pid, rustix::process::Signal::KILL)?;
        }
        Ok(())
    }

    fn json(&mut self, arguments: &[&str]) -> anyhow::Result<Json> {
        let mut arguments = arguments.to_vec();
        arguments.push("--json");
        let ran = self.place.run(&arguments)?;
        self.printed.push_str(&ran.to_string());
        ran.expect(0)?;
        ran.object()
    }

    /// Runs a command until its JSON satisfies the condition; each run keeps the ledger awake.
    fn until(&mut self, arguments: &[&str], is_met: impl Fn(&Json) -> bool) -> anyhow::Result<Json> {
        let end = Instant::now() + WAIT;
        loop {
            let shown = self.json(arguments)?;
            if is_met(&shown) {
                return Ok(shown);
            }
            ensure!(Instant::now() < end, "{arguments:?}: {shown}");
        }
    }

    /// Makes the receiver fail in one way, until the ledger has noticed it.
    fn fail_with(&mut self, reply: Reply, failure: &str) -> anyhow::Result<()> {
        self.receiver.reply_with(reply);
        self.until(&["webhooks", "show", "billing"], |shown| {
            shown["last_failure"] == json!(failure)
        })?;
        Ok(())
    }

    /// Returns the events of the log that a webhook gets, from `first` on, by proposal.
    fn expected(&mut self, first: u64) -> anyhow::Result<BTreeMap<String, Vec<u64>>> {
        let ran = self
            .place
            .ok(&["events", "tail", "--json", "--from", &first.to_string()])?;
        let mut expected = BTreeMap::<_, Vec<u64>>::new();
        for line in ran.stdout.lines() {
            let event: Json = serde_json::from_str(line)?;
            let kind = event["kind"].as_str().unwrap_or_default();
            if [
                "read_recorded",
                "evidence_recorded",
                "query_audited",
                "call_refused",
            ]
            .contains(&kind)
            {
                continue;
            }
            let about = event["proposal_id"].as_str().unwrap_or_default().to_owned();
            expected
                .entry(about)
                .or_default()
                .push(event["event_id"].as_u64().context("a position")?);
        }
        Ok(expected)
    }
}

fn private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    Ok(options.open(path)?.write_all(text.as_bytes())?)
}

/// Accepted events of one path by proposal, each at its first arrival.
fn arrived(received: &[Received], path: &str) -> BTreeMap<String, Vec<u64>> {
    let mut arrived = BTreeMap::<_, Vec<u64>>::new();
    for request in received
        .iter()
        .filter(|request| request.is_accepted && request.path == path)
    {
        let event = request.event();
        let about = event["proposal_id"].as_str().unwrap_or_default().to_owned();
        let Some(seq) = event["event_id"].as_u64() else {
            continue;
        };
        let seqs = arrived.entry(about).or_default();
        if !seqs.contains(&seq) {
            seqs.push(seq);
        }
    }
    // Events without a proposal have no order.
    arrived.entry(String::new()).or_default().sort_unstable();
    arrived
}

#[test]
fn failing_receiver_gets_every_event_in_order() -> anyhow::Result<()> {
    let mut scene = Scene::start()?;
    let first = scene.json(&["webhooks", "show", "billing"])?["position"]
        .as_u64()
        .context("a position")?;
    let bait = Receiver::start(URL_CANARY)?;

    let one = scene.place.propose(INVOICE, "goodwill")?;
    scene.receiver.reply_with(Reply::Status(500));
    scene.place.ok(&["proposals", "approve", &one, "--yes"])?;
    scene.fail_with(Reply::Status(500), "status 500")?;
    let two = scene.place.propose(OTHER, "goodwill")?;
    scene.fail_with(Reply::Silence, "timed out")?;
    scene.kill_ledger()?;
    scene.fail_with(Reply::Redirect(bait.url("/bait")), "status 302")?;
    scene.fail_with(
        Reply::Redirect("http://169.254.169.254/latest".to_owned()),
        "status 302",
    )?;
    scene.place.ok(&["apply", &one, "--yes"])?;
    scene.receiver.stop();
    scene.until(&["webhooks", "show", "billing"], |shown| {
        shown["last_failure"] == json!("connection failed")
    })?;
    scene.kill_ledger()?;
    scene
        .place
        .ok(&["proposals", "reject", &two, "--yes", "--reason", "other"])?;
    scene.receiver.start_again()?;
    scene.receiver.reply_with(Reply::Accept);

    // Every other request is lost on its way back, so that events arrive more than once.
    scene.receiver.drop_every_other_answer(true);
    let end = Instant::now() + WAIT;
    loop {
        scene.json(&["webhooks", "list"])?;
        let (received, expected) = (scene.receiver.received(), scene.expected(first)?);
        let has_all = ["/billing", "/earlier"].map(|path| arrived(&received, path) == expected);
        if has_all == [true, true] {
            ensure!(
                expected[&one].len() >= 4 && expected[&two].len() == 2,
                "{expected:?}"
            );
            break;
        }
        ensure!(
            Instant::now() < end,
            "arrived {:?}\nexpected {expected:?}",
            arrived(&received, "/billing")
        );
    }
    scene.receiver.drop_every_other_answer(false);
    ensure!(bait.received().is_empty(), "a redirect was followed");
    let chat = scene
        .receiver
        .received()
        .into_iter()
        .find(|request| request.path == "/chat" && request.is_accepted);
    let chat = String::from_utf8(chat.context("a message for the chat")?.body)?;
    ensure!(
        chat.contains("synapsor-runner proposals show ") && !chat.contains("button"),
        "{chat}"
    );

    dead_letter_is_kept_until_it_is_delivered(&mut scene)?;
    secrets_rotate_and_recipes_verify(&mut scene)?;
    events_are_pushed_once(&mut scene, first)?;
    invalid_file_keeps_the_webhooks(&mut scene)?;
    nothing_secret_leaves(&scene)
}

fn dead_letter_is_kept_until_it_is_delivered(scene: &mut Scene) -> anyhow::Result<()> {
    scene.write_file(2, &["one.secret"])?;
    scene.until(&["webhooks", "show", "billing"], |shown| {
        shown["attempts_max"] == json!(2)
    })?;
    scene.receiver.reply_with(Reply::Status(503));
    let proposal = scene.place.propose(OTHER, "again")?;
    let letter = |shown: &Json| {
        let letters = shown["dead_letter_list"].as_array()?;
        letters
            .iter()
            .find(|letter| letter["subject"] == json!(proposal))
            .cloned()
    };
    let shown = scene.until(&["webhooks", "show", "billing"], |shown| letter(shown).is_some())?;
    let dead = letter(&shown).context("a dead letter")?;
    assert_eq!(dead["failure"], json!("status 503"));
    let dead = dead["event_id"].as_u64().context("a position")?;

    // The proposal continues after it.
    scene.receiver.reply_with(Reply::Accept);
    scene
        .place
        .ok(&["proposals", "reject", &proposal, "--yes", "--reason", "other"])?;
    let of_proposal = |scene: &Scene| {
        arrived(&scene.receiver.received(), "/billing")
            .remove(&proposal)
            .unwrap_or_default()
    };
    let end = Instant::now() + WAIT;
    while of_proposal(scene).is_empty() {
        scene.json(&["webhooks", "list"])?;
        ensure!(Instant::now() < end, "the proposal did not continue");
    }
    ensure!(!of_proposal(scene).contains(&dead), "a dead letter was delivered");

    scene.json(&[
        "webhooks",
        "redeliver",
        "billing",
        "--dead-letter",
        &dead.to_string(),
    ])?;
    scene.until(&["webhooks", "show", "billing"], |shown| letter(shown).is_none())?;
    ensure!(
        of_proposal(scene).contains(&dead),
        "the dead letter was not delivered"
    );
    for (arguments, code) in [
        (
            vec!["webhooks", "redeliver", "billing", "--dead-letter", "0"],
            "WEBHOOK_DEAD_LETTER_NOT_FOUND",
        ),
        (
            vec!["webhooks", "redeliver", "billing", "--from", "999999"],
            "WEBHOOK_POSITION_INVALID",
        ),
        (vec!["webhooks", "redeliver", "none"], "WEBHOOK_NOT_FOUND"),
        (vec!["webhooks", "show", "none"], "WEBHOOK_NOT_FOUND"),
    ] {
        let ran = scene.place.run(&arguments)?;
        ensure!(ran.exit == Some(1) && ran.stderr.contains(code), "{ran}");
    }

    let before = scene.receiver.ids("/billing", dead);
    scene.json(&["webhooks", "redeliver", "billing", "--from", &dead.to_string()])?;
    let end = Instant::now() + WAIT;
    while scene.receiver.ids("/billing", dead).len() <= before.len() {
        scene.json(&["webhooks", "list"])?;
        ensure!(Instant::now() < end, "nothing was delivered again");
    }
    let mut ids = scene.receiver.ids("/billing", dead);
    ids.dedup();
    ensure!(ids.len() == 1, "an event has several message ids: {ids:?}");
    Ok(())
}

fn secrets_rotate_and_recipes_verify(scene: &mut Scene) -> anyhow::Result<()> {
    scene.write_file(100, &["two.secret", "one.secret"])?;
    scene.until(&["webhooks", "show", "billing"], |shown| {
        shown["signatures"] == json!(2)
    })?;
    scene.json(&["webhooks", "test", "billing"])?;
    let test = scene.receiver.received().pop().context("the test message")?;
    for text in SECRETS {
        let secret = WebhookSecret::parse(text)?;
        let timestamp = test.header("webhook-timestamp").parse()?;
        let expected = secret.sign(test.header("webhook-id"), timestamp, &test.body);
        let mut signatures = test.header("webhook-signature").split(' ');
        ensure!(
            signatures.any(|signature| signature == expected),
            "not signed by a secret"
        );
    }
    assert_eq!(test.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(test.header("content-type"), "application/cloudevents+json");
    recipe("python", &["python3", "recipe.py"], PYTHON_MAIN, scene, &test)?;
    recipe(
        "javascript",
        &["node", "recipe.mjs"],
        JAVASCRIPT_MAIN,
        scene,
        &test,
    )?;

    scene.receiver.reply_with(Reply::Status(401));
    let ran = scene.place.run(&["webhooks", "test", "billing"])?;
    scene.printed.push_str(&ran.to_string());
    ensure!(ran.exit == Some(6) && ran.stderr.contains("status 401"), "{ran}");
    scene.receiver.reply_with(Reply::Accept);
    Ok(())
}

const PYTHON_MAIN: &str = r#"
import json, sys
case = json.load(sys.stdin)
try:
    verify(case["secret"], case["headers"], case["body"].encode(), case["now"])
    print("valid")
except ValueError:
    print("invalid")
"#;

const JAVASCRIPT_MAIN: &str = r#"
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const testCase = JSON.parse(Buffer.concat(chunks));
try {
  verify(testCase.secret, testCase.headers, Buffer.from(testCase.body), testCase.now);
  console.log("valid");
} catch (error) {
  console.log("invalid");
}
"#;

/// Runs a recipe of the guide on a message as it arrived, and on altered ones.
fn recipe(
    language: &str,
    words: &[&str; 2],
    main: &str,
    scene: &Scene,
    message: &Received,
) -> anyhow::Result<()> {
    let [program, file] = words;
    if Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        ensure!(std::env::var_os("CI").is_none(), "{program} is needed");
        println!("skipped: the recipe in {language}, because there is no {program}");
        return Ok(());
    }
    let start = format!("```{language}\n");
    let code = GUIDE
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once("```"));
    let (code, _) = code.context("a recipe in the guide")?;
    scene.place.write(file, &format!("{code}{main}"))?;
    let now: i64 = message.header("webhook-timestamp").parse()?;
    let body = String::from_utf8(message.body.clone())?;
    let case = |secret: &str, body: &str, now: i64| json!({ "secret": secret, "headers": message.headers, "body": body, "now": now });
    let unknown = "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3RoZXI=";
    for (case, expected) in [
        (case(SECRETS[0], &body, now), "valid"),
        (case(SECRETS[1], &body, now + 60), "valid"),
        (case(unknown, &body, now), "invalid"),
        (case(SECRETS[0], &format!("{body} "), now), "invalid"),
        (case(SECRETS[0], &body, now + 3_600), "invalid"),
    ] {
        let mut child = Command::new(program)
            .arg(scene.place.path(file))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("stdin")?
            .write_all(case.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        ensure!(
            printed.trim() == expected,
            "{language}: {printed}, not {expected}"
        );
    }
    Ok(())
}

fn events_are_pushed_once(scene: &mut Scene, first: u64) -> anyhow::Result<()> {
    scene.place.set("HOOK", &scene.receiver.url("/push"));
    scene.place.set("HOOK_SECRET", SECRETS[0]);
    scene.place.set("HOOK_TOKEN", TOKEN);
    let since = first.to_string();
    let push = [
        "events",
        "webhook",
        "--url-env",
        "HOOK",
        "--secret-env",
        "HOOK_SECRET",
        "--auth-token-env",
        "HOOK_TOKEN",
        "--since-event-id",
        &since,
        "--kind",
        "proposal_created",
    ];
    let dry = scene.json(&[&push[..], &["--dry-run"]].concat())?;
    ensure!(
        dry["delivered"] == json!(0) && dry["events"].as_array().is_some_and(|all| all.len() > 1),
        "{dry}"
    );
    let of_push = |scene: &Scene| {
        arrived(&scene.receiver.received(), "/push")
            .into_values()
            .flatten()
            .count()
    };
    ensure!(of_push(scene) == 0, "a dry run sent events");
    let sent = scene.json(&push)?;
    ensure!(
        sent["delivered"].as_u64() == Some(of_push(scene) as u64),
        "{sent}"
    );
    assert_eq!(sent["events"], dry["events"]);
    let last = scene
        .receiver
        .received()
        .into_iter()
        .rfind(|request| request.path == "/push");
    let last = last.context("a pushed event")?;
    assert_eq!(last.header("authorization"), format!("Bearer {TOKEN}"));
    let expected = WebhookSecret::parse(SECRETS[0])?.sign_body(&last.body);
    assert_eq!(last.header("x-synapsor-signature"), expected);
    let cursor = sent["cursor"].to_string();
    let rest = [&push[..6], &["--since-event-id", &cursor]].concat();
    let again = scene.json(&[&rest[..], &["--kind", "proposal_created"]].concat())?;
    assert_eq!(again["delivered"], json!(0));

    scene.receiver.reply_with(Reply::Status(500));
    let ran = scene.place.run(&push)?;
    scene.printed.push_str(&ran.to_string());
    ensure!(ran.exit == Some(6) && ran.stderr.contains("status 500"), "{ran}");
    scene.receiver.reply_with(Reply::Accept);
    for url in [
        "https://10.0.0.1/x",
        "https://ann:urlcanary7f31@example.com/",
        "http://8.8.8.8/urlcanary7f31",
    ] {
        let ran = scene.place.run(&["events", "push", "--url", url])?;
        scene
            .printed
            .push_str(&ran.to_string().replace(&format!("--url {url}"), ""));
        ensure!(
            ran.exit == Some(2) && ran.stderr.contains("WEBHOOK_URL_FORBIDDEN"),
            "{ran}"
        );
    }
    Ok(())
}

fn invalid_file_keeps_the_webhooks(scene: &mut Scene) -> anyhow::Result<()> {
    let valid = std::fs::read_to_string(scene.place.path(".synapsor/webhooks.json"))?;
    scene.place.write(
        ".synapsor/webhooks.json",
        &valid.replace("\"version\":1", "\"version\":7"),
    )?;
    let listed = scene.until(&["webhooks", "list"], |listed| !listed["file_problem"].is_null())?;
    let problem = listed["file_problem"].as_str().unwrap_or_default();
    ensure!(
        problem.contains("WEBHOOK_FILE_INVALID") && problem.contains("`version` must be 1"),
        "{listed}"
    );
    scene.json(&["webhooks", "test", "earlier"])?;
    scene.place.write(".synapsor/webhooks.json", &valid)?;
    scene.until(&["webhooks", "list"], |listed| listed["file_problem"].is_null())?;
    Ok(())
}

/// URLs, secrets and tokens are in no output, log or record, and only in the files that the operator wrote.
fn nothing_secret_leaves(scene: &Scene) -> anyhow::Result<()> {
    let canaries = [URL_CANARY, TOKEN, &SECRETS[0][6..], &SECRETS[1][6..]];
    for canary in canaries {
        ensure!(!scene.printed.contains(canary), "{canary} was printed");
    }
    let own = [
        ".synapsor/webhooks.json",
        ".synapsor/one.secret",
        ".synapsor/two.secret",
        ".synapsor/token",
        ".synapsor/earlier.url",
    ];
    let listing = scene.place.listing()?;
    ensure!(
        listing.iter().any(|name| name.ends_with("ledger.log")),
        "{listing:?}"
    );
    for name in listing.iter().filter(|name| !own.contains(&name.as_str())) {
        let path = scene.place.path(name);
        if !path.is_file() {
            continue;
        }
        let bytes = std::fs::read(&path)?;
        for canary in canaries {
            if bytes
                .windows(canary.len())
                .any(|window| window == canary.as_bytes())
            {
                bail!("{canary} is in {name}");
            }
        }
    }
    // Bodies have no value of a column, no tenant and no principal.
    for request in scene.receiver.received() {
        let body = String::from_utf8(request.body)?;
        for value in [INVOICE, OTHER, "acme", "support-agent", "goodwill"] {
            ensure!(!body.contains(value), "{value} is in {body}");
        }
    }
    Ok(())
}
