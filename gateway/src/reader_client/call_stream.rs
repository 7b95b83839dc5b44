//! One stream for the calls of this gateway. Calls that are made at the same time are sent in one message, and each
//! waits for its own answer. The stream follows the connection: when that is replaced, further calls open another
//! stream, and earlier ones are answered on theirs.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::{
    CallCapabilitiesRequest, CallCapabilitiesResponse, CapabilityAnswer, CapabilityCall,
};
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tonic::{Status, Streaming};

/// Calls and bytes of one message; a single call may have more bytes.
const CALLS_MAX: usize = 64;
const CALL_BYTES_MAX: usize = 512 * 1024;
/// Bytes of a call besides its texts, at most.
const CALL_BYTES: usize = 64;
/// Cancellations of one message.
const CANCELED_MAX: usize = 256;

/// Streams of calls to one reader.
#[derive(Debug)]
pub(super) struct CallStreams {
    client: AgentServiceClient<Channel>,
    channel: Channel,
    newest: Mutex<Option<Arc<CallStream>>>,
    next_number: AtomicU64,
}

type Answer = Result<CapabilityAnswer, Status>;

/// One stream, and the calls that wait for its answers.
#[derive(Debug)]
struct CallStream {
    connection: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// No further call is taken. The stream ends with the last one that waits.
    is_closed: bool,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// Calls to be sent, in their order.
    unsent: BTreeMap<u64, CapabilityCall>,
    /// Calls that were sent and whose callers have gone.
    canceled: Vec<u64>,
    /// Of the request, when it has nothing to send.
    sender: Option<Waker>,
}

impl CallStreams {
    pub(super) fn new(client: AgentServiceClient<Channel>, channel: Channel) -> Self {
        Self {
            client,
            channel,
            newest: Mutex::default(),
            next_number: AtomicU64::new(1),
        }
    }

    /// Makes one call and waits for its answer. Dropping the future cancels the call at the reader.
    ///
    /// # Errors
    /// Why the reader could not be reached, or did not answer in time.
    pub(super) async fn call(&self, mut call: CapabilityCall, timeout: Duration) -> Answer {
        call.number = self.next_number.fetch_add(1, Ordering::Relaxed);
        call.timeout_ms = timeout.as_millis().try_into().unwrap_or(u32::MAX);
        let number = call.number;
        let (stream, answered) = self.send(call)?;
        let mut wait = CancelOnDrop {
            stream: &stream,
            number: Some(number),
        };
        match tokio::time::timeout(timeout, answered).await {
            Ok(Ok(answer)) => {
                wait.number = None;
                answer
            }
            Ok(Err(_)) => Err(broken()),
            Err(_) => Err(Status::deadline_exceeded("the reader did not answer in time")),
        }
    }

    /// Sends a call on the newest stream, or opens another if that takes no more.
    fn send(&self, call: CapabilityCall) -> Result<(Arc<CallStream>, oneshot::Receiver<Answer>), Status> {
        let connection = self.channel.connection_number();
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unsent = call;
        if let Some(stream) = newest.as_ref() {
            if stream.connection != connection {
                stream.close();
            }
            match stream.send(unsent) {
                Ok(answered) => return Ok((stream.clone(), answered)),
                Err(call) => unsent = *call,
            }
        }
        let stream = CallStream::open(self.client.clone(), connection);
        *newest = Some(stream.clone());
        match stream.send(unsent) {
            Ok(answered) => Ok((stream, answered)),
            Err(_) => Err(broken()),
        }
    }
}

impl CallStream {
    fn open(client: AgentServiceClient<Channel>, connection: u64) -> Arc<Self> {
        let stream = Arc::new(Self {
            connection,
            state: Mutex::default(),
        });
        tokio::spawn(receive(client, stream.clone()));
        stream
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes the request if it has something to send or ends.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let changed = change(&mut state);
        let sender = state.has_news().then(|| state.sender.take()).flatten();
        drop(state);
        if let Some(sender) = sender {
            sender.wake();
        }
        changed
    }

    /// Sends a call, or returns it if the stream takes no more.
    fn send(&self, call: CapabilityCall) -> Result<oneshot::Receiver<Answer>, Box<CapabilityCall>> {
        self.change(|state| {
            if state.is_closed {
                return Err(Box::new(call));
            }
            let (answer, answered) = oneshot::channel();
            state.waiting.insert(call.number, answer);
            state.unsent.insert(call.number, call);
            Ok(answered)
        })
    }

    /// Sends no further call. Calls that wait are still answered.
    fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    fn cancel(&self, number: u64) {
        self.change(|state| {
            if state.waiting.remove(&number).is_some() && state.unsent.remove(&number).is_none() {
                state.canceled.push(number);
            }
        });
    }

    fn answer(&self, message: CallCapabilitiesResponse) {
        self.change(|state| {
            state.is_closed |= message.is_closing;
            for answer in message.answers {
                // A canceled call has no caller.
                if let Some(caller) = state.waiting.remove(&answer.number) {
                    let _ = caller.send(Ok(answer));
                }
            }
        });
    }

    /// Ends the stream and every call that waits.
    fn end(&self, status: &Status) {
        self.change(|state| {
            state.is_closed = true;
            state.unsent.clear();
            for (_, caller) in state.waiting.drain() {
                let _ = caller.send(Err(status.clone()));
            }
        });
    }
}

