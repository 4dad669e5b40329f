//! The adapter with a server whose answers the tests choose.

use rcgen::{CertificateParams, KeyPair};
use rstest::rstest;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use shared::{address::Address, id::Id};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::{
    clock::TestClock,
    config::{Config, notify::MailConfig},
    notify::Purpose,
};

const START: Timestamp = Timestamp::from_millis(1_795_253_400_007);

/// A server that answers each command as usual, but for one.
#[derive(Clone, Debug, Default)]
struct Server {
    /// The beginning of the command that is answered otherwise, and how.
    otherwise: Option<(&'static str, Otherwise)>,
    /// The extensions that it says it has.
    extensions: &'static [&'static str],
    seen: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone, Copy, Debug)]
enum Otherwise {
    Answer(&'static str),
    /// Nothing, and nothing more.
    Silence,
}

impl Server {
    async fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().converse(stream));
            }
        });
        port
    }

    async fn converse(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut command = "connected".to_owned();
        loop {
            self.seen.lock().unwrap().push(command.clone());
            let otherwise = self.otherwise.filter(|(begin, _)| command.starts_with(begin));
            let answer = match otherwise {
                Some((_, Otherwise::Answer(answer))) => answer.to_owned(),
                Some((_, Otherwise::Silence)) => return std::future::pending().await,
                None => self.usual(&command),
            };
            let is_data = command == "DATA" && otherwise.is_none();
            if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return;
            }
            loop {
                command.clear();
                if stream.read_line(&mut command).await.unwrap_or(0) == 0 {
                    return;
                }
                command.truncate(command.trim_end().len());
                if !is_data || command == "." {
                    break;
                }
            }
        }
    }

    fn usual(&self, command: &str) -> String {
        match command.split(' ').next().unwrap() {
            "connected" => "220 mail.example".to_owned(),
            "EHLO" => {
                let extensions = self.extensions.iter().map(|extension| format!("250-{extension}"));
                let lines = ["250-mail.example".to_owned()].into_iter().chain(extensions);
                lines.chain(["250 HELP".to_owned()]).collect::<Vec<_>>().join("\r\n")
            }
            "DATA" => "354 go on".to_owned(),
            "AUTH" => "235 2.7.0 welcome".to_owned(),
            _ => "250 2.0.0 fine".to_owned(),
        }
    }

    fn seen(&self, begin: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|line| line.starts_with(begin)).count()
    }
}

fn smtp(url: &str, clock: &Arc<TestClock>) -> Smtp {
    let vars = [
        ("JWT_SECRET", "0f9a3b7c5d1e8f2a4b6c0d9e7f3a5b1c"),
        ("SMTP_URL", url),
        ("MAIL_FROM", "EdgeChat <no-reply@example.com>"),
    ];
    let config = Config::read(&vars.into_iter().collect()).unwrap();
    let MailConfig::Smtp(config) = config.notify.mail else { panic!("{:?}", config.notify) };
    Smtp::new(&config, Arc::clone(clock) as Arc<dyn Clock>).unwrap()
}

fn message() -> Message {
    Message {
        id: Id::from_bytes([7; 16]),
        to: Address::Email("ada@example.org".to_owned()),
        purpose: Purpose::Login,
        subject: "123456 is your code".to_owned(),
        text: "It is 123456.\n".to_owned(),
        code: Some("123456".to_owned()),
        link: None,
        token: None,
    }
}

async fn send(server: &Server) -> Result<(), SendError> {
    let clock = Arc::new(TestClock::at(START));
    let url = format!("smtp://ada:hunter2@127.0.0.1:{}", server.start().await);
    smtp(&url, &clock).send(message()).await
}

#[tokio::test]
async fn mails_are_sent_over_one_connection_until_it_is_idle_for_long() {
    let server = Server::default();
    let clock = Arc::new(TestClock::at(START));
    let smtp = smtp(&format!("smtp://127.0.0.1:{}", server.start().await), &clock);
    for (advance_ms, connections) in [(0, 1), (29_999, 1), (29_999, 1), (30_000, 2)] {
        clock.advance(advance_ms);
        smtp.send(message()).await.unwrap();
        assert_eq!(server.seen("connected"), connections);
    }
    assert_eq!((server.seen("EHLO example.com"), server.seen("RCPT TO:<ada@example.org>")), (2, 4));
    assert_eq!((server.seen("MAIL FROM:<no-reply@example.com>"), server.seen(".")), (4, 4));
}

