//! E-mail, received by a server in Python (aiosmtpd) and read by Python's own parser.

use std::{fs, path::Path};

use edgechat_tests::{
    client::PASSWORD,
    test_env::{Port, TestEnv},
    wait::{BOUND, until},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rstest::rstest;
use serde_json::json;
use shared::api::{ErrorCode, account::Tokens};
use tokio::net::TcpStream;

use super::tools::{PROGRAM_BOUND, python, sources};

/// The login that the server asks for, where the connection is encrypted.
const LOGIN: &str = "ada%40example.com:p%2Fss%20w+rd@";

/// Writes a root's certificate, and a certificate of this machine with its key.
fn write_certificates(folder: &Path) {
    let mut root = CertificateParams::new([]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    fs::write(folder.join("ca.pem"), root.pem()).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
}

/// A session ends because its refresh token is used twice; its user gets one mail about it, also when the server first refuses it.
#[rstest]
#[case::plain("plain", "smtp://", "", 0)]
#[case::refused_at_first("plain", "smtp://", "", 1)]
#[case::starttls("starttls", "smtp://", "?tls=required", 0)]
#[case::smtps("smtps", "smtps://", "", 0)]
#[tokio::test]
async fn reused_refresh_token_is_mailed(
    #[case] mode: &str,
    #[case] scheme: &str,
    #[case] parameters: &str,
    #[case] refusals: u32,
) {
    let (folder, port) = (tempfile::tempdir().unwrap(), Port::reserve());
    write_certificates(folder.path());
    let file = |name: &str| folder.path().join(name);
    let listen = port.url();
    let address = listen.strip_prefix("http://").unwrap();
    let login = if mode == "plain" { "" } else { LOGIN };
    let setup = TestEnv::setup()
        .var("APP_NAME", "Chatty")
        .var("SMTP_URL", format!("{scheme}{login}{address}{parameters}"))
        .var("SMTP_CA_FILE", file("ca.pem").to_str().unwrap())
        .var("MAIL_FROM", "Chätty der Dienst <no-reply@müller.example>");
    let env = setup.start().await;
    let server = python("the mail server")
        .arg(sources("python").join("mail_server.py"))
        .env("SMTP_LISTEN", &listen)
        .env("SMTP_MODE", mode)
        .env("SMTP_REFUSALS", refusals.to_string())
        .env("SMTP_CERTIFICATE", file("server.pem"))
        .env("SMTP_KEY", file("server.key"))
        .env("EXPECTED_TO", "ada@xn--gldi-5qa.example")
        .env("EXPECTED_FROM", "no-reply@xn--mller-kva.example")
        .env("EXPECTED_NAME", "Chätty der Dienst")
        .env("EXPECTED_SUBJECT", "Chatty: a session was ended")
        .env("EXPECTED_TEXT", "a sign-in of your Chatty account was used|its session was ended.");
    let reuse = async {
        until(BOUND, "the mail server to listen", || async { TcpStream::connect(address).await.ok() }).await;
        let refresh = async |token: &str| {
            let body = json!({ "refresh_token": token });
            env.client().post("/api/v1/auth/refresh").json(&body).send().await
        };
        let body = json!({ "email": "ada@göldi.example", "password": PASSWORD });
        let registered = env.client().post("/api/v1/auth/register").json(&body).send().await;
        let first = registered.expect_status(201).json::<Tokens>().refresh_token;
        let second = refresh(&first).await.expect_status(200).json::<Tokens>().refresh_token;
        let _ = refresh(&second).await.expect_status(200);
        refresh(&first).await.problem(ErrorCode::SessionEnded);
    };
    let (said, ()) = tokio::join!(server.run(PROGRAM_BOUND), reuse);
    assert!(said.ends_with(&format!("{} attempts\n", refusals + 1)), "{said}");
}