impl State {
    fn has_news(&self) -> bool {
        !self.unsent.is_empty() || !self.canceled.is_empty() || self.is_ended()
    }

    fn is_ended(&self) -> bool {
        self.is_closed && self.waiting.is_empty()
    }

    /// Returns the next message; `None` if there is nothing to send.
    fn message(&mut self) -> Option<CallCapabilitiesRequest> {
        let mut message = CallCapabilitiesRequest::default();
        let taken = self.canceled.len().min(CANCELED_MAX);
        message.canceled = self.canceled.drain(..taken).collect();
        let mut bytes = 0;
        while message.calls.len() < CALLS_MAX
            && let Some(next) = self.unsent.first_entry()
        {
            bytes += size_of(next.get());
            if bytes > CALL_BYTES_MAX && !message.calls.is_empty() {
                break;
            }
            message.calls.push(next.remove());
        }
        (!message.calls.is_empty() || !message.canceled.is_empty()).then_some(message)
    }
}

/// Size of a call, in bytes, at most.
fn size_of(call: &CapabilityCall) -> usize {
    let texts = call.capability.len() + call.access_token.len() + call.traceparent.len();
    CALL_BYTES + texts + call.arguments_json.len()
}

/// Opens the stream and passes its answers on until it ends.
async fn receive(mut client: AgentServiceClient<Channel>, stream: Arc<CallStream>) {
    let status = match client.call_capabilities(CallMessages(stream.clone())).await {
        Ok(response) => pass_on(response.into_inner(), &stream).await,
        Err(status) => status,
    };
    stream.end(&status);
}

async fn pass_on(mut answers: Streaming<CallCapabilitiesResponse>, stream: &CallStream) -> Status {
    loop {
        match answers.message().await {
            Ok(Some(message)) => stream.answer(message),
            Ok(None) => return broken(),
            Err(status) => return status,
        }
    }
}

fn broken() -> Status {
    Status::unavailable("the stream of calls ended")
}

/// Cancels a call whose caller has gone.
struct CancelOnDrop<'a> {
    stream: &'a CallStream,
    number: Option<u64>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.stream.cancel(number);
        }
    }
}

/// The request: messages of all calls and cancellations that are there.
struct CallMessages(Arc<CallStream>);

impl Stream for CallMessages {
    type Item = CallCapabilitiesRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.state();
        if let Some(message) = state.message() {
            return Poll::Ready(Some(message));
        }
        if state.is_ended() {
            return Poll::Ready(None);
        }
        state.sender = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(number: u64, name_bytes: usize, argument_bytes: usize) -> CapabilityCall {
        CapabilityCall {
            number,
            capability: "n".repeat(name_bytes),
            arguments_json: vec![b' '; argument_bytes],
            ..CapabilityCall::default()
        }
    }

    fn stream() -> CallStream {
        CallStream {
            connection: 0,
            state: Mutex::default(),
        }
    }

    fn sent(stream: &CallStream) -> Option<(Vec<u64>, Vec<u64>)> {
        let message = stream.state().message()?;
        let numbers = message.calls.iter().map(|call| call.number).collect();
        Some((numbers, message.canceled))
    }

    #[test]
    fn message_has_at_most_its_calls_and_bytes() {
        use prost::Message as _;

        let stream = stream();
        let mut waiting = Vec::new();
        for number in 1..=200 {
            let (name, arguments) = if number % 2 == 0 { (65_000, 2) } else { (9, 30_000) };
            waiting.push(stream.send(call(number, name, arguments)).unwrap());
        }
        let mut numbers = Vec::new();
        while let Some(message) = stream.state().message() {
            assert!(message.encoded_len() <= CALL_BYTES_MAX && message.calls.len() <= CALLS_MAX);
            numbers.extend(message.calls.iter().map(|call| call.number));
        }
        assert!(numbers.into_iter().eq(1..=200));
        for number in 201..=300 {
            waiting.push(stream.send(call(number, 1, 2)).unwrap());
        }
        assert_eq!(sent(&stream).unwrap().0.len(), CALLS_MAX);
    }

    #[test]
    fn canceled_call_is_not_sent_or_is_canceled_at_the_reader() {
        let stream = stream();
        let _answers = [1, 2, 3].map(|number| stream.send(call(number, 1, 1)).unwrap());
        stream.cancel(2);
        assert_eq!(sent(&stream), Some((vec![1, 3], vec![])));
        stream.cancel(2);
        stream.cancel(3);
        assert_eq!(sent(&stream), Some((vec![], vec![3])));
        assert_eq!(sent(&stream), None);
    }

    #[test]
    fn closed_stream_still_cancels_and_ends_with_its_last_call() {
        let stream = stream();
        let _answers = [1, 2].map(|number| stream.send(call(number, 1, 1)).unwrap());
        assert_eq!(sent(&stream), Some((vec![1, 2], vec![])));
        stream.close();
        assert!(stream.send(call(3, 1, 1)).is_err());
        stream.cancel(1);
        assert_eq!(sent(&stream), Some((vec![], vec![1])));
        assert!(!stream.state().is_ended());
        let answer = CapabilityAnswer {
            number: 2,
            outcome: None,
        };
        stream.answer(CallCapabilitiesResponse {
            answers: vec![answer],
            is_closing: false,
        });
        assert!(stream.state().is_ended());
    }
}
