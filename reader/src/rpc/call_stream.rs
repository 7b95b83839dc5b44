//! Calls of one gateway on one stream. Each call runs as a task of its own; what is ready is answered together.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use synapsor_chassis::grpc_server::CallPermits;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_proto::executor::v1 as wire;
use synapsor_proto::executor::v1::capability_answer::Outcome;
use synapsor_proto::status::to_status;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::AbortHandle;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// Maximum time of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls and cancellations of one message.
const CALLS_MAX: usize = 64;
const CANCELED_MAX: usize = 256;
/// Answers and bytes of one message; a single answer may have more bytes.
const ANSWERS_MAX: usize = 64;
const ANSWER_BYTES_MAX: usize = 512 * 1024;

/// Result of one call, which also states refusals.
type CallOutcome = Result<wire::CapabilityResult, PublicError>;

/// Calls of one stream that have no answer yet, each with its task once it has started; `None` once the stream has
/// ended.
type RunningCalls = Arc<Mutex<Option<HashMap<u64, Option<AbortHandle>>>>>;

/// What the response stream sends. An answer keeps the permit of its call until it is sent, so that a gateway that does
/// not read stops its own calls.
#[derive(Debug)]
enum Outgoing {
    Answer(wire::CapabilityAnswer, OwnedSemaphorePermit),
    Closing,
    Failed(Status),
}

/// Serves the calls of a stream with `run`. The calls end when the response is dropped.
pub(super) fn serve<S, F, Run>(
    calls: S,
    permits: CallPermits,
    stop: CancellationToken,
    run: F,
) -> AnswerStream
where
    S: Stream<Item = Result<wire::CallCapabilitiesRequest, Status>> + Send + Unpin + 'static,
    F: Fn(wire::CapabilityCall) -> Run + Send + Sync + 'static,
    Run: Future<Output = CallOutcome> + Send + 'static,
{
    // Each answer holds a permit, and there are few of them; the other items are sent once.
    let (answers, ready) = mpsc::unbounded_channel();
    let running = RunningCalls::new(Mutex::new(Some(HashMap::new())));
    let receiver = CallReceiver {
        run,
        permits,
        answers,
        running: running.clone(),
    };
    AnswerStream {
        ready,
        held: VecDeque::new(),
        receiving: tokio::spawn(receiver.receive(calls, stop)).abort_handle(),
        running,
    }
}

/// Receives the messages of a gateway and starts its calls.
struct CallReceiver<F> {
    run: F,
    permits: CallPermits,
    answers: mpsc::UnboundedSender<Outgoing>,
    running: RunningCalls,
}

impl<F, Run> CallReceiver<F>
where
    F: Fn(wire::CapabilityCall) -> Run,
    Run: Future<Output = CallOutcome> + Send + 'static,
{
    /// Returns when the gateway ends its side; calls in progress are still answered. A stream that breaks ends them.
    async fn receive<S>(self, mut calls: S, stop: CancellationToken)
    where
        S: Stream<Item = Result<wire::CallCapabilitiesRequest, Status>> + Unpin,
    {
        let mut is_closing = false;
        loop {
            let message = tokio::select! {
                message = calls.next() => message,
                () = stop.cancelled(), if !is_closing => {
                    is_closing = true;
                    // Without a receiver the stream has ended.
                    let _ = self.answers.send(Outgoing::Closing);
                    continue;
                }
            };
            match message {
                // Checked before the message waits for permits: a small one can have very many calls.
                Some(Ok(message)) if is_too_large(&message) => {
                    let _ = self.answers.send(Outgoing::Failed(too_large()));
                    return abort_all(&self.running);
                }
                Some(Ok(message)) => self.take(message).await,
                Some(Err(status)) => {
                    let _ = self.answers.send(Outgoing::Failed(status));
                    return abort_all(&self.running);
                }
                None => return,
            }
        }
    }

    async fn take(&self, message: wire::CallCapabilitiesRequest) {
        for number in message.canceled {
            let call = locked(&self.running)
                .as_mut()
                .and_then(|running| running.remove(&number));
            if let Some(Some(call)) = call {
                call.abort();
            }
        }
        for call in message.calls {
            let Some(permit) = self.permits.acquire().await else {
                return;
            };
            self.start(call, permit);
        }
    }

    fn start(&self, call: wire::CapabilityCall, permit: OwnedSemaphorePermit) {
        let number = call.number;
        let mut answer = AnswerOnce {
            number,
            held: Some((permit, self.answers.clone())),
            running: None,
        };
        let is_taken = match &mut *locked(&self.running) {
            Some(running) => match running.entry(number) {
                Entry::Occupied(_) => true,
                Entry::Vacant(free) => {
                    free.insert(None);
                    false
                }
            },
            // No caller waits for the answer.
            None => return,
        };
        if is_taken {
            let error = PublicError::new(
                ErrorCode::Malformed,
                "number: is that of another call of the stream",
            );
            return answer.send(Err(error));
        }
        answer.running = Some(self.running.clone());
        let outcome = tokio::time::timeout(timeout_of(call.timeout_ms), (self.run)(call));
        let task = tokio::spawn(async move {
            let late = |_| PublicError::new(ErrorCode::DeadlineExceeded, "the call exceeded its deadline");
            let outcome = outcome.await.map_err(late).flatten();
            answer.send(outcome);
        });
        let handle = task.abort_handle();
        match &mut *locked(&self.running) {
            // A call without an entry has ended already.
            Some(running) => {
                if let Some(entry) = running.get_mut(&number) {
                    *entry = Some(handle);
                }
            }
            None => handle.abort(),
        }
    }
}

