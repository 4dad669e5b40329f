//! The load client: requests over persistent connections, each with the times of its response.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

/// A request that can be sent repeatedly.
pub(super) type Template = Request<Full<Bytes>>;

/// The headers of every request, as a phone sends them.
const PHONE: [(&str, &str); 3] = [
    ("user-agent", "EdgeChat/1.0 (Android 16; Pixel 10)"),
    ("accept-language", "en-GB,en;q=0.9"),
    // Outside production the platform does not set it; the Worker counts by it.
    ("cf-connecting-ip", "203.0.113.7"),
];

/// A target of load.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Its name in messages.
    pub(super) name: &'static str,
    addr: SocketAddr,
}

impl Site {
    /// Creates the site at a base URL of the loopback address.
    ///
    /// # Panics
    /// Panics when it is not `http://` with an address and a port.
    pub(super) fn new(name: &'static str, base: &str) -> Self {
        let addr = base.strip_prefix("http://").and_then(|addr| addr.parse().ok());
        Self { name, addr: addr.unwrap_or_else(|| panic!("{base} is no base URL on this machine")) }
    }

    /// Builds a request for this site with these headers besides a phone's usual ones.
    ///
    /// # Panics
    /// Panics when a header is invalid.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Template {
        let mut request = Request::builder().method(method).uri(path).header("host", self.addr.to_string());
        for (name, value) in PHONE.iter().chain(headers) {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Opens a connection.
    ///
    /// # Panics
    /// Panics when the connection is refused.
    pub(super) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.addr).await;
        let stream = stream.unwrap_or_else(|error| panic!("{} at {}: {error}", self.name, self.addr));
        stream.set_nodelay(true).expect("TCP_NODELAY on a new connection");
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.expect("a new connection is writable");
        // It ends with the sender; its errors reach the pending request.
        tokio::spawn(driver);
        Connection { site: self.name, sender }
    }
}

/// The longest silence of a response: longer than any timeout of a part.
const SILENCE: Duration = Duration::from_secs(30);

/// A persistent connection.
#[derive(Debug)]
pub(super) struct Connection {
    site: &'static str,
    sender: SendRequest<Full<Bytes>>,
}

/// A response whose head was received and whose body is pending.
#[derive(Debug)]
pub(super) struct Answer {
    /// The time at which the request was sent.
    pub(super) asked: Instant,
    /// The time at which the head was received.
    pub(super) head: Instant,
    /// The status.
    pub(super) status: StatusCode,
    site: &'static str,
    body: Incoming,
}

impl Connection {
    /// Sends a request and waits for the head of its response.
    ///
    /// # Panics
    /// Panics when the connection breaks.
    pub(super) async fn ask(&mut self, request: Template) -> Answer {
        let site = self.site;
        self.sender.ready().await.unwrap_or_else(|error| broken(site, &error));
        let asked = Instant::now();
        let (head, body) =
            self.sender.send_request(request).await.unwrap_or_else(|error| broken(site, &error)).into_parts();
        Answer { asked, head: Instant::now(), status: head.status, site, body }
    }
}

impl Connection {
    /// Sends the request of a lane for this round, and reads its whole response.
    ///
    /// # Panics
    /// Panics when the response is not the right one.
    pub(super) async fn ask_right(&mut self, lane: &Lane, round: usize) -> (Timing, Vec<u8>) {
        let mut answer = self.ask(lane.request(round)).await;
        let body = answer.read().await;
        let timing = Timing { first_byte: answer.head - answer.asked, whole: answer.asked.elapsed() };
        assert!(
            answer.status == StatusCode::OK && lane.is_right(&body),
            "{} answered {} and {}",
            answer.site,
            answer.status,
            String::from_utf8_lossy(&body)
        );
        (timing, body)
    }
}

impl Answer {
    /// Returns the next bytes of the body; `None` at its end.
    ///
    /// # Panics
    /// Panics when the connection breaks, or nothing arrives for [`SILENCE`].
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            let frame = timeout(SILENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("an answer of {} stands still", self.site))?;
            let frame = frame.unwrap_or_else(|error| panic!("an answer of {} broke off: {error}", self.site));
            if let Ok(bytes) = frame.into_data() {
                return Some(bytes);
            }
        }
    }

    /// Reads the whole body.
    pub(super) async fn read(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(bytes) = self.next().await {
            body.extend_from_slice(&bytes);
        }
        body
    }
}

