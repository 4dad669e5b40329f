//! TLS, against a server's certificate made on the spot.

use std::{io::Write as _, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rstest::rstest;
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::{SHORT, database, read_user, store, wire};
use crate::{config::stores::PostgresConfig, store::contract::postgres::config};

/// The packet that asks for TLS: its length and the code 80877103 (PostgreSQL, "Message Formats", SSLRequest).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn pem_file(authority: &Authority) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(authority.pem().as_bytes()).unwrap();
    file
}

/// Makes a TLS acceptor with a certificate for this name.
fn acceptor(authority: &Authority, name: &str) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    TlsAcceptor::from(Arc::new(tls))
}

/// Ends TLS, or says that there is none, in front of the server of a configuration. Returns its port.
async fn before(config: &PostgresConfig, tls: Option<TlsAcceptor>) -> u16 {
    let server = wire::address(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut asked = [0; 8];
            // A client that does not request TLS, or aborts it, gets nothing.
            if client.read_exact(&mut asked).await.is_err() || asked != SSL_REQUEST {
                continue;
            }
            let mut server = TcpStream::connect(&server).await.unwrap();
            client.write_all(if tls.is_some() { b"S" } else { b"N" }).await.unwrap();
            let Some(tls) = &tls else {
                tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
                continue;
            };
            let Ok(mut client) = tls.accept(client).await else { continue };
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    port
}

/// The configuration, by a port of this machine and with these parameters, as the origin reads them.
fn by(port: u16, parameters: &str, direct: &PostgresConfig) -> PostgresConfig {
    let mut config = config(&format!("postgres://localhost:{port}/?hostaddr=127.0.0.1&{parameters}"));
    let server = &direct.server;
    config.server.user(server.get_user().unwrap()).dbname(server.get_dbname().unwrap());
    config.server.password(server.get_password().unwrap_or_default());
    config
}

#[rstest]
#[case::no_verification("other.example", "sslmode=require", true)]
#[case::preferred("other.example", "sslmode=prefer", true)]
#[case::right_chain("other.example", "sslmode=verify-ca&sslrootcert=$RIGHT", true)]
#[case::wrong_chain("localhost", "sslmode=verify-ca&sslrootcert=$WRONG", false)]
#[case::a_root_is_not_ignored("localhost", "sslmode=require&sslrootcert=$WRONG", false)]
#[case::right_name("localhost", "sslmode=verify-full&sslrootcert=$RIGHT", true)]
#[case::the_name_asyncpg_gives_it("localhost", "ssl=verify-full&sslrootcert=$RIGHT", true)]
#[case::wrong_name("other.example", "sslmode=verify-full&sslrootcert=$RIGHT", false)]
#[case::right_name_wrong_chain("localhost", "sslmode=verify-full&sslrootcert=$WRONG", false)]
#[case::not_of_the_system("localhost", "sslmode=verify-full", false)]
#[tokio::test]
async fn certificate_is_verified_as_the_mode_requires(
    #[case] name: &str,
    #[case] parameters: &str,
    #[case] is_trusted: bool,
) {
    let database = database().await;
    let (authority, other) = (authority(), authority());
    let (right, wrong) = (pem_file(&authority), pem_file(&other));
    let port = before(&database.config, Some(acceptor(&authority, name))).await;
    let parameters = parameters
        .replace("$RIGHT", right.path().to_str().unwrap())
        .replace("$WRONG", wrong.path().to_str().unwrap());
    match read_user(&store(&by(port, &parameters, &database.config), 1, SHORT)).await {
        Ok(_) => assert!(is_trusted),
        Err(error) => {
            assert!(!is_trusted && error.kind() == "unavailable", "{error}");
            assert!(error.to_string().contains("TLS"), "{error}");
        }
    }
}

#[rstest]
#[case::refused("sslmode=require", false)]
#[case::put_up_with("sslmode=prefer", true)]
#[tokio::test]
async fn server_without_tls_is_served_only_when_preferred(#[case] parameters: &str, #[case] is_served: bool) {
    let database = database().await;
    let port = before(&database.config, None).await;
    match read_user(&store(&by(port, parameters, &database.config), 1, SHORT)).await {
        Ok(_) => assert!(is_served),
        Err(error) => assert!(!is_served && error.to_string().contains("TLS"), "{error}"),
    }
}
