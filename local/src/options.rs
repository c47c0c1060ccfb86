use crate::{build, log::Log};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
};

/// Options of a stack.
pub struct Options {
    /// Address of the API; port 0 selects a free port.
    pub listen: SocketAddr,
    /// Folder for users, mails and secrets; `None` keeps them in memory.
    pub data_dir: Option<PathBuf>,
    /// Folder of the functions' binaries, as returned by [`crate::build()`].
    pub binaries: PathBuf,
    /// Origins of front ends, `IDENTITY_ALLOWED_ORIGINS`; if empty, that of `IDENTITY_DOMAIN`.
    pub cors_origins: Vec<String>,
    /// `IDENTITY_*` variables of the functions; they override those of the template.
    pub env: BTreeMap<String, String>,
    /// Secrets in addition to those that the template generates, by the name or ARN that the
    /// functions request.
    pub secrets: BTreeMap<String, String>,
    pub template: PathBuf,
    /// Folder for the record of grants that the functions used; see `latchkey grants`.
    pub grant_records: Option<PathBuf>,
    /// Receives a message for each call that the policies of a function do not allow.
    pub denials: Arc<Mutex<Vec<String>>>,
    pub log: Log,
}

impl Default for Options {
    /// The options of `latchkey` without arguments.
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
