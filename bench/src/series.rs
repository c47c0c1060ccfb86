//! Results of a load test.

/// The result for one number of concurrent clients.
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

/// The results for one kind of request.
pub struct Series {
    pub name: &'static str,
    pub steps: Vec<Step>,
}
