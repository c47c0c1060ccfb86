//! `GET /identity/version`: returns version and commit of the running build.

use serde::Serialize;
use shared::{
    Error,
    http::{Body, Response, cacheable_json},
};

/// The origin of a build, as determined by `build.rs`.
#[derive(Serialize)]
pub struct Build {
    /// The commit, relative to the latest tag before it.
    pub git_tag: &'static str,
    pub git_sha: &'static str,
    /// RFC 3339.
    pub build_date: &'static str,
    /// Version of the package.
    pub version: &'static str,
}

pub const BUILD: Build = Build {
    git_tag: env!("LATCHKEY_GIT_TAG"),
    git_sha: env!("LATCHKEY_GIT_SHA"),
    build_date: env!("LATCHKEY_BUILD_DATE"),
    version: env!("CARGO_PKG_VERSION"),
};

pub fn handle(build: &Build) -> Result<Response<Body>, Error> {
    cacheable_json(build)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_is_returned_and_can_be_cached_for_a_minute() {
        let build = Build {
            git_tag: "v1.2.3",
            git_sha: "abc",
            build_date: "2026-01-31T23:59:59Z",
            version: "1.2.3",
        };
        let response = handle(&build).expect("an answer");
        let text = r#"{"git_tag":"v1.2.3","git_sha":"abc","build_date":"2026-01-31T23:59:59Z","version":"1.2.3"}"#;
        assert_eq!(
            (response.status().as_u16(), response.body()),
            (200, &Body::Text(text.to_owned()))
        );
        assert_eq!(response.headers()["cache-control"], "public, max-age=60");
    }
}