fn broken(site: &str, error: &hyper::Error) -> ! {
    panic!("the connection to {site} broke: {error}")
}

/// The requests of one connection and a check of their responses.
#[derive(Clone)]
pub(super) struct Lane {
    request: Arc<dyn Fn(usize) -> Template + Send + Sync>,
    is_right: fn(&[u8]) -> bool,
}

impl Lane {
    /// The same request every time. `is_right` checks the body of the response, whose status must be 200.
    pub(super) fn same(template: Template, is_right: fn(&[u8]) -> bool) -> Self {
        Self::made(move |_| template.clone(), is_right)
    }

    /// The same request every time, with a new idempotency key that begins with `prefix`.
    pub(super) fn keyed(template: Template, prefix: String, is_right: fn(&[u8]) -> bool) -> Self {
        Self::made(
            move |round| {
                let mut request = template.clone();
                set_key(&mut request, &format!("{prefix}-{round}"));
                request
            },
            is_right,
        )
    }

    /// A new request each time, made from the number of requests before.
    pub(super) fn made(
        request: impl Fn(usize) -> Template + Send + Sync + 'static,
        is_right: fn(&[u8]) -> bool,
    ) -> Self {
        Self { request: Arc::new(request), is_right }
    }

    /// The request of a round.
    pub(super) fn request(&self, round: usize) -> Template {
        (self.request)(round)
    }

    /// Returns true when this is the right body.
    pub(super) fn is_right(&self, body: &[u8]) -> bool {
        (self.is_right)(body)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// The times of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// The time to the head.
    pub(super) first_byte: Duration,
    /// The time to the end of the body.
    pub(super) whole: Duration,
}

/// The measurements of a site under load.
#[derive(Debug)]
pub(super) struct Run {
    /// The times of every response.
    pub(super) timings: Vec<Timing>,
    /// The time from the first request to the last response.
    pub(super) elapsed: Duration,
}

impl Run {
    /// The responses per second.
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 responses are counted")]
    pub(super) fn rate(&self) -> f64 {
        self.timings.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The share of one response in the cost of all.
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 responses are counted")]
    pub(super) fn each(&self, cost: Option<f64>) -> Option<f64> {
        Some(cost? / self.timings.len() as f64)
    }
}

/// Keeps one connection per lane busy for this long.
///
/// # Panics
/// Panics when a response is not the right one: failures are quick and must not count.
pub(super) async fn hammer(site: &Site, lanes: &[Lane], length: Duration) -> Run {
    let mut open = Vec::with_capacity(lanes.len());
    for lane in lanes {
        open.push((site.connect().await, lane.clone()));
    }
    let began = Instant::now();
    let until = began + length;
    let mut running: JoinSet<_> =
        open.into_iter().map(|(connection, lane)| drive(connection, lane, until)).collect();
    let mut timings = Vec::new();
    while let Some(lane) = running.join_next().await {
        timings.extend(lane.expect("a lane that failed has panicked already"));
    }
    Run { timings, elapsed: began.elapsed() }
}

async fn drive(mut connection: Connection, lane: Lane, until: Instant) -> Vec<Timing> {
    let mut timings = Vec::new();
    while Instant::now() < until {
        timings.push(connection.ask_right(&lane, timings.len()).await.0);
    }
    timings
}

/// Sends so many requests in total, over one connection per lane.
///
/// # Panics
/// Panics when a response is not the right one.
pub(super) async fn hammer_times(site: &Site, lanes: &[Lane], requests: usize) {
    let mut running = JoinSet::new();
    for (at, lane) in lanes.iter().enumerate() {
        let share = requests / lanes.len() + usize::from(at < requests % lanes.len());
        let (mut connection, lane) = (site.connect().await, lane.clone());
        running.spawn(async move {
            for round in 0..share {
                connection.ask_right(&lane, round).await;
            }
        });
    }
    while let Some(lane) = running.join_next().await {
        lane.expect("a lane that failed has panicked already");
    }
}

/// Sets the idempotency key of a request.
///
/// # Panics
/// Panics when the key is not valid in a header.
fn set_key(request: &mut Template, key: &str) {
    let name = HeaderName::from_static("idempotency-key");
    request.headers_mut().insert(name, HeaderValue::from_str(key).expect("a key of plain letters"));
}