fn is_too_large(message: &wire::CallCapabilitiesRequest) -> bool {
    message.calls.len() > CALLS_MAX || message.canceled.len() > CANCELED_MAX
}

fn too_large() -> Status {
    let text = format!("a message has at most {CALLS_MAX} calls and {CANCELED_MAX} cancellations");
    to_status(&PublicError::new(ErrorCode::Malformed, text))
}

fn timeout_of(timeout_ms: u32) -> Duration {
    match timeout_ms {
        0 => CALL_TIMEOUT,
        millis => Duration::from_millis(millis.into()).min(CALL_TIMEOUT),
    }
}

/// Answers one call. Dropped without an answer, because the call panicked or was aborted, it sends an error.
struct AnswerOnce {
    number: u64,
    held: Option<(OwnedSemaphorePermit, mpsc::UnboundedSender<Outgoing>)>,
    /// Where the call is entered; absent if it is not.
    running: Option<RunningCalls>,
}

impl AnswerOnce {
    fn send(&mut self, outcome: CallOutcome) {
        let Some((permit, answers)) = self.held.take() else {
            return;
        };
        if let Some(running) = &self.running
            && let Some(running) = &mut *locked(running)
        {
            running.remove(&self.number);
        }
        let outcome = match outcome {
            Ok(result) => Outcome::Result(result),
            Err(error) => Outcome::Error(wire::CallError {
                code: error.code.to_string(),
                message: error.public,
            }),
        };
        let answer = wire::CapabilityAnswer {
            number: self.number,
            outcome: Some(outcome),
        };
        // Without a receiver the stream has ended.
        let _ = answers.send(Outgoing::Answer(answer, permit));
    }
}

impl Drop for AnswerOnce {
    fn drop(&mut self) {
        self.send(Err(PublicError::new(
            ErrorCode::Internal,
            "the call failed; see the log",
        )));
    }
}

/// The response: messages of all answers that are ready. Dropping it ends the calls.
#[derive(Debug)]
pub struct AnswerStream {
    ready: mpsc::UnboundedReceiver<Outgoing>,
    /// Received, but not sent yet.
    held: VecDeque<Outgoing>,
    receiving: AbortHandle,
    running: RunningCalls,
}

