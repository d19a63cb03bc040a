//! When a connection is encrypted, and which certificates are trusted: `sslmode` and `sslrootcert` as in libpq, and the rules
//! for Supabase's hosts. This module must not know how a connection is made.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::connect_error::ConnectError;
use crate::connection_string::ConnectionString;
use crate::supabase;

/// Whether the database's certificate is verified if the connection string does not decide it, and by which
/// authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustOptions {
    /// Require TLS and verify the certificate, unless `sslmode=disable` is given; without this, `sslmode` has its
    /// standard meaning.
    pub verify: bool,
    /// A PEM file with authorities to trust beside the system's. If it is given, certificates are verified.
    pub root_certificate: Option<PathBuf>,
}

/// When TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// Never: `disable`.
    Never,
    /// If the server refuses a connection without it: `allow`.
    Fallback,
    /// First; a connection without it is the second attempt: `prefer`.
    Preferred,
    /// Always.
    Required,
}

/// The check of a server's certificate before anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateCheck {
    /// No check, or one that an attacker on the network can circumvent.
    Nothing,
    /// The authority that signed it.
    Authority,
    /// The authority that signed it, and the host's name.
    Full,
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Authorities {
    /// The system's, and those of the file.
    System(Option<PathBuf>),
    /// Only those of the file.
    File(PathBuf),
}

/// The TLS settings of a connection string and the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsPolicy {
    pub(crate) encryption: Encryption,
    /// Whether a Supabase host or the configuration requires it, also on a Unix socket.
    pub(crate) forced: bool,
    check: CertificateCheck,
    authorities: Option<Authorities>,
}

impl TlsPolicy {
    /// Reads the TLS parameters of the string, and removes them from it.
    pub(crate) fn take(
        string: &mut ConnectionString,
        options: &TrustOptions,
        is_supabase: bool,
    ) -> Result<Self, ConnectError> {
        let malformed = |text: String| Err(ConnectError::Malformed(text));
        let mode = string.take("sslmode");
        let root = string.take("sslrootcert");
        let is_supabase = is_supabase || options.verify;
        let system = || Authorities::System(options.root_certificate.clone());
        let named = root.as_deref().map(|root| match root {
            "system" => system(),
            path => Authorities::File(PathBuf::from(path)),
        });
        let mode = match (mode.as_deref(), root.as_deref()) {
            (None, Some("system")) => "verify-full",
            (mode, _) => mode.unwrap_or("prefer"),
        };
        let is_weak = !(mode == "verify-full" || is_supabase && mode != "disable");
        if root.as_deref() == Some("system") && is_weak {
            return malformed(format!(
                "`sslmode={mode}` is too weak for `sslrootcert=system`, since anybody can get a certificate of the system's \
                 authorities; write `sslmode=verify-full`"
            ));
        }
        let verify = is_supabase || options.root_certificate.is_some();
        let verified = |check, authorities| (Encryption::Required, check, Some(authorities));
        // As in libpq: a file of authorities is the only trusted one, in every mode that encrypts.
        let by_file = if named.is_some() { CertificateCheck::Authority } else { CertificateCheck::Nothing };
        let (encryption, check, authorities) = match mode {
            "disable" => (Encryption::Never, CertificateCheck::Nothing, None),
            "allow" | "prefer" | "require" | "verify-full" if verify => {
                verified(CertificateCheck::Full, named.unwrap_or_else(system))
            }
            "verify-ca" if is_supabase => verified(CertificateCheck::Full, named.unwrap_or_else(system)),
            "allow" => (Encryption::Fallback, by_file, named),
            "prefer" => (Encryption::Preferred, by_file, named),
            "require" => (Encryption::Required, by_file, named),
            "verify-ca" => verified(CertificateCheck::Authority, named.unwrap_or_else(system)),
            "verify-full" => verified(CertificateCheck::Full, named.unwrap_or_else(system)),
            _ => {
                return malformed(
                    "`sslmode` has a value that is not known; it takes disable, allow, prefer, require, verify-ca or verify-full"
                        .to_owned(),
                );
            }
        };
        if string.get("sslnegotiation") == Some("direct") && encryption != Encryption::Required {
            return malformed(format!(
                "`sslmode={mode}` is too weak for `sslnegotiation=direct`; write `sslmode=require` or a stronger one"
            ));
        }
        Ok(Self { encryption, forced: verify, check, authorities })
    }

