//! Whom the functions believe to be AWS

use std::{
    fs,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::CertifiedKey;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use crate::harness::{Folder, Latchkey, PASSWORD, spawn};

/// Stands before the tables with a certificate that nobody but itself vouches for.
struct Endpoint {
    url: String,
    tables: Arc<OnceLock<String>>,
    /// Connections whose clients believed the certificate.
    believed: Arc<AtomicUsize>,
    certificate: String,
}

impl Endpoint {
    async fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let tables = Arc::<OnceLock<String>>::default();
        let believed = Arc::<AtomicUsize>::default();
        let listener = spawn(TcpListener::bind("127.0.0.1:0"))
            .await
            .unwrap()
            .unwrap();
        let url = format!(
            "https://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::clone(&tables),
            Arc::clone(&believed),
        ));
        Self {
            url,
            tables,
            believed,
            certificate: cert.pem(),
        }
    }

    /// A stack whose functions reach their tables through it, and have this variable.
    async fn stack(&self, variable: (&str, &str)) -> Latchkey {
        let latchkey = Latchkey::start(&[("AWS_ENDPOINT_URL_DYNAMODB", &self.url), variable]).await;
        self.tables
            .set(
                latchkey
                    .services()
                    .0
                    .trim_start_matches("http://")
                    .to_owned(),
            )
            .unwrap();
        latchkey
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    tables: Arc<OnceLock<String>>,
    believed: Arc<AtomicUsize>,
) {
    while let Ok((connection, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        let tables = Arc::clone(&tables);
        let believed = Arc::clone(&believed);
        tokio::spawn(async move {
            let Ok(mut connection) = acceptor.accept(connection).await else {
                return;
            };
            believed.fetch_add(1, Ordering::Relaxed);
            let mut tables = TcpStream::connect(tables.get().unwrap()).await.unwrap();
            // It ends when either side does.
            let _ = copy_bidirectional(&mut connection, &mut tables).await;
        });
    }
}

#[tokio::test]
async fn what_the_roots_of_the_system_vouch_for_is_believed_though_amazon_did_not_issue_it() {
    let endpoint = Endpoint::start().await;
    let folder = Folder::new("trust");
    let roots = format!("{}/roots.pem", folder.path());
    fs::write(&roots, &endpoint.certificate).unwrap();
    let latchkey = endpoint.stack(("SSL_CERT_FILE", &roots)).await;
    let user = latchkey.signed_up("trust").await;
    for _ in 0..2 {
        assert_eq!(
            latchkey.sign_in(&user.email, PASSWORD).send().await.status,
            201
        );
    }
    assert!(endpoint.believed.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_believed() {
    let endpoint = Endpoint::start().await;
    let latchkey = endpoint.stack(("IDENTITY_APP_NAME", "Latchkey")).await;
    let answer = latchkey.sign_in("ada@example.com", PASSWORD).send().await;
    assert_eq!(
        (answer.status, endpoint.believed.load(Ordering::Relaxed)),
        (503, 0),
        "{}",
        answer.text()
    );
}
