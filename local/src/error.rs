use std::fmt;

/// An error message, and optionally advice on what to do.
pub struct Error {
    message: String,
    advice: Option<String>,
    is_closed_pipe: bool,
}

impl Error {
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            advice: None,
            is_closed_pipe: false,
        }
    }

    /// Whether the reader of standard output closed it, which ends a command without a message.
    #[must_use]
    pub const fn is_closed_pipe(&self) -> bool {
        self.is_closed_pipe
    }

    /// Adds a sentence on what to do, shown on a line after the message.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn has_advice(&self) -> bool {
        self.advice.is_some()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.advice {
            Some(advice) => write!(f, "\n{advice}"),
            None => Ok(()),
        }
    }
}

/// The same text as `Display`, because tests unwrap errors and a person reads the panic.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self {
            is_closed_pipe: error.kind() == std::io::ErrorKind::BrokenPipe,
            ..Self::new(error.to_string())
        }
    }
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        Self::new(format!("The HTTP request failed: {error}"))
    }
}
