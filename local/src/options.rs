use crate::{build, log::Log};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// What a stack is started with.
pub struct Options {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where users, mails and secrets are kept; `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// Where the functions' binaries are: what [`crate::build()`] returns.
    pub binaries: PathBuf,
    /// Further origins whose pages may call; without any, the stack's own.
    pub cors_origins: Vec<String>,
    /// `IDENTITY_*` variables of the functions: they win over the template's.
    pub env: BTreeMap<String, String>,
    /// Secrets beside those that the template generates, by what the functions ask for: a name or
    /// an ARN.
    pub secrets: BTreeMap<String, String>,
    pub template: PathBuf,
    /// Folder in which it is recorded which grants of the template the functions used; see
    /// `latchkey grants`.
    pub grant_records: Option<PathBuf>,
    /// Receives a message for each call of a function that its policies do not allow.
    pub denials: Arc<Mutex<Vec<String>>>,
    pub log: Log,
}

impl Default for Options {
    /// What `latchkey` without arguments does.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 3000)),
            data_dir: Some(PathBuf::from(".latchkey")),
            binaries: build::folder(),
            cors_origins: Vec::new(),
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            template: build::workspace().join("template.yaml"),
            grant_records: None,
            denials: Arc::default(),
            log: Log::Terminal,
        }
    }
}
