//! Authorities that are believed beside Mozilla's: that of a proxy within a company, say.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Certificates of authorities. None unless read.
#[derive(Clone, Default, Debug)]
pub struct Roots(Vec<CertificateDer<'static>>);

impl Roots {
    /// Reads certificates in PEM, one behind the other; what stands between them does not matter.
    /// Says what is wrong when there is none, or one that no authority can have.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let read = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>();
        let roots = Self(read.map_err(|error| error.to_string())?);
        if roots.0.is_empty() {
            return Err("holds no certificate".to_owned());
        }
        let mut store = RootCertStore::empty();
        for (index, root) in roots.0.iter().enumerate() {
            let added = store.add(root.clone());
            added.map_err(|error| format!("certificate {} is not valid: {error}", index + 1))?;
        }
        Ok(roots)
    }

    /// These and Mozilla's.
    pub(super) fn store(&self) -> RootCertStore {
        let mut store: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        for root in &self.0 {
            store.add(root.clone()).expect("it could be added when it was read");
        }
        store
    }
}
