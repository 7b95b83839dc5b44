//! One stream for the calls of this gateway. Calls that are made at the same time are sent in one message, and each
//! waits for its own answer. The stream follows the connection: when that is replaced, further calls open another
//! stream, and earlier ones are answered on theirs.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_proto::executor::v1::agent_service_client::AgentServiceClient;
use synapsor_proto::executor::v1::{
    CallCapabilitiesRequest, CallCapabilitiesResponse, CapabilityAnswer, CapabilityCall,
};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tonic::{Status, Streaming};

/// Calls and cancellations that wait to be sent; more are refused.
const QUEUE_MAX: usize = 512;
/// Calls and bytes of one message; a single call may have more bytes.
const CALLS_MAX: usize = 64;
const CALL_BYTES_MAX: usize = 512 * 1024;

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

#[derive(Debug)]
struct State {
    /// Absent once no further call may be sent.
    queue: Option<mpsc::Sender<Outgoing>>,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

/// Reason why a call was not sent.
#[derive(Debug)]
enum NotSent {
    QueueFull,
    /// The stream takes no more calls.
    Closed(Box<CapabilityCall>),
}

#[derive(Debug)]
enum Outgoing {
    Call(CapabilityCall),
    Cancel(u64),
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
                Err(NotSent::QueueFull) => return Err(queue_full()),
                Err(NotSent::Closed(call)) => unsent = *call,
            }
        }
        let stream = CallStream::open(self.client.clone(), connection);
        *newest = Some(stream.clone());
        match stream.send(unsent) {
            Ok(answered) => Ok((stream, answered)),
            Err(NotSent::QueueFull) => Err(queue_full()),
            Err(NotSent::Closed(_)) => Err(broken()),
        }
    }
}

impl CallStream {
    fn open(client: AgentServiceClient<Channel>, connection: u64) -> Arc<Self> {
        let (queue, outgoing) = mpsc::channel(QUEUE_MAX);
        let stream = Arc::new(Self {
            connection,
            state: Mutex::new(State {
                queue: Some(queue),
                waiting: HashMap::new(),
            }),
        });
        tokio::spawn(receive(client, outgoing, stream.clone()));
        stream
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, call: CapabilityCall) -> Result<oneshot::Receiver<Answer>, NotSent> {
        let (answer, answered) = oneshot::channel();
        let mut state = self.state();
        let number = call.number;
        let Some(queue) = &state.queue else {
            return Err(NotSent::Closed(Box::new(call)));
        };
        match queue.try_send(Outgoing::Call(call)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(Outgoing::Call(call))) => {
                return Err(NotSent::Closed(Box::new(call)));
            }
            Err(_) => return Err(NotSent::QueueFull),
        }
        state.waiting.insert(number, answer);
        Ok(answered)
    }

    /// Sends no further call. Calls that were sent are still answered.
    fn close(&self) {
        self.state().queue = None;
    }

    fn cancel(&self, number: u64) {
        let mut state = self.state();
        if state.waiting.remove(&number).is_some()
            && let Some(queue) = &state.queue
        {
            // In a full queue the reader ends the call at its deadline.
            let _ = queue.try_send(Outgoing::Cancel(number));
        }
    }

    fn answer(&self, message: CallCapabilitiesResponse) {
        let mut state = self.state();
        if message.is_closing {
            state.queue = None;
        }
        for answer in message.answers {
            // Nobody waits for a canceled call.
            if let Some(caller) = state.waiting.remove(&answer.number) {
                let _ = caller.send(Ok(answer));
            }
        }
    }

    /// Ends the stream and every call that waits.
    fn end(&self, status: &Status) {
        let mut state = self.state();
        state.queue = None;
        for (_, caller) in state.waiting.drain() {
            let _ = caller.send(Err(status.clone()));
        }
    }
}

/// Opens the stream and passes its answers on until it ends.
async fn receive(
    mut client: AgentServiceClient<Channel>,
    outgoing: mpsc::Receiver<Outgoing>,
    stream: Arc<CallStream>,
) {
    let status = match client.call_capabilities(CallMessages::of(outgoing)).await {
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

fn queue_full() -> Status {
    Status::resource_exhausted("the reader takes no calls")
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

/// The request: messages of all calls that wait.
struct CallMessages {
    outgoing: mpsc::Receiver<Outgoing>,
    /// Received, but not sent yet; in reverse order.
    held: Vec<Outgoing>,
}

impl CallMessages {
    const fn of(outgoing: mpsc::Receiver<Outgoing>) -> Self {
        Self {
            outgoing,
            held: Vec::new(),
        }
    }

    /// Returns the next message, of what is held.
    fn message(&mut self) -> CallCapabilitiesRequest {
        let mut message = CallCapabilitiesRequest::default();
        let mut bytes = 0;
        while let Some(next) = self.held.pop() {
            match next {
                Outgoing::Call(call) => {
                    bytes += call.arguments_json.len() + call.access_token.len();
                    if bytes > CALL_BYTES_MAX && !message.calls.is_empty() {
                        self.held.push(Outgoing::Call(call));
                        break;
                    }
                    message.calls.push(call);
                }
                // The reader takes the cancellations of a message first.
                Outgoing::Cancel(number) if message.calls.iter().any(|call| call.number == number) => {
                    message.calls.retain(|call| call.number != number);
                }
                Outgoing::Cancel(number) => message.canceled.push(number),
            }
        }
        message
    }
}

impl Stream for CallMessages {
    type Item = CallCapabilitiesRequest;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.held.is_empty() {
            let mut received = Vec::with_capacity(CALLS_MAX);
            if ready!(self.outgoing.poll_recv_many(cx, &mut received, CALLS_MAX)) == 0 {
                return Poll::Ready(None);
            }
            received.reverse();
            self.held = received;
        }
        Poll::Ready(Some(self.message()))
    }
}
