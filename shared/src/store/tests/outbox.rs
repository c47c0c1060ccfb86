//! Outbox

use super::{NOW, at_once, request_code, reset_mail, signed_up, store};
use crate::{
    domain::one_time_code::{Kind, OneTimeCode},
    store::Claim,
};

#[tokio::test]
async fn one_of_eight_concurrent_deliveries_claims_a_mail() {
    let store = store().await;
    let user = signed_up(&store, "jane@example.com").await;
    let code = OneTimeCode::new(3600, NOW);
    let mail = reset_mail(&user, &code);
    request_code(&store, &user, Kind::Reset, &code, &mail).await;
    let claims = at_once(8, |_| {
        let store = store.clone();
        let mail = mail.clone();
        async move {
            store
                .claim_mail(&mail.uid, &mail.id, NOW)
                .await
                .expect("an answer")
        }
    })
    .await;
    assert_eq!(
        claims
            .iter()
            .filter(|&claim| *claim == Claim::Claimed(mail.clone()))
            .count(),
        1
    );
    assert_eq!(
        claims.iter().filter(|&claim| *claim == Claim::Busy).count(),
        7
    );
    let claim = async |now| {
        store
            .claim_mail(&mail.uid, &mail.id, now)
            .await
            .expect("an answer")
    };
    store
        .release_mail(&mail.uid, &mail.id, NOW)
        .await
        .expect("an answer");
    assert_eq!(claim(NOW).await, Claim::Claimed(mail.clone()));
    assert_eq!(claim(NOW + 59).await, Claim::Busy);
    assert_eq!(
        claim(NOW + 60).await,
        Claim::Claimed(mail.clone()),
        "the lease of a failed delivery expires"
    );
    store
        .settle_mail(&mail.uid, &mail.id, NOW + 61)
        .await
        .expect("an answer");
    assert_eq!(claim(NOW + 600).await, Claim::Settled);
}