    /// The check of every connection; a check that a connection without TLS circumvents counts as none.
    pub(crate) fn certificate_check(&self) -> CertificateCheck {
        if self.encryption == Encryption::Required { self.check } else { CertificateCheck::Nothing }
    }

    /// The TLS client's configuration, if TLS may be used.
    pub(crate) fn client_config(
        &self,
        supabase_root: &str,
    ) -> Result<Option<rustls::ClientConfig>, ConnectError> {
        if self.encryption == Encryption::Never {
            return Ok(None);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?;
        let load = |authorities| TrustedRoots::load(authorities, supabase_root);
        let verifier = Verifier {
            trusted: self.authorities.as_ref().map(load).transpose()?,
            checks_name: self.check == CertificateCheck::Full,
            provider,
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Some(builder.with_no_client_auth()))
    }
}

fn unusable(error: &dyn fmt::Display) -> ConnectError {
    ConnectError::Certificates(error.to_string())
}

/// The certificates of the trusted authorities.
#[derive(Debug)]
struct TrustedRoots {
    roots: RootCertStore,
    /// For Supabase's hosts, instead of `roots`.
    supabase: Option<RootCertStore>,
    /// The certificates of the operator's file.
    file: Vec<CertificateDer<'static>>,
}

impl TrustedRoots {
    fn load(authorities: &Authorities, supabase_root: &str) -> Result<Self, ConnectError> {
        let (path, with_system) = match authorities {
            Authorities::System(path) => (path.as_ref(), true),
            Authorities::File(path) => (Some(path), false),
        };
        let mut roots = RootCertStore::empty();
        let file = path.map(certificates_of).transpose()?.unwrap_or_default();
        for certificate in &file {
            roots.add(certificate.clone()).map_err(|error| unusable(&error))?;
        }
        if !with_system {
            return Ok(Self { roots, supabase: None, file });
        }
        for certificate in rustls_native_certs::load_native_certs().certs {
            // The system's list may contain certificates that this library cannot read; the others are used.
            let _unreadable = roots.add(certificate).is_err();
        }
        let root =
            CertificateDer::from_pem_slice(supabase_root.as_bytes()).map_err(|error| unusable(&error))?;
        let mut supabase = roots.clone();
        supabase.add(root).map_err(|error| unusable(&error))?;
        Ok(Self { roots, supabase: Some(supabase), file })
    }

    fn for_name(&self, name: &ServerName<'_>) -> &RootCertStore {
        let is_supabase = matches!(name, ServerName::DnsName(name) if supabase::is_supabase(name.as_ref()));
        self.supabase.as_ref().filter(|_| is_supabase).unwrap_or(&self.roots)
    }
}

fn certificates_of(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let unreadable = |error: &dyn fmt::Display| unusable(&format!("`{}`: {error}", path.display()));
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(&error))?;
    if found.is_empty() { Err(unreadable(&"there is no certificate in it")) } else { Ok(found) }
}

