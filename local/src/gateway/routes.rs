//! Routes of the API: the function for each method and path.

use crate::template::Function;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

pub struct Routes(Vec<Route>);

struct Route {
    method: String,
    /// The path of the template, such as `/users/{id}`.
    path: String,
    segments: Vec<Segment>,
    function: String,
}

/// A segment of a path, in order of precedence: an exact segment wins over a parameter, a parameter
/// over a greedy one.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Segment {
    Exact(String),
    Parameter(String),
    Rest(String),
}

#[derive(Debug, PartialEq)]
pub struct Match<'a> {
    pub function: &'a str,
    /// Route key, such as `GET /users/{id}`.
    pub key: String,
    pub parameters: BTreeMap<String, String>,
}

impl Routes {
    pub fn new(functions: &[Function]) -> Self {
        let mut routes: Vec<_> = functions
            .iter()
            .flat_map(|function| {
                function.routes.iter().map(|route| Route {
                    method: route.method.clone(),
                    path: route.path.clone(),
                    segments: route.path.split('/').skip(1).map(Segment::parse).collect(),
                    function: function.name.clone(),
                })
            })
            .collect();
        routes.sort_by_key(|route| {
            let precedence: Vec<_> = route.segments.iter().map(Segment::rank).collect();
            (precedence, route.method == "ANY")
        });
        Self(routes)
    }

    pub fn find(&self, method: &str, path: &str) -> Option<Match<'_>> {
        let segments: Vec<_> = path.split('/').skip(1).map(decode).collect();
        self.0
            .iter()
            .filter(|route| route.method == method || route.method == "ANY")
            .find_map(|route| {
                Some(Match {
                    function: &route.function,
                    key: format!("{} {}", route.method, route.path),
                    parameters: route.parameters(&segments)?,
                })
            })
    }
}

impl Route {
    /// The values of the path parameters; `None` if the path does not match.
    fn parameters(&self, segments: &[String]) -> Option<BTreeMap<String, String>> {
        let mut parameters = BTreeMap::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let value = segments.get(index).filter(|value| !value.is_empty())?;
            match segment {
                Segment::Exact(text) if text == value => {}
                Segment::Exact(_) => return None,
                Segment::Parameter(name) => {
                    parameters.insert(name.clone(), value.clone());
                }
                Segment::Rest(name) => {
                    parameters.insert(name.clone(), segments[index..].join("/"));
                    return Some(parameters);
                }
            }
        }
        (segments.len() == self.segments.len()).then_some(parameters)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Rest(name.to_owned()),
                None => Self::Parameter(name.to_owned()),
            },
            None => Self::Exact(text.to_owned()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 0,
            Self::Parameter(_) => 1,
            Self::Rest(_) => 2,
        }
    }
}

/// Decodes percent-encoding, as API Gateway does before it invokes a function.
pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template;
    use std::time::Duration;

    fn routes(routes: &[(&str, &str)]) -> Routes {
        let functions = routes.iter().map(|(method, path)| template::Function {
            name: format!("{method} {path}"),
            binary: String::new(),
            timeout: Duration::ZERO,
            memory_megabytes: 0,
            environment: BTreeMap::new(),
            policies: Vec::new(),
            permissions_boundary: None,
            routes: vec![template::Route {
                method: (*method).to_owned(),
                path: (*path).to_owned(),
            }],
            streams: Vec::new(),
            rules: Vec::new(),
            asynchronous_retries: 0,
        });
        Routes::new(&functions.collect::<Vec<_>>())
    }

    fn key(routes: &Routes, method: &str, path: &str) -> Option<String> {
        routes.find(method, path).map(|found| found.key)
    }

    #[test]
    fn the_most_specific_route_wins_regardless_of_order() {
        let routes = routes(&[
            ("ANY", "/{rest+}"),
            ("GET", "/users/{id}"),
            ("ANY", "/users/me"),
            ("GET", "/users/me"),
            ("GET", "/users/{rest+}"),
        ]);
        for (method, path, expected) in [
            ("GET", "/users/me", "GET /users/me"),
            ("PUT", "/users/me", "ANY /users/me"),
            ("GET", "/users/1", "GET /users/{id}"),
            ("GET", "/users/1/x", "GET /users/{rest+}"),
            ("PUT", "/users/1", "ANY /{rest+}"),
        ] {
            assert_eq!(
                key(&routes, method, path).as_deref(),
                Some(expected),
                "{method} {path}"
            );
        }
    }

    #[test]
    fn method_and_path_must_match_exactly() {
        let routes = routes(&[("GET", "/users/me")]);
        assert!(key(&routes, "GET", "/users/me").is_some());
        assert!(key(&routes, "GET", "/users/m%65").is_some());
        for (method, path) in [
            ("HEAD", "/users/me"),
            ("POST", "/users/me"),
            ("GET", "/users/me/"),
            ("GET", "/users"),
            ("GET", "/Users/me"),
            ("GET", "//users/me"),
        ] {
            assert_eq!(key(&routes, method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn parameters_are_decoded() {
        let routes = routes(&[("GET", "/a/{id}"), ("GET", "/b/{rest+}")]);
        assert_eq!(
            routes.find("GET", "/a/x%20y%2Fz").unwrap().parameters["id"],
            "x y/z"
        );
        assert_eq!(
            routes.find("GET", "/b/x/y%20z").unwrap().parameters["rest"],
            "x/y z"
        );
        assert_eq!(routes.find("GET", "/a/"), None);
    }
}
