//! The certificates that a probe believes.
//!
//! Owns the rustls configuration and one verifier. Signatures are checked whatever is trusted: only the question
//! whose certificate it is can be waived.

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The certificates that are good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The roots of this machine.
    System,
    /// The certificates of a PEM file: as roots, and as they stand if the server presents one of them itself.
    File(PathBuf),
    /// Every certificate. For tests: a machine between the two ends can read and change everything.
    Anything,
}

/// The TLS side of every connection of one probe.
pub(super) fn config(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier { provider: Arc::clone(&provider), accepts: accepts(trust, &provider)? };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS is not available: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    accepts: Accepts,
}

#[derive(Debug)]
enum Accepts {
    Anything,
    /// `None` when the machine has no roots: no connection over TLS can be trusted then.
    Known {
        roots: Option<Arc<WebPkiServerVerifier>>,
        pinned: Vec<CertificateDer<'static>>,
    },
}

fn accepts(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Accepts, String> {
    let (certificates, pinned) = match trust {
        Trust::Anything => return Ok(Accepts::Anything),
        Trust::System => (rustls_native_certs::load_native_certs().certs, Vec::new()),
        Trust::File(path) => {
            let certificates = certificates(path)?;
            (certificates.clone(), certificates)
        }
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    let roots =
        WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider)).build().ok();
    Ok(Accepts::Known { roots, pinned })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |why: String| format!("--ca {} holds no usable certificate: {why}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| unusable(error.to_string()))?;
    if found.is_empty() { Err(unusable(String::from("expected PEM"))) } else { Ok(found) }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.accepts {
            Accepts::Anything => Ok(ServerCertVerified::assertion()),
            // A self-signed certificate is usually no proper root, yet the file says that this very one is meant.
            Accepts::Known { pinned, .. } if pinned.contains(presented) => {
                Ok(ServerCertVerified::assertion())
            }
            Accepts::Known { roots: Some(roots), .. } => {
                roots.verify_server_cert(presented, intermediates, name, ocsp, now)
            }
            Accepts::Known { roots: None, .. } => Err(rustls::CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
