//! TLS root certificates trusted for AWS endpoints

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

/// A TLS proxy in front of DynamoDB with a self-signed certificate.
struct Endpoint {
    url: String,
    tables: Arc<OnceLock<String>>,
    /// Number of connections whose client accepted the certificate.
    accepted: Arc<AtomicUsize>,
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
        let accepted = Arc::<AtomicUsize>::default();
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
            Arc::clone(&accepted),
        ));
        Self {
            url,
            tables,
            accepted,
            certificate: cert.pem(),
        }
    }

    /// Starts a stack with this variable, whose functions reach their tables through the proxy.
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
    accepted: Arc<AtomicUsize>,
) {
    while let Ok((connection, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        let tables = Arc::clone(&tables);
        let accepted = Arc::clone(&accepted);
        tokio::spawn(async move {
            let Ok(mut connection) = acceptor.accept(connection).await else {
                return;
            };
            accepted.fetch_add(1, Ordering::Relaxed);
            let mut tables = TcpStream::connect(tables.get().unwrap()).await.unwrap();
            // Returns when either side closes the connection.
            let _ = copy_bidirectional(&mut connection, &mut tables).await;
        });
    }
}

#[tokio::test]
async fn a_root_certificate_of_the_system_is_trusted() {
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
    assert!(endpoint.accepted.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn a_certificate_of_an_unknown_issuer_is_rejected() {
    let endpoint = Endpoint::start().await;
    let latchkey = endpoint.stack(("IDENTITY_APP_NAME", "Latchkey")).await;
    let answer = latchkey.sign_in("ada@example.com", PASSWORD).send().await;
    assert_eq!(
        (answer.status, endpoint.accepted.load(Ordering::Relaxed)),
        (503, 0),
        "{}",
        answer.text()
    );
}
