//! One GET request to a part.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than a healthy part takes for a health check, short enough to ask again.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any health report, and than a full mailbox.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Returns the status and the body of the answer.
///
/// # Errors
/// Fails when nobody listens, the answer does not come within five seconds, or it is not HTTP.
pub(super) fn get(address: SocketAddr, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    status.map(|status| (status, body.to_owned())).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    fn answering(answer: &'static str) -> io::Result<(u16, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1024];
            let length = stream.read(&mut asked).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let got = get(address, "/health");
        assert!(server.join().unwrap().starts_with("GET /health HTTP/1.1\r\n"));
        got
    }

    #[test]
    fn status_and_body_are_found() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\r\nnot yet\n";
        assert_eq!(answering(answer).unwrap(), (503, "not yet".into()));
    }

    #[test]
    fn answer_that_is_not_http_is_an_error() {
        assert!(answering("hello").is_err());
        assert!(answering("").is_err());
    }
}