impl AnswerStream {
    /// Returns the next message, of what is held.
    fn message(&mut self) -> Result<wire::CallCapabilitiesResponse, Status> {
        let mut message = wire::CallCapabilitiesResponse::default();
        let mut bytes = 0;
        while message.answers.len() < ANSWERS_MAX {
            match self.held.pop_front() {
                Some(Outgoing::Answer(answer, permit)) => {
                    bytes += size_of(&answer);
                    if bytes > ANSWER_BYTES_MAX && !message.answers.is_empty() {
                        self.held.push_front(Outgoing::Answer(answer, permit));
                        break;
                    }
                    message.answers.push(answer);
                }
                Some(Outgoing::Closing) => message.is_closing = true,
                Some(Outgoing::Failed(status)) => return Err(status),
                None => break,
            }
        }
        Ok(message)
    }
}

impl Stream for AnswerStream {
    type Item = Result<wire::CallCapabilitiesResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.held.is_empty() {
            let mut received = Vec::with_capacity(ANSWERS_MAX);
            if ready!(self.ready.poll_recv_many(cx, &mut received, ANSWERS_MAX)) == 0 {
                return Poll::Ready(None);
            }
            self.held.extend(received);
        }
        Poll::Ready(Some(self.message()))
    }
}

impl Drop for AnswerStream {
    fn drop(&mut self) {
        self.receiving.abort();
        abort_all(&self.running);
    }
}

/// Size of a result, in bytes; everything else is small.
fn size_of(answer: &wire::CapabilityAnswer) -> usize {
    match &answer.outcome {
        Some(Outcome::Result(result)) => result.envelope_json.len() + result.model_text.len(),
        Some(Outcome::Error(_)) | None => 0,
    }
}

fn abort_all(running: &RunningCalls) {
    // Taken out first: an aborted call removes its own entry.
    let calls = locked(running).take();
    for call in calls.into_iter().flatten().filter_map(|(_, call)| call) {
        call.abort();
    }
}

