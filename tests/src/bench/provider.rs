//! A model provider that costs next to nothing: it answers every call with bytes that were written before the first
//! one came, on a thread of its own.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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

/// Pieces of a paced answer.
pub(super) const PIECES: usize = 50;
/// The time before the first piece of a paced answer.
pub(super) const FIRST_PIECE: Duration = Duration::from_millis(200);
/// The time between two pieces of a paced answer.
pub(super) const BETWEEN_PIECES: Duration = Duration::from_millis(20);

const SMALL: [&str; 4] = ["The weather ", "there is ", "much as it is ", "here."];

/// A provider that ends with the value.
#[derive(Debug)]
pub(super) struct FastProvider {
    addr: SocketAddr,
    paced: Arc<AtomicBool>,
    _stop: oneshot::Sender<()>,
}

impl FastProvider {
    /// Starts it on a free port. It answers at once until it is told otherwise.
    ///
    /// # Errors
    /// When there is no port or no thread to be had.
    pub(super) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let paced = Arc::new(AtomicBool::new(false));
        let (stop, stopped) = oneshot::channel();
        let answers = Arc::new(Answers { paced: Arc::clone(&paced), ..Answers::written() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("provider".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    served = serve(listener, answers) => drop(served),
                }
            });
        })?;
        Ok(Self { addr, paced, _stop: stop })
    }

    /// The base URL, as `GEMINI_API_BASE` takes it.
    pub(super) fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on answers come in [`PIECES`] pieces with their pauses, or small and at once.
    pub(super) fn set_paced(&self, paced: bool) {
        self.paced.store(paced, Ordering::Relaxed);
    }
}

/// The answers, as they go over the wire.
struct Answers {
    paced: Arc<AtomicBool>,
    small: Bytes,
    pieces: Arc<[Bytes]>,
}

impl Answers {
    fn written() -> Self {
        let small: Vec<u8> = chunks(SMALL.map(str::to_owned).to_vec()).concat();
        let words = (0..PIECES).map(|at| format!("word{at} ")).collect();
        let pieces = chunks(words).into_iter().map(Bytes::from).collect();
        Self { paced: Arc::default(), small: small.into(), pieces }
    }

    fn next(&self) -> Speech {
        if self.paced.load(Ordering::Relaxed) {
            let clock = interval_at(Instant::now() + FIRST_PIECE, BETWEEN_PIECES);
            Speech::Paced { clock, pieces: Arc::clone(&self.pieces), said: 0 }
        } else {
            Speech::AtOnce(Some(self.small.clone()))
        }
    }
}

/// One chunk a text, as Gemini writes it; the last tells the end and the usage.
fn chunks(texts: Vec<String>) -> Vec<Vec<u8>> {
    const USAGE: Usage = Usage {
        input_tokens: 14,
        output_tokens: 12,
        cached_tokens: 0,
        reasoning_tokens: 0,
        total_tokens: 26,
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

async fn serve(listener: std::net::TcpListener, answers: Arc<Answers>) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = Arc::clone(&answers);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, Arc::clone(&answers)));
            // A caller that goes away ends its connection; that is nothing to report.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(request: Request<Incoming>, answers: Arc<Answers>) -> Result<Response<Speech>, hyper::Error> {
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        frame?;
    }
    let mut response = Response::new(answers.next());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// The body of an answer.
enum Speech {
    AtOnce(Option<Bytes>),
    Paced { clock: Interval, pieces: Arc<[Bytes]>, said: usize },
}

impl Body for Speech {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Self::AtOnce(bytes) => bytes.take(),
            Self::Paced { clock, pieces, said } => match pieces.get(*said) {
                None => None,
                Some(piece) => {
                    ready!(clock.poll_tick(context));
                    *said += 1;
                    Some(piece.clone())
                }
            },
        };
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use shared::provider::{StreamEnd, gemini::StreamDecoder};

    use super::*;

    #[test]
    fn both_answers_are_whole_streams_of_gemini() {
        let answers = Answers::written();
        for (bytes, deltas) in [(answers.small.to_vec(), SMALL.len()), (answers.pieces.concat(), PIECES)] {
            let (mut decoder, mut events) = (StreamDecoder::default(), Vec::new());
            decoder.push(&bytes, &mut events).expect("a stream of Gemini's");
            let said = events.iter().filter(|event| matches!(event, ModelEvent::TextDelta(_))).count();
            assert_eq!(said, deltas);
            assert_eq!(decoder.finish(&mut events), Ok(StreamEnd::Completed(FinishReason::Stop)));
        }
    }
}
