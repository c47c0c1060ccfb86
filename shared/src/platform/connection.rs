//! Reasons of connection failures, without the text of the error, which may quote what was sent or
//! received.

use std::{error::Error, io};

/// The reason of a connection failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionFault {
    /// The TLS handshake failed, or a TLS record is invalid.
    #[error("TLS error")]
    Tls,
    /// The operating system reported an error, or the connection was closed early.
    #[error("{0}")]
    Io(io::ErrorKind),
    /// Any other reason.
    #[error("unknown reason")]
    Other,
}

impl ConnectionFault {
    /// The reason in an error or its sources. The innermost one counts.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if error.is::<rustls::Error>() {
            return Self::Tls;
        }
        let io = error.downcast_ref::<io::Error>();
        // An `io::Error` does not return the error that it wraps as its source.
        let inner = io
            .and_then(io::Error::get_ref)
            .map(|inner| Self::of(inner))
            .or_else(|| error.source().map(Self::of));
        match (inner, io) {
            (Some(found @ (Self::Tls | Self::Io(_))), _) => found,
            (_, Some(io)) => Self::Io(io.kind()),
            (_, None) => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn the_innermost_reason_is_found_without_its_text() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "secret text");
        let tls = rustls::Error::InvalidCertificate(CertificateError::Expired);
        for (error, fault) in [
            (
                io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls)),
                ConnectionFault::Tls,
            ),
            (
                io::Error::other(refused),
                ConnectionFault::Io(io::ErrorKind::ConnectionRefused),
            ),
            (
                io::Error::other("secret text"),
                ConnectionFault::Io(io::ErrorKind::Other),
            ),
        ] {
            let found = ConnectionFault::of(&error);
            assert_eq!(found, fault);
            assert!(!format!("{found} {found:?}").contains("secret"));
        }
        assert_eq!(
            ConnectionFault::of(&std::fmt::Error),
            ConnectionFault::Other
        );
    }
}
