//! Why a connection failed, without the text of the error: it may quote what was sent or received.

use std::{error::Error, fmt, io};

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// The TLS handshake failed, or a TLS record is damaged.
    Tls,
    /// The operating system reported an error, or the connection ended early.
    Io(io::ErrorKind),
    /// Any other reason.
    Other,
}

impl ConnectionFault {
    /// Finds the reason in an error and in what caused it.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        if error.is::<rustls::Error>() {
            return Self::Tls;
        }
        let io = error.downcast_ref::<io::Error>();
        // An `io::Error` may wrap the cause without giving it as its source.
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

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("TLS error"),
            Self::Io(kind) => write!(f, "{kind}"),
            Self::Other => f.write_str("unknown reason"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::CertificateError;

    use super::*;

    #[test]
    fn the_innermost_reason_is_found_and_no_text_is_kept() {
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
        assert_eq!(ConnectionFault::of(&fmt::Error), ConnectionFault::Other);
    }
}
