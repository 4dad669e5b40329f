//! A model provider of negligible cost: it answers every call with bytes that were prepared at its start, on its own
//! thread.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use shared::{
    api::usage::Usage,
    provider::{
        FinishReason, ModelEvent,
        gemini::{Identity, encode_chunk},
    },
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Instant, Interval, interval_at},
};

/// The word that begins every chunk of an answer and occurs nowhere else in a stream.
pub(super) const WORD: &str = "word";

/// The pace of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// The number of chunks, each a separate write.
    pub(super) chunks: usize,
    /// The time before the first.
    pub(super) first: Duration,
    /// The time between two.
    pub(super) between: Duration,
}

impl Pace {
    /// Returns the time of this chunk after the call; the first is 0.
    ///
    /// # Panics
    /// Panics when the number does not fit `u32`.
    pub(super) fn due(&self, chunk: usize) -> Duration {
        self.first + self.between * u32::try_from(chunk).expect("a number of chunks")
    }
}

/// A provider that ends with the value.
#[derive(Debug)]
pub(super) struct FastProvider {
    addr: SocketAddr,
    answer: Arc<Mutex<Arc<Answer>>>,
    _stop: oneshot::Sender<()>,
}

impl FastProvider {
    /// Starts a provider on a free port. Every answer has this pace until another one is set.
    ///
    /// # Errors
    /// Fails when no port or no thread is available.
    pub(super) fn start(pace: Pace) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let answer = Arc::new(Mutex::new(Arc::new(Answer::at(pace))));
        let answers = Arc::clone(&answer);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("provider".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    served = serve(listener, answers) => drop(served),
                }
            });
        })?;
        Ok(Self { addr, answer, _stop: stop })
    }

    /// The base URL, as `GEMINI_API_BASE` takes it.
    pub(super) fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sets the pace of every answer from now on.
    pub(super) fn set_pace(&self, pace: Pace) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Answer::at(pace));
    }
}

/// An answer in wire format.
#[derive(Debug)]
struct Answer {
    pace: Pace,
    chunks: Vec<Bytes>,
}

impl Answer {
    fn at(pace: Pace) -> Self {
        Self { pace, chunks: chunks(words(pace.chunks)).into_iter().map(Bytes::from).collect() }
    }

    fn spoken(self: Arc<Self>) -> Speech {
        let Pace { first, between, .. } = self.pace;
        let clock = (!between.is_zero()).then(|| interval_at(Instant::now() + first, between));
        Speech { answer: self, clock, said: 0, is_written: true }
    }
}

/// The whole text of an answer of so many chunks.
pub(super) fn text(chunks: usize) -> String {
    words(chunks).concat()
}

/// The text of each chunk.
fn words(chunks: usize) -> Vec<String> {
    (0..chunks).map(|at| format!("{WORD}{at} ")).collect()
}

/// Encodes one chunk per text as Gemini does; the last has the finish reason and the usage.
fn chunks(texts: Vec<String>) -> Vec<Vec<u8>> {
    const USAGE: Usage = Usage {
        input_tokens: 14,
        output_tokens: 12,
        cached_tokens: 0,
        reasoning_tokens: 0,
        total_tokens: 26,
        estimated: false,
    };
    let identity = Identity { model_version: "gemini-2.5-flash", response_id: "bWVhc3VyZWQgYW5zd2Vy" };
    let last = texts.len().saturating_sub(1);
    let chunk = |(at, text)| {
        let mut events = vec![ModelEvent::TextDelta(text)];
        if at == last {
            events.extend([ModelEvent::Usage(USAGE), ModelEvent::Finish(FinishReason::Stop)]);
        }
        let mut chunk = Vec::new();
        encode_chunk(&mut chunk, identity, &events);
        chunk
    };
    texts.into_iter().enumerate().map(chunk).collect()
}

async fn serve(listener: std::net::TcpListener, answers: Arc<Mutex<Arc<Answer>>>) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&answers)));
            // A caller that disconnects ends its connection; that is not reported.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: Arc<Mutex<Arc<Answer>>>,
) -> Result<Response<Speech>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let answer = Arc::clone(&answers.lock().unwrap_or_else(PoisonError::into_inner));
    let mut response = Response::new(answer.spoken());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// The body of an answer.
struct Speech {
    answer: Arc<Answer>,
    clock: Option<Interval>,
    said: usize,
    is_written: bool,
}

impl Body for Speech {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { answer, clock, said, is_written } = self.get_mut();
        let Some(chunk) = answer.chunks.get(*said) else { return Poll::Ready(None) };
        if let Some(clock) = clock {
            ready!(clock.poll_tick(context));
        } else if !*is_written {
            // The server writes a chunk before it polls again, so that no two chunks share a write.
            *is_written = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        *said += 1;
        *is_written = false;
        Poll::Ready(Some(Ok(Frame::data(chunk.clone()))))
    }
}

#[cfg(test)]
mod tests {
    use shared::provider::{StreamEnd, gemini::StreamDecoder};

    use super::*;

    #[test]
    fn answer_is_whole_stream_of_gemini() {
        for chunks in [1, 4, 50] {
            let pace = Pace { chunks, first: Duration::ZERO, between: Duration::ZERO };
            let (mut decoder, mut events) = (StreamDecoder::default(), Vec::new());
            decoder.push(&Answer::at(pace).chunks.concat(), &mut events).expect("a stream of Gemini's");
            let deltas = events.iter().filter_map(|event| match event {
                ModelEvent::TextDelta(text) => Some(text.as_str()),
                _ => None,
            });
            let deltas: Vec<_> = deltas.collect();
            assert_eq!((deltas.len(), deltas.concat()), (chunks, text(chunks)));
            assert_eq!(decoder.finish(&mut events), Ok(StreamEnd::Completed(FinishReason::Stop)));
        }
    }

    #[test]
    fn chunk_is_due_after_those_before_it() {
        let pace = Pace { chunks: 3, first: Duration::from_millis(200), between: Duration::from_millis(20) };
        assert_eq!(pace.due(0), Duration::from_millis(200));
        assert_eq!(pace.due(2), Duration::from_millis(240));
    }

    #[tokio::test]
    async fn chunk_without_pause_waits_for_its_write() {
        let pace = Pace { chunks: 2, first: Duration::ZERO, between: Duration::ZERO };
        let mut speech = Arc::new(Answer::at(pace)).spoken();
        let mut poll = || {
            let mut context = Context::from_waker(std::task::Waker::noop());
            Pin::new(&mut speech).poll_frame(&mut context).map(|frame| frame.is_some())
        };
        let polled = [poll(), poll(), poll(), poll()];
        assert_eq!(polled, [Poll::Ready(true), Poll::Pending, Poll::Ready(true), Poll::Ready(false)]);
    }
}
