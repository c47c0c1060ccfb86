//! The results of a load, by the number of clients.

/// What came of so many clients at once.
pub struct Step {
    pub clients: usize,
    pub per_second: f64,
    /// ms
    pub p50: f64,
    /// ms
    pub p95: f64,
    /// ms
    pub p99: f64,
}

/// The steps of one kind of request.
pub struct Series {
    pub name: &'static str,
    pub steps: Vec<Step>,
}