/// Checks the authority of a certificate and its host. The signatures of the handshake are always checked.
#[derive(Debug)]
struct Verifier {
    /// `None`: any certificate is accepted.
    trusted: Option<TrustedRoots>,
    checks_name: bool,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn check_signed(
        &self,
        trusted: &TrustedRoots,
        parsed: &ParsedCertificate<'_>,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let roots = trusted.for_name(name);
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let algorithms = self.provider.signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(parsed, roots, intermediates, now, algorithms) {
            // PostgreSQL's manual describes such servers: one certificate that signs itself and is marked as an authority. If the
            // operator's file contains it, it is trusted, as by libpq. The library has checked its dates before.
            Err(error) if is_authority(&error) && trusted.file.iter().any(|known| known == certificate) => {
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// Whether the server's own certificate is marked as an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.to_string() == "CaUsedAsEndEntity"
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let parsed = ParsedCertificate::try_from(certificate)?;
        self.check_signed(trusted, &parsed, certificate, intermediates, name, now)?;
        if self.checks_name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str, options: &TrustOptions, is_supabase: bool) -> Result<TlsPolicy, ConnectError> {
        TlsPolicy::take(&mut ConnectionString::parse(text).unwrap(), options, is_supabase)
    }

    #[test]
    fn the_words_of_sslmode_are_libpq_s_in_urls_and_in_pairs() {
        use CertificateCheck::{Authority, Full, Nothing};
        let options = TrustOptions::default();
        for (mode, encryption, without_file, with_file) in [
            ("disable", Encryption::Never, Nothing, Nothing),
            ("allow", Encryption::Fallback, Nothing, Authority),
            ("prefer", Encryption::Preferred, Nothing, Authority),
            ("require", Encryption::Required, Nothing, Authority),
            ("verify-ca", Encryption::Required, Authority, Authority),
            ("verify-full", Encryption::Required, Full, Full),
        ] {
            for text in [format!("postgres://h/d?sslmode={mode}"), format!("host=h sslmode={mode}")] {
                let found = policy(&text, &options, false).unwrap();
                assert_eq!((found.encryption, found.check), (encryption, without_file), "{text}");
            }
            let found =
                policy(&format!("host=h sslmode={mode} sslrootcert=/ca.pem"), &options, false).unwrap();
            assert_eq!((found.encryption, found.check), (encryption, with_file), "{mode}");
        }
        assert_eq!(policy("host=h", &options, false).unwrap().encryption, Encryption::Preferred);
        assert!(policy("host=h sslmode=maybe", &options, false).is_err());
    }

    #[test]
    fn certificates_are_verified_on_request_unless_tls_is_off() {
        let verify = TrustOptions { verify: true, root_certificate: None };
        let roots = TrustOptions { verify: false, root_certificate: Some(PathBuf::from("/ca.pem")) };
        for (options, is_supabase) in [(&verify, false), (&roots, false), (&TrustOptions::default(), true)] {
            for mode in ["", "sslmode=allow", "sslmode=prefer", "sslmode=require", "sslmode=verify-full"] {
                let found = policy(&format!("host=h {mode}"), options, is_supabase).unwrap();
                assert_eq!(found.certificate_check(), CertificateCheck::Full, "{mode} {options:?}");
                assert!(matches!(found.authorities, Some(Authorities::System(_))), "{mode}");
            }
            let off = policy("host=h sslmode=disable", options, is_supabase).unwrap();
            assert_eq!(off.encryption, Encryption::Never);
        }
        let check = |options: &TrustOptions, is_supabase| {
            policy("host=h sslmode=verify-ca", options, is_supabase).unwrap().certificate_check()
        };
        assert_eq!(check(&verify, false), CertificateCheck::Full);
        assert_eq!(check(&TrustOptions::default(), true), CertificateCheck::Full);
        assert_eq!(check(&roots, false), CertificateCheck::Authority);
    }

    #[test]
    fn a_weak_mode_is_refused_where_it_cannot_protect() {
        let options = TrustOptions::default();
        for mode in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let weak = format!("host=h sslrootcert=system sslmode={mode}");
            let error = policy(&weak, &options, false).unwrap_err().to_string();
            assert!(error.contains("too weak") && error.contains("verify-full"), "{error}");
            assert_eq!(policy(&weak, &options, true).is_ok(), mode != "disable", "{mode}");
        }
        for strong in ["host=h sslrootcert=system", "host=h sslrootcert=system sslmode=verify-full"] {
            assert_eq!(policy(strong, &options, false).unwrap().certificate_check(), CertificateCheck::Full);
        }
        for mode in ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer"] {
            let error = policy(&format!("host=h sslnegotiation=direct {mode}"), &options, false).unwrap_err();
            assert!(error.to_string().contains("too weak"), "{error}");
        }
        assert!(policy("host=h sslnegotiation=direct sslmode=require", &options, false).is_ok());
    }
}