fn locked(running: &RunningCalls) -> MutexGuard<'_, Option<HashMap<u64, Option<AbortHandle>>>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    /// Calls until released, by the text of the capability.
    struct Gateway {
        calls: mpsc::UnboundedSender<Result<wire::CallCapabilitiesRequest, Status>>,
        answers: AnswerStream,
        stop: CancellationToken,
        permits: CallPermits,
        /// Calls that run now.
        running: watch::Sender<usize>,
        release: watch::Sender<bool>,
    }

    struct Running(watch::Sender<usize>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.send_modify(|running| *running -= 1);
        }
    }

    async fn run(
        call: wire::CapabilityCall,
        running: watch::Sender<usize>,
        release: watch::Sender<bool>,
    ) -> CallOutcome {
        running.send_modify(|running| *running += 1);
        let _running = Running(running);
        match call.capability.as_str() {
            "hold" => {
                release.subscribe().wait_for(|released| *released).await.unwrap();
            }
            "panic" => panic!("a call that fails"),
            "refuse" => return Err(PublicError::new(ErrorCode::Malformed, "refused")),
            _ => {}
        }
        Ok(wire::CapabilityResult {
            envelope_json: call.arguments_json,
            model_text: call.capability,
            ..wire::CapabilityResult::default()
        })
    }

    impl Gateway {
        fn with_permits(calls_max: usize) -> Self {
            let (calls, sent) = mpsc::unbounded_channel();
            let (stop, permits) = (CancellationToken::new(), CallPermits::new(calls_max));
            let (running, release) = (watch::Sender::new(0), watch::Sender::new(false));
            let (seen, released) = (running.clone(), release.clone());
            let run = move |call| run(call, seen.clone(), released.clone());
            let sent = UnboundedReceiverStream::new(sent);
            Self {
                calls,
                answers: serve(sent, permits.clone(), stop.clone(), run),
                stop,
                permits,
                running,
                release,
            }
        }

        fn send(&self, calls: &[(u64, &str)]) {
            let calls = calls.iter().map(|(number, capability)| wire::CapabilityCall {
                number: *number,
                capability: (*capability).to_owned(),
                ..wire::CapabilityCall::default()
            });
            let message = wire::CallCapabilitiesRequest {
                calls: calls.collect(),
                canceled: Vec::new(),
            };
            self.calls.send(Ok(message)).unwrap();
        }

        async fn wait_for_running(&self, calls: usize) {
            self.running
                .subscribe()
                .wait_for(|running| *running == calls)
                .await
                .unwrap();
        }

        /// The next answers, as `number: text of the result` or `number: code`.
        async fn answered(&mut self, count: usize) -> Vec<String> {
            let mut answered = Vec::new();
            while answered.len() < count {
                let message = self.answers.next().await.unwrap().unwrap();
                answered.extend(message.answers.into_iter().map(text));
            }
            answered.sort();
            answered
        }
    }

    fn text(answer: wire::CapabilityAnswer) -> String {
        let outcome = match answer.outcome.unwrap() {
            Outcome::Result(result) => result.model_text,
            Outcome::Error(error) => error.code,
        };
        format!("{}: {outcome}", answer.number)
    }

    #[tokio::test]
    async fn each_call_has_its_own_answer() {
        let mut gateway = Gateway::with_permits(8);
        gateway.send(&[(1, "a"), (2, "hold"), (3, "panic"), (4, "refuse"), (5, "b")]);
        let first = gateway.answered(4).await;
        assert_eq!(first, ["1: a", "3: INTERNAL", "4: MALFORMED", "5: b"]);
        gateway.release.send_replace(true);
        assert_eq!(gateway.answered(1).await, ["2: hold"]);
    }

    #[tokio::test]
    async fn canceled_call_ends_without_a_result() {
        let mut gateway = Gateway::with_permits(8);
        gateway.send(&[(1, "hold"), (2, "hold")]);
        gateway.wait_for_running(2).await;
        let message = wire::CallCapabilitiesRequest {
            calls: Vec::new(),
            canceled: vec![1, 7],
        };
        gateway.calls.send(Ok(message)).unwrap();
        gateway.wait_for_running(1).await;
        assert_eq!(gateway.answered(1).await, ["1: INTERNAL"]);
        gateway.release.send_replace(true);
        assert_eq!(gateway.answered(1).await, ["2: hold"]);
    }

    #[tokio::test]
    async fn call_ends_at_its_deadline() {
        let mut gateway = Gateway::with_permits(8);
        let call = wire::CapabilityCall {
            number: 1,
            timeout_ms: 20,
            capability: "hold".to_owned(),
            ..wire::CapabilityCall::default()
        };
        let message = wire::CallCapabilitiesRequest {
            calls: vec![call],
            canceled: Vec::new(),
        };
        gateway.calls.send(Ok(message)).unwrap();
        assert_eq!(gateway.answered(1).await, ["1: DEADLINE_EXCEEDED"]);
        gateway.wait_for_running(0).await;
    }

    #[test]
    fn deadline_is_at_most_that_of_the_reader() {
        for (timeout_ms, seconds) in [(0, 30), (1_000, 1), (30_001, 30), (u32::MAX, 30)] {
            assert_eq!(
                timeout_of(timeout_ms),
                Duration::from_secs(seconds),
                "{timeout_ms}"
            );
        }
    }

    #[tokio::test]
    async fn number_of_a_running_call_is_rejected() {
        let mut gateway = Gateway::with_permits(8);
        gateway.send(&[(1, "hold"), (1, "a")]);
        assert_eq!(gateway.answered(1).await, ["1: MALFORMED"]);
        gateway.release.send_replace(true);
        assert_eq!(gateway.answered(1).await, ["1: hold"]);
        gateway.send(&[(1, "a")]);
        assert_eq!(gateway.answered(1).await, ["1: a"]);
    }

    #[tokio::test]
    async fn unsent_answers_keep_the_permits_of_their_calls() {
        let mut gateway = Gateway::with_permits(2);
        gateway.send(&[(1, "hold"), (2, "hold"), (3, "hold")]);
        gateway.wait_for_running(2).await;
        gateway.release.send_replace(true);
        gateway.wait_for_running(0).await;
        // The receiver has its turns now, and no permit.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gateway.answers.ready.len(), 2);
        assert_eq!(gateway.answered(3).await, ["1: hold", "2: hold", "3: hold"]);
    }

    #[tokio::test]
    async fn stopped_reader_answers_what_it_has() {
        let mut gateway = Gateway::with_permits(8);
        gateway.send(&[(1, "hold")]);
        gateway.wait_for_running(1).await;
        gateway.stop.cancel();
        let message = gateway.answers.next().await.unwrap().unwrap();
        assert!(message.is_closing && message.answers.is_empty());
        gateway.send(&[(2, "a")]);
        assert_eq!(gateway.answered(1).await, ["2: a"]);
        let (ended, _) = mpsc::unbounded_channel();
        gateway.calls = ended;
        gateway.release.send_replace(true);
        assert_eq!(gateway.answered(1).await, ["1: hold"]);
        assert!(gateway.answers.next().await.is_none());
    }

    #[tokio::test]
    async fn broken_or_dropped_stream_ends_its_calls() {
        let mut gateway = Gateway::with_permits(8);
        gateway.send(&[(1, "hold")]);
        gateway.wait_for_running(1).await;
        gateway
            .calls
            .send(Err(Status::internal("not a message")))
            .unwrap();
        gateway.wait_for_running(0).await;
        // The response has the reason.
        let ended = gateway.answers.next().await.unwrap();
        assert_eq!(ended.unwrap_err().code(), tonic::Code::Internal);
        let gateway = Gateway::with_permits(8);
        gateway.send(&[(1, "hold")]);
        gateway.wait_for_running(1).await;
        let running = gateway.running.clone();
        drop(gateway.answers);
        running
            .subscribe()
            .wait_for(|running| *running == 0)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn message_with_too_many_calls_ends_the_stream() {
        for (calls, canceled) in [(CALLS_MAX + 1, 0), (0, CANCELED_MAX + 1)] {
            let mut gateway = Gateway::with_permits(8);
            gateway.send(&[(1, "hold")]);
            gateway.wait_for_running(1).await;
            let message = wire::CallCapabilitiesRequest {
                calls: vec![wire::CapabilityCall::default(); calls],
                canceled: vec![7; canceled],
            };
            gateway.calls.send(Ok(message)).unwrap();
            gateway.wait_for_running(0).await;
            let status = loop {
                match gateway.answers.next().await.unwrap() {
                    Ok(_) => {}
                    Err(status) => break status,
                }
            };
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
        }
    }

    #[tokio::test]
    async fn no_call_starts_after_the_stream_ended() {
        let gateway = Gateway::with_permits(8);
        let (seen, released) = (gateway.running.clone(), gateway.release.clone());
        let (answers, mut ready) = mpsc::unbounded_channel();
        let receiver = CallReceiver {
            run: move |call| run(call, seen.clone(), released.clone()),
            permits: gateway.permits.clone(),
            answers,
            running: RunningCalls::new(Mutex::new(Some(HashMap::new()))),
        };
        abort_all(&receiver.running);
        let call = wire::CapabilityCall {
            number: 1,
            capability: "hold".to_owned(),
            ..wire::CapabilityCall::default()
        };
        let message = wire::CallCapabilitiesRequest {
            calls: vec![call],
            canceled: Vec::new(),
        };
        receiver.take(message).await;
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*gateway.running.borrow(), 0);
        drop(receiver);
        assert!(matches!(ready.recv().await, Some(Outgoing::Answer(..))));
        assert!(ready.recv().await.is_none());
    }

    #[tokio::test]
    async fn large_answers_go_in_messages_of_their_own() {
        let mut gateway = Gateway::with_permits(8);
        for (number, bytes) in [(1, ANSWER_BYTES_MAX), (2, 1), (3, 1), (4, ANSWER_BYTES_MAX + 1)] {
            let result = wire::CapabilityResult {
                envelope_json: vec![b'x'; bytes],
                ..wire::CapabilityResult::default()
            };
            let answer = wire::CapabilityAnswer {
                number,
                outcome: Some(Outcome::Result(result)),
            };
            let permit = gateway.permits.acquire().await.unwrap();
            gateway.answers.held.push_back(Outgoing::Answer(answer, permit));
        }
        for numbers in [vec![1], vec![2, 3], vec![4]] {
            let message = gateway.answers.next().await.unwrap().unwrap();
            let sent: Vec<u64> = message.answers.iter().map(|answer| answer.number).collect();
            assert_eq!(sent, numbers);
        }
    }
}
