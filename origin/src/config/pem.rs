//! Files with certificates in PEM form.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Reads the certificates of a file, those that can be roots.
///
/// # Errors
/// Fails with the rest of a sentence about the file, `which …`.
pub(super) fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("which cannot be read ({error})"))?;
    found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    if found.is_empty() { Err("which has no certificate".to_owned()) } else { Ok(found) }
}