#[rstest]
#[case("RCPT", "550 5.1.1 <ada@example.org>: no such user", SendError::Refused("it answered 550 5.1.1".to_owned()))]
#[case("RCPT", "553 no", SendError::Refused("it answered 553".to_owned()))]
#[case("RCPT", "450 4.2.1 ada is busy", SendError::Postponed("it answered 450 4.2.1".to_owned()))]
#[case(".", "554 5.7.1 123456 looks like spam", SendError::Refused("it answered 554 5.7.1".to_owned()))]
#[case("MAIL", "530 5.7.0 sign in first", SendError::Unavailable("it answered 530 5.7.0".to_owned()))]
#[case("MAIL", "421 4.3.2 closing", SendError::Unavailable("it answered 421 4.3.2".to_owned()))]
#[case("AUTH", "535 5.7.8 wrong password hunter2", SendError::Unavailable("it answered 535 5.7.8".to_owned()))]
#[case("connected", "554 5.3.2 nobody is here", SendError::Unavailable("it answered 554 5.3.2".to_owned()))]
#[case("DATA", "nonsense", SendError::Unavailable("its answer cannot be read".to_owned()))]
#[tokio::test]
async fn refusal_is_of_the_mail_or_of_the_server_and_quotes_only_codes(
    #[case] command: &'static str,
    #[case] answer: &'static str,
    #[case] expected: SendError,
) {
    let server = Server {
        otherwise: Some((command, Otherwise::Answer(answer))),
        extensions: &["AUTH PLAIN LOGIN"],
        ..Server::default()
    };
    assert_eq!(send(&server).await, Err(expected));
}

#[tokio::test]
async fn login_is_sent_before_the_mail() {
    let server = Server { extensions: &["AUTH PLAIN LOGIN"], ..Server::default() };
    send(&server).await.unwrap();
    assert_eq!(server.seen("AUTH PLAIN AGFkYQBodW50ZXIy"), 1);
}

#[tokio::test]
async fn mail_is_not_sent_without_the_required_protection() {
    let server = Server::default();
    let url = format!("smtp://ada:hunter2@127.0.0.1:{}?tls=required", server.start().await);
    let error = smtp(&url, &Arc::new(TestClock::at(START))).send(message()).await.unwrap_err();
    assert!(matches!(error, SendError::Unavailable(_)), "{error:?}");
    assert_eq!((server.seen("AUTH"), server.seen("MAIL")), (0, 0));
}

#[tokio::test]
async fn server_with_an_unknown_certificate_gets_nothing() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtps://ada:hunter2@{}", listener.local_addr().unwrap());
    let accepted = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
    });
    let error = smtp(&url, &Arc::new(TestClock::at(START))).send(message()).await.unwrap_err();
    assert!(
        matches!(error, SendError::Unavailable(_)) && error.to_string().contains("certificate"),
        "{error}"
    );
    assert!(!accepted.await.unwrap(), "the client ends the handshake");
}

#[tokio::test]
async fn server_that_is_not_there_is_unavailable() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let smtp = smtp(&format!("smtp://127.0.0.1:{port}"), &Arc::new(TestClock::at(START)));
    assert!(matches!(smtp.send(message()).await, Err(SendError::Unavailable(_))));
}

#[tokio::test]
async fn connection_of_an_unfinished_mail_is_not_used_again() {
    let server = Server { otherwise: Some((".", Otherwise::Silence)), ..Server::default() };
    let smtp = smtp(&format!("smtp://127.0.0.1:{}", server.start().await), &Arc::new(TestClock::at(START)));
    for connections in 1..=2 {
        let sending = smtp.send(message());
        let waits = async {
            while server.seen(".") < connections {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            sent = sending => panic!("{sent:?}"),
            () = waits => {}
        }
        assert_eq!(server.seen("connected"), connections);
    }
}

#[tokio::test]
async fn server_that_never_answers_is_given_up() {
    let server = Server { otherwise: Some(("connected", Otherwise::Silence)), ..Server::default() };
    let url = format!("smtp://127.0.0.1:{}", server.start().await);
    let smtp = Smtp { timeout: Duration::from_millis(50), ..smtp(&url, &Arc::new(TestClock::at(START))) };
    let late = SendError::Unavailable("it did not take the mail in time".to_owned());
    assert_eq!(smtp.send(message()).await, Err(late));
}
