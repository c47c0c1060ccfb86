//! Standard output, which the reader may close early, as `head` does.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// Writes a line to standard output. Unlike `println!`, it does not panic if the pipe is closed.
///
/// # Errors
/// Any error of the write; [`io::ErrorKind::BrokenPipe`] if the reader closed the pipe.
pub fn print_line(text: impl Display) -> io::Result<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{text}")?;
    output.flush()
}
