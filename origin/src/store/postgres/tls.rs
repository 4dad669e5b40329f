//! Encryption of connections, and verification of the server's certificate.
//!
//! The provider of cryptography is named here, not the process's default, so that no other library's choice matters.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    config::stores::postgres::{Tls, Verify},
    store::error::{StoreError, StoreResult},
};

/// Makes the connector of encrypted connections. Where TLS is off, it is never used.
pub(in crate::store) fn connector(tls: Option<&Tls>) -> StoreResult<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(tls, &provider)
        .map_err(|why| StoreError::Unavailable(format!("TLS cannot be set up: {why}")))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(
    tls: Option<&Tls>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let (verify, roots) = match tls {
        None | Some(Tls { verify: Verify::Nothing, .. }) => {
            return Ok(Arc::new(Lenient { inner: None, provider: Arc::clone(provider) }));
        }
        Some(tls) => (tls.verify, tls.roots.as_ref()),
    };
    let roots = roots.map_or_else(system_roots, |roots| Ok(Arc::clone(roots)))?;
    let full = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())?;
    Ok(match verify {
        Verify::Chain => Arc::new(Lenient { inner: Some(full), provider: Arc::clone(provider) }),
        _ => full,
    })
}

fn system_roots() -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        return Err(
            "the system has no root certificates; sslrootcert=… in DATABASE_URL names a file".to_owned()
        );
    }
    Ok(Arc::new(roots))
}

/// The verifier of libpq's `require` and `verify-ca`: accepts any certificate, or any that the roots have signed, whatever its
/// name. The peer must hold the certificate's key in either case.
#[derive(Debug)]
struct Lenient {
    inner: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: everything else was right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
