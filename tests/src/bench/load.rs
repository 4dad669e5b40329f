//! The load client: requests over connections that stay open, each with the times at which its answer came.

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

/// A request that can be sent again and again.
pub(super) type Template = Request<Full<Bytes>>;

/// What every request says, as a phone does.
const PHONE: [(&str, &str); 3] = [
    ("user-agent", "EdgeChat/1.0 (Android 16; Pixel 10)"),
    ("accept-language", "en-GB,en;q=0.9"),
    // Outside production the platform does not set it; the Worker counts by it.
    ("cf-connecting-ip", "203.0.113.7"),
];

/// Somewhere load goes to.
#[derive(Clone, Debug)]
pub(super) struct Site {
    /// Its name, for people.
    pub(super) name: &'static str,
    addr: SocketAddr,
}

impl Site {
    /// The site at a base URL of the loopback address.
    ///
    /// # Panics
    /// Panics when it is not `http://` with an address and a port.
    pub(super) fn new(name: &'static str, base: &str) -> Self {
        let addr = base.strip_prefix("http://").and_then(|addr| addr.parse().ok());
        Self { name, addr: addr.unwrap_or_else(|| panic!("{base} is no base URL on this machine")) }
    }

    /// A request for this site with these headers beside a phone's usual ones.
    ///
    /// # Panics
    /// Panics when a header is none.
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
    /// Panics when nobody listens there.
    pub(super) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.addr).await;
        let stream = stream.unwrap_or_else(|error| panic!("{} at {}: {error}", self.name, self.addr));
        stream.set_nodelay(true).expect("TCP_NODELAY on a new connection");
        let (sender, driver) =
            http1::handshake(TokioIo::new(stream)).await.expect("a new connection is writable");
        // It ends with the sender; what goes wrong on it is told to whoever waits for an answer.
        tokio::spawn(driver);
        Connection { site: self.name, sender }
    }
}

/// The time that an answer may stand still: longer than anything a part waits for.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection that stays open.
#[derive(Debug)]
pub(super) struct Connection {
    site: &'static str,
    sender: SendRequest<Full<Bytes>>,
}

/// An answer whose head is there and whose body is on its way.
#[derive(Debug)]
pub(super) struct Answer {
    /// When the request was handed over.
    pub(super) asked: Instant,
    /// When the head was there.
    pub(super) head: Instant,
    /// The status.
    pub(super) status: StatusCode,
    site: &'static str,
    body: Incoming,
}

impl Connection {
    /// Sends a request and waits for the head of its answer.
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
    /// Sends the request of a lane after so many others, and reads its whole answer.
    ///
    /// # Panics
    /// Panics when it is not the right one.
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
    /// The next bytes of the body; `None` at its end.
    ///
    /// # Panics
    /// Panics when the connection breaks, or nothing comes for [`SILENCE`].
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

    /// The whole body.
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

/// What one connection sends over and over, and what it must hear.
#[derive(Clone)]
pub(super) struct Lane {
    request: Arc<dyn Fn(usize) -> Template + Send + Sync>,
    is_right: fn(&[u8]) -> bool,
}

impl Lane {
    /// The same request every time. `is_right` knows the right body; it comes with status 200.
    pub(super) fn same(template: Template, is_right: fn(&[u8]) -> bool) -> Self {
        Self::made(move |_| template.clone(), is_right)
    }

    /// The same request every time, with an idempotency key of its own that begins with `prefix`.
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

    /// A request made anew each time; it is told how many came before.
    pub(super) fn made(
        request: impl Fn(usize) -> Template + Send + Sync + 'static,
        is_right: fn(&[u8]) -> bool,
    ) -> Self {
        Self { request: Arc::new(request), is_right }
    }

    /// The request after so many others.
    pub(super) fn request(&self, round: usize) -> Template {
        (self.request)(round)
    }

    /// Whether this body is the right answer.
    pub(super) fn is_right(&self, body: &[u8]) -> bool {
        (self.is_right)(body)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// How long an answer took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// To the head.
    pub(super) first_byte: Duration,
    /// To the end of the body.
    pub(super) whole: Duration,
}

/// What a site did under load.
#[derive(Debug)]
pub(super) struct Run {
    /// Of every answer.
    pub(super) timings: Vec<Timing>,
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
}

impl Run {
    /// Answers in a second.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 answers")]
    pub(super) fn rate(&self) -> f64 {
        self.timings.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Each answer's share of what all of them cost.
    #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 answers")]
    pub(super) fn each(&self, cost: Option<f64>) -> Option<f64> {
        Some(cost? / self.timings.len() as f64)
    }
}

/// Keeps one connection a lane busy for this long.
///
/// # Panics
/// Panics when an answer is not the right one: what fails is quickly served and must not count.
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
        timings.extend(lane.expect("a lane that says what went wrong has said it"));
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

/// Sends so many requests in all, shared among one connection a lane.
///
/// # Panics
/// Panics when an answer is not the right one.
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
        lane.expect("a lane that says what went wrong has said it");
    }
}

/// Sets the idempotency key of a request.
///
/// # Panics
/// Panics when the key cannot stand in a header.
fn set_key(request: &mut Template, key: &str) {
    let name = HeaderName::from_static("idempotency-key");
    request.headers_mut().insert(name, HeaderValue::from_str(key).expect("a key of plain letters"));
}
